//! How much of a stream's output is passed on: a state machine without clock or I/O.
//!
//! Output must crowd out neither rows nor disk. Each stream of a process has an allowance that grows slowly; beyond it only
//! the newest output is kept, and passed on about once a second behind a line that says how much is missing. What the
//! program prints first and last is therefore always there.

/// Bytes that a stream may write at once.
const ALLOWANCE_BYTES: u64 = 64 << 20;
/// What comes back a second.
const BYTES_A_SECOND: u64 = 64 << 10;
/// Newest output that is kept beyond the allowance.
const HELD_BYTES: usize = 64 << 10;
/// A record costs this beside its text.
const RECORD_BYTES: u64 = 32;
/// A longer write loses its middle.
const WRITE_BYTES: usize = 1 << 20;

/// The output of one stream.
#[derive(Debug)]
pub(crate) struct Flow {
    allowance: u64,
    refilled_micros: u64,
    held: String,
    left_out: u64,
    /// What was passed on last ended a line.
    at_line_start: bool,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            allowance: ALLOWANCE_BYTES,
            refilled_micros: 0,
            held: String::new(),
            left_out: 0,
            at_line_start: true,
        }
    }
}

impl Flow {
    /// Takes what was written at a Unix time; hands what is passed on to `pass`.
    pub(crate) fn write(&mut self, text: &str, now_micros: u64, pass: &mut dyn FnMut(&str)) {
        self.refill(now_micros);
        let cost = text.len().min(WRITE_BYTES) as u64 + RECORD_BYTES;
        if !self.is_holding() && cost <= self.allowance {
            self.allowance -= cost;
            self.pass_on(text, pass);
            return;
        }
        self.hold(text);
        self.release_if_allowed(pass);
    }

    /// Passes on what is held, if enough time has gone by.
    pub(crate) fn look(&mut self, now_micros: u64, pass: &mut dyn FnMut(&str)) {
        if self.is_holding() {
            self.refill(now_micros);
            self.release_if_allowed(pass);
        }
    }

    /// Passes on what is held: nothing is written any more.
    pub(crate) fn end(&mut self, pass: &mut dyn FnMut(&str)) {
        if self.is_holding() {
            self.release(pass);
        }
    }

    /// Whether output waits.
    pub(crate) fn is_holding(&self) -> bool {
        self.left_out > 0 || !self.held.is_empty()
    }

    fn refill(&mut self, now_micros: u64) {
        let since = now_micros.saturating_sub(self.refilled_micros);
        let more = since.saturating_mul(BYTES_A_SECOND) / 1_000_000;
        if self.refilled_micros == 0 || now_micros < self.refilled_micros {
            self.refilled_micros = now_micros;
        } else if more > 0 {
            self.refilled_micros = now_micros;
            self.allowance = self.allowance.saturating_add(more).min(ALLOWANCE_BYTES);
        }
    }

    fn release_if_allowed(&mut self, pass: &mut dyn FnMut(&str)) {
        let cost = self.held.len() as u64 + 2 * RECORD_BYTES;
        // Not for each line: what is new is passed on in larger pieces, the rest is left out.
        let enough = (HELD_BYTES as u64).max(cost);
        if enough <= self.allowance {
            self.allowance -= cost;
            self.release(pass);
        }
    }

