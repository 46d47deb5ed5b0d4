//! Reading a table by the keys of a filter or an order.
//!
//! A dotted path may mean several nodes, because a dot may be a part of a key: they are asked one after the other, in the order
//! in which `run_filter::path` tries keys, and the first that has a value for the run counts.

use std::borrow::Cow;

use runlane_model::json::{Object, Value, parse};
use runlane_model::run_filter::{Cell, Field, Key, Values, path};

use super::column::Stored;
use super::documents::presence;
use super::table::{RunTable, Space, TEXT_FIELDS};

impl RunTable {
    /// Finds the columns of keys.
    pub(crate) fn bind(&self, keys: &[Key]) -> Bindings<'_> {
        Bindings {
            table: self,
            sources: keys.iter().map(|key| self.source(key)).collect(),
        }
    }

    fn source(&self, key: &Key) -> Source {
        match key {
            Key::Field(field) => TEXT_FIELDS
                .iter()
                .position(|text| text == field)
                .map_or(Source::Member(*field), Source::Field),
            Key::HasTag(tag) => Source::HasTag(self.texts.find(tag)),
            Key::Config(place) => Source::Path(self.in_config(place)),
            Key::Summary(place) => Source::Path(self.below(Space::Summary, place)),
            Key::Metadata(place) => Source::Path(self.below(Space::Metadata, place)),
            Key::Logged(place) => Source::IsThere(self.below(Space::Summary, place)),
        }
    }

    /// See [`path::in_config`].
    fn in_config(&self, place: &str) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        let root = &self.nodes[Space::Config.root() as usize];
        for end in path::ends(place) {
            let Some(node) = root.children.get(&place[..end]) else {
                continue;
            };
            let Some(rest) = path::after(place, end) else {
                candidates.push(Candidate::whole(*node));
                continue;
            };
            self.collect(*node, rest, &mut candidates);
            match path::without_wrapper(rest) {
                Some("") => candidates.push(Candidate::whole(*node)),
                Some(inner) => self.collect(*node, inner, &mut candidates),
                None => {}
            }
        }
        candidates
    }

    fn below(&self, space: Space, place: &str) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        self.collect(space.root(), place, &mut candidates);
        candidates
    }

    /// See [`path::in_value`].
    fn collect(&self, node: u32, place: &str, candidates: &mut Vec<Candidate>) {
        let inner = &self.nodes[node as usize];
        if inner.column.has_json() {
            candidates.push(Candidate {
                node,
                rest: Some(place.into()),
            });
        }
        if inner.children.is_empty() {
            return;
        }
        for end in path::ends(place) {
            let Some(child) = inner.children.get(&place[..end]) else {
                continue;
            };
            match path::after(place, end) {
                None => candidates.push(Candidate::whole(*child)),
                Some(rest) => self.collect(*child, rest, candidates),
            }
        }
    }

    fn member(&self, field: Field, row: u32) -> Cell<'_> {
        let row = &self.rows[row as usize];
        match field {
            Field::CreatedAt => Cell::Time(row.created_at_micros),
            Field::HeartbeatAt => Cell::Time(row.heartbeat_at_micros),
            Field::Duration => Cell::Float(row.duration),
            Field::Tags => Cell::Texts(row.tags.iter().map(|tag| self.texts.get(*tag)).collect()),
            Field::Entity => Cell::Text(&self.entity),
            Field::InputArtifacts | Field::OutputArtifacts => Cell::Texts(Vec::new()),
            _ => Cell::Missing,
        }
    }

    fn found(&self, candidates: &[Candidate], row: u32) -> Cell<'_> {
        for candidate in candidates {
            let stored = self.nodes[candidate.node as usize].column.get(row);
            let cell = match (&candidate.rest, stored) {
                (_, Stored::Absent) => continue,
                (None, stored) => self.cell(candidate.node, stored, row),
                (Some(rest), Stored::Json(id)) => {
                    let value = parse(self.texts.get(id)).unwrap_or(Value::Null);
                    match path::in_value(&value, rest) {
                        None => continue,
                        Some(found) => Cell::Json(Cow::Owned(found.clone())),
                    }
                }
                (Some(_), _) => continue,
            };
            return cell;
        }
        Cell::Missing
    }

    fn cell(&self, node: u32, stored: Stored, row: u32) -> Cell<'_> {
        match stored {
            Stored::Absent => Cell::Missing,
            Stored::Null => Cell::Null,
            Stored::Bool(value) => Cell::Bool(value),
            Stored::Int(value) => Cell::Int(value),
            Stored::Float(value) => Cell::Float(value),
            Stored::Text(id) => Cell::Text(self.texts.get(id)),
            Stored::Json(_) | Stored::Object => {
                Cell::Json(Cow::Owned(self.value(node, stored, row)))
            }
        }
    }

    fn value(&self, node: u32, stored: Stored, row: u32) -> Value {
        match stored {
            Stored::Absent | Stored::Null => Value::Null,
            Stored::Bool(value) => Value::Bool(value),
            Stored::Int(value) => Value::Int(value),
            Stored::Float(value) => Value::Float(value),
            Stored::Text(id) => Value::Text(self.texts.get(id).to_owned()),
            Stored::Json(id) => parse(self.texts.get(id)).unwrap_or(Value::Null),
            Stored::Object => {
                // Members are compared by name, so their order does not matter.
                #[expect(clippy::iter_over_hash_type, reason = "as above")]
                let members = {
                    let mut members = Object::new();
                    for (key, child) in &self.nodes[node as usize].children {
                        let stored = self.nodes[*child as usize].column.get(row);
                        if stored != Stored::Absent {
                            members.insert(key.to_string(), self.value(*child, stored, row));
                        }
                    }
                    members
                };
                Value::Object(members)
            }
        }
    }
}

