//! Manifests that nobody should have sent: the commit is refused, names the entry, and leaves no version.

use serde_json::{Value, json};

use crate::artifact_client::{Client, manifest_digest, md5};
use crate::support::TestServer;
use runlane_model::artifact::digest::Algorithm;

const COMMIT: &str =
    "mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }";

fn manifest(contents: &str) -> String {
    format!(
        r#"{{"version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {{"storageLayout": "V2"}}, "contents": {contents}}}"#
    )
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of cases and one loop over it"
)]
async fn what_cannot_be_a_version_is_refused_with_its_entry() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let hello = "XUFAKrxLKna5cZ2REBfFkg==";
    let entry = |path: &str| {
        manifest(&format!(
            r#"{{"{path}": {{"digest": "{hello}", "size": 5}}}}"#
        ))
    };
    let reference = |uri: &str| {
        manifest(&format!(
            r#"{{"r": {{"digest": "d", "ref": "{uri}", "size": 0}}}}"#
        ))
    };
    let long = "x".repeat(300);
    let cases: Vec<(&str, String, &str)> = vec![
        ("not JSON", "hello".into(), "the manifest cannot be read"),
        ("empty", String::new(), "the manifest cannot be read"),
        ("a list", "[]".into(), "the manifest cannot be read"),
        (
            "cut off",
            r#"{"version": 1, "contents": {"a""#.into(),
            "the manifest cannot be read",
        ),
        (
            "unknown version",
            r#"{"version": 2, "contents": {}}"#.into(),
            "its version is 2",
        ),
        (
            "no contents",
            r#"{"version": 1}"#.into(),
            "missing field `contents`",
        ),
        (
            "policy",
            r#"{"version": 1, "storagePolicy": "other", "contents": {}}"#.into(),
            "its storage policy is not",
        ),
        (
            "twice",
            manifest(&format!(
                r#"{{"a": {{"digest": "{hello}"}}, "a": {{"digest": "{hello}"}}}}"#
            )),
            "`a` stands in it twice",
        ),
        ("up", entry("../a"), "`../a`"),
        ("inside up", entry("a/../../b"), "`a/../../b`"),
        ("absolute", entry("/etc/passwd"), "`/etc/passwd`"),
        ("backslash", entry(r"a\\b"), "backslash"),
        ("NUL", entry(r"a\u0000b"), "control characters"),
        ("drive", entry("C:/a"), "drive"),
        ("long", entry(&long), "component"),
        ("no path", entry(""), "entry path"),
        (
            "short digest",
            manifest(r#"{"a": {"digest": "AAAA", "size": 1}}"#),
            "entry `a` of the manifest: its digest is not base64 of 16 bytes",
        ),
        (
            "alphabet",
            manifest(r#"{"a": {"digest": "!UFAKrxLKna5cZ2REBfFkg==", "size": 1}}"#),
            "entry `a`",
        ),
        ("no digest", manifest(r#"{"a": {"size": 1}}"#), "entry `a`"),
        (
            "negative",
            manifest(&format!(r#"{{"a": {{"digest": "{hello}", "size": -1}}}}"#)),
            "entry `a`",
        ),
        (
            "huge",
            manifest(&format!(
                r#"{{"a": {{"digest": "{hello}", "size": 18446744073709551615}}}}"#
            )),
            "entry `a` of the manifest: its size is no number of bytes",
        ),
        (
            "other size",
            manifest(&format!(r#"{{"a": {{"digest": "{hello}", "size": 6}}}}"#)),
            "entry `a` of the manifest: its size is 6, and 5 bytes",
        ),
        (
            "script",
            reference("javascript:alert(1)"),
            "entry `r` of the manifest: references with the scheme `javascript:`",
        ),
        ("Script", reference("JavaScript:alert(1)"), "not allowed"),
        ("data", reference("data:text/html,x"), "not allowed"),
        ("no scheme", reference("nothing"), "not a URI with a scheme"),
        (
            "never uploaded",
            manifest(r#"{"b": {"digest": "AAAAAAAAAAAAAAAAAAAAAA==", "size": 1}}"#),
            "entry `b` of the manifest: its bytes were not uploaded",
        ),
    ];
    // The bytes of `hello` are there.
    client
        .log_as("other", &[("q.txt", b"hello")], json!({}))
        .await;
    for (number, (name, file, said)) in cases.into_iter().enumerate() {
        // The announced digest is that of the manifest, so that it is not what is wrong.
        let digest = digest_of(&file);
        let collection = format!("bad-{number}");
        let id = client.create(&collection, &digest).await;
        client.send_manifest(&id, file, "FULL").await;
        let answer = client.answer(COMMIT, json!({"id": id})).await.json();
        let error = &answer["errors"][0];
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(said), "{name}: {answer}");
        assert_eq!(error["extensions"]["status"], 422, "{name}: {answer}");
        assert_eq!(client.urls(&collection).await, None, "{name}");
    }
}

/// The digest by which a manifest is announced, as far as it can be read.
fn digest_of(file: &str) -> String {
    let read: Value = serde_json::from_str(file).unwrap_or_default();
    let entries: std::collections::BTreeMap<String, String> = read["contents"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(path, entry)| {
            (
                path.clone(),
                entry["digest"].as_str().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    let entries = entries
        .iter()
        .map(|(path, digest)| (path.as_str(), digest.as_str()));
    runlane_model::artifact::manifest::digest_of(Algorithm::Md5, entries)
}

#[tokio::test]
async fn a_manifest_of_something_else_is_refused() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let files: [(&str, &[u8]); 1] = [("a", b"1")];
    let id = client.create("ds", &"0".repeat(32)).await;
    client.upload(&id, &files, "FULL").await;
    let said = client.refusal(COMMIT, json!({"id": id})).await;
    let digest = manifest_digest(Algorithm::Md5, &files);
    assert!(
        said.contains(&format!(
            "has digest `{digest}`, and `{}` was announced",
            "0".repeat(32)
        )),
        "{said}"
    );
}

#[tokio::test]
async fn what_was_refused_can_be_put_right() {
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let files: [(&str, &[u8]); 1] = [("a", b"1")];
    let id = client
        .create("ds", &manifest_digest(Algorithm::Md5, &files))
        .await;
    client.send_manifest(&id, manifest("{}"), "FULL").await;
    let said = client.refusal(COMMIT, json!({"id": id})).await;
    assert!(said.contains("was announced"), "{said}");
    client.upload(&id, &files, "FULL").await;
    assert_eq!(client.committed(&id).await, id);
}

#[tokio::test]
async fn announcements_of_files_are_checked() {
    const FILES: &str = "mutation F($files: [CreateArtifactFileSpecInput!]!) {
        createArtifactFiles(input: {artifactFiles: $files, storageLayout: V2}) { files { totalCount } } }";
    let server = TestServer::start().await;
    let client = Client::owner(&server);
    let id = client.create("ds", &"0".repeat(32)).await;
    let good = json!({"artifactID": id, "name": "a", "md5": md5(b"1")});
    for (name, value, said) in [
        ("name", json!("../a"), "invalid entry path"),
        ("name", json!(""), "invalid entry path"),
        (
            "md5",
            json!("short"),
            "file `a`: `md5` is not base64 of 16 bytes",
        ),
        ("digest", json!("short"), "file `a`: `digest` is not base64"),
        ("artifactID", json!("nothing"), "not the id of an artifact"),
        (
            "artifactID",
            json!("QXJ0aWZhY3Q6OTk5OTk="),
            "there is no artifact with this id",
        ),
        (
            "uploadPartsInput",
            json!([{"partNumber": 0, "hexMD5": "x"}]),
            "part 0",
        ),
    ] {
        let mut file = good.clone();
        file[name] = value;
        let answer = client.refusal(FILES, json!({"files": [good, file]})).await;
        assert!(answer.contains(said), "{name}: {answer}");
    }
    let many: Vec<&Value> = std::iter::repeat_n(&good, 10_001).collect();
    let answer = client.answer(FILES, json!({"files": many})).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("10000") || answer.status == 400, "{text}");
}
