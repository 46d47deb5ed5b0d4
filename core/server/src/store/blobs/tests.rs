//! Collection beside those who rely on what it removes, in every order, on both databases. The cases for PostgreSQL need
//! `RUNLANE_TEST_POSTGRES` (`tests/postgres.py`, as `make test` sets it).

use std::time::Duration;

use bytes::Bytes;
use runlane_model::artifact::digest::{Algorithm, Digest};
use sqlx::{Any, Transaction};

use super::super::objects::ObjectsPlace;
use super::super::upgrade_tests::new_postgres_database;
use super::super::users::{self, NewUser};
use super::super::{Objects, Store, entities, projects};
use super::*;
use crate::blobs::collect;

const HOUR: i64 = 3_600 * 1_000_000;
const GRACE: i64 = 24 * HOUR;
/// Now; what is older than the grace is from 0.
const NOW: i64 = 1_000 * HOUR;
const OLD: i64 = NOW - 100 * HOUR;

/// A store with two entities, each with a project and a collection.
struct World {
    store: Store,
    entities: [i64; 2],
    collections: [i64; 2],
    _dir: tempfile::TempDir,
}

impl World {
    async fn on_sqlite() -> Self {
        Self::new(None).await
    }

    async fn on_postgres() -> Option<Self> {
        let url = new_postgres_database().await?;
        Some(Self::new(Some(url)).await)
    }

    async fn new(url: Option<String>) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let objects = Objects::open(&ObjectsPlace::DataDir, dir.path()).await;
        let url = url.map(|url| url.parse().expect("a URL"));
        let store = Store::open(dir.path(), url.as_ref(), objects.expect("a directory")).await;
        let store = store.expect("a store");
        let mut writer = store.writer().await.expect("a writer");
        let (mut owners, mut collections) = ([0; 2], [0; 2]);
        for (at, name) in ["one", "other"].into_iter().enumerate() {
            let user = NewUser {
                username: name,
                email: "",
                admin: false,
            };
            users::create(&mut writer, &user, NOW).await.expect("made");
            let entity = entities::find(&mut writer, name).await.expect("found");
            owners[at] = entity.expect("an entity").id;
            let made = projects::ensure(&mut writer, owners[at], name, "p", NOW).await;
            let project = made.expect("a project").0.id;
            let kind: i64 = sqlx::query_scalar(
                "INSERT INTO artifact_types (project_id, name, created_at_micros) VALUES ($1, 'dataset', 0) RETURNING id",
            )
            .bind(project)
            .fetch_one(&mut *writer)
            .await
            .expect("a type");
            collections[at] = sqlx::query_scalar(
                "INSERT INTO artifact_collections (project_id, type_id, kind, name, digest_algorithm, next_version, created_at_micros)
                VALUES ($1, $2, 'sequence', 'c', 'MD5', 0, 0) RETURNING id",
            )
            .bind(project)
            .bind(kind)
            .fetch_one(&mut *writer)
            .await
            .expect("a collection");
        }
        writer.commit().await.expect("a commit");
        Self {
            store,
            entities: owners,
            collections,
            _dir: dir,
        }
    }

    async fn writer(&self) -> Transaction<'static, Any> {
        self.store.writer().await.expect("a writer")
    }

    /// Bytes of the first entity with an object, last wanted at `at`.
    async fn blob(&self, content: &str, at: i64) -> BlobRow {
        let key = Objects::new_key("blobs", self.entities[0]);
        let bytes = Bytes::from(content.to_owned());
        self.store.objects.put(&key, bytes).await.expect("stored");
        let blob = NewBlob {
            entity_id: self.entities[0],
            md5: Digest::of(Algorithm::Md5, content.as_bytes()),
            xxh128: Digest::of(Algorithm::Xxh128, content.as_bytes()),
            size_bytes: 1,
            object_key: &key,
        };
        let mut writer = self.writer().await;
        let row = add(&mut writer, &blob, at).await.expect("a row");
        writer.commit().await.expect("a commit");
        row
    }

    /// A version of the collection of entity `whose`.
    async fn version(&self, whose: usize, state: &str, created_at: i64) -> i64 {
        let mut writer = self.writer().await;
        let id = sqlx::query_scalar(
            "INSERT INTO artifacts (sequence_id, state, digest, digest_algorithm, pending_aliases, size_bytes, file_count, created_at_micros)
            VALUES ($1, $2, '', 'MD5', '[]', 0, 0, $3) RETURNING id",
        )
        .bind(self.collections[whose])
        .bind(state)
        .bind(created_at)
        .fetch_one(&mut *writer)
        .await
        .expect("a version");
        writer.commit().await.expect("a commit");
        id
    }

    async fn objects(&self) -> usize {
        use futures::TryStreamExt as _;
        let soon = chrono::Utc::now() + chrono::TimeDelta::hours(1);
        let keys = self.store.objects.written_before(soon);
        keys.try_collect::<Vec<_>>().await.expect("a list").len()
    }

    async fn is_there(&self, id: i64) -> bool {
        let mut writer = self.writer().await;
        by_id(&mut writer, id).await.expect("looked").is_some()
    }

    async fn collect(&self) -> collect::Collected {
        let grace = Duration::from_micros(u64::try_from(GRACE).expect("positive"));
        let collected = collect::run_once(&self.store, grace, NOW).await;
        collected.expect("collected")
    }
}

