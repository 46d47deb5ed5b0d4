//! The runs of one project as columns.
//!
//! Each key of config, summary and machine metadata is a node below its document's root; nested objects are nodes with
//! children. Lists, media objects and `_wandb` stay JSON text, which a path leads into only when it is asked for.
//! [`super::bound`] reads it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use runlane_model::json::{Object, Value, parse_object};
use runlane_model::run_filter::{Field, path};

use super::column::{Column, Stored};
use super::documents;
use super::texts::Texts;
use crate::store::runs::RunRow;

/// Ids of runs are gathered in buckets of this many, whose versions are compared with the database's as one number.
pub(crate) const BUCKET: i64 = 64;

/// Fields that are columns of texts; the others are members of [`Row`] or the same for all.
pub(super) const TEXT_FIELDS: [Field; 11] = [
    Field::Name,
    Field::DisplayName,
    Field::State,
    Field::Group,
    Field::JobType,
    Field::Username,
    Field::Host,
    Field::Sweep,
    Field::Description,
    Field::Notes,
    Field::Commit,
];

/// The documents of a run; each has a root among the nodes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Space {
    Config,
    Summary,
    Metadata,
}

const SPACES: [Space; 3] = [Space::Config, Space::Summary, Space::Metadata];

impl Space {
    pub(super) fn root(self) -> u32 {
        self as u32
    }
}

/// One key.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) column: Column,
    pub(super) children: HashMap<Box<str>, u32>,
}

/// What is kept of a run beside its columns.
#[derive(Debug)]
pub(super) struct Row {
    id: i64,
    pub(super) created_at_micros: i64,
    pub(super) heartbeat_at_micros: i64,
    own_runtime: Option<f64>,
    pub(super) duration: f64,
    pub(super) tags: Box<[u32]>,
    /// Hashes of config and summary, so that documents that did not change are not read again.
    seen: [u64; 2],
    /// Nodes at which the run has a value, by document.
    nodes: [Box<[u32]>; 3],
    live: bool,
}

/// Versions in one bucket of ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BucketMark {
    pub(crate) runs: i64,
    /// Sums.
    pub(crate) ids: i64,
    pub(crate) versions: i64,
}

/// The table.
#[derive(Debug)]
pub(crate) struct RunTable {
    pub(super) texts: Texts,
    pub(super) nodes: Vec<Node>,
    pub(super) fields: Vec<Column>,
    pub(super) rows: Vec<Row>,
    free: Vec<u32>,
    by_id: HashMap<i64, u32>,
    /// Of all runs of the project, also of those that are not shown.
    versions: BTreeMap<i64, i64>,
    marks: BTreeMap<i64, BucketMark>,
    /// Name of the project's entity.
    pub(super) entity: String,
    /// Bytes of what lies in rows and maps of nodes.
    row_bytes: usize,
    node_bytes: usize,
    /// Says which nodes the row that is being written has: those with the current stamp.
    stamps: Vec<u64>,
    stamp: u64,
}

impl Default for RunTable {
    fn default() -> Self {
        Self {
            texts: Texts::default(),
            nodes: SPACES.iter().map(|_| Node::default()).collect(),
            fields: TEXT_FIELDS.iter().map(|_| Column::default()).collect(),
            rows: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            versions: BTreeMap::new(),
            marks: BTreeMap::new(),
            entity: String::new(),
            row_bytes: 0,
            node_bytes: 0,
            stamps: vec![0; SPACES.len()],
            stamp: 0,
        }
    }
}

impl RunTable {
    /// The versions that are known in each bucket.
    pub(crate) fn marks(&self) -> &BTreeMap<i64, BucketMark> {
        &self.marks
    }

    /// Versions that are known of runs in a bucket.
    pub(crate) fn versions_in(&self, bucket: i64) -> impl Iterator<Item = (i64, i64)> {
        let first = bucket * BUCKET;
        self.versions
            .range(first..first + BUCKET)
            .map(|(id, version)| (*id, *version))
    }

