//! Saving one artifact: does what the steps say (`saver`), through the seams to network, disk and clock.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message;
use runlane_model::artifact::digest::Digest;
use runlane_model::backoff::Verdict;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;
use runlane_translog::LiveLog;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::blocking;
use super::super::http::{Body, CHANGED, CallError, Counter, UNREADABLE, open_regular};
use super::super::put::{Content, Failed, headers_of, put};
use super::super::tail::record_at;
use super::calls::{ManifestPlace, PartPlace, Place, Site};
use super::entries::Source;
use super::manifest_file::{self, ManifestFile};
use super::measurer::Measurer;
use super::plan::{Coming, Item, Prospect};
use super::record::{Kind, storage_region};
use super::saver::{Answer, Call, Facts, Fates, Outcome, RESTARTS, Saver, Written};
use super::staged::Leftovers;
use super::wanted::{Homes, Wanted, md5_of};
use crate::clock::Clock;

/// What saving an artifact needs.
#[derive(Debug, Clone)]
pub(in crate::upload) struct Errand {
    pub(super) site: Site,
    pub(super) clock: Arc<dyn Clock>,
    /// The right to send something, shared by all uploads of the process.
    pub(super) transfers: Arc<Semaphore>,
    pub(super) log: PathBuf,
    pub(super) live: Option<LiveLog>,
    pub(super) homes: Homes,
    pub(super) coming: Coming,
    pub(super) item: Item,
    pub(super) progress: Progress,
}

impl Errand {
    pub(in crate::upload) fn progress(&self) -> &Progress {
        &self.progress
    }
}

/// How far the saving of one artifact is, for others to look at.
#[derive(Debug, Clone, Default)]
pub(in crate::upload) struct Progress {
    /// Bytes that went out, and bytes that were read only.
    pub(in crate::upload) sent: Counter,
    pub(in crate::upload) read: Counter,
    now: Arc<Mutex<Now>>,
}

/// What a [`Progress`] shows.
#[derive(Debug, Clone, Default)]
pub(in crate::upload) struct Now {
    pub(in crate::upload) id: String,
    pub(in crate::upload) problem: String,
    pub(in crate::upload) files: u32,
    pub(in crate::upload) bytes_total: u64,
}

impl Progress {
    pub(in crate::upload) fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, saver: &Saver, name: &str) {
        let (files, bytes) = saver.progress();
        let mut now = self.now();
        saver.id().clone_into(&mut now.id);
        if now.problem != saver.problem() {
            saver.problem().clone_into(&mut now.problem);
            if !now.problem.is_empty() {
                tracing::warn!(message = %now.problem, name, "upload of an artifact retried");
            }
        }
        (now.files, now.bytes_total) = (files, bytes);
    }
}

/// How saving an artifact has ended.
#[derive(Debug)]
pub(in crate::upload) struct Saved {
    pub(in crate::upload) item: Item,
    pub(in crate::upload) outcome: Ended,
}

#[derive(Debug)]
pub(in crate::upload) enum Ended {
    Stored {
        existed: bool,
        leftovers: Leftovers,
    },
    /// It will not be stored, and why.
    Failed(String),
    /// The server refuses the key.
    Unauthorized(CallError),
}

/// Everything about one artifact that calls look at.
#[derive(Debug)]
struct Work {
    errand: Errand,
    record: pb::ArtifactRecord,
    kind: Kind,
    source: Source,
}

/// Saves one artifact, however long the server is away.
pub(in crate::upload) async fn save(errand: Errand) -> Saved {
    let item = errand.item.clone();
    let outcome = match blocking(|| Work::read(errand)) {
        Ok(work) => Saving::new(work).run().await,
        Err(problem) => Ended::Failed(problem),
    };
    Saved { item, outcome }
}

/// One artifact on its way: the steps, and what their calls share.
struct Saving {
    work: Arc<Work>,
    saver: Saver,
    calls: JoinSet<(u32, Done)>,
    /// While no call has it.
    measurer: Option<Box<Measurer>>,
    manifest: Option<Arc<ManifestFile>>,
    fates: Option<Arc<Fates>>,
}

