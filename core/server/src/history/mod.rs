//! Reading the lines of a run: as they came, as rows, and as columns of numbers.

pub(crate) mod branch;
pub(crate) mod cache;
pub(crate) mod columns;
pub(crate) mod compact;
pub(crate) mod lineage;
pub(crate) mod lines;
pub(crate) mod reader;
mod recent;
pub(crate) mod scan;
