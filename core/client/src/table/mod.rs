//! The JSON text of the rows of tables, in the two forms that there are.
//!
//! | | [`Style::Artifact`] | [`Style::Run`] |
//! |---|---|---|
//! | where | the table's artifact | the table's file among the run's files |
//! | separators | `, ` and `: ` | `,` and `:` |
//! | text | ASCII, the rest as `\uXXXX` | UTF-8 |
//! | NaN | `null` | `NaN` |
//! | small numbers | `1e-05`, `1e-07` | `0.00001`, `1e-7` |
//!
//! Both write the shortest digits that give the same float again, and infinities as `Infinity`. They are what W&B's client
//! writes for the same cells (observed).

mod number;
mod text;

pub(crate) use number::float;

/// Which of the two forms is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// The file of an artifact.
    Artifact,
    /// The file of a run.
    Run,
}

/// A cell whose value is known, or an end of a list: of one in a cell, or of a row. Text belongs to someone else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    /// `null`
    Null,
    /// A bool.
    Bool(bool),
    /// An int within `i64`.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// JSON text.
    Raw(&'a str),
    /// Before the first element of a list.
    Begin,
    /// Behind the last one.
    End,
}

/// Appends rows, without the brackets around all of them.
pub(crate) fn rows(cells: &[Cell<'_>], style: Style, out: &mut Vec<u8>) {
    let separator: &[u8] = match style {
        Style::Artifact => b", ",
        Style::Run => b",",
    };
    let mut first = true;
    for cell in cells {
        if !first && !matches!(cell, Cell::End) {
            out.extend_from_slice(separator);
        }
        first = matches!(cell, Cell::Begin);
        match *cell {
            Cell::Null => out.extend_from_slice(b"null"),
            Cell::Bool(true) => out.extend_from_slice(b"true"),
            Cell::Bool(false) => out.extend_from_slice(b"false"),
            Cell::Int(value) => number::integer(value, out),
            Cell::Float(value) => float(value, style, out),
            Cell::Text(value) => text::quoted(value, style, out),
            Cell::Raw(value) => out.extend_from_slice(value.as_bytes()),
            Cell::Begin => out.push(b'['),
            Cell::End => out.push(b']'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cells: &[Cell<'_>], style: Style) -> String {
        let mut out = Vec::new();
        rows(cells, style, &mut out);
        String::from_utf8(out).expect("JSON text is UTF-8")
    }

    #[test]
    fn rows_are_lists_with_the_separators_of_their_form() {
        let cells = [
            Cell::Begin,
            Cell::Int(-1),
            Cell::Text("ü"),
            Cell::End,
            Cell::Begin,
            Cell::End,
            Cell::Begin,
            Cell::Raw("{}"),
            Cell::Begin,
            Cell::Null,
            Cell::Begin,
            Cell::End,
            Cell::End,
            Cell::Float(f64::NAN),
            Cell::Bool(true),
            Cell::End,
        ];
        assert_eq!(
            written(&cells, Style::Artifact),
            r#"[-1, "\u00fc"], [], [{}, [null, []], null, true]"#
        );
        assert_eq!(
            written(&cells, Style::Run),
            r#"[-1,"ü"],[],[{},[null,[]],NaN,true]"#
        );
        assert_eq!(written(&[], Style::Run), "");
    }
}
