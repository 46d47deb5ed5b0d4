//! How many distinct keys one run may log (`reference/reliability.md` §7.1): a warning on the way, then no new ones.

use runlane_model::key_path::KeyPath;
use runlane_model::limits;
use runlane_model::row::KeyTable;

/// Keys in the table that the user did not log.
const INTERNAL: [&str; 5] = ["_step", "_runtime", "_timestamp", "_label", "_rank"];

/// Admits new keys of one run up to its limit, and counts what is refused beyond.
#[derive(Debug, Clone)]
pub(crate) struct KeyBudget {
    warn_at: usize,
    most: usize,
    warned: bool,
    refused: u64,
    remarks: Vec<String>,
}

impl Default for KeyBudget {
    fn default() -> Self {
        Self::new(limits::KEYS_WARNING, limits::KEYS_PER_RUN)
    }
}

impl KeyBudget {
    /// Warns with the key that is number `warn_at`; the key behind number `most` is the first refused one.
    pub(crate) fn new(warn_at: usize, most: usize) -> Self {
        Self {
            warn_at,
            most,
            warned: false,
            refused: 0,
            remarks: Vec::new(),
        }
    }

    /// Whether the value of `path`, a key that is not in the table yet, may enter; counts it if not.
    pub(crate) fn admit(&mut self, path: &KeyPath, keys: &KeyTable) -> bool {
        // Most runs never come near: no look-ups for them.
        if keys.len() + 1 < self.warn_at.min(self.most) {
            return true;
        }
        if matches!(path.components(), [only] if INTERNAL.contains(&only.as_str())) {
            return true;
        }
        let count = logged(keys);
        if count >= self.most {
            self.refused += 1;
            if self.refused == 1 {
                let shown: String = path.to_string().chars().take(80).collect();
                self.remarks.push(format!(
                    "the run has {} distinct keys, which is the limit: values of new keys are left out from now on, the first \
                     is `{shown}`\nhint: log what varies as a value, not as part of a key",
                    self.most
                ));
            }
            return false;
        }
        if count + 1 >= self.warn_at && !self.warned {
            self.warned = true;
            self.remarks.push(format!(
                "the run has {} distinct keys; new ones are left out beyond {}\nhint: log what varies as a value, not as part \
                 of a key",
                self.warn_at, self.most
            ));
        }
        true
    }

    /// Takes note of keys that an earlier process admitted: it has warned of them.
    pub(crate) fn taken_up(&mut self, keys: &KeyTable) {
        self.warned |= keys.len() >= self.warn_at && logged(keys) >= self.warn_at;
    }

    /// Values refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// What the user should be told since the last call.
    pub(crate) fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }
}

/// Keys that the user logged.
fn logged(keys: &KeyTable) -> usize {
    let internal = INTERNAL
        .iter()
        .filter(|key| keys.get(&KeyPath::flat(**key)).is_some());
    keys.len() - internal.count()
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use runlane_proto::wandb_internal as pb;
    use runlane_proto::wandb_internal::history_item::Value as Typed;
    use runlane_proto::wandb_internal::record::RecordType;

    use super::super::encode::Mark;
    use super::super::state::{RunState, StateSettings};
    use super::*;

    struct Log {
        state: RunState,
        seq: u64,
    }

    impl Log {
        fn with(budget: KeyBudget) -> Self {
            let settings = StateSettings {
                key_budget: budget,
                ..StateSettings::default()
            };
            Self {
                state: RunState::new(pb::RunRecord::default(), settings),
                seq: 0,
            }
        }

        /// Logs a row with these keys, as a client does; returns what the user is told.
        fn row(&mut self, keys: &[&str]) -> Vec<String> {
            let item = keys
                .iter()
                .chain(&["_timestamp"])
                .map(|key| pb::HistoryItem {
                    key: (*key).to_owned(),
                    value: Some(Typed::Integer(1)),
                    ..Default::default()
                })
                .collect();
            let call = pb::PartialHistoryRequest {
                item,
                ..Default::default()
            };
            let mut entry = Vec::new();
            crate::wire::put_bytes(&mut entry, 1, &call.encode_to_vec());
            self.seq += 1;
            let mark = Mark {
                writer: 7,
                seq: self.seq,
            };
            self.state.apply_entry(mark, &entry, 0.0).expect("valid");
            self.told()
        }

        fn told(&mut self) -> Vec<String> {
            let remarks = std::mem::take(&mut self.state.remarks);
            remarks.into_iter().map(|remark| remark.text).collect()
        }

        /// The user's keys of every row that goes to the log.
        fn rows(&self) -> Vec<Vec<String>> {
            let records = self.state.batch.iter();
            records
                .filter_map(
                    |record| match pb::Record::decode(record).expect("valid").record_type {
                        Some(RecordType::History(history)) => Some(history),
                        _ => None,
                    },
                )
                .map(|history| {
                    let keys = history.item.iter().map(|item| item.nested_key.join("."));
                    keys.filter(|key| !INTERNAL.contains(&key.as_str()))
                        .collect()
                })
                .collect()
        }
    }

    #[test]
    fn new_keys_beyond_the_limit_are_refused_and_the_rest_of_the_row_kept() {
        let mut log = Log::with(KeyBudget::new(3, 5));
        assert_eq!(log.row(&["a", "b"]), Vec::<String>::new());
        let told = log.row(&["a", "c", "d"]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("the run has 3 distinct keys; "),
            "{told:?}"
        );
        let told = log.row(&["e", "f", "a", "g"]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("the first is `f`\nhint: "), "{told:?}");
        assert_eq!(log.row(&["h", "e"]), Vec::<String>::new());
        assert_eq!(
            log.rows(),
            [
                vec!["a", "b"],
                vec!["a", "c", "d"],
                vec!["e", "a"],
                vec!["e"]
            ]
        );
        log.state.write_exit(pb::RunExitRecord::default(), 1.0);
        assert_eq!(
            log.told(),
            ["3 values of new keys beyond the limit of a run were left out"]
        );
    }

    #[test]
    fn the_limits_of_a_run_are_the_documented_ones() {
        let mut log = Log::with(KeyBudget::default());
        let keys: Vec<String> = (0..100_001).map(|number| format!("k{number}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(log.row(&keys[..9_999]).len(), 0);
        assert_eq!(log.row(&keys[9_999..10_000]).len(), 1);
        assert_eq!(log.row(&keys[10_000..100_000]).len(), 0);
        assert_eq!(log.row(&keys[99_999..]).len(), 1);
        assert_eq!(log.rows()[3], ["k99999"]);
    }

    #[test]
    fn a_restarted_daemon_does_not_warn_again() {
        let mut first = Log::with(KeyBudget::new(2, 9));
        assert_eq!(first.row(&["a", "b"]).len(), 1);
        let mut second = Log::with(KeyBudget::new(2, 9));
        for record in first.state.batch.iter() {
            second
                .state
                .replay(&pb::Record::decode(record).expect("valid"));
        }
        second.seq = first.seq;
        assert_eq!(second.row(&["c"]), Vec::<String>::new());
    }
}
