//! `cpu` (%), `proc.cpu.threads`, `proc.memory.rssMB` (MiB) and `proc.memory.percent` (%) of the monitored process; `wandb.cpu`
//! and `wandb.memory.rssMB` of the daemon.
//!
//! `cpu` is the process's CPU time since the previous reading over the time that went by, divided by the number of physical
//! cores or the CPUs of its cgroup's limit.

use super::cgroup::Cgroup;
use super::cores::physical_cores;
use super::mebibytes;
use super::memory::HostMemory;
use super::tree;
use crate::{Group, Host, Kind, Reading, SampleError, Sampler};

/// What `/proc/<pid>/stat` and `statm` say of a process, or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Of the process itself.
    cpu_secs: f64,
    /// Of children that have ended and were waited for.
    ended_secs: f64,
    threads: u32,
    resident_bytes: u64,
    /// Ticks since the system's start; tells a process from a later one with its number.
    started: u64,
}

impl Usage {
    /// Reads one process; `None` if there is none, or it has ended.
    pub(super) fn read(host: &dyn Host, pid: u32, buffer: &mut Vec<u8>) -> Option<Self> {
        host.read(&format!("/proc/{pid}/stat"), buffer).ok()?;
        let mut usage = Self::parse(&String::from_utf8_lossy(buffer), host.ticks_per_sec())?;
        host.read(&format!("/proc/{pid}/statm"), buffer).ok()?;
        let text = String::from_utf8_lossy(buffer);
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        usage.resident_bytes = pages * host.page_bytes();
        Some(usage)
    }

    /// `pid (name) state ppid …`: the name may hold anything, blanks and parentheses included.
    fn parse(text: &str, ticks_per_sec: u64) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        if matches!(*words.first()?, "Z" | "X") {
            return None;
        }
        // Field 3 of the manual page is the first word here.
        let field = |number: usize| words.get(number - 3)?.parse::<u64>().ok();
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        let secs = |number: usize| Some(field(number)? as f64 / ticks_per_sec.max(1) as f64);
        Some(Self {
            cpu_secs: secs(14)? + secs(15)?,
            ended_secs: secs(16)? + secs(17)?,
            threads: u32::try_from(field(20)?).ok()?,
            started: field(22)?,
            resident_bytes: 0,
        })
    }

    fn add(&mut self, other: Self) {
        self.cpu_secs += other.cpu_secs;
        self.ended_secs += other.ended_secs;
        self.threads += other.threads;
        self.resident_bytes += other.resident_bytes;
    }
}

/// Samples one process, or it and its descendants.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    is_tree: bool,
    cgroup: Option<Cgroup>,
    cores: Option<usize>,
    total_bytes: u64,
    started: Option<u64>,
    buffer: Vec<u8>,
}

impl Process {
    pub(super) fn new(pid: u32, is_tree: bool, with_cgroup: bool) -> Self {
        Self {
            pid,
            is_tree,
            cgroup: with_cgroup.then(|| Cgroup::of(pid)),
            cores: None,
            total_bytes: 0,
            started: None,
            buffer: Vec::new(),
        }
    }

    fn usage(&mut self, host: &dyn Host) -> Option<Usage> {
        let mut usage = Usage::read(host, self.pid, &mut self.buffer)?;
        if *self.started.get_or_insert(usage.started) != usage.started {
            return None;
        }
        if self.is_tree {
            for pid in tree::descendants(host, self.pid) {
                // It may have ended by now.
                if let Some(other) = Usage::read(host, pid, &mut self.buffer) {
                    usage.add(other);
                }
            }
        }
        Some(usage)
    }
}

