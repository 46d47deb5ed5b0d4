//! Finds and follows the event files of a run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use runlane_model::json::Value;
use runlane_model::key_path::KeyPath;

use super::convert::LeftOut;
use super::disk::{EventDisk, Found};
use super::exchange::{Logged, Mirrored, Opened, Polled, Row, Told};
use super::names::NameRule;
use super::roots::{Place, Roots};
use super::tail::{Oddities, Tail, TailRow};
use crate::run::state::Remark;

/// Directories are listed this often.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);
/// A file is taken when it has been there for so long: what a process says of a directory comes a little later than the file.
const SETTLED: Duration = Duration::from_millis(900);
/// Bytes read of one file at once, unless a record is longer.
const CHUNK_BYTES: usize = 128 << 10;
/// Bytes read in one poll.
const POLL_BYTES: usize = 512 << 10;
/// Event files of one run.
const MOST_FILES: usize = 4_096;
/// Log directories of one run.
const MOST_DIRECTORIES: usize = 1_024;
/// Keys that the mirrored row sets itself, or the daemon.
const RESERVED: [&str; 4] = ["_step", "_runtime", "_timestamp", "global_step"];

#[derive(Debug)]
struct Directory {
    told: Told,
    rule: NameRule,
    told_of_error: bool,
}

#[derive(Debug)]
struct EventFile {
    id: u32,
    path: String,
    directory: usize,
    namespace: String,
    inode: u64,
    size: u64,
    tail: Tail,
    /// A row of it is in the log or on the way.
    has_rows: bool,
    /// Reading failed at this size; not again before it grows.
    failed_at: Option<u64>,
}

impl EventFile {
    fn has_more(&self) -> bool {
        self.failed_at != Some(self.size) && self.tail.can_go_on(self.size)
    }
}

/// The event files of one run.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// Unix seconds; files begun before belong to another run.
    started: u64,
    disk: Box<dyn EventDisk>,
    roots: Roots,
    directories: Vec<Directory>,
    /// By path.
    files: BTreeMap<String, EventFile>,
    next_file: u32,
    /// Files that the log knows and that were not found yet.
    logged: HashMap<String, (u32, Logged)>,
    /// Files that were found and not taken yet, and when.
    seen: HashMap<String, Duration>,
    next_scan: Duration,
    is_ending: bool,
    told: BTreeSet<String>,
}

impl Mirror {
    /// A run that began at `started` (Unix seconds) goes on where its log stands: `logged` are the files in it, in the order of
    /// their numbers.
    pub(crate) fn new(started: u64, disk: Box<dyn EventDisk>, logged: &[Logged]) -> Self {
        let by_path = |(id, file): (u32, &Logged)| (file.path.clone(), (id, file.clone()));
        Self {
            started,
            disk,
            roots: Roots::default(),
            directories: Vec::new(),
            files: BTreeMap::new(),
            next_file: u32::try_from(logged.len()).unwrap_or(u32::MAX - 1) + 1,
            logged: (1..).zip(logged).map(by_path).collect(),
            seen: HashMap::new(),
            next_scan: Duration::ZERO,
            is_ending: false,
            told: BTreeSet::new(),
        }
    }

    /// A process uses a directory.
    pub(crate) fn tell(&mut self, told: Told, now: Duration, remarks: &mut Vec<Remark>) {
        if told.directory.contains("://") {
            let text = format!(
                "event files in `{}` are not mirrored: only directories of this machine are",
                shortened(&told.directory)
            );
            self.warn("remote", text, remarks);
            return;
        }
        self.next_scan = Duration::ZERO;
        let known = self
            .directories
            .iter()
            .any(|known| known.told.directory == told.directory);
        if known {
            return;
        }
        if self.directories.len() >= MOST_DIRECTORIES {
            let text = format!(
                "more than {MOST_DIRECTORIES} TensorBoard log directories: further ones are not mirrored"
            );
            self.warn("directories", text, remarks);
            return;
        }
        self.roots.tell(&told.directory, &told.root, now);
        let rule = NameRule {
            host: told.host.clone(),
            since: (!told.any_time).then_some(self.started),
        };
        self.directories.push(Directory {
            told,
            rule,
            told_of_error: false,
        });
    }

    /// From now on only what is in the files already is read.
    pub(crate) fn begin_end(&mut self) {
        if !self.is_ending {
            self.is_ending = true;
            self.next_scan = Duration::ZERO;
        }
    }

    /// The end is called off: the run goes on.
    pub(crate) fn go_on(&mut self) {
        if self.is_ending {
            self.is_ending = false;
            self.next_scan = Duration::ZERO;
        }
    }

