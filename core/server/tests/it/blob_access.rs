//! Whose bytes they are: a digest, a URL or an id of another entity gives nothing.

use runlane_model::artifact::digest::{Algorithm, Digest};

use crate::artifact_client::{Client, objects};
use crate::people::World;

const SECRET: &[u8] = b"a secret of the team";

fn digest() -> String {
    Digest::of(Algorithm::Md5, SECRET).hex()
}

#[tokio::test]
async fn a_digest_gives_bytes_to_those_who_may_read_a_version_that_has_them() {
    let world = World::new().await;
    let member = Client::of(&world, "member", "team");
    let stranger = Client::of(&world, "stranger", "stranger");
    let artifact = member.log("ds", &[("dir/a.txt", SECRET)]).await;
    let digest = digest();
    let id = artifact.replace('=', "%3D");
    let paths = [
        format!("/artifactsV2/default/team/p/ds/{id}/{id}/{digest}/a.txt"),
        format!("/artifactsV2/default/team/p/ds/{id}/{digest}/a.txt"),
        format!("/artifactsV2/eu/team/p/ds//{digest}/a.txt"),
        format!("/artifacts/team/{digest}"),
    ];
    for path in &paths {
        let found = member.get_with_key(path).await;
        assert_eq!(
            (found.status.as_u16(), &*found.body),
            (200, SECRET),
            "{path}"
        );
        assert_eq!(found.header("x-content-type-options"), "nosniff");
        assert_eq!(member.get(path, &[]).await.status, 401, "{path}");
        let refused = stranger.get_with_key(path).await;
        assert_eq!(refused.status, 404, "{path}");
        // Unknown bytes are the same to a stranger.
        let unknown = path.replace(&digest, &"0".repeat(32));
        let other = stranger.get_with_key(&unknown).await;
        assert_eq!(
            refused.json()["error"]["message"],
            other.json()["error"]["message"],
            "{path}"
        );
    }
    for (wrong, status) in [
        (
            format!("/artifactsV2/default/team/p/other/{id}/{digest}/a.txt"),
            404,
        ),
        (
            format!("/artifactsV2/default/team/q/ds/{id}/{digest}/a.txt"),
            404,
        ),
        (
            format!("/artifactsV2/default/member/p/ds/{id}/{digest}/a.txt"),
            404,
        ),
        (
            format!("/artifactsV2/default/team/p/ds/QXJ0aWZhY3Q6OTk=/{id}/{digest}/a.txt"),
            404,
        ),
        (
            format!("/artifactsV2/default/team/p/ds/nonsense/{id}/{digest}/a.txt"),
            422,
        ),
        (
            format!("/artifactsV2/default/team/p/ds/{id}/short/a.txt"),
            400,
        ),
        ("/artifactsV2/default/team".to_owned(), 400),
        ("/artifacts/team/nodigest".to_owned(), 400),
        (format!("/artifacts/member/{digest}"), 404),
        (format!("/artifacts/team/..%2f{digest}"), 400),
    ] {
        let answer = member.get_with_key(&wrong).await;
        assert_eq!(answer.status, status, "{wrong}");
    }
    // Everybody with an account reads the project.
    world.set_access("USER_READ").await;
    for path in &paths {
        assert_eq!(stranger.get_with_key(path).await.body, SECRET, "{path}");
    }
    world.set_access("PRIVATE").await;
    // A version that is deleted gives nothing by its digests, though its bytes may still be there.
    member.delete(&artifact).await;
    for path in &paths {
        assert_eq!(member.get_with_key(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn bytes_of_another_entity_are_not_known_to_be_there() {
    let world = World::new().await;
    let member = Client::of(&world, "member", "team");
    let stranger = Client::of(&world, "stranger", "stranger");
    member.log("ds", &[("a.txt", SECRET)]).await;
    let before = objects(&world.server);
    // Who knows the digest has to bring the bytes.
    let files: [(&str, &[u8]); 1] = [("a.txt", SECRET)];
    let artifact = stranger.create_for("mine", &files).await;
    let begun = stranger.begin_one(&artifact, "a.txt", SECRET).await;
    let path = begun.upload.expect("a URL");
    stranger.put_manifest(&artifact, &files).await;
    let refused = stranger.commit(&artifact).await.json();
    assert!(refused["errors"].is_array(), "{refused}");
    assert_eq!(
        stranger
            .get_with_key(&format!("/artifacts/stranger/{}", digest()))
            .await
            .status,
        404
    );
    assert_eq!(stranger.put(&path, "a guess").await.status, 400);
    assert_eq!(stranger.put(&path, SECRET.to_vec()).await.status, 200);
    // Stored for the second time, for the second entity.
    assert_eq!(objects(&world.server), before + 2);
    let done = stranger.commit(&artifact).await.json();
    assert_eq!(done.get("errors"), None, "{done}");
}

#[tokio::test]
async fn the_same_person_brings_bytes_for_each_entity() {
    let world = World::new().await;
    let (team, own) = (
        Client::of(&world, "member", "team"),
        Client::of(&world, "member", "member"),
    );
    team.log("ds", &[("a.txt", SECRET)]).await;
    let artifact = own.create_for("ds", &[]).await;
    let begun = own.begin_one(&artifact, "a.txt", SECRET).await;
    assert!(begun.upload.is_some());
}