impl Sampler for Process {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        let usage = self.usage(host).ok_or(SampleError::Absent)?;
        let at = host.now();
        if self.total_bytes == 0 {
            self.total_bytes = HostMemory::read(host, &mut self.buffer)?.total_bytes;
        }
        let (mut total, mut cpus) = (self.total_bytes, None);
        if let Some(cgroup) = &mut self.cgroup {
            let limit = cgroup.memory(host, total);
            total = limit.map_or(total, |limit| limit.limit_bytes);
            cpus = cgroup.cpus(host);
        }
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let cpus =
            cpus.unwrap_or_else(|| *self.cores.get_or_insert_with(|| physical_cores(host)) as f64);
        // A child's time is its parent's once it was waited for: with both, no time is lost or counted twice.
        let cpu_secs = usage.cpu_secs + if self.is_tree { usage.ended_secs } else { 0.0 };
        let mut group = Group::default();
        group.add(
            "cpu",
            cpu_secs,
            Kind::Rate {
                scale: 100.0 / cpus,
            },
        );
        group.gauge("proc.cpu.threads", usage.threads.into());
        let resident = mebibytes(usage.resident_bytes);
        group.gauge("proc.memory.rssMB", resident);
        group.gauge("proc.memory.percent", resident / mebibytes(total) * 100.0);
        Ok(Reading::of(at, group))
    }
}

/// Samples the daemon itself.
#[derive(Debug, Default)]
pub(super) struct SelfUsage {
    cores: Option<usize>,
    buffer: Vec<u8>,
}

impl Sampler for SelfUsage {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        let pid = host.own_pid();
        let usage = Usage::read(host, pid, &mut self.buffer).ok_or(SampleError::Absent)?;
        let mut group = Group::default();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let cores = *self.cores.get_or_insert_with(|| physical_cores(host)) as f64;
        let kind = Kind::Rate {
            scale: 100.0 / cores,
        };
        group.add("wandb.cpu", usage.cpu_secs, kind);
        group.gauge("wandb.memory.rssMB", mebibytes(usage.resident_bytes));
        Ok(Reading::of(host.now(), group))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::host::recorded::RecordedHost;
    use crate::{Settings, View};

    /// A line of `/proc/<pid>/stat` with these times in ticks.
    fn stat(name: &str, state: char, ticks: [u64; 4], threads: u32, started: u64) -> String {
        let [user, system, ended_user, ended_system] = ticks;
        format!(
            "7 ({name}) {state} 1 7 7 0 -1 4194560 1 2 3 4 {user} {system} {ended_user} {ended_system} 20 0 {threads} 0 \
             {started} 1000 50 18446744073709551615\n"
        )
    }

    fn host() -> RecordedHost {
        let host = RecordedHost::default();
        host.file(
            "/proc/meminfo",
            "MemTotal: 8192 kB\nMemAvailable: 4096 kB\n",
        )
        .file("/proc/cpuinfo", "processor: 0\n\nprocessor: 1\n")
        .file(
            "/proc/7/stat",
            stat("train) R (x", 'S', [100, 50, 900, 0], 9, 5),
        )
        .file("/proc/7/statm", "5000 256 30 1 0 2 0\n");
        host
    }

    fn shown(
        view: &mut View,
        sampler: &mut impl Sampler,
        host: &RecordedHost,
    ) -> Vec<(String, f64)> {
        let reading = sampler.sample(host).expect("read");
        let taken = view.take(&reading, |_| false);
        taken
            .into_iter()
            .map(|(key, value)| (key.into_owned(), value))
            .collect()
    }

    fn pairs(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
        let owned = |(key, value): &(&str, f64)| ((*key).to_owned(), *value);
        expected.iter().map(owned).collect()
    }

    fn view() -> View {
        View::new(&Settings::default(), BTreeMap::new())
    }

    #[test]
    fn a_process_is_sampled_and_its_cpu_time_needs_two_readings() {
        let (host, mut view) = (host(), view());
        let mut process = Process::new(7, false, true);
        let rest = [
            ("proc.cpu.threads", 9.0),
            ("proc.memory.rssMB", 1.0),
            ("proc.memory.percent", 12.5),
        ];
        assert_eq!(shown(&mut view, &mut process, &host), pairs(&rest));
        host.wait(2.0).file(
            "/proc/7/stat",
            stat("python", 'R', [250, 100, 1900, 0], 9, 5),
        );
        // Two seconds of CPU time in two seconds, on two cores; children that have ended do not count.
        let mut expected = vec![("cpu", 50.0)];
        expected.extend(rest);
        assert_eq!(shown(&mut view, &mut process, &host), pairs(&expected));
    }

