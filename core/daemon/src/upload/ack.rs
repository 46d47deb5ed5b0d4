//! What a server's answer to a `file_stream` request proves.
//!
//! Our server's answer says how many lines it has of each file, without a hole. Only an answer that says so comes from
//! it, and only one that covers what was sent confirms it; one that says less than before tells of a server that was
//! restored from a backup. Of W&B's servers a JSON object is all there is.

use serde::Deserialize;

use super::stream::{Lines, Offsets};

/// An answer that comes from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    /// The run shall stop.
    pub(crate) stopped: bool,
    /// What is stored, as our server tells it.
    stored: Option<Stored>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Stored {
    history: u64,
    events: u64,
    output: u64,
    #[serde(default)]
    holes: Holes,
    /// Behind the last stored line, where there are holes.
    #[serde(default)]
    ends: Ends,
    #[serde(default)]
    conflicts: u64,
    #[serde(default)]
    generation: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Holes {
    history: Vec<(u64, u64)>,
    events: Vec<(u64, u64)>,
    output: Vec<(u64, u64)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Ends {
    history: Option<u64>,
    events: Option<u64>,
    output: Option<u64>,
}

/// Reads an answer; `None` if it does not come from the server.
pub(crate) fn read(body: &[u8], ours: bool) -> Option<Acknowledgement> {
    let reply: serde_json::Value = serde_json::from_slice(body).ok()?;
    let object = reply.as_object()?;
    let stored = match object.get("runlane") {
        Some(stored) if ours => Some(Stored::deserialize(stored).ok()?),
        None if ours => return None,
        _ => None,
    };
    Some(Acknowledgement {
        stopped: object.get("stopped") == Some(&true.into()),
        stored,
    })
}

impl Acknowledgement {
    /// The lines, counted from `base`, that the server has without a gap, if it is not all up to `reach`.
    pub(crate) fn shortfall(&self, base: Offsets, reach: Offsets) -> Option<Offsets> {
        let stored = self.stored.as_ref()?;
        let mut found = reach;
        for (file, contiguous, holes, end) in [
            (
                Lines::History,
                stored.history,
                &stored.holes.history,
                stored.ends.history,
            ),
            (
                Lines::Events,
                stored.events,
                &stored.holes.events,
                stored.ends.events,
            ),
            (
                Lines::Output,
                stored.output,
                &stored.holes.output,
                stored.ends.output,
            ),
        ] {
            let (base, reach) = (base.get(file), reach.get(file));
            if let Some(missing) = first_missing(contiguous, holes, end, base, base + reach) {
                *found.of(file) = missing - base;
            }
        }
        (found != reach).then_some(found)
    }

    /// Lines of each file at the server, if it tells.
    pub(crate) fn counts(&self) -> Option<Offsets> {
        self.stored.as_ref().map(|stored| Offsets {
            history: stored.ends.history.unwrap_or(stored.history),
            events: stored.ends.events.unwrap_or(stored.events),
            output: stored.ends.output.unwrap_or(stored.output),
        })
    }

    /// How often the run was rewound, if the server tells.
    pub(crate) fn generation(&self) -> Option<i64> {
        self.stored.as_ref()?.generation
    }

    /// Lines that the server left out because it had others in their places.
    pub(crate) fn conflicts(&self) -> u64 {
        self.stored.as_ref().map_or(0, |stored| stored.conflicts)
    }
}

/// The first line of `base..reach` that is not stored. Lines before `base` are another log's: a hole there is no concern
/// of this one.
fn first_missing(
    contiguous: u64,
    holes: &[(u64, u64)],
    end: Option<u64>,
    base: u64,
    reach: u64,
) -> Option<u64> {
    if contiguous >= reach {
        return None;
    }
    if holes.is_empty() {
        return Some(contiguous.max(base));
    }
    holes
        .iter()
        .find(|(start, end)| *end > base && *start < reach)
        .map(|(start, _)| (*start).max(base))
        .or_else(|| end.filter(|end| *end < reach).map(|end| end.max(base)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(history: u64, events: u64, output: u64) -> Offsets {
        Offsets {
            history,
            events,
            output,
        }
    }

    #[test]
    fn only_our_server_s_answer_is_an_answer_of_our_server() {
        let ours = br#"{"stopped":true,"runlane":{"history":3,"events":0,"output":1}}"#;
        assert!(read(ours, true).expect("ours").stopped);
        assert!(read(ours, false).is_some());
        for foreign in [
            &b""[..],
            b"{}",
            b"[]",
            b"null",
            b"<html><body>sign in</body></html>",
            b"{\"stopped\":false}",
            b"{\"runlane\":{}}",
            b"{\"runlane\":{\"history\":3,\"events\":0}}",
            b"{\"runlane\":{\"history\":-3,\"events\":0,\"output\":0}}",
            b"{\"runlane\":null}",
            b"{\"runlane\":{\"history\":3,\"events\":0,\"output\":1}",
        ] {
            assert_eq!(
                read(foreign, true),
                None,
                "{}",
                String::from_utf8_lossy(foreign)
            );
        }
        for foreign in [&b""[..], b"[]", b"null", b"<html>", b"true"] {
            assert_eq!(read(foreign, false), None);
        }
        assert!(read(b"{}", false).is_some());
    }

    #[test]
    fn what_is_missing_is_found_in_counts_and_holes() {
        let answer = |text: &str| {
            let body = format!("{{\"runlane\":{text}}}");
            read(body.as_bytes(), true).expect("ours")
        };
        let base = offsets(10, 0, 0);
        let all = answer(r#"{"history":15,"events":2,"output":1}"#);
        assert_eq!(all.shortfall(base, offsets(5, 2, 1)), None);
        assert_eq!(
            all.shortfall(base, offsets(6, 2, 1)),
            Some(offsets(5, 2, 1))
        );
        assert_eq!(
            all.shortfall(base, offsets(5, 9, 1)),
            Some(offsets(5, 2, 1))
        );
        // Restored from a backup that knew less than this log's beginning.
        let fewer = answer(r#"{"history":4,"events":2,"output":1}"#);
        assert_eq!(
            fewer.shortfall(base, offsets(5, 2, 1)),
            Some(offsets(0, 2, 1))
        );
        // A hole of another log does not hold this one up; one of this log does.
        let hole = answer(
            r#"{"history":4,"events":2,"output":1,"holes":{"history":[[4,8]]},"ends":{"history":15}}"#,
        );
        assert_eq!(hole.shortfall(base, offsets(5, 2, 1)), None);
        assert_eq!(
            hole.shortfall(base, offsets(7, 2, 1)),
            Some(offsets(5, 2, 1))
        );
        let hole = answer(
            r#"{"history":4,"events":2,"output":1,"holes":{"history":[[4,8],[12,13]]},"conflicts":7}"#,
        );
        assert_eq!(
            hole.shortfall(base, offsets(5, 2, 1)),
            Some(offsets(2, 2, 1))
        );
        assert_eq!((hole.conflicts(), all.conflicts()), (7, 0));
        let rewound = answer(r#"{"history":4,"events":2,"output":1,"generation":3}"#);
        assert_eq!((rewound.generation(), all.generation()), (Some(3), None));
    }
}
