//! Artifacts of whole logs against the server in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use runlane_model::artifact::digest::{Algorithm, Digest};

use super::*;

/// What the server in memory keeps of artifacts.
#[derive(Debug, Default)]
pub(super) struct Kept {
    versions: Vec<Version>,
    /// Contents by MD5 in base64, and how often each came.
    blobs: BTreeMap<String, usize>,
    manifests: BTreeMap<String, Vec<u8>>,
    uses: Vec<String>,
    /// Names in the order of their commits.
    commits: Vec<String>,
}

#[derive(Debug)]
struct Version {
    name: String,
    client_id: String,
    is_committed: bool,
    manifest: String,
}

impl Kept {
    /// The `data` of an answer, if the operation is one on artifacts.
    pub(super) fn take(&mut self, what: &str, body: &Value) -> Option<Value> {
        let variables = &body["variables"];
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Some(match what {
            "CreateArtifact" => {
                let input = &variables["input"];
                let client_id = text(&input["clientID"]);
                let known = self
                    .versions
                    .iter()
                    .position(|version| version.client_id == client_id);
                let number = known.unwrap_or_else(|| {
                    self.versions.push(Version {
                        name: text(&input["artifactCollectionName"]),
                        client_id,
                        is_committed: false,
                        manifest: String::new(),
                    });
                    self.versions.len() - 1
                });
                let state = if self.versions[number].is_committed {
                    "COMMITTED"
                } else {
                    "PENDING"
                };
                let artifact = json!({"id": id(number), "state": state, "artifactSequence": {"latestArtifact": null}});
                json!({"createArtifact": {"artifact": artifact}})
            }
            "CreateArtifactManifest" => {
                let number = number(&text(&variables["artifactID"]));
                self.versions[number].manifest = text(&variables["digest"]);
                let url = format!("http://server/artifact/manifest/{number}");
                let file = json!({"id": "f", "uploadUrl": url, "uploadHeaders": []});
                json!({"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}})
            }
            "CreateArtifactFiles" => {
                let files = variables["input"]["artifactFiles"]
                    .as_array()
                    .expect("a list");
                let edges: Vec<Value> = files.iter().map(|file| self.place(file)).collect();
                json!({"createArtifactFiles": {"files": {"edges": edges}}})
            }
            "ClientIDMapping" => {
                let wanted = text(&variables["clientID"]);
                let found = self
                    .versions
                    .iter()
                    .position(|version| version.client_id == wanted);
                json!({"clientIDMapping": found.map(|number| json!({"serverID": id(number)}))})
            }
            "CommitArtifact" => {
                let version = &mut self.versions[number(&text(&variables["artifactID"]))];
                let manifest = self
                    .manifests
                    .get(&version.manifest)
                    .expect("the manifest came first");
                let manifest: Value = serde_json::from_slice(manifest).expect("JSON");
                for entry in manifest["contents"].as_object().expect("entries").values() {
                    let is_there = self
                        .blobs
                        .contains_key(entry["digest"].as_str().expect("text"));
                    assert!(is_there || entry.get("ref").is_some(), "{entry}");
                }
                if !std::mem::replace(&mut version.is_committed, true) {
                    self.commits.push(version.name.clone());
                }
                json!({"commitArtifact": {"artifact": {"id": "a", "digest": "d"}}})
            }
            "UseArtifact" => {
                self.uses.push(text(&variables["input"]["artifactID"]));
                json!({"useArtifact": {"artifact": {"id": "a"}}})
            }
            _ => return None,
        })
    }

    fn place(&self, file: &Value) -> Value {
        let digest = file["md5"].as_str().expect("text");
        let url = (!self.blobs.contains_key(digest))
            .then(|| format!("http://server/artifact/file/{digest}"));
        json!({"node": {"storagePath": "p", "uploadUrl": url, "uploadHeaders": ["X-Signed:1"], "uploadMultipartUrls": null,
            "artifact": {"id": file["artifactID"]}}})
    }

    /// Bytes that are put where a place leads.
    pub(super) fn put(&mut self, request: &HttpRequest) {
        let bytes = match &request.body {
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::File {
                path,
                offset,
                length,
                counter,
                ..
            } => {
                let bytes = std::fs::read(path).expect("readable");
                if let Some(counter) = counter {
                    counter.add(*length);
                }
                let range = usize::try_from(*offset).expect("small")
                    ..usize::try_from(offset + length).expect("small");
                bytes[range].to_vec()
            }
        };
        let digest = Digest::of(Algorithm::Md5, &bytes).base64();
        if request.url.contains("/manifest/") {
            self.manifests.insert(digest, bytes);
        } else {
            assert!(
                request.url.ends_with(&digest),
                "other bytes: {}",
                request.url
            );
            assert!(
                request
                    .headers
                    .contains(&("X-Signed".to_owned(), "1".to_owned()))
            );
            *self.blobs.entry(digest).or_default() += 1;
        }
    }
}

fn id(number: usize) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(format!("Artifact:{number}"))
}

fn number(id: &str) -> usize {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD
        .decode(id)
        .expect("base64");
    let text = String::from_utf8(text).expect("text");
    text.trim_start_matches("Artifact:")
        .parse()
        .expect("a number")
}

/// An artifact's record; its files lie in `staging`.
fn artifact(
    staging: &Path,
    name: &str,
    client_id: &str,
    files: &[(&str, &[u8])],
) -> pb::ArtifactRecord {
    let contents = files.iter().map(|(path, bytes)| {
        let staged = staging.join(format!("{client_id}-{}", path.replace('/', "-")));
        std::fs::write(&staged, bytes).expect("written");
        pb::ArtifactManifestEntry {
            path: (*path).to_owned(),
            digest: Digest::of(Algorithm::Md5, bytes).base64(),
            size: i64::try_from(bytes.len()).expect("small"),
            local_path: staged.display().to_string(),
            ..Default::default()
        }
    });
    pb::ArtifactRecord {
        name: name.to_owned(),
        r#type: "dataset".to_owned(),
        digest: client_id.to_owned(),
        client_id: client_id.to_owned(),
        finalize: true,
        manifest: Some(pb::ArtifactManifest {
            version: 1,
            contents: contents.collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

struct World {
    server: Server,
    staging: PathBuf,
}

impl World {
    fn new() -> Self {
        let server = Server::new();
        let staging = server.directory.path().join("staging");
        std::fs::create_dir(&staging).expect("created");
        Self { server, staging }
    }

    fn artifact(&self, name: &str, client_id: &str, files: &[(&str, &[u8])]) -> pb::ArtifactRecord {
        artifact(&self.staging, name, client_id, files)
    }

    /// Begins to upload a log with 1,000 rows, these artifacts in the middle, and an end.
    fn upload(&self, run: &str, artifacts: Vec<pb::ArtifactRecord>) -> Upload {
        let log = self
            .server
            .directory
            .path()
            .join(format!("run-{run}.wandb"));
        let mut writer = Writer::create(&OsFs, &log).expect("created");
        push(&mut writer, RecordType::Run(run_record(run)));
        (0..500).for_each(|step| push(&mut writer, row(step)));
        for artifact in artifacts {
            push(&mut writer, RecordType::Artifact(artifact));
        }
        (500..1_000).for_each(|step| push(&mut writer, row(step)));
        push(&mut writer, RecordType::Exit(pb::RunExitRecord::default()));
        drop(writer);
        self.again(run)
    }

    /// Uploads a log that lies there, as the next daemon or `sync` does.
    fn again(&self, run: &str) -> Upload {
        let mut job = self.server.job(run);
        job.settings.staging_dir = self.staging.display().to_string();
        job.settings.cache_dir = self
            .server
            .directory
            .path()
            .join("cache")
            .display()
            .to_string();
        self.server.begin(run, job)
    }

    async fn complete(&self, upload: &Upload, limit: Duration) {
        let state = upload.handle.status.clone();
        let limit = self.server.clock.elapsed() + limit;
        let is_complete = || state.borrow().complete;
        assert!(
            self.server.clock.run(limit, is_complete).await,
            "{:?}",
            state.borrow()
        );
    }

    fn staged(&self) -> usize {
        std::fs::read_dir(&self.staging).expect("there").count()
    }
}

#[tokio::test]
async fn artifacts_of_a_log_become_versions_once() {
    let world = World::new();
    let first = world.artifact(
        "data",
        "first",
        &[("a", b"hello"), ("dir/é", b""), ("same", b"hello")],
    );
    let second = world.artifact("data", "second", &[("a", b"hello"), ("b", b"more")]);
    let mut third = world.artifact("model", "third", &[("w", &vec![7; 700_000])]);
    third.use_after_commit = true;
    third
        .manifest
        .as_mut()
        .expect("one")
        .contents
        .push(pb::ArtifactManifestEntry {
            path: "ref".to_owned(),
            digest: "d".to_owned(),
            r#ref: "wandb-client-artifact://second/b".to_owned(),
            ..Default::default()
        });
    let upload = world.upload("run", vec![third, first, second]);
    world.complete(&upload, HOUR).await;
    world.server.assert_whole("run", 1_000);
    let status = upload.handle.status.borrow().clone();
    assert_eq!(
        (
            status.artifact_files,
            status.artifacts_left,
            status.artifacts_failed
        ),
        (6, 0, 0)
    );
    assert_eq!(status.artifacts["third"].id, id(0));
    assert!(
        status
            .artifacts
            .values()
            .all(|state| state.done && state.error.is_empty())
    );
    assert_eq!(status.artifact_bytes_uploaded, 700_000 + 5 + 4);
    assert_eq!(world.staged(), 0);
    {
        let stored = world.server.stored();
        let kept = &stored.artifacts;
        assert!(
            kept.blobs.values().all(|puts| *puts <= 2),
            "two artifacts at a time may have a content in common: {kept:?}"
        );
        let of_data: Vec<&String> = kept.commits.iter().filter(|name| *name == "data").collect();
        assert_eq!((of_data.len(), kept.commits.len()), (2, 3));
        assert_eq!(kept.uses, [id(0)]);
        let manifest: Value =
            serde_json::from_slice(&kept.manifests[&kept.versions[0].manifest]).expect("JSON");
        let second = kept
            .versions
            .iter()
            .position(|version| version.client_id == "second")
            .expect("there");
        let hex = super::super::http::hex(format!("Artifact:{second}").as_bytes());
        assert_eq!(
            manifest["contents"]["ref"]["ref"],
            json!(format!("wandb-artifact://{hex}/b"))
        );
        assert_eq!(manifest["contents"]["w"]["birthArtifactID"], json!(id(0)));
    }
    let requests = world.server.stored().requests.len();
    let again = world.again("run");
    world.complete(&again, HOUR).await;
    let stored = world.server.stored();
    let repeated: BTreeSet<&str> = stored.requests[requests..]
        .iter()
        .map(|(_, what)| what.as_str())
        .collect();
    assert!(
        !repeated.iter().any(|what| what.contains("Artifact")),
        "{repeated:?}"
    );
}

#[tokio::test]
async fn rows_do_not_wait_for_a_store_that_is_away_and_the_version_comes_when_it_is_back() {
    let world = World::new();
    let record = world.artifact("data", "client", &[("a", b"hello"), ("b", b"world")]);
    world.server.says(|_what, request| {
        let is_file = request.url.contains("/artifact/file/");
        is_file.then(|| Ok(answer(503, &json!({"error": "busy"}))))
    });
    let mut upload = world.upload("run", vec![record]);
    assert!(
        !world
            .server
            .clock
            .run(Duration::from_secs(20), || false)
            .await
    );
    assert_eq!(world.server.rows("run").len(), 1_000);
    let status = upload.status();
    assert!(!status.complete && status.artifacts_left == 1 && !status.is_paused);
    assert!(
        status.artifacts["client"].error.contains("503"),
        "{status:?}"
    );
    assert!(!world.server.clock.run(HOUR, || false).await);
    assert_spared(
        &world.server.stored().requests,
        Duration::from_mins(1),
        HOUR,
    );
    world.server.works();
    world.complete(&upload, HOUR).await;
    let stored = world.server.stored();
    assert_eq!(stored.artifacts.commits, ["data"]);
    assert!(stored.artifacts.blobs.values().all(|puts| *puts == 1));
}

#[tokio::test]
async fn a_file_that_is_gone_or_has_changed_fails_its_artifact_alone() {
    let world = World::new();
    let gone = world.artifact("gone", "gone", &[("a", b"hello")]);
    let changed = world.artifact("changed", "changed", &[("dir/b", b"world")]);
    let fine = world.artifact("fine", "fine", &[("c", b"fine")]);
    std::fs::remove_file(world.staging.join("gone-a")).expect("removed");
    std::fs::write(world.staging.join("changed-dir-b"), b"WORLD").expect("written");
    let mut upload = world.upload("run", vec![gone, changed, fine]);
    world.complete(&upload, HOUR).await;
    let status = upload.status();
    assert_eq!((status.artifacts_failed, status.artifacts_left), (2, 0));
    let (gone, changed) = (&status.artifacts["gone"], &status.artifacts["changed"]);
    assert!(
        gone.done
            && gone
                .error
                .contains("file `a` of the artifact cannot be read"),
        "{gone:?}"
    );
    assert!(
        changed
            .error
            .contains("file `dir/b` has changed since it was added"),
        "{changed:?}"
    );
    assert!(status.artifacts["fine"].error.is_empty());
    assert_eq!(upload.notices.len(), 2, "{:?}", upload.notices);
    world.server.assert_whole("run", 1_000);
    assert_eq!(world.server.stored().artifacts.commits, ["fine"]);
    // What was put back is taken by the next one; what is stored is not touched again.
    std::fs::write(world.staging.join("gone-a"), b"hello").expect("written");
    std::fs::write(world.staging.join("changed-dir-b"), b"world").expect("written");
    let mut again = world.again("run");
    world.complete(&again, HOUR).await;
    assert_eq!(again.status().artifacts_failed, 0);
    let stored = world.server.stored();
    let commits: BTreeSet<&String> = stored.artifacts.commits.iter().collect();
    assert_eq!((commits.len(), stored.artifacts.commits.len()), (3, 3));
}

#[tokio::test]
async fn a_key_that_is_refused_in_the_middle_of_an_artifact_pauses_until_there_is_another() {
    let world = World::new();
    let record = world.artifact("data", "client", &[("a", b"hello")]);
    world.server.says(|what, request| {
        let key = request
            .headers
            .iter()
            .find(|(name, _)| name == "Authorization");
        // "api:second-key"
        let is_new = key.is_some_and(|(_, value)| value == "Basic YXBpOnNlY29uZC1rZXk=");
        let refuses = what == "CommitArtifact" && !is_new;
        refuses.then(|| Ok(answer(401, &json!({"error": "who are you?"}))))
    });
    let mut upload = world.upload("run", vec![record]);
    assert!(!world.server.clock.run(HOUR / 6, || false).await);
    let status = upload.status();
    assert!(status.is_paused && status.artifacts_left == 1, "{status:?}");
    assert_eq!(
        world
            .server
            .outside
            .offer_key("http://server", "second-key"),
        1
    );
    world.complete(&upload, HOUR).await;
    assert_eq!(world.server.stored().artifacts.commits, ["data"]);
    assert_eq!(upload.status().artifacts_failed, 0);
}

#[tokio::test]
async fn the_next_daemon_goes_on_wherever_the_last_one_was_killed() {
    for kill_after in 0..14 {
        let world = World::new();
        let records = vec![
            world.artifact("data", "one", &[("a", b"hello"), ("b", b"world")]),
            world.artifact("data", "two", &[("a", b"HELLO")]),
        ];
        let mut seen = 0;
        world.server.says(move |what, _request| {
            seen += usize::from(what.contains("Artifact") || what == "PUT");
            // From here on nothing comes through: the daemon may as well be dead.
            (seen > kill_after).then(|| Err(CallError::retry("connection refused")))
        });
        let upload = world.upload("run", records);
        assert!(
            !world
                .server
                .clock
                .run(Duration::from_secs(30), || false)
                .await
        );
        upload.handle.stop().await;
        world.server.works();
        let again = world.again("run");
        world.complete(&again, HOUR).await;
        let stored = world.server.stored();
        assert_eq!(
            stored.artifacts.commits,
            ["data", "data"],
            "killed after {kill_after}"
        );
        assert_eq!(
            stored.artifacts.versions.len(),
            2,
            "killed after {kill_after}"
        );
        assert!(
            stored.artifacts.blobs.values().all(|puts| *puts == 1),
            "killed after {kill_after}"
        );
        drop(stored);
        assert_eq!(world.staged(), 0);
    }
}

#[tokio::test]
async fn a_commit_that_is_refused_once_is_followed_by_the_whole_once_more() {
    let world = World::new();
    let record = world.artifact("data", "client", &[("a", b"hello")]);
    let mut refusals = 0;
    world.server.says(move |what, _request| {
        refusals += usize::from(what == "CommitArtifact");
        let refuses = what == "CommitArtifact" && refusals == 1;
        refuses.then(|| Ok(answer(200, &json!({"errors": [{"message": "given up"}]}))))
    });
    let mut upload = world.upload("run", vec![record]);
    world.complete(&upload, HOUR).await;
    assert_eq!(upload.status().artifacts_failed, 0, "{:?}", upload.notices);
    assert_eq!(world.server.stored().artifacts.commits, ["data"]);
    let left = std::fs::read_dir(world.server.directory.path()).expect("there");
    let left = left.map(|entry| entry.expect("readable").file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_string_lossy().contains("manifest"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// An entry that refers to an artifact by its client id.
fn refer(record: &mut pb::ArtifactRecord, client_id: &str) {
    let manifest = record.manifest.as_mut().expect("one");
    manifest.contents.push(pb::ArtifactManifestEntry {
        path: format!("to-{client_id}"),
        digest: "d".to_owned(),
        r#ref: format!("wandb-client-artifact://{client_id}/b"),
        ..Default::default()
    });
}

#[tokio::test]
async fn drafts_that_refer_to_what_is_logged_after_them_end_all_the_same() {
    let world = World::new();
    let mut records: Vec<_> = (0..6)
        .map(|index| {
            let name = format!("early{index}");
            let mut record = world.artifact(&name, &name, &[("a", b"hello")]);
            refer(&mut record, "late");
            record
        })
        .collect();
    records.push(world.artifact("late", "before", &[("b", b"first")]));
    records.push(world.artifact("late", "late", &[("b", b"world")]));
    let mut own = world.artifact("own", "own0", &[("a", b"0")]);
    refer(&mut own, "own1");
    records.extend([own, world.artifact("own", "own1", &[("a", b"1")])]);
    let mut upload = world.upload("run", records);
    world.complete(&upload, Duration::from_mins(5)).await;
    let status = upload.status();
    assert_eq!(status.artifacts_failed, 1, "{:?}", upload.notices);
    let problem = &status.artifacts["own0"].error;
    assert!(
        problem.contains("a version of `own` that was logged later"),
        "{problem}"
    );
    let stored = world.server.stored();
    let mut commits = stored.artifacts.commits.clone();
    commits.sort();
    let expected = [
        "early0", "early1", "early2", "early3", "early4", "early5", "late", "late", "own",
    ];
    assert_eq!(commits, expected);
}

#[tokio::test]
async fn copies_that_a_killed_daemon_did_not_put_by_are_put_by_later() {
    let world = World::new();
    let record = world.artifact("data", "client", &[("a", b"hello")]);
    let staged = world.staging.join("client-a");
    let upload = world.upload("run", vec![record]);
    world.complete(&upload, HOUR).await;
    assert_eq!(world.staged(), 0);
    upload.handle.stop().await;
    // As it was when the cursor was written and nothing after it.
    std::fs::write(&staged, b"hello").expect("written");
    let again = world.again("run");
    world.complete(&again, HOUR).await;
    assert_eq!(world.staged(), 0);
    assert_eq!(world.server.stored().artifacts.commits, ["data"]);
}
