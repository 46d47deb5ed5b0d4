//! Terminal control sequences (ECMA-48 and what xterm adds), one character at a time. Knows no screen.
//!
//! A line feed ends a string sequence (`ESC ] …` and its like) that was never closed: terminals would go on swallowing, but a
//! log must not lose everything that follows one stray character.

/// Parameters of one sequence; further ones are ignored.
const PARAMETERS: usize = 32;

/// What a character leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is part of a sequence, or has no effect.
    Nothing,
    /// It is shown.
    Show(char),
    /// A control character of its own.
    Control(char),
    /// `ESC` and this final character.
    Escape(char),
    /// `ESC [ … <final>`; the parameters are in [`Parser::parameters`].
    Csi {
        /// `?` and its like before the parameters; 0 if there is none.
        private: char,
        /// The character that ends the sequence.
        last: char,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Ground,
    /// Behind `ESC`.
    Escape,
    /// Behind `ESC` and an intermediate character (`ESC ( B`): one more follows.
    Intermediate,
    Csi,
    /// A CSI sequence of a form that means nothing here.
    IgnoredCsi,
    /// Inside `ESC ] …`, `ESC P …`, `ESC X …`, `ESC ^ …`, `ESC _ …`.
    Text,
    /// As `Text`, behind an `ESC` that may end it.
    TextEnd,
}

/// The state between two characters.
#[derive(Debug, Default)]
pub(super) struct Parser {
    place: Place,
    parameters: Vec<u16>,
    private: char,
}

impl Parser {
    /// Whether plain text is shown as it is.
    pub(super) fn is_ground(&self) -> bool {
        self.place == Place::Ground
    }

    /// The parameters of the sequence that has just ended; one that was left out is 0.
    pub(super) fn parameters(&self) -> &[u16] {
        &self.parameters
    }

    /// Takes the next character.
    #[expect(
        clippy::match_same_arms,
        reason = "the first that matches counts: they are in order of precedence"
    )]
    pub(super) fn next(&mut self, character: char) -> Action {
        match (self.place, character) {
            (Place::Text, '\u{7}' | '\u{9c}') | (Place::TextEnd, '\\') => self.end(Action::Nothing),
            (Place::Text, '\u{1b}') => self.go(Place::TextEnd),
            (Place::Text | Place::TextEnd, '\n') => self.end(Action::Control('\n')),
            (Place::Text, _) | (_, '\u{7f}') => Action::Nothing,
            (_, '\u{1b}') => self.go(Place::Escape),
            // Cancel and substitute end any sequence.
            (_, '\u{18}' | '\u{1a}') => self.end(Action::Nothing),
            // Controls act inside sequences too.
            (_, '\0'..='\u{1f}') => Action::Control(character),
            (Place::Ground, '\u{80}'..='\u{9f}') => self.eight_bit(character),
            (Place::Ground, _) => Action::Show(character),
            (Place::Escape | Place::TextEnd, _) => self.after_escape(character),
            (Place::Intermediate, ' '..='/') => Action::Nothing,
            (Place::Intermediate, _) => self.end(Action::Nothing),
            (Place::Csi, _) => self.in_csi(character),
            (Place::IgnoredCsi, '\u{40}'..='\u{7e}') => self.end(Action::Nothing),
            (Place::IgnoredCsi, _) => Action::Nothing,
        }
    }

    fn go(&mut self, place: Place) -> Action {
        self.place = place;
        Action::Nothing
    }

    fn end(&mut self, action: Action) -> Action {
        self.place = Place::Ground;
        action
    }

    /// The one-character forms of `ESC` sequences.
    fn eight_bit(&mut self, character: char) -> Action {
        match character {
            '\u{85}' => Action::Escape('E'),
            '\u{9b}' => self.begin_csi(),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.go(Place::Text),
            _ => Action::Nothing,
        }
    }

    fn begin_csi(&mut self) -> Action {
        self.parameters.clear();
        self.private = '\0';
        self.go(Place::Csi)
    }

    fn after_escape(&mut self, character: char) -> Action {
        match character {
            '[' => self.begin_csi(),
            ']' | 'P' | 'X' | '^' | '_' => self.go(Place::Text),
            ' '..='/' => self.go(Place::Intermediate),
            last => self.end(Action::Escape(last)),
        }
    }

    fn in_csi(&mut self, character: char) -> Action {
        match character {
            '0'..='9' => {
                if self.parameters.is_empty() {
                    self.parameters.push(0);
                }
                if let (Some(last), Some(digit)) =
                    (self.parameters.last_mut(), character.to_digit(10))
                {
                    let digit = u16::try_from(digit).unwrap_or_default();
                    *last = last.saturating_mul(10).saturating_add(digit);
                }
                Action::Nothing
            }
            ';' | ':' => {
                if self.parameters.is_empty() {
                    self.parameters.push(0);
                }
                if self.parameters.len() < PARAMETERS {
                    self.parameters.push(0);
                }
                Action::Nothing
            }
            '<'..='?' if self.parameters.is_empty() => {
                self.private = character;
                Action::Nothing
            }
            '\u{40}'..='\u{7e}' => {
                let private = self.private;
                self.end(Action::Csi {
                    private,
                    last: character,
                })
            }
            // Intermediate characters: sequences that only change how a terminal looks or works.
            _ => self.go(Place::IgnoredCsi),
        }
    }
}
