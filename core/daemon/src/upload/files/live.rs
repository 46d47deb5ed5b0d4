//! Live files: which of them have changed. Results of `stat` and times go in, names to upload come out; nothing here
//! touches a file or a clock.
//!
//! A file is due again when its stat differs from the one that it had when it was last read for an upload. Looking costs one
//! `stat` a file, [`LOOK`] of them at most every [`INTERVAL`], so that runs with many live files cost no more than runs with some;
//! where a `stat` is slow (a busy network file system) looks are spaced so that they take a hundredth of the time.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Files in one look; more take turns.
const LOOK: usize = 1_000;
/// Looking takes at most one in so many parts of the time.
const LOOKING_SHARE: u32 = 100;
/// A file that is written to all the time is sent in at most one in so many parts of the time …
const SENDING_SHARE: u32 = 5;
/// … but at least this often.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// What `stat` tells of a file's content: it changes with every write that a clock tick separates from the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    modified_nanos: i128,
    bytes: u64,
    inode: u64,
}

impl Fingerprint {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            modified_nanos: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
            bytes: metadata.size(),
            inode: metadata.ino(),
        }
    }
}

/// The live files of a run.
#[derive(Debug, Default)]
pub(crate) struct LiveFiles {
    files: BTreeMap<Arc<str>, Known>,
    /// The file behind which the next look begins.
    behind: Option<Arc<str>>,
    due: Option<Instant>,
    is_looking: bool,
}

#[derive(Debug, Default)]
struct Known {
    /// When it was read last for an upload.
    read: Option<Fingerprint>,
    /// An upload of this state is asked for.
    asked: Option<Fingerprint>,
    rests_until: Option<Instant>,
}

impl LiveFiles {
    /// Follows a file from its next upload on.
    pub(crate) fn add(&mut self, name: &str) {
        if !self.files.contains_key(name) {
            self.files.insert(name.into(), Known::default());
        }
    }

