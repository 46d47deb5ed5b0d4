//! The mirror over files in memory.

use std::io;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::super::event::writing;
use super::super::framing::framed;
use super::super::media::png;
use super::*;

const HOST: &str = "node1";
const STARTED: u64 = 1_000;

#[derive(Debug, Default)]
struct Files {
    by_path: BTreeMap<String, (u64, Vec<u8>)>,
    links: Vec<(String, String)>,
    stored: Vec<String>,
    broken: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Files>>);

impl Memory {
    fn edit<T>(&self, edit: impl FnOnce(&mut Files) -> T) -> T {
        edit(&mut self.0.lock().expect("nobody panicked"))
    }

    fn append(&self, path: &str, bytes: &[u8]) {
        self.edit(|files| {
            let inode = files.by_path.len() as u64 + 1;
            let file = files
                .by_path
                .entry(path.to_owned())
                .or_insert((inode, Vec::new()));
            file.1.extend(bytes);
        });
    }
}

impl EventDisk for Memory {
    fn list(
        &self,
        directory: &str,
        others: &BTreeSet<String>,
        admits: &dyn Fn(&str) -> bool,
    ) -> io::Result<Vec<Found>> {
        self.edit(|files| {
            if files.broken.as_deref() == Some(directory) {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            let below = |path: &str, place: &str| path.starts_with(&format!("{place}/"));
            let found = files
                .by_path
                .iter()
                .filter(|(path, _)| below(path, directory))
                .filter(|(path, _)| {
                    !others
                        .iter()
                        .any(|other| below(other, directory) && below(path, other))
                })
                .filter(|(path, _)| path.rsplit('/').next().is_some_and(admits))
                .map(|(path, (inode, bytes))| Found {
                    path: path.clone(),
                    size: bytes.len() as u64,
                    inode: *inode,
                });
            Ok(found.collect())
        })
    }

    fn read(&self, path: &str, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        self.edit(|files| {
            let (_, bytes) = files
                .by_path
                .get(path)
                .ok_or(io::Error::from(io::ErrorKind::NotFound))?;
            let from = bytes.len().min(usize::try_from(offset).expect("small"));
            Ok(bytes[from..bytes.len().min(from + most)].to_vec())
        })
    }

    fn store(&self, name: &str, _bytes: &[u8]) -> io::Result<()> {
        self.edit(|files| files.stored.push(name.to_owned()));
        Ok(())
    }

    fn link(&self, source: &str, name: &str) -> io::Result<()> {
        self.edit(|files| files.links.push((source.to_owned(), name.to_owned())));
        Ok(())
    }
}

fn scalar(step: i64, tag: &str, value: f32) -> Vec<u8> {
    framed(&writing::event(step, 7.5, &[writing::scalar(tag, value)]))
}

fn told(directory: &str) -> Told {
    Told {
        directory: directory.to_owned(),
        host: Some(HOST.to_owned()),
        ..Told::default()
    }
}

struct World {
    disk: Memory,
    mirror: Mirror,
    now: Duration,
    rows: Vec<String>,
    opened: Vec<Opened>,
    remarks: Vec<String>,
    /// What a log would say of the files.
    logged: Vec<Logged>,
}

impl World {
    fn new(directories: &[Told]) -> Self {
        let disk = Memory::default();
        let mut world = Self {
            mirror: Mirror::new(STARTED, Box::new(disk.clone()), &[]),
            disk,
            now: Duration::from_secs(5),
            rows: Vec::new(),
            opened: Vec::new(),
            remarks: Vec::new(),
            logged: Vec::new(),
        };
        for directory in directories {
            world.tell(directory);
        }
        world
    }

    fn tell(&mut self, directory: &Told) {
        let mut remarks = Vec::new();
        self.mirror.tell(directory.clone(), self.now, &mut remarks);
        self.remarks.extend(remarks.into_iter().map(|it| it.text));
    }

    /// Lets time pass and polls until nothing is left.
    fn pass(&mut self, seconds: u64) -> bool {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let polled = self.mirror.poll(self.now);
            self.take(polled.found);
            self.remarks
                .extend(polled.remarks.into_iter().map(|it| it.text));
            if !polled.more && self.now >= end {
                return polled.done;
            }
            if !polled.more {
                self.now += Duration::from_millis(500);
            }
        }
    }

