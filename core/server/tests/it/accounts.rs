//! Users, keys, invitations and service accounts.

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::people::World;

#[tokio::test]
async fn service_accounts_act_for_members() {
    let world = World::new().await;
    let create = "mutation { createServiceAccount(input: {entityName: \"team\", description: \"nightly\"}) { user { id } } }";
    assert_eq!(
        world.ask("boss", create, json!({})).await["errors"],
        Value::Null
    );
    let members = "{ entity(name: \"team\") { members { name accountType apiKey } } }";
    let last = |answer: &Value| {
        answer["data"]["entity"]["members"]
            .as_array()
            .and_then(|all| all.last())
            .cloned()
            .expect("members")
    };
    // Who did not create it sees no key.
    let seen = last(&world.ask("member", members, json!({})).await);
    assert_eq!(
        (&seen["name"], &seen["apiKey"]),
        (&json!("nightly"), &Value::Null)
    );
    let seen = last(&world.ask("boss", members, json!({})).await);
    assert_eq!(seen["accountType"], "SERVICE");
    let key = seen["apiKey"].as_str().expect("a key").to_owned();
    let given = format!("Basic {}", STANDARD.encode(format!("api:{key}")));
    for (acts_for, expected) in [
        (Some("member"), "member"),
        (Some("stranger"), "service-"),
        (None, "service-"),
    ] {
        let body = json!({"query": "mutation M($name: String) { upsertBucket(input: {name: $name, modelName: \"p\"}) { bucket { project { entityName } user { username } } } }",
            "variables": {"name": format!("by-{}", acts_for.unwrap_or("itself"))}});
        let mut headers = vec![
            ("authorization", given.as_str()),
            ("content-type", "application/json"),
        ];
        headers.extend(acts_for.map(|name| ("x-wandb-username", name)));
        let answer = world
            .server
            .raw(Method::POST, "/graphql", &headers, body.to_string())
            .await
            .json();
        let bucket = &answer["data"]["upsertBucket"]["bucket"];
        assert_eq!(bucket["project"]["entityName"], "team", "{answer}");
        let user = bucket["user"]["username"].as_str().expect("a name");
        assert!(user.starts_with(expected), "{user}");
    }
    // Ten minutes later nobody sees the key any more; it stays valid.
    world
        .server
        .clock
        .advance(std::time::Duration::from_secs(601));
    assert_eq!(
        last(&world.ask("boss", members, json!({})).await)["apiKey"],
        Value::Null
    );
}

#[tokio::test]
async fn keys_are_shown_once_and_end() {
    let world = World::new().await;
    let create = "mutation { generateApiKey(input: {description: \"laptop\"}) { apiKey { id name description } } }";
    let made =
        world.ask("member", create, json!({})).await["data"]["generateApiKey"]["apiKey"].clone();
    let secret = made["name"].as_str().expect("a secret").to_owned();
    assert_eq!((secret.len(), &made["description"]), (49, &json!("laptop")));
    let list = "{ viewer { apiKeys { edges { node { id name description } } } } }";
    let listed = world.ask("member", list, json!({})).await;
    assert!(!listed.to_string().contains(&secret[10..]), "{listed}");
    let given = format!("Basic {}", STANDARD.encode(format!("api:{secret}")));
    let session = async || {
        let headers = [("authorization", given.as_str())];
        world
            .server
            .raw(Method::GET, "/api/session", &headers, "")
            .await
            .status
            .as_u16()
    };
    assert_eq!(session().await, 200);
    let delete = "mutation M($id: String!) { deleteApiKey(input: {id: $id}) { success } }";
    let foreign = world
        .ask("stranger", delete, json!({"id": made["id"]}))
        .await;
    assert_eq!(foreign["errors"][0]["extensions"]["status"], 404);
    assert_eq!(
        world.ask("member", delete, json!({"id": made["id"]})).await["errors"],
        Value::Null
    );
    assert_eq!(session().await, 401);
}

#[tokio::test]
async fn who_is_locked_out_stays_out_and_somebody_administers() {
    let world = World::new().await;
    let lock = "mutation M($name: String, $on: Boolean) { updateUser(input: {username: $name, disabled: $on}) { user { deletedAt } } }";
    let done = world
        .server
        .graphql(lock, json!({"name": "member", "on": true}))
        .await;
    assert_ne!(done["updateUser"]["user"]["deletedAt"], Value::Null);
    assert_eq!(
        world
            .send("member", Method::GET, "/api/session", json!({}))
            .await
            .status,
        401
    );
    world
        .server
        .graphql(lock, json!({"name": "member", "on": false}))
        .await;
    assert_eq!(
        world
            .send("member", Method::GET, "/api/session", json!({}))
            .await
            .status,
        200
    );
    let last = world
        .server
        .graphql_answer(lock, json!({"name": "me", "on": true}))
        .await
        .json();
    assert_eq!(last["errors"][0]["extensions"]["status"], 409, "{last}");
    let table = world
        .send(
            "member",
            Method::GET,
            "/api/server/unknown-operations",
            json!({}),
        )
        .await;
    assert_eq!(table.status, 403);
}

#[tokio::test]
async fn invitations_count_when_there_is_an_account() {
    let world = World::new().await;
    let invite = "mutation { createInvite(input: {entityName: \"team\", email: \"New.One@example.org\", admin: true}) { invite { id email } } }";
    assert_eq!(
        world.ask("boss", invite, json!({})).await["errors"],
        Value::Null
    );
    assert_eq!(
        world.ask("boss", invite, json!({})).await["errors"][0]["extensions"]["status"],
        409
    );
    let members = "{ entity(name: \"team\") { members { id name pending admin } } }";
    let seen = world.ask("boss", members, json!({})).await;
    assert_eq!(
        seen["data"]["entity"]["members"][0]["pending"], true,
        "{seen}"
    );
    let create = "mutation { createUser(input: {email: \"new.one@example.org\"}) { user { username teams { edges { node { name } } } } } }";
    let made = world.server.graphql(create, json!({})).await;
    assert_eq!(made["createUser"]["user"]["username"], "new-one");
    assert_eq!(
        made["createUser"]["user"]["teams"]["edges"][1]["node"]["name"],
        "team"
    );
    let seen = world.ask("boss", members, json!({})).await;
    let last = seen["data"]["entity"]["members"]
        .as_array()
        .and_then(|all| all.last())
        .cloned()
        .expect("members");
    assert_eq!(
        (&last["name"], &last["pending"], &last["admin"]),
        (&json!("new-one"), &json!(false), &json!(true))
    );
    // Somebody stays; a stranger is not there to be removed.
    let remove = "mutation M($id: String) { deleteInvite(input: {entityName: \"team\", id: $id}) { success } }";
    assert_eq!(
        world.ask("boss", remove, json!({"id": last["id"]})).await["data"]["deleteInvite"]["success"],
        true
    );
    assert_eq!(
        world.ask("boss", remove, json!({"id": last["id"]})).await["data"]["deleteInvite"]["success"],
        false
    );
    let boss =
        world.ask("boss", "{ viewer { id } }", json!({})).await["data"]["viewer"]["id"].clone();
    assert_eq!(
        world.ask("boss", remove, json!({"id": boss})).await["errors"][0]["extensions"]["status"],
        409
    );
}
