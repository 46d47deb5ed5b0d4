//! Key paths: `["train", "loss"]`, shown as `train.loss`, a literal dot inside a component as `\.`
//! (`reference/wandb/records.md` §2.3).

use std::fmt;

/// The path of a leaf in a row, summary or config; outermost component first, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// A path of one component, taken as it is.
    pub fn flat(key: impl Into<String>) -> Self {
        Self(vec![key.into()])
    }

    /// A path of several components; `None` if there are none.
    pub fn nested(components: Vec<String>) -> Option<Self> {
        (!components.is_empty()).then_some(Self(components))
    }

    /// The path of a record item: `nested_key` if it has components, else `key`.
    pub fn of_item(key: &str, nested_key: &[String]) -> Self {
        if nested_key.is_empty() {
            Self::flat(key)
        } else {
            Self(nested_key.to_vec())
        }
    }

    /// Reads the dotted form; the inverse of `to_string`.
    pub fn from_dotted(text: &str) -> Self {
        let mut components = vec![String::new()];
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' if characters.peek() == Some(&'.') => {
                    characters.next();
                    push(&mut components, '.');
                }
                '.' => components.push(String::new()),
                other => push(&mut components, other),
            }
        }
        Self(components)
    }

    /// The components, outermost first.
    pub fn components(&self) -> &[String] {
        &self.0
    }

    /// The path one level down.
    #[must_use]
    pub fn child(&self, component: &str) -> Self {
        let mut components = self.0.clone();
        components.push(component.to_owned());
        Self(components)
    }

    /// Whether this path is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

fn push(components: &mut [String], character: char) {
    if let Some(last) = components.last_mut() {
        last.push(character);
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, component) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(".")?;
            }
            if component.contains('.') {
                formatter.write_str(&component.replace('.', "\\."))?;
            } else {
                formatter.write_str(component)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_dotted_form_reads_back(components in prop::collection::vec("[a-z./ ]{0,5}", 1..5)) {
            let path = KeyPath::nested(components).expect("not empty");
            prop_assert_eq!(KeyPath::from_dotted(&path.to_string()), path);
        }
    }

    #[test]
    fn a_dot_in_a_key_differs_from_nesting() {
        let dotted = KeyPath::flat("a.b");
        let nested = KeyPath::nested(vec!["a".to_owned(), "b".to_owned()]).expect("not empty");
        assert_eq!(dotted.to_string(), "a\\.b");
        assert_eq!(nested.to_string(), "a.b");
        assert!(
            nested.starts_with(&KeyPath::flat("a")) && !dotted.starts_with(&KeyPath::flat("a"))
        );
    }
}
