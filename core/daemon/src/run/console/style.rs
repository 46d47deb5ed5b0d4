//! How characters look: `ESC [ … m` (select graphic rendition) read, and written in one normal form.

use std::fmt::Write;

/// A colour of the text or behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Colour {
    #[default]
    Default,
    /// Of the palette of 256; the first 16 are the terminal's own.
    Palette(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// Everything that is kept of how a character looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// Bit `n` is code `n`: bold, dim, italic, underline, blink, inverse, hidden, struck out.
    attributes: u16,
    text: Colour,
    behind: Colour,
}

/// Codes that are attributes of their own.
const ATTRIBUTES: [u16; 8] = [1, 2, 3, 4, 5, 7, 8, 9];

impl Style {
    pub(super) const PLAIN: Self = Self {
        attributes: 0,
        text: Colour::Default,
        behind: Colour::Default,
    };

    /// Applies the codes of one sequence; none means 0.
    pub(super) fn apply(&mut self, codes: &[u16]) {
        if codes.is_empty() {
            *self = Self::PLAIN;
        }
        let mut at = 0;
        while let Some(code) = codes.get(at) {
            at += 1;
            match code {
                38 => at += extended(&codes[at..], &mut self.text),
                48 => at += extended(&codes[at..], &mut self.behind),
                58 => at += extended(&codes[at..], &mut Colour::default()),
                code => self.apply_one(*code),
            }
        }
    }

    fn apply_one(&mut self, code: u16) {
        let palette = |base: u16| Colour::Palette(u8::try_from(code - base).unwrap_or_default());
        match code {
            0 => *self = Self::PLAIN,
            1..=5 | 7..=9 => self.attributes |= 1 << code,
            21 => self.attributes |= 1 << 4,
            22 => self.attributes &= !(1 << 1 | 1 << 2),
            23..=25 | 27..=29 => self.attributes &= !(1 << (code - 20)),
            30..=37 => self.text = palette(30),
            39 => self.text = Colour::Default,
            40..=47 => self.behind = palette(40),
            49 => self.behind = Colour::Default,
            90..=97 => self.text = palette(82),
            100..=107 => self.behind = palette(92),
            _ => {}
        }
    }

    /// Appends the sequence that changes from `before` to this style.
    pub(super) fn write_change(&self, before: &Self, out: &mut String) {
        if self == before {
            return;
        }
        if *self == Self::PLAIN {
            out.push_str("\u{1b}[0m");
            return;
        }
        out.push_str("\u{1b}[");
        let begins_at = out.len();
        if *before != Self::PLAIN {
            out.push('0');
        }
        let mut put = |code: std::fmt::Arguments<'_>| {
            if out.len() > begins_at {
                out.push(';');
            }
            out.write_fmt(code)
                .expect("writing to a string never fails");
        };
        for code in ATTRIBUTES {
            if self.attributes & 1 << code != 0 {
                put(format_args!("{code}"));
            }
        }
        for (colour, base, bright, extended) in
            [(self.text, 30, 90, 38), (self.behind, 40, 100, 48)]
        {
            match colour {
                Colour::Default => {}
                Colour::Palette(index @ 0..=7) => put(format_args!("{}", base + i32::from(index))),
                Colour::Palette(index @ 8..=15) => {
                    put(format_args!("{}", bright + i32::from(index) - 8));
                }
                Colour::Palette(index) => put(format_args!("{extended};5;{index}")),
                Colour::Rgb(red, green, blue) => {
                    put(format_args!("{extended};2;{red};{green};{blue}"));
                }
            }
        }
        out.push('m');
    }
}

/// Reads the colour behind code 38 or 48; returns how many codes that took.
fn extended(codes: &[u16], colour: &mut Colour) -> usize {
    let byte = |value: Option<&u16>| u8::try_from(*value.unwrap_or(&0)).unwrap_or(u8::MAX);
    match codes.first() {
        Some(5) => {
            *colour = Colour::Palette(byte(codes.get(1)));
            2
        }
        Some(2) => {
            *colour = Colour::Rgb(byte(codes.get(1)), byte(codes.get(2)), byte(codes.get(3)));
            4
        }
        _ => 1,
    }
}
