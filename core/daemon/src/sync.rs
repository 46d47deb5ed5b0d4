//! Uploading logs that lie on disk: the same engine as for online runs, without a daemon.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use runlane_proto::local;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::clock::SystemClock;
use crate::run::recover;
use crate::upload::job::{Job, Overrides};
use crate::upload::{self, LogEnd, LogState, Outside, UploadStatus};

/// Progress of a busy run is told this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(400);
/// A log that grows is looked at this often.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// A run of which nothing was stored for so long is given up.
const STALL_TIMEOUT: Duration = Duration::from_mins(3);
const PARALLEL: usize = 5;

/// What to upload where; read from standard input (`docs/design.md`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent options, as in the request"
)]
pub struct Request {
    /// Where to.
    pub base_url: String,
    /// The key for it.
    pub api_key: String,
    /// Use this entity instead of the log's.
    pub entity: Option<String>,
    /// Use this project instead of the log's.
    pub project: Option<String>,
    /// Use this run id instead of the log's; for one log only.
    pub run_id: Option<String>,
    /// Use this job type instead of the log's.
    pub job_type: Option<String>,
    /// Tags to replace.
    pub replace_tags: BTreeMap<String, String>,
    /// Runs at the same time; 0 = five.
    pub parallel: usize,
    /// Go on until the exit record is there.
    pub follow: bool,
    /// Leave a `.synced` marker beside a log that is stored whole.
    pub mark_synced: bool,
    /// Do not end the runs at the server.
    pub skip_finish: bool,
    /// Send again what the server did not take earlier.
    pub retry_quarantined: bool,
    /// Headers for every request to `base_url`.
    pub extra_http_headers: HashMap<String, String>,
    /// Proxy for `http`.
    pub http_proxy: Option<String>,
    /// Proxy for `https`.
    pub https_proxy: Option<String>,
    /// Accept any certificate.
    pub insecure_disable_ssl: bool,
    /// Where staged copies of artifacts' files are; they go once their version is stored.
    pub staging_dir: Option<String>,
    /// `<cache dir>/artifacts`, into which they go.
    pub cache_dir: Option<String>,
    /// The logs, absolute.
    pub logs: Vec<PathBuf>,
}

/// What a log's upload is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Before the server has answered.
    Reading,
    /// Under way.
    Uploading,
    /// Stored.
    Done,
    /// Given up.
    Failed,
}

/// How far one log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The log.
    pub log: PathBuf,
    /// What is being done.
    pub state: State,
    /// Rows stored.
    pub rows: u64,
    /// Bytes of the log whose records are stored.
    pub bytes: u64,
    /// Bytes of the log.
    pub total_bytes: u64,
    /// `entity/project/run`.
    pub run_path: Option<String>,
    /// Its web page.
    pub url: Option<String>,
    /// New ones since the last report.
    pub warnings: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Logs that are stored whole.
    pub synced: usize,
    /// Logs that are not stored.
    pub failed: usize,
    /// Logs of which everything readable is stored, but something was damaged, refused or is kept for later.
    pub partial: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Synced,
    Partial,
    Failed,
}

/// Uploads all logs of `request`; tells progress until the last one has ended or `stop` turns true.
pub async fn run(
    request: Request,
    progress: mpsc::Sender<Progress>,
    stop: watch::Receiver<bool>,
) -> Summary {
    let parallel = if request.parallel == 0 {
        PARALLEL
    } else {
        request.parallel.min(64)
    };
    let slots = Arc::new(Semaphore::new(parallel));
    let request = Arc::new(request);
    let outside = Outside::new(Arc::new(SystemClock));
    let mut tasks = JoinSet::new();
    for log in request.logs.clone() {
        let (request, progress, slots) =
            (Arc::clone(&request), progress.clone(), Arc::clone(&slots));
        let (outside, stop) = (outside.clone(), stop.clone());
        tasks.spawn(async move {
            // A log that is followed may stay for days: it takes no slot from the others.
            let _slot = if request.follow {
                None
            } else {
                slots.acquire().await.ok()
            };
            sync_one(&request, log, outside, &progress, stop).await
        });
    }
    let mut summary = Summary::default();
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Outcome::Synced) => summary.synced += 1,
            Ok(Outcome::Partial) => summary.partial += 1,
            Ok(Outcome::Failed) => summary.failed += 1,
            Err(error) => {
                tracing::error!(%error, "sync of a log ended abnormally");
                summary.failed += 1;
            }
        }
    }
    summary
}

