//! Setting and removing leaves of nested objects by key path.

use crate::json::{Object, Value};
use crate::key_path::KeyPath;

/// Sets the value at `path`; an object value replaces what was there, and leaves on the way become objects.
pub fn set(tree: &mut Object, path: &KeyPath, value: Value) {
    let (last, parents) = split(path);
    let mut object = tree;
    for component in parents {
        let entry = object
            .entry(component.clone())
            .or_insert_with(|| Value::Object(Object::new()));
        if !matches!(entry, Value::Object(_)) {
            *entry = Value::Object(Object::new());
        }
        object = match entry {
            Value::Object(inner) => inner,
            _ => unreachable!("made an object above"),
        };
    }
    object.insert(last.clone(), value);
}

/// Removes the leaf or subtree at `path`; objects that become empty stay, as in W&B.
pub fn remove(tree: &mut Object, path: &KeyPath) -> Option<Value> {
    let (last, parents) = split(path);
    let mut object = tree;
    for component in parents {
        match object.get_mut(component) {
            Some(Value::Object(inner)) => object = inner,
            _ => return None,
        }
    }
    object.shift_remove(last)
}

/// The value at `path`.
pub fn get<'a>(tree: &'a Object, path: &KeyPath) -> Option<&'a Value> {
    let (last, parents) = split(path);
    let mut object = tree;
    for component in parents {
        object = object.get(component)?.as_object()?;
    }
    object.get(last)
}

/// Calls `visit` for each leaf below `value` (an empty object has none), depth first, in order.
pub fn visit_leaves(path: &KeyPath, value: &Value, visit: &mut impl FnMut(KeyPath, &Value)) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                visit_leaves(&path.child(key), inner, visit);
            }
        }
        leaf => visit(path.clone(), leaf),
    }
}

fn split(path: &KeyPath) -> (&String, &[String]) {
    path.components()
        .split_last()
        .expect("a key path is never empty")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse_object;

    #[test]
    fn a_leaf_replaces_a_subtree_and_back() {
        let mut tree = parse_object(r#"{"a":{"b":1},"c":2}"#).expect("valid");
        set(&mut tree, &KeyPath::flat("a"), Value::Int(5));
        set(&mut tree, &KeyPath::from_dotted("c.d.e"), Value::Int(6));
        assert_eq!(
            Value::Object(tree.clone()).to_string(),
            r#"{"a":5,"c":{"d":{"e":6}}}"#
        );
        assert_eq!(
            get(&tree, &KeyPath::from_dotted("c.d.e")),
            Some(&Value::Int(6))
        );
        assert_eq!(
            remove(&mut tree, &KeyPath::from_dotted("c.d.e")),
            Some(Value::Int(6))
        );
        assert_eq!(remove(&mut tree, &KeyPath::from_dotted("a.x")), None);
        assert_eq!(Value::Object(tree).to_string(), r#"{"a":5,"c":{"d":{}}}"#);
    }
}
