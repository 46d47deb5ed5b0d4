//! What is written, and what a terminal shows of it.

use proptest::prelude::*;

use super::*;

const WRITER: u64 = 7;

fn write(console: &mut Console, writer: u64, is_error: bool, text: &str) {
    use pb::output_raw_record::OutputType::{Stderr, Stdout};
    let mut record = pb::OutputRawRecord {
        line: text.to_owned(),
        timestamp: Some(prost_types::Timestamp {
            seconds: 100,
            nanos: 0,
        }),
        ..Default::default()
    };
    record.set_output_type(if is_error { Stderr } else { Stdout });
    console.write(writer, &record);
}

/// The lines as they are after everything was written.
#[derive(Default)]
struct Shown {
    lines: BTreeMap<u64, Line>,
    fixed: u64,
}

impl Shown {
    fn take(&mut self, changes: Changes) {
        for (number, line) in changes.lines {
            assert!(number >= self.fixed, "line {number} changed after all");
            self.lines.insert(number, line);
        }
        self.fixed = changes.fixed.max(self.fixed);
    }

    fn texts(&self) -> Vec<&str> {
        let numbers: Vec<u64> = self.lines.keys().copied().collect();
        let expected: Vec<u64> = (0..self.lines.len() as u64).collect();
        assert_eq!(numbers, expected, "numbers are given without a gap");
        self.lines.values().map(|line| line.text.as_str()).collect()
    }
}

fn shown(writes: &[&str]) -> Vec<String> {
    let mut console = Console::default();
    let mut shown = Shown::default();
    for text in writes {
        write(&mut console, WRITER, false, text);
        shown.take(console.take_changes());
    }
    console.finish();
    shown.take(console.take_changes());
    assert_eq!(shown.fixed, shown.lines.len() as u64);
    shown.texts().into_iter().map(str::to_owned).collect()
}