    fn take(&mut self, found: Vec<Mirrored>) {
        for found in found {
            match found {
                Mirrored::Opened(opened) => {
                    self.logged.push(opened.logged.clone());
                    assert_eq!(opened.file as usize, self.logged.len());
                    self.opened.push(opened);
                }
                Mirrored::Row(row) => {
                    let items: Vec<String> = row
                        .items
                        .iter()
                        .map(|(path, value)| format!("{path}={value}"))
                        .collect();
                    self.rows.push(items.join(" "));
                    self.logged[row.file as usize - 1].end = row.end;
                }
            }
        }
    }

    fn end(&mut self) {
        self.mirror.begin_end();
        assert!(self.pass(0));
    }

    /// Another daemon goes on with what the log says.
    fn reborn(&mut self, directories: &[Told]) {
        self.mirror = Mirror::new(STARTED, Box::new(self.disk.clone()), &self.logged);
        for directory in directories {
            self.tell(directory);
        }
    }

    /// Rows without what is the same in all of them.
    fn short(&self) -> Vec<String> {
        self.rows
            .iter()
            .map(|row| row.replace(" _timestamp=7.5", ""))
            .collect()
    }
}

const A: &str = "/w/logs/events.out.tfevents.1001.node1";
const B: &str = "/w/logs/events.out.tfevents.1002.node1";

#[test]
fn rows_come_as_their_files_grow() {
    let mut world = World::new(&[Told {
        root: "/w/logs".to_owned(),
        ..told("/w/logs")
    }]);
    assert!(!world.pass(2));
    world.disk.append(A, &scalar(0, "loss", 0.5));
    world.disk.append(A, &scalar(1, "loss", 0.25));
    world.pass(2);
    assert_eq!(world.rows, ["loss=0.5 global_step=0 _timestamp=7.5"]);
    let third = scalar(2, "loss", 0.125);
    world.disk.append(A, &third[..third.len() - 1]);
    world.pass(2);
    assert_eq!(world.rows.len(), 1);
    world.disk.append(A, &third[third.len() - 1..]);
    world.pass(2);
    assert_eq!(world.rows.len(), 2);
    world.end();
    assert_eq!(world.short()[2], "loss=0.125 global_step=2");
    assert!(world.remarks.is_empty());
}

#[test]
fn a_directory_alone_waits_for_another_one_but_not_beyond_the_end() {
    let mut world = World::new(&[told("/w/train")]);
    world.disk.append(
        "/w/train/events.out.tfevents.1001.node1",
        &scalar(0, "x", 1.0),
    );
    world.pass(5);
    assert!(world.opened.is_empty());
    world.end();
    assert_eq!(world.short(), ["x=1 global_step=0"]);

    let mut world = World::new(&[told("/w/train")]);
    world.disk.append(
        "/w/train/events.out.tfevents.1001.node1",
        &scalar(0, "x", 1.0),
    );
    world.pass(3);
    world.tell(&told("/w/val"));
    world.disk.append(
        "/w/val/events.out.tfevents.1001.node1",
        &scalar(0, "x", 2.0),
    );
    world.pass(3);
    world.end();
    assert_eq!(
        world.short(),
        ["train/x=1 global_step=0", "val/x=2 global_step=0"]
    );
}

#[test]
fn a_file_belongs_to_the_nearest_directory_even_if_that_is_told_later_than_it_is_made() {
    let mut world = World::new(&[told("/w/tb")]);
    world.disk.append(
        "/w/tb/grp/events.out.tfevents.1001.node1",
        &scalar(0, "x", 1.0),
    );
    world.mirror.poll(world.now);
    world.tell(&told("/w/tb/grp"));
    world.disk.append(
        "/w/tb/sub/events.out.tfevents.1001.node1",
        &scalar(0, "y", 1.0),
    );
    world.pass(3);
    world.end();
    assert_eq!(
        world.short(),
        ["grp/x=1 global_step=0", "y=1 global_step=0"]
    );
}