impl Saving {
    fn new(work: Work) -> Self {
        let base_id = Some(work.record.base_id.clone());
        let saver = Saver::new(Facts {
            finalize: work.record.finalize,
            uses: work.record.use_after_commit,
            base_id: base_id.filter(|id| !id.is_empty()),
        });
        Self {
            work: Arc::new(work),
            saver,
            calls: JoinSet::new(),
            measurer: None,
            manifest: None,
            fates: None,
        }
    }

    async fn run(mut self) -> Ended {
        let clock = Arc::clone(&self.work.errand.clock);
        loop {
            while let Some(call) = self.saver.next(clock.now()) {
                self.start(call);
            }
            let errand = &self.work.errand;
            errand.progress.show(&self.saver, &errand.item.name);
            if let Some(outcome) = self.saver.outcome() {
                return self.work.ended(outcome.clone(), self.fates.take());
            }
            let wake = self.saver.wake();
            let sleep = async {
                match wake {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(done) = self.calls.join_next(), if !self.calls.is_empty() => match done {
                    Ok((round, done)) if round == self.saver.round() => {
                        let answer = self.answer(done);
                        self.saver.take(answer, clock.now(), rand::random());
                    }
                    // What was begun before everything began anew.
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%error, "a step of an artifact ended abnormally");
                        return Ended::Failed("a step of it ended abnormally".to_owned());
                    }
                },
                () = sleep => {}
            }
        }
    }

    fn start(&mut self, call: Call) {
        let (round, work) = (self.saver.round(), Arc::clone(&self.work));
        match call {
            Call::Measure { count, from_start } => {
                let known = self.measurer.take().filter(|_| !from_start);
                let mut measurer =
                    known.unwrap_or_else(|| Box::new(Measurer::new(&work.source, &work.errand)));
                self.calls.spawn(async move {
                    let files = measurer.measure(count).await;
                    (round, Done::Measured(measurer, files))
                });
            }
            Call::WriteManifest { fates, resolved } => {
                self.fates = Some(Arc::clone(&fates));
                self.calls.spawn(async move {
                    let region = storage_region(&work.record);
                    let (source, path) = (&work.source, work.manifest_path(round));
                    let written = blocking(|| {
                        manifest_file::write(source, &path, &fates, &resolved, region.as_deref())
                    });
                    (round, Done::Manifest(written))
                });
            }
            Call::PutManifest { place } => {
                let manifest = self.manifest.clone();
                self.calls.spawn(async move {
                    let outcome = work.put_manifest(place, manifest.as_deref()).await;
                    (round, Done::Answer(Answer::ManifestPut(outcome)))
                });
            }
            call => {
                self.calls
                    .spawn(async move { (round, Done::Answer(work.perform(call).await)) });
            }
        }
    }

    fn answer(&mut self, done: Done) -> Answer {
        match done {
            Done::Answer(answer) => answer,
            Done::Measured(measurer, files) => {
                self.measurer = Some(measurer);
                Answer::Measured(files)
            }
            Done::Manifest(written) => Answer::ManifestWritten(written.map(|file| {
                let md5 = file.md5.base64();
                self.manifest = Some(Arc::new(file));
                Written { md5 }
            })),
        }
    }
}

/// What comes back from a step.
enum Done {
    Answer(Answer),
    Measured(Box<Measurer>, Result<super::saver::Measured, String>),
    Manifest(Result<ManifestFile, String>),
}

/// The artifact whose record begins at `begin`, without its entries, and where these are. Blocks.
pub(super) fn reread(
    (log, live): (&Path, Option<&LiveLog>),
    begin: u64,
    homes: &Homes,
) -> Result<(pb::ArtifactRecord, Source), String> {
    let bytes = record_at(log, live, begin)
        .map(Bytes::from)
        .map_err(|error| format!("its record cannot be read again: {error}"))?;
    let record = pb::Record::decode(&*bytes)
        .ok()
        .and_then(|record| record.record_type);
    let Some(RecordType::Artifact(mut record)) = record else {
        return Err("its record cannot be read again: the log has changed".to_owned());
    };
    let mut source = Source::of_record(&bytes);
    if let Some(manifest) = &mut record.manifest {
        manifest.contents = Vec::new();
        if !manifest.manifest_file_path.is_empty() {
            source = Source::File(homes.list(&manifest.manifest_file_path));
        }
    }
    Ok((record, source))
}