    #[test]
    fn a_limited_process_reports_shares_of_its_limits() {
        let (host, mut view) = (host(), view());
        host.file("/proc/7/cgroup", "0::/box\n")
            .file(
                "/proc/self/mountinfo",
                "35 24 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            )
            .file("/sys/fs/cgroup/box/memory.max", "4194304\n")
            .file("/sys/fs/cgroup/box/memory.current", "1048576\n")
            .file("/sys/fs/cgroup/box/cpu.max", "50000 100000\n");
        let mut process = Process::new(7, false, true);
        shown(&mut view, &mut process, &host);
        host.wait(1.0)
            .file("/proc/7/stat", stat("python", 'R', [150, 50, 0, 0], 9, 5));
        let values = shown(&mut view, &mut process, &host);
        assert_eq!(values[0], ("cpu".to_owned(), 100.0));
        assert_eq!(values[3], ("proc.memory.percent".to_owned(), 25.0));

        let values = shown(&mut self::view(), &mut Process::new(7, false, false), &host);
        assert_eq!(values[2], ("proc.memory.percent".to_owned(), 12.5));
    }

    #[test]
    fn a_tree_is_added_up_and_keeps_the_time_of_children_that_end() {
        let (host, mut view) = (host(), view());
        host.file("/proc/7/task/7/children", "8 ")
            .file("/proc/8/task/8/children", "")
            .file("/proc/8/stat", stat("worker", 'R', [10, 0, 0, 0], 3, 6))
            .file("/proc/8/statm", "9 512 0 0 0 0 0\n");
        let mut process = Process::new(7, true, true);
        let values = shown(&mut view, &mut process, &host);
        assert_eq!(
            values[..2],
            pairs(&[("proc.cpu.threads", 12.0), ("proc.memory.rssMB", 3.0)])
        );
        // The worker used one more second, ended and was waited for.
        host.wait(1.0)
            .file("/proc/7/task/7/children", "")
            .file(
                "/proc/7/stat",
                stat("python", 'S', [100, 50, 1010, 0], 9, 5),
            )
            .remove("/proc/8");
        let values = shown(&mut view, &mut process, &host);
        assert_eq!(values[0], ("cpu".to_owned(), 50.0));
        assert_eq!(values[1], ("proc.cpu.threads".to_owned(), 9.0));
    }

    #[test]
    fn a_process_that_has_ended_is_absent_and_so_is_one_with_its_number() {
        let host = host();
        let mut process = Process::new(7, false, false);
        process.sample(&host).expect("read");
        for next in [
            stat("python", 'Z', [0; 4], 1, 5),
            stat("other", 'R', [0; 4], 1, 99),
        ] {
            host.file("/proc/7/stat", next);
            let error = process.sample(&host).expect_err("gone");
            assert!(matches!(error, SampleError::Absent));
        }
        host.remove("/proc/7");
        assert!(matches!(process.sample(&host), Err(SampleError::Absent)));
    }

    #[test]
    fn the_daemon_tells_its_own_use() {
        let (host, mut view) = (host(), view());
        host.file(
            "/proc/4242/stat",
            stat("runlane-core", 'S', [100, 0, 0, 0], 3, 1),
        )
        .file("/proc/4242/statm", "0 768 0\n");
        let mut own = SelfUsage::default();
        let first = shown(&mut view, &mut own, &host);
        assert_eq!(first, pairs(&[("wandb.memory.rssMB", 3.0)]));
        host.wait(10.0).file(
            "/proc/4242/stat",
            stat("runlane-core", 'S', [101, 0, 0, 0], 3, 1),
        );
        let second = shown(&mut view, &mut own, &host);
        assert!((second[0].1 - 0.05).abs() < 1e-9, "{second:?}");
    }
}
