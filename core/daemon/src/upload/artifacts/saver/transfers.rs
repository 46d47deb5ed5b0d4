//! The files of a version on their way: a window over the manifest, so that what is in memory does not depend on how many
//! files there are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use runlane_model::backoff::{Backoff, UPLOAD};

use super::super::super::http::CallError;
use super::super::calls::{PartPlace, Place};
use super::super::wanted::Wanted;
use super::{Call, Fates};

/// Files in the window.
const WINDOW: usize = 1_024;
/// Files asked for in one call: at first, and at most.
const FIRST_BATCH: usize = 25;
const MOST_BATCH: usize = 500;
/// Calls for places, uploads, and uploads of one file's parts under way.
const ASKS: usize = 2;
const PUTS: usize = 16;
const PARTS: usize = 4;
/// Tries of a file that fails for itself, and of one that fails while the host answers others.
const OWN_TRIES: u32 = 5;
const TRIES_AMONG_OTHERS: u32 = 20;

#[derive(Debug)]
pub(super) struct Transfers {
    files: BTreeMap<usize, Work>,
    /// To be asked for, and to be sent.
    fresh: VecDeque<usize>,
    ready: VecDeque<usize>,
    /// With parts to be sent or joined.
    cut: BTreeSet<usize>,
    /// Contents on their way: which file goes, and which others have the same content.
    leaders: BTreeMap<String, (usize, Vec<usize>)>,
    /// Files that wait, and whether their places have to be asked for again.
    delayed: BTreeSet<(Instant, usize, bool)>,
    /// Nothing is sent before this.
    held_until: Option<Instant>,
    holds: u32,
    is_measuring: bool,
    is_measured: bool,
    has_begun: bool,
    asks: usize,
    puts: usize,
    batch: usize,
    fates: Fates,
    done: u32,
    bytes: u64,
}

#[derive(Debug)]
struct Work {
    wanted: Arc<Wanted>,
    state: State,
    own_tries: u32,
    tries: u32,
    backoff: Backoff,
    /// How many holds there had been when it was sent last.
    sent_after: u32,
    /// Its bytes are in the sum.
    is_counted: bool,
}

#[derive(Debug)]
enum State {
    /// Its place is not known, or not any more.
    Unplaced,
    Whole(Place),
    Cut(Place, PartsWork),
}

#[derive(Debug, Default)]
struct PartsWork {
    waiting: VecDeque<PartPlace>,
    sending: BTreeMap<u64, PartPlace>,
    done: BTreeMap<u64, String>,
    is_joining: bool,
    not_before: Option<Instant>,
}

