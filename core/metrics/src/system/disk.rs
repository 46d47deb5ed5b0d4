//! `disk.<path>.usagePercent` (%), `disk.<path>.usageGB` (GiB), and `disk.<device>.in` (read), `disk.<device>.out` (written), in
//! MiB since the run's start.
//!
//! Traffic is that of the block devices below the paths. Where one cannot be told (an overlay, a network file system), it
//! is that of all disks of the host.

use std::collections::BTreeSet;

use super::mounts;
use crate::{Group, Host, Kind, Reading, SampleError, Sampler};

const STATISTICS: &str = "/proc/diskstats";
/// What the kernel counts, whatever a sector of the device has.
const SECTOR_BYTES: f64 = 512.0;
const GIB: f64 = 1_073_741_824.0;
/// Traffic of so many devices at most is recorded.
const MAX_DEVICES: usize = 64;

/// Samples file systems and their devices.
#[derive(Debug)]
pub(super) struct Disk {
    paths: Vec<String>,
    /// Names in `/proc/diskstats`; `None` before they were looked for.
    devices: Option<BTreeSet<String>>,
    buffer: Vec<u8>,
}

impl Disk {
    pub(super) fn new(paths: Vec<String>) -> Self {
        Self {
            paths,
            devices: None,
            buffer: Vec::new(),
        }
    }

    fn traffic(&mut self, host: &dyn Host, group: &mut Group) -> Result<(), SampleError> {
        match host.read(STATISTICS, &mut self.buffer) {
            Ok(()) => {}
            // A sandbox without block devices, or another system.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(SampleError::reading(STATISTICS, &error)),
        }
        let text = String::from_utf8_lossy(&self.buffer);
        let all: Vec<_> = text.lines().filter_map(statistics).collect();
        let devices = self
            .devices
            .get_or_insert_with(|| devices_of(host, &self.paths, &all));
        for disk in all.iter().filter(|disk| devices.contains(disk.name)) {
            let mebibytes = |sectors: f64| sectors * SECTOR_BYTES / f64::from(1 << 20);
            let (name, read, written) = (disk.name, disk.read, disk.written);
            group.add(format!("disk.{name}.in"), mebibytes(read), Kind::SinceStart);
            group.add(
                format!("disk.{name}.out"),
                mebibytes(written),
                Kind::SinceStart,
            );
        }
        Ok(())
    }
}

impl Sampler for Disk {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        let mut group = Group::default();
        let mut troubles = Vec::new();
        for path in &self.paths {
            match host.space(path) {
                Ok(space) => {
                    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
                    let (used, room) = (space.used as f64, (space.used + space.available) as f64);
                    // As `df` has it: of what users may have.
                    if room > 0.0 {
                        group.gauge(format!("disk.{path}.usagePercent"), used / room * 100.0);
                    }
                    group.gauge(format!("disk.{path}.usageGB"), used / GIB);
                }
                Err(error) => troubles.push(format!("cannot look at `{path}`: {error}")),
            }
        }
        self.traffic(host, &mut group)?;
        let mut reading = Reading::of(host.now(), group);
        reading.troubles = troubles;
        Ok(reading)
    }
}

/// One line of `/proc/diskstats`.
struct Statistics<'a> {
    number: (u32, u32),
    name: &'a str,
    /// Sectors since the system's start.
    read: f64,
    written: f64,
}

/// `major minor name reads merged sectors ms writes merged sectors ms …`
fn statistics(line: &str) -> Option<Statistics<'_>> {
    let mut words = line.split_whitespace();
    let number = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let name = words.next()?;
    Some(Statistics {
        number,
        name,
        read: words.nth(2)?.parse().ok()?,
        written: words.nth(3)?.parse().ok()?,
    })
}

fn devices_of(host: &dyn Host, paths: &[String], all: &[Statistics<'_>]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in paths {
        match device_of(host, path, all) {
            Some(name) => _ = found.insert(name),
            None => found.extend(disks(host, all)),
        }
    }
    while found.len() > MAX_DEVICES {
        found.pop_last();
    }
    found
}

