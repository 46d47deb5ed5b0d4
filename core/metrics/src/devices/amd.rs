//! AMD GPUs: the output of `rocm-smi`, or of `amd-smi` where only that is installed.
//!
//! Both print JSON. `rocm-smi` has one object a card (`card0`, …) whose members are texts (`"GPU use (%)": "37"`), `N/A` where
//! a card has no such sensor; `amd-smi metric` has one object a GPU with nested `{"value", "unit"}`, since ROCm 7 in a list `gpu_data`.

use std::io;

use serde_json::{Map, Value};

use super::{exists, percent};
use crate::{Command, Group, Host, Reading, SampleError, Sampler};

const ROCM_SMI: &[&str] = &[
    "--showuse",
    "--showmemuse",
    "--showmemoverdrive",
    "--showtemp",
    "--showpower",
    "--showmaxpower",
    "--json",
];
const AMD_SMI_METRIC: &[&str] = &[
    "metric",
    "--usage",
    "--mem-usage",
    "--temperature",
    "--power",
    "--json",
];
const AMD_SMI_LIMIT: &[&str] = &["static", "--limit", "--json"];
/// Where the tools are, in the order of trying.
const PLACES: &[(&str, Tool)] = &[
    ("rocm-smi", Tool::RocmSmi),
    ("/opt/rocm/bin/rocm-smi", Tool::RocmSmi),
    ("amd-smi", Tool::AmdSmi),
    ("/opt/rocm/bin/amd-smi", Tool::AmdSmi),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    RocmSmi,
    AmdSmi,
}

/// Reads all AMD GPUs of a host.
#[derive(Debug, Default)]
pub(super) struct AmdGpus {
    /// The tool that answered last.
    found: Option<(&'static str, Tool)>,
    /// Watts by GPU, from `amd-smi`, which is asked for them once.
    limits: Option<Vec<(u32, f64)>>,
}

impl Sampler for AmdGpus {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        // The kernel's compute device: without it no tool is started.
        if !exists(host, "/dev/kfd") {
            return Err(SampleError::Absent);
        }
        let places = match self.found {
            Some(ref found) => std::slice::from_ref(found),
            None => PLACES,
        };
        for &(program, tool) in places {
            let arguments = match tool {
                Tool::RocmSmi => ROCM_SMI,
                Tool::AmdSmi => AMD_SMI_METRIC,
            };
            let output = match host.run(&Command::new(program, arguments)) {
                Ok(output) => output,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(SampleError::Failed(error.to_string())),
            };
            self.found = Some((program, tool));
            let groups = match tool {
                Tool::RocmSmi => rocm_smi(&output)?,
                Tool::AmdSmi => amd_smi(&output, self.limits(program, host))?,
            };
            return Ok(Reading {
                at: host.now(),
                groups,
                troubles: Vec::new(),
            });
        }
        self.found = None;
        Err(SampleError::Absent)
    }
}

impl AmdGpus {
    fn limits(&mut self, program: &str, host: &dyn Host) -> &[(u32, f64)] {
        self.limits.get_or_insert_with(|| {
            let output = host.run(&Command::new(program, AMD_SMI_LIMIT));
            power_limits(&output.unwrap_or_default())
        })
    }
}

/// The first of `names` that holds a number.
fn number(card: &Map<String, Value>, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|&name| match card.get(name)? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    })
}

/// Values of one GPU; those that it has not are left out.
fn group<const N: usize>(index: u32, values: [(&str, Option<f64>); N]) -> Group {
    let mut group = Group::of_device(index);
    for (name, value) in values {
        if let Some(value) = value {
            group.gauge(format!("gpu.{index}.{name}"), value);
        }
    }
    group
}