impl Transfers {
    pub(super) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            fresh: VecDeque::new(),
            ready: VecDeque::new(),
            cut: BTreeSet::new(),
            leaders: BTreeMap::new(),
            delayed: BTreeSet::new(),
            held_until: None,
            holds: 0,
            is_measuring: false,
            is_measured: false,
            has_begun: false,
            asks: 0,
            puts: 0,
            batch: FIRST_BATCH,
            fates: Fates::default(),
            done: 0,
            bytes: 0,
        }
    }

    /// All files are stored.
    pub(super) fn is_done(&self) -> bool {
        self.is_measured && self.files.is_empty()
    }

    /// Files that are stored, and bytes that have to be sent.
    pub(super) fn progress(&self) -> (u32, u64) {
        (self.done, self.bytes)
    }

    pub(super) fn fates(&self) -> Arc<Fates> {
        Arc::new(self.fates.clone())
    }

    pub(super) fn path(&self, file: usize) -> Option<&str> {
        self.files.get(&file).map(|work| work.wanted.path.as_str())
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        let delayed = self.delayed.first().map(|(at, ..)| *at);
        let parts = self
            .cut
            .iter()
            .filter_map(|file| match &self.files.get(file)?.state {
                State::Cut(_, parts) => parts.not_before,
                State::Unplaced | State::Whole(_) => None,
            });
        parts.chain(delayed).chain(self.held_until).min()
    }

    /// The next thing to do; `may_ask` says whether the server may be asked for anything.
    pub(super) fn next(
        &mut self,
        now: Instant,
        may_ask: bool,
        artifact_id: &str,
        manifest_id: &str,
    ) -> Option<Call> {
        self.release(now);
        if self.held_until.is_none() {
            if self.puts < PUTS
                && let Some(call) = self.next_put()
            {
                self.puts += 1;
                return Some(call);
            }
            if may_ask && let Some(call) = self.next_join(artifact_id) {
                return Some(call);
            }
        }
        let no_more = self.is_measured || (self.files.len() >= WINDOW && !self.is_measuring);
        let is_batch = self.fresh.len() >= self.batch || (no_more && !self.fresh.is_empty());
        if may_ask && self.asks < ASKS && is_batch {
            let count = self.batch.min(self.fresh.len());
            let files = self
                .fresh
                .drain(..count)
                .filter_map(|file| self.files.get(&file));
            let files: Vec<Arc<Wanted>> = files.map(|work| Arc::clone(&work.wanted)).collect();
            self.asks += 1;
            return Some(Call::Places {
                artifact_id: artifact_id.to_owned(),
                manifest_id: manifest_id.to_owned(),
                files,
            });
        }
        if !self.is_measuring && !self.is_measured && self.files.len() < WINDOW {
            self.is_measuring = true;
            let from_start = !std::mem::replace(&mut self.has_begun, true);
            return Some(Call::Measure {
                count: WINDOW - self.files.len(),
                from_start,
            });
        }
        None
    }

    fn release(&mut self, now: Instant) {
        if self.held_until.is_some_and(|at| at <= now) {
            self.held_until = None;
        }
        while let Some(&(at, file, asks)) = self.delayed.first()
            && at <= now
        {
            self.delayed.pop_first();
            if asks {
                self.fresh.push_back(file);
            } else {
                self.ready.push_back(file);
            }
        }
        for file in self.cut.clone() {
            if let Some(parts) = self.parts(file)
                && parts.not_before.is_some_and(|at| at <= now)
            {
                parts.not_before = None;
            }
        }
    }

    fn next_put(&mut self) -> Option<Call> {
        while let Some(file) = self.ready.pop_front() {
            if let Some(work) = self.files.get_mut(&file)
                && let State::Whole(place) = &work.state
            {
                work.sent_after = self.holds;
                return Some(Call::Put {
                    file: Arc::clone(&work.wanted),
                    place: place.clone(),
                });
            }
        }
        for file in &self.cut {
            let Some(work) = self.files.get_mut(file) else {
                continue;
            };
            let State::Cut(place, parts) = &mut work.state else {
                continue;
            };
            if parts.not_before.is_some() || parts.sending.len() >= PARTS {
                continue;
            }
            if let Some(part) = parts.waiting.pop_front() {
                parts.sending.insert(part.part_number, part.clone());
                work.sent_after = self.holds;
                return Some(Call::PutPart {
                    file: Arc::clone(&work.wanted),
                    part,
                    headers: place.headers.clone(),
                });
            }
        }
        None
    }

    fn next_join(&mut self, artifact_id: &str) -> Option<Call> {
        for &file in &self.cut {
            let Some(work) = self.files.get_mut(&file) else {
                continue;
            };
            let State::Cut(place, parts) = &mut work.state else {
                continue;
            };
            let is_sent = parts.waiting.is_empty() && parts.sending.is_empty();
            if !is_sent || parts.is_joining || parts.not_before.is_some() {
                continue;
            }
            parts.is_joining = true;
            let upload_id = place.parts.as_ref().map(|places| places.upload_id.clone());
            let done = parts.done.iter();
            return Some(Call::CompleteParts {
                file,
                artifact_id: artifact_id.to_owned(),
                storage_path: place.storage_path.clone(),
                upload_id: upload_id.unwrap_or_default(),
                parts: done.map(|(number, etag)| (*number, etag.clone())).collect(),
            });
        }
        None
    }

    pub(super) fn measured(&mut self, files: Vec<Wanted>, is_last: bool) {
        self.is_measuring = false;
        self.is_measured = is_last;
        for wanted in files {
            let file = wanted.index;
            self.fresh.push_back(file);
            let work = Work {
                wanted: Arc::new(wanted),
                state: State::Unplaced,
                own_tries: 0,
                tries: 0,
                backoff: Backoff::new(UPLOAD),
                sent_after: 0,
                is_counted: false,
            };
            self.files.insert(file, work);
        }
    }

    /// The server says where files go.
    pub(super) fn placed(&mut self, files: &[usize], places: Vec<Place>) {
        self.asks = self.asks.saturating_sub(1);
        self.batch = (self.batch * 2).min(MOST_BATCH);
        for (&file, place) in files.iter().zip(places) {
            let Some(work) = self.files.get_mut(&file) else {
                continue;
            };
            self.fates.set_birth(file, &place.birth_id);
            if place.url.is_none() && place.parts.is_none() {
                self.finished(file);
                continue;
            }
            let (leader, twins) = self
                .leaders
                .entry(work.wanted.digest.clone())
                .or_insert_with(|| (file, Vec::new()));
            if *leader != file {
                twins.push(file);
                work.state = State::Whole(place);
                continue;
            }
            let mut bytes = work.wanted.size;
            let places = place.parts.clone();
            if let Some(places) = places.filter(|_| work.wanted.parts.is_some()) {
                let mut parts = PartsWork::default();
                for part in places.parts {
                    let known = work.wanted.part(part.part_number);
                    match known.filter(|_| part.is_stored == Some(true)) {
                        Some((known, md5)) => {
                            bytes = bytes.saturating_sub(known.length);
                            parts.done.insert(part.part_number, md5.hex());
                        }
                        None => parts.waiting.push_back(part),
                    }
                }
                work.state = State::Cut(place, parts);
                self.cut.insert(file);
            } else {
                work.state = State::Whole(place);
                self.ready.push_back(file);
            }
            if !std::mem::replace(&mut work.is_counted, true) {
                self.bytes += bytes;
            }
        }
    }

    /// The call for places has failed; it is made again.
    pub(super) fn not_placed(&mut self, files: Vec<usize>) {
        self.asks = self.asks.saturating_sub(1);
        for file in files.into_iter().rev() {
            self.fresh.push_front(file);
        }
    }

    /// An upload of a file or part has ended, one way or the other.
    pub(super) fn put_ended(&mut self) {
        self.puts = self.puts.saturating_sub(1);
    }

    /// A file is stored whole.
    pub(super) fn stored(&mut self, file: usize) {
        // What is said of a file whose place is being asked for again shows in the answer to that.
        let is_placed = |work: &Work| !matches!(work.state, State::Unplaced);
        if self.files.get(&file).is_some_and(is_placed) {
            self.fates.set_sent(file);
            self.finished(file);
        }
    }

    /// The server has a file, and with it those of the same content.
    fn finished(&mut self, file: usize) {
        self.cut.remove(&file);
        let Some(work) = self.files.remove(&file) else {
            return;
        };
        self.done += 1;
        let digest = &work.wanted.digest;
        if self
            .leaders
            .get(digest)
            .is_some_and(|(leader, _)| *leader == file)
            && let Some((_, twins)) = self.leaders.remove(digest)
        {
            for twin in twins {
                self.done += u32::from(self.files.remove(&twin).is_some());
            }
        }
    }

    pub(super) fn part_stored(&mut self, file: usize, number: u64, etag: String) {
        if let Some(parts) = self.parts(file)
            && parts.sending.remove(&number).is_some()
        {
            parts.done.insert(number, etag);
        }
        if let Some(work) = self.files.get_mut(&file) {
            work.backoff.succeeded();
        }
    }

    fn parts(&mut self, file: usize) -> Option<&mut PartsWork> {
        match &mut self.files.get_mut(&file)?.state {
            State::Cut(_, parts) => Some(parts),
            State::Unplaced | State::Whole(_) => None,
        }
    }

    /// Joining the parts is tried again.
    pub(super) fn join_again(&mut self, file: usize) {
        if let Some(parts) = self.parts(file) {
            parts.is_joining = false;
        }
    }

    /// Nothing is sent before `at`.
    pub(super) fn hold_until(&mut self, at: Instant) {
        self.held_until = self.held_until.max(Some(at));
        self.holds += 1;
    }

    /// Whether the failure of a file says more than those before: many that go at a time fail for one reason.
    pub(super) fn is_news(&self, file: usize) -> bool {
        self.files
            .get(&file)
            .is_some_and(|work| work.sent_after == self.holds)
    }

    /// Sends a file or part again to the same place; whether that was tried too often.
    pub(super) fn send_again(
        &mut self,
        file: usize,
        part: Option<u64>,
        now: Instant,
        random: f64,
        error: &CallError,
    ) -> bool {
        let held_until = self.held_until;
        let Some(work) = self.files.get_mut(&file) else {
            return false;
        };
        let at = match error.hope {
            Some(_) => now + work.backoff.failed(random, error.retry_after, error.hope),
            None => held_until.unwrap_or(now),
        };
        // A store that says that it is busy may say so for a day; a connection that breaks with this file, while others
        // go through, breaks because of it.
        work.tries += u32::from(error.hope.is_some() && error.status == 0);
        match (part, &mut work.state) {
            (None, State::Whole(_)) => {
                self.delayed.insert((at, file, false));
            }
            (Some(number), State::Cut(_, parts)) => {
                if let Some(part) = parts.sending.remove(&number) {
                    parts.waiting.push_front(part);
                    parts.not_before = parts.not_before.max(Some(at));
                }
            }
            _ => {}
        }
        work.tries >= TRIES_AMONG_OTHERS
    }

    /// Asks for another place of a file; whether that was tried too often.
    pub(super) fn ask_again(
        &mut self,
        file: usize,
        now: Instant,
        random: f64,
        error: &CallError,
    ) -> bool {
        let Some(work) = self.files.get_mut(&file) else {
            return false;
        };
        if matches!(work.state, State::Unplaced) {
            // Several parts fail for one reason.
            return false;
        }
        let wait = work.backoff.failed(random, error.retry_after, error.hope);
        work.state = State::Unplaced;
        work.own_tries += 1;
        self.cut.remove(&file);
        self.delayed.insert((now + wait, file, true));
        work.own_tries >= OWN_TRIES
    }
}
