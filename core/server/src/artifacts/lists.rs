//! Lists of collections and of their versions: filter, order, page, count.
//!
//! What the database orders by itself it also cuts into pages. Anything else goes through all that there is, a piece at a time, and keeps
//! of what passes no more than its place in the order.

use std::collections::BTreeMap;
use std::sync::Arc;

use runlane_model::json::{Object, parse_object};
use runlane_model::run_filter::{Cell, Field, Filter, Key, Values, path};

use super::blocking;
use crate::error::ApiError;
use crate::run_table::parse_filter_with;
use crate::store::artifacts::collection_list::{self, By, Within};
use crate::store::artifacts::collections::{self, CollectionRow};
use crate::store::artifacts::version_list::{self, MemberRow, Texts};
use crate::store::artifacts::{aliases, memberships, tags};
use crate::store::{Connection, Store};

/// Rows read at a time.
const PIECE: i64 = 500;
/// As many with their texts, which are some megabytes each at most.
const PIECE_WITH_TEXTS: i64 = 16;
/// The filter that clients send when they want all versions.
const COMMITTED: &str = r#"{"state":"COMMITTED"}"#;
/// Keys without a field of their own among those of runs.
const ALIASES: &str = "aliases";
const VERSION: &str = "version";
const INDEX: &str = "version_index";
const SIZE: &str = "size";
const DIGEST: &str = "digest";
const TYPE: &str = "type";

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) offset: i64,
    pub(crate) limit: i64,
}

fn unknown_key(name: &str, known: &str) -> String {
    let shown: String = name.chars().take(80).collect();
    format!("`{shown}` is no key of these; there are {known}")
}

fn version_key(name: &str) -> Result<Key, String> {
    let own = |name: &str| Key::Summary(name.to_owned());
    Ok(match name {
        "state" => Key::Field(Field::State),
        "createdAt" | "created_at" | "artifact_created_at" => Key::Field(Field::CreatedAt),
        "updatedAt" | "updated_at" => Key::Field(Field::HeartbeatAt),
        "tag" | "tags" => Key::Field(Field::Tags),
        "description" => Key::Field(Field::Description),
        "alias" | "aliases" => own(ALIASES),
        "version" => own(VERSION),
        "version_index" | "versionIndex" => own(INDEX),
        "size" | "artifact_size" => own(SIZE),
        "digest" => own(DIGEST),
        _ => {
            let known = "state, version, version_index, alias, tag, description, digest, size, created_at, updated_at, metadata.<key>";
            let inner = name
                .strip_prefix("metadata.")
                .or_else(|| name.strip_prefix("artifact_metadata."))
                .filter(|rest| !rest.is_empty() && rest.len() < 4_096);
            Key::Metadata(inner.ok_or_else(|| unknown_key(name, known))?.to_owned())
        }
    })
}

fn collection_key(name: &str) -> Result<Key, String> {
    Ok(match name {
        "name" | "collection_name" | "artifact_collection_name" => Key::Field(Field::Name),
        "description" => Key::Field(Field::Description),
        "tag" | "tags" => Key::Field(Field::Tags),
        "createdAt" | "created_at" => Key::Field(Field::CreatedAt),
        "updatedAt" | "updated_at" => Key::Field(Field::HeartbeatAt),
        "type" => Key::Summary(TYPE.to_owned()),
        _ => {
            let known = "name, description, tag, type, created_at, updated_at";
            return Err(unknown_key(name, known));
        }
    })
}

/// A key and whether the largest comes first.
fn order_of(order: Option<&str>) -> Option<(&str, bool)> {
    let order = order.map(str::trim).filter(|order| !order.is_empty())?;
    Some(match order.strip_prefix('-') {
        Some(key) => (key, true),
        None => (order.strip_prefix('+').unwrap_or(order), false),
    })
}

fn invalid_order(key: &str, known: &str) -> ApiError {
    ApiError::new(
        http::StatusCode::BAD_REQUEST,
        "invalid_order",
        format!("invalid order: {}", unknown_key(key, known)),
    )
}