    /// Reads on. `now` is the time of a clock that does not jump.
    pub(crate) fn poll(&mut self, now: Duration) -> Polled {
        let mut polled = Polled::default();
        if self.next_scan <= now {
            self.next_scan = if self.is_ending {
                Duration::MAX
            } else {
                now + SCAN_INTERVAL
            };
            self.scan(now, &mut polled);
        }
        self.read(&mut polled);
        if self.is_ending && !polled.more {
            self.end_rows(|_| true, &mut polled);
            polled.done = true;
        }
        polled
    }

    fn scan(&mut self, now: Duration, polled: &mut Polled) {
        let names: BTreeSet<String> = self
            .directories
            .iter()
            .map(|known| known.told.directory.clone())
            .collect();
        for index in 0..self.directories.len() {
            let directory = &self.directories[index];
            let path = &directory.told.directory;
            let listed = self
                .disk
                .list(path, &names, &|name| directory.rule.admits(name));
            match listed {
                Ok(found) => {
                    for file in found {
                        self.found(index, file, now, polled);
                    }
                }
                // Made later, or never.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let text = format!(
                        "cannot read the TensorBoard log directory `{}`: {error}",
                        shortened(path)
                    );
                    if !std::mem::replace(&mut self.directories[index].told_of_error, true) {
                        polled.remarks.push(Remark { severity: 30, text });
                    }
                }
            }
        }
    }

    fn found(&mut self, directory: usize, found: Found, now: Duration, polled: &mut Polled) {
        let is_new = match self.files.get_mut(&found.path) {
            Some(known) if known.inode == found.inode && found.size >= known.tail.offset() => {
                known.size = found.size;
                return;
            }
            // Another file in its place, or the same one begun anew.
            Some(_) => false,
            None => true,
        };
        let since = *self.seen.entry(found.path.clone()).or_insert(now);
        let is_settled = self.is_ending || now.saturating_sub(since) >= SETTLED;
        if is_new && !is_settled {
            return;
        }
        if is_new && self.files.len() >= MOST_FILES {
            let text = format!(
                "more than {MOST_FILES} TensorBoard event files: further ones are not mirrored"
            );
            self.warn("files", text, &mut polled.remarks);
            return;
        }
        if let Some((id, logged)) = self.logged.remove(&found.path)
            && logged.inode == found.inode
            && logged.end <= found.size
        {
            self.take(directory, found, id, logged.namespace, logged.end);
            return;
        }
        let told = &self.directories[directory].told;
        let place = self
            .roots
            .place(&told.directory, &told.root, now, self.is_ending);
        let Some(place) = place else {
            return;
        };
        if let Some(replaced) = self.files.get_mut(&found.path)
            && let Some(row) = replaced.tail.take_open_row()
        {
            let row = Self::row(replaced, self.directories[directory].told.writer, row);
            polled.found.push(Mirrored::Row(row));
        }
        let saved_as = self.save(directory, &place, &found, polled);
        let id = self.next_file;
        self.next_file += 1;
        polled.found.push(Mirrored::Opened(Opened {
            file: id,
            logged: Logged {
                path: found.path.clone(),
                inode: found.inode,
                namespace: place.namespace.clone(),
                end: 0,
            },
            saved_as,
        }));
        self.take(directory, found, id, place.namespace, 0);
    }

    fn take(&mut self, directory: usize, found: Found, id: u32, namespace: String, end: u64) {
        self.seen.remove(&found.path);
        let file = EventFile {
            id,
            path: found.path.clone(),
            directory,
            namespace,
            inode: found.inode,
            size: found.size,
            tail: Tail::behind(end),
            has_rows: end > 0,
            failed_at: None,
        };
        self.files.insert(found.path, file);
    }

    /// Makes the file a file of the run; its name there.
    fn save(
        &mut self,
        directory: usize,
        place: &Place,
        found: &Found,
        polled: &mut Polled,
    ) -> Option<String> {
        let told = &self.directories[directory].told;
        if !told.save {
            return None;
        }
        let name = match &place.root {
            Some(root) => found.path.strip_prefix(root.as_str())?.to_owned(),
            None if told.save_path.is_empty() => return None,
            None => format!(
                "{}{}",
                told.save_path,
                found.path.strip_prefix(told.directory.as_str())?
            ),
        };
        let name = name.trim_start_matches("./").trim_matches('/').to_owned();
        let is_odd = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\\', '\n']);
        if name.split('/').any(is_odd) {
            return None;
        }
        match self.disk.link(&found.path, &name) {
            Ok(()) => Some(name),
            Err(error) => {
                let text = format!(
                    "the event file `{}` is not saved with the run: {error}",
                    shortened(&found.path)
                );
                self.warn("save", text, &mut polled.remarks);
                None
            }
        }
    }

    fn read(&mut self, polled: &mut Polled) {
        let mut budget = POLL_BYTES;
        let waiting: Vec<String> = self
            .files
            .values()
            .filter(|file| file.has_more())
            .map(|file| file.path.clone())
            .collect();
        let mut oddities = Oddities::default();
        for path in waiting {
            while self.files[&path].has_more() {
                if budget == 0 {
                    polled.more = true;
                    break;
                }
                let read = self.read_file(&path, &mut oddities, polled);
                budget = budget.saturating_sub(read.max(1));
            }
            if polled.more {
                break;
            }
        }
        self.report(&oddities, &mut polled.remarks);
    }

    /// Reads one piece of a file; how many bytes it had.
    fn read_file(&mut self, path: &str, oddities: &mut Oddities, polled: &mut Polled) -> usize {
        let Some(file) = self.files.get_mut(path) else {
            return 0;
        };
        let most = file.tail.needed().max(CHUNK_BYTES);
        let offset = file.tail.offset();
        let bytes = match self.disk.read(path, offset, most) {
            // Shorter than it was listed: it is looked at again when it is listed again.
            Ok(bytes) if bytes.len() >= file.tail.needed() => bytes,
            Ok(_) => {
                file.failed_at = Some(file.size);
                return 0;
            }
            Err(error) => {
                file.failed_at = Some(file.size);
                let text = format!("cannot read the event file `{}`: {error}", shortened(path));
                self.warn("read", text, &mut polled.remarks);
                return 0;
            }
        };
        let disk = &self.disk;
        let mut rows = Vec::new();
        let size = file.size.max(offset + bytes.len() as u64);
        file.tail
            .feed(&bytes, size, &mut rows, oddities, &mut |media| {
                disk.store(&media.name, &media.bytes).is_ok()
            });
        let (directory, begins) = (file.directory, !file.has_rows && !rows.is_empty());
        file.has_rows |= begins;
        if begins {
            // The files before it are read to their ends: it goes on where they stop.
            let is_before = |other: &EventFile| {
                other.directory == directory && other.path.as_str() < path && !other.has_more()
            };
            self.end_rows(is_before, polled);
        }
        let file = &self.files[path];
        let writer = self.directories[directory].told.writer;
        polled.found.extend(
            rows.into_iter()
                .map(|row| Mirrored::Row(Self::row(file, writer, row))),
        );
        bytes.len()
    }

    fn end_rows(&mut self, which: impl Fn(&EventFile) -> bool, polled: &mut Polled) {
        for file in self.files.values_mut() {
            if file.tail.has_open_row()
                && which(file)
                && let Some(row) = file.tail.take_open_row()
            {
                file.has_rows = true;
                let writer = self.directories[file.directory].told.writer;
                let row = Self::row(file, writer, row);
                polled.found.push(Mirrored::Row(row));
            }
        }
    }

    fn row(file: &EventFile, writer: u64, row: TailRow) -> Row {
        let mut items = Vec::with_capacity(row.items.len() + 2);
        for (tag, value) in row.items {
            let key = if file.namespace.is_empty() {
                tag
            } else {
                format!("{}/{tag}", file.namespace)
            };
            if RESERVED.contains(&key.as_str()) {
                continue;
            }
            runlane_model::tree::visit_leaves(&KeyPath::flat(key), &value, &mut |path, leaf| {
                items.push((path, leaf.clone()));
            });
        }
        items.push((KeyPath::flat("global_step"), Value::Int(row.step)));
        items.push((KeyPath::flat("_timestamp"), Value::Float(row.wall_time)));
        Row {
            file: file.id,
            writer,
            items,
            files: row.files,
            end: row.end,
        }
    }

    fn report(&mut self, oddities: &Oddities, remarks: &mut Vec<Remark>) {
        if oddities.damaged > 0 {
            let text = "damaged records of TensorBoard event files are left out; what follows them is mirrored";
            self.warn("damaged", text.to_owned(), remarks);
        }
        if oddities.long_tags > 0 {
            let text = "TensorBoard summaries with tags longer than a key may be are left out";
            self.warn("tags", text.to_owned(), remarks);
        }
        if oddities.unwritten > 0 {
            let text = "images of TensorBoard event files cannot be written into the run's directory and are left out";
            self.warn("media", text.to_owned(), remarks);
        }
        self.report_left_out(&oddities.left_out, remarks);
    }

    fn report_left_out(&mut self, left_out: &LeftOut, remarks: &mut Vec<Remark>) {
        for (kind, tag) in left_out {
            if self.told.insert((*kind).to_owned()) {
                let text = format!(
                    "TensorBoard summaries are mirrored without {kind} (first: `{}`); it stays in the event files",
                    shortened(tag)
                );
                remarks.push(Remark { severity: 20, text });
            }
        }
    }

    /// Says something once in the life of the run's mirror.
    fn warn(&mut self, what: &str, text: String, remarks: &mut Vec<Remark>) {
        if self.told.insert(what.to_owned()) {
            remarks.push(Remark { severity: 30, text });
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