/// The GPUs in the output of `rocm-smi … --json`.
fn rocm_smi(output: &[u8]) -> Result<Vec<Group>, SampleError> {
    // Warnings may stand before the object.
    let start = output.iter().position(|&byte| byte == b'{');
    let json = &output[start.unwrap_or(output.len())..];
    let cards: Map<String, Value> =
        serde_json::from_slice(json).map_err(|_error| SampleError::unreadable("rocm-smi"))?;
    let mut groups = Vec::new();
    for (name, card) in &cards {
        let index = name
            .strip_prefix("card")
            .and_then(|index| index.parse().ok());
        let (Some(index), Value::Object(card)) = (index, card) else {
            continue;
        };
        // MI300 and newer report the socket's power, older cards an average.
        let power = [
            "Average Graphics Package Power (W)",
            "Current Socket Graphics Package Power (W)",
        ];
        let memory = ["GPU Memory Allocated (VRAM%)", "GPU memory use (%)"];
        let temperature = [
            "Temperature (Sensor memory) (C)",
            "Temperature (Sensor junction) (C)",
            "Temperature (Sensor edge) (C)",
        ];
        let activity = ["GPU Memory Read/Write Activity (%)"];
        let overdrive = ["GPU Memory OverDrive value (%)"];
        let watts = number(card, &power);
        let limit = number(card, &["Max Graphics Package Power (W)"]);
        groups.push(group(
            index,
            [
                ("gpu", number(card, &["GPU use (%)"])),
                ("memoryAllocated", number(card, &memory)),
                ("memoryReadWriteActivity", number(card, &activity)),
                ("memoryOverDrive", number(card, &overdrive)),
                ("temp", number(card, &temperature)),
                ("powerWatts", watts),
                ("powerPercent", percent(watts, limit)),
            ],
        ));
    }
    Ok(groups)
}

