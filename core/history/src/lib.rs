//! History rows and columns: Parquet chunks and min/max/mean buckets. Pure: bytes in, bytes out.
//!
//! - [`Chunk`]: consecutive history lines as columns, one per dotted key path. Lines go in
//!   ([`Chunk::from_lines`]), Parquet bytes come out ([`Chunk::to_parquet`]) and in again, whole or
//!   only some keys ([`Chunk::from_parquet`]); rows come back equal ([`Chunk::rows`]).
//! - [`Chunk::pick`], [`pack_rows`]: the rows of some keys, and rows as packed columns for readers of many of them.
//! - [`FileIndex`]: where the columns of a stored chunk are, to decode some without fetching the others.
//! - [`Points`]: the x and y of one series in one chunk ([`Chunk::points`]); what a cache keeps.
//! - [`Extent`] and [`Bucketizer`]: a chart's buckets over any number of chunks; [`bucketize`] does
//!   both passes at once, [`encode_series`] packs the answer for the web app.
//! - [`KeyStats`] and [`KeyTable`]: what `historyKeys` tells about each key; mergeable.
//!
//! ```
//! use runlane_history::{Chunk, KeyTable, bucketize, encode_series};
//!
//! # fn main() -> Result<(), runlane_history::HistoryError> {
//! let lines = [r#"{"_step":0,"train":{"loss":0.5}}"#, r#"{"_step":1,"train":{"loss":NaN}}"#];
//! let chunk = Chunk::from_lines(0, &lines)?;
//! let stored = chunk.to_parquet()?;
//!
//! let chart = Chunk::from_parquet(stored.clone(), Some(&["_step", "train.loss"]))?;
//! let series = bucketize(&[chart.points("_step", "train.loss")], None, 1000);
//! assert_eq!(series.extent.points, 2);
//! let answer = encode_series(&[series]);
//! assert_eq!(&answer[..4], b"RLS1");
//!
//! let whole = Chunk::from_parquet(stored, None)?;
//! assert_eq!(whole.line(0), lines[0]);
//!
//! let mut keys = KeyTable::default();
//! keys.add_chunk(&whole);
//! assert_eq!(keys.last_step(), Some(1));
//! # Ok(())
//! # }
//! ```

mod buckets;
mod builder;
mod chunk;
mod column;
mod error;
mod key_stats;
mod packed;
mod parquet_file;
mod partial_file;
mod pick;
mod points;
mod wire;

pub use buckets::{Bucketizer, Extent, Series, bucketize};
pub use chunk::Chunk;
pub use column::Column;
pub use error::HistoryError;
pub use key_stats::{KeyStats, KeyTable};
pub use packed::{ROWS_CONTENT_TYPE, ROWS_MAGIC, pack_end, pack_rows};
pub use partial_file::FileIndex;
pub use pick::{columns_of_keys, gather, value_at};
pub use points::{Numbers, Points, rates};
pub use wire::{SERIES_CONTENT_TYPE, encode_series};
