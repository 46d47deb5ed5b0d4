//! The open runs, and which of them a caller means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runlane_proto::control;
use tokio::sync::oneshot;
use tonic::Status;

use crate::daemon::Daemon;
use crate::run::actor::RunHandle;
use crate::run::actor::inspect::Ask;

/// An actor that does not answer for so long is being opened, or waits for its disk.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// Names of runs that an error message lists at most.
const LISTED: usize = 20;

/// An open run as it is now.
#[derive(Debug, Clone)]
pub(super) struct OpenRun {
    pub(super) handle: RunHandle,
    pub(super) view: control::Run,
}

/// Every open run, by log file. Asks all at once; one that does not answer is shown as being opened.
pub(super) async fn open_runs(daemon: &Daemon) -> Vec<OpenRun> {
    let look = |(log, handle): (PathBuf, RunHandle)| async move {
        let view = inspect(&handle).await.unwrap_or_else(|| unanswered(&log));
        OpenRun { handle, view }
    };
    let looks = daemon.open_runs().into_iter().map(look);
    futures::future::join_all(looks).await
}

/// How a run is; `None` if it does not answer.
pub(super) async fn inspect(handle: &RunHandle) -> Option<control::Run> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        handle.ask(Ask::Inspect(reply)).await.ok()?;
        answer.await.ok()
    };
    tokio::time::timeout(ANSWER_TIMEOUT, asked).await.ok()?
}

fn unanswered(log: &Path) -> control::Run {
    let text =
        |path: Option<&Path>| path.map_or_else(String::new, |path| path.display().to_string());
    let name = log.file_stem().map(|name| name.to_string_lossy());
    control::Run {
        run_id: name
            .as_deref()
            .and_then(|name| name.strip_prefix("run-"))
            .unwrap_or_default()
            .to_owned(),
        directory: text(log.parent()),
        log: text(Some(log)),
        state: control::RunState::Opening.into(),
        ..Default::default()
    }
}

/// The one open run that `wanted` names.
pub(super) async fn find(daemon: &Daemon, wanted: &str) -> Result<OpenRun, Status> {
    if wanted.is_empty() {
        return Err(Status::invalid_argument("no run was named"));
    }
    let runs = open_runs(daemon).await;
    let known: Vec<String> = runs.iter().map(|run| name_of(&run.view)).collect();
    let mut found: Vec<OpenRun> = runs
        .into_iter()
        .filter(|run| is_named(&run.view, wanted))
        .collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Status::not_found(format!(
            "no open run `{}`; {}",
            wanted.escape_debug(),
            listed("open are", &known)
        ))),
        _ => {
            let places: Vec<String> = found.iter().map(|run| run.view.directory.clone()).collect();
            Err(Status::failed_precondition(format!(
                "several open runs are called `{}`; {}",
                wanted.escape_debug(),
                listed("name one by its directory:", &places)
            )))
        }
    }
}

/// The runs that an optional name means: all if it is empty.
pub(super) async fn find_all(daemon: &Daemon, wanted: &str) -> Result<Vec<OpenRun>, Status> {
    if wanted.is_empty() {
        Ok(open_runs(daemon).await)
    } else {
        Ok(vec![find(daemon, wanted).await?])
    }
}

fn is_named(run: &control::Run, wanted: &str) -> bool {
    if Path::new(wanted).is_absolute() {
        let wanted = resolved(Path::new(wanted));
        return [&run.log, &run.directory]
            .into_iter()
            .any(|place| resolved(Path::new(place)) == wanted);
    }
    wanted == run.run_id || wanted == name_of(run)
}

/// The place behind links, so that `latest-run` names its run.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_gone| path.to_owned())
}

/// `entity/project/id`, as far as it is known.
fn name_of(run: &control::Run) -> String {
    let parts = [&run.entity, &run.project, &run.run_id];
    let known: Vec<&str> = parts
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    known.join("/")
}

fn listed(words: &str, names: &[String]) -> String {
    if names.is_empty() {
        return "no run is open".to_owned();
    }
    let shown = names.iter().take(LISTED);
    let mut text: Vec<String> = shown
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    if names.len() > LISTED {
        text.push(format!("{} more", names.len() - LISTED));
    }
    format!("{words} {}", text.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(entity: &str, directory: &str) -> control::Run {
        control::Run {
            run_id: "abc".to_owned(),
            entity: entity.to_owned(),
            project: "p".to_owned(),
            directory: directory.to_owned(),
            log: format!("{directory}/run-abc.wandb"),
            ..Default::default()
        }
    }

    #[test]
    fn a_run_is_named_by_id_path_directory_or_log() {
        let run = run("e", "/tmp/none/run-1-abc");
        for name in [
            "abc",
            "e/p/abc",
            "/tmp/none/run-1-abc",
            "/tmp/none/run-1-abc/run-abc.wandb",
        ] {
            assert!(is_named(&run, name), "{name}");
        }
        for name in ["ab", "p/abc", "e/p", "/tmp/none", "run-abc.wandb"] {
            assert!(!is_named(&run, name), "{name}");
        }
    }

    #[test]
    fn an_offline_run_has_no_entity_in_its_name() {
        assert!(is_named(&run("", "/x"), "p/abc"));
    }

    #[test]
    fn a_run_that_does_not_answer_is_known_by_its_log() {
        let view = unanswered(Path::new("/w/run-7-abc/run-abc.wandb"));
        assert_eq!(
            (view.run_id.as_str(), view.directory.as_str()),
            ("abc", "/w/run-7-abc")
        );
        assert_eq!(view.state(), control::RunState::Opening);
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (0..25).map(|number| format!("run{number}")).collect();
        let text = listed("open are", &names);
        assert!(
            text.starts_with("open are `run0`, `run1`") && text.ends_with("`run19`, 5 more"),
            "{text}"
        );
        assert_eq!(listed("open are", &[]), "no run is open");
    }
}
