//! A small picture of each metric for the closing block's sparklines, kept while rows go by.
//!
//! Of each metric every n-th number is kept. When twice the wanted number has come together, every other one is dropped
//! and n doubles: memory is bounded whatever the length of the run, and the samples stay evenly spread.

use runlane_model::row::{KeyTable, Row};
use runlane_proto::wandb_internal as pb;

/// Numbers kept per metric; between half of it and all of it are there.
const KEPT: usize = 80;
/// Metrics that are sampled; a closing block shows ten.
const METRICS: usize = 1_000;

#[derive(Debug, Clone, Default)]
struct Series {
    values: Vec<f32>,
    /// One number of `1 << shift` is kept.
    shift: u32,
    seen: u64,
    last: f32,
}

/// The samples of one run.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    by_key: Vec<Series>,
}

impl Samples {
    /// Takes in a committed row.
    pub(crate) fn observe(&mut self, row: &Row) {
        for (id, value) in &row.items {
            let Some(number) = value.as_f64() else {
                continue;
            };
            let index = id.index();
            if index >= METRICS {
                continue;
            }
            if self.by_key.len() <= index {
                self.by_key.resize(index + 1, Series::default());
            }
            #[expect(clippy::cast_possible_truncation, reason = "a sparkline needs no more")]
            self.by_key[index].add(number as f32);
        }
    }

    /// At most `limit` samples of each metric; keys that begin with `_` are left out.
    pub(crate) fn items(&self, keys: &KeyTable, limit: usize) -> Vec<pb::SampledHistoryItem> {
        let series = keys.paths().zip(&self.by_key);
        let shown = series.filter(|(path, series)| {
            !series.values.is_empty() && !path.components()[0].starts_with('_')
        });
        shown
            .map(|(path, series)| pb::SampledHistoryItem {
                key: String::new(),
                nested_key: path.components().to_vec(),
                values_float: series.at_most(limit),
                values_int: Vec::new(),
            })
            .collect()
    }
}

impl Series {
    fn add(&mut self, value: f32) {
        self.last = value;
        if self.seen & ((1 << self.shift) - 1) == 0 {
            self.values.push(value);
            if self.values.len() >= KEPT {
                let mut index = 0;
                self.values.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.shift = (self.shift + 1).min(62);
            }
        }
        self.seen += 1;
    }

    /// Evenly spread, the last value always among them.
    fn at_most(&self, limit: usize) -> Vec<f32> {
        let count = self.values.len();
        if limit == 0 {
            return Vec::new();
        }
        let mut picked: Vec<f32> = if count <= limit {
            self.values.clone()
        } else {
            (0..limit)
                .map(|index| self.values[index * (count - 1) / limit.saturating_sub(1).max(1)])
                .collect()
        };
        if let Some(end) = picked.last_mut()
            && count >= limit.min(2)
            && self.seen > 1
        {
            *end = self.last;
        }
        picked
    }
}

#[cfg(test)]
mod tests {
    use runlane_model::json::Value;
    use runlane_model::key_path::KeyPath;

    use super::*;

    #[test]
    fn samples_are_few_even_and_end_with_the_last_value() {
        let mut keys = KeyTable::default();
        let id = keys.intern(&KeyPath::flat("loss"));
        let hidden = keys.intern(&KeyPath::flat("_runtime"));
        let mut samples = Samples::default();
        for step in 0..100_000i32 {
            let items = vec![(id, Value::Float(f64::from(step))), (hidden, Value::Int(1))];
            samples.observe(&Row { step: 0, items });
        }
        let items = samples.items(&keys, 40);
        assert_eq!(items.len(), 1);
        let values = &items[0].values_float;
        assert_eq!((values.len(), values[0], values[39]), (40, 0.0, 99_999.0));
        let gaps: Vec<f32> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            gaps.iter().all(|gap| *gap > 0.0 && *gap < 8_000.0),
            "{gaps:?}"
        );
    }

    #[test]
    fn short_series_are_whole() {
        let mut keys = KeyTable::default();
        let id = keys.intern(&KeyPath::flat("x"));
        let mut samples = Samples::default();
        for value in [1, 2, 3] {
            samples.observe(&Row {
                step: 0,
                items: vec![(id, Value::Int(value))],
            });
        }
        assert_eq!(samples.items(&keys, 40)[0].values_float, [1.0, 2.0, 3.0]);
    }
}