async fn sync_one(
    request: &Request,
    log: PathBuf,
    outside: Outside,
    progress: &mpsc::Sender<Progress>,
    mut stop: watch::Receiver<bool>,
) -> Outcome {
    let mut report = Progress {
        log: log.clone(),
        state: State::Reading,
        rows: 0,
        bytes: 0,
        total_bytes: size_of(&log),
        run_path: None,
        url: None,
        warnings: Vec::new(),
        error: None,
    };
    if request.run_id.is_some() && request.logs.len() > 1 {
        return fail(
            report,
            "a run id can be given for one log only".to_owned(),
            progress,
        )
        .await;
    }
    if files_of(&log).is_symlink() {
        let error = format!(
            "the run's files are a link to another place: `{}`",
            files_of(&log).display()
        );
        return fail(report, error, progress).await;
    }
    if let Err(error) = tokio::task::block_in_place(|| recover::absorb_leftovers(&log)) {
        report.warnings.push(format!(
            "entries beside the log could not be added to it: {error}"
        ));
    }
    report.total_bytes = size_of(&log);
    let end = (!request.follow).then_some(LogEnd::AsItLies);
    let state = LogState {
        bytes: 0,
        rows: 0,
        end,
        hurry: 0,
    };
    let mut handle = upload::spawn(outside, job_of(request, &log), state, None);
    let mut moved = (0, 0, 0);
    let mut moved_at = Instant::now();
    loop {
        let status = handle.status.borrow_and_update().clone();
        while let Ok((_severity, text)) = handle.notices.try_recv() {
            if !status.is_paused {
                report.warnings.push(text);
            }
        }
        show(&mut report, &status);
        if status.complete {
            report.state = State::Done;
            let outcome = judge(&status, &log, &mut report.warnings);
            if outcome == Outcome::Synced
                && request.mark_synced
                && !request.follow
                && !request.skip_finish
            {
                mark(&log, &mut report.warnings);
            }
            tell(progress, &mut report).await;
            return outcome;
        }
        if status.is_paused || handle.has_ended() {
            handle.stop().await;
            return fail(report, status.problem, progress).await;
        }
        let now = (status.bytes, status.files_total(), status.artifact_work);
        if now != moved {
            (moved, moved_at) = (now, Instant::now());
        }
        if !request.follow && moved_at.elapsed() > STALL_TIMEOUT {
            let why = if status.problem.is_empty() {
                "no progress"
            } else {
                &status.problem
            };
            let message = format!("gave up after {} s: {why}", STALL_TIMEOUT.as_secs());
            handle.stop().await;
            return fail(report, message, progress).await;
        }
        tell(progress, &mut report).await;
        tokio::select! {
            () = tokio::time::sleep(PROGRESS_INTERVAL) => {}
            () = until_ended(&mut handle) => {}
            changed = stop.changed() => {
                if changed.is_err() || *stop.borrow() {
                    handle.stop().await;
                    return fail(report, "stopped".to_owned(), progress).await;
                }
            }
        }
    }
}

/// Resolves when a status says that the upload has ended, one way or the other.
async fn until_ended(handle: &mut upload::UploadHandle) {
    loop {
        handle.changed().await;
        let status = handle.status.borrow_and_update();
        if status.complete || status.is_paused {
            return;
        }
    }
}

