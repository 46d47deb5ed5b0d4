//! The limits that a process's cgroup sets, in version 2 and version 1 of the interface.
//!
//! A limit of any ancestor holds, so each level from the process's cgroup up to the mounted root is asked; what counts is the
//! tightest. In version 1 each controller has a hierarchy of its own.

use super::mounts::{self, Mount};
use crate::Host;

/// A hierarchy is not followed beyond this many levels.
const MAX_LEVELS: usize = 32;

/// Memory that a cgroup may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemoryLimit {
    pub(super) limit_bytes: u64,
    /// What is used of it, without file pages that the kernel would give up first.
    pub(super) used_bytes: u64,
}

/// Where the limits of one process stand.
#[derive(Debug, Default)]
pub(super) struct Cgroup {
    pid: u32,
    mounts: Option<Vec<Mount>>,
    /// `/proc/<pid>/cgroup` when it was last looked at, and what follows from it.
    membership: String,
    memory: Option<Hierarchy>,
    cpu: Option<Hierarchy>,
}

/// Directories of one controller, the process's own first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    levels: Vec<String>,
    is_v2: bool,
}

impl Cgroup {
    pub(super) fn of(pid: u32) -> Self {
        Self {
            pid,
            ..Self::default()
        }
    }

    /// The tightest limit of memory below `total_bytes`, if there is one.
    pub(super) fn memory(&mut self, host: &dyn Host, total_bytes: u64) -> Option<MemoryLimit> {
        self.look(host);
        let hierarchy = self.memory.as_ref()?;
        let (limit, used, idle) = if hierarchy.is_v2 {
            ("memory.max", "memory.current", "inactive_file ")
        } else {
            (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file ",
            )
        };
        let limits = hierarchy.levels.iter().filter_map(|level| {
            let bytes = number(host, &format!("{level}/{limit}"))?;
            // "No limit" is `max`, or in version 1 a number beyond all memory.
            (bytes > 0 && bytes < total_bytes).then_some((bytes, level))
        });
        let (limit_bytes, level) = limits.min_by_key(|(bytes, _)| *bytes)?;
        let used = number(host, &format!("{level}/{used}"))?;
        let statistics = host.text(&format!("{level}/memory.stat"));
        let idle = statistics.ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix(idle))?;
            line.trim().parse::<u64>().ok()
        });
        Some(MemoryLimit {
            limit_bytes,
            used_bytes: used.saturating_sub(idle.unwrap_or(0)).min(limit_bytes),
        })
    }

    /// CPUs that the processes of the cgroup may keep busy together, if that is limited.
    pub(super) fn cpus(&mut self, host: &dyn Host) -> Option<f64> {
        self.look(host);
        let hierarchy = self.cpu.as_ref()?;
        let limits = hierarchy.levels.iter().filter_map(|level| {
            let (quota, period) = if hierarchy.is_v2 {
                let text = host.text(&format!("{level}/cpu.max")).ok()?;
                let mut words = text.split_whitespace();
                (words.next()?.parse().ok()?, words.next()?.parse().ok()?)
            } else {
                let quota = host.text(&format!("{level}/cpu.cfs_quota_us")).ok()?;
                let period = host.text(&format!("{level}/cpu.cfs_period_us")).ok()?;
                (quota.trim().parse().ok()?, period.trim().parse().ok()?)
            };
            let (quota, period): (f64, f64) = (quota, period);
            (quota > 0.0 && period > 0.0).then(|| quota / period)
        });
        limits.min_by(f64::total_cmp)
    }

    /// Finds the directories, anew when the process was moved.
    fn look(&mut self, host: &dyn Host) {
        let Ok(membership) = host.text(&format!("/proc/{}/cgroup", self.pid)) else {
            // Not there: no limits, as on a system without cgroups.
            return;
        };
        if membership == self.membership {
            return;
        }
        let mounts = self.mounts.get_or_insert_with(|| {
            let text = host.text("/proc/self/mountinfo").unwrap_or_default();
            let mut mounts = mounts::parse(&text);
            mounts.retain(|mount| matches!(mount.kind.as_str(), "cgroup" | "cgroup2"));
            mounts
        });
        let find = |controller: &str, file: &str| {
            hierarchy_v1(mounts, &membership, controller)
                .or_else(|| hierarchy_v2(mounts, &membership))
                .filter(|found| {
                    let is_there = |level: &String| host.text(&format!("{level}/{file}")).is_ok();
                    !found.is_v2 || found.levels.iter().any(is_there)
                })
        };
        self.memory = find("memory", "memory.max");
        self.cpu = find("cpu", "cpu.max");
        self.membership = membership;
    }
}

/// Version 2: the line `0::<path>`.
fn hierarchy_v2(mounts: &[Mount], membership: &str) -> Option<Hierarchy> {
    let path = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts.iter().find(|mount| mount.kind == "cgroup2")?;
    Some(Hierarchy {
        levels: levels(mount, path),
        is_v2: true,
    })
}