#[test]
fn text_becomes_what_a_terminal_shows() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("a", &["a"]),
        ("a\nb\n", &["a", "b"]),
        ("\n\nx\n", &["", "", "x"]),
        // A carriage return goes back, it erases nothing.
        ("10%\r20%\r3\n", &["30%"]),
        ("abcdef\rXY\n", &["XYcdef"]),
        ("50%\r\u{1b}[K7%\n", &["7%"]),
        ("a\r\nb\r\n", &["a", "b"]),
        // Backspace and tab.
        ("abc\u{8}\u{8}X\n", &["aXc"]),
        ("a\tb\tc\n", &["a\tb\tc"]),
        ("a\tb\r12345\n", &["12345   b"]),
        ("abcdefghij\r\tX\n", &["abcdefghXj"]),
        // Bell, NUL, DEL and the like are not shown.
        ("a\u{7}b\0c\u{7f}d\u{5}e\n", &["abcde"]),
        ("a\u{b}b\u{c}c\n", &["a", " b", "  c"]),
        // The cursor.
        (
            "l1\nl2\nl3\u{1b}[2A\rXX\n\u{1b}[1B\rend\n",
            &["XX", "l2", "end"],
        ),
        ("one\ntwo\u{1b}[A\u{1b}[2DX\n", &["oXe", "two"]),
        ("abc\u{1b}[2D_\u{1b}[C+\n", &["a_c+"]),
        ("ab\u{1b}[10Gx\n", &["ab       x"]),
        ("x\u{1b}[3;5Hy\n\u{1b}[Hz\n", &["z", "", "    y"]),
        ("1\n2\n3\u{1b}[3Fa\u{1b}[2Eb\n", &["a", "2", "b"]),
        ("one\u{1b}7two\u{1b}8X\n", &["oneXwo"]),
        ("\u{1b}[sabc\u{1b}[uX\n", &["Xbc"]),
        ("a\nb\u{1b}M\rX\n", &["X", "b"]),
        // Erasing.
        ("abcdef\u{1b}[3D\u{1b}[K|\n", &["abc|"]),
        ("abcdef\u{1b}[3D\u{1b}[1K|\n", &["   |ef"]),
        ("abcdef\u{1b}[2K|\n", &["      |"]),
        ("a\nb\nc\u{1b}[2A\u{1b}[J\rx\n", &["x", "", ""]),
        ("old\nold\n\u{1b}[H\u{1b}[2J\u{1b}[3Jnew\n", &["new", ""]),
        ("abcdef\r\u{1b}[2P\n", &["cdef"]),
        ("abcdef\r\u{1b}[2@\n", &["  abcdef"]),
        ("abcdef\r\u{1b}[2Xx\n", &["x cdef"]),
        ("a\nb\nc\u{1b}[2A\u{1b}[M\n", &["b", "c", ""]),
        ("a\nb\u{1b}[A\u{1b}[L\rx\n", &["x", "a", "b"]),
        // Colours are kept, in one form, each line for itself.
        (
            "\u{1b}[1;31mred\u{1b}[0m plain\n",
            &["\u{1b}[1;31mred\u{1b}[0m plain"],
        ),
        (
            "\u{1b}[31m\u{1b}[1ma\nb\u{1b}[m\n",
            &["\u{1b}[1;31ma\u{1b}[0m", "\u{1b}[1;31mb\u{1b}[0m"],
        ),
        (
            "\u{1b}[38;5;208mO\u{1b}[38;2;1;2;3;48:5:17mT\u{1b}[39;49mx\n",
            &["\u{1b}[38;5;208mO\u{1b}[0;38;2;1;2;3;48;5;17mT\u{1b}[0mx"],
        ),
        (
            "\u{1b}[92ma\u{1b}[7mb\u{1b}[27;39mc",
            &["\u{1b}[92ma\u{1b}[0;7;92mb\u{1b}[0mc"],
        ),
        (
            "\u{1b}[31mred\rX\u{1b}[0mY\n",
            &["\u{1b}[31mX\u{1b}[0mY\u{1b}[31md\u{1b}[0m"],
        ),
        // Titles, links, character sets, modes.
        (
            "\u{1b}]0;title\u{7}hello \u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\\n",
            &["hello link"],
        ),
        (
            "\u{1b}(B\u{1b}[?25lx\u{1b}[?25h\u{1b}[4 qy\u{1b}=z\n",
            &["xyz"],
        ),
        ("\u{1b}Pq#0;2;0\u{1b}\\a\u{1b}_x\u{1b}\\b\n", &["ab"]),
        // A string that nobody ends does not swallow the next lines; a sequence that is cut off goes on.
        ("\u{1b}]0;never ended\nnext\n", &["", "next"]),
        ("\u{1b}[31\u{18}a\n", &["a"]),
        // A full-screen program leaves nothing behind.
        (
            "a\u{1b}[?1049h\u{1b}[Hlots\nof\ntext\u{1b}[?1049lb\n",
            &["ab"],
        ),
        // Wide characters take two columns; half of one is nothing.
        ("日本語\rX\n", &["X 本語"]),
        ("日本語\r\u{1b}[3CX\n", &["日 X語"]),
        ("😀😀\u{8}\u{8}Z\n", &["😀Z "]),
        ("a\u{301}bc\u{301}\r1\n", &["1bc\u{301}"]),
        ("\u{301}x\u{200d}y\n", &["x\u{200d}y"]),
        (
            "a\u{85}b\u{9b}31mc\u{2028}d",
            &["a", "b\u{1b}[31mc\u{2028}d\u{1b}[0m"],
        ),
    ];
    for (text, expected) in cases {
        let found = shown(&[text]);
        assert_eq!(found, *expected, "{text:?}");
        // However it is cut into writes.
        let characters: Vec<String> = text.chars().map(String::from).collect();
        let pieces: Vec<&str> = characters.iter().map(String::as_str).collect();
        assert_eq!(shown(&pieces), *expected, "{text:?} by characters");
    }
}

#[test]
fn streams_and_processes_have_a_terminal_each_and_share_the_numbers() {
    let mut console = Console::default();
    for (writer, is_error, text) in [
        (1, false, "a"),
        (1, true, "oops\n"),
        (2, false, "x"),
        (1, false, "b\n"),
        (2, false, "y\n"),
        (1, true, "10%"),
        (2, true, "5%"),
        (1, true, "\r100%\n"),
        (2, true, "\r50%\n"),
    ] {
        write(&mut console, writer, is_error, text);
    }
    let changes = console.take_changes();
    let found: Vec<(u64, bool, &str)> = changes
        .lines
        .values()
        .map(|line| (line.writer, line.is_error, line.text.as_str()))
        .collect();
    let expected = [
        (1, false, "ab"),
        (1, true, "oops"),
        (2, false, "xy"),
        (1, true, "100%"),
        (2, true, "50%"),
    ];
    assert_eq!(found, expected);
    assert_eq!(changes.fixed, 0);
}

#[test]
fn a_line_can_change_while_it_is_in_the_window() {
    let numbered: Vec<String> = (0..40).map(|number| format!("n{number}\n")).collect();
    let mut writes: Vec<&str> = numbered.iter().map(String::as_str).collect();
    writes.push("\u{1b}[50AUP\n");
    let found = shown(&writes);
    // The cursor is in the 41st line, the window reaches 31 lines further up.
    assert_eq!((found[8].as_str(), found[9].as_str()), ("n8", "UP"));
    assert_eq!(found.len(), 40);
}

