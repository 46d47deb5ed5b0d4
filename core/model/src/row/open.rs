//! The open rows of a run, one for each process that logs to it.
//!
//! A row is made of the calls of one writer. A lone writer sees exactly the rule of `reference/wandb/records.md` §2.6. With
//! several, each has its own open row and its own current step, so that no call closes, joins or drops what another writer
//! logged:
//!
//! - a row whose calls name no step gets the run's next step when it is committed;
//! - explicit steps only grow for each writer; a step behind the writer's own is dropped, one behind another writer's is not;
//! - the run's next step lies behind every step that any writer has named or was given.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::{Call, KeyId, KeyTable, Row, StepBehind, deduplicated, merge};
use crate::json::Value;

/// The rows that one call committed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Committed {
    /// The row that was open before: a later step ended it, so this call is not part of it.
    pub earlier: Option<Row>,
    /// The row that ends with this call.
    pub row: Option<Row>,
}

/// The open row of one writer.
#[derive(Debug, Default)]
struct OpenRow {
    /// The lowest step that the writer may still name: that of its open row, or behind its last one.
    current: i64,
    /// The step that calls of the open row named.
    named: Option<i64>,
    items: IndexMap<KeyId, Value>,
    open: bool,
}

impl OpenRow {
    fn take(&mut self, next: &mut i64) -> Option<Row> {
        if !std::mem::take(&mut self.open) {
            return None;
        }
        let step = self.named.take().unwrap_or(*next);
        self.passed(step, next);
        Some(Row {
            step,
            items: std::mem::take(&mut self.items).into_iter().collect(),
        })
    }

    fn passed(&mut self, step: i64, next: &mut i64) {
        self.current = step.saturating_add(1);
        *next = (*next).max(self.current);
    }
}

/// The open rows of a run.
#[derive(Debug, Default)]
pub struct OpenRows {
    next: i64,
    start: i64,
    rows: Vec<OpenRow>,
    places: BTreeMap<u64, usize>,
    /// The writer of the last call: mostly that of the next one.
    last: Option<(u64, usize)>,
    ignore_steps: bool,
}

impl OpenRows {
    /// A run that starts at `starting_step`; in shared mode (`ignore_steps`) explicit steps mean nothing.
    pub fn new(starting_step: i64, ignore_steps: bool) -> Self {
        Self {
            next: starting_step,
            start: starting_step,
            ignore_steps,
            ..Self::default()
        }
    }

    /// The step of the next row that names none.
    pub fn next_step(&self) -> i64 {
        self.next
    }

    /// The step that a writer's next row gets: that of its open row, if that row has one already.
    pub fn next_step_of(&self, writer: u64) -> i64 {
        self.places
            .get(&writer)
            .and_then(|place| self.rows[*place].named)
            .unwrap_or(self.next)
    }

    /// Whether a writer has an open row: logged to and not committed.
    pub fn is_open(&self, writer: u64) -> bool {
        self.places
            .get(&writer)
            .is_some_and(|place| self.rows[*place].open)
    }

    /// Writers that have an open row; those with an early step first.
    pub fn open_writers(&self) -> Vec<u64> {
        let mut open: Vec<(i64, usize, u64)> = self
            .places
            .iter()
            .map(|(writer, place)| (*writer, *place, &self.rows[*place]))
            .filter(|(_, _, row)| row.open)
            .map(|(writer, place, row)| (row.named.unwrap_or(i64::MAX), place, writer))
            .collect();
        open.sort_unstable();
        open.into_iter().map(|(_, _, writer)| writer).collect()
    }

    /// Applies one call of a writer.
    pub fn apply(
        &mut self,
        keys: &KeyTable,
        writer: u64,
        call: Call,
    ) -> Result<Committed, StepBehind> {
        let step = call.step.filter(|_| !self.ignore_steps);
        let place = self.place(writer);
        let (row, next) = (&mut self.rows[place], &mut self.next);
        let mut committed = Committed::default();
        if let Some(given) = step {
            if given < row.current {
                return Err(StepBehind {
                    given,
                    current: row.current,
                });
            }
            if given > row.current {
                committed.earlier = row.take(next);
                row.current = given;
            }
        }
        let commits = call.commit.unwrap_or(step.is_none());
        if commits && !row.open {
            let step = step.unwrap_or(*next);
            row.passed(step, next);
            committed.row = Some(Row {
                step,
                items: deduplicated(keys, call.items),
            });
            return Ok(committed);
        }
        if let Some(given) = step {
            row.named = Some(given);
            // Rows of other writers that name no step must not get this one.
            *next = (*next).max(given.saturating_add(1));
        }
        row.open = true;
        for (id, value) in call.items {
            merge(keys, &mut row.items, id, value);
        }
        if commits {
            committed.row = row.take(next);
        }
        Ok(committed)
    }

    /// Gives the run's next step to a row that no writer's calls make.
    pub fn give_step(&mut self) -> i64 {
        let step = self.next;
        self.next = step.saturating_add(1);
        step
    }