#[test]
fn an_older_file_ends_its_row_before_the_next_one_begins() {
    let mut world = World::new(&[Told {
        root: "/w/logs".to_owned(),
        ..told("/w/logs")
    }]);
    world.disk.append(A, &scalar(1, "a", 1.0));
    world.pass(2);
    world.disk.append(B, &scalar(2, "b", 2.0));
    world.disk.append(B, &scalar(3, "b", 3.0));
    world.pass(2);
    assert_eq!(world.short(), ["a=1 global_step=1", "b=2 global_step=2"]);
    // It may still grow.
    world.disk.append(A, &scalar(9, "a", 9.0));
    world.end();
    assert_eq!(
        world.short()[2..],
        ["a=9 global_step=9", "b=3 global_step=3"]
    );
}

#[test]
fn a_file_that_is_begun_anew_is_read_anew() {
    let mut world = World::new(&[Told {
        root: "/w/logs".to_owned(),
        ..told("/w/logs")
    }]);
    world.disk.append(A, &scalar(1, "a", 1.0));
    world.disk.append(A, &scalar(2, "a", 2.0));
    world.pass(2);
    world.disk.edit(|files| files.by_path.clear());
    world.disk.append(A, &scalar(7, "a", 7.0));
    world.pass(2);
    world.end();
    let expected = [
        "a=1 global_step=1",
        "a=2 global_step=2",
        "a=7 global_step=7",
    ];
    assert_eq!(world.short(), expected);
    assert_eq!(world.opened.len(), 2);
}

#[test]
fn keys_that_a_row_sets_itself_are_not_taken_from_tags() {
    let mut world = World::new(&[told("/w/logs")]);
    for tag in ["_step", "_runtime", "_timestamp", "global_step"] {
        world.disk.append(A, &scalar(1, tag, 99.0));
    }
    world.disk.append(A, &scalar(1, "a/b", 1.0));
    world.end();
    assert_eq!(world.short(), ["a/b=1 global_step=1"]);
}

#[test]
fn files_are_saved_below_the_root_or_below_the_working_directory() {
    let save = |directory: &str, root: &str, save_path: &str| Told {
        root: root.to_owned(),
        save: true,
        save_path: save_path.to_owned(),
        ..told(directory)
    };
    let name = "events.out.tfevents.1001.node1";
    let saved = |told: Told| {
        let mut world = World::new(std::slice::from_ref(&told));
        let path = format!("{}/{name}", told.directory);
        world.disk.append(&path, &scalar(1, "a", 1.0));
        world.end();
        let links = world.disk.edit(|files| files.links.clone());
        let saved = world.opened[0].saved_as.clone();
        assert_eq!(links.into_iter().map(|(_, name)| name).next(), saved);
        saved
    };
    assert_eq!(
        saved(save("/w/logs/a", "/w/logs", "")),
        Some(format!("a/{name}"))
    );
    assert_eq!(
        saved(save("/w/tb/x", "", "tb/x")),
        Some(format!("tb/x/{name}"))
    );
    assert_eq!(saved(save("/w", "", ".")), Some(name.to_owned()));
    assert_eq!(saved(save("/elsewhere", "", "")), None);
    assert_eq!(saved(save("/elsewhere", "/w/logs", "")), None);
}

#[test]
fn images_are_stored_with_the_run_before_their_row() {
    let mut world = World::new(&[told("/w/logs")]);
    let event = writing::event(1, 7.5, &[writing::image("i", 5, 3, &png(5, 3, b"x"))]);
    world.disk.append(A, &framed(&event));
    world.end();
    let stored = world.disk.edit(|files| files.stored.clone());
    assert_eq!(stored.len(), 1);
    assert!(world.rows[0].contains(&stored[0]), "{:?}", world.rows);
    assert!(world.rows[0].contains("i._type=\"images/separated\""));
}

