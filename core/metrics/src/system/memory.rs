//! `memory_percent` (%) and `proc.memory.availableMB` (MiB): the host's memory, or what the process's cgroup may use.

use super::cgroup::Cgroup;
use super::mebibytes;
use crate::{Group, Host, Reading, SampleError, Sampler};

const MEMINFO: &str = "/proc/meminfo";

/// The memory of a host, from `/proc/meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostMemory {
    pub(super) total_bytes: u64,
    /// What programs can get without swapping.
    pub(super) available_bytes: u64,
}

impl HostMemory {
    pub(super) fn read(host: &dyn Host, buffer: &mut Vec<u8>) -> Result<Self, SampleError> {
        host.read(MEMINFO, buffer)
            .map_err(|error| SampleError::reading(MEMINFO, &error))?;
        let text = String::from_utf8_lossy(buffer);
        Self::parse(&text).ok_or_else(|| SampleError::unreadable(MEMINFO))
    }

    fn parse(text: &str) -> Option<Self> {
        let kibibytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        let total = kibibytes("MemTotal:")?;
        // Kernels before 3.14 do not say what is available.
        let available = kibibytes("MemAvailable:").or_else(|| {
            let parts = ["MemFree:", "Buffers:", "Cached:"].map(kibibytes);
            parts.into_iter().sum::<Option<u64>>()
        })?;
        Some(Self {
            total_bytes: total << 10,
            available_bytes: available.min(total) << 10,
        })
    }
}

/// Samples memory.
#[derive(Debug)]
pub(super) struct Memory {
    cgroup: Option<Cgroup>,
    buffer: Vec<u8>,
}

impl Memory {
    /// `limited`: the process whose cgroup may limit it.
    pub(super) fn new(limited: Option<u32>) -> Self {
        Self {
            cgroup: limited.map(Cgroup::of),
            buffer: Vec::new(),
        }
    }
}

impl Sampler for Memory {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        let memory = HostMemory::read(host, &mut self.buffer)?;
        let limit = self
            .cgroup
            .as_mut()
            .and_then(|cgroup| cgroup.memory(host, memory.total_bytes));
        let (total, available) = match limit {
            Some(limit) => (limit.limit_bytes, limit.limit_bytes - limit.used_bytes),
            None => (memory.total_bytes, memory.available_bytes),
        };
        let mut group = Group::default();
        group.gauge("proc.memory.availableMB", mebibytes(available));
        let used = mebibytes(total - available) / mebibytes(total);
        group.gauge("memory_percent", used * 100.0);
        Ok(Reading::of(host.now(), group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::RecordedHost;

    const RECORDED: &str = "MemTotal:       16384 kB\nMemFree:         1024 kB\nMemAvailable:    4096 kB\nBuffers:  1 kB\n";

    fn values(sampler: &mut Memory, host: &RecordedHost) -> Vec<f64> {
        let reading = sampler.sample(host).expect("read");
        reading.groups[0]
            .metrics
            .iter()
            .map(|metric| metric.value)
            .collect()
    }

    #[test]
    fn memory_is_what_the_host_has_available() {
        let host = RecordedHost::default();
        host.file(MEMINFO, RECORDED);
        assert_eq!(values(&mut Memory::new(None), &host), [4.0, 75.0]);
        assert_eq!(values(&mut Memory::new(Some(7)), &host), [4.0, 75.0]);
    }

    #[test]
    fn memory_is_what_the_cgroup_may_use() {
        let host = RecordedHost::default();
        host.file(MEMINFO, RECORDED)
            .file("/proc/7/cgroup", "0::/\n")
            .file(
                "/proc/self/mountinfo",
                "35 24 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            )
            .file("/sys/fs/cgroup/memory.max", "8388608\n")
            .file("/sys/fs/cgroup/memory.current", "2097152\n");
        assert_eq!(values(&mut Memory::new(Some(7)), &host), [6.0, 25.0]);
        assert_eq!(values(&mut Memory::new(None), &host), [4.0, 75.0]);
    }

    #[test]
    fn old_kernels_and_other_systems() {
        let old = "MemTotal: 100 kB\nMemFree: 20 kB\nBuffers: 10 kB\nCached: 30 kB\n";
        let memory = HostMemory::parse(old).expect("read");
        assert_eq!(memory.available_bytes, 60 << 10);
        let host = RecordedHost::default();
        let absent = Memory::new(None).sample(&host).expect_err("no file");
        assert!(matches!(absent, SampleError::Absent));
        host.file(MEMINFO, "something else");
        let failed = Memory::new(None).sample(&host).expect_err("no numbers");
        assert_eq!(failed.to_string(), "`/proc/meminfo` has an unknown format");
    }
}
