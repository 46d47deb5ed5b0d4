//! The steps against a server in memory that loses answers, repeats calls, forgets and is killed, as does the saver.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use runlane_model::artifact::digest::{Algorithm, Digest};
use runlane_model::artifact::parts::{PartDigest, Parts};

use super::super::calls::{PartPlace, PartPlaces, Place};
use super::super::wanted::Wanted;
use super::*;

/// A file of the version: its content, and into how many parts it goes.
#[derive(Debug, Clone)]
struct File {
    content: u8,
    parts: u64,
}

impl File {
    fn digest(&self) -> String {
        Digest::of(Algorithm::Md5, &[self.content]).base64()
    }

    fn wanted(&self, index: usize) -> Wanted {
        let digest = Digest::of(Algorithm::Md5, &[self.content]);
        let cut = (self.parts > 1).then_some(Parts {
            part_bytes: 10,
            count: self.parts,
        });
        let part = |number| PartDigest {
            number,
            md5: Digest::of(
                Algorithm::Md5,
                &[self.content, u8::try_from(number).expect("few")],
            ),
        };
        Wanted {
            index,
            path: format!("file{index}"),
            digest: digest.base64(),
            algorithm: Algorithm::Md5,
            local: PathBuf::from("/nowhere"),
            size: 10 * self.parts,
            md5: Some(digest),
            cut,
            parts: cut.map(|cut| (1..=cut.count).map(part).collect()),
        }
    }
}

#[derive(Debug, Default)]
struct Version {
    is_committed: bool,
    is_deleted: bool,
    /// By id: announced digest, and whether it arrived.
    manifests: BTreeMap<String, (String, bool)>,
    current: Option<String>,
}

/// What a server keeps, whatever is said to it how often.
#[derive(Debug, Default)]
struct Server {
    versions: Vec<Version>,
    /// The version of the client id.
    known: Option<usize>,
    blobs: BTreeSet<String>,
    parts: BTreeSet<(String, u64)>,
    /// Contents and parts that were sent although they were stored.
    repeats: usize,
    manifests: usize,
    used: bool,
    needs: Vec<String>,
}

fn lost() -> CallError {
    CallError::retry("connection reset")
}

impl Server {
    fn number(id: &str) -> usize {
        id.trim_start_matches("artifact").parse().expect("an id")
    }

    fn version(&mut self, id: &str) -> Result<&mut Version, CallError> {
        let version = &mut self.versions[Self::number(id)];
        if version.is_deleted {
            return Err(CallError::refused("the artifact was removed"));
        }
        Ok(version)
    }

    fn apply(&mut self, call: &Call) -> Answer {
        match call {
            Call::Create => Answer::Created(Ok(self.create())),
            Call::BeginManifest { artifact_id, .. } => {
                Answer::ManifestBegun(self.manifest(artifact_id, ""))
            }
            Call::PlaceManifest {
                artifact_id,
                digest,
                ..
            } => Answer::ManifestPlaced(self.manifest(artifact_id, digest)),
            Call::Places {
                artifact_id, files, ..
            } => {
                let indexes = files.iter().map(|file| file.index).collect();
                let places = self.version(artifact_id).map(|_| ());
                let place = |file: &Arc<Wanted>| self.place(artifact_id, file);
                Answer::Places(indexes, places.map(|()| files.iter().map(place).collect()))
            }
            Call::Put { file, .. } => {
                self.repeats += usize::from(!self.blobs.insert(file.digest.clone()));
                Answer::Put(file.index, Ok(()))
            }
            Call::PutPart { file, part, .. } => {
                let part = (file.digest.clone(), part.part_number);
                let (number, etag) = (part.1, format!("\"{}\"", part.1));
                self.repeats += usize::from(!self.parts.insert(part));
                Answer::PutPart(file.index, number, Ok(etag))
            }
            Call::CompleteParts {
                file,
                upload_id,
                parts,
                ..
            } => {
                let has = |number: u64| self.parts.contains(&(upload_id.clone(), number));
                let is_whole = parts.iter().all(|(number, _)| has(*number)) && !parts.is_empty();
                let outcome = if is_whole {
                    self.blobs.insert(upload_id.clone());
                    Ok(())
                } else {
                    Err(CallError::refused("parts are missing"))
                };
                Answer::PartsCompleted(*file, outcome)
            }
            Call::PutManifest { place } => {
                let id = place.id.clone();
                let version = self
                    .versions
                    .iter_mut()
                    .find(|version| version.manifests.contains_key(&id));
                let version = version.expect("a manifest of mine");
                version.manifests.get_mut(&id).expect("there").1 = true;
                version.current = Some(id);
                Answer::ManifestPut(Ok(()))
            }
            Call::Commit { artifact_id } => Answer::Committed(self.commit(artifact_id)),
            Call::Use { .. } => {
                self.used = true;
                Answer::Used(Ok(()))
            }
            Call::Resolve { client_id } => {
                Answer::Resolved(Ok(Some(format!("id of {client_id}"))), Prospect::Unknown)
            }
            Call::Measure { .. } | Call::WriteManifest { .. } => panic!("no call to a server"),
        }
    }

