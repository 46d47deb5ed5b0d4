//! What a run has at a step: the lines, what is known of their keys, and the summary; where a fork or a rewound run begins.
//!
//! All rows up to the step are read, column by column. That happens before anything is written and needs no lock: lines do not change.

use std::collections::HashMap;

use runlane_history::{Chunk, Column, KeyTable};
use runlane_model::json::{Value, parse_object};
use runlane_model::metric::MetricTable;
use runlane_model::row::{self, Items, KeyId};
use runlane_model::summary::Summary;

use super::columns::{blocking, damaged, kept_rows, length_of, row_or_nothing};
use super::lineage::{self, Bounds, Source};
use super::lines;
use super::reader::{self, Place};
use crate::error::StoreError;
use crate::store::lineage::NewSegment;
use crate::store::runs::RunRow;
use crate::store::streams::StreamKind;
use crate::store::{Connection, Store, chunks};

/// Who logged a row is no result of the run.
const WRITER: [&str; 2] = ["_label", "_rank"];

/// The beginning of a run.
#[derive(Debug)]
pub(crate) struct Branch {
    /// Its rows.
    pub(crate) segments: Vec<NewSegment>,
    pub(crate) row_count: i64,
    pub(crate) last_step: Option<i64>,
    /// The largest step that the run has.
    pub(crate) reached: Option<i64>,
    /// The summary that follows from the rows, as JSON.
    pub(crate) summary: String,
}

/// What `run` has at `step`. The summary follows the metric definitions in the run's config.
pub(crate) async fn at(store: &Store, run: &RunRow, step: i64) -> Result<Branch, StoreError> {
    let mut reader = store.snapshot().await?;
    let sources = lineage::sources(&mut reader, run.id, StreamKind::History).await?;
    let mut whole = Totals::new(metrics_of(run));
    let mut segments = Vec::new();
    let mut row_count = 0;
    for source in &sources {
        let bounds = source.bounds.up_to(step);
        let source = Source {
            bounds,
            ..source.clone()
        };
        let (part, totals) = scan(store, &mut reader, &source, whole).await?;
        whole = totals;
        if part.row_count == 0 {
            continue;
        }
        row_count += part.row_count;
        segments.push(part.into_segment(&source));
    }
    let reached = if whole.last_step == Some(step) {
        whole.last_step
    } else {
        reached(store, &mut reader, &sources).await?
    };
    Ok(Branch {
        segments,
        row_count,
        last_step: whole.last_step,
        reached,
        summary: whole.summary_text(),
    })
}

/// The largest step of all rows of `sources`.
async fn reached(
    store: &Store,
    reader: &mut Connection,
    sources: &[Source],
) -> Result<Option<i64>, StoreError> {
    let mut reached = None;
    for source in sources {
        let spans = reader::spans_of(reader, 0, source.stream.id, source.bounds).await?;
        for (index, span) in spans.iter().enumerate() {
            // Of the last place some lines may not count, which its steps do not tell.
            let steps = span
                .steps
                .filter(|_| !source.inherited || index + 1 < spans.len());
            let last = if let Some((_, max)) = steps {
                span.bounds.max_step.map_or(max, |bound| bound.min(max))
            } else {
                let rows = reader::read_numbered(store, reader, span, |_| true).await?;
                let steps = rows.iter().map(|(_, row)| row.step);
                steps.max().unwrap_or(i64::MIN)
            };
            reached = reached.max(Some(last));
        }
    }
    Ok(reached)
}

fn metrics_of(run: &RunRow) -> MetricTable {
    let config = parse_object(&run.config).unwrap_or_default();
    let list = config
        .get("_wandb")
        .and_then(|entry| entry.get("value")?.get("m"));
    list.map(MetricTable::from_config).unwrap_or_default()
}

/// The rows of one source that count.
#[derive(Default)]
struct Part {
    row_count: i64,
    /// One past the last row that counts.
    end_line: i64,
    keys: KeyTable,
}

