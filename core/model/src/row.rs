//! Merging `log()` calls into history rows (`reference/wandb/records.md` §2.6).
//!
//! Keys are interned: everything behind the first sight of a key works on small numbers.

mod open;

use std::collections::HashMap;

use indexmap::IndexMap;
use thiserror::Error;

use crate::json::Value;
use crate::key_path::KeyPath;

pub use self::open::{Committed, OpenRows};

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
