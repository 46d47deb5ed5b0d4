//! GraphQL operations on runs (`reference/wandb-server/graphql-run.md`).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use runlane_model::backoff::{Verdict, judge};
use runlane_proto::local;
use serde::Deserialize;
use serde_json::{Value, json};

use super::hosts::{Host, Hosts, Pass};
use super::http::{Body, CallError, Http, HttpAnswer, HttpRequest};

const UPSERT: &str = "mutation UpsertBucket($id: String, $name: String, $project: String, $entity: String, $groupName: String, \
$description: String, $displayName: String, $notes: String, $commit: String, $config: JSONString, $host: String, \
$debug: Boolean, $program: String, $repo: String, $jobType: String, $state: String, $sweep: String, $tags: [String!], \
$summaryMetrics: JSONString) { upsertBucket(input: {id: $id, name: $name, groupName: $groupName, modelName: $project, \
entityName: $entity, description: $description, displayName: $displayName, notes: $notes, config: $config, commit: $commit, \
host: $host, debug: $debug, jobProgram: $program, jobRepo: $repo, jobType: $jobType, state: $state, sweep: $sweep, \
tags: $tags, summaryMetrics: $summaryMetrics}) { bucket { id name displayName description config sweepName \
project { id name entity { id name } } historyLineCount } inserted } }";

const RESUME_STATUS: &str = "query RunResumeStatus($project: String, $entity: String, $name: String!) { \
model(name: $project, entityName: $entity) { id name entity { id name } bucket(name: $name, missingOk: true) { id name \
summaryMetrics displayName logLineCount historyLineCount eventsLineCount historyTail eventsTail config tags notes \
wandbConfig(keys: [\"t\"]) } } }";

const INHERITED_LINES: &str = "query InheritedLines($entity: String, $project: String, $run: String!) { \
project(name: $project, entityName: $entity) { run(name: $run) { inheritedLineCount } } }";
const REWIND: &str = "mutation RewindRun($runName: String!, $entity: String, $project: String, $metricName: String!, \
$metricValue: Float!) { rewindRun(input: {runName: $runName, entityName: $entity, projectName: $project, metricName: \
$metricName, metricValue: $metricValue}) { rewoundRun { id name displayName description config sweepName project { id name \
entity { id name } } historyLineCount } } }";

const FEATURES: &str =
    "query ServerFeaturesQuery { serverInfo { features { name isEnabled } } viewer { flags } }";

const CREATE_FILES: &str = "mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, $files: [String!]!) { \
createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run, files: $files}) { runID uploadHeaders \
files { name uploadUrl } } }";

/// With the time of the alert, which our server takes: offline runs are uploaded later, and a call may be repeated.
const TIMED_ALERT: &str = "mutation NotifyScriptableRunAlert($entityName: String!, $projectName: String!, $runName: String!, \
$title: String!, $text: String!, $severity: AlertSeverity, $waitDuration: Duration, $occurredAtMicros: Int64) { \
notifyScriptableRunAlert(input: {entityName: $entityName, projectName: $projectName, runName: $runName, title: $title, text: \
$text, severity: $severity, waitDuration: $waitDuration, occurredAtMicros: $occurredAtMicros}) { success } }";

const ALERT: &str = "mutation NotifyScriptableRunAlert($entityName: String!, $projectName: String!, $runName: String!, \
$title: String!, $text: String!, $severity: AlertSeverity, $waitDuration: Duration) { notifyScriptableRunAlert(input: \
{entityName: $entityName, projectName: $projectName, runName: $runName, title: $title, text: $text, severity: $severity, \
waitDuration: $waitDuration}) { success } }";

/// A server, with the credentials of one run.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    http: Arc<dyn Http>,
    hosts: Arc<Hosts>,
    base_url: String,
    key: String,
    headers: Vec<(String, String)>,
    user: Vec<(String, String)>,
    /// The writer of a run in shared mode.
    shared: Option<Shared>,
    graphql_timeout: Duration,
}

/// A writer of a run in shared mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    /// Identifies it at the server.
    pub(crate) client_id: String,
    /// It does not decide how the run ends.
    pub(crate) joins: bool,
    /// The server derives the summary.
    pub(crate) derives_summary: bool,
}

/// The run as a server answers it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bucket {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) display_name: Option<String>,
    pub(crate) config: Option<String>,
    pub(crate) sweep_name: Option<String>,
    pub(crate) project: Option<Project>,
    #[serde(default)]
    pub(crate) history_line_count: Option<u64>,
}

/// A project and whose it is.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) entity: Option<Named>,
}

/// Something with a name.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
}