/// The device that the file system of a path is on.
fn device_of(host: &dyn Host, path: &str, all: &[Statistics<'_>]) -> Option<String> {
    let number = host.device_of(path).ok()?;
    let named = |name: &str| all.iter().find(|disk| disk.name == name);
    let disk = all.iter().find(|disk| disk.number == number).or_else(|| {
        // Btrfs and others have numbers that belong to no device; the mount names one.
        let mounts = mounts::parse(&host.text("/proc/self/mountinfo").ok()?);
        let mount = mounts.iter().find(|mount| mount.device == number)?;
        named(mount.source.strip_prefix("/dev/")?)
    })?;
    Some(disk.name.to_owned())
}

/// All disks: whole block devices with hardware behind them, or what a virtual machine calls so.
fn disks(host: &dyn Host, all: &[Statistics<'_>]) -> Vec<String> {
    let is_pseudo = |name: &str| {
        ["loop", "ram", "zram"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    let whole = host.list("/sys/block").unwrap_or_default();
    let has_hardware = |name: &str| host.list(&format!("/sys/block/{name}/device")).is_ok();
    all.iter()
        .map(|disk| disk.name)
        .filter(|name| !is_pseudo(name) && whole.iter().any(|other| other == name))
        .filter(|name| has_hardware(name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Space;
    use crate::host::recorded::RecordedHost;

    const RECORDED: &str = "\
   7       0 loop0 9 0 2048 0 0 0 0 0 0 0 0
 259       0 nvme0n1 217150 17018 4096 750126 45786 128853 8192 78349 0 42220 832674 0 0 0 0 5357 272
 259       1 nvme0n1p1 100 10 2048 7 20 30 6144 8 0 9 10
   8       0 sda 1 2 2 4 5 6 4 8 9 10 11
 253       0 zram0 0 0 2 0 0 0 2 0 0 0 0
garbage
";

    fn host() -> RecordedHost {
        let host = RecordedHost::default();
        host.file(STATISTICS, RECORDED)
            .file("/sys/block/nvme0n1/device/model", "x")
            .file("/sys/block/sda/device/model", "y")
            .file("/sys/block/loop0/size", "0")
            .file("/sys/block/zram0/device/x", "0")
            .room(
                "/",
                Space {
                    total: 11 << 30,
                    used: 5 << 30,
                    available: 5 << 30,
                },
            );
        host
    }

    fn values(host: &RecordedHost, paths: &[&str]) -> (Vec<(String, f64)>, Vec<String>) {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        let reading = Disk::new(paths).sample(host).expect("read");
        let metrics = &reading.groups[0].metrics;
        let values = metrics
            .iter()
            .map(|metric| (metric.key.clone().into_owned(), metric.value))
            .collect();
        (values, reading.troubles)
    }

    fn pairs(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
        let owned = |(key, value): &(&str, f64)| ((*key).to_owned(), *value);
        expected.iter().map(owned).collect()
    }

    #[test]
    fn a_path_has_room_and_a_device() {
        let host = host();
        host.device("/", 259, 1);
        let (values, troubles) = values(&host, &["/"]);
        assert_eq!(
            values,
            pairs(&[
                ("disk./.usagePercent", 50.0),
                ("disk./.usageGB", 5.0),
                ("disk.nvme0n1p1.in", 1.0),
                ("disk.nvme0n1p1.out", 3.0),
            ])
        );
        assert_eq!(troubles, [""; 0]);
    }

    #[test]
    fn the_mount_names_the_device_of_a_file_system_with_numbers_of_its_own() {
        let host = host();
        host.device("/", 0, 33).file(
            "/proc/self/mountinfo",
            "27 1 0:33 /@ / rw - btrfs /dev/sda rw,subvol=/@\n",
        );
        let (values, _) = values(&host, &["/"]);
        assert_eq!(values[2].0, "disk.sda.in");
        assert_eq!(values.len(), 4);
    }

    #[test]
    fn without_a_device_all_disks_count() {
        let host = host();
        host.device("/", 0, 44);
        let (values, _) = values(&host, &["/"]);
        let keys: Vec<&str> = values[2..].iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "disk.nvme0n1.in",
                "disk.nvme0n1.out",
                "disk.sda.in",
                "disk.sda.out"
            ]
        );
    }

    #[test]
    fn a_path_that_is_not_there_is_told_and_the_others_are_read() {
        let host = host();
        host.device("/", 8, 0);
        let (values, troubles) = values(&host, &["/nowhere", "/"]);
        assert_eq!(values[0].0, "disk./.usagePercent");
        assert_eq!(troubles.len(), 1);
        assert!(troubles[0].starts_with("cannot look at `/nowhere`: "));
    }

    #[test]
    fn no_block_devices_is_no_error() {
        let host = host();
        host.remove(STATISTICS);
        let (values, _) = values(&host, &["/"]);
        assert_eq!(values.len(), 2);
    }
}