async fn enter(connection: &mut Connection, artifact: i64, blob: i64) {
    sqlx::query(
        "INSERT INTO artifact_entries (artifact_id, path, digest, size_bytes, blob_id) VALUES ($1, 'a', '', 1, $2)",
    )
    .bind(artifact)
    .bind(blob)
    .execute(connection)
    .await
    .expect("an entry");
}

/// Long enough for a task to come to where it waits.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn only_what_is_unwanted_goes(world: World) {
    let unwanted = world.blob("unwanted", OLD).await;
    let young = world.blob("young", NOW - GRACE + 1).await;
    let named = world.blob("named", OLD).await;
    let artifact = world.version(0, "COMMITTED", OLD).await;
    let mut writer = world.writer().await;
    enter(&mut writer, artifact, named.id).await;
    writer.commit().await.expect("a commit");
    let collected = world.collect().await;
    assert_eq!((collected.blobs, collected.objects), (1, 1));
    for (blob, stays) in [(unwanted, false), (young, true), (named, true)] {
        assert_eq!(world.is_there(blob.id).await, stays);
        assert_eq!(
            world.store.objects.get(&blob.object_key).await.is_ok(),
            stays
        );
    }
}

async fn versions_that_are_being_made_keep_what_came_since_they_began(world: World) {
    let before = world.blob("before", OLD).await;
    let since = world.blob("since", NOW - 40 * HOUR).await;
    let artifact = world.version(0, "PENDING", NOW - 50 * HOUR).await;
    // Of another entity: it has nothing to do with these.
    world.version(1, "PENDING", OLD - HOUR).await;
    let mut writer = world.writer().await;
    for id in [artifact, artifact + 1] {
        note_activity(&mut writer, id, NOW).await.expect("noted");
    }
    writer.commit().await.expect("a commit");
    assert_eq!(world.collect().await.blobs, 1);
    assert!(!world.is_there(before.id).await);
    assert!(world.is_there(since.id).await);
}

/// What of versions that nobody goes on with is given up, and what is waited for.
async fn versions_are_given_up_when_nobody_will_go_on(world: World) {
    let mut writer = world.writer().await;
    let project: i64 =
        sqlx::query_scalar("SELECT project_id FROM artifact_collections WHERE id = $1")
            .bind(world.collections[0])
            .fetch_one(&mut *writer)
            .await
            .expect("a project");
    let mut runs = Vec::new();
    for state in ["running", "finished"] {
        let made = super::super::runs::insert(&mut writer, project, state, state, state, NOW).await;
        runs.push(made.expect("a run"));
    }
    writer.commit().await.expect("a commit");
    let week = 7 * GRACE;
    let cases = [
        ("left alone", NOW - GRACE - 1, None, None, "DELETED"),
        ("young", NOW - GRACE + 1, None, None, "PENDING"),
        ("its run runs", OLD, Some(runs[0]), None, "PENDING"),
        ("its run is over", OLD, Some(runs[1]), None, "DELETED"),
        (
            "several write it",
            NOW - week + 1,
            None,
            Some("d"),
            "PENDING",
        ),
        (
            "they have ended",
            NOW - week - 1,
            None,
            Some("e"),
            "DELETED",
        ),
    ];
    let mut made = Vec::new();
    for (what, created_at, run, distributed, state) in cases {
        let id = world.version(0, "PENDING", created_at).await;
        let mut writer = world.writer().await;
        sqlx::query("UPDATE artifacts SET run_id = $1, distributed_id = $2 WHERE id = $3")
            .bind(run)
            .bind(distributed)
            .bind(id)
            .execute(&mut *writer)
            .await
            .expect("changed");
        writer.commit().await.expect("a commit");
        made.push((what, id, state));
    }
    assert_eq!(world.collect().await.given_up, 3);
    let mut writer = world.writer().await;
    for (what, id, state) in made {
        let found = place(&mut writer, id, false).await.expect("looked");
        assert_eq!(found.expect("a version").state, state, "{what}");
    }
}

