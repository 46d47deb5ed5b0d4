//! Names for runs that have none: two words and the run's number in its project, as `quiet-harbor-12`.

const FIRST: [&str; 64] = [
    "amber", "ancient", "autumn", "azure", "bold", "brisk", "bright", "calm", "clear", "cobalt",
    "cool", "coral", "crisp", "curious", "dawn", "deep", "distant", "dusky", "early", "eager",
    "fair", "fleet", "frosty", "gentle", "gilded", "glowing", "golden", "grand", "green", "hidden",
    "high", "honest", "humble", "ivory", "jolly", "keen", "kind", "lively", "lucid", "lunar",
    "mellow", "misty", "noble", "northern", "olive", "patient", "plain", "proud", "quiet", "rapid",
    "ruby", "silent", "silver", "smooth", "solar", "steady", "still", "sunny", "swift", "tidal",
    "vivid", "warm", "wild", "wise",
];

const SECOND: [&str; 64] = [
    "anchor", "arrow", "aspen", "beacon", "birch", "bridge", "brook", "canyon", "cedar", "cliff",
    "cloud", "comet", "cove", "creek", "delta", "dune", "ember", "falcon", "feather", "fern",
    "field", "fjord", "forest", "garden", "glacier", "grove", "harbor", "haze", "heron", "hill",
    "horizon", "island", "lagoon", "lake", "lantern", "leaf", "maple", "meadow", "meteor", "moon",
    "moss", "mountain", "oak", "ocean", "orbit", "otter", "pebble", "pine", "plateau", "pond",
    "prairie", "ridge", "river", "shore", "sky", "sparrow", "spring", "star", "stone", "stream",
    "summit", "valley", "wave", "willow",
];

/// The name that `random` picks for run number `number` of a project.
pub fn display_name(random: u64, number: u64) -> String {
    let first = FIRST[(random & 63) as usize];
    let second = SECOND[(random >> 6 & 63) as usize];
    format!("{first}-{second}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_two_words_and_the_number() {
        assert_eq!(display_name(0, 7), "amber-anchor-7");
        assert_eq!(display_name(u64::MAX, 1), "wise-willow-1");
    }
}
