//! Things kept within a bound in bytes, the least recently used going first.

use std::collections::BTreeMap;

struct Entry<V> {
    kept: V,
    bytes: usize,
    used: u64,
}

/// What is kept; values are cheap to clone.
pub(super) struct Recent<K, V> {
    map: BTreeMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
    bytes: usize,
    clock: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self {
            map: BTreeMap::new(),
            by_use: BTreeMap::new(),
            bytes: 0,
            clock: 0,
        }
    }
}

impl<K: Clone + Ord, V: Clone> Recent<K, V> {
    /// What is kept under `key`, which counts as a use of it.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let entry = self.map.get_mut(key)?;
        self.by_use.remove(&entry.used);
        entry.used = self.clock;
        self.by_use.insert(self.clock, key.clone());
        Some(entry.kept.clone())
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(entry) = self.map.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }

    /// Keeps `kept` of `bytes` in place of what was under `key`; nothing at all if it alone is beyond the limit.
    pub(super) fn insert(&mut self, key: K, kept: V, bytes: usize, limit_bytes: usize) {
        self.remove(&key);
        if bytes > limit_bytes {
            return;
        }
        self.clock += 1;
        let used = self.clock;
        self.by_use.insert(used, key.clone());
        self.map.insert(key, Entry { kept, bytes, used });
        self.bytes += bytes;
        while self.bytes > limit_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            if let Some(entry) = self.map.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_what_is_too_large_is_not_kept() {
        let mut recent = Recent::default();
        recent.insert("a", 1, 4, 10);
        recent.insert("b", 2, 4, 10);
        assert_eq!(recent.get(&"a"), Some(1));
        recent.insert("c", 3, 4, 10);
        assert_eq!(
            ["a", "b", "c"].map(|key| recent.get(&key)),
            [Some(1), None, Some(3)]
        );
        recent.insert("c", 4, 11, 10);
        assert_eq!((recent.get(&"c"), recent.bytes), (None, 4));
        recent.remove(&"a");
        assert_eq!((recent.bytes, recent.by_use.len()), (0, 0));
    }
}