/// Candidates are looked for, then somebody commits, then they are removed.
async fn a_commit_before_the_removal_keeps_its_content(world: World) {
    let blob = world.blob("content", OLD).await;
    let artifact = world.version(0, "COMMITTED", NOW).await;
    let mut reader = world.store.reader().await.expect("a reader");
    let (ids, _) = unwanted::candidates(&mut reader, NOW - GRACE, 0)
        .await
        .expect("candidates");
    assert_eq!(ids, [blob.id]);
    drop(reader);
    let mut writer = world.writer().await;
    let there = touch(&mut writer, &[blob.id], NOW).await.expect("touched");
    assert!(there.contains(&blob.id));
    enter(&mut writer, artifact, blob.id).await;
    writer.commit().await.expect("a commit");
    let mut writer = world.writer().await;
    let keys = unwanted::remove_blobs(&mut writer, &ids, NOW - GRACE)
        .await
        .expect("removed");
    assert_eq!(keys, Vec::<String>::new());
}

/// The commit has marked what it relies on, and is not over when the removal begins.
async fn a_commit_that_is_not_over_is_passed_over(world: World) {
    let blob = world.blob("content", OLD).await;
    let artifact = world.version(0, "COMMITTED", NOW).await;
    let mut committing = world.writer().await;
    touch(&mut committing, &[blob.id], NOW)
        .await
        .expect("touched");
    let (store, ids) = (world.store.clone(), [blob.id]);
    let removal = tokio::spawn(async move {
        let mut writer = store.writer().await.expect("a writer");
        let keys = unwanted::remove_blobs(&mut writer, &ids, NOW - GRACE).await;
        writer.commit().await.expect("a commit");
        keys.expect("removed")
    });
    a_moment().await;
    enter(&mut committing, artifact, blob.id).await;
    committing.commit().await.expect("a commit");
    assert_eq!(removal.await.expect("no panic"), Vec::<String>::new());
    assert!(world.store.objects.get(&blob.object_key).await.is_ok());
}

/// The removal has begun and is not over when the commit wants to rely on the content.
async fn a_commit_after_the_removal_learns_of_it(world: World) {
    let blob = world.blob("content", OLD).await;
    let mut removing = world.writer().await;
    let keys = unwanted::remove_blobs(&mut removing, &[blob.id], NOW - GRACE)
        .await
        .expect("removed");
    assert_eq!(keys, [blob.object_key]);
    let store = world.store.clone();
    let commit = tokio::spawn(async move {
        let mut writer = store.writer().await.expect("a writer");
        touch(&mut writer, &[blob.id], NOW).await.expect("touched")
    });
    a_moment().await;
    removing.commit().await.expect("a commit");
    assert!(commit.await.expect("no panic").is_empty());
}

/// The same bytes arrive while their old row is being removed: they get a new one, with the new object.
async fn bytes_that_arrive_during_the_removal_are_there_afterwards(world: World) {
    let old = world.blob("content", OLD).await;
    let mut removing = world.writer().await;
    unwanted::remove_blobs(&mut removing, &[old.id], NOW - GRACE)
        .await
        .expect("removed");
    let (store, entity_id) = (world.store.clone(), world.entities[0]);
    let arrival = tokio::spawn(async move {
        let blob = NewBlob {
            entity_id,
            md5: Digest::of(Algorithm::Md5, b"content"),
            xxh128: Digest::of(Algorithm::Xxh128, b"content"),
            size_bytes: 1,
            object_key: "blobs/new",
        };
        let mut writer = store.writer().await.expect("a writer");
        let row = add(&mut writer, &blob, NOW).await.expect("a row");
        writer.commit().await.expect("a commit");
        row
    });
    a_moment().await;
    removing.commit().await.expect("a commit");
    let row = arrival.await.expect("no panic");
    assert_eq!(row.object_key, "blobs/new");
    assert!(world.is_there(row.id).await);
}