/// Version 1: the line `<id>:<controller>,…:<path>`.
fn hierarchy_v1(mounts: &[Mount], membership: &str, controller: &str) -> Option<Hierarchy> {
    let has = |list: &str| list.split(',').any(|name| name == controller);
    let path = membership.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        has(controllers).then_some(path)
    })?;
    let mount = mounts
        .iter()
        .find(|mount| mount.kind == "cgroup" && has(&mount.options))?;
    Some(Hierarchy {
        levels: levels(mount, path),
        is_v2: false,
    })
}

/// Directories from a cgroup up to the root of what is mounted.
fn levels(mount: &Mount, path: &str) -> Vec<String> {
    // In a container without a cgroup namespace the mount shows a part of the tree, and the path is the whole one; with one,
    // a path that leads out of it (`/../…`) cannot be seen.
    let root = mount.root.trim_end_matches('/');
    let mut inner = path.strip_prefix(root).unwrap_or("").trim_end_matches('/');
    if inner.split('/').any(|part| part == "..") {
        inner = "";
    }
    let mut levels = Vec::new();
    loop {
        levels.push(format!("{}{inner}", mount.point));
        match inner.rfind('/') {
            Some(end) if levels.len() < MAX_LEVELS => inner = &inner[..end],
            _ => return levels,
        }
    }
}

fn number(host: &dyn Host, path: &str) -> Option<u64> {
    host.text(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::RecordedHost;

    const GIB: u64 = 1 << 30;

    fn v2() -> RecordedHost {
        let host = RecordedHost::default();
        host.file("/proc/7/cgroup", "0::/kubepods/pod1/main\n")
            .file(
                "/proc/self/mountinfo",
                "35 24 0:31 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
            )
            .file("/sys/fs/cgroup/kubepods/pod1/main/memory.max", "max\n")
            .file("/sys/fs/cgroup/kubepods/pod1/main/cpu.max", "max 100000\n")
            .file("/sys/fs/cgroup/kubepods/pod1/memory.max", "2147483648\n")
            .file(
                "/sys/fs/cgroup/kubepods/pod1/memory.current",
                "1610612736\n",
            )
            .file(
                "/sys/fs/cgroup/kubepods/pod1/memory.stat",
                "anon 5\nfile 9\ninactive_anon 1\ninactive_file 536870912\n",
            )
            .file("/sys/fs/cgroup/kubepods/pod1/cpu.max", "150000 100000\n")
            .file("/sys/fs/cgroup/kubepods/memory.max", "8589934592\n");
        host
    }

    #[test]
    fn the_tightest_limit_of_all_levels_holds() {
        let host = v2();
        let mut cgroup = Cgroup::of(7);
        let limit = MemoryLimit {
            limit_bytes: 2 * GIB,
            used_bytes: GIB,
        };
        assert_eq!(cgroup.memory(&host, 16 * GIB), Some(limit));
        assert_eq!(cgroup.cpus(&host), Some(1.5));
        // A limit beyond the memory that there is limits nothing.
        assert_eq!(cgroup.memory(&host, GIB), None);
    }

    #[test]
    fn a_process_that_is_moved_has_the_limits_of_its_new_cgroup() {
        let host = v2();
        let mut cgroup = Cgroup::of(7);
        assert_eq!(cgroup.cpus(&host), Some(1.5));
        host.file("/proc/7/cgroup", "0::/free\n")
            .file("/sys/fs/cgroup/free/cpu.max", "max 100000\n");
        assert_eq!(cgroup.cpus(&host), None);
        assert_eq!(cgroup.memory(&host, 16 * GIB), None);
    }

    #[test]
    fn version_1_has_a_hierarchy_per_controller() {
        let host = RecordedHost::default();
        host.file(
            "/proc/7/cgroup",
            "4:memory:/docker/abc\n3:cpuset:/\n1:cpu,cpuacct:/docker/abc\n0::/\n",
        )
        // A container without a namespace of its own sees the tree from its cgroup on.
        .file(
            "/proc/self/mountinfo",
            "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        )
        .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n")
        .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
        .file(
            "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
            "1073741824\n",
        )
        .file(
            "/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes",
            "700000000\n",
        )
        .file(
            "/sys/fs/cgroup/memory/docker/abc/memory.stat",
            "total_inactive_file 100000000\n",
        )
        .file(
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        let mut cgroup = Cgroup::of(7);
        assert_eq!(cgroup.cpus(&host), Some(0.5));
        let limit = MemoryLimit {
            limit_bytes: GIB,
            used_bytes: 600_000_000,
        };
        assert_eq!(cgroup.memory(&host, 16 * GIB), Some(limit));
    }

    #[test]
    fn no_cgroup_is_no_limit() {
        let host = RecordedHost::default();
        let mut cgroup = Cgroup::of(7);
        assert_eq!(cgroup.memory(&host, GIB), None);
        assert_eq!(cgroup.cpus(&host), None);
        // Outside of the namespace that the daemon sees.
        let host = v2();
        host.file("/proc/7/cgroup", "0::/../other\n")
            .file("/sys/fs/cgroup/cpu.max", "200000 100000\n");
        assert_eq!(cgroup.cpus(&host), Some(2.0));
    }
}
