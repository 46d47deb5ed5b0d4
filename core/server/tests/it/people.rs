//! A server with a team, its administrator `boss`, its member `member`, and a `stranger`.

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer};

pub(crate) const UPSERT: &str = "mutation M($entity: String) {
    upsertBucket(input: {name: \"r\", modelName: \"p\", entityName: $entity}) { bucket { id user { username } } }
}";

pub(crate) fn id(text: &str) -> String {
    STANDARD.encode(text)
}

/// A server with people on it.
pub(crate) struct World {
    pub(crate) server: TestServer,
    /// Keys by name: `member` and `boss` belong to the team, `stranger` does not.
    keys: Vec<(&'static str, String)>,
}

impl World {
    /// A team with a project `p` and a run `r`, its people, and a stranger.
    pub(crate) async fn new() -> Self {
        let server = TestServer::start().await;
        let mut keys = Vec::new();
        for name in ["boss", "member", "stranger"] {
            let made = server
                .graphql(
                    "mutation M($email: String!) { createUser(input: {email: $email}) { user { username } } }",
                    json!({"email": format!("{name}@example.org")}),
                )
                .await;
            assert_eq!(made["createUser"]["user"]["username"], name);
            let made = server
                .graphql(
                    "mutation M($name: String!) { generateApiKey(input: {username: $name}) { apiKey { name } } }",
                    json!({"name": name}),
                )
                .await;
            let key = made["generateApiKey"]["apiKey"]["name"].as_str();
            keys.push((name, key.expect("a key").to_owned()));
        }
        server
            .graphql(
                "mutation { createTeam(input: {teamName: \"team\", teamAdminUserName: \"boss\"}) { entity { name } } }",
                json!({}),
            )
            .await;
        let world = Self { server, keys };
        let invite = "mutation { createInvite(input: {entityName: \"team\", username: \"member\"}) { invite { id } } }";
        assert_eq!(
            world.ask("boss", invite, json!({})).await["errors"],
            Value::Null
        );
        let made = world.ask("member", UPSERT, json!({"entity": "team"})).await;
        assert_eq!(made["errors"], Value::Null, "{made}");
        let row = json!({"files": {"wandb-history.jsonl": {"offset": 0, "content": ["{\"_step\": 0, \"loss\": 1.5}"]}}});
        let sent = world
            .send("member", Method::POST, "/files/team/p/r/file_stream", row)
            .await;
        assert_eq!(sent.status, 200);
        world
    }

    /// The `Authorization` header of somebody.
    pub(crate) fn authorization(&self, who: &str) -> String {
        let key = self.keys.iter().find(|(name, _)| *name == who);
        let key = key.map_or("nobody's key", |(_, key)| key.as_str());
        format!("Basic {}", STANDARD.encode(format!("api:{key}")))
    }

    pub(crate) async fn send(&self, who: &str, method: Method, path: &str, body: Value) -> Answer {
        let given = self.authorization(who);
        let headers = [
            ("authorization", given.as_str()),
            ("content-type", "application/json"),
        ];
        self.server
            .raw(method, path, &headers, body.to_string())
            .await
    }

    pub(crate) async fn ask(&self, who: &str, query: &str, variables: Value) -> Value {
        let body = json!({"query": query, "variables": variables});
        self.send(who, Method::POST, "/graphql", body).await.json()
    }

    pub(crate) async fn set_access(&self, level: &str) {
        let query = "mutation M($level: String) {
            upsertModel(input: {name: \"p\", entityName: \"team\", access: $level}) { inserted }
        }";
        let done = self.ask("boss", query, json!({"level": level})).await;
        assert_eq!(done["errors"], Value::Null, "{done}");
    }
}
