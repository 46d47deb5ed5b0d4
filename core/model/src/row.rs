//! Merging `log()` calls into history rows (`reference/wandb/records.md` §2.6).
//!
//! Keys are interned: everything behind the first sight of a key works on small numbers.

use std::collections::HashMap;

use indexmap::IndexMap;
use thiserror::Error;

use crate::json::Value;
use crate::key_path::KeyPath;

/// A key path's number in a `KeyTable`, dense from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u32);

impl KeyId {
    /// For tables indexed by key.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The key paths seen in one run.
#[derive(Debug, Default)]
pub struct KeyTable {
    ids: HashMap<KeyPath, KeyId>,
    paths: Vec<KeyPath>,
    /// Per key, the keys that cannot stand beside it: its ancestors and descendants. Almost always empty.
    conflicts: Vec<Vec<KeyId>>,
    /// Per proper prefix of a nested key, the keys below it; so that a new key finds its descendants at once.
    below: HashMap<KeyPath, Vec<KeyId>>,
}

impl KeyTable {
    /// The number of `path`, given now if it is new.
    pub fn intern(&mut self, path: &KeyPath) -> KeyId {
        if let Some(id) = self.ids.get(path) {
            return *id;
        }
        let id = KeyId(u32::try_from(self.paths.len()).expect("a run has fewer than 2^32 keys"));
        let mut conflicts = self.below.get(path).cloned().unwrap_or_default();
        let components = path.components();
        for length in 1..components.len() {
            let Some(prefix) = KeyPath::nested(components[..length].to_vec()) else {
                continue;
            };
            conflicts.extend(self.ids.get(&prefix));
            self.below.entry(prefix).or_default().push(id);
        }
        for conflict in &conflicts {
            self.conflicts[conflict.index()].push(id);
        }
        self.ids.insert(path.clone(), id);
        self.paths.push(path.clone());
        self.conflicts.push(conflicts);
        id
    }

    /// The path of a number that this table gave.
    pub fn path(&self, id: KeyId) -> &KeyPath {
        &self.paths[id.index()]
    }

    /// The number of `path`, if it was seen.
    pub fn get(&self, path: &KeyPath) -> Option<KeyId> {
        self.ids.get(path).copied()
    }

    /// The keys that a value at `id` replaces: ancestors and descendants.
    pub fn conflicts(&self, id: KeyId) -> &[KeyId] {
        &self.conflicts[id.index()]
    }

    /// All paths, in the order of their numbers.
    pub fn paths(&self) -> impl Iterator<Item = &KeyPath> {
        self.paths.iter()
    }

    /// The number at a position of `paths`.
    pub fn id_at(&self, index: usize) -> KeyId {
        self.ids[&self.paths[index]]
    }

    /// How many keys were seen.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether none was seen.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// Leaves of one row or call; a later value of a key replaces an earlier one.
pub type Items = Vec<(KeyId, Value)>;

/// One `log()` call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Call {
    /// What was logged, nested objects already expanded.
    pub items: Items,
    /// The explicit step, if one was given.
    pub step: Option<i64>,
    /// The explicit `commit`, if one was given; otherwise a call without a step commits.
    pub commit: Option<bool>,
}

/// A committed row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its step.
    pub step: i64,
    /// Its leaves, without `_step`.
    pub items: Items,
}

/// A call for a step that is closed already; it is dropped.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error(
    "tried to log to step {given} that is less than the current step {current}: steps must be monotonically increasing, \
     so this data is ignored"
)]
pub struct StepBehind {
    /// The step of the call.
    pub given: i64,
    /// The step that is open.
    pub current: i64,
}

/// The open row of a run.
#[derive(Debug, Default)]
pub struct StepMerger {
    step: i64,
    pending: IndexMap<KeyId, Value>,
    open: bool,
    ignore_steps: bool,
}

impl StepMerger {
    /// A run that starts at `starting_step`; in shared mode (`ignore_steps`) explicit steps mean nothing.
    pub fn new(starting_step: i64, ignore_steps: bool) -> Self {
        Self {
            step: starting_step,
            ignore_steps,
            ..Self::default()
        }
    }

    /// The step of the open row, or of the next one.
    pub fn step(&self) -> i64 {
        self.step
    }

    /// Whether a row is open: logged to and not committed.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Applies one call; rows that it commits go to `commit`, in order.
    pub fn apply(
        &mut self,
        keys: &KeyTable,
        call: Call,
        commit: &mut impl FnMut(Row),
    ) -> Result<(), StepBehind> {
        let step = call.step.filter(|_| !self.ignore_steps);
        if let Some(given) = step {
            if given < self.step {
                return Err(StepBehind {
                    given,
                    current: self.step,
                });
            }
            if given > self.step {
                if let Some(row) = self.take() {
                    commit(row);
                }
                self.step = given;
            }
        }
        let commits = call.commit.unwrap_or(step.is_none());
        if commits && !self.open {
            commit(Row {
                step: self.step,
                items: deduplicated(keys, call.items),
            });
            self.step += 1;
            return Ok(());
        }
        self.open = true;
        for (id, value) in call.items {
            merge(keys, &mut self.pending, id, value);
        }
        if commits && let Some(row) = self.take() {
            commit(row);
        }
        Ok(())
    }

