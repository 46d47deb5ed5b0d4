//! The query language of runs: filters in the style of `MongoDB`'s queries, and orders
//! (`reference/wandb-server/filters-and-order.md`).
//!
//! A filter is read once ([`Filter::parse`]) and then asked about any number of runs. What a run holds comes from whoever
//! asks, as one [`Cell`] per key of [`Filter::keys`]: a filter does not know whether it looks at documents or at columns.
//!
//! The rules:
//!
//! - A missing key equals null, has no order, and does not exist. Values of different JSON types are never equal and have no
//!   order; integers and floats are one type and are compared exactly.
//! - A test of a list asks for one element that passes; a list may also be equal to a list as a whole.
//! - Times are compared at the precision at which they are written (see [`timestamp`]).
//! - Runs without a value for the key of an order, or with NaN, come last in both directions. Values of different types are
//!   kept apart (booleans, numbers, texts, lists of texts, everything else).

mod cell;
mod condition;
mod key;
mod number;
mod order;
mod parse;
pub mod path;
pub mod timestamp;

#[cfg(test)]
mod tests;

pub use self::cell::Cell;
pub use self::key::{Field, Key};
pub use self::order::{Order, SortKey};
pub use self::parse::{Compile, Filter, FilterError, Pattern, ReadKey};

/// What a run holds at each key of a filter.
pub trait Values {
    /// The value at the key with this place in [`Filter::keys`].
    fn cell(&self, key: usize) -> Cell<'_>;
}
