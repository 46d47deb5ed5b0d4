//! The summary as one line of `file_stream`, within what a server takes.

use runlane_model::json::{Object, Value};

/// The text of `summary` in at most `max_bytes`, and the keys whose values had to be left out for it, largest first.
///
/// A server refuses a longer line for good, and with it the upload of everything behind it.
pub(crate) fn fitting(summary: Object, max_bytes: usize) -> (String, Vec<String>) {
    let mut document = Value::Object(summary);
    let text = document.to_string();
    let mut excess = text.len().saturating_sub(max_bytes);
    if excess == 0 {
        return (text, Vec::new());
    }
    let mut left_out = Vec::new();
    if let Value::Object(object) = &mut document {
        let mut sizes: Vec<(usize, String)> = object
            .iter()
            .map(|(key, value)| (value.to_string().len(), key.clone()))
            .collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        for (bytes, key) in sizes {
            if excess == 0 {
                break;
            }
            object.shift_remove(&key);
            excess = excess.saturating_sub(bytes);
            left_out.push(key);
        }
    }
    (document.to_string(), left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Object {
        [("a", 3), ("big", 50), ("b", 5), ("large", 40)]
            .into_iter()
            .map(|(key, bytes)| (key.to_owned(), Value::from("x".repeat(bytes).as_str())))
            .collect()
    }

    #[test]
    fn a_summary_that_fits_is_whole() {
        let whole = Value::Object(summary()).to_string();
        assert_eq!(fitting(summary(), whole.len()), (whole.clone(), Vec::new()));
        assert_eq!(fitting(summary(), whole.len() - 1).1, ["big"]);
    }

    #[test]
    fn the_largest_values_are_left_out_until_it_fits() {
        let (text, left_out) = fitting(summary(), 40);
        assert_eq!(text, r#"{"a":"xxx","b":"xxxxx"}"#);
        assert_eq!(left_out, ["big", "large"]);
        assert_eq!(fitting(summary(), 2).0, "{}");
    }
}