    fn create(&mut self) -> Created {
        let is_there = |number: &usize| !self.versions[*number].is_deleted;
        let number = self.known.filter(is_there).unwrap_or(self.versions.len());
        if number == self.versions.len() {
            self.versions.push(Version::default());
        }
        self.known = Some(number);
        let state = if self.versions[number].is_committed {
            "COMMITTED"
        } else {
            "PENDING"
        };
        Created {
            id: format!("artifact{number}"),
            state: state.to_owned(),
            latest: None,
        }
    }

    fn manifest(&mut self, artifact_id: &str, digest: &str) -> Result<ManifestPlace, CallError> {
        self.manifests += 1;
        let id = format!("manifest{}", self.manifests);
        let version = self.version(artifact_id)?;
        version
            .manifests
            .insert(id.clone(), (digest.to_owned(), false));
        Ok(ManifestPlace {
            id,
            url: (!digest.is_empty()).then(|| "http://server/manifest".to_owned()),
            headers: Vec::new(),
        })
    }

    fn place(&self, artifact_id: &str, file: &Wanted) -> Place {
        let is_stored = self.blobs.contains(&file.digest);
        let url = (!is_stored).then(|| "http://server/file".to_owned());
        let parts = file
            .parts
            .as_ref()
            .filter(|_| !is_stored)
            .map(|parts| PartPlaces {
                upload_id: file.digest.clone(),
                parts: parts
                    .iter()
                    .map(|part| PartPlace {
                        part_number: part.number,
                        upload_url: "http://server/part".to_owned(),
                        is_stored: Some(self.parts.contains(&(file.digest.clone(), part.number))),
                    })
                    .collect(),
            });
        Place {
            birth_id: artifact_id.to_owned(),
            url,
            headers: Vec::new(),
            storage_path: file.path.clone(),
            parts,
        }
    }

    fn commit(&mut self, artifact_id: &str) -> Result<(), CallError> {
        let has_all = self.needs.iter().all(|digest| self.blobs.contains(digest));
        let version = self.version(artifact_id)?;
        if version.is_committed {
            return Ok(());
        }
        let manifest = version
            .current
            .as_ref()
            .and_then(|id| version.manifests.get(id));
        if !has_all || manifest.is_none_or(|(digest, is_there)| digest.is_empty() || !is_there) {
            return Err(CallError::refused("not everything of it is stored"));
        }
        version.is_committed = true;
        Ok(())
    }

    /// The sweep takes what nobody has committed.
    fn forget(&mut self) {
        if let Some(number) = self.known
            && !self.versions[number].is_committed
        {
            self.versions[number].is_deleted = true;
            self.blobs.clear();
            self.parts.clear();
        }
    }
}

/// What happens to a call that is under way, or to everything.
#[derive(Debug, Clone)]
enum Event {
    Answered(usize),
    AnswerLost(usize),
    NotDelivered(usize),
    Twice(usize),
    Busy(usize),
    Expired(usize),
    SaverKilled,
    /// A call of a killed saver arrives after all.
    Ghost(usize),
    Swept,
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<usize>;
    prop_oneof![
        24 => index().prop_map(Event::Answered),
        3 => index().prop_map(Event::AnswerLost),
        3 => index().prop_map(Event::NotDelivered),
        2 => index().prop_map(Event::Twice),
        2 => index().prop_map(Event::Busy),
        1 => index().prop_map(Event::Expired),
        1 => Just(Event::SaverKilled),
        1 => index().prop_map(Event::Ghost),
        1 => Just(Event::Swept),
    ]
}

struct World {
    files: Vec<File>,
    facts: Facts,
    server: Server,
    saver: Saver,
    under_way: Vec<(u32, Call)>,
    ghosts: Vec<Call>,
    measured: usize,
    now: Instant,
    disturbances: usize,
    written: Option<Arc<Fates>>,
}

