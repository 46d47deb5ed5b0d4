//! The packed answer of `POST /api/charts/series`, little-endian:
//!
//! ```text
//! answer := "RLS1", u32 number of series, then each series
//! series := u32 flags (bit 0 raw points, bit 1 unknown run or key), u64 points in all,
//!           f64 x_min, f64 x_max of the whole series, u32 n, u32 zero,
//!           n f64 x, n f64 min, n f64 max, n f64 mean, n u32 count, zeros to a multiple of 8
//! ```

use crate::buckets::Series;

/// Media type of the answer.
pub const SERIES_CONTENT_TYPE: &str = "application/vnd.runlane.series";

const MAGIC: &[u8; 4] = b"RLS1";
const RAW_POINTS: u32 = 1;
const UNKNOWN: u32 = 2;
const SERIES_HEADER_BYTES: usize = 36;
const ENTRY_BYTES: usize = 36;

/// Packs the series in order.
///
/// # Panics
/// With 2^32 series or buckets, which no request can ask for.
pub fn encode_series(series: &[Series]) -> Vec<u8> {
    let entries = series
        .iter()
        .map(|one| SERIES_HEADER_BYTES + one.x.len() * ENTRY_BYTES + 8);
    let mut out = Vec::with_capacity(8 + entries.sum::<usize>());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&length(series.len()));
    for one in series {
        let raw = if one.raw_points { RAW_POINTS } else { 0 };
        let unknown = if one.unknown { UNKNOWN } else { 0 };
        out.extend_from_slice(&(raw | unknown).to_le_bytes());
        out.extend_from_slice(&one.extent.points.to_le_bytes());
        out.extend_from_slice(&one.extent.x_min.to_le_bytes());
        out.extend_from_slice(&one.extent.x_max.to_le_bytes());
        out.extend_from_slice(&length(one.x.len()));
        out.extend_from_slice(&[0; 4]);
        for column in [&one.x, &one.min, &one.max, &one.mean] {
            out.extend(column.iter().flat_map(|value| value.to_le_bytes()));
        }
        out.extend(one.count.iter().flat_map(|count| count.to_le_bytes()));
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("fewer than 2^32")
        .to_le_bytes()
}