    /// Takes the open row, as finishing a run does.
    pub fn take(&mut self) -> Option<Row> {
        if !std::mem::take(&mut self.open) {
            return None;
        }
        let items = std::mem::take(&mut self.pending).into_iter().collect();
        let row = Row {
            step: self.step,
            items,
        };
        self.step += 1;
        Some(row)
    }
}

/// Most calls name each key once and hold no key below another; those pass through untouched.
fn deduplicated(keys: &KeyTable, items: Items) -> Items {
    let conflicting = items.iter().any(|(id, _)| !keys.conflicts(*id).is_empty());
    if !conflicting && !has_duplicates(&items) {
        return items;
    }
    let mut merged = IndexMap::with_capacity(items.len());
    for (id, value) in items {
        merge(keys, &mut merged, id, value);
    }
    merged.into_iter().collect()
}

/// Narrow rows are compared pairwise, wide ones sorted: a row of 10,000 keys must not cost its square.
fn has_duplicates(items: &Items) -> bool {
    const NARROW: usize = 32;
    if items.len() <= NARROW {
        return items
            .iter()
            .enumerate()
            .any(|(index, (id, _))| items[..index].iter().any(|(other, _)| other == id));
    }
    let mut ids: Vec<KeyId> = items.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| pair[0] == pair[1])
}

fn merge(keys: &KeyTable, row: &mut IndexMap<KeyId, Value>, id: KeyId, value: Value) {
    for conflict in keys.conflicts(id) {
        row.shift_remove(conflict);
    }
    row.insert(id, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was logged, the explicit step, the explicit commit.
    type Logged<'a> = (&'a [(&'a str, i64)], Option<i64>, Option<bool>);

    fn logged(calls: &[Logged<'_>]) -> (Vec<String>, Vec<StepBehind>, StepMerger) {
        let mut keys = KeyTable::default();
        let mut merger = StepMerger::new(0, false);
        let (mut rows, mut dropped) = (Vec::new(), Vec::new());
        let mut raw = Vec::new();
        for (items, step, commit) in calls {
            let items = items
                .iter()
                .map(|(key, value)| (keys.intern(&KeyPath::from_dotted(key)), Value::Int(*value)))
                .collect();
            let call = Call {
                items,
                step: *step,
                commit: *commit,
            };
            if let Err(behind) = merger.apply(&keys, call, &mut |row| raw.push(row)) {
                dropped.push(behind);
            }
        }
        for row in raw {
            let items: Vec<String> = row
                .items
                .iter()
                .map(|(id, value)| format!("{}={value}", keys.path(*id)))
                .collect();
            rows.push(format!("{}: {}", row.step, items.join(" ")));
        }
        (rows, dropped, merger)
    }

    #[test]
    fn a_plain_call_is_a_row() {
        let (rows, _, merger) = logged(&[
            (&[("a", 1)], None, None),
            (&[("a", 2)], None, None),
            (&[], None, None),
        ]);
        assert_eq!(rows, ["0: a=1", "1: a=2", "2: "]);
        assert_eq!(merger.step(), 3);
    }

    #[test]
    fn uncommitted_calls_join_the_next_one() {
        let (rows, _, _) = logged(&[
            (&[("a", 1), ("b", 1)], None, Some(false)),
            (&[("a", 2)], None, Some(false)),
            (&[("c", 3)], None, None),
        ]);
        assert_eq!(rows, ["0: a=2 b=1 c=3"]);
    }

    #[test]
    fn an_explicit_step_stays_open_until_a_later_one() {
        let (rows, dropped, mut merger) = logged(&[
            (&[("a", 1)], Some(5), None),
            (&[("b", 2)], Some(5), None),
            (&[("a", 3)], Some(9), None),
            (&[("late", 4)], Some(5), None),
            (&[("y", 5)], None, None),
            (&[("z", 6)], Some(10), Some(true)),
            (&[("z", 7)], Some(10), None),
            (&[("z", 8)], Some(20), None),
        ]);
        assert_eq!(rows, ["5: a=1 b=2", "9: a=3 y=5", "10: z=6"]);
        assert_eq!(
            dropped,
            [
                StepBehind {
                    given: 5,
                    current: 9
                },
                StepBehind {
                    given: 10,
                    current: 11
                }
            ]
        );
        assert!(merger.is_open());
        assert_eq!(merger.take().map(|row| row.step), Some(20));
        assert_eq!(merger.take(), None);
    }

    #[test]
    fn a_leaf_replaces_a_subtree_within_a_row() {
        let (rows, _, _) = logged(&[
            (&[("a.b", 1), ("a.c", 2), ("x", 0)], None, Some(false)),
            (&[("a", 3)], None, Some(false)),
            (&[("x", 4), ("x", 5)], None, None),
        ]);
        assert_eq!(rows, ["0: x=5 a=3"]);
    }

    #[test]
    fn shared_mode_ignores_steps() {
        let keys = KeyTable::default();
        let mut merger = StepMerger::new(0, true);
        let mut steps = Vec::new();
        for step in [7, 3] {
            let call = Call {
                items: Items::new(),
                step: Some(step),
                commit: None,
            };
            assert_eq!(
                merger.apply(&keys, call, &mut |row| steps.push(row.step)),
                Ok(())
            );
        }
        assert_eq!(steps, [0, 1]);
    }
}
