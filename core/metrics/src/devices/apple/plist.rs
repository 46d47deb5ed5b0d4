//! XML property lists, as far as `powermetrics` writes them, as JSON.

use serde_json::{Map, Number, Value};

/// Lists and dictionaries within each other.
const MAX_DEPTH: usize = 32;

/// The value of a property list; `None` if it is none.
pub(super) fn parse(text: &str) -> Option<Value> {
    let (_, inside) = text.split_once("<plist")?;
    let (_, mut rest) = inside.split_once('>')?;
    value(&mut rest, 0)
}

/// The next tag: its name, whether it is empty (`<true/>`), and what follows it.
fn tag(text: &str) -> Option<(&str, bool, &str)> {
    let (_, inside) = text.split_once('<')?;
    let (tag, rest) = inside.split_once('>')?;
    match tag.strip_suffix('/') {
        Some(name) => Some((name.trim(), true, rest)),
        None => Some((tag.trim(), false, rest)),
    }
}

/// What stands before the closing tag `name`; `rest` goes on behind it.
fn content<'a>(rest: &mut &'a str, name: &str) -> Option<&'a str> {
    let (content, behind) = rest.split_once(&format!("</{name}>"))?;
    *rest = behind;
    Some(content.trim())
}

fn value(rest: &mut &str, depth: usize) -> Option<Value> {
    let (name, is_empty, behind) = tag(rest)?;
    if depth > MAX_DEPTH {
        return None;
    }
    *rest = behind;
    match (name, is_empty) {
        ("true", true) => Some(Value::Bool(true)),
        ("false", true) => Some(Value::Bool(false)),
        ("dict", true) => Some(Value::Object(Map::new())),
        ("array", true) => Some(Value::Array(Vec::new())),
        ("string" | "data", true) => Some(Value::String(String::new())),
        ("real" | "integer", false) => {
            let number: f64 = content(rest, name)?.parse().ok()?;
            // Infinite and undefined numbers have no place in JSON.
            Some(Number::from_f64(number).map_or(Value::Null, Value::Number))
        }
        ("string" | "date" | "data", false) => Some(Value::String(unescaped(content(rest, name)?))),
        ("array", false) => list(rest, depth),
        ("dict", false) => dictionary(rest, depth),
        _ => None,
    }
}

fn list(rest: &mut &str, depth: usize) -> Option<Value> {
    let mut items = Vec::new();
    loop {
        let (name, _, behind) = tag(rest)?;
        if name == "/array" {
            *rest = behind;
            return Some(Value::Array(items));
        }
        items.push(value(rest, depth + 1)?);
    }
}

fn dictionary(rest: &mut &str, depth: usize) -> Option<Value> {
    let mut members = Map::new();
    loop {
        let (name, _, behind) = tag(rest)?;
        *rest = behind;
        match name {
            "/dict" => return Some(Value::Object(members)),
            "key" => {
                let key = unescaped(content(rest, "key")?);
                members.insert(key, value(rest, depth + 1)?);
            }
            _ => return None,
        }
    }
}

fn unescaped(text: &str) -> String {
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
    ];
    let mut text = text.to_owned();
    for (escaped, letter) in named {
        text = text.replace(escaped, letter);
    }
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn all_kinds_of_values_are_read() {
        let text = r#"<?xml version="1.0"?><!DOCTYPE plist><plist version="1.0"><dict>
            <key>a &amp; b</key><integer>7</integer> <key>r</key><real>-1.5</real>
            <key>s</key><string>x &lt; y</string> <key>t</key><true/> <key>e</key><dict/>
            <key>nan</key><real>nan</real>
            <key>l</key><array><string/><false/><array/></array></dict></plist>"#;
        let expected = json!({
            "a & b": 7.0, "r": -1.5, "s": "x < y", "t": true, "e": {}, "nan": null,
            "l": ["", false, []],
        });
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn what_is_no_property_list_is_refused() {
        let deep = format!("<plist>{}", "<array>".repeat(100_000));
        let odd = [
            "",
            "<plist>",
            "<plist><dict><key>a</key>",
            "<plist><x>1</x>",
            &deep,
        ];
        for text in odd {
            assert_eq!(parse(text), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(<plist>|</?(dict|key|array|real|string)/?>|[0-9]|\\PC){0,40}") {
            parse(&format!("<plist>{text}"));
        }
    }
}
