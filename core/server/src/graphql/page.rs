//! Pages of lists: cursors are positions.

use async_graphql::SimpleObject;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::ApiError;

const DEFAULT_FIRST: i64 = 50;
/// Larger pages are cut to this; clients go on with the next one.
pub(crate) const MAX_FIRST: i64 = 1_000;

/// Whether and where a list goes on.
#[derive(SimpleObject)]
#[graphql(name = "PageInfo")]
pub(crate) struct PageInfo {
    end_cursor: Option<String>,
    has_next_page: bool,
}

impl PageInfo {
    /// For a page that ends with this cursor, if it has anything on it.
    pub(crate) fn of_page(end_cursor: Option<String>, has_next_page: bool) -> Self {
        Self {
            end_cursor,
            has_next_page,
        }
    }

    /// For a page of `shown` items after `offset` items of `total`.
    pub(crate) fn new(offset: i64, shown: i64, total: i64) -> Self {
        let end = offset + shown;
        Self {
            end_cursor: (shown > 0).then(|| cursor(end - 1)),
            has_next_page: end < total,
        }
    }
}

/// A checked page size: 50 by default, at most [`MAX_FIRST`].
pub(crate) fn page_size(first: Option<i32>) -> Result<usize, ApiError> {
    let first = first.map_or(DEFAULT_FIRST, i64::from).min(MAX_FIRST);
    usize::try_from(first).map_err(|_negative| ApiError::invalid("`first` must not be negative"))
}

/// A checked request for a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) offset: i64,
    pub(crate) first: i64,
}

impl Page {
    /// From the arguments `first` and `after`.
    pub(crate) fn new(first: Option<i32>, after: Option<&str>) -> Result<Self, ApiError> {
        let first = first.map_or(DEFAULT_FIRST, i64::from);
        if first < 0 {
            return Err(ApiError::invalid("`first` must not be negative"));
        }
        let offset = match after.filter(|after| !after.is_empty()) {
            None => 0,
            Some(after) => position(after)? + 1,
        };
        Ok(Self {
            offset,
            first: first.min(MAX_FIRST),
        })
    }

    /// The items of this page.
    pub(crate) fn cut<T>(self, items: Vec<T>) -> impl Iterator<Item = (i64, T)> {
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let take = usize::try_from(self.first).unwrap_or(0);
        (self.offset..).zip(items.into_iter().skip(skip).take(take))
    }
}

/// The cursor of the item at `position`.
pub(crate) fn cursor(position: i64) -> String {
    STANDARD.encode(format!("cursor:{position}"))
}

fn position(cursor: &str) -> Result<i64, ApiError> {
    STANDARD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix("cursor:")?.parse::<i64>().ok())
        .filter(|position| (0..i64::from(u32::MAX)).contains(position))
        .ok_or_else(|| ApiError::invalid("`after` is not a cursor of this server"))
}

/// Complexity of a list: the page size times what is asked of each item.
pub(crate) fn complexity(first: Option<i32>, child: usize) -> usize {
    let first = i64::from(first.unwrap_or(50)).clamp(1, MAX_FIRST);
    usize::try_from(first).unwrap_or(1).saturating_mul(child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another() {
        let page = Page::new(Some(2), Some(&cursor(1))).expect("valid");
        let items: Vec<_> = page.cut(vec!['a', 'b', 'c', 'd', 'e']).collect();
        assert_eq!(items, [(2, 'c'), (3, 'd')]);
        let info = PageInfo::new(page.offset, 2, 5);
        assert!(info.has_next_page);
        assert_eq!(info.end_cursor, Some(cursor(3)));
    }

    #[test]
    fn bad_pages_are_refused() {
        assert!(Page::new(Some(-1), None).is_err());
        assert!(Page::new(None, Some("!!")).is_err());
        assert!(Page::new(None, Some(&STANDARD.encode("cursor:-5"))).is_err());
        assert_eq!(
            Page::new(Some(1_000_000), None).expect("cut").first,
            MAX_FIRST
        );
    }
}
