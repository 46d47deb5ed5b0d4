//! What every object store must do, checked on a local directory and on an S3 server.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt as _;

use super::*;

#[path = "../../../examples/s3_store/store.rs"]
#[expect(dead_code, reason = "the tests over HTTP use more of it")]
mod store;

use store::{BUCKET, Fault, S3Store};

/// A store to test, and what must live as long.
struct World {
    objects: Objects,
    server: Option<S3Store>,
    _dir: tempfile::TempDir,
}

async fn directory() -> World {
    let dir = tempfile::tempdir().expect("temporary directory");
    let objects = Objects::open(&ObjectsPlace::DataDir, dir.path()).await;
    World {
        objects: objects.expect("a directory"),
        server: None,
        _dir: dir,
    }
}

async fn bucket() -> World {
    let dir = tempfile::tempdir().expect("temporary directory");
    let server = S3Store::start(&dir.path().join("s3")).await;
    let place = ObjectsPlace::S3(S3Place::with_options(BUCKET, "team/runs", server.options()));
    let objects = Objects::open(&place, dir.path()).await;
    World {
        objects: objects.expect("a bucket"),
        server: Some(server),
        _dir: dir,
    }
}

/// Bytes that differ everywhere, so that swapped parts show.
fn pattern(size: usize) -> Bytes {
    (0..size.div_ceil(8) as u64)
        .flat_map(|word| word.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes())
        .take(size)
        .collect::<Vec<u8>>()
        .into()
}

async fn write(objects: &Objects, key: &str, bytes: &Bytes, step: usize) {
    let mut writer = objects.writer(key, Some(bytes.len() as u64));
    for begin in (0..bytes.len()).step_by(step) {
        let piece = bytes.slice(begin..(begin + step).min(bytes.len()));
        writer.write(piece).await.expect("a write");
    }
    writer.finish().await.expect("the end of a write");
}

async fn keys(objects: &Objects, before: chrono::DateTime<chrono::Utc>) -> Vec<String> {
    let mut keys: Vec<String> = objects
        .written_before(before)
        .try_collect()
        .await
        .expect("a listing");
    keys.sort();
    keys
}

fn is_missing(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Object(object_store::Error::NotFound { .. })
    )
}

async fn small_objects_come_back(objects: &Objects) {
    for key in [
        "files/1/abc",
        "history/7/0f.parquet",
        "a/ü b/+%41&?=#~[]{}'\"",
        "a/日本語.txt",
    ] {
        let bytes = Bytes::from(format!("content of {key}"));
        objects.put(key, bytes.clone()).await.expect("a put");
        assert_eq!(objects.get(key).await.expect("there"), bytes, "{key}");
        objects.put(key, "other".into()).await.expect("put again");
        assert_eq!(objects.get(key).await.expect("there"), "other", "{key}");
        objects.remove(key).await;
        assert!(is_missing(&objects.get(key).await.expect_err("removed")));
    }
}

async fn empty_objects_are_objects(objects: &Objects) {
    objects.put("e/put", Bytes::new()).await.expect("a put");
    objects
        .writer("e/written", Some(0))
        .finish()
        .await
        .expect("an empty write");
    for key in ["e/put", "e/written"] {
        assert_eq!(objects.get(key).await.expect("there"), Bytes::new());
        let stream = objects.stream(key, 0..0).await.expect("a stream");
        let bytes: Vec<Bytes> = stream.try_collect().await.expect("its bytes");
        assert!(bytes.is_empty());
    }
}

async fn written_objects_come_back(objects: &Objects) {
    // One piece, several pieces, one part exactly, several parts.
    for (size, step) in [
        (1, 1),
        (PIECE, 1000),
        (3 * PIECE + 7, PIECE / 3),
        (8 << 20, 100_000),
        ((20 << 20) + 13, 700_000),
    ] {
        let bytes = pattern(size);
        write(objects, "w/x", &bytes, step).await;
        assert!(objects.get("w/x").await.expect("there") == bytes, "{size}");
    }
}

const PIECE: usize = 256 << 10;

async fn unfinished_writes_are_invisible(objects: &Objects) {
    let big = pattern(9 << 20);
    let mut given_up = objects.writer("u/given-up", None);
    let mut dropped = objects.writer("u/dropped", None);
    for begin in (0..big.len()).step_by(1 << 20) {
        let piece = big.slice(begin..begin + (1 << 20));
        given_up.write(piece.clone()).await.expect("a write");
        dropped.write(piece).await.expect("a write");
    }
    let soon = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    for key in ["u/given-up", "u/dropped"] {
        assert!(is_missing(
            &objects.get(key).await.expect_err("not finished")
        ));
        assert!(!keys(objects, soon).await.contains(&key.to_owned()));
    }
    given_up.abort().await;
    drop(dropped);
    for key in ["u/given-up", "u/dropped"] {
        assert!(is_missing(&objects.get(key).await.expect_err("given up")));
    }
}

async fn unfinished_writes_do_not_touch_what_is_there(objects: &Objects) {
    objects.put("o/x", "old".into()).await.expect("a put");
    let mut writer = objects.writer("o/x", None);
    writer.write(pattern(2 * PIECE)).await.expect("a write");
    assert_eq!(objects.get("o/x").await.expect("there"), "old");
    writer.finish().await.expect("the end");
    assert_eq!(objects.get("o/x").await.expect("there"), pattern(2 * PIECE));
}

fn cut(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let place = |at: u64| usize::try_from(at).expect("in memory");
    bytes.slice(place(range.start)..place(range.end))
}