/// What a run that is resumed has stored.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResumeStatus {
    pub(crate) id: String,
    pub(crate) display_name: Option<String>,
    pub(crate) summary_metrics: Option<String>,
    pub(crate) config: Option<String>,
    pub(crate) history_tail: Option<String>,
    pub(crate) events_tail: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) notes: Option<String>,
    #[serde(default)]
    pub(crate) log_line_count: Option<u64>,
    #[serde(default)]
    pub(crate) history_line_count: Option<u64>,
    #[serde(default)]
    pub(crate) events_line_count: Option<u64>,
    wandb_config: Option<String>,
}

impl ResumeStatus {
    /// Whether the run was really started, not only created by a sweep or queue.
    pub(crate) fn was_started(&self) -> bool {
        self.wandb_config
            .as_deref()
            .and_then(|text| runlane_model::json::parse_object(text).ok())
            .is_some_and(|config| config.contains_key("t"))
    }
}

/// The variables of `UpsertBucket`; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upsert {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) project: Option<String>,
    pub(crate) entity: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) config: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) program: Option<String>,
    pub(crate) repo: Option<String>,
    pub(crate) job_type: Option<String>,
    pub(crate) sweep: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
}

/// What the server can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, as the server tells them"
)]
pub(crate) struct Features {
    /// It is ours: it takes requests every second, and extra members.
    pub(crate) fast_stream: bool,
    pub(crate) gzip: bool,
    pub(crate) structured_console: bool,
    /// Digests of artifacts may be other ones than MD5.
    pub(crate) artifact_digests: bool,
    /// The use of an artifact says where the artifact is.
    pub(crate) use_with_place: bool,
    /// It is ours: it keeps the parts of an interrupted upload and says which it has.
    pub(crate) resumable_parts: bool,
    /// The account's switch for saving code.
    pub(crate) saves_code: bool,
}

/// Where to put run files.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadUrls {
    #[serde(default)]
    pub(crate) upload_headers: Vec<String>,
    #[serde(default)]
    pub(crate) files: Vec<UploadUrl>,
}

/// Where to put one file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadUrl {
    pub(crate) name: String,
    pub(crate) upload_url: Option<String>,
}

