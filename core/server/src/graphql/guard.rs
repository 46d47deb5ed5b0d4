//! What a request is checked for before the GraphQL engine sees it, in time proportional to its length.
//!
//! The engine's own limits are not enough: its parser recurses once per bracket, and its checks follow each spread of a fragment,
//! which twenty short fragments make a million times. So the text is measured before it is parsed, and the parsed document
//! before it is validated; each fragment is measured once, however often it is spread.

use std::collections::HashMap;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};

use crate::error::ApiError;

/// Longest text of a document; the longest of W&B's client has 20 KiB. What is long belongs into the variables.
pub(crate) const TEXT_BYTES: usize = 128 << 10;
/// Words, numbers, strings and marks.
pub(crate) const TOKENS: usize = 10_000;
/// Brackets in brackets.
pub(crate) const NESTING: usize = 50;
/// Fields in fields, with the fragments in their places.
pub(crate) const DEPTH: usize = 20;
/// Fields of the whole document, with the fragments in their places.
pub(crate) const FIELDS: usize = 5_000;
/// Fields with another name in the answer.
pub(crate) const ALIASES: usize = 100;
/// Operations of a document.
pub(crate) const OPERATIONS: usize = 10;
/// Values in the variables: elements of lists, members of objects.
pub(crate) const VALUES: usize = 500_000;
/// Lists of the schema in lists of the schema, each of which multiplies the answer.
const SCHEMA_LISTS: usize = 3;

fn refused(what: &str, limit: usize) -> ApiError {
    ApiError::new(
        http::StatusCode::BAD_REQUEST,
        "query_too_large",
        format!("the GraphQL document has more than {limit} {what}; ask for less at once"),
    )
}

/// Refuses a body whose values would take many times its own size in memory.
pub(super) fn check_body(body: &[u8]) -> Result<(), ApiError> {
    let (mut values, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    if values > VALUES {
        return Err(ApiError::too_large(format!(
            "the request has more than {VALUES} values; send it in parts"
        )));
    }
    Ok(())
}

/// The document of `text`, if it is within all limits.
pub(super) fn parse(text: &str) -> Result<ExecutableDocument, ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::malformed("`query` is empty"));
    }
    if text.len() > TEXT_BYTES {
        return Err(refused(
            "bytes (values belong into its variables)",
            TEXT_BYTES,
        ));
    }
    check_text(text)?;
    let document = parse_query(text)
        .map_err(|error| ApiError::malformed(format!("not a GraphQL document: {error}")))?;
    check_document(&document)?;
    Ok(document)
}

/// Checks that the variables that `operation` (or the only one) needs are given: the engine takes null for them.
pub(super) fn check_variables(
    document: &ExecutableDocument,
    operation: Option<&str>,
    variables: &serde_json::Map<String, serde_json::Value>,
) -> Result<(), ApiError> {
    let Some(operation) = executed(document, operation) else {
        return Ok(());
    };
    for definition in &operation.node.variable_definitions {
        let definition = &definition.node;
        let name = definition.name.node.as_str();
        let kind = &definition.var_type.node;
        let given = variables.get(name);
        let is_missing = given.is_none() && definition.default_value.is_none();
        if !kind.nullable && (is_missing || given.is_some_and(serde_json::Value::is_null)) {
            return Err(ApiError::malformed(format!(
                "variable `${name}` of type `{kind}` has no value"
            )));
        }
    }
    Ok(())
}

/// The operation that is executed.
fn executed<'a>(
    document: &'a ExecutableDocument,
    operation: Option<&str>,
) -> Option<&'a Positioned<OperationDefinition>> {
    let mut operations = document.operations.iter();
    let found = operations.find(|(name, _)| match (name, operation) {
        (Some(name), Some(wanted)) => name.as_str() == wanted,
        _ => true,
    });
    found.map(|(_, operation)| operation)
}

