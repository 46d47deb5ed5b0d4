//! The answer to a query: which runs pass, how many, and those of one page in order.

use std::cmp::Ordering;

use runlane_model::run_filter::{Cell, Filter, Key, Order, SortKey};

use super::cursor::{Position, PositionKey};
use super::table::RunTable;

/// A checked query.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    /// Where the page before ended.
    pub(crate) after: Option<Position<'static>>,
    /// Size of the page.
    pub(crate) first: usize,
}

/// One page.
#[derive(Debug, PartialEq)]
pub(crate) struct Found<'a> {
    /// Runs that pass, on all pages.
    pub(crate) total: i64,
    pub(crate) page: Vec<Position<'a>>,
    pub(crate) has_next: bool,
}

impl Search {
    fn compare(&self, left: &Position<'_>, right: &Position<'_>) -> Ordering {
        self.order
            .compare(value(&left.key), value(&right.key))
            .then(left.created_at_micros.cmp(&right.created_at_micros))
            .then(left.id.cmp(&right.id))
    }

    /// What runs are ordered by.
    pub(crate) fn order_key(&self) -> &Key {
        &self.order.key
    }
}

fn value<'k, 'a>(key: &'k PositionKey<'a>) -> Option<&'k SortKey<'a>> {
    match key {
        PositionKey::Value(key) => Some(key),
        PositionKey::None | PositionKey::OfRun => None,
    }
}

/// The position of a run.
pub(crate) fn position(cell: Cell<'_>, created_at_micros: i64, id: i64) -> Position<'_> {
    Position {
        key: SortKey::of(cell).map_or(PositionKey::None, PositionKey::Value),
        created_at_micros,
        id,
    }
}

/// Gathers the runs that pass, in any order; keeps no more than two pages of them.
#[derive(Debug)]
pub(crate) struct Gathering<'s, 'a> {
    search: &'s Search,
    after: Option<Position<'a>>,
    total: i64,
    kept: Vec<Position<'a>>,
}

impl<'s, 'a> Gathering<'s, 'a> {
    /// For a query that goes on behind `after`, whose value is known.
    pub(crate) fn new(search: &'s Search, after: Option<Position<'a>>) -> Self {
        Self {
            search,
            after,
            total: 0,
            kept: Vec::new(),
        }
    }

    /// Takes a run that passes.
    pub(crate) fn add(&mut self, run: Position<'a>) {
        self.total += 1;
        let search = self.search;
        if let Some(after) = &self.after
            && search.compare(after, &run).is_ge()
        {
            return;
        }
        self.kept.push(run);
        if self.kept.len() > 2 * search.first + 1_000 {
            self.cut();
        }
    }

    /// Keeps those of the page and one more.
    fn cut(&mut self) {
        let search = self.search;
        let wanted = search.first + 1;
        if self.kept.len() > wanted {
            self.kept
                .select_nth_unstable_by(wanted, |left, right| search.compare(left, right));
            self.kept.truncate(wanted);
        }
    }

    /// The page.
    pub(crate) fn finish(mut self) -> Found<'a> {
        self.cut();
        let search = self.search;
        self.kept
            .sort_unstable_by(|left, right| search.compare(left, right));
        let has_next = self.kept.len() > search.first;
        self.kept.truncate(search.first);
        Found {
            total: self.total,
            page: self.kept,
            has_next,
        }
    }
}

/// Answers from a table; none if the cursor leaves its value to a run that is gone.
pub(crate) fn in_table<'a>(table: &'a RunTable, search: &Search) -> Option<Found<'a>> {
    let filter_keys = table.bind(search.filter.keys());
    let order_key = table.bind(std::slice::from_ref(search.order_key()));
    let after = match &search.after {
        Some(after) if after.key == PositionKey::OfRun => {
            let row = table.place(after.id)?;
            Some(position(
                order_key.cell(0, row),
                after.created_at_micros,
                after.id,
            ))
        }
        after => after.clone(),
    };
    let mut gathering = Gathering::new(search, after);
    for (row, id, created_at_micros) in table.rows() {
        if search.filter.matches(&filter_keys.row(row)) {
            gathering.add(position(order_key.cell(0, row), created_at_micros, id));
        }
    }
    Some(gathering.finish())
}

/// The number of runs in a table that pass.
pub(crate) fn count_in_table(table: &RunTable, filter: &Filter) -> i64 {
    let keys = table.bind(filter.keys());
    let rows = table.rows();
    let passing = rows.filter(|(row, ..)| filter.matches(&keys.row(*row)));
    i64::try_from(passing.count()).unwrap_or(i64::MAX)
}