impl Part {
    fn into_segment(self, source: &Source) -> NewSegment {
        // Mostly the steps ascend: then the end says it all, and readers need not look at steps.
        let is_everything = self.end_line - source.stream.first_line == self.row_count;
        NewSegment {
            stream_id: source.stream.id,
            line_count: self.end_line,
            max_step: source.bounds.max_step.filter(|_| !is_everything),
            row_count: self.row_count,
            key_table: self.keys.to_json(),
        }
    }
}

/// What follows from the rows of all sources.
struct Totals {
    keys: row::KeyTable,
    metrics: MetricTable,
    summary: Summary,
    /// Steps of the last values: rows of several writers need not come by step.
    seen: HashMap<KeyId, i64>,
    last_step: Option<i64>,
}

async fn scan(
    store: &Store,
    reader: &mut Connection,
    source: &Source,
    mut totals: Totals,
) -> Result<(Part, Totals), StoreError> {
    let mut part = Part::default();
    for span in reader::spans_of(reader, 0, source.stream.id, source.bounds).await? {
        let (start, bounds) = (span.start_line, span.bounds);
        let place = match span.place {
            Place::Chunk(id) => Bytes::Lines(chunks::lines(reader, id).await?.unwrap_or_default()),
            Place::Object(object) => Bytes::Parquet(store.objects.get(&object.object_key).await?),
        };
        (part, totals) = blocking(move || {
            let chunk = place.decode(start)?;
            part.add(&chunk, start, bounds, &mut totals)?;
            Ok((part, totals))
        })
        .await?;
    }
    Ok((part, totals))
}

enum Bytes {
    Lines(Vec<u8>),
    Parquet(bytes::Bytes),
}

impl Bytes {
    fn decode(self, start_line: i64) -> Result<Chunk, StoreError> {
        match self {
            Self::Lines(blob) => {
                let texts = lines::decode(&blob)?;
                let texts: Vec<&str> = texts.into_iter().map(row_or_nothing).collect();
                let first = u64::try_from(start_line).unwrap_or(0);
                Chunk::from_lines(first, &texts).map_err(damaged)
            }
            Self::Parquet(bytes) => Chunk::from_parquet(bytes, None).map_err(damaged),
        }
    }
}

impl Part {
    fn add(
        &mut self,
        chunk: &Chunk,
        start: i64,
        bounds: Bounds,
        totals: &mut Totals,
    ) -> Result<(), StoreError> {
        let steps: Vec<i64> = (start..)
            .zip(chunk.steps())
            .map(|(line, step)| step.unwrap_or(line))
            .collect();
        let Some(kept) = kept_rows(chunk, start, bounds) else {
            self.end_line = start + length_of(chunk);
            self.take(chunk, &steps, totals);
            return Ok(());
        };
        let rows: Vec<usize> = (0..chunk.len()).filter(|row| kept[*row]).collect();
        let Some(last) = rows.last() else {
            return Ok(());
        };
        self.end_line = start + i64::try_from(*last).unwrap_or(0) + 1;
        let texts: Vec<String> = rows.iter().map(|row| chunk.line(*row)).collect();
        // Rows without a step have their line's number, which is lost in the copy.
        let steps: Vec<i64> = rows.iter().map(|row| steps[*row]).collect();
        let chunk = Chunk::from_lines(chunk.first_line(), &texts).map_err(damaged)?;
        self.take(&chunk, &steps, totals);
        Ok(())
    }

    fn take(&mut self, chunk: &Chunk, steps: &[i64], totals: &mut Totals) {
        self.row_count += length_of(chunk);
        self.keys.add_chunk(chunk);
        totals.add(chunk, steps);
    }
}

impl Totals {
    fn new(metrics: MetricTable) -> Self {
        Self {
            keys: row::KeyTable::default(),
            metrics,
            summary: Summary::default(),
            seen: HashMap::new(),
            last_step: None,
        }
    }