/// Another entity begins to have the same object, before, while and after the row of the first is removed.
async fn an_object_of_two_entities_goes_with_the_last(world: World) {
    let blob = world.blob("content", OLD).await;
    let mut adopting = world.writer().await;
    let other = world.entities[1];
    let own = adopt(&mut adopting, other, &blob, NOW)
        .await
        .expect("a row");
    let own = own.expect("it is there");
    assert_ne!(own, blob.id);
    let (store, ids) = (world.store.clone(), [blob.id]);
    let removal = tokio::spawn(async move {
        let mut writer = store.writer().await.expect("a writer");
        let keys = unwanted::remove_blobs(&mut writer, &ids, NOW - GRACE).await;
        writer.commit().await.expect("a commit");
        keys.expect("removed")
    });
    a_moment().await;
    adopting.commit().await.expect("a commit");
    assert_eq!(removal.await.expect("no panic"), Vec::<String>::new());
    // Nobody wants the first one's any more; the object is the other's too.
    let mut writer = world.writer().await;
    sqlx::query("UPDATE blobs SET wanted_at_micros = $1 WHERE id = $2")
        .bind(OLD)
        .bind(blob.id)
        .execute(&mut *writer)
        .await
        .expect("made old");
    writer.commit().await.expect("a commit");
    let collected = world.collect().await;
    assert_eq!((collected.blobs, collected.objects), (1, 0));
    assert!(world.store.objects.get(&blob.object_key).await.is_ok());
    let mut writer = world.writer().await;
    let found = find(
        &mut writer,
        other,
        Algorithm::Md5,
        Digest::of(Algorithm::Md5, b"content"),
    );
    assert_eq!(found.await.expect("looked").map(|row| row.id), Some(own));
    assert_eq!(adopt(&mut writer, other, &blob, NOW).await.ok(), Some(None));
}

/// Many commits and collections at the same time: what was committed has its bytes.
async fn what_is_committed_has_its_bytes(world: World) {
    let mut last = Vec::new();
    for round in 0..12 {
        let blob = world.blob(&format!("content {round}"), OLD).await;
        let artifact = world.version(0, "COMMITTED", NOW).await;
        let store = world.store.clone();
        let commit = async {
            let mut writer = store.writer().await.expect("a writer");
            let there = touch(&mut writer, &[blob.id], NOW).await.expect("touched");
            if there.is_empty() {
                return false;
            }
            enter(&mut writer, artifact, blob.id).await;
            writer.commit().await.expect("a commit");
            true
        };
        let (committed, ..) = tokio::join!(commit, world.collect(), world.collect());
        if committed {
            last.push(blob);
        } else {
            assert!(!world.is_there(blob.id).await);
        }
    }
    world.collect().await;
    for blob in &last {
        assert!(world.is_there(blob.id).await);
        assert!(world.store.objects.get(&blob.object_key).await.is_ok());
    }
    assert_eq!(world.objects().await, last.len());
}

async fn any_number_of_digests_is_found(world: World) {
    let mut wanted = Vec::new();
    let mut writer = world.writer().await;
    for number in 0..2_500_u32 {
        let bytes = number.to_le_bytes();
        let blob = NewBlob {
            entity_id: world.entities[0],
            md5: Digest::of(Algorithm::Md5, &bytes),
            xxh128: Digest::of(Algorithm::Xxh128, &bytes),
            size_bytes: 4,
            object_key: "k",
        };
        // Every second one is there.
        if number % 2 == 0 {
            add(&mut writer, &blob, OLD).await.expect("a row");
        }
        wanted.push((Algorithm::Md5, blob.md5));
        wanted.push((Algorithm::Xxh128, blob.xxh128));
    }
    let found = find_many(&mut writer, world.entities[0], &wanted).await;
    let found = found.expect("looked");
    for (at, key) in wanted.iter().enumerate() {
        assert_eq!(found.contains_key(key), at / 2 % 2 == 0);
    }
    let ids: Vec<i64> = found.values().map(|row| row.id).collect();
    assert_eq!(
        touch(&mut writer, &ids, NOW).await.expect("touched").len(),
        1_250
    );
    let other = find_many(&mut writer, world.entities[1], &wanted).await;
    assert!(other.expect("looked").is_empty(), "of another entity");
}

macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::World::on_sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $case() {
                if let Some(world) = super::World::on_postgres().await {
                    super::$case(world).await;
                }
            })*
        }
    };
}

suite!(
    only_what_is_unwanted_goes,
    versions_that_are_being_made_keep_what_came_since_they_began,
    versions_are_given_up_when_nobody_will_go_on,
    a_commit_before_the_removal_keeps_its_content,
    a_commit_that_is_not_over_is_passed_over,
    a_commit_after_the_removal_learns_of_it,
    bytes_that_arrive_during_the_removal_are_there_afterwards,
    an_object_of_two_entities_goes_with_the_last,
    what_is_committed_has_its_bytes,
    any_number_of_digests_is_found,
);
