//! Which lines make up the rows of a run: inherited ones first, its own behind them.
//!
//! A run that was forked or rewound begins with rows of other runs. They are not copied: the run refers to lines of their streams,
//! as far as they went at that moment. Lines are never changed, so whatever becomes of the other runs (they go on, are rewound,
//! deleted), the run shows the same rows. What it refers to is flat: a fork of a fork refers to the streams of both, and a
//! reference can only lead to what was there before, so there are no circles.

use crate::error::StoreError;
use crate::store::Connection;
use crate::store::lineage::{self, SegmentRow};
use crate::store::streams::{self, StreamKind, StreamRow};

/// Lines of one stream that are rows of a run.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) stream: StreamRow,
    pub(crate) bounds: Bounds,
    /// Another run's (or an earlier state's) rows.
    pub(crate) inherited: bool,
}

/// Which lines of a stream count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bounds {
    /// Lines from this one on do not.
    pub(crate) end_line: i64,
    /// Rows with a larger step do not.
    pub(crate) max_step: Option<i64>,
}

impl Bounds {
    /// What these bounds mean for the lines `start … end - 1`, whose steps are within `steps` as far as they are known; none if no line
    /// counts.
    pub(crate) fn within(self, start: i64, end: i64, steps: Option<(i64, i64)>) -> Option<Self> {
        let max_step = self
            .max_step
            .filter(|bound| steps.is_none_or(|(_, max)| max > *bound));
        let is_before = match (max_step, steps) {
            (Some(bound), Some((min, _))) => min <= bound,
            _ => true,
        };
        (start < self.end_line && is_before).then_some(Self {
            end_line: end.min(self.end_line),
            max_step,
        })
    }

    /// Whether a row of a stream counts.
    pub(crate) fn contain(self, line: i64, step: i64) -> bool {
        line < self.end_line && self.max_step.is_none_or(|bound| step <= bound)
    }

    /// These bounds up to `step` only.
    pub(crate) fn up_to(self, step: i64) -> Self {
        Self {
            max_step: Some(self.max_step.map_or(step, |bound| bound.min(step))),
            ..self
        }
    }
}

/// The lines that are a run's rows of one kind, in order. System metrics and console lines are not inherited.
pub(crate) async fn sources(
    connection: &mut Connection,
    run_id: i64,
    kind: StreamKind,
) -> Result<Vec<Source>, StoreError> {
    let inherited = if kind == StreamKind::History {
        lineage::segments(connection, run_id).await?
    } else {
        Vec::new()
    };
    let own = streams::of_run(connection, run_id, kind).await?;
    let inherited = inherited.into_iter().map(|segment| {
        let SegmentRow {
            stream,
            line_count,
            max_step,
        } = segment;
        Source {
            stream,
            bounds: Bounds {
                end_line: line_count,
                max_step,
            },
            inherited: true,
        }
    });
    let own = own.into_iter().map(|stream| Source {
        bounds: Bounds {
            end_line: stream.contiguous_lines,
            max_step: None,
        },
        stream,
        inherited: false,
    });
    Ok(inherited.chain(own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_dropped_where_everything_is_within_them() {
        let bounds = Bounds {
            end_line: 10,
            max_step: Some(7),
        };
        let within = |start, end, steps| bounds.within(start, end, steps);
        let whole = |end_line| {
            Some(Bounds {
                end_line,
                max_step: None,
            })
        };
        assert_eq!(within(0, 5, Some((0, 7))), whole(5));
        assert_eq!(
            within(5, 12, Some((6, 12))),
            Some(Bounds {
                end_line: 10,
                max_step: Some(7)
            })
        );
        assert_eq!(within(5, 12, Some((8, 12))), None);
        assert_eq!(within(10, 12, Some((0, 1))), None);
        // Lines without a known step may have any.
        assert_eq!(
            within(0, 5, None).and_then(|bounds| bounds.max_step),
            Some(7)
        );
        assert_eq!(bounds.up_to(9), bounds);
        assert!(bounds.up_to(3).contain(9, 3) && !bounds.up_to(3).contain(9, 4));
        assert!(!bounds.contain(10, 0));
    }
}
