//! One event file as it grows: its bytes go in, rows come out.
//!
//! A row is what the file says in a row of events with the same step; it ends with an event of another step. What comes out is
//! a function of the bytes alone, wherever they are cut. `cursor` is the end of the last event that is in a logged row: after
//! a restart the file is read from its beginning, for what its tags are, and gives rows from the cursor on.

use runlane_model::json::Object;
use runlane_model::limits;

use super::convert::{Converter, LeftOut};
use super::event::{self, Event};
use super::framing::{Frame, HEADER_BYTES, next_frame, next_header};
use super::media::MediaFile;

/// What the events of one step say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TailRow {
    /// The step that the program gave.
    pub(crate) step: i64,
    /// Unix seconds of the last event.
    pub(crate) wall_time: f64,
    /// The last value of each tag.
    pub(crate) items: Object,
    /// Names of the files that the values name.
    pub(crate) files: Vec<String>,
    /// Where the last event ends in the file.
    pub(crate) end: u64,
}

/// What reading has met that the user should know.
#[derive(Debug, Default)]
pub(crate) struct Oddities {
    /// Records that are damaged or too long, and events that are none.
    pub(crate) damaged: u64,
    /// Tags longer than a key may be.
    pub(crate) long_tags: u64,
    /// Media files that could not be written.
    pub(crate) unwritten: u64,
    pub(crate) left_out: LeftOut,
}

/// Where media files go; false if one could not be written.
pub(crate) type Store<'a> = dyn FnMut(&MediaFile) -> bool + 'a;

/// The state of one file.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    offset: u64,
    cursor: u64,
    /// Bytes that the next record needs; below that, reading again is in vain.
    needed: usize,
    /// The last bytes read began no record: the next one is searched for.
    searching: bool,
    open: Option<TailRow>,
    converter: Converter,
}

impl Tail {
    /// A file whose events up to `cursor` are in logged rows.
    pub(crate) fn behind(cursor: u64) -> Self {
        Self {
            cursor,
            needed: HEADER_BYTES,
            ..Self::default()
        }
    }

    /// Where the next byte to read is.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes must be read at once to get on.
    pub(crate) fn needed(&self) -> usize {
        self.needed
    }

    /// Whether a file of `size` bytes holds something that can be read.
    pub(crate) fn can_go_on(&self, size: u64) -> bool {
        size.saturating_sub(self.offset) >= self.needed as u64
    }

    /// Whether a row is open.
    pub(crate) fn has_open_row(&self) -> bool {
        self.open.is_some()
    }

    /// Ends the open row.
    pub(crate) fn take_open_row(&mut self) -> Option<TailRow> {
        self.open.take()
    }