/// A page of the versions of a collection, and how many pass; by default the newest first. `texts`: what of those on the page.
pub(crate) async fn versions(
    store: &Store,
    collection_id: i64,
    filters: Option<&str>,
    order: Option<&str>,
    part: Part,
    texts: Texts,
) -> Result<(Vec<MemberRow>, i64), ApiError> {
    let filter = parse_filter_with(filters, &version_key)?;
    let (key, descending) = order_of(order).unwrap_or((INDEX, true));
    let key = match key {
        "version_index" | "versionIndex" | "version" => Sort::Index,
        "createdAt" | "created_at" => Sort::Creation,
        "updatedAt" | "updated_at" => Sort::Change,
        "size" | "artifact_size" => Sort::Size,
        other => {
            let known = "version_index, created_at, updated_at, size";
            return Err(invalid_order(other, known));
        }
    };
    let everything = filter.is_everything() || filter.text() == COMMITTED;
    if everything && key == Sort::Index {
        let mut reader = store.reader().await?;
        let rows = version_list::members(
            &mut reader,
            collection_id,
            descending,
            texts,
            (part.offset, part.limit),
        )
        .await?;
        let total = memberships::count(&mut reader, collection_id).await?;
        return Ok((rows, total));
    }
    let asks_for_texts = filter
        .keys()
        .iter()
        .any(|key| matches!(key, Key::Metadata(_) | Key::Field(Field::Description)));
    let (asked, piece) = if asks_for_texts && !everything {
        (Texts::Read, PIECE_WITH_TEXTS)
    } else {
        (Texts::LeftOut, PIECE)
    };
    let filter = Arc::new(filter);
    let mut places: Vec<(i64, i64, i64)> = Vec::new();
    let mut after = -1;
    loop {
        let mut reader = store.reader().await?;
        let rows =
            version_list::members_after(&mut reader, collection_id, after, asked, piece).await?;
        let Some(last) = rows.last() else { break };
        after = last.place_index;
        let place = move |row: &MemberRow| (key.of(row), row.place_index, row.place_id);
        if everything {
            places.extend(rows.iter().map(place));
            continue;
        }
        let mut candidates = Vec::with_capacity(rows.len());
        for row in rows {
            candidates.push(Candidate::of(&mut reader, &filter, row).await?);
        }
        drop(reader);
        let filter = Arc::clone(&filter);
        let passed = move || -> Vec<_> {
            let passed = candidates.iter().filter(|one| one.passes(&filter));
            passed.map(|one| place(&one.row)).collect()
        };
        places.extend(if asked == Texts::Read {
            blocking(passed).await?
        } else {
            passed()
        });
    }
    places.sort_unstable();
    if descending {
        places.reverse();
    }
    let mut reader = store.reader().await?;
    let mut rows = Vec::new();
    for (_, _, place_id) in cut(&places, part) {
        rows.extend(version_list::member(&mut reader, *place_id, texts).await?);
    }
    Ok((rows, total(&places)))
}

fn cut<T>(all: &[T], part: Part) -> impl Iterator<Item = &T> {
    let skip = usize::try_from(part.offset).unwrap_or(usize::MAX);
    let take = usize::try_from(part.limit).unwrap_or(0);
    all.iter().skip(skip).take(take)
}

fn total<T>(all: &[T]) -> i64 {
    i64::try_from(all.len()).unwrap_or(i64::MAX)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Index,
    Creation,
    Change,
    Size,
}

impl Sort {
    fn of(self, row: &MemberRow) -> i64 {
        let version = &row.version;
        match self {
            Self::Index => row.place_index,
            Self::Creation => version.created_at_micros,
            Self::Change => version
                .updated_at_micros
                .unwrap_or(version.created_at_micros),
            Self::Size => version.size_bytes,
        }
    }
}

/// A version of which is asked whether it passes.
struct Candidate {
    row: MemberRow,
    version: String,
    tags: Vec<String>,
    aliases: Vec<String>,
}

impl Candidate {
    /// With what the filter asks for.
    async fn of(
        connection: &mut Connection,
        filter: &Filter,
        row: MemberRow,
    ) -> Result<Self, ApiError> {
        let asks = |key: &Key| filter.keys().contains(key);
        let mut candidate = Self {
            version: format!("v{}", row.place_index),
            tags: Vec::new(),
            aliases: Vec::new(),
            row,
        };
        let row = &candidate.row;
        if asks(&Key::Field(Field::Tags)) {
            candidate.tags = tags::list(connection, tags::Of::Version(row.version.id)).await?;
        }
        if asks(&Key::Summary(ALIASES.to_owned())) {
            let rows = aliases::of_membership(connection, row.place_id).await?;
            candidate.aliases = rows.into_iter().map(|row| row.alias).collect();
        }
        Ok(candidate)
    }

    fn passes(&self, filter: &Filter) -> bool {
        let keys = filter.keys();
        let metadata = if keys.iter().any(|key| matches!(key, Key::Metadata(_))) {
            let text = self.row.version.metadata.as_deref().unwrap_or_default();
            parse_object(text).unwrap_or_default()
        } else {
            Object::default()
        };
        filter.matches(&VersionFacts {
            keys,
            of: self,
            metadata,
        })
    }
}

