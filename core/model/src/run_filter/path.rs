//! Dotted paths into documents.
//!
//! A dot may separate levels or be a part of a key; the longest literal key is tried first, then shorter ones, at every level.
//! Elements of lists are named by their number, without leading zeros.

use crate::json::{Object, Value};

/// The value at a path of a stored config, whose values lie in `{"value": v}` wrappers.
///
/// Both `lr` and `lr.value` name the value of `lr`, unless it has a member `value` itself; `opt.value.name` names the same as
/// `opt.name`.
pub fn in_config<'a>(config: &'a Object, path: &str) -> Option<&'a Value> {
    ends(path).find_map(|end| {
        let value = unwrapped(config.get(&path[..end])?);
        match after(path, end) {
            None => Some(value),
            Some(rest) => in_value(value, rest).or_else(|| match without_wrapper(rest)? {
                "" => Some(value),
                inner => in_value(value, inner),
            }),
        }
    })
}

/// The value at a path of an object.
pub fn in_object<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    ends(path).find_map(|end| {
        let value = object.get(&path[..end])?;
        after(path, end).map_or(Some(value), |rest| in_value(value, rest))
    })
}

/// The value at a path of any value.
pub fn in_value<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => in_object(object, path),
        Value::List(items) => {
            let (index, rest) = path
                .split_once('.')
                .map_or((path, None), |(index, rest)| (index, Some(rest)));
            let item = items.get(list_index(index)?)?;
            rest.map_or(Some(item), |rest| in_value(item, rest))
        }
        _ => None,
    }
}

/// The value of a config entry.
pub fn unwrapped(entry: &Value) -> &Value {
    entry.get("value").unwrap_or(entry)
}

/// Where the first key of a path may end, the longest first.
pub fn ends(path: &str) -> impl Iterator<Item = usize> {
    std::iter::once(path.len()).chain(path.rmatch_indices('.').map(|(at, _)| at))
}

/// The path below a first key that ends at `end`; none if the key is all.
pub fn after(path: &str, end: usize) -> Option<&str> {
    path[end..].strip_prefix('.')
}

/// The path without the wrapper's name in front, empty if that is all; none if it does not begin with it.
pub fn without_wrapper(rest: &str) -> Option<&str> {
    let inner = rest.strip_prefix("value")?;
    if inner.is_empty() {
        Some("")
    } else {
        inner.strip_prefix('.')
    }
}

fn list_index(text: &str) -> Option<usize> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse_object;

    #[test]
    fn config_keys_are_found_in_every_spelling() {
        let config = parse_object(
            r#"{"lr":{"value":0.1},"nested":{"value":{"x":1,"l":[5,{"y":6}],"p.q":{"r":7}}},"a.b":{"value":2},
                "value":{"value":3},"w":{"value":{"value":{"z":4}}},"bare":8,"a":{"value":{"b":9,"c":10}}}"#,
        )
        .expect("valid");
        for (path, expected) in [
            ("lr", Some(0.1)),
            ("lr.value", Some(0.1)),
            ("nested.x", Some(1.0)),
            ("nested.value.x", Some(1.0)),
            ("nested.l.1.y", Some(6.0)),
            ("nested.l.01", None),
            ("nested.l.+1", None),
            ("nested.l.-1", None),
            ("nested.p.q.r", Some(7.0)),
            ("a.b", Some(2.0)),
            ("a.b.value", Some(2.0)),
            ("a.c", Some(10.0)),
            ("value", Some(3.0)),
            ("w.value.z", Some(4.0)),
            ("w.value.value.z", Some(4.0)),
            ("bare", Some(8.0)),
            ("bare.value", Some(8.0)),
            ("lr.valueX", None),
            ("gone", None),
            ("", None),
            (".", None),
            ("nested..x", None),
        ] {
            let found = in_config(&config, path).and_then(Value::as_f64);
            assert_eq!(found, expected, "{path}");
        }
    }
}