    /// No file changes any more that counts.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// When to look next; none while a look is under way, or with nothing to look at.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        let looks = !self.is_looking && !self.files.is_empty();
        looks.then(|| *self.due.get_or_insert(now + INTERVAL))
    }

    /// The files of a look that is due.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Arc<str>> {
        if self.due(now).is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.is_looking = true;
        let start = self.behind.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut names = self.names_from(start);
        if names.is_empty() {
            names = self.names_from(Bound::Unbounded);
        }
        if names.len() == LOOK {
            self.behind = names.last().cloned();
        }
        names
    }

    fn names_from(&self, start: Bound<Arc<str>>) -> Vec<Arc<str>> {
        let range = self.files.range::<Arc<str>, _>((start, Bound::Unbounded));
        range.map(|(name, _)| Arc::clone(name)).take(LOOK).collect()
    }

    /// Takes in a look that took so long; returns the files that have changed. A file that is not there has no fingerprint:
    /// whatever takes its place is a change.
    pub(crate) fn looked(
        &mut self,
        now: Instant,
        took: Duration,
        found: &[(Arc<str>, Option<Fingerprint>)],
    ) -> Vec<String> {
        self.is_looking = false;
        self.due = Some(now + INTERVAL.max(took * LOOKING_SHARE));
        let mut changed = Vec::new();
        for (name, fingerprint) in found {
            let Some(known) = self.files.get_mut(name) else {
                continue;
            };
            let differs =
                fingerprint.is_some() && *fingerprint != known.read && *fingerprint != known.asked;
            // Until it was read once, its first upload is still to come.
            if differs && known.read.is_some() && known.rests_until.is_none_or(|until| until <= now)
            {
                known.asked = *fingerprint;
                changed.push(name.to_string());
            }
        }
        changed
    }

    /// An upload, which took so long, has read the file when it was in this state.
    pub(crate) fn was_read(
        &mut self,
        now: Instant,
        name: &str,
        fingerprint: Fingerprint,
        took: Duration,
    ) {
        if let Some(known) = self.files.get_mut(name) {
            known.read = Some(fingerprint);
            if known.asked == Some(fingerprint) {
                known.asked = None;
            }
            known.rests_until = Some(now + (took * (SENDING_SHARE - 1)).min(LONGEST_REST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(version: u64) -> Fingerprint {
        Fingerprint {
            modified_nanos: i128::from(version),
            bytes: 10,
            inode: 1,
        }
    }

    /// One look at files that are all in the same state.
    fn look(
        live: &mut LiveFiles,
        now: &mut Instant,
        found: Option<Fingerprint>,
    ) -> (usize, Vec<String>) {
        *now = live.due(*now).expect("something to look at").max(*now);
        let names = live.take(*now);
        assert!(
            live.due(*now).is_none(),
            "no second look beside the first one"
        );
        let found: Vec<_> = names.into_iter().map(|name| (name, found)).collect();
        let changed = live.looked(*now, Duration::ZERO, &found);
        (found.len(), changed)
    }

    #[test]
    fn a_change_is_asked_for_once_and_again_when_it_changes_meanwhile() {
        let (mut live, mut now) = (LiveFiles::default(), Instant::now());
        assert_eq!(live.due(now), None);
        live.add("a");
        assert_eq!(look(&mut live, &mut now, Some(state(1))).1, [""; 0]);
        live.was_read(now, "a", state(1), Duration::ZERO);
        assert_eq!(look(&mut live, &mut now, Some(state(1))).1, [""; 0]);
        assert_eq!(look(&mut live, &mut now, Some(state(2))).1, ["a"]);
        assert_eq!(look(&mut live, &mut now, Some(state(2))).1, [""; 0]);
        assert_eq!(look(&mut live, &mut now, Some(state(3))).1, ["a"]);
        // The upload that was under way had read it before the last change.
        live.was_read(now, "a", state(2), Duration::ZERO);
        assert_eq!(look(&mut live, &mut now, Some(state(3))).1, [""; 0]);
        live.was_read(now, "a", state(3), Duration::ZERO);
        assert_eq!(look(&mut live, &mut now, Some(state(3))).1, [""; 0]);
    }

    #[test]
    fn a_file_that_vanishes_and_comes_back_changed_is_a_change() {
        let (mut live, mut now) = (LiveFiles::default(), Instant::now());
        live.add("a");
        live.was_read(now, "a", state(1), Duration::ZERO);
        assert_eq!(look(&mut live, &mut now, None).1, [""; 0]);
        assert_eq!(look(&mut live, &mut now, Some(state(1))).1, [""; 0]);
        assert_eq!(look(&mut live, &mut now, Some(state(2))).1, ["a"]);
    }

    #[test]
    fn a_file_that_always_changes_is_sent_in_a_fifth_of_the_time() {
        let (mut live, mut now) = (LiveFiles::default(), Instant::now());
        live.add("a");
        live.was_read(now, "a", state(0), Duration::from_secs(2));
        let start = now;
        let mut version = 0;
        loop {
            version += 1;
            if !look(&mut live, &mut now, Some(state(version))).1.is_empty() {
                break;
            }
        }
        let waited = now - start;
        assert!(
            waited >= Duration::from_secs(8) && waited < Duration::from_secs(9),
            "{waited:?}"
        );
        // Hours of uploading still leave it looked at every minute.
        live.was_read(now, "a", state(version), Duration::from_hours(2));
        now += LONGEST_REST;
        assert_eq!(look(&mut live, &mut now, Some(state(0))).1, ["a"]);
    }

    #[test]
    fn a_full_look_that_was_the_last_one_is_followed_by_the_first() {
        let (mut live, mut now) = (LiveFiles::default(), Instant::now());
        for number in 0..LOOK {
            live.add(&format!("{number:05}"));
        }
        for _turn in 0..3 {
            assert_eq!(look(&mut live, &mut now, Some(state(1))).0, LOOK);
        }
    }

    #[test]
    fn many_files_take_turns_and_slow_ones_are_looked_at_less_often() {
        let (mut live, mut now) = (LiveFiles::default(), Instant::now());
        for number in 0..2_500 {
            let name = format!("{number:05}");
            live.add(&name);
            live.was_read(now, &name, state(1), Duration::ZERO);
        }
        let mut seen = Vec::new();
        for expected in [1_000, 1_000, 500, 1_000] {
            let (count, mut changed) = look(&mut live, &mut now, Some(state(2)));
            assert_eq!(count, expected);
            seen.append(&mut changed);
        }
        seen.dedup();
        assert_eq!(seen.len(), 2_500);
        now = live.due(now).expect("due");
        let names = live.take(now);
        let found: Vec<_> = names.into_iter().map(|name| (name, None)).collect();
        live.looked(now, Duration::from_millis(80), &found);
        assert_eq!(live.due(now), Some(now + Duration::from_secs(8)));
        live.clear();
        assert_eq!(live.due(now), None);
    }
}
