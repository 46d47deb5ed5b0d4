//! Which artifacts of a log are to be saved, and when: those of one name one after another, others side by side.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Artifacts of one run that are saved at a time.
const AT_A_TIME: usize = 4;
/// With those that the others wait for.
const MOST_AT_A_TIME: usize = 256;
const HINT: &str = "\nhint: log an artifact before those that refer to it";

/// An artifact's record in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::upload) struct Item {
    /// Where the record begins and ends.
    pub(in crate::upload) begin: u64,
    pub(in crate::upload) end: u64,
    pub(in crate::upload) name: String,
    pub(in crate::upload) client_id: String,
    /// The step at which it was logged.
    pub(in crate::upload) step: Option<i64>,
}

/// What may become of an artifact that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prospect {
    /// The run has not logged it, or it is stored or given up.
    Unknown,
    /// It is on its way, or will be.
    Coming,
    /// Its turn cannot come while the one that refers to it waits, and why.
    Never(String),
}

/// Artifacts that the run has logged and that are not stored yet, and which of them wait for others.
#[derive(Debug, Clone, Default)]
pub(in crate::upload) struct Coming(Arc<Mutex<Logged>>);

#[derive(Debug, Default)]
struct Logged {
    /// By client id.
    names: BTreeMap<String, String>,
    /// By name, of which there is one at a time.
    under_way: BTreeMap<String, UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    client_id: String,
    /// The client id of an artifact without which it does not go on.
    awaits: Option<String>,
}

impl Coming {
    fn logged(&self) -> MutexGuard<'_, Logged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server does not have the artifact `wanted`, to which `item` refers: what may become of it. While there is hope, `wanted`
    /// has its turn as soon as it can.
    pub(super) fn awaits(&self, item: &Item, wanted: &str) -> Prospect {
        let mut logged = self.logged();
        if wanted == item.client_id || !logged.names.contains_key(wanted) {
            return Prospect::Unknown;
        }
        if let Some(problem) = logged.obstacle(&item.name, wanted) {
            return Prospect::Never(problem);
        }
        if let Some(waiting) = logged.under_way.get_mut(&item.name) {
            waiting.awaits = Some(wanted.to_owned());
        }
        Prospect::Coming
    }

    /// `item` waits no more.
    pub(super) fn found(&self, item: &Item) {
        if let Some(waiting) = self.logged().under_way.get_mut(&item.name) {
            waiting.awaits = None;
        }
    }
}

impl Logged {
    /// Why the turn of `wanted` does not come while the artifact called `name` waits for it.
    fn obstacle(&self, name: &str, wanted: &str) -> Option<String> {
        let mut id = wanted;
        // Each waits for one at most: a way of more steps runs in a circle that this one is not part of.
        for _step in 0..=self.under_way.len() {
            let next = self.names.get(id)?;
            let Some(before) = self.under_way.get(next) else {
                let is_full = self.under_way.len() >= MOST_AT_A_TIME;
                return is_full.then(|| {
                    format!(
                        "{MOST_AT_A_TIME} artifacts wait for ones that were logged after them{HINT}"
                    )
                });
            };
            if before.client_id == id {
                // The server has it in a moment.
                return None;
            }
            if next == name {
                let of = self.names.get(wanted)?.escape_debug();
                return Some(format!(
                    "it refers to a version of `{of}` that was logged later and cannot be stored before it{HINT}"
                ));
            }
            id = before.awaits.as_deref()?;
        }
        None
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::upload) struct ArtifactPlan {
    waiting: VecDeque<Item>,
    coming: Coming,
    failed: u64,
}

impl ArtifactPlan {
    /// Takes in a record, in the order of the log.
    pub(in crate::upload) fn add(&mut self, item: Item) {
        let names = &mut self.coming.logged().names;
        names.insert(item.client_id.clone(), item.name.clone());
        self.waiting.push_back(item);
    }

    /// The next one that may be saved: one that others wait for at once, or what leads to it, another if there is room.
    pub(in crate::upload) fn take(&mut self) -> Option<Item> {
        let mut logged = self.coming.logged();
        let is_free = |name: &String| !logged.under_way.contains_key(name);
        let awaited = logged.under_way.values();
        let awaited = awaited
            .filter_map(|waiting| logged.names.get(waiting.awaits.as_ref()?))
            .filter(|name| is_free(name));
        let first = |name: &String| self.waiting.iter().position(|item| item.name == *name);
        let awaited = awaited.filter_map(first).min();
        let any = || self.waiting.iter().position(|item| is_free(&item.name));
        let index = match awaited {
            Some(index) if logged.under_way.len() < MOST_AT_A_TIME => index,
            _ if logged.under_way.len() < AT_A_TIME => any()?,
            _ => return None,
        };
        let item = self.waiting.remove(index)?;
        let under_way = UnderWay {
            client_id: item.client_id.clone(),
            awaits: None,
        };
        logged.under_way.insert(item.name.clone(), under_way);
        Some(item)
    }