#[test]
fn a_bar_that_others_have_left_far_behind_goes_on_in_a_new_line() {
    let mut console = Console::default();
    let mut shown = Shown::default();
    write(&mut console, 1, true, "bar 1%");
    for number in 0..CHANGEABLE_LINES {
        write(&mut console, 1, false, &format!("{number}\n"));
        shown.take(console.take_changes());
    }
    // The window of the other stream is what can change.
    assert_eq!(shown.fixed, CHANGEABLE_LINES + 1 - 31);
    write(&mut console, 1, true, "\rbar 2%");
    write(&mut console, 1, true, "\rbar 3%");
    shown.take(console.take_changes());
    let texts = shown.texts();
    assert_eq!((texts[0], texts.last()), ("bar 1%", Some(&"bar 3%")));
    assert_eq!(texts.len() as u64, CHANGEABLE_LINES + 2);
    // Erasing the whole screen does not reach back either.
    write(&mut console, 1, true, "\u{1b}[2J\rnew");
    shown.take(console.take_changes());
    assert_eq!(shown.texts().last(), Some(&"new"));
}

#[test]
fn nothing_grows_without_bound() {
    let long = "é".repeat(5_000);
    assert_eq!(shown(&[&long])[0].chars().count(), row::COLUMNS);
    let long = "x".repeat(5_000) + "\n" + &"\t".repeat(1_000);
    let found = shown(&[&long]);
    assert_eq!(
        (found[0].len(), found[1].len()),
        (row::COLUMNS, row::COLUMNS / 8)
    );
    let marks = "a".to_owned() + &"\u{301}".repeat(100_000);
    assert!(shown(&[&marks])[0].chars().count() < 2_000);
    let far = "\u{1b}[99999;99999Hx\u{1b}[99999@\u{1b}[99999L\u{1b}[99999T\u{1b}[99999Sy";
    assert!(shown(&[far]).len() <= screen::WINDOW_LINES);
    // Processes that come and go.
    let mut console = Console::default();
    for writer in 0..2_000 {
        for number in 0..40 {
            write(&mut console, writer, false, &format!("{number}\n"));
        }
        console.forget_changes();
    }
    assert!(
        console.screens.len() < 2 * SCREENS,
        "{}",
        console.screens.len()
    );
}

#[test]
fn logged_text_has_lines_of_its_own() {
    let mut console = Console::default();
    write(&mut console, 1, false, "x");
    let record = |line: &str| pb::OutputLoggerRecord {
        line: line.to_owned(),
        runlane_timestamp: None,
    };
    console.write_logged(1, &record("mid\n\n\u{1b}[31mred\n"));
    console.write_logged(1, &record(""));
    write(&mut console, 1, false, "y\n");
    let lines = console.take_changes().lines;
    let texts: Vec<&str> = lines.values().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["xy", "mid", "", "\u{1b}[31mred\u{1b}[0m", ""]);
    // W&B's client says no time: that of the line before.
    assert!(lines.values().all(|line| line.at == (100, 0)));
}

#[test]
fn what_is_open_can_be_told_again() {
    let mut console = Console::default();
    for number in 0..40 {
        write(&mut console, 1, false, &format!("{number}\n"));
        console.forget_changes();
    }
    let open = console.open_lines();
    assert_eq!((open.fixed, open.lines.len()), (9, 31));
    assert_eq!(open.lines[&9].text, "9");
}

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\t".to_owned()),
        Just("\u{8}".to_owned()),
        "[日a\u{301}😀\u{9b}\u{85}\0]{1,4}",
        "\u{1b}\\[[0-9;?]{0,6}[A-Za-z@`]",
        "\u{1b}[\\[\\]P78cDEM]",
    ]
}

proptest! {
    #[test]
    fn any_text_makes_bounded_lines_that_do_not_depend_on_the_writes(
        fragments in prop::collection::vec((0..3_u64, any::<bool>(), fragment()), 0..120),
        looks in prop::collection::vec(any::<bool>(), 120),
    ) {
        let mut often = (Console::default(), Shown::default());
        let mut once = (Console::default(), Shown::default());
        for ((writer, is_error, text), look) in fragments.iter().zip(looks) {
            write(&mut once.0, *writer, *is_error, text);
            write(&mut often.0, *writer, *is_error, text);
            if look {
                often.1.take(often.0.take_changes());
            }
        }
        for (console, shown) in [&mut often, &mut once] {
            console.finish();
            shown.take(console.take_changes());
            shown.texts();
        }
        prop_assert_eq!(&often.1.lines, &once.1.lines);
        for line in often.1.lines.values() {
            let plain = line.text.replace("\u{1b}[", "");
            prop_assert!(!plain.chars().any(|character| character.is_control() && character != '\t'), "{:?}", line.text);
        }
    }
}