impl World {
    fn new(files: Vec<File>, facts: Facts) -> Self {
        Self {
            server: Server {
                needs: files.iter().map(File::digest).collect(),
                ..Server::default()
            },
            saver: Saver::new(facts.clone()),
            files,
            facts,
            under_way: Vec::new(),
            ghosts: Vec::new(),
            measured: 0,
            now: Instant::now(),
            disturbances: 0,
            written: None,
        }
    }

    /// Lets the saver begin what it can; what needs no server is done at once.
    fn begin(&mut self) {
        while let Some(call) = self.saver.next(self.now) {
            match call {
                Call::Measure { count, from_start } => {
                    if from_start {
                        self.measured = 0;
                    }
                    let end = (self.measured + count).min(self.files.len());
                    let files = (self.measured..end).map(|index| self.files[index].wanted(index));
                    let measured = Measured {
                        files: files.collect(),
                        client_ids: BTreeSet::from(["other".to_owned()]),
                        is_last: end == self.files.len(),
                    };
                    self.measured = end;
                    self.saver
                        .take(Answer::Measured(Ok(measured)), self.now, 0.5);
                }
                Call::WriteManifest { fates, resolved } => {
                    assert_eq!(resolved["other"], "id of other");
                    self.written = Some(fates);
                    let md5 = "digest".to_owned();
                    self.saver
                        .take(Answer::ManifestWritten(Ok(Written { md5 })), self.now, 0.5);
                }
                call => self.under_way.push((self.saver.round(), call)),
            }
        }
        assert!(
            self.under_way.len() <= 32,
            "{} calls at a time",
            self.under_way.len()
        );
    }

    fn take(&mut self, round: u32, answer: Answer) {
        if round == self.saver.round() {
            self.saver.take(answer, self.now, 0.5);
        }
    }

    fn happen(&mut self, event: &Event) {
        if self.saver.outcome().is_some() {
            return;
        }
        let calls = self.under_way.len();
        match event {
            Event::SaverKilled => {
                self.disturbances += 1 + calls;
                self.ghosts
                    .extend(self.under_way.drain(..).map(|(_, call)| call));
                self.saver = Saver::new(self.facts.clone());
            }
            Event::Ghost(index) => {
                if !self.ghosts.is_empty() {
                    let ghost = self.ghosts.swap_remove(index % self.ghosts.len());
                    self.server.apply(&ghost);
                    self.disturbances += 1;
                }
            }
            Event::Swept => {
                self.disturbances += 100;
                self.server.forget();
            }
            Event::Answered(index)
            | Event::AnswerLost(index)
            | Event::NotDelivered(index)
            | Event::Twice(index)
            | Event::Busy(index)
            | Event::Expired(index) => {
                if calls == 0 {
                    self.wait();
                    return;
                }
                let (round, call) = self.under_way.swap_remove(index % calls);
                let is_fine = matches!(event, Event::Answered(_));
                self.disturbances += usize::from(!is_fine);
                let arrives = !matches!(
                    event,
                    Event::NotDelivered(_) | Event::Busy(_) | Event::Expired(_)
                );
                let mut answer = arrives.then(|| self.server.apply(&call));
                if matches!(event, Event::Twice(_)) {
                    answer = Some(self.server.apply(&call));
                }
                let answer = match event {
                    Event::Answered(_) | Event::Twice(_) => answer.expect("applied"),
                    Event::Expired(_) => failure(&call, &|| Failed::Expired(lost())),
                    Event::Busy(_) => failure(&call, &|| {
                        Failed::Away(CallError {
                            status: 503,
                            hope: Some(Duration::from_millis(20)),
                            retry_after: Some(Duration::from_secs(3)),
                            ..lost()
                        })
                    }),
                    _ => failure(&call, &|| Failed::Away(lost())),
                };
                self.take(round, answer);
            }
        }
    }

    /// Nothing is under way: the next thing happens when somebody has waited long enough.
    fn wait(&mut self) {
        if let Some(at) = self.saver.wake() {
            self.now = self.now.max(at);
        }
    }

    fn settle(&mut self) {
        for _turn in 0..100_000 {
            self.begin();
            if self.saver.outcome().is_some() {
                return;
            }
            if self.under_way.is_empty() {
                assert!(self.saver.wake().is_some(), "stuck: {:?}", self.saver);
                self.wait();
                continue;
            }
            let (round, call) = self.under_way.remove(0);
            let answer = self.server.apply(&call);
            self.take(round, answer);
        }
        panic!("no end: {:?}", self.saver);
    }
}

