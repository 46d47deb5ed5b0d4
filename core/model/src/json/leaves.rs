//! Walking the leaves of an object without building it: the fast way from a history line to columns.

use std::borrow::Cow;

use super::lexer::{JsonError, Lexer, MAX_DEPTH, Number, Token};

/// A value below which a row has no more key path components.
#[derive(Debug, Clone, PartialEq)]
pub enum Leaf<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer within 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// An array, an empty object or an object that describes media (`_type`), as it is written.
    Json(&'a str),
}

/// Calls `visit(path, leaf)` for each leaf of the object in `text`, in written order; `path` is outermost first.
///
/// Arrays, empty objects and objects with a `_type` member are leaves of their own.
pub fn visit_leaves<'a>(
    text: &'a str,
    visit: &mut impl FnMut(&[Cow<'a, str>], Leaf<'a>),
) -> Result<(), JsonError> {
    let mut lexer = Lexer::new(text);
    lexer.expect(b'{', "not an object")?;
    let mut path = Vec::with_capacity(4);
    members(&mut lexer, &mut path, visit)?;
    lexer.expect_end()
}

fn members<'a>(
    lexer: &mut Lexer<'a>,
    path: &mut Vec<Cow<'a, str>>,
    visit: &mut impl FnMut(&[Cow<'a, str>], Leaf<'a>),
) -> Result<(), JsonError> {
    if lexer.take(b'}') {
        return Ok(());
    }
    if path.len() >= MAX_DEPTH {
        return Err(lexer.error("nested too deeply"));
    }
    loop {
        lexer.skip_space();
        path.push(lexer.string()?);
        lexer.expect(b':', "expected `:`")?;
        lexer.skip_space();
        let start = lexer.position();
        match lexer.token()? {
            Token::Null => visit(path, Leaf::Null),
            Token::Bool(value) => visit(path, Leaf::Bool(value)),
            Token::Number(Number::Int(value)) => visit(path, Leaf::Int(value)),
            Token::Number(Number::Float(value)) => visit(path, Leaf::Float(value)),
            Token::Text(text) => visit(path, Leaf::Text(text)),
            Token::ListStart => {
                skip_list(lexer, path.len())?;
                visit(path, Leaf::Json(lexer.slice_from(start)));
            }
            Token::ObjectStart => {
                let mut probe = Lexer::new(lexer.rest_from(start));
                let media = skip_object(&mut probe, path.len())?;
                if media {
                    let length = probe.position();
                    lexer.seek(start + length);
                    visit(path, Leaf::Json(lexer.slice_from(start)));
                } else {
                    members(lexer, path, visit)?;
                }
            }
        }
        path.pop();
        if !lexer.take(b',') {
            return lexer.expect(b'}', "expected `,` or `}`");
        }
    }
}

/// Skips an object, brace included; true if it is a leaf: empty, or with a `_type` member.
fn skip_object(lexer: &mut Lexer<'_>, depth: usize) -> Result<bool, JsonError> {
    lexer.expect(b'{', "not an object")?;
    if lexer.take(b'}') {
        return Ok(true);
    }
    let mut media = false;
    loop {
        lexer.skip_space();
        media |= lexer.string()? == "_type";
        lexer.expect(b':', "expected `:`")?;
        skip_value(lexer, depth + 1)?;
        if !lexer.take(b',') {
            lexer.expect(b'}', "expected `,` or `}`")?;
            return Ok(media);
        }
    }
}

/// Skips a list whose bracket was taken.
fn skip_list(lexer: &mut Lexer<'_>, depth: usize) -> Result<(), JsonError> {
    if lexer.take(b']') {
        return Ok(());
    }
    loop {
        skip_value(lexer, depth + 1)?;
        if !lexer.take(b',') {
            return lexer.expect(b']', "expected `,` or `]`");
        }
    }
}

fn skip_value(lexer: &mut Lexer<'_>, depth: usize) -> Result<(), JsonError> {
    if depth > MAX_DEPTH {
        return Err(lexer.error("nested too deeply"));
    }
    lexer.skip_space();
    let start = lexer.position();
    match lexer.token()? {
        Token::ListStart => skip_list(lexer, depth),
        Token::ObjectStart => {
            lexer.seek(start);
            skip_object(lexer, depth).map(|_leaf| ())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(text: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        visit_leaves(text, &mut |path, leaf| {
            found.push((path.join("/"), format!("{leaf:?}")));
        })
        .expect("valid rows");
        found
    }

    #[test]
    fn nested_objects_are_walked_and_other_containers_kept() {
        let found = leaves(
            r#"{"a": {"b": 1, "c": {"d": 2.5}}, "l": [1, {"x": NaN}], "e": {}, "m": {"_type": "histogram", "bins": [1]}, "t": "x\n"}"#,
        );
        let expected = [
            ("a/b", "Int(1)"),
            ("a/c/d", "Float(2.5)"),
            ("l", r#"Json("[1, {\"x\": NaN}]")"#),
            ("e", r#"Json("{}")"#),
            ("m", r#"Json("{\"_type\": \"histogram\", \"bins\": [1]}")"#),
            ("t", r#"Text("x\n")"#),
        ];
        assert_eq!(
            found,
            expected.map(|(path, leaf)| (path.to_owned(), leaf.to_owned()))
        );
    }

    #[test]
    fn malformed_rows_are_refused() {
        for text in ["[]", "{", "{\"a\":1,}", "{\"a\":{\"b\":}}", "{\"a\":[1}"] {
            assert!(visit_leaves(text, &mut |_, _| ()).is_err(), "{text}");
        }
    }
}