    /// Reads the whole records of `bytes`, which stand at [`Tail::offset`] of a file of `size` bytes.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        size: u64,
        rows: &mut Vec<TailRow>,
        oddities: &mut Oddities,
        store: &mut Store<'_>,
    ) {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let step = match next_frame(rest) {
                Frame::Record { data, bytes } => {
                    self.searching = false;
                    let end = self.offset + bytes as u64;
                    match event::decode(data) {
                        Ok(event) => rows.extend(self.take(&event, end, oddities, store)),
                        Err(_malformed) => oddities.damaged += 1,
                    }
                    bytes
                }
                Frame::Incomplete { needed } => {
                    self.needed = needed;
                    return;
                }
                Frame::Skip { bytes: whole } => {
                    if self.offset.saturating_add(whole) > size {
                        // Not written to its end yet.
                        self.needed = usize::try_from(whole).unwrap_or(usize::MAX);
                        return;
                    }
                    oddities.damaged += 1;
                    self.offset += whole;
                    match usize::try_from(whole) {
                        Ok(whole) if whole <= rest.len() => {
                            at += whole;
                            continue;
                        }
                        // Behind what was read.
                        _ => {
                            self.needed = HEADER_BYTES;
                            return;
                        }
                    }
                }
                Frame::Damaged => {
                    if !std::mem::replace(&mut self.searching, true) {
                        oddities.damaged += 1;
                    }
                    next_header(rest)
                }
            };
            at += step;
            self.offset += step as u64;
        }
    }

    /// Takes an event in; the row that it ends, if it does.
    fn take(
        &mut self,
        event: &Event<'_>,
        end: u64,
        oddities: &mut Oddities,
        store: &mut Store<'_>,
    ) -> Option<TailRow> {
        if end <= self.cursor {
            for value in &event.values {
                self.converter.remember(value);
            }
            return None;
        }
        let mut items = Vec::new();
        let mut files = Vec::new();
        for value in &event.values {
            let Some(converted) = self.converter.convert(value, &mut oddities.left_out) else {
                continue;
            };
            if value.tag.len() > limits::KEY_BYTES {
                oddities.long_tags += 1;
                continue;
            }
            if !converted.files.iter().all(&mut *store) {
                oddities.unwritten += 1;
                continue;
            }
            files.extend(converted.files.into_iter().map(|file| file.name));
            items.push((value.tag.to_owned(), converted.value));
        }
        if items.is_empty() {
            return None;
        }
        let is_full = |open: &TailRow| open.items.len() >= limits::KEYS_WARNING;
        let ended = self
            .open
            .take_if(|open| open.step != event.step || is_full(open));
        let open = self.open.get_or_insert_with(|| TailRow {
            step: event.step,
            wall_time: 0.0,
            items: Object::new(),
            files: Vec::new(),
            end,
        });
        open.wall_time = event.wall_time;
        open.end = end;
        open.items.extend(items);
        for name in files {
            if !open.files.contains(&name) {
                open.files.push(name);
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runlane_model::json::Value;

    use super::super::event::writing;
    use super::super::framing::framed;
    use super::*;

    /// Step and tag of each event.
    fn file(events: &[(i64, u8)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, (step, tag)) in events.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let value = index as f32;
            let wall_time = f64::from(value);
            let tag = format!("t{tag}");
            let event = writing::event(*step, wall_time, &[writing::scalar(&tag, value)]);
            bytes.extend(framed(&event));
        }
        bytes
    }

    struct Reading {
        tail: Tail,
        rows: Vec<TailRow>,
        oddities: Oddities,
    }

    impl Reading {
        fn behind(cursor: u64) -> Self {
            Self {
                tail: Tail::behind(cursor),
                rows: Vec::new(),
                oddities: Oddities::default(),
            }
        }

        /// Lets the file be `bytes`.
        fn see(&mut self, bytes: &[u8]) {
            let size = bytes.len() as u64;
            while self.tail.can_go_on(size) {
                let from = usize::try_from(self.tail.offset()).expect("small");
                let to = bytes.len().min(from + self.tail.needed().max(40));
                self.tail.feed(
                    &bytes[from..to],
                    size,
                    &mut self.rows,
                    &mut self.oddities,
                    &mut |_| true,
                );
            }
        }

        fn end(mut self) -> Vec<TailRow> {
            self.rows.extend(self.tail.take_open_row());
            self.rows
        }
    }

    fn read(bytes: &[u8]) -> Vec<TailRow> {
        let mut reading = Reading::behind(0);
        reading.see(bytes);
        reading.end()
    }

    #[test]
    fn a_row_is_the_events_of_one_step() {
        let rows = read(&file(&[(0, 1), (1, 1), (1, 2), (1, 1), (0, 1), (-5, 1)]));
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.step, row.wall_time, row.items.clone()))
            .collect();
        let item = |tag: &str, value: i64| (tag.to_owned(), Value::Int(value));
        assert_eq!(
            shown,
            [
                (0, 0.0, Object::from_iter([item("t1", 0)])),
                (1, 3.0, Object::from_iter([item("t1", 3), item("t2", 2)])),
                (0, 4.0, Object::from_iter([item("t1", 4)])),
                (-5, 5.0, Object::from_iter([item("t1", 5)])),
            ]
        );
    }

    #[test]
    fn a_record_with_damaged_data_costs_only_itself() {
        let bytes = file(&[(0, 1), (1, 1), (2, 1)]);
        let second = bytes.len() / 3;
        let mut damaged = bytes.clone();
        damaged[second + HEADER_BYTES + 2] ^= 1;
        let mut reading = Reading::behind(0);
        reading.see(&damaged);
        assert_eq!(reading.oddities.damaged, 1);
        let steps: Vec<i64> = reading.end().iter().map(|row| row.step).collect();
        assert_eq!(steps, [0, 2]);
    }

    #[test]
    fn behind_a_damaged_length_the_next_record_is_found() {
        let bytes = file(&[(0, 1), (1, 1), (2, 1)]);
        let second = bytes.len() / 3;
        let mut damaged = bytes.clone();
        damaged[second] ^= 1;
        let mut reading = Reading::behind(0);
        reading.see(&damaged);
        assert_eq!(reading.oddities.damaged, 1, "told once");
        let steps: Vec<i64> = reading.end().iter().map(|row| row.step).collect();
        assert_eq!(steps, [0, 2]);
    }

    #[test]
    fn what_a_tag_is_is_known_behind_the_cursor() {
        let with = |plugin, step| {
            framed(&writing::event(
                step,
                0.0,
                &[writing::tensor_of_doubles("t", plugin, &[], &[3.0])],
            ))
        };
        let first = with("scalars", 0);
        let mut bytes = first.clone();
        bytes.extend(with("", 1));
        let mut reading = Reading::behind(first.len() as u64);
        reading.see(&bytes);
        let steps: Vec<i64> = reading.end().iter().map(|row| row.step).collect();
        assert_eq!(steps, [1]);
    }

    fn events() -> impl Strategy<Value = Vec<(i64, u8)>> {
        prop::collection::vec((0..4_i64, 0..3_u8), 0..12)
    }

    proptest! {
        #[test]
        fn rows_do_not_depend_on_where_the_file_was_cut_while_it_grew(events in events(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let bytes = file(&events);
            let mut sizes: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            sizes.sort_unstable();
            let mut reading = Reading::behind(0);
            for size in sizes {
                reading.see(&bytes[..size]);
            }
            reading.see(&bytes);
            prop_assert_eq!(reading.end(), read(&bytes));
        }

        /// A daemon is killed at any moment, with any number of its rows in the log: another one goes on behind them.
        #[test]
        fn each_event_is_in_one_row_however_often_the_reader_dies(events in events(), deaths in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..5)) {
            let bytes = file(&events);
            let mut logged: Vec<TailRow> = Vec::new();
            let mut deaths = deaths;
            deaths.sort_by_key(|(size, _)| size.index(bytes.len() + 1));
            for (size, kept) in deaths {
                let cursor = logged.last().map_or(0, |row| row.end);
                let mut reading = Reading::behind(cursor);
                reading.see(&bytes[..size.index(bytes.len() + 1)]);
                let kept = kept.index(reading.rows.len() + 1);
                logged.extend(reading.rows.into_iter().take(kept));
            }
            let cursor = logged.last().map_or(0, |row| row.end);
            let mut reading = Reading::behind(cursor);
            reading.see(&bytes);
            logged.extend(reading.end());
            prop_assert_eq!(logged, read(&bytes));
        }

        /// All events have the same step here, and a tag of their own: what comes out is one row with all that was read.
        #[test]
        fn a_changed_byte_costs_one_event(count in 1_u8..12, at in any::<prop::sample::Index>(), change in 1_u8..) {
            let events: Vec<(i64, u8)> = (0..count).map(|tag| (7, tag)).collect();
            let bytes = file(&events);
            let at = at.index(bytes.len());
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            let items = |rows: Vec<TailRow>| rows.into_iter().flat_map(|row| row.items).collect::<Vec<_>>();
            let mut expected = items(read(&bytes));
            let record = (0..events.len()).find(|last| file(&events[..=*last]).len() > at).expect("inside");
            expected.remove(record);
            prop_assert_eq!(items(read(&damaged)), expected);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic_and_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
        }
    }
}