impl Server {
    pub(crate) fn new(
        http: Arc<dyn Http>,
        hosts: Arc<Hosts>,
        settings: &local::RunSettings,
    ) -> Self {
        let mut headers = Vec::new();
        let mut extra: Vec<_> = settings.extra_http_headers.iter().collect();
        extra.sort();
        headers.extend(
            extra
                .into_iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        let user = vec![
            ("X-WANDB-USERNAME".to_owned(), settings.username.clone()),
            ("X-WANDB-USER-EMAIL".to_owned(), settings.email.clone()),
        ];
        let seconds = if settings.graphql_timeout_secs > 0.0 {
            settings.graphql_timeout_secs
        } else {
            30.0
        };
        Self {
            http,
            hosts,
            base_url: settings.base_url.trim_end_matches('/').to_owned(),
            key: settings.api_key.clone(),
            headers,
            user,
            shared: None,
            graphql_timeout: Duration::from_secs_f64(seconds.min(3_600.0)),
        }
    }

    /// The key that is used.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Uses another key from now on.
    pub(crate) fn set_key(&mut self, key: String) {
        self.key = key;
    }

    /// The server's gate.
    pub(crate) fn host(&self) -> Arc<Host> {
        self.hosts.of(&self.base_url)
    }

    /// Whether a URL leads to the server itself.
    pub(crate) fn is_own(&self, url: &str) -> bool {
        Arc::ptr_eq(&self.host(), &self.hosts.of(url))
    }

    /// Speaks for one of several writers of the run from now on.
    pub(crate) fn share(&mut self, shared: Option<Shared>) {
        self.shared = shared;
    }

    /// What tells the server which writer of a shared run this is.
    fn shared_headers(&self, id_name: &str) -> Vec<(String, String)> {
        let Some(shared) = &self.shared else {
            return Vec::new();
        };
        let mut headers = vec![
            ("X-WANDB-USE-ASYNC-FILESTREAM".to_owned(), "true".to_owned()),
            (id_name.to_owned(), shared.client_id.clone()),
        ];
        if shared.derives_summary {
            headers.push((
                "X-WANDB-SERVER-SIDE-DERIVED-SUMMARY".to_owned(),
                "true".to_owned(),
            ));
        }
        if shared.joins {
            headers.push(("X-Runlane-Joins".to_owned(), "true".to_owned()));
        }
        headers
    }

    fn headers(&self) -> Vec<(String, String)> {
        let key = STANDARD.encode(format!("api:{}", self.key));
        let mut headers = vec![("Authorization".to_owned(), format!("Basic {key}"))];
        headers.extend(self.headers.iter().cloned());
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        headers
    }

    /// Sends a request to where an upload belongs, as it is: without credentials.
    pub(crate) async fn put(&self, request: HttpRequest) -> Result<HttpAnswer, CallError> {
        let pass = self.hosts.of(&request.url).enter().await;
        pass.end(self.http.send(request).await)
    }

    /// Sends one operation and returns its `data`.
    pub(super) async fn call(
        &self,
        operation: &str,
        query: &str,
        variables: Value,
    ) -> Result<Value, CallError> {
        let body =
            json!({"query": query, "variables": variables, "operationName": operation}).to_string();
        let mut headers = self.headers();
        headers.extend(self.user.iter().cloned());
        headers.extend(self.shared_headers("X-WANDB-CLIENT-ID"));
        let request = HttpRequest {
            method: "POST",
            url: format!("{}/graphql", self.base_url),
            headers,
            body: Body::Bytes(Bytes::from(body)),
            timeout: Some(self.graphql_timeout),
        };
        let pass = self.host().enter().await;
        let answer = pass.end(self.http.send(request).await).map_err(|error| {
            // A conflict between two upserts is over a moment later.
            if error.status == 409 {
                CallError {
                    verdict: Verdict::Retry,
                    ..error
                }
            } else {
                error
            }
        })?;
        let foreign = || {
            let message = "the answer does not come from the server (not GraphQL); is this the right address?";
            CallError::retry(message)
        };
        let mut reply: Value = serde_json::from_slice(&answer.body).map_err(|_other| foreign())?;
        if let Some(errors) = reply["errors"]
            .as_array()
            .filter(|errors| !errors.is_empty())
        {
            return Err(told(errors));
        }
        // A proxy's `{}` is no answer to anything.
        if !reply["data"].is_object() {
            return Err(foreign());
        }
        Ok(reply["data"].take())
    }

    /// What the server announces; none of it if it does not know the query.
    pub(crate) async fn features(&self) -> Result<Features, CallError> {
        let data = match self.call("ServerFeaturesQuery", FEATURES, json!({})).await {
            Err(error) if error.verdict == Verdict::Refused => return Ok(Features::default()),
            other => other?,
        };
        let list = data["serverInfo"]["features"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let on = |name: &str| {
            list.iter()
                .any(|feature| feature["name"] == name && feature["isEnabled"] == true)
        };
        let flags = data["viewer"]["flags"].as_str().unwrap_or_default();
        let flags: Value = serde_json::from_str(flags).unwrap_or_default();
        Ok(Features {
            saves_code: flags["code_saving_enabled"] == true,
            fast_stream: on("RUNLANE_FAST_STREAM"),
            gzip: on("FILESTREAM_GZIP"),
            structured_console: on("STRUCTURED_CONSOLE_LOGS"),
            artifact_digests: on("ARTIFACT_DIGEST_ALGORITHM"),
            use_with_place: on("USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION"),
            resumable_parts: on("RUNLANE_RESUMABLE_PARTS"),
        })
    }

    /// Creates or updates the run; whether it was created.
    pub(crate) async fn upsert(&self, upsert: &Upsert) -> Result<(Bucket, bool), CallError> {
        let variables = json!({
            "id": upsert.id, "name": upsert.name, "project": upsert.project, "entity": upsert.entity,
            "groupName": upsert.group, "description": null, "displayName": upsert.display_name,
            "notes": upsert.notes, "commit": upsert.commit, "config": upsert.config, "host": upsert.host,
            "debug": null, "program": upsert.program, "repo": upsert.repo, "jobType": upsert.job_type,
            "state": null, "sweep": upsert.sweep, "tags": upsert.tags, "summaryMetrics": null,
        });
        let data = self.call("UpsertBucket", UPSERT, variables).await?;
        let reply = &data["upsertBucket"];
        let bucket = read(reply["bucket"].clone())?;
        Ok((bucket, reply["inserted"] == true))
    }

    /// What is stored of a run; `None` if it does not exist.
    pub(crate) async fn resume_status(
        &self,
        entity: Option<&str>,
        project: Option<&str>,
        name: &str,
    ) -> Result<Option<ResumeStatus>, CallError> {
        let variables = json!({"project": project, "entity": entity, "name": name});
        let mut data = self
            .call("RunResumeStatus", RESUME_STATUS, variables)
            .await?;
        let bucket = data["model"]["bucket"].take();
        if bucket.is_null() {
            Ok(None)
        } else {
            read(bucket).map(Some)
        }
    }

    /// Cuts the run back to a step.
    pub(crate) async fn rewind(
        &self,
        entity: Option<&str>,
        project: Option<&str>,
        name: &str,
        step: f64,
    ) -> Result<Bucket, CallError> {
        let variables = json!({
            "runName": name, "entity": entity, "project": project, "metricName": "_step", "metricValue": step,
        });
        let mut data = self.call("RewindRun", REWIND, variables).await?;
        let run = data["rewindRun"]["rewoundRun"].take();
        if run.is_null() {
            return Err(CallError::refused(format!(
                "run `{name}` cannot be rewound to step {step}"
            )));
        }
        read(run)
    }

    /// How many of a run's history lines are rows that it inherited as a fork. Our server only.
    pub(crate) async fn inherited_lines(
        &self,
        [entity, project, run]: [&str; 3],
    ) -> Result<u64, CallError> {
        let variables = json!({"entity": entity, "project": project, "run": run});
        let data = self
            .call("InheritedLines", INHERITED_LINES, variables)
            .await?;
        Ok(data["project"]["run"]["inheritedLineCount"]
            .as_u64()
            .unwrap_or(0))
    }

    /// Asks where to put run files.
    pub(crate) async fn create_files(
        &self,
        entity: &str,
        project: &str,
        run: &str,
        files: &[String],
    ) -> Result<UploadUrls, CallError> {
        let variables = json!({"entity": entity, "project": project, "run": run, "files": files});
        let mut data = self.call("CreateRunFiles", CREATE_FILES, variables).await?;
        read(data["createRunFiles"].take())
    }

    /// Sends an alert; a server that is `ours` learns when it was given.
    pub(crate) async fn alert(
        &self,
        [entity, project, run]: [&str; 3],
        alert: &runlane_proto::wandb_internal::AlertRecord,
        ours: bool,
    ) -> Result<(), CallError> {
        let mut variables = json!({
            "entityName": entity, "projectName": project, "runName": run, "title": alert.title, "text": alert.text,
            "severity": alert.level, "waitDuration": alert.wait_duration,
        });
        // A log of another client has no time.
        let timed = ours && alert.runlane_time_micros > 0;
        if timed {
            variables["occurredAtMicros"] = alert.runlane_time_micros.into();
        }
        let query = if timed { TIMED_ALERT } else { ALERT };
        self.call("NotifyScriptableRunAlert", query, variables)
            .await
            .map(|_data| ())
    }

    /// Sends one `file_stream` request, for which `pass` was obtained.
    pub(crate) async fn file_stream(
        &self,
        pass: Pass,
        path: [&str; 3],
        body: Bytes,
        gzip: bool,
        timeout: Duration,
    ) -> Result<HttpAnswer, CallError> {
        let mut url = url::Url::parse(&self.base_url)
            .map_err(|error| CallError::refused(error.to_string()))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .push("files")
                .extend(path)
                .push("file_stream");
        }
        let mut headers = self.headers();
        headers.extend(self.shared_headers("X-WANDB-ASYNC-CLIENT-ID"));
        if gzip {
            headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
        }
        let request = HttpRequest {
            method: "POST",
            url: url.to_string(),
            headers,
            body: Body::Bytes(body),
            timeout: Some(timeout),
        };
        pass.end(self.http.send(request).await)
    }
}

/// What the errors of an answer come to. Some say, as our servers do, which HTTP status they stand for: what may pass is tried
/// again, though the answer as a whole came with 200.
fn told(errors: &[Value]) -> CallError {
    let passes = |error: &Value| {
        let status = error["extensions"]["status"].as_u64();
        let status = status.and_then(|status| u16::try_from(status).ok());
        let code = error["extensions"]["code"].as_str();
        status.map_or(
            matches!(code, Some("in_progress" | "unavailable")),
            |status| status >= 500 && judge(status) == Verdict::Retry,
        )
    };
    let messages: Vec<&str> = errors
        .iter()
        .filter_map(|error| error["message"].as_str())
        .collect();
    let text = messages.join("; ");
    if errors.iter().all(passes) {
        CallError::retry(text)
    } else {
        CallError::refused(text)
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, CallError> {
    serde_json::from_value(value)
        .map_err(|error| CallError::refused(format!("unexpected answer of the server: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_may_pass_are_tried_again() {
        let verdict = |errors: Value| told(errors.as_array().expect("a list")).verdict;
        let with = |extensions: Value| json!({"message": "no", "extensions": extensions});
        let passing = with(json!({"code": "x", "status": 503}));
        for (errors, expected) in [
            (json!([passing]), Verdict::Retry),
            (
                json!([with(json!({"status": 500})), passing]),
                Verdict::Retry,
            ),
            (
                json!([with(json!({"code": "in_progress"}))]),
                Verdict::Retry,
            ),
            (json!([with(json!({"status": 501}))]), Verdict::Refused),
            (json!([with(json!({"status": 409}))]), Verdict::Refused),
            (
                json!([with(json!({"code": "unavailable", "status": 400}))]),
                Verdict::Refused,
            ),
            (
                json!([passing, {"message": "no such artifact"}]),
                Verdict::Refused,
            ),
        ] {
            assert_eq!(verdict(errors.clone()), expected, "{errors}");
        }
        let two = json!([passing, {"message": "and more"}]);
        assert_eq!(
            told(two.as_array().expect("a list")).message,
            "no; and more"
        );
    }
}