/// The GPUs in the output of `amd-smi`, with their indices.
fn gpus(output: &[u8]) -> Result<Vec<(u32, Value)>, SampleError> {
    let document: Value =
        serde_json::from_slice(output).map_err(|_error| SampleError::unreadable("amd-smi"))?;
    let list = match document {
        Value::Array(list) => list,
        Value::Object(mut members) => match members.remove("gpu_data") {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let indexed = |gpu: Value| {
        let index = u32::try_from(gpu.get("gpu")?.as_u64()?).ok()?;
        Some((index, gpu))
    };
    Ok(list.into_iter().filter_map(indexed).collect())
}

/// `path` leads to a number, or to an object with a `value`.
fn value_at(gpu: &Value, path: &str) -> Option<f64> {
    let found = gpu.pointer(path)?;
    found.as_f64().or_else(|| found.get("value")?.as_f64())
}

/// Watts by GPU, in the output of `amd-smi static --limit --json`.
fn power_limits(output: &[u8]) -> Vec<(u32, f64)> {
    let paths = [
        "/limit/max_power",
        "/limit/ppt0/max_power_limit",
        "/limit/socket_power",
    ];
    let limit = |(index, gpu): (u32, Value)| {
        let watts = paths.iter().find_map(|path| value_at(&gpu, path))?;
        Some((index, watts))
    };
    let found = gpus(output).unwrap_or_default();
    found.into_iter().filter_map(limit).collect()
}

/// The GPUs in the output of `amd-smi metric … --json`.
fn amd_smi(output: &[u8], limits: &[(u32, f64)]) -> Result<Vec<Group>, SampleError> {
    let groups = gpus(output)?.into_iter().map(|(index, gpu)| {
        let limit = limits.iter().find(|(limited, _)| *limited == index);
        let watts = value_at(&gpu, "/power/socket_power");
        let used = value_at(&gpu, "/mem_usage/used_vram");
        let total = value_at(&gpu, "/mem_usage/total_vram");
        let sensors = [
            "/temperature/mem",
            "/temperature/hotspot",
            "/temperature/edge",
        ];
        let temperature = sensors.iter().find_map(|path| value_at(&gpu, path));
        group(
            index,
            [
                ("gpu", value_at(&gpu, "/usage/gfx_activity")),
                ("memoryAllocated", percent(used, total)),
                (
                    "memoryReadWriteActivity",
                    value_at(&gpu, "/usage/umc_activity"),
                ),
                ("temp", temperature),
                ("powerWatts", watts),
                (
                    "powerPercent",
                    percent(watts, limit.map(|&(_, watts)| watts)),
                ),
            ],
        )
    });
    Ok(groups.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::testing::{keys, values};
    use crate::host::recorded::RecordedHost;

    const MI100: &str = include_str!("../../tests/recorded/rocm-smi-6.0-mi100.json");
    const MI300X: &str = include_str!("../../tests/recorded/rocm-smi-6.2-mi300x.json");
    const AMD_SMI: &str = include_str!("../../tests/recorded/amd-smi-26-metric.json");
    const LIMITS: &str = include_str!("../../tests/recorded/amd-smi-26-limit.json");

    fn host(program: &str, arguments: &[&str], output: &str) -> RecordedHost {
        let host = RecordedHost::default();
        host.device("/dev/kfd", 0, 5);
        let line = format!("{program} {}", arguments.join(" "));
        host.command(&line, Ok(output));
        host
    }

    fn rocm(output: &str) -> RecordedHost {
        host("rocm-smi", ROCM_SMI, output)
    }

    fn sampled(host: &RecordedHost) -> Reading {
        AmdGpus::default().sample(host).expect("recorded output")
    }

    #[test]
    fn rocm_smi_of_an_older_card_is_read() {
        let reading = sampled(&rocm(MI100));
        let expected = [
            ("gpu.0.gpu", 37.0),
            ("gpu.0.memoryAllocated", 12.0),
            ("gpu.0.memoryOverDrive", 0.0),
            ("gpu.0.temp", 53.0),
            ("gpu.0.powerWatts", 36.0),
            ("gpu.0.powerPercent", 36.0 / 290.0 * 100.0),
        ];
        assert_eq!(values(&reading.groups[0]), expected);
        assert_eq!(reading.groups[1].device, Some(1));
        assert_eq!(reading.groups.len(), 2);
    }

    #[test]
    fn rocm_smi_of_an_mi300x_is_read() {
        let expected = [
            ("gpu.0.gpu", 98.0),
            ("gpu.0.memoryAllocated", 63.0),
            ("gpu.0.memoryReadWriteActivity", 41.0),
            ("gpu.0.temp", 38.0),
            ("gpu.0.powerWatts", 562.0),
            ("gpu.0.powerPercent", 562.0 / 750.0 * 100.0),
        ];
        // Only where ROCm puts it, and not in the path.
        let host = host("/opt/rocm/bin/rocm-smi", ROCM_SMI, MI300X);
        assert_eq!(values(&sampled(&host).groups[0]), expected);
    }

    #[test]
    fn amd_smi_is_read_where_rocm_smi_is_gone() {
        let host = host("amd-smi", AMD_SMI_METRIC, AMD_SMI);
        host.command(&format!("amd-smi {}", AMD_SMI_LIMIT.join(" ")), Ok(LIMITS));
        let mut gpus = AmdGpus::default();
        let reading = gpus.sample(&host).expect("recorded output");
        let expected = [
            ("gpu.0.gpu", 100.0),
            ("gpu.0.memoryAllocated", 25.0),
            ("gpu.0.memoryReadWriteActivity", 7.0),
            ("gpu.0.temp", 36.0),
            ("gpu.0.powerWatts", 239.0),
            ("gpu.0.powerPercent", 239.0 / 1400.0 * 100.0),
        ];
        assert_eq!(values(&reading.groups[0]), expected);
        // The limits are known by now.
        host.command(
            &format!("amd-smi {}", AMD_SMI_LIMIT.join(" ")),
            Err(io::ErrorKind::TimedOut),
        );
        let again = gpus.sample(&host).expect("recorded output");
        assert_eq!(values(&again.groups[0]), expected);
    }

    #[test]
    fn without_the_hardware_no_command_is_run() {
        let host = RecordedHost::default();
        host.command(&format!("rocm-smi {}", ROCM_SMI.join(" ")), Ok(MI100));
        let absent = AmdGpus::default().sample(&host);
        assert!(matches!(absent, Err(SampleError::Absent)));
        host.device("/dev/kfd", 0, 5);
        assert!(AmdGpus::default().sample(&host).is_ok());
        let without_tools = RecordedHost::default();
        without_tools.device("/dev/kfd", 0, 5);
        let absent = AmdGpus::default().sample(&without_tools);
        assert!(matches!(absent, Err(SampleError::Absent)));
    }

    #[test]
    fn garbage_is_an_error_and_odd_values_are_left_out() {
        let garbage = AmdGpus::default().sample(&rocm("segmentation fault"));
        assert!(matches!(garbage, Err(SampleError::Failed(_))));
        let odd = r#"{"card0": {"GPU use (%)": "N/A"}, "card1": 5, "cardx": {}, "system": {}}"#;
        assert_eq!(keys(&sampled(&rocm(odd))), Vec::<String>::new());
        let no_list = amd_smi(br#"{"gpu_data": 1}"#, &[]).expect("no GPU");
        assert!(no_list.is_empty());
        let unknown = br#"[{"gpu": 0, "usage": "N/A", "mem_usage": "N/A"}, {"gpu": -1}]"#;
        assert_eq!(amd_smi(unknown, &[]).expect("a GPU").len(), 1);
    }
}
