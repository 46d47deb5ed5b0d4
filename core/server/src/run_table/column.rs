//! One key of all runs of a project: a byte for the type and eight for the value of each run.
//!
//! Keys that few runs have are lists of their places instead.

/// A stored value; texts are ids.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stored {
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(u32),
    /// A list, or an object whose members are not columns, as JSON text.
    Json(u32),
    /// An object whose members are columns of their own.
    Object,
}

impl Stored {
    fn pack(self) -> (u8, u64) {
        match self {
            Self::Absent => (0, 0),
            Self::Null => (1, 0),
            Self::Bool(value) => (2, u64::from(value)),
            Self::Int(value) => (3, value.cast_unsigned()),
            Self::Float(value) => (4, value.to_bits()),
            Self::Text(id) => (5, u64::from(id)),
            Self::Json(id) => (6, u64::from(id)),
            Self::Object => (7, 0),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "ids were packed from 32 bits"
    )]
    fn unpack(kind: u8, bits: u64) -> Self {
        match kind {
            1 => Self::Null,
            2 => Self::Bool(bits != 0),
            3 => Self::Int(bits.cast_signed()),
            4 => Self::Float(f64::from_bits(bits)),
            5 => Self::Text(bits as u32),
            6 => Self::Json(bits as u32),
            7 => Self::Object,
            _ => Self::Absent,
        }
    }

    /// The text that it uses.
    pub(super) fn text(self) -> Option<u32> {
        match self {
            Self::Text(id) | Self::Json(id) => Some(id),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Layout {
    /// By row, sorted.
    Sparse(Vec<(u32, u8, u64)>),
    Dense {
        kinds: Vec<u8>,
        bits: Vec<u64>,
    },
}

/// The values of one key.
#[derive(Debug)]
pub(super) struct Column {
    layout: Layout,
    /// Rows that have a value.
    used: usize,
    /// Rows whose value is [`Stored::Json`].
    json: usize,
}

/// Bytes of a row, sparse and dense.
const SPARSE_BYTES: usize = size_of::<(u32, u8, u64)>();
const DENSE_BYTES: usize = 9;

impl Default for Column {
    fn default() -> Self {
        Self {
            layout: Layout::Sparse(Vec::new()),
            used: 0,
            json: 0,
        }
    }
}

impl Column {
    /// The value of a row.
    pub(super) fn get(&self, row: u32) -> Stored {
        match &self.layout {
            Layout::Sparse(entries) => entries
                .binary_search_by_key(&row, |entry| entry.0)
                .map_or(Stored::Absent, |at| {
                    Stored::unpack(entries[at].1, entries[at].2)
                }),
            Layout::Dense { kinds, bits } => {
                kinds.get(row as usize).map_or(Stored::Absent, |kind| {
                    Stored::unpack(*kind, bits[row as usize])
                })
            }
        }
    }

    /// Sets the value of a row in a table of `rows` rows; the old value.
    pub(super) fn set(&mut self, row: u32, value: Stored, rows: usize) -> Stored {
        let (kind, word) = value.pack();
        let old = match &mut self.layout {
            Layout::Sparse(entries) => match entries.binary_search_by_key(&row, |entry| entry.0) {
                Ok(at) if value == Stored::Absent => {
                    let (_, kind, word) = entries.remove(at);
                    Stored::unpack(kind, word)
                }
                Ok(at) => {
                    let (_, kind, word) = std::mem::replace(&mut entries[at], (row, kind, word));
                    Stored::unpack(kind, word)
                }
                Err(_) if value == Stored::Absent => Stored::Absent,
                Err(at) => {
                    entries.insert(at, (row, kind, word));
                    Stored::Absent
                }
            },
            Layout::Dense { kinds, bits } => {
                let at = row as usize;
                if at >= kinds.len() {
                    kinds.resize(at + 1, 0);
                    bits.resize(at + 1, 0);
                }
                Stored::unpack(
                    std::mem::replace(&mut kinds[at], kind),
                    std::mem::replace(&mut bits[at], word),
                )
            }
        };
        self.used += usize::from(value != Stored::Absent);
        self.used -= usize::from(old != Stored::Absent);
        self.json += usize::from(matches!(value, Stored::Json(_)));
        self.json -= usize::from(matches!(old, Stored::Json(_)));
        if let Layout::Sparse(entries) = &self.layout
            && entries.len() * SPARSE_BYTES > rows * DENSE_BYTES
        {
            self.make_dense(rows);
        }
        old
    }

    fn make_dense(&mut self, rows: usize) {
        let Layout::Sparse(entries) = &self.layout else {
            return;
        };
        let mut kinds = vec![0; rows];
        let mut bits = vec![0; rows];
        for (row, kind, word) in entries {
            kinds[*row as usize] = *kind;
            bits[*row as usize] = *word;
        }
        self.layout = Layout::Dense { kinds, bits };
    }

    /// Whether some row's value is a [`Stored::Json`].
    pub(super) fn has_json(&self) -> bool {
        self.json > 0
    }

    /// Whether no row has a value.
    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        let values = match &self.layout {
            Layout::Sparse(entries) => entries.capacity() * SPARSE_BYTES,
            Layout::Dense { kinds, bits } => kinds.capacity() + bits.capacity() * 8,
        };
        size_of::<Self>() + values
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn any_stored() -> impl Strategy<Value = Stored> {
        prop_oneof![
            Just(Stored::Absent),
            Just(Stored::Null),
            any::<bool>().prop_map(Stored::Bool),
            any::<i64>().prop_map(Stored::Int),
            (-1e9_f64..1e9).prop_map(Stored::Float),
            any::<u32>().prop_map(Stored::Text),
            any::<u32>().prop_map(Stored::Json),
            Just(Stored::Object),
        ]
    }

    proptest! {
        #[test]
        fn a_column_is_a_map(changes in prop::collection::vec((0_u32..64, any_stored()), 0..200)) {
            let mut column = Column::default();
            let mut twin = BTreeMap::new();
            for (row, value) in changes {
                let old = column.set(row, value, 64);
                prop_assert_eq!(old, twin.insert(row, value).unwrap_or(Stored::Absent));
            }
            for row in 0..64 {
                prop_assert_eq!(column.get(row), twin.get(&row).copied().unwrap_or(Stored::Absent));
            }
            let json = twin.values().any(|value| matches!(value, Stored::Json(_)));
            prop_assert_eq!(column.has_json(), json);
            prop_assert_eq!(column.is_empty(), twin.values().all(|value| *value == Stored::Absent));
        }
    }
}