fn job_of(request: &Request, log: &Path) -> Job {
    let settings = local::RunSettings {
        base_url: request.base_url.clone(),
        api_key: request.api_key.clone(),
        extra_http_headers: request.extra_http_headers.clone(),
        http_proxy: request.http_proxy.clone().unwrap_or_default(),
        https_proxy: request.https_proxy.clone().unwrap_or_default(),
        insecure_disable_ssl: request.insecure_disable_ssl,
        update_finish_state: !request.skip_finish,
        staging_dir: request.staging_dir.clone().unwrap_or_default(),
        cache_dir: request.cache_dir.clone().unwrap_or_default(),
        primary: true,
        ..Default::default()
    };
    Job {
        settings,
        log: log.to_owned(),
        live: None,
        files_dir: files_of(log),
        is_fresh: false,
        overrides: Overrides {
            entity: request.entity.clone(),
            project: request.project.clone(),
            run_id: request.run_id.clone(),
            job_type: request.job_type.clone(),
            replace_tags: request.replace_tags.clone(),
        },
        poll: request.follow.then_some(POLL_INTERVAL),
        retry_quarantined: request.retry_quarantined,
    }
}

fn show(report: &mut Progress, status: &UploadStatus) {
    (report.rows, report.bytes) = (status.rows, status.bytes);
    report.total_bytes = report.total_bytes.max(size_of(&report.log));
    if !status.run_path.is_empty() {
        report.state = State::Uploading;
        report.run_path = Some(status.run_path.clone());
        report.url = (!status.run_url.is_empty()).then(|| status.run_url.clone());
    }
}

/// Whether all of the log is stored, or only what could be read and is understood.
fn judge(status: &UploadStatus, log: &Path, warnings: &mut Vec<String>) -> Outcome {
    let mut outcome = Outcome::Synced;
    if status.lost > 0 {
        warnings.push(format!(
            "{} records of the log are damaged and could not be read",
            status.lost
        ));
        outcome = Outcome::Partial;
    }
    if status.marked > 0 {
        // Nothing that this log could still give: it is as whole as it will be.
        warnings.push(format!(
            "{} rows or lines of the run were lost before they reached the log, as its console output says",
            status.marked
        ));
    }
    if status.ends_torn {
        warnings.push("the log ends with an incomplete record".to_owned());
        outcome = Outcome::Partial;
    }
    if status.kept > 0 {
        warnings.push(format!(
            "{} records of TensorBoard directories stay in the log: what was in them is not known here",
            status.kept
        ));
        outcome = Outcome::Partial;
    }
    if status.artifacts_failed > 0 {
        let (count, what) = match status.artifacts_failed {
            1 => (1, "artifact is"),
            count => (count, "artifacts are"),
        };
        warnings.push(format!(
            "{count} {what} not stored, for the reasons above; `runlane sync` tries again"
        ));
        outcome = Outcome::Partial;
    }
    if status.quarantined > 0 {
        warnings.push(format!(
            "{} lines that the server refused are kept beside the log\nhint: `runlane sync --retry-quarantined {}` sends \
             them again",
            status.quarantined,
            log.parent().unwrap_or(log).display()
        ));
        outcome = Outcome::Partial;
    }
    outcome
}

/// The files of a log's run: beside the log, whatever the log says.
fn files_of(log: &Path) -> PathBuf {
    log.parent().unwrap_or(Path::new(".")).join("files")
}

fn mark(log: &Path, warnings: &mut Vec<String>) {
    let mut name = log.as_os_str().to_owned();
    name.push(".synced");
    if let Err(error) = crate::own_file::replace(Path::new(&name), b"") {
        warnings.push(format!("the log cannot be marked as synced: {error}"));
    }
}

async fn fail(mut report: Progress, error: String, progress: &mpsc::Sender<Progress>) -> Outcome {
    report.state = State::Failed;
    report.error = Some(if error.is_empty() {
        "the upload ended without a reason".to_owned()
    } else {
        error
    });
    tell(progress, &mut report).await;
    Outcome::Failed
}

async fn tell(progress: &mpsc::Sender<Progress>, report: &mut Progress) {
    let warnings = std::mem::take(&mut report.warnings);
    let message = Progress {
        warnings,
        ..report.clone()
    };
    if progress.send(message).await.is_err() {
        tracing::debug!("nobody reads the progress any more");
    }
}

fn size_of(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |data| data.len())
}
