//! `cpu.<i>.cpu_percent` (%): how busy each logical CPU was since the previous reading; and how many CPUs there are.

use std::collections::BTreeSet;

use crate::{Group, Host, Kind, Reading, SampleError, Sampler};

const STAT: &str = "/proc/stat";
/// A host with more logical CPUs gets none of these keys: hundreds of lines are no chart, and each would be stored.
const MAX_CORES: usize = 64;

/// Samples each logical CPU.
#[derive(Debug, Default)]
pub(super) struct Cores {
    buffer: Vec<u8>,
}

impl Sampler for Cores {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        host.read(STAT, &mut self.buffer)
            .map_err(|error| SampleError::reading(STAT, &error))?;
        let at = host.now();
        let text = String::from_utf8_lossy(&self.buffer);
        // The first line is the sum of the others.
        let cores: Vec<_> = text.lines().skip(1).map_while(cpu_line).collect();
        if cores.is_empty() {
            return Err(SampleError::unreadable(STAT));
        }
        if cores.len() > MAX_CORES {
            return Err(SampleError::Absent);
        }
        let mut group = Group::default();
        for (index, busy, whole) in cores {
            let kind = Kind::Share { whole };
            group.add(format!("cpu.{index}.cpu_percent"), busy, kind);
        }
        Ok(Reading::of(at, group))
    }
}

/// `cpu<i> user nice system idle iowait irq softirq steal guest guest_nice`, in ticks: the index, the busy ones and all of
/// them.
fn cpu_line(line: &str) -> Option<(u32, f64, f64)> {
    let mut words = line.strip_prefix("cpu")?.split(' ');
    let index = words.next()?.parse().ok()?;
    // Guests are in user and nice already.
    let ticks: Vec<f64> = words.take(8).map_while(|word| word.parse().ok()).collect();
    let whole: f64 = ticks.iter().sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (ticks.len() >= 4).then_some((index, whole - idle, whole))
}

/// How many physical cores the host has; at least 1.
pub(super) fn physical_cores(host: &dyn Host) -> usize {
    from_topology(host)
        .or_else(|| from_cpuinfo(&host.text("/proc/cpuinfo").ok()?))
        .unwrap_or(1)
}

/// Each physical core is the set of logical CPUs on it.
fn from_topology(host: &dyn Host) -> Option<usize> {
    const CPUS: &str = "/sys/devices/system/cpu";
    let names = host.list(CPUS).ok()?;
    let is_cpu = |name: &&String| {
        name.strip_prefix("cpu")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let siblings: BTreeSet<String> = names
        .iter()
        .filter(is_cpu)
        .filter_map(|name| {
            let topology = format!("{CPUS}/{name}/topology");
            // The second one is the name of older kernels.
            host.text(&format!("{topology}/core_cpus_list"))
                .or_else(|_| host.text(&format!("{topology}/thread_siblings_list")))
                .ok()
        })
        .collect();
    (!siblings.is_empty()).then_some(siblings.len())
}

/// Pairs of `physical id` and `core id`; without them, processors.
fn from_cpuinfo(text: &str) -> Option<usize> {
    let value = |line: &str, name: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    let mut cores = BTreeSet::new();
    let mut package = String::new();
    for line in text.lines() {
        if let Some(id) = value(line, "physical id") {
            package = id;
        } else if let Some(id) = value(line, "core id") {
            cores.insert((package.clone(), id));
        }
    }
    let processors = text.lines().filter_map(|line| value(line, "processor"));
    [cores.len(), processors.count()]
        .into_iter()
        .find(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::host::recorded::RecordedHost;
    use crate::{Settings, View};

    #[test]
    fn cores_are_busy_in_percent_of_the_time_that_was_counted() {
        let host = RecordedHost::default();
        host.file(
            STAT,
            "cpu  30 0 20 150 0 0 0 0 0 0\ncpu0 10 0 10 80 0 0 0 0 0 0\ncpu1 20 0 10 70 0 0 0 0 0 0\nintr 5 cpu9\n",
        );
        let mut view = View::new(&Settings::default(), BTreeMap::new());
        let mut cores = Cores::default();
        let first = cores.sample(&host).expect("read");
        assert_eq!(view.take(&first, |_| false), []);
        host.wait(1.0).file(
            STAT,
            "cpu  0 0 0 0\ncpu0 45 5 15 125 5 3 2 0 40 0\ncpu1 20 0 10 170 0 0 0 0\nintr 5\n",
        );
        let second = cores.sample(&host).expect("read");
        let shown = view.take(&second, |_| false);
        assert_eq!(shown[0].0, "cpu.0.cpu_percent");
        assert_eq!((shown[0].1, shown[1].1), (50.0, 0.0));
    }

    #[test]
    fn a_host_with_very_many_cpus_has_no_line_for_each() {
        let host = RecordedHost::default();
        let lines: Vec<String> = (0..=MAX_CORES)
            .map(|index| format!("cpu{index} 1 1 1 1\n"))
            .collect();
        host.file(STAT, format!("cpu 1 1 1 1\n{}", lines.concat()));
        let absent = Cores::default().sample(&host).expect_err("too many");
        assert!(matches!(absent, SampleError::Absent));
    }

    #[test]
    fn hyperthreads_share_a_core() {
        let host = RecordedHost::default();
        assert_eq!(physical_cores(&host), 1);
        host.file("/proc/cpuinfo", "processor : 0\n\nprocessor : 1\n");
        assert_eq!(physical_cores(&host), 2);
        host.file(
            "/proc/cpuinfo",
            "processor : 0\nphysical id : 0\ncore id : 0\n\nprocessor : 1\nphysical id : 0\ncore id : 0\n\n\
             processor : 2\nphysical id : 1\ncore id : 0\n",
        );
        assert_eq!(physical_cores(&host), 2);
        for cpu in 0..8 {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list");
            host.file(&path, format!("{},{}\n", cpu % 4, cpu % 4 + 4));
        }
        host.file("/sys/devices/system/cpu/cpufreq/x", "");
        assert_eq!(physical_cores(&host), 4);
    }
}