struct VersionFacts<'a> {
    keys: &'a [Key],
    of: &'a Candidate,
    metadata: Object,
}

fn texts(words: &[String]) -> Cell<'_> {
    Cell::Texts(words.iter().map(String::as_str).collect())
}

impl Values for VersionFacts<'_> {
    fn cell(&self, key: usize) -> Cell<'_> {
        let version = &self.of.row.version;
        match &self.keys[key] {
            Key::Field(Field::State) => Cell::Text(&version.state),
            Key::Field(Field::CreatedAt) => Cell::Time(version.created_at_micros),
            Key::Field(Field::HeartbeatAt) => {
                version.updated_at_micros.map_or(Cell::Missing, Cell::Time)
            }
            Key::Field(Field::Tags) => texts(&self.of.tags),
            Key::Field(Field::Description) => Cell::of_text(version.description.as_deref()),
            Key::Metadata(inner) => Cell::of(path::in_object(&self.metadata, inner)),
            Key::Summary(own) => match own.as_str() {
                ALIASES => texts(&self.of.aliases),
                VERSION => Cell::Text(&self.of.version),
                INDEX => Cell::Int(self.of.row.place_index),
                SIZE => Cell::Int(version.size_bytes),
                DIGEST => Cell::Text(&version.digest),
                _ => Cell::Missing,
            },
            _ => Cell::Missing,
        }
    }
}

/// A page of the collections of a project, and how many pass; by default the newest first.
pub(crate) async fn collections(
    store: &Store,
    within: Within,
    filters: Option<&str>,
    order: Option<&str>,
    part: Part,
) -> Result<(Vec<CollectionRow>, i64), ApiError> {
    let filter = parse_filter_with(filters, &collection_key)?;
    let (key, descending) = order_of(order).unwrap_or(("id", true));
    let by = match key {
        "id" | "createdAt" | "created_at" => By::Id,
        "name" => By::Name,
        "updatedAt" | "updated_at" => By::Change,
        other => return Err(invalid_order(other, "name, created_at, updated_at")),
    };
    if filter.is_everything() {
        let mut reader = store.reader().await?;
        let (offset, limit) = (part.offset, part.limit);
        let rows =
            collection_list::page(&mut reader, within, by, descending, offset, limit).await?;
        let total = collection_list::count(&mut reader, within).await?;
        return Ok((rows, total));
    }
    // In one transaction: pieces are cut by position.
    let mut reader = store.snapshot().await?;
    let mut places: Vec<i64> = Vec::new();
    let mut offset = 0;
    loop {
        let rows =
            collection_list::page(&mut reader, within, by, descending, offset, PIECE).await?;
        if rows.is_empty() {
            break;
        }
        offset += PIECE;
        for row in &rows {
            if passes_collection(&mut reader, &filter, row).await? {
                places.push(row.id);
            }
        }
    }
    let mut rows: BTreeMap<i64, CollectionRow> = BTreeMap::new();
    for id in cut(&places, part) {
        if let Some(row) = collections::by_id(&mut reader, *id).await? {
            rows.insert(*id, row);
        }
    }
    let page = cut(&places, part).filter_map(|id| rows.remove(id));
    Ok((page.collect(), total(&places)))
}

async fn passes_collection(
    connection: &mut Connection,
    filter: &Filter,
    row: &CollectionRow,
) -> Result<bool, ApiError> {
    let tags = if filter.keys().contains(&Key::Field(Field::Tags)) {
        tags::list(connection, tags::Of::Collection(row.id)).await?
    } else {
        Vec::new()
    };
    let keys = filter.keys();
    Ok(filter.matches(&CollectionFacts { keys, row, tags }))
}

struct CollectionFacts<'a> {
    keys: &'a [Key],
    row: &'a CollectionRow,
    tags: Vec<String>,
}

impl Values for CollectionFacts<'_> {
    fn cell(&self, key: usize) -> Cell<'_> {
        match &self.keys[key] {
            Key::Field(Field::Name) => Cell::Text(&self.row.name),
            Key::Field(Field::Description) => Cell::of_text(self.row.description.as_deref()),
            Key::Field(Field::Tags) => texts(&self.tags),
            Key::Field(Field::CreatedAt) => Cell::Time(self.row.created_at_micros),
            Key::Field(Field::HeartbeatAt) => {
                self.row.updated_at_micros.map_or(Cell::Missing, Cell::Time)
            }
            Key::Summary(_) => Cell::Text(&self.row.type_name),
            _ => Cell::Missing,
        }
    }
}