fn failure(call: &Call, failed: &dyn Fn() -> Failed) -> Answer {
    let error = || match failed() {
        Failed::Away(error) | Failed::Expired(error) => error,
        _ => lost(),
    };
    match call {
        Call::Create => Answer::Created(Err(error())),
        Call::BeginManifest { .. } => Answer::ManifestBegun(Err(error())),
        Call::Places { files, .. } => {
            Answer::Places(files.iter().map(|file| file.index).collect(), Err(error()))
        }
        Call::Put { file, .. } => Answer::Put(file.index, Err(failed())),
        Call::PutPart { file, part, .. } => {
            Answer::PutPart(file.index, part.part_number, Err(failed()))
        }
        Call::CompleteParts { file, .. } => Answer::PartsCompleted(*file, Err(error())),
        Call::Resolve { .. } => Answer::Resolved(Err(error()), Prospect::Unknown),
        Call::PlaceManifest { .. } => Answer::ManifestPlaced(Err(error())),
        Call::PutManifest { .. } => Answer::ManifestPut(Err(failed())),
        Call::Commit { .. } => Answer::Committed(Err(error())),
        Call::Use { .. } => Answer::Used(Err(error())),
        Call::Measure { .. } | Call::WriteManifest { .. } => panic!("no call to a server"),
    }
}

fn facts() -> Facts {
    Facts {
        finalize: true,
        uses: true,
        base_id: None,
    }
}

fn file() -> impl Strategy<Value = File> {
    (any::<u8>(), prop_oneof![3 => Just(1_u64), 1 => 2_u64..9])
        .prop_map(|(content, parts)| File { content, parts })
}

proptest! {
    /// S8: whatever is lost, repeated, late or killed, the version is committed once or not at all; then everything is well,
    /// and it is completed.
    #[test]
    fn s8_a_version_is_committed_once_and_whole(
        contents in prop::collection::vec(file(), 0..60),
        events in prop::collection::vec(event(), 0..300),
    ) {
        // Equal contents are cut alike.
        let mut cuts = BTreeMap::new();
        let files: Vec<File> = contents
            .into_iter()
            .map(|file| File { parts: *cuts.entry(file.content).or_insert(file.parts), ..file })
            .collect();
        let mut world = World::new(files, facts());
        for event in &events {
            world.begin();
            world.happen(event);
            let committed = world.server.versions.iter().filter(|version| version.is_committed);
            prop_assert!(committed.count() <= 1);
        }
        world.settle();
        // What fails too often is given up; another try, as `sync` makes it, goes through.
        if matches!(world.saver.outcome(), Some(Outcome::Failed(_))) {
            world.saver = Saver::new(world.facts.clone());
            world.under_way.clear();
            world.settle();
        }
        prop_assert!(matches!(world.saver.outcome(), Some(Outcome::Stored { .. })), "{:?}", world.saver.outcome());
        let committed: Vec<_> = world.server.versions.iter().filter(|version| version.is_committed).collect();
        prop_assert_eq!(committed.len(), 1);
        prop_assert!(world.server.used);
        prop_assert!(world.server.repeats <= world.disturbances);
    }
}

#[test]
fn nothing_is_sent_twice_and_a_second_saver_sends_nothing() {
    let files: Vec<File> = (0..=255)
        .map(|content| File {
            content,
            parts: 1 + u64::from(content % 3),
        })
        .collect();
    let mut world = World::new(files, facts());
    world.settle();
    assert_eq!(
        world.saver.outcome(),
        Some(&Outcome::Stored { existed: false })
    );
    assert_eq!(world.server.repeats, 0);
    let fates = world.written.take().expect("a manifest");
    assert!((0..256).all(|index| fates.birth(index) == Some("artifact0") && fates.was_sent(index)));
    assert_eq!(world.saver.progress(), (256, 256 * 10 + 85 * 30));
    let (blobs, parts) = (world.server.blobs.len(), world.server.parts.len());
    world.saver = Saver::new(facts());
    world.settle();
    assert_eq!(
        world.saver.outcome(),
        Some(&Outcome::Stored { existed: true })
    );
    assert_eq!(
        (world.server.blobs.len(), world.server.parts.len()),
        (blobs, parts)
    );
}

#[test]
fn parts_that_arrived_before_a_death_are_not_sent_again() {
    let mut world = World::new(
        vec![File {
            content: 1,
            parts: 8,
        }],
        facts(),
    );
    world.begin();
    while world.server.parts.len() < 5 {
        world.happen(&Event::Answered(0));
        world.begin();
    }
    world.under_way.clear();
    world.saver = Saver::new(facts());
    world.settle();
    assert_eq!((world.server.parts.len(), world.server.repeats), (8, 0));
    assert_eq!(world.saver.progress(), (1, 30));
}