    /// Makes room for a call of an open row that was accepted before, by an earlier process: rows that named no step may have
    /// been given later ones.
    pub fn reopen(&mut self, writer: u64, step: Option<i64>) {
        let place = self.place(writer);
        let row = &mut self.rows[place];
        if let Some(step) = step
            && !row.open
        {
            row.current = row.current.min(step);
        }
    }

    /// Takes the open row of a writer, as finishing a run does.
    pub fn take(&mut self, writer: u64) -> Option<Row> {
        let place = *self.places.get(&writer)?;
        self.rows[place].take(&mut self.next)
    }

    /// Takes the open row of a writer whose process is gone. Should it come back (only its connection was lost), more calls
    /// for the same step make a second row of that step.
    pub fn release(&mut self, writer: u64) -> Option<Row> {
        let row = self.take(writer)?;
        if let Some(place) = self.places.get(&writer) {
            self.rows[*place].current = row.step;
        }
        Some(row)
    }

    /// The run goes on at `step`: nothing was committed so far that counts.
    pub fn begin_at(&mut self, step: i64) {
        (self.next, self.start) = (step, step);
        self.rows.clear();
        self.places.clear();
        self.last = None;
    }

    /// A row of an earlier process, with its writer where it is known.
    pub fn passed(&mut self, writer: Option<u64>, step: i64) {
        if let Some(writer) = writer {
            let place = self.place(writer);
            self.rows[place].passed(step, &mut self.next);
        } else {
            self.next = self.next.max(step.saturating_add(1));
            self.start = self.start.max(self.next);
        }
    }

    fn place(&mut self, writer: u64) -> usize {
        if let Some((last, place)) = self.last
            && last == writer
        {
            return place;
        }
        let (rows, start) = (&mut self.rows, self.start);
        let place = *self.places.entry(writer).or_insert_with(|| {
            rows.push(OpenRow {
                current: start,
                ..OpenRow::default()
            });
            rows.len() - 1
        });
        self.last = Some((writer, place));
        place
    }
}

#[cfg(test)]
mod tests {
    use super::super::Items;
    use super::*;
    use crate::key_path::KeyPath;

    const ANNA: u64 = 7;
    const BEN: u64 = 3;