    fn add(&mut self, chunk: &Chunk, steps: &[i64]) {
        self.last_step = self.last_step.max(steps.iter().copied().max());
        let mut due: Vec<(usize, KeyId, Value)> = Vec::new();
        for column in chunk.columns() {
            if WRITER.contains(&column.name()) {
                continue;
            }
            let kept = self
                .metrics
                .resolve(column.name())
                .map(|definition| definition.aggregations)
                .unwrap_or_default();
            if kept.none {
                continue;
            }
            let key = self.keys.intern(column.path());
            if kept.any() {
                let values = (0..chunk.len()).filter_map(|row| Some((row, value_in(column, row)?)));
                due.extend(values.map(|(row, value)| (row, key, value)));
                continue;
            }
            // Of a plain value only the last one counts.
            let last = (0..chunk.len())
                .rev()
                .find_map(|row| Some((row, value_in(column, row)?)));
            let Some((row, value)) = last else { continue };
            let step = steps.get(row).copied().unwrap_or(i64::MIN);
            let before = self.seen.entry(key).or_insert(step);
            if *before <= step {
                *before = step;
                due.push((row, key, value));
            }
        }
        // A value replaces what stands above or below it, so the order matters.
        due.sort_by_key(|(row, _, _)| *row);
        for (_, key, value) in due {
            let items: Items = vec![(key, value)];
            self.summary
                .observe_items(&self.keys, &self.metrics, &items);
        }
    }

    fn summary_text(mut self) -> String {
        Value::Object(self.summary.to_object(&self.keys, &self.metrics)).to_string()
    }
}

fn value_in(column: &Column, row: usize) -> Option<Value> {
    column.value(row).filter(|value| *value != Value::Null)
}

#[cfg(test)]
mod tests {
    use runlane_model::json::parse;

    use super::*;

    #[test]
    fn summaries_follow_from_the_rows() {
        let definitions = r#"[{"1":"loss","6":[3],"7":[1,3]},{"1":"quiet","6":[3],"7":[6]}]"#;
        let metrics = MetricTable::from_config(&parse(definitions).expect("valid"));
        let mut totals = Totals::new(metrics);
        let mut part = Part::default();
        let rows = [
            r#"{"_step":0,"loss":4,"a":1,"deep":{"x":1},"_label":"r"}"#,
            r#"{"_step":1,"loss":2,"a":null,"quiet":1,"deep":7}"#,
            r#"{"_step":5,"loss":9,"deep":{"x":3},"img":{"_type":"image-file","path":"p"}}"#,
        ];
        let bounds = Bounds {
            end_line: 3,
            max_step: Some(5),
        };
        let chunk = Chunk::from_lines(0, &rows).expect("rows");
        part.add(&chunk, 0, bounds, &mut totals).expect("added");
        assert_eq!(
            (part.row_count, part.end_line, totals.last_step),
            (3, 3, Some(5))
        );
        assert_eq!(
            totals.summary_text(),
            r#"{"_step":5,"loss":{"min":2,"mean":5},"a":1,"deep":{"x":3},"img":{"_type":"image-file","path":"p"}}"#
        );
    }

    #[test]
    fn of_several_writers_the_value_of_the_largest_step_counts() {
        let mut totals = Totals::new(MetricTable::default());
        let mut part = Part::default();
        let all = Bounds {
            end_line: 9,
            max_step: Some(3),
        };
        for lines in [
            [r#"{"_step":2,"a":"new"}"#, r#"{"_step":4,"a":"late"}"#],
            [r#"{"_step":1,"a":"old"}"#, r#"{"_step":1,"b":1}"#],
        ] {
            let chunk = Chunk::from_lines(0, &lines).expect("rows");
            part.add(&chunk, 0, all, &mut totals).expect("added");
        }
        assert_eq!(part.row_count, 3);
        assert_eq!(totals.summary_text(), r#"{"_step":2,"a":"new","b":1}"#);
    }
}