    /// One has ended, well or not.
    pub(in crate::upload) fn ended(&mut self, item: &Item, is_stored: bool) {
        let mut logged = self.coming.logged();
        logged.under_way.remove(&item.name);
        logged.names.remove(&item.client_id);
        self.failed += u64::from(!is_stored);
    }

    /// One is to be begun again, before everything behind it.
    pub(in crate::upload) fn put_back(&mut self, item: Item) {
        self.coming.logged().under_way.remove(&item.name);
        let place = self.waiting.partition_point(|other| other.end < item.end);
        self.waiting.insert(place, item);
    }

    /// What is not stored yet.
    pub(in crate::upload) fn left(&self) -> usize {
        self.waiting.len() + self.coming.logged().under_way.len()
    }

    /// How many will not be stored.
    pub(in crate::upload) fn failed(&self) -> u64 {
        self.failed
    }

    pub(in crate::upload) fn coming(&self) -> Coming {
        self.coming.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(end: u64, name: &str) -> Item {
        Item {
            begin: end - 1,
            end,
            name: name.to_owned(),
            client_id: format!("client{end}"),
            step: None,
        }
    }

    #[test]
    fn those_of_one_name_go_one_after_another_and_others_side_by_side() {
        let mut plan = ArtifactPlan::default();
        for (end, name) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "c")] {
            plan.add(item(end, name));
        }
        let first = plan.take().expect("a");
        let mut ends: Vec<u64> = std::iter::from_fn(|| plan.take())
            .map(|item| item.end)
            .collect();
        ends.insert(0, first.end);
        assert_eq!(ends, [1, 3, 5]);
        let coming = plan.coming();
        let prospect = |wanted: &str| coming.awaits(&first, wanted);
        assert_eq!(prospect("client9"), Prospect::Unknown);
        assert_eq!(prospect("client1"), Prospect::Unknown, "itself");
        assert_eq!(prospect("client3"), Prospect::Coming);
        // Its turn comes again before those behind it.
        plan.put_back(first);
        let again = plan.take().expect("a");
        assert_eq!((again.end, plan.left()), (1, 5));
        plan.ended(&again, false);
        assert_eq!(plan.take().expect("a").end, 2);
        assert_eq!((plan.left(), plan.failed()), (4, 1));
    }

    #[test]
    fn so_many_at_a_time() {
        let mut plan = ArtifactPlan::default();
        for end in 1..=10 {
            plan.add(item(end, &format!("name{end}")));
        }
        let taken: Vec<Item> = std::iter::from_fn(|| plan.take()).collect();
        assert_eq!(taken.len(), AT_A_TIME);
        plan.ended(&taken[2], true);
        assert_eq!(plan.take().map(|item| item.end), Some(5));
    }

    #[test]
    fn one_that_others_wait_for_has_its_turn_though_there_is_no_room() {
        let mut plan = ArtifactPlan::default();
        for end in 1..=6 {
            plan.add(item(end, &format!("name{end}")));
        }
        plan.add(item(7, "name6"));
        let taken: Vec<Item> = std::iter::from_fn(|| plan.take()).collect();
        let coming = plan.coming();
        for waiting in &taken {
            assert_eq!(coming.awaits(waiting, "client7"), Prospect::Coming);
        }
        // The one before it of its name comes first.
        let before = plan.take().expect("room for it");
        assert_eq!((before.end, plan.take()), (6, None));
        plan.ended(&before, true);
        assert_eq!(plan.take().map(|item| item.end), Some(7));
        assert_eq!(plan.take(), None);
        // It is under way: it is there in a moment, also for those that it waits for itself.
        assert_eq!(coming.awaits(&taken[0], "client7"), Prospect::Coming);
        assert_eq!(
            coming.awaits(&item(7, "name6"), "client1"),
            Prospect::Coming
        );
    }

    #[test]
    fn one_that_waits_for_what_comes_after_it_is_told_so() {
        let is_never = |prospect| matches!(prospect, Prospect::Never(_));
        let mut plan = ArtifactPlan::default();
        for (end, name) in [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "c"), (6, "a")] {
            plan.add(item(end, name));
        }
        let taken: Vec<Item> = std::iter::from_fn(|| plan.take()).collect();
        let coming = plan.coming();
        let (a, b, c) = (&taken[0], &taken[1], &taken[2]);
        // A later version of its own name.
        let Prospect::Never(problem) = coming.awaits(a, "client3") else {
            panic!("no end");
        };
        assert!(
            problem.contains("a version of `a` that was logged later"),
            "{problem}"
        );
        // In a circle, and from outside of it.
        assert_eq!(coming.awaits(a, "client4"), Prospect::Coming);
        assert_eq!(coming.awaits(c, "client6"), Prospect::Coming);
        assert!(is_never(coming.awaits(b, "client3")));
        // What is found is not waited for any more.
        coming.found(a);
        assert_eq!(coming.awaits(b, "client3"), Prospect::Coming);
        assert!(is_never(coming.awaits(a, "client4")));
        // With the one that gave up out of the way the other goes on.
        plan.ended(a, false);
        assert_eq!(plan.take().map(|item| item.end), Some(3));
    }
}