    /// Who, what was logged, the explicit step, the explicit commit.
    type Logged<'a> = (u64, &'a [(&'a str, i64)], Option<i64>, Option<bool>);

    fn logged(calls: &[Logged<'_>]) -> (Vec<String>, Vec<StepBehind>, OpenRows) {
        let mut keys = KeyTable::default();
        let mut open = OpenRows::new(0, false);
        let (mut rows, mut dropped) = (Vec::new(), Vec::new());
        for (writer, items, step, commit) in calls {
            let items: Items = items
                .iter()
                .map(|(key, value)| (keys.intern(&KeyPath::from_dotted(key)), Value::Int(*value)))
                .collect();
            let call = Call {
                items,
                step: *step,
                commit: *commit,
            };
            match open.apply(&keys, *writer, call) {
                Ok(committed) => rows.extend(committed.earlier.into_iter().chain(committed.row)),
                Err(behind) => dropped.push(behind),
            }
        }
        let shown = rows
            .iter()
            .map(|row| {
                let items: Vec<String> = row
                    .items
                    .iter()
                    .map(|(id, value)| format!("{}={value}", keys.path(*id)))
                    .collect();
                format!("{}: {}", row.step, items.join(" "))
            })
            .collect();
        (shown, dropped, open)
    }

    #[test]
    fn a_step_that_is_given_away_is_nobodys() {
        let (_, _, mut open) = logged(&[
            (ANNA, &[("a", 1)], None, None),
            (BEN, &[("b", 1)], None, Some(false)),
        ]);
        assert_eq!(open.give_step(), 1);
        assert_eq!(open.take(BEN).map(|row| row.step), Some(2));
        assert_eq!(open.next_step(), 3);
    }

    #[test]
    fn a_plain_call_is_a_row() {
        let (rows, _, open) = logged(&[
            (ANNA, &[("a", 1)], None, None),
            (ANNA, &[("a", 2)], None, None),
            (ANNA, &[], None, None),
        ]);
        assert_eq!(rows, ["0: a=1", "1: a=2", "2: "]);
        assert_eq!(open.next_step(), 3);
    }

    #[test]
    fn uncommitted_calls_join_the_next_one() {
        let (rows, _, _) = logged(&[
            (ANNA, &[("a", 1), ("b", 1)], None, Some(false)),
            (ANNA, &[("a", 2)], None, Some(false)),
            (ANNA, &[("c", 3)], None, None),
        ]);
        assert_eq!(rows, ["0: a=2 b=1 c=3"]);
    }

    #[test]
    fn an_explicit_step_stays_open_until_a_later_one() {
        let (rows, dropped, mut open) = logged(&[
            (ANNA, &[("a", 1)], Some(5), None),
            (ANNA, &[("b", 2)], Some(5), None),
            (ANNA, &[("a", 3)], Some(9), None),
            (ANNA, &[("late", 4)], Some(5), None),
            (ANNA, &[("y", 5)], None, None),
            (ANNA, &[("z", 6)], Some(10), Some(true)),
            (ANNA, &[("z", 7)], Some(10), None),
            (ANNA, &[("z", 8)], Some(20), None),
        ]);
        assert_eq!(rows, ["5: a=1 b=2", "9: a=3 y=5", "10: z=6"]);
        let behind = |given, current| StepBehind { given, current };
        assert_eq!(dropped, [behind(5, 9), behind(10, 11)]);
        assert!(open.is_open(ANNA));
        assert_eq!(open.next_step_of(ANNA), 20);
        assert_eq!(open.take(ANNA).map(|row| row.step), Some(20));
        assert_eq!(open.take(ANNA), None);
    }

    #[test]
    fn an_open_row_without_a_step_is_closed_by_a_later_one_and_joined_by_its_own() {
        let (rows, dropped, open) = logged(&[
            (ANNA, &[("a", 1)], None, Some(false)),
            (ANNA, &[("b", 2)], Some(0), None),
            (ANNA, &[("c", 3)], Some(4), None),
            (ANNA, &[("d", 4)], Some(4), Some(true)),
            (ANNA, &[("e", 5)], None, Some(false)),
            (ANNA, &[("f", 6)], Some(4), None),
            (ANNA, &[("g", 7)], Some(6), None),
        ]);
        assert_eq!(rows, ["0: a=1 b=2", "4: c=3 d=4", "5: e=5"]);
        assert_eq!(
            dropped,
            [StepBehind {
                given: 4,
                current: 5
            }]
        );
        assert_eq!(open.next_step_of(ANNA), 6);
    }

    #[test]
    fn a_leaf_replaces_a_subtree_within_a_row() {
        let (rows, _, _) = logged(&[
            (ANNA, &[("a.b", 1), ("a.c", 2), ("x", 0)], None, Some(false)),
            (ANNA, &[("a", 3)], None, Some(false)),
            (ANNA, &[("x", 4), ("x", 5)], None, None),
        ]);
        assert_eq!(rows, ["0: x=5 a=3"]);
    }

    #[test]
    fn shared_mode_ignores_steps() {
        let keys = KeyTable::default();
        let mut open = OpenRows::new(0, true);
        let mut steps = Vec::new();
        for step in [7, 3] {
            let call = Call {
                step: Some(step),
                ..Call::default()
            };
            let committed = open.apply(&keys, ANNA, call).expect("steps mean nothing");
            steps.extend(committed.row.map(|row| row.step));
        }
        assert_eq!(steps, [0, 1]);
    }

    #[test]
    fn writers_keep_their_rows_apart() {
        let (rows, dropped, mut open) = logged(&[
            (ANNA, &[("a", 1)], Some(5), None),
            // Neither joins Anna's row nor takes its step.
            (BEN, &[("b", 1)], None, None),
            // Behind Anna's step, and kept.
            (BEN, &[("b", 2)], Some(7), Some(true)),
            (ANNA, &[("a", 2)], Some(5), None),
            (BEN, &[("b", 3)], None, Some(false)),
            (ANNA, &[("a", 3)], Some(6), Some(true)),
            (BEN, &[("c", 4)], None, None),
            // Behind Ben's own.
            (BEN, &[("b", 5)], Some(7), None),
            (ANNA, &[("a", 4)], Some(7), None),
        ]);
        assert_eq!(rows, ["6: b=1", "7: b=2", "5: a=2", "6: a=3", "8: b=3 c=4"]);
        assert_eq!(
            dropped,
            [StepBehind {
                given: 7,
                current: 9
            }]
        );
        assert_eq!(open.open_writers(), [ANNA]);
        assert_eq!((open.next_step_of(ANNA), open.next_step_of(BEN)), (7, 9));
        assert_eq!(open.take(ANNA).map(|row| row.step), Some(7));
        assert_eq!(open.next_step(), 9);
    }

    #[test]
    fn a_writer_that_comes_back_may_log_to_the_step_that_was_closed_for_it() {
        let (_, _, mut open) = logged(&[(ANNA, &[("a", 1)], Some(5), None)]);
        assert_eq!(open.release(ANNA).map(|row| row.step), Some(5));
        let call = Call {
            step: Some(5),
            ..Call::default()
        };
        assert_eq!(
            open.apply(&KeyTable::default(), ANNA, call),
            Ok(Committed::default())
        );
        assert_eq!(open.open_writers(), [ANNA]);
    }

    #[test]
    fn rows_of_earlier_processes_are_passed() {
        let mut open = OpenRows::new(3, false);
        open.passed(Some(ANNA), 9);
        open.passed(None, 4);
        assert_eq!(open.next_step(), 10);
        let mut behind = |writer, step| {
            let call = Call {
                step: Some(step),
                commit: Some(true),
                ..Call::default()
            };
            open.apply(&KeyTable::default(), writer, call).is_err()
        };
        assert!(behind(ANNA, 9));
        assert!(!behind(ANNA, 10));
        assert!(behind(BEN, 4));
    }
}
