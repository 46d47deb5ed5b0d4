//! The descendants of a process.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::Host;

/// Looking for descendants ends after this time with those that were found.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// More descendants than these are not looked at.
const MAX_PROCESSES: usize = 4_096;

/// All descendants of `root`, without itself, in the order of their numbers.
pub(super) fn descendants(host: &dyn Host, root: u32) -> BTreeSet<u32> {
    let deadline = host.now() + TIME_LIMIT;
    // A kernel can be built without this file.
    if host
        .text(&format!("/proc/{root}/task/{root}/children"))
        .is_ok()
    {
        by_children(host, root, deadline)
    } else {
        by_parents(host, root, deadline)
    }
}

/// Each thread lists the processes that it has started.
fn by_children(host: &dyn Host, root: u32, deadline: Duration) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![root];
    while let Some(pid) = waiting.pop() {
        let threads = host.list(&format!("/proc/{pid}/task")).unwrap_or_default();
        for thread in threads {
            if host.now() >= deadline || found.len() >= MAX_PROCESSES {
                return found;
            }
            let path = format!("/proc/{pid}/task/{thread}/children");
            let children = host.text(&path).unwrap_or_default();
            for child in children
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
            {
                if child != root && found.insert(child) {
                    waiting.push(child);
                }
            }
        }
    }
    found
}

/// Each process names its parent.
fn by_parents(host: &dyn Host, root: u32, deadline: Duration) -> BTreeSet<u32> {
    let mut pairs = Vec::new();
    for name in host.list("/proc").unwrap_or_default() {
        if host.now() >= deadline {
            break;
        }
        if let Ok(pid) = name.parse::<u32>()
            && let Some(parent) = parent_of(host, pid)
        {
            pairs.push((parent, pid));
        }
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![root];
    while let Some(pid) = waiting.pop() {
        for &(_, child) in pairs.iter().filter(|(parent, _)| *parent == pid) {
            if found.len() < MAX_PROCESSES && child != root && found.insert(child) {
                waiting.push(child);
            }
        }
    }
    found
}

/// The parent of a process, from `/proc/<pid>/stat`.
fn parent_of(host: &dyn Host, pid: u32) -> Option<u32> {
    let text = host.text(&format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// A process and all its ancestors, itself first.
pub fn with_ancestors(host: &dyn Host, pid: u32) -> Vec<u32> {
    /// No chain of processes is longer.
    const MAX_DEPTH: usize = 256;
    let mut chain = vec![pid];
    while chain.len() < MAX_DEPTH
        && let Some(parent) = parent_of(host, chain[chain.len() - 1])
        && parent > 0
    {
        chain.push(parent);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::RecordedHost;

    /// 7 → 8 (started by thread 70) → 9, and 7 → 10; 11 is another's.
    fn host(with_children: bool) -> RecordedHost {
        let host = RecordedHost::default();
        for (pid, parent) in [(7, 1), (8, 7), (9, 8), (10, 7), (11, 1)] {
            host.file(
                &format!("/proc/{pid}/stat"),
                format!("{pid} (a b) S {parent} 0 0"),
            );
            if with_children {
                host.file(&format!("/proc/{pid}/task/{pid}/children"), "");
            }
        }
        if with_children {
            host.file("/proc/7/task/7/children", "10 ")
                .file("/proc/7/task/70/children", "8 ")
                .file("/proc/8/task/8/children", "9 ");
        }
        host
    }

    #[test]
    fn descendants_are_found_with_and_without_the_lists_of_children() {
        for with_children in [true, false] {
            let host = host(with_children);
            let found: Vec<u32> = descendants(&host, 7).into_iter().collect();
            assert_eq!(found, [8, 9, 10], "{with_children}");
            assert!(descendants(&host, 9).is_empty());
            assert!(descendants(&host, 99).is_empty());
        }
    }

    #[test]
    fn ancestors_end_at_the_first_process() {
        let host = host(false);
        assert_eq!(with_ancestors(&host, 9), [9, 8, 7, 1]);
        assert_eq!(with_ancestors(&host, 99), [99]);
    }
}