impl Work {
    /// Reads the record again: what waits for its turn costs no memory.
    fn read(errand: Errand) -> Result<Self, String> {
        let place = (errand.log.as_path(), errand.live.as_ref());
        let (record, source) = reread(place, errand.item.begin, &errand.homes)?;
        let work = Self {
            kind: Kind::of(&record),
            source,
            record,
            errand,
        };
        // Whoever was killed has left what it had written.
        for round in 0..=RESTARTS {
            if let Err(error) = std::fs::remove_file(work.manifest_path(round))
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::debug!(%error, "manifest file of another process stays");
            }
        }
        Ok(work)
    }

    /// Where the manifest is written: each round has its own, which goes when its round is given up.
    fn manifest_path(&self, round: u32) -> PathBuf {
        let mut path = self.errand.log.clone().into_os_string();
        path.push(format!(
            ".runlane-manifest-{}-{round}",
            self.errand.item.begin
        ));
        PathBuf::from(path)
    }

    fn ended(&self, outcome: Outcome, fates: Option<Arc<Fates>>) -> Ended {
        match outcome {
            Outcome::Stored { existed } => Ended::Stored {
                existed,
                leftovers: Leftovers {
                    source: self.source.clone(),
                    homes: self.errand.homes.clone(),
                    fates,
                },
            },
            Outcome::Failed(problem) => Ended::Failed(problem),
            Outcome::Unauthorized(error) => Ended::Unauthorized(error),
        }
    }

    async fn perform(&self, call: Call) -> Answer {
        let site = &self.errand.site;
        match call {
            Call::Create => Answer::Created(site.create(&self.record, self.errand.item.step).await),
            Call::BeginManifest {
                artifact_id,
                base_id,
            } => {
                let base = base_id.as_deref();
                Answer::ManifestBegun(
                    site.create_manifest(self.kind, &artifact_id, base, None)
                        .await,
                )
            }
            Call::Places {
                artifact_id,
                manifest_id,
                files,
            } => {
                let indexes = files.iter().map(|file| file.index).collect();
                let places = site.create_files(&artifact_id, &manifest_id, &files).await;
                Answer::Places(indexes, places)
            }
            Call::Put { file, place } => Answer::Put(file.index, self.put(&file, place).await),
            Call::PutPart {
                file,
                part,
                headers,
            } => {
                let number = part.part_number;
                Answer::PutPart(
                    file.index,
                    number,
                    self.put_part(&file, part, headers).await,
                )
            }
            Call::CompleteParts {
                file,
                artifact_id,
                storage_path,
                upload_id,
                parts,
            } => {
                let outcome = site.complete_parts(&artifact_id, &storage_path, &upload_id, &parts);
                Answer::PartsCompleted(file, outcome.await)
            }
            Call::Resolve { client_id } => {
                let found = site.resolve(&client_id).await;
                let (coming, item) = (&self.errand.coming, &self.errand.item);
                let prospect = match &found {
                    Ok(Some(_)) => {
                        coming.found(item);
                        Prospect::Unknown
                    }
                    // Whether the server has it is not known.
                    Err(error) if error.verdict != Verdict::Refused => Prospect::Unknown,
                    Ok(None) | Err(_) => coming.awaits(item, &client_id),
                };
                Answer::Resolved(found, prospect)
            }
            Call::PlaceManifest {
                artifact_id,
                manifest_id,
                base_id,
                digest,
            } => Answer::ManifestPlaced(if self.kind == Kind::Full {
                let base = base_id.as_deref();
                site.create_manifest(self.kind, &artifact_id, base, Some(&digest))
                    .await
            } else {
                site.update_manifest(&manifest_id, &digest).await
            }),
            Call::Commit { artifact_id } => Answer::Committed(site.commit(&artifact_id).await),
            Call::Use { artifact_id } => Answer::Used(site.use_artifact(&artifact_id).await),
            Call::Measure { .. } | Call::WriteManifest { .. } | Call::PutManifest { .. } => {
                unreachable!("these need what only the loop has")
            }
        }
    }

    async fn put(&self, file: &Wanted, place: Place) -> Result<(), Failed> {
        let local = |text: String| Failed::Refused(CallError::refused(text));
        let Some(url) = place.url else {
            return Err(local("the server names no place for it".to_owned()));
        };
        let _permit = self.errand.transfers.acquire().await;
        let known = match file.md5 {
            Some(md5) => Ok(md5),
            None => blocking(|| md5_of(file)),
        };
        let md5 = known.map_err(local)?;
        let small = blocking(|| file.small()).map_err(local)?;
        let is_small = small.is_some();
        let body = small.map_or_else(|| self.body(file, 0, file.size, md5), Body::Bytes);
        let content = content(body, file.size, md5);
        let headers = headers_of(&place.headers);
        let outcome = put(&self.errand.site.server, url, headers, &content, false).await;
        if is_small && outcome.is_ok() {
            self.errand.progress.sent.add(file.size);
        }
        outcome
            .map(|_answer| ())
            .map_err(|failed| explained(failed, file))
    }

    /// Sends one part; its `ETag`.
    async fn put_part(
        &self,
        file: &Wanted,
        part: PartPlace,
        headers: Vec<String>,
    ) -> Result<String, Failed> {
        let Some((range, md5)) = file.part(part.part_number) else {
            let text = "the server asks for a part that there is not";
            return Err(Failed::Refused(CallError::refused(text)));
        };
        let _permit = self.errand.transfers.acquire().await;
        let body = self.body(file, range.offset, range.length, md5);
        let content = content(body, range.length, md5);
        let mut headers = headers_of(&headers);
        headers.retain(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let outcome = put(
            &self.errand.site.server,
            part.upload_url,
            headers,
            &content,
            true,
        )
        .await;
        match outcome {
            Ok(answer) => Ok(answer.etag.unwrap_or_else(|| md5.hex())),
            Err(failed) => Err(explained(failed, file)),
        }
    }

    async fn put_manifest(
        &self,
        place: ManifestPlace,
        manifest: Option<&ManifestFile>,
    ) -> Result<(), Failed> {
        let (Some(url), Some(manifest)) = (place.url, manifest) else {
            return Err(Failed::Own(CallError::retry(
                "there is no manifest to send",
            )));
        };
        let _permit = self.errand.transfers.acquire().await;
        let body = Body::File {
            path: manifest.path.clone(),
            offset: 0,
            length: manifest.length,
            md5: manifest.md5.hex(),
            counter: None,
        };
        let content = content(body, manifest.length, manifest.md5);
        let headers = headers_of(&place.headers);
        let outcome = put(&self.errand.site.server, url, headers, &content, false).await;
        outcome.map(|_answer| ())
    }

    fn body(&self, file: &Wanted, offset: u64, length: u64, md5: Digest) -> Body {
        Body::File {
            path: file.local.clone(),
            offset,
            length,
            md5: md5.hex(),
            counter: Some(self.errand.progress.sent.clone()),
        }
    }
}

fn content(body: Body, length: u64, md5: Digest) -> Content {
    Content {
        body,
        length,
        md5: md5.hex(),
        md5_base64: md5.base64(),
    }
}

/// Says of a file that could not be sent which it is and what to do.
fn explained(failed: Failed, file: &Wanted) -> Failed {
    let told = |text: String| CallError::refused(text);
    match failed {
        Failed::Changed(error) if error.message.starts_with(CHANGED) => {
            Failed::Changed(told(file.changed()))
        }
        Failed::Refused(error) if error.status == 0 => match open_regular(&file.local) {
            Err(problem) => Failed::Refused(told(file.unreadable(&problem))),
            Ok(_) => Failed::Refused(error),
        },
        Failed::Own(error) if error.message.starts_with(UNREADABLE) => Failed::Own(CallError {
            message: format!("{}: `{}`", error.message, file.local.display()),
            ..error
        }),
        other => other,
    }
}