/// Gives variables that are left out their defaults. The engine does that for arguments, not for `@include` and `@skip`.
pub(super) fn fill_defaults(
    document: &ExecutableDocument,
    operation: Option<&str>,
    variables: &mut serde_json::Map<String, serde_json::Value>,
) {
    let Some(operation) = executed(document, operation) else {
        return;
    };
    for definition in &operation.node.variable_definitions {
        let definition = &definition.node;
        let name = definition.name.node.as_str();
        if let Some(default) = definition.default_value()
            && !variables.contains_key(name)
            && let Ok(value) = default.clone().into_json()
        {
            variables.insert(name.to_owned(), value);
        }
    }
}

/// Counts tokens and brackets; strings and comments are passed over as the grammar has them.
fn check_text(text: &str) -> Result<(), ApiError> {
    let bytes = text.as_bytes();
    let (mut at, mut tokens, mut nesting) = (0, 0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += bytes[at..]
                    .iter()
                    .position(|byte| matches!(byte, b'\n' | b'\r'))
                    .unwrap_or(bytes.len() - at);
                continue;
            }
            b'{' | b'(' | b'[' => {
                nesting += 1;
                at += 1;
            }
            b'}' | b')' | b']' => {
                nesting = nesting.saturating_sub(1);
                at += 1;
            }
            b'"' => at = end_of_string(bytes, at),
            byte if is_word(*byte) => {
                at += bytes[at..]
                    .iter()
                    .position(|byte| !is_word(*byte))
                    .unwrap_or(bytes.len() - at);
            }
            _ => at += 1,
        }
        tokens += 1;
        if tokens > TOKENS {
            return Err(refused("tokens", TOKENS));
        }
        if nesting > NESTING {
            return Err(refused("levels of brackets", NESTING));
        }
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Behind the string that begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let (mark, mut at) = if bytes[at..].starts_with(b"\"\"\"") {
        (&b"\"\"\""[..], at + 3)
    } else {
        (&b"\""[..], at + 1)
    };
    while at < bytes.len() {
        if bytes[at..].starts_with(mark) {
            return at + mark.len();
        }
        // In a block string only `\"""` is an escape, and stepping over two bytes of another is harmless there.
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    bytes.len()
}

/// What a selection amounts to with its fragments in place.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    depth: usize,
    fields: usize,
    aliases: usize,
    schema_lists: usize,
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    /// Sizes of fragments; none while a fragment is being measured.
    known: HashMap<&'a Name, Option<Size>>,
}

#[expect(
    clippy::iter_over_hash_type,
    reason = "sums and maxima are the same in any order"
)]
fn check_document(document: &ExecutableDocument) -> Result<(), ApiError> {
    if document.operations.iter().count() > OPERATIONS {
        return Err(refused("operations", OPERATIONS));
    }
    let mut measure = Measure {
        document,
        known: HashMap::new(),
    };
    let mut whole = Size::default();
    for (_, operation) in document.operations.iter() {
        let size = measure.of(&operation.node.selection_set.node)?;
        whole.beside(size);
    }
    // Fragments that nothing spreads are validated all the same.
    for fragment in document.fragments.values() {
        whole.beside(measure.of(&fragment.node.selection_set.node)?);
    }
    if whole.depth > DEPTH {
        return Err(refused("levels of fields", DEPTH));
    }
    if whole.fields > 2 * FIELDS {
        return Err(refused("fields", FIELDS));
    }
    if whole.aliases > 2 * ALIASES {
        return Err(refused("aliases", ALIASES));
    }
    if whole.schema_lists > SCHEMA_LISTS {
        return Err(refused("lists of the schema in one another", SCHEMA_LISTS));
    }
    Ok(())
}

