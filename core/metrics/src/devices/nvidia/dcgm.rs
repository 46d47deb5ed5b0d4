//! Profiling metrics through DCGM's host engine, for devices without performance monitoring of their own in the driver.
//!
//! `dcgmi dmon` prints a row a device and sample, with ratios from 0 to 1 and bytes per second:
//!
//! ```text
//! #Entity   SMACT        SMOCC        …
//! ID
//! GPU 0     0.872        0.413        …
//! ```

use std::io;

use super::DRIVER_FILES;
use crate::devices::exists;
use crate::{Command, Group, Host, Reading, SampleError, Sampler};

/// Field number, key, and what makes the key's unit of the field's.
const FIELDS: [(&str, &str, f64); 12] = [
    ("1002", "smActive", 100.0),
    ("1003", "smOccupancy", 100.0),
    ("1004", "pipeTensorActive", 100.0),
    ("1005", "dramActive", 100.0),
    ("1006", "pipeFp64Active", 100.0),
    ("1007", "pipeFp32Active", 100.0),
    ("1008", "pipeFp16Active", 100.0),
    ("1014", "pipeTensorHmmaActive", 100.0),
    ("1009", "pcieTxBytes", 1.0),
    ("1010", "pcieRxBytes", 1.0),
    ("1011", "nvlinkTxBytes", 1.0),
    ("1012", "nvlinkRxBytes", 1.0),
];

/// Asks the host engine for means over half a second.
#[derive(Debug, Default)]
pub(in crate::devices) struct DcgmProfiling;

impl Sampler for DcgmProfiling {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        if !DRIVER_FILES.iter().any(|file| exists(host, file)) {
            return Err(SampleError::Absent);
        }
        let fields = FIELDS.map(|(field, _, _)| field).join(",");
        // The first of two rows of a device has nothing to compare with.
        let command = Command::new("dcgmi", &["dmon", "-e", &fields, "-d", "500", "-c", "2"]);
        let output = host.run(&command).map_err(|error| match error.kind() {
            // It was asked for by name.
            io::ErrorKind::NotFound => {
                SampleError::Failed("`dcgmi` is not installed (WANDB_ENABLE_DCGM_PROFILING)".into())
            }
            _ => SampleError::Failed(error.to_string()),
        })?;
        Ok(Reading {
            at: host.now(),
            groups: groups(&String::from_utf8_lossy(&output)),
            troubles: Vec::new(),
        })
    }
}

/// The last row of each device, by index.
fn groups(output: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for line in output.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("GPU") {
            continue;
        }
        let Some(index) = words.next().and_then(|word| word.parse().ok()) else {
            continue;
        };
        let mut group = Group::of_device(index);
        for ((_, key, scale), word) in FIELDS.iter().zip(words) {
            // `N/A` is no number.
            if let Ok(value) = word.parse::<f64>() {
                group.gauge(format!("gpu.{index}.{key}"), value * scale);
            }
        }
        match groups.iter_mut().find(|known| known.device == Some(index)) {
            Some(known) => *known = group,
            None => groups.push(group),
        }
    }
    groups.sort_by_key(|group| group.device);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::testing::values;
    use crate::host::recorded::RecordedHost;

    const OUTPUT: &str = include_str!("../../../tests/recorded/dcgmi-dmon-3.3.txt");
    const LINE: &str = "dcgmi dmon -e 1002,1003,1004,1005,1006,1007,1008,1014,1009,1010,1011,1012 \
                        -d 500 -c 2";

    fn host(outcome: Result<&str, io::ErrorKind>) -> RecordedHost {
        let host = RecordedHost::default();
        host.device("/dev/nvidiactl", 195, 255);
        host.command(LINE, outcome);
        host
    }

    #[test]
    fn the_last_row_of_each_device_counts() {
        let reading = DcgmProfiling.sample(&host(Ok(OUTPUT))).expect("rows");
        let expected = [
            ("gpu.0.smActive", 87.5),
            ("gpu.0.smOccupancy", 50.0),
            ("gpu.0.pipeTensorActive", 25.0),
            ("gpu.0.dramActive", 12.5),
            ("gpu.0.pipeFp64Active", 0.0),
            ("gpu.0.pipeFp32Active", 6.25),
            ("gpu.0.pipeFp16Active", 0.0),
            ("gpu.0.pcieTxBytes", 183_000_000.0),
            ("gpu.0.pcieRxBytes", 91_500_000.0),
            ("gpu.0.nvlinkTxBytes", 0.0),
            ("gpu.0.nvlinkRxBytes", 0.0),
        ];
        assert_eq!(values(&reading.groups[0]), expected);
        assert_eq!(reading.groups[1].device, Some(1));
        assert_eq!(reading.groups.len(), 2);
    }

    #[test]
    fn a_tool_that_was_asked_for_and_is_not_there_is_told() {
        let error = DcgmProfiling.sample(&host(Err(io::ErrorKind::NotFound)));
        assert!(matches!(error, Err(SampleError::Failed(_))));
        let absent = DcgmProfiling.sample(&RecordedHost::default());
        assert!(matches!(absent, Err(SampleError::Absent)));
        assert_eq!(groups("GPU x 1\nGPU\nerror\n"), []);
    }
}