#[test]
fn what_is_wrong_is_told_once() {
    let mut world = World::new(&[
        told("s3://bucket/x"),
        told("gs://bucket/x"),
        told("/w/logs"),
        told("/w/closed"),
    ]);
    world
        .disk
        .edit(|files| files.broken = Some("/w/closed".to_owned()));
    let mut damaged = scalar(1, "a", 1.0);
    damaged[14] ^= 1;
    for _ in 0..3 {
        world.disk.append(A, &damaged);
        world.pass(2);
    }
    let text = writing::tensor("words", "text", &[], &[]);
    for step in 0..3 {
        let event = writing::event(step, 0.0, std::slice::from_ref(&text));
        world.disk.append(A, &framed(&event));
    }
    world.disk.append(A, &scalar(5, "a", 5.0));
    world.pass(12);
    world.end();
    assert_eq!(world.short(), ["logs/a=5 global_step=5"]);
    let told = |part: &str| {
        let texts = world.remarks.iter().filter(|text| text.contains(part));
        texts.count()
    };
    for part in ["s3://bucket/x", "/w/closed", "damaged", "`words`"] {
        assert_eq!(told(part), 1, "{part}: {:?}", world.remarks);
    }
    assert_eq!(world.remarks.len(), 4, "{:?}", world.remarks);
}

#[test]
fn an_end_that_is_called_off_is_none() {
    let mut world = World::new(&[told("/w/logs")]);
    world.disk.append(A, &scalar(1, "a", 1.0));
    world.end();
    world.mirror.go_on();
    world.disk.append(B, &scalar(2, "b", 2.0));
    assert!(!world.pass(12));
    world.end();
    assert_eq!(world.short(), ["a=1 global_step=1", "b=2 global_step=2"]);
}

#[test]
fn files_of_others_are_left_alone() {
    let mut world = World::new(&[told("/w/logs")]);
    for name in [
        "events.out.tfevents.999.node1",
        "events.out.tfevents.1001.node10",
        "other",
    ] {
        world
            .disk
            .append(&format!("/w/logs/{name}"), &scalar(1, "a", 1.0));
    }
    world.disk.append(
        "/v/logs/events.out.tfevents.1001.node1",
        &scalar(1, "a", 1.0),
    );
    world.end();
    assert!(world.rows.is_empty());
}

/// What happens next in the property below.
#[derive(Debug, Clone)]
enum Happens {
    /// So many bytes of what is to be written to file 0 or 1 are there.
    Written(bool, usize),
    Second,
    /// The daemon dies when so many of the rows that it had found were in the log.
    Death(usize),
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let happens = prop_oneof![
        4 => (any::<bool>(), 0..200_usize).prop_map(|(which, bytes)| Happens::Written(which, bytes)),
        3 => Just(Happens::Second),
        2 => (0..4_usize).prop_map(Happens::Death),
    ];
    prop::collection::vec(happens, 0..30)
}

proptest! {
    #[test]
    fn each_event_is_in_the_log_once_whatever_dies_and_wherever_files_are_cut(happenings in happenings()) {
        let directory = Told { root: "/w/logs".to_owned(), ..told("/w/logs") };
        let directories = [directory];
        let mut world = World::new(&directories);
        let whole: [Vec<u8>; 2] = [0.0, 100.0].map(|base| {
            (0_u8..12).flat_map(|n| scalar(i64::from(n / 2), &format!("t{n}"), base + f32::from(n))).collect()
        });
        let mut written = [0, 0];
        for happens in happenings {
            match happens {
                Happens::Written(which, bytes) => {
                    let (file, path) = (usize::from(which), if which { B } else { A });
                    let to = whole[file].len().min(written[file] + bytes);
                    world.disk.append(path, &whole[file][written[file]..to]);
                    written[file] = to;
                }
                Happens::Second => {
                    world.pass(1);
                }
                Happens::Death(kept) => {
                    world.now += Duration::from_secs(1);
                    let polled = world.mirror.poll(world.now);
                    world.take(polled.found.into_iter().take(kept).collect());
                    world.reborn(&directories);
                }
            }
        }
        world.disk.append(A, &whole[0][written[0]..]);
        world.disk.append(B, &whole[1][written[1]..]);
        world.end();
        let mut values: Vec<String> = world
            .rows
            .iter()
            .flat_map(|row| row.split(' '))
            .filter(|item| item.starts_with('t'))
            .map(ToOwned::to_owned)
            .collect();
        values.sort();
        let mut expected: Vec<String> = [0, 100]
            .iter()
            .flat_map(|base| (0..12).map(move |n| format!("t{n}={}", base + n)))
            .collect();
        expected.sort();
        prop_assert_eq!(values, expected);
    }
}