/// One meaning of a path: a node, or what lies at `rest` in the JSON text there.
#[derive(Debug)]
struct Candidate {
    node: u32,
    rest: Option<Box<str>>,
}

impl Candidate {
    fn whole(node: u32) -> Self {
        Self { node, rest: None }
    }
}

#[derive(Debug)]
enum Source {
    /// A column of texts.
    Field(usize),
    /// Anything else about the run itself.
    Member(Field),
    HasTag(Option<u32>),
    Path(Vec<Candidate>),
    IsThere(Vec<Candidate>),
}

/// The columns of some keys.
#[derive(Debug)]
pub(crate) struct Bindings<'a> {
    table: &'a RunTable,
    sources: Vec<Source>,
}

impl<'a> Bindings<'a> {
    /// A run, asked by these keys.
    pub(crate) fn row(&'a self, row: u32) -> BoundRow<'a> {
        BoundRow {
            bindings: self,
            row,
        }
    }

    /// The value of a run at one of the keys.
    pub(crate) fn cell(&self, key: usize, row: u32) -> Cell<'a> {
        let table = self.table;
        match &self.sources[key] {
            Source::Path(candidates) => table.found(candidates, row),
            Source::IsThere(candidates) => presence(table.found(candidates, row) != Cell::Missing),
            Source::Field(field) => match table.fields[*field].get(row).text() {
                Some(id) => Cell::Text(table.texts.get(id)),
                None => Cell::Missing,
            },
            Source::HasTag(tag) => {
                let tags = &table.rows[row as usize].tags;
                presence(tag.is_some_and(|tag| tags.contains(&tag)))
            }
            Source::Member(field) => table.member(*field, row),
        }
    }
}

/// A run in a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoundRow<'a> {
    bindings: &'a Bindings<'a>,
    row: u32,
}

impl Values for BoundRow<'_> {
    fn cell(&self, key: usize) -> Cell<'_> {
        self.bindings.cell(key, self.row)
    }
}
