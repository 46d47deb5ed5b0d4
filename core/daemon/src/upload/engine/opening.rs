//! From a log and a server to an upload, and again from the start when the server has lost what it had.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use runlane_model::backoff::{Backoff, UPLOAD};
use runlane_model::limits;
use runlane_proto::wandb_internal as pb;
use tokio::task::JoinSet;

use super::super::cursor::{CursorFile, Target};
use super::super::files::FilePlan;
use super::super::graphql::{Server, Shared};
use super::super::http::Http;
use super::super::job::Job;
use super::super::projection::{LineFormat, Projection};
use super::super::quarantine::DeadLetters;
use super::super::start::Started;
use super::super::stream::{FileStream, Offsets};
use super::super::tail::LogTail;
use super::super::{Outside, blocking};
use super::artifacts::Artifacts;
use super::links::Links;
use super::meeting::{meet, read_head};
use super::{Engine, Halt, OTHERS_DEBOUNCE, OTHERS_INTERVAL, OUR_INTERVAL, Share};

/// Uploads the log of `job` to its end. Returns when everything is stored or nothing goes on by itself.
pub(crate) async fn run(job: Job, outside: Outside, http: Arc<dyn Http>, mut links: Links) {
    let mut server = Server::new(http, Arc::clone(&outside.hosts), &job.settings);
    let mut known = None;
    let mut backoff = Backoff::new(UPLOAD);
    loop {
        let mut engine = match start(&job, &outside, &mut server, known.take(), links).await {
            Some(engine) => Box::new(engine),
            None => return,
        };
        let halt = engine.serve().await;
        engine.save(true);
        // The rest of it ends here, requests under way included.
        let target;
        Engine {
            server,
            target,
            links,
            ..
        } = *engine;
        match halt {
            Ok(()) => return,
            Err(Halt::GoBack(stored)) => {
                let text = "the server has less of this run than it had: it was restored from a backup, it seems; \
                            the rest is uploaded again";
                if backoff.failures() == 0 {
                    links.notice(30, text.to_owned());
                }
                tracing::warn!(?stored, run = %job.settings.run_id, "{text}");
                known = Some(Target {
                    history: stored.history,
                    events: stored.events,
                    output: stored.output,
                    complete: false,
                    // Files and the like went the same way.
                    files: BTreeMap::new(),
                    artifacts: BTreeMap::new(),
                    ..target
                });
                let at = outside.clock.now() + backoff.failed(rand::random(), None, None);
                outside.clock.sleep_until(at).await;
            }
            Err(Halt::Pause(pause)) => {
                links.refuse(&job, over(pause.problem));
                return;
            }
            Err(Halt::Over(problem)) => {
                links.refuse(&job, over(problem));
                return;
            }
        }
    }
}

/// An empty run, with the lines that the settings ask for.
fn projection_of(job: &Job) -> Projection {
    Projection::new(LineFormat {
        label: job.settings.label.clone(),
        max_line_bytes: usize::try_from(job.settings.file_stream_max_line_bytes)
            .ok()
            .filter(|bytes| *bytes > 0)
            .unwrap_or(limits::LINE_BYTES),
        ..LineFormat::default()
    })
}

/// Tells where the run is at the server; files are counted anew.
fn tell_place(links: &Links, job: &Job, started: &Started) {
    links.status.send_modify(|status| {
        status.run_path = format!(
            "{}/{}/{}",
            started.entity, started.project, started.run.run_id
        );
        status.run_url = super::super::web_pages(&job.settings.base_url, &started.run).0;
        (status.wandb_files, status.media_files, status.other_files) = (0, 0, 0);
        status.artifacts = Arc::default();
    });
}

/// Between two requests.
fn interval_of(job: &Job, ours: bool) -> Duration {
    match job.settings.transmit_interval_secs {
        seconds if seconds > 0.0 => Duration::from_secs_f64(seconds.min(3_600.0)),
        _ if ours => OUR_INTERVAL,
        _ => OTHERS_INTERVAL,
    }
}

fn over(message: String) -> pb::ErrorInfo {
    pb::ErrorInfo { message, code: 0 }
}

/// Opens the log and meets the server. `known` is progress of this process that the cursor file may not have.
async fn start(
    job: &Job,
    outside: &Outside,
    server: &mut Server,
    known: Option<Target>,
    mut links: Links,
) -> Option<Engine> {
    let mut tail = match LogTail::open(&job.log, job.live.as_ref()) {
        Ok(tail) => tail,
        Err(error) => {
            links.refuse(job, over(error.to_string()));
            return None;
        }
    };
    let mut projection = projection_of(job);
    let mut files = FilePlan::new(job.settings.ignore_globs.clone());
    let head = match read_head(job, &mut tail, &mut projection, &mut files, &mut links).await {
        Ok(head) => head,
        Err(message) => {
            links.refuse(job, over(message));
            return None;
        }
    };
    projection.explicit_summary_only = job.settings.server_side_derived_summary;
    server.share(projection.shared().map(|writer| Shared {
        client_id: writer.client_id.clone(),
        joins: writer.joins || !job.settings.update_finish_state,
        derives_summary: job.settings.server_side_derived_summary,
    }));
    // Named as the log first named it: what the server answers is written into the log later.
    let mut asked = projection.asked.clone();
    job.rename(&mut asked);
    let mut cursor = CursorFile::beside(&job.log, job.cursor_key(&asked));
    let loaded = blocking(|| cursor.load());
    let saved = known.or(loaded);
    let started = meet(outside, server, job, &mut projection, saved, &mut links).await?;
    projection.format.structured_console = started.features.structured_console;
    let ours = started.features.fast_stream;
    let interval = interval_of(job, ours);
    let now = outside.clock.now();
    tell_place(&links, job, &started);
    let target = Target {
        entity: started.entity.clone(),
        project: started.project.clone(),
        complete: false,
        ..started.target.clone()
    };
    let dead = DeadLetters::beside(&job.log);
    let quarantined = blocking(|| dead.read()).map_or(0, |letters| letters.len() as u64);
    let mut engine = Engine {
        stream: FileStream::new(interval, ours, target.base(), target.stored()),
        interval,
        debounce: if ours { OUR_INTERVAL } else { OTHERS_DEBOUNCE },
        outside: outside.clone(),
        job: job.clone(),
        server: server.clone(),
        links,
        tail,
        projection,
        started,
        cursor,
        target,
        saved_at: now,
        checkpoints: VecDeque::from([(head, Offsets::default())]),
        calls: JoinSet::new(),
        epoch: 0,
        has_old_key: false,
        entering: None,
        is_changing: false,
        is_alerting: false,
        shortfalls: 0,
        conflicts: None,
        dead,
        unburied: VecDeque::new(),
        quarantined,
        told_quarantine: false,
        files,
        file_tasks: JoinSet::new(),
        looks: JoinSet::new(),
        files_due: None,
        failed_files_due: None,
        files_backoff: Backoff::new(UPLOAD),
        artifacts: Artifacts::default(),
        alerts: VecDeque::new(),
        alerts_due: None,
        upsert_due: None,
        upsert_backoff: Backoff::new(UPLOAD),
        summary_due: now,
        warnings: BTreeMap::new(),
        hurry_seen: 0,
        share: Share {
            sum: Arc::clone(&outside.waiting_bytes),
            counted: 0,
        },
        at_end: false,
        ended: false,
        finishing: false,
    };
    engine.stream.set_generation(engine.target.generation);
    engine.projection.run_changed = false;
    engine.projection.config_changed = false;
    engine.early_files();
    engine.save(true);
    Some(engine)
}
