//! Globs of the setting `ignore_globs`.

/// Whether a glob of `ignore_globs` matches a path; `*` does not cross `/`.
pub(super) fn matches_glob(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    // The usual walk with one place to go back to: linear but for the last star.
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < name.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some('?') if name[seen] != '/' => {
                at += 1;
                seen += 1;
            }
            Some(character) if *character == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((star_at, from)) if name[from] != '/' => {
                    star = Some((star_at, from + 1));
                    at = star_at + 1;
                    seen = from + 1;
                }
                _ => return false,
            },
        }
    }
    glob[at..].iter().all(|character| *character == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_stay_within_a_directory() {
        for (glob, name, matches) in [
            ("*.pt", "model.pt", true),
            ("*.pt", "dir/model.pt", false),
            ("dir/*", "dir/model.pt", true),
            ("dir/*", "dir/sub/model.pt", false),
            ("m?d*l*", "model.pt", true),
            ("model", "model.pt", false),
            ("*", "", true),
        ] {
            assert_eq!(matches_glob(glob, name), matches, "{glob} {name}");
        }
    }
}
