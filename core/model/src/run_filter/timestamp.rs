//! Times in filters: ISO-8601, UTC unless they say otherwise, as precise as they are written.
//!
//! `2026-11-22T02:20:08` names a second, `2026-11` a month. A time equals one that it lies in. The order of a time and one
//! that is written at least to the second is that of their beginnings at the written precision, so that "at most" and "at
//! least" include what is equal; a coarser one stands for its beginning, as in a comparison of texts.

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A written time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its beginning, in microseconds since the Unix epoch.
    pub start: i64,
    /// The first microsecond behind it.
    pub end: i64,
    /// Written to the second or finer.
    pub precise: bool,
}

impl Period {
    /// Reads `YYYY[-MM[-DD[(T| )HH[:MM[:SS[.f…]]]]]]`, with an offset (`Z`, `±HH[:MM]`) behind a time of day.
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader(text.trim().as_bytes());
        let year = i64::from(reader.digits(4)?);
        if reader.is_done() {
            return Some(Self::days(days(year, 1, 1), days(year + 1, 1, 1)));
        }
        reader.take(b"-")?;
        let month = reader.digits(2).filter(|month| (1..=12).contains(month))?;
        let first = days(year, month, 1);
        let next = if month == 12 {
            days(year + 1, 1, 1)
        } else {
            days(year, month + 1, 1)
        };
        if reader.is_done() {
            return Some(Self::days(first, next));
        }
        reader.take(b"-")?;
        let day = first + i64::from(reader.digits(2)?.checked_sub(1)?);
        if day >= next {
            return None;
        }
        if reader.is_done() {
            return Some(Self::days(day, day + 1));
        }
        reader.take(b"Tt ")?;
        reader.time_of_day(day * DAY)
    }

    fn days(first: i64, next: i64) -> Self {
        Self {
            start: first * DAY,
            end: next * DAY,
            precise: false,
        }
    }

    /// Whether a time lies in it.
    pub fn contains(self, micros: i64) -> bool {
        (self.start..self.end).contains(&micros)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, any_of: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        if !any_of.contains(first) {
            return None;
        }
        self.0 = rest;
        Some(*first)
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + u32::from(digit - b'0');
        }
        self.0 = rest;
        Some(number)
    }

    fn time_of_day(&mut self, day_micros: i64) -> Option<Period> {
        let hour = self.digits(2).filter(|hour| *hour < 24)?;
        let (mut micros, mut length, mut precise) =
            (i64::from(hour) * 3_600 * SECOND, 3_600 * SECOND, false);
        if self.take(b":").is_some() {
            let minute = self.digits(2).filter(|minute| *minute < 60)?;
            micros += i64::from(minute) * 60 * SECOND;
            length = 60 * SECOND;
            if self.take(b":").is_some() {
                // A leap second is the last one of its minute.
                let second = self.digits(2).filter(|second| *second <= 60)?.min(59);
                micros += i64::from(second) * SECOND;
                (length, precise) = (SECOND, true);
                if self.take(b".,").is_some() {
                    length = self.fraction(&mut micros)?;
                }
            }
        }
        let start = day_micros + micros - self.offset_micros()?;
        self.is_done().then_some(Period {
            start,
            end: start + length,
            precise,
        })
    }

    /// Adds a fraction of a second; how long the last digit's unit is. Digits behind microseconds are dropped.
    fn fraction(&mut self, micros: &mut i64) -> Option<i64> {
        let mut unit = SECOND;
        let mut any = false;
        while let Some(digit) = self.take(b"0123456789") {
            any = true;
            if unit > 1 {
                unit /= 10;
                *micros += i64::from(digit - b'0') * unit;
            }
        }
        any.then_some(unit)
    }

    fn offset_micros(&mut self) -> Option<i64> {
        if self.is_done() || self.take(b"Zz").is_some() {
            return Some(0);
        }
        let sign = if self.take(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.digits(2).filter(|hours| *hours < 24)?;
        let minutes = if self.is_done() {
            0
        } else {
            let _colon = self.take(b":");
            self.digits(2).filter(|minutes| *minutes < 60)?
        };
        Some(sign * i64::from(hours * 60 + minutes) * 60 * SECOND)
    }
}

/// Days since 1970-01-01 in the Gregorian calendar (the algorithm `days_from_civil` of Howard Hinnant,
/// <https://howardhinnant.github.io/date_algorithms.html>).
fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// A time as ISO-8601 UTC text with seconds, as it is shown; the inverse of [`Period::parse`] (`civil_from_days`, same source).
pub fn to_text(micros: i64) -> String {
    let day = micros.div_euclid(DAY) + 719_468;
    let second = micros.rem_euclid(DAY) / SECOND;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_at_their_precision() {
        let start = |text: &str| {
            Period::parse(text).map(|period| (period.start, period.end - period.start))
        };
        for (text, expected) in [
            ("1970", Some((0, 365 * DAY))),
            ("1970-02", Some((31 * DAY, 28 * DAY))),
            ("2024-02-29", Some((19_782 * DAY, DAY))),
            ("2023-02-29", None),
            ("1970-01-01T01", Some((3_600 * SECOND, 3_600 * SECOND))),
            ("1970-01-01 00:01", Some((60 * SECOND, 60 * SECOND))),
            ("1970-01-01T00:00:01", Some((SECOND, SECOND))),
            ("1970-01-01T00:00:01Z", Some((SECOND, SECOND))),
            ("1970-01-01T01:00:01+01:00", Some((SECOND, SECOND))),
            ("1970-01-01T00:00:01.25", Some((1_250_000, 10_000))),
            (
                "1970-01-01T00:00:00.1234567-0030",
                Some((1_800 * SECOND + 123_456, 1)),
            ),
            ("1970-13", None),
            ("1970-1", None),
            ("1970-01-00", None),
            ("1970-01-01T24:00", None),
            ("1970-01-01T00:00:01.", None),
            ("1970-01-01T00:00:01 UTC", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(start(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn shown_times_are_read_back(micros in 0_i64..4_102_444_800_000_000) {
            let period = Period::parse(&to_text(micros)).expect("shown by us");
            prop_assert!(period.contains(micros));
            prop_assert_eq!(period.end - period.start, SECOND);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9TZ:. +-]{0,30}") {
            let _outcome = Period::parse(&text);
        }
    }
}