async fn ranges_are_exact(objects: &Objects) {
    let bytes = pattern(3 << 20);
    objects.put("r/x", bytes.clone()).await.expect("a put");
    let wanted = [0..1, 5..5 + (1 << 20), (3 << 20) - 1..3 << 20, 100..200];
    let found = objects.ranges("r/x", &wanted).await.expect("ranges");
    for (range, part) in wanted.iter().zip(found) {
        assert!(part == cut(&bytes, range), "{range:?}");
    }
    for range in [0..3 << 20, 7..8, 1 << 20..2 << 20] {
        let stream = objects
            .stream("r/x", range.clone())
            .await
            .expect("a stream");
        let parts: Vec<Bytes> = stream.try_collect().await.expect("its bytes");
        assert!(parts.concat() == cut(&bytes, &range), "{range:?}");
    }
}

async fn missing_objects_are_missing(objects: &Objects) {
    assert!(is_missing(&objects.get("m/x").await.expect_err("missing")));
    let ranges = objects.ranges("m/x", std::slice::from_ref(&(0..1))).await;
    assert!(is_missing(&ranges.expect_err("missing")));
    let Err(error) = objects.stream("m/x", 0..1).await else {
        panic!("a stream of nothing")
    };
    assert!(is_missing(&error));
    // Removing it is no error: whoever removes an object may be told to do it again.
    objects.remove("m/x").await;
}

async fn listing_goes_by_age(objects: &Objects) {
    for key in ["l/a", "l/b/c"] {
        objects.put(key, "x".into()).await.expect("a put");
    }
    let now = chrono::Utc::now();
    let old = keys(objects, now - chrono::TimeDelta::hours(1)).await;
    assert_eq!(old, Vec::<String>::new());
    let new = keys(objects, now + chrono::TimeDelta::hours(1)).await;
    let new: Vec<&String> = new.iter().filter(|key| key.starts_with("l/")).collect();
    assert_eq!(new, ["l/a", "l/b/c"]);
}

macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod on_a_directory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::directory().await.objects).await;
            })*
        }
        mod on_s3 {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::bucket().await.objects).await;
            })*
        }
    };
}

suite!(
    small_objects_come_back,
    empty_objects_are_objects,
    written_objects_come_back,
    unfinished_writes_are_invisible,
    unfinished_writes_do_not_touch_what_is_there,
    ranges_are_exact,
    missing_objects_are_missing,
    listing_goes_by_age,
);

#[tokio::test]
async fn short_failures_of_the_bucket_are_passed_over() {
    let world = bucket().await;
    let server = world.server.as_ref().expect("a server");
    server.fail(vec![Fault {
        status: 503,
        code: "SlowDown".into(),
        times: Some(2),
        ..Fault::default()
    }]);
    world.objects.put("f/x", "x".into()).await.expect("a put");
    assert_eq!(world.objects.get("f/x").await.expect("there"), "x");
}

#[tokio::test]
async fn outages_of_the_bucket_are_errors_in_bounded_time() {
    let world = bucket().await;
    let server = world.server.as_ref().expect("a server");
    for (status, code) in [
        (500, "InternalError"),
        (503, "SlowDown"),
        (507, "QuotaExceeded"),
    ] {
        server.fail(vec![Fault {
            status,
            code: code.into(),
            ..Fault::default()
        }]);
        let began = Instant::now();
        let mut writer = world.objects.writer("f/x", None);
        writer.write(pattern(PIECE)).await.expect("only spooled");
        writer.finish().await.expect_err("the bucket fails");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    server.stop();
    world
        .objects
        .put("f/x", "x".into())
        .await
        .expect_err("refused");
    world.objects.get("f/x").await.expect_err("refused");
}

#[tokio::test]
async fn an_object_that_the_bucket_took_and_lost_is_an_error() {
    let world = bucket().await;
    let server = world.server.as_ref().expect("a server");
    server.fail(vec![Fault {
        method: "PUT".into(),
        lose: true,
        ..Fault::default()
    }]);
    let error = world.objects.put("f/x", "x".into()).await;
    assert!(is_missing(&error.expect_err("lost")));
}

#[tokio::test]
async fn an_object_that_shows_late_is_waited_for() {
    let world = bucket().await;
    let server = world.server.as_ref().expect("a server");
    server.fail(vec![Fault {
        method: "HEAD".into(),
        status: 404,
        code: "NoSuchKey".into(),
        times: Some(2),
        ..Fault::default()
    }]);
    world.objects.put("f/x", "x".into()).await.expect("a put");
}

#[tokio::test]
async fn wrong_buckets_and_keys_are_said_at_the_start() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let server = S3Store::start(&dir.path().join("s3")).await;
    let open = async |bucket: &str, options| {
        let place = ObjectsPlace::S3(S3Place::with_options(bucket, "", options));
        let error = Objects::open(&place, dir.path()).await.err();
        error.map(|error| error.to_string()).unwrap_or_default()
    };
    let text = open("another-bucket", server.options()).await;
    assert!(
        text.contains("`s3://another-bucket`: there is no such bucket"),
        "{text}"
    );
    for (name, word) in [
        ("secret_access_key", "not-the-secret"),
        ("access_key_id", "nobody"),
    ] {
        let mut options = server.options();
        options.retain(|(known, _)| *known != name);
        options.push((name, word.to_owned()));
        let text = open(BUCKET, options).await;
        assert!(text.contains("refuses the credentials"), "{text}");
        assert!(!text.contains("not-the-secret"), "{text}");
    }
    // One that does not answer is waited for: the rest of the server works meanwhile.
    let mut options = server.options();
    options.retain(|(known, _)| *known != "endpoint");
    options.push(("endpoint", "http://127.0.0.1:9".to_owned()));
    assert_eq!(open(BUCKET, options).await, "");
}