impl Size {
    /// Adds a selection that stands beside this one.
    fn beside(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        self.fields = self.fields.saturating_add(other.fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.schema_lists = self.schema_lists.max(other.schema_lists);
    }
}

impl<'a> Measure<'a> {
    fn of(&mut self, selection: &'a SelectionSet) -> Result<Size, ApiError> {
        let mut size = Size::default();
        for item in &selection.items {
            size.beside(match &item.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    let mut inner = self.of(&field.selection_set.node)?;
                    inner.depth += 1;
                    inner.fields = inner.fields.saturating_add(1);
                    inner.aliases = inner
                        .aliases
                        .saturating_add(usize::from(field.alias.is_some()));
                    if matches!(
                        field.name.node.as_str(),
                        "fields" | "inputFields" | "possibleTypes" | "interfaces"
                    ) && !field.selection_set.node.items.is_empty()
                    {
                        inner.schema_lists += 1;
                    }
                    inner
                }
                Selection::InlineFragment(inline) => self.of(&inline.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node)?
                }
            });
        }
        Ok(size)
    }

    fn fragment(&mut self, name: &'a Name) -> Result<Size, ApiError> {
        match self.known.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => {
                return Err(ApiError::malformed(format!(
                    "fragment `{name}` contains itself"
                )));
            }
            None => {}
        }
        // One that does not exist is refused by the validation.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Size::default());
        };
        self.known.insert(name, None);
        let size = self.of(&fragment.node.selection_set.node)?;
        self.known.insert(name, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(text)
            .err()
            .map(|error| error.message)
            .unwrap_or_default()
    }

    #[test]
    fn ordinary_documents_pass() {
        for text in [
            "{ viewer { id } }",
            "query Q($a: Int = 3) { a: project(name: \"x{{{{\") { ...F @include(if: true) } } fragment F on Project { id # }}}\n }",
            "{ f(text: \"\"\"block \\\"\"\" { [ ( \"\"\") { id } }",
        ] {
            assert_eq!(refusal(text), "", "{text}");
        }
    }

    #[test]
    fn bombs_are_refused_before_they_are_parsed() {
        let cases = [
            ("{a".repeat(20_000), "levels of brackets"),
            (
                format!("{{ f(x: {}) }}", "[".repeat(30_000)),
                "levels of brackets",
            ),
            (format!("{{ {} }}", "a ".repeat(20_000)), "tokens"),
            (format!("{{ f {} }}", "@x ".repeat(9_000)), "tokens"),
            (format!("{{ f(x: \"{}\") }}", "x".repeat(200_000)), "bytes"),
            ("   ".to_owned(), "empty"),
        ];
        for (text, word) in cases {
            let began = std::time::Instant::now();
            assert!(refusal(&text).contains(word), "{word}: {}", refusal(&text));
            assert!(
                began.elapsed() < std::time::Duration::from_millis(100),
                "{word}"
            );
        }
    }

    #[test]
    fn fragments_are_measured_once_however_often_they_are_spread() {
        use std::fmt::Write as _;
        let mut text = "{ ...F0 }".to_owned();
        for level in 0..40 {
            write!(
                text,
                " fragment F{level} on Query {{ a{level} {{ id }} ...F{} ...F{} }}",
                level + 1,
                level + 1
            )
            .expect("in memory");
        }
        text.push_str(" fragment F40 on Query { z }");
        let began = std::time::Instant::now();
        assert!(refusal(&text).contains("5000 fields"), "{}", refusal(&text));
        assert!(began.elapsed() < std::time::Duration::from_millis(100));
    }

    #[test]
    fn documents_beyond_a_limit_name_it() {
        let cases = [
            ("{ ...A } fragment A on Q { ...B } fragment B on Q { ...A }".to_owned(), "contains itself"),
            ("{ v } fragment A on Q { a { ...A } }".to_owned(), "contains itself"),
            (format!("{}{}", "{a".repeat(22), "}".repeat(22)), "levels of fields"),
            (format!("{{ {} }}", "a: b ".repeat(300)), "100 aliases"),
            (["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"].map(|name| format!("query {name} {{ a }} ")).concat(), "operations"),
            ("{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }".to_owned(), "lists of the schema"),
        ];
        for (text, word) in cases {
            assert!(refusal(&text).contains(word), "{word}: {}", refusal(&text));
        }
    }

    #[test]
    fn bodies_of_many_values_are_refused_and_long_strings_are_not() {
        assert!(check_body(format!("[{}]", "0,".repeat(600_000)).as_bytes()).is_err());
        assert!(
            check_body(format!("{{\"a\": \"{}\\\"\"}}", ",[".repeat(600_000)).as_bytes()).is_ok()
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in "[{}()\\[\\]\"\\\\#a$@:!. \\n]{0,200}") {
            drop(parse(&text));
        }
    }
}
