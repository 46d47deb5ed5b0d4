//! Which artifacts of a log are to be saved, and when: those of one name one after another, others side by side.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Artifacts of one run that are saved at a time.
const AT_A_TIME: usize = 4;

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

/// Client ids of artifacts that the run has logged and that are not stored yet.
#[derive(Debug, Clone, Default)]
pub(in crate::upload) struct Coming(Arc<Mutex<BTreeSet<String>>>);

impl Coming {
    /// Whether an artifact is on its way.
    pub(super) fn has(&self, client_id: &str) -> bool {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.contains(client_id)
    }

    fn add(&self, client_id: &str) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.insert(client_id.to_owned());
    }

    fn remove(&self, client_id: &str) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.remove(client_id);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::upload) struct ArtifactPlan {
    waiting: VecDeque<Item>,
    under_way: BTreeSet<String>,
    coming: Coming,
    failed: u64,
}

impl ArtifactPlan {
    /// Takes in a record, in the order of the log.
    pub(in crate::upload) fn add(&mut self, item: Item) {
        self.coming.add(&item.client_id);
        self.waiting.push_back(item);
    }

    /// The next one that may be saved.
    pub(in crate::upload) fn take(&mut self) -> Option<Item> {
        if self.under_way.len() >= AT_A_TIME {
            return None;
        }
        let free = |item: &Item| !self.under_way.contains(&item.name);
        let index = self.waiting.iter().position(free)?;
        let item = self.waiting.remove(index)?;
        self.under_way.insert(item.name.clone());
        Some(item)
    }

    /// One has ended, well or not.
    pub(in crate::upload) fn ended(&mut self, item: &Item, is_stored: bool) {
        self.under_way.remove(&item.name);
        self.coming.remove(&item.client_id);
        self.failed += u64::from(!is_stored);
    }

    /// One is to be begun again, before everything behind it.
    pub(in crate::upload) fn put_back(&mut self, item: Item) {
        self.under_way.remove(&item.name);
        let place = self.waiting.partition_point(|other| other.end < item.end);
        self.waiting.insert(place, item);
    }

    /// What is not stored yet.
    pub(in crate::upload) fn left(&self) -> usize {
        self.waiting.len() + self.under_way.len()
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
        assert!(plan.coming().has("client4") && !plan.coming().has("client9"));
        // Its turn comes again before those behind it.
        plan.put_back(first);
        let again = plan.take().expect("a");
        assert_eq!((again.end, plan.left()), (1, 5));
        plan.ended(&again, false);
        assert_eq!(plan.take().expect("a").end, 2);
        assert_eq!((plan.left(), plan.failed()), (4, 1));
        assert!(!plan.coming().has("client1"));
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
}
