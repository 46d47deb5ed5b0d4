//! The cursor below both readers: it knows tokens, not documents.

use std::borrow::Cow;

use thiserror::Error;

/// Containers nest at most this deep; deeper input is refused instead of overflowing the stack.
pub const MAX_DEPTH: usize = 128;

/// Why a text is not extended JSON.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("invalid JSON at byte {offset}: {reason}")]
pub struct JsonError {
    /// Where, in bytes from the start of the text.
    pub offset: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// A number as written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

/// What a value starts with; containers are left to the caller.
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    ListStart,
    ObjectStart,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            position: 0,
        }
    }

    pub(super) fn error(&self, reason: &'static str) -> JsonError {
        JsonError {
            offset: self.position,
            reason,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn slice_from(&self, start: usize) -> &'a str {
        &self.text[start..self.position]
    }

    pub(super) fn rest_from(&self, start: usize) -> &'a str {
        &self.text[start..]
    }

    /// Goes back or ahead to a position that `position` gave.
    pub(super) fn seek(&mut self, position: usize) {
        self.position = position;
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.position += 1;
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    /// Takes `byte` after white space, if it is next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        if found {
            self.position += 1;
        }
        found
    }

    pub(super) fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), JsonError> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.error(reason))
        }
    }

    pub(super) fn expect_end(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        if self.position == self.bytes.len() {
            Ok(())
        } else {
            Err(self.error("trailing characters"))
        }
    }

    pub(super) fn token(&mut self) -> Result<Token<'a>, JsonError> {
        self.skip_space();
        match self
            .peek()
            .ok_or_else(|| self.error("a value is missing"))?
        {
            b'{' => {
                self.position += 1;
                Ok(Token::ObjectStart)
            }
            b'[' => {
                self.position += 1;
                Ok(Token::ListStart)
            }
            b'"' => self.string().map(Token::Text),
            b'n' => self.word("null").map(|()| Token::Null),
            b't' => self.word("true").map(|()| Token::Bool(true)),
            b'f' => self.word("false").map(|()| Token::Bool(false)),
            b'N' => self
                .word("NaN")
                .map(|()| Token::Number(Number::Float(f64::NAN))),
            b'I' => self
                .word("Infinity")
                .map(|()| Token::Number(Number::Float(f64::INFINITY))),
            b'-' if self.bytes.get(self.position + 1) == Some(&b'I') => self
                .word("-Infinity")
                .map(|()| Token::Number(Number::Float(f64::NEG_INFINITY))),
            b'-' | b'0'..=b'9' => self.number().map(Token::Number),
            _ => Err(self.error("not a value")),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        if !self.bytes[self.position..].starts_with(word.as_bytes()) {
            return Err(self.error("not a value"));
        }
        self.position += word.len();
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.position;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        self.position - start
    }

    fn number(&mut self) -> Result<Number, JsonError> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let integer_digits = self.digits();
        if integer_digits == 0 || (leading_zero && integer_digits > 1) {
            return Err(self.error("malformed number"));
        }
        let mut integral = true;
        if self.peek() == Some(b'.') {
            integral = false;
            self.position += 1;
            if self.digits() == 0 {
                return Err(self.error("malformed number"));
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            integral = false;
            self.position += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.position += 1;
            }
            if self.digits() == 0 {
                return Err(self.error("malformed number"));
            }
        }
        let text = self.slice_from(start);
        if integral && let Ok(value) = text.parse::<i64>() {
            return Ok(Number::Int(value));
        }
        text.parse::<f64>()
            .map(Number::Float)
            .map_err(|_malformed| self.error("malformed number"))
    }

    /// The next string, quotes taken; borrowed unless it has escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.expect(b'"', "a string is missing")?;
        let start = self.position;
        let rest = &self.bytes[start..];
        let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
            self.position = self.bytes.len();
            return Err(self.error("unterminated string"));
        };
        if let Some(control) = rest[..length].iter().position(|byte| *byte < 0x20) {
            self.position += control;
            return Err(self.error("control character in a string"));
        }
        self.position += length;
        if self.bytes[self.position] == b'"' {
            let text = self.slice_from(start);
            self.position += 1;
            return Ok(Cow::Borrowed(text));
        }
        self.escaped_string(start).map(Cow::Owned)
    }

    fn escaped_string(&mut self, start: usize) -> Result<String, JsonError> {
        let mut out = String::from(self.slice_from(start));
        loop {
            match self
                .peek()
                .ok_or_else(|| self.error("unterminated string"))?
            {
                b'"' => {
                    self.position += 1;
                    return Ok(out);
                }
                b'\\' => {
                    self.position += 1;
                    out.push(self.escape()?);
                }
                byte if byte < 0x20 => return Err(self.error("control character in a string")),
                _ => {
                    let from = self.position;
                    while self
                        .peek()
                        .is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
                    {
                        self.position += 1;
                    }
                    out.push_str(self.slice_from(from));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self
            .peek()
            .ok_or_else(|| self.error("unterminated string"))?;
        self.position += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.error("unknown escape")),
        })
    }

    /// `\uXXXX`, surrogate pairs joined; a lone surrogate becomes U+FFFD.
    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        if !(0xD800..0xDC00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.position;
        if self.bytes[self.position..].starts_with(b"\\u") {
            self.position += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.position = before;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self
            .bytes
            .get(self.position..self.position + 4)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .ok_or_else(|| self.error("malformed \\u escape"))?;
        let code = digits.iter().fold(0, |code, digit| {
            code * 16
                + char::from(*digit)
                    .to_digit(16)
                    .expect("checked to be a hex digit")
        });
        self.position += 4;
        Ok(code)
    }
}