    fn release(&mut self, pass: &mut dyn FnMut(&str)) {
        let held = std::mem::take(&mut self.held);
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            self.tell(left_out, pass);
        }
        self.pass_on(&held, pass);
    }

    fn tell(&mut self, left_out: u64, pass: &mut dyn FnMut(&str)) {
        let start = if self.at_line_start { "" } else { "\n" };
        pass(&format!(
            "{start}[runlane: {left_out} bytes of output are left out here]\n"
        ));
        self.at_line_start = true;
    }

    fn pass_on(&mut self, text: &str, pass: &mut dyn FnMut(&str)) {
        if text.len() <= WRITE_BYTES {
            pass(text);
        } else {
            let first = &text[..floor(text, WRITE_BYTES / 2)];
            let last = &text[ceil(text, text.len() - WRITE_BYTES / 2)..];
            pass(first);
            self.at_line_start = first.ends_with('\n');
            self.tell((text.len() - first.len() - last.len()) as u64, pass);
            pass(last);
        }
        if let Some(last) = text.bytes().next_back() {
            self.at_line_start = last == b'\n';
        }
    }

    fn hold(&mut self, text: &str) {
        let text_from = ceil(text, text.len().saturating_sub(HELD_BYTES));
        let kept = &text[text_from..];
        let too_many = (self.held.len() + kept.len()).saturating_sub(HELD_BYTES);
        let mut from = ceil(&self.held, too_many.min(self.held.len()));
        // In whole lines, where there are lines; half of what is held at once, so that not each write moves the rest.
        if from > 0 {
            let at_least = from.max(self.held.len() / 2);
            let at_least = ceil(&self.held, at_least);
            let line_end = self.held.as_bytes()[at_least..]
                .iter()
                .position(|byte| *byte == b'\n');
            from = line_end.map_or(at_least, |end| at_least + end + 1);
        }
        self.left_out += (from + text_from) as u64;
        self.held.drain(..from);
        self.held.push_str(kept);
    }
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn written(flow: &mut Flow, text: &str, now: u64) -> Vec<String> {
        let mut passed = Vec::new();
        flow.write(text, now, &mut |text| passed.push(text.to_owned()));
        passed
    }

    #[test]
    fn ordinary_output_is_passed_on_as_it_was_written() {
        let mut flow = Flow::default();
        for text in ["a", "", "\n", "é"] {
            assert_eq!(written(&mut flow, text, SECOND), [text]);
        }
        assert!(!flow.is_holding());
    }

    #[test]
    fn a_flood_keeps_its_first_and_last_lines_and_says_what_is_missing() {
        let mut flow = Flow::default();
        let line = format!("{}\n", "x".repeat(999));
        let mut passed = String::new();
        for _ in 0..100_000 {
            passed.push_str(&written(&mut flow, &line, SECOND).concat());
        }
        let before = passed.len();
        assert!(before as u64 <= ALLOWANCE_BYTES && before as u64 > ALLOWANCE_BYTES / 10 * 9);
        assert!(flow.is_holding() && flow.held.len() <= HELD_BYTES);
        flow.write("the end\n", SECOND, &mut |text| passed.push_str(text));
        assert_eq!(passed.len(), before);
        flow.end(&mut |text| passed.push_str(text));
        let rest = &passed[before..];
        assert!(rest.starts_with("[runlane: "), "{}", &rest[..80]);
        assert!(rest.ends_with("x\nthe end\n"));
        let left_out: usize = rest
            .split(' ')
            .nth(1)
            .and_then(|number| number.parse().ok())
            .expect("a number");
        let told = rest.split_once('\n').expect("a line").0.len() + 1;
        assert_eq!(
            before + left_out + rest.len() - told,
            100_000 * line.len() + 8
        );
    }

    #[test]
    fn beyond_the_allowance_the_newest_output_comes_once_a_second() {
        let mut flow = Flow {
            allowance: 0,
            refilled_micros: SECOND,
            ..Flow::default()
        };
        let mut passed = Vec::new();
        let mut now = SECOND;
        for number in 0..1_000 {
            now += SECOND / 100;
            flow.write(&format!("{number:0999}\n"), now, &mut |text| {
                passed.push((now, text.to_owned()));
            });
        }
        // Ten seconds of 100 kB each, of which 64 kB may go.
        let bytes: usize = passed.iter().map(|(_, text)| text.len()).sum();
        assert!((400_000..700_000).contains(&bytes), "{bytes}");
        let told = passed
            .iter()
            .filter(|(_, text)| text.contains("[runlane: "))
            .count();
        assert!((3..15).contains(&told), "{told}");
        now += 2 * SECOND;
        flow.look(now, &mut |text| passed.push((now, text.to_owned())));
        assert!(!flow.is_holding());
        assert!(
            passed
                .last()
                .is_some_and(|(_, text)| text.ends_with("999\n"))
        );
        // After a quiet minute a write goes at once again.
        assert_eq!(written(&mut flow, "x", now + 60 * SECOND), ["x"]);
    }

    #[test]
    fn one_huge_write_loses_its_middle() {
        let mut flow = Flow::default();
        let text = format!("begin{}end", "é".repeat(10 << 20));
        let passed = written(&mut flow, &text, SECOND);
        assert_eq!(passed.len(), 3);
        assert!(passed[0].starts_with("begin") && passed[2].ends_with("end"));
        assert!(passed[1].starts_with("\n[runlane: ") && passed[1].ends_with("left out here]\n"));
        assert!(passed.concat().len() <= WRITE_BYTES + 100);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let mut flow = Flow {
            allowance: 0,
            refilled_micros: 100 * SECOND,
            ..Flow::default()
        };
        assert!(written(&mut flow, "a", 50 * SECOND).is_empty());
        assert_eq!(written(&mut flow, "b", 53 * SECOND), ["ab"]);
    }
}
