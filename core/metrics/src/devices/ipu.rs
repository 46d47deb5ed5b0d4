//! Graphcore IPUs: the attributes that `gc-inventory` prints, one `name: value` a line, a device beginning with its `id`.
//!
//! The keys are those that W&B's client recorded while it supported IPUs: `ipu.<id>.<attribute> (<unit>)`. Values that do not
//! change are recorded once.

use std::io;

use super::exists;
use crate::{Command, Group, Host, Kind, Reading, SampleError, Sampler, Shown};

const PLACES: [&str; 2] = ["gc-inventory", "/opt/poplar/bin/gc-inventory"];
/// Attributes that change; all others are recorded once.
const CHANGING: [&str; 6] = [
    "average board temp",
    "average die temp",
    "clock",
    "ipu power",
    "ipu utilisation",
    "ipu utilisation (session)",
];
/// Ends of attribute names whose values carry a unit.
const UNITS: [(&str, &str); 6] = [
    ("temp", "C"),
    ("clock", "MHz"),
    ("power", "W"),
    ("utilisation", "%"),
    ("utilisation (session)", "%"),
    ("speed", "GT/s"),
];

/// Reads all IPUs of a host.
#[derive(Debug, Default)]
pub(super) struct Ipus;

impl Sampler for Ipus {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        // Cards in the host, or IPU machines in the network, which a file of the user's describes.
        let is_here = exists(host, "/dev/ipu0")
            || exists(host, "/dev/ipu0_ex")
            || host.variable("IPUOF_CONFIG_PATH").is_some()
            || host.variable("IPUOF_VIPU_API_HOST").is_some();
        if !is_here {
            return Err(SampleError::Absent);
        }
        for place in PLACES {
            match host.run(&Command::new(place, &[])) {
                Ok(output) => {
                    return Ok(Reading {
                        at: host.now(),
                        groups: groups(&String::from_utf8_lossy(&output)),
                        troubles: Vec::new(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(SampleError::Failed(error.to_string())),
            }
        }
        Err(SampleError::Absent)
    }
}

/// One group for each device that a process uses, shown to the runs of that process.
fn groups(output: &str) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut device: Vec<(&str, &str)> = Vec::new();
    for line in output.lines() {
        let Some((name, value)) = line.trim().split_once(':') else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        if name == "id" {
            groups.extend(group(&device));
            device.clear();
        }
        device.push((name, value));
    }
    groups.extend(group(&device));
    groups
}

/// Nothing for a device that nobody uses.
fn group(attributes: &[(&str, &str)]) -> Option<Group> {
    let find = |wanted: &str| {
        let found = attributes.iter().find(|(name, _)| *name == wanted);
        found?.1.parse::<u32>().ok()
    };
    let id = find("id")?;
    let user = find("user process id")?;
    let mut group = Group::default().shown_to(Shown::Users(vec![user]));
    for &(name, value) in attributes {
        let Some((unit, value)) = measured(name, value) else {
            continue;
        };
        let key = match unit {
            Some(unit) => format!("ipu.{id}.{name} ({unit})"),
            None => format!("ipu.{id}.{name}"),
        };
        let kind = if CHANGING.contains(&name) {
            Kind::Gauge
        } else {
            Kind::Once
        };
        group.add(key, value, kind);
    }
    Some(group)
}

/// A number and its unit; nothing for words.
fn measured(name: &str, value: &str) -> Option<(Option<&'static str>, f64)> {
    for (end, unit) in UNITS {
        if let Some(number) = value.strip_suffix(unit)
            && name.ends_with(end)
        {
            return Some((Some(unit), number.trim().parse().ok()?));
        }
    }
    Some((None, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::testing::values;
    use crate::host::recorded::RecordedHost;

    const INVENTORY: &str = include_str!("../../tests/recorded/gc-inventory-3.3.txt");

    #[test]
    fn devices_in_use_are_read() {
        let host = RecordedHost::default();
        host.set_variable("IPUOF_VIPU_API_HOST", "10.1.3.101");
        host.command("gc-inventory", Ok(INVENTORY));
        let reading = Ipus.sample(&host).expect("an inventory");
        assert_eq!(reading.groups.len(), 1, "nobody uses the first");
        assert_eq!(reading.groups[0].shown, Shown::Users(vec![4_711]));
        let expected = [
            ("ipu.1.id", 1.0),
            ("ipu.1.average board temp (C)", 30.1),
            ("ipu.1.average die temp (C)", 39.0),
            ("ipu.1.board ipu index", 1.0),
            ("ipu.1.clock (MHz)", 1_330.0),
            ("ipu.1.ipu power (W)", 120.5),
            ("ipu.1.ipu utilisation (%)", 21.25),
            ("ipu.1.ipu utilisation (session) (%)", 15.65),
            ("ipu.1.link correctable error count", 0.0),
            ("ipu.1.link speed (GT/s)", 16.0),
            ("ipu.1.user process id", 4_711.0),
        ];
        assert_eq!(values(&reading.groups[0]), expected);
        let changes = |metric: &crate::Metric| metric.kind == Kind::Gauge;
        let changing = reading.groups[0]
            .metrics
            .iter()
            .filter(|&metric| changes(metric));
        assert_eq!(changing.count(), CHANGING.len());
    }

    #[test]
    fn without_the_hardware_no_command_is_run() {
        let host = RecordedHost::default();
        host.command("gc-inventory", Ok(INVENTORY));
        assert!(matches!(Ipus.sample(&host), Err(SampleError::Absent)));
        let no_tool = RecordedHost::default();
        no_tool.device("/dev/ipu0", 240, 0);
        assert!(matches!(Ipus.sample(&no_tool), Err(SampleError::Absent)));
    }

    #[test]
    fn garbage_has_no_devices() {
        for garbage in ["", "error", "id: x\nuser process id: 1", "::\n: 1\nid:"] {
            assert_eq!(groups(garbage), [], "{garbage}");
        }
    }
}