#[test]
fn what_cannot_be_read_or_is_refused_fails_with_its_reason() {
    let now = Instant::now();
    let mut saver = Saver::new(facts());
    assert!(matches!(saver.next(now), Some(Call::Create)));
    assert!(saver.next(now).is_none(), "one at a time");
    saver.take(
        Answer::Created(Err(CallError::refused("type `x` is another"))),
        now,
        0.5,
    );
    assert_eq!(
        saver.outcome(),
        Some(&Outcome::Failed("type `x` is another".to_owned()))
    );
    let mut world = World::new(Vec::new(), facts());
    world.begin();
    world.happen(&Event::Answered(0));
    world.begin();
    world.happen(&Event::Answered(0));
    assert!(matches!(world.saver.next(now), Some(Call::Measure { .. })));
    world.saver.take(
        Answer::Measured(Err("file `a` is gone".to_owned())),
        now,
        0.5,
    );
    assert_eq!(
        world.saver.outcome(),
        Some(&Outcome::Failed("file `a` is gone".to_owned()))
    );
    assert!(world.saver.next(now).is_none());
}

/// How long a reference is waited for, and what is said then.
fn missed(prospect: impl Fn(Duration) -> Prospect) -> (Duration, String) {
    let mut world = World::new(Vec::new(), facts());
    let mut waited = Duration::ZERO;
    loop {
        world.begin();
        if let Some(outcome) = world.saver.outcome() {
            let Outcome::Failed(problem) = outcome else {
                panic!("{outcome:?}");
            };
            return (waited, problem.clone());
        }
        let Some((round, call)) = world.under_way.pop() else {
            let at = world.saver.wake().expect("a wake");
            waited += at - world.now;
            world.now = at;
            continue;
        };
        let answer = match call {
            Call::Resolve { .. } => Answer::Resolved(Ok(None), prospect(waited)),
            call => world.server.apply(&call),
        };
        world.take(round, answer);
    }
}

#[test]
fn a_reference_is_waited_for_and_then_missed() {
    let given_up = REFERENCE_PATIENCE * 5;
    let (waited, problem) = missed(|waited| {
        if waited < given_up {
            Prospect::Coming
        } else {
            Prospect::Unknown
        }
    });
    let text = "it refers to an artifact that the server does not have";
    assert!(problem.contains(text), "{problem}");
    assert_eq!(waited, given_up);
    // Whatever is said of it: not for ever.
    let (waited, problem) = missed(|_waited| Prospect::Coming);
    assert!(problem.contains(text), "{problem}");
    assert_eq!(waited, COMING_PATIENCE);
    let never = missed(|_waited| Prospect::Never("later".to_owned()));
    assert_eq!(never, (Duration::ZERO, "later".to_owned()));
}

#[test]
fn many_failures_of_one_outage_are_one() {
    let files = (0..100).map(|content| File { content, parts: 1 });
    let mut world = World::new(files.collect(), facts());
    world.begin();
    while !matches!(world.under_way.first(), Some((_, Call::Put { .. }))) {
        world.happen(&Event::Answered(0));
        world.begin();
    }
    let began = world.now;
    for (round, call) in std::mem::take(&mut world.under_way) {
        let answer = failure(&call, &|| Failed::Away(lost()));
        world.take(round, answer);
    }
    let wake = world.saver.wake().expect("a wake");
    assert!(wake - began <= Duration::from_secs(2), "{:?}", wake - began);
    world.settle();
    let took = world.now - began;
    assert!(took <= Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_store_that_is_away_holds_everything_and_one_that_fails_some_does_not() {
    let files: Vec<File> = (0..100).map(|content| File { content, parts: 1 }).collect();
    let mut world = World::new(files, facts());
    world.begin();
    while !matches!(world.under_way.first(), Some((_, Call::Put { .. }))) {
        world.happen(&Event::Answered(0));
        world.begin();
    }
    let (round, call) = world.under_way.pop().expect("a call");
    let answer = failure(&call, &|| Failed::Away(lost()));
    world.take(round, answer);
    let before = world.under_way.len();
    world.begin();
    assert_eq!(
        world.under_way.len(),
        before,
        "nothing more goes to who is not there"
    );
    world.wait();
    world.begin();
    assert!(world.under_way.len() > before);
    world.settle();
    assert_eq!(
        world.saver.outcome(),
        Some(&Outcome::Stored { existed: false })
    );
}
