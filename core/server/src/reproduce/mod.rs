//! `GET /api/runs/{entity}/{project}/{run}/reproduce`: the commands that make a run's code again, and run it.

mod manifest;
mod recipe;
mod shell;

use axum::extract::State;
use axum::{Extension, Json};
use http::{HeaderMap, header};
use runlane_model::json::{Object, Value, parse_object};

use self::manifest::Manifest;
use self::recipe::{Facts, Recipe};
use crate::auth::Caller;
use crate::auth::access::{Access, Action};
use crate::error::ApiError;
use crate::extract::ApiPath;
use crate::state::AppState;
use crate::store::files;
use crate::store::runs::RunRow;

/// Answers with the recipe of a run.
pub(crate) async fn of_run(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    ApiPath((entity, project, run)): ApiPath<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Json<Recipe>, ApiError> {
    let (run, rows) = {
        let mut reader = state.store.reader().await?;
        let run = Access::new(&state, &account)
            .existing_run(&mut reader, (&entity, &project, &run), Action::Read)
            .await?;
        let rows = files::list(&mut reader, run.id, None).await?;
        (run, rows)
    };
    let written = rows
        .iter()
        .find(|file| file.name == manifest::NAME && file.size_bytes <= manifest::MAX_BYTES);
    let manifest = match written {
        Some(file) => Manifest::parse(&state.store.objects.get(&file.object_key).await?),
        None => None,
    };
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    let metadata = latest_metadata(&run).unwrap_or_default();
    let git = metadata.get("git").and_then(Value::as_object);
    let facts = Facts {
        base_url: state.base_url(host.unwrap_or_default()),
        manifest,
        files: rows.into_iter().map(|file| file.name).collect(),
        remote: git
            .and_then(|git| text(git, "remote"))
            .or_else(|| run.repo.clone()),
        commit: git
            .and_then(|git| text(git, "commit"))
            .or_else(|| run.commit_hash.clone()),
        program: text(&metadata, "program").or_else(|| run.program.clone()),
        code_path: text(&metadata, "codePath"),
        arguments: arguments(&metadata),
        python: text(&metadata, "python"),
        entity: run.entity,
        project: run.project,
        run: run.name,
        display_name: run.display_name,
    };
    Ok(Json(facts.recipe()))
}

/// The machine metadata of the process that was started last: a resumed run has one for each.
fn latest_metadata(run: &RunRow) -> Option<Object> {
    let config = parse_object(&run.config).ok()?;
    let entries = config.get("_wandb")?.get("value")?.get("e")?.as_object()?;
    let entries = entries.values().filter_map(Value::as_object);
    entries
        .max_by_key(|entry| text(entry, "startedAt"))
        .cloned()
}

fn text(object: &Object, key: &str) -> Option<String> {
    let text = object.get(key)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn arguments(metadata: &Object) -> Vec<String> {
    let words = metadata
        .get("args")
        .and_then(Value::as_list)
        .unwrap_or_default();
    words
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