    /// The runs that are shown.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let columns = self.nodes.iter().map(|node| node.column.bytes());
        let fields = self.fields.iter().map(Column::bytes);
        columns.chain(fields).sum::<usize>()
            + self.texts.bytes()
            + self.row_bytes
            + self.node_bytes
            + self.rows.capacity() * size_of::<Row>()
            + self.versions.len() * 96
    }

    /// Memory of its texts.
    #[cfg(test)]
    pub(super) fn text_bytes(&self) -> usize {
        self.texts.bytes()
    }

    /// Whether much of it are keys that no run has any more.
    pub(crate) fn is_worn(&self) -> bool {
        const FEW: usize = 1_000;
        let empty = self.nodes.iter().filter(|node| node.column.is_empty());
        let empty = empty.count();
        empty > FEW && empty > self.nodes.len() / 2
    }

    fn note_version(&mut self, id: i64, version: Option<i64>) {
        let mark = self.marks.entry(id.div_euclid(BUCKET)).or_default();
        let old = match version {
            Some(version) => {
                mark.runs += 1;
                mark.ids += id;
                mark.versions += version;
                self.versions.insert(id, version)
            }
            None => self.versions.remove(&id),
        };
        if let Some(old) = old {
            mark.runs -= 1;
            mark.ids -= id;
            mark.versions -= old;
        }
        if mark.runs == 0 {
            self.marks.remove(&id.div_euclid(BUCKET));
        }
    }

    /// Takes a run out: it is not shown (any more). Without a version it is gone altogether.
    pub(crate) fn remove(&mut self, id: i64, version: Option<i64>) {
        self.note_version(id, version);
        let Some(row) = self.by_id.remove(&id) else {
            return;
        };
        for field in 0..TEXT_FIELDS.len() {
            self.set_field(field, row, None);
        }
        for space in SPACES {
            self.clear(space, row);
        }
        let gone = &mut self.rows[row as usize];
        gone.live = false;
        for tag in std::mem::take(&mut gone.tags) {
            self.texts.release(tag);
            self.row_bytes -= size_of::<u32>();
        }
        self.free.push(row);
    }

    /// Puts a run in, or what it is now.
    pub(crate) fn put(&mut self, run: &RunRow) {
        self.note_version(run.id, Some(run.version));
        if self.entity != run.entity {
            self.entity.clone_from(&run.entity);
        }
        let row = self.place_of(run.id);
        let (config_seen, summary_seen) = (hash_of(&run.config), hash_of(&run.summary));
        let seen = self.rows[row as usize].seen;
        let mut own_runtime = self.rows[row as usize].own_runtime;
        let config = (seen[0] != config_seen || self.is_new(row))
            .then(|| parse_object(&run.config).unwrap_or_default());
        if let Some(config) = &config {
            self.write(Space::Config, row, config);
            let empty = Object::new();
            let metadata = documents::metadata(config).unwrap_or(&empty);
            self.write(Space::Metadata, row, metadata);
        }
        if seen[1] != summary_seen || self.is_new(row) {
            let summary = parse_object(&run.summary).unwrap_or_default();
            own_runtime = documents::own_runtime(&summary);
            self.write(Space::Summary, row, &summary);
        }
        let tags: Box<[u32]> = documents::tags_of(run)
            .iter()
            .map(|tag| self.texts.take(tag))
            .collect();
        self.row_bytes += tags.len() * size_of::<u32>();
        let written = &mut self.rows[row as usize];
        written.created_at_micros = run.created_at_micros;
        written.heartbeat_at_micros = run.heartbeat_at_micros;
        written.own_runtime = own_runtime;
        written.duration = documents::duration(run, own_runtime);
        written.seen = [config_seen, summary_seen];
        written.live = true;
        for tag in std::mem::replace(&mut written.tags, tags) {
            self.texts.release(tag);
            self.row_bytes -= size_of::<u32>();
        }
        self.put_fields(row, run);
    }

    fn put_fields(&mut self, row: u32, run: &RunRow) {
        // The host may be a value of the metadata, which are columns by now.
        let in_metadata = self.nodes[Space::Metadata.root() as usize]
            .children
            .get("host")
            .map(|node| self.nodes[*node as usize].column.get(row));
        for (at, field) in TEXT_FIELDS.into_iter().enumerate() {
            let text = match field {
                Field::Name => Some(run.name.as_str()),
                Field::DisplayName => Some(run.display_name.as_str()),
                Field::State => Some(run.state.as_str()),
                Field::Group => run.group_name.as_deref(),
                Field::JobType => run.job_type.as_deref(),
                Field::Username => run.username.as_deref(),
                Field::Sweep => run.sweep_name.as_deref(),
                Field::Description => run.description.as_deref(),
                Field::Notes => run.notes.as_deref(),
                Field::Commit => run.commit_hash.as_deref(),
                _ => run.host.as_deref(),
            };
            let id = match (text, in_metadata) {
                (None, Some(Stored::Text(id))) if field == Field::Host => {
                    let host = self.texts.get(id).to_owned();
                    Some(self.texts.take(&host))
                }
                (text, _) => text.map(|text| self.texts.take(text)),
            };
            self.set_field(at, row, id);
        }
    }

    fn set_field(&mut self, field: usize, row: u32, id: Option<u32>) {
        let value = id.map_or(Stored::Absent, Stored::Text);
        let old = self.fields[field].set(row, value, self.rows.len());
        if let Some(id) = old.text() {
            self.texts.release(id);
        }
    }

    fn is_new(&self, row: u32) -> bool {
        !self.rows[row as usize].live
    }

    fn place_of(&mut self, id: i64) -> u32 {
        if let Some(row) = self.by_id.get(&id) {
            return *row;
        }
        let new = Row {
            id,
            created_at_micros: 0,
            heartbeat_at_micros: 0,
            own_runtime: None,
            duration: 0.0,
            tags: Box::default(),
            seen: [0; 2],
            nodes: <[Box<[u32]>; 3]>::default(),
            live: false,
        };
        let row = if let Some(row) = self.free.pop() {
            self.rows[row as usize] = new;
            row
        } else {
            self.rows.push(new);
            u32::try_from(self.rows.len() - 1).expect("tables are bounded in bytes")
        };
        self.by_id.insert(id, row);
        row
    }

    /// Writes a document of a row in place of its old one.
    fn write(&mut self, space: Space, row: u32, document: &Object) {
        self.stamp += 1;
        let mut touched = Vec::with_capacity(document.len());
        for (key, value) in document {
            let value = match space {
                Space::Config => path::unwrapped(value),
                Space::Summary | Space::Metadata => value,
            };
            let as_json = matches!(space, Space::Config) && key == "_wandb";
            self.write_value(space.root(), key, value, row, as_json, &mut touched);
        }
        let old = std::mem::replace(
            &mut self.rows[row as usize].nodes[space as usize],
            touched.into_boxed_slice(),
        );
        for node in &old {
            if self.stamps[*node as usize] != self.stamp {
                self.set(*node, row, Stored::Absent);
            }
        }
        self.row_bytes += self.rows[row as usize].nodes[space as usize].len() * size_of::<u32>();
        self.row_bytes -= old.len() * size_of::<u32>();
    }

    fn clear(&mut self, space: Space, row: u32) {
        self.write(space, row, &Object::new());
    }

    fn write_value(
        &mut self,
        parent: u32,
        key: &str,
        value: &Value,
        row: u32,
        as_json: bool,
        touched: &mut Vec<u32>,
    ) {
        let node = self.child(parent, key);
        let stored = match value {
            Value::Null => Stored::Null,
            Value::Bool(value) => Stored::Bool(*value),
            Value::Int(value) => Stored::Int(*value),
            Value::Float(value) => Stored::Float(*value),
            Value::Text(text) => Stored::Text(self.texts.take(text)),
            Value::Object(members) if !as_json && !members.contains_key("_type") => {
                for (key, value) in members {
                    self.write_value(node, key, value, row, false, touched);
                }
                Stored::Object
            }
            Value::List(_) | Value::Object(_) => Stored::Json(self.texts.take(&value.to_string())),
        };
        self.set(node, row, stored);
        self.stamps[node as usize] = self.stamp;
        touched.push(node);
    }

    fn set(&mut self, node: u32, row: u32, value: Stored) {
        let old = self.nodes[node as usize]
            .column
            .set(row, value, self.rows.len());
        if let Some(id) = old.text() {
            self.texts.release(id);
        }
    }

    fn child(&mut self, parent: u32, key: &str) -> u32 {
        if let Some(node) = self.nodes[parent as usize].children.get(key) {
            return *node;
        }
        let node = u32::try_from(self.nodes.len()).expect("tables are bounded in bytes");
        self.nodes.push(Node::default());
        self.stamps.push(0);
        self.nodes[parent as usize]
            .children
            .insert(key.into(), node);
        self.node_bytes += size_of::<Node>() + key.len() + 40;
        node
    }

    /// The rows that are shown: place, id, time of creation.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, i64, i64)> {
        let rows = (0_u32..).zip(&self.rows);
        rows.filter(|(_, row)| row.live)
            .map(|(at, row)| (at, row.id, row.created_at_micros))
    }

    /// The place of a run that is shown.
    pub(crate) fn place(&self, id: i64) -> Option<u32> {
        self.by_id.get(&id).copied()
    }
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
