//! Apple silicon: what `ioreg`, `vm_stat`, `sysctl` and, for root only, `powermetrics` print.
//!
//! `powermetrics` is the only documented source of power and frequencies and wants root; without it the GPU's use and memory
//! remain. It measures over 100 ms, which is how long it takes.

mod plist;

use std::io;

use serde_json::Value;

use super::{exists, percent};
use crate::{Command, Group, Host, Reading, SampleError, Sampler};

const POWERMETRICS: (&str, &[&str]) = (
    "/usr/bin/powermetrics",
    &[
        "--samplers",
        "cpu_power,gpu_power,ane_power",
        "--format",
        "plist",
        "--sample-count",
        "1",
        "--sample-rate",
        "100",
    ],
);
const IOREG: (&str, &[&str]) = (
    "/usr/sbin/ioreg",
    &["-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"],
);
const VM_STAT: (&str, &[&str]) = ("/usr/bin/vm_stat", &[]);
const SYSCTL: (&str, &[&str]) = ("/usr/sbin/sysctl", &["hw.memsize", "vm.swapusage"]);

/// Reads the chip of a Mac.
#[derive(Debug, Default)]
pub(super) struct AppleSilicon {
    /// `powermetrics` refuses to work for this user.
    is_refused: bool,
}

impl Sampler for AppleSilicon {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        // No other system has it.
        if !exists(host, "/System/Library/CoreServices/SystemVersion.plist") {
            return Err(SampleError::Absent);
        }
        let run = |(program, arguments): (&str, &[&str])| {
            let output = host.run(&Command::new(program, arguments));
            output.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut group = Group::default();
        if !self.is_refused {
            match run(POWERMETRICS) {
                Ok(output) => power(&output, &mut group)?,
                // It says that it must be run as the superuser, and would again.
                Err(_) => self.is_refused = true,
            }
        }
        let has_gpu = group.metrics.iter().any(|metric| metric.key == "gpu.0.gpu");
        if !has_gpu && let Some(use_percent) = run(IOREG).ok().and_then(|text| gpu_use(&text)) {
            group.gauge("gpu.0.gpu", use_percent);
        }
        let failed = |error: io::Error| SampleError::Failed(error.to_string());
        let sysctl = run(SYSCTL).map_err(failed)?;
        memory(&run(VM_STAT).map_err(failed)?, &sysctl, &mut group);
        Ok(Reading::of(host.now(), group))
    }
}

/// The values in the property list of `powermetrics`.
fn power(output: &str, group: &mut Group) -> Result<(), SampleError> {
    // Each sample ends with a NUL.
    let text = output.trim_matches(['\0', '\n', ' ']);
    let sample = plist::parse(text).ok_or_else(|| SampleError::unreadable("powermetrics"))?;
    let number = |path: &str| sample.pointer(path).and_then(Value::as_f64);
    let watts = |path: &str| number(path).map(|milliwatts| milliwatts / 1_000.0);
    let busy = number("/gpu/idle_ratio").map(|idle| (1.0 - idle) * 100.0);
    let values = [
        ("gpu.0.gpu", busy),
        ("gpu.0.freq", number("/gpu/freq_hz").map(megahertz)),
        ("gpu.0.powerWatts", watts("/processor/gpu_power")),
        ("gpu.0.temp", number("/smc/gpu_die")),
        ("cpu.avg_temp", number("/smc/cpu_die")),
        ("cpu.powerWatts", watts("/processor/cpu_power")),
        ("ane.power", watts("/processor/ane_power")),
        ("system.powerWatts", watts("/processor/combined_power")),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            group.gauge(key, value);
        }
    }
    let clusters = sample
        .pointer("/processor/clusters")
        .and_then(Value::as_array);
    let clusters = clusters.map_or(&[][..], Vec::as_slice);
    for (letter, percent_key, freq_key) in [
        ('E', "cpu.ecpu_percent", "cpu.ecpu_freq"),
        ('P', "cpu.pcpu_percent", "cpu.pcpu_freq"),
    ] {
        let of_kind = |cluster: &&Value| {
            let name = cluster.get("name").and_then(Value::as_str);
            name.is_some_and(|name| name.starts_with(letter))
        };
        let mean = |value: fn(&Value) -> Option<f64>| {
            let found: Vec<f64> = clusters.iter().filter(of_kind).filter_map(value).collect();
            #[expect(clippy::cast_precision_loss, reason = "a chip has few clusters")]
            let count = found.len() as f64;
            (count > 0.0).then(|| found.iter().sum::<f64>() / count)
        };
        if let Some(busy) = mean(busy_percent) {
            group.gauge(percent_key, busy);
        }
        if let Some(freq) = mean(|cluster| cluster.get("freq_hz")?.as_f64().map(megahertz)) {
            group.gauge(freq_key, freq);
        }
    }
    Ok(())
}

/// The share of time in which a cluster is neither idle nor switched off.
fn busy_percent(cluster: &Value) -> Option<f64> {
    let ratio = |name: &str| cluster.get(name).and_then(Value::as_f64);
    let off = ratio("down_ratio").unwrap_or(0.0);
    Some(((1.0 - ratio("idle_ratio")? - off) * 100.0).clamp(0.0, 100.0))
}

/// Called `freq_hz`, and in MHz for the GPU on every chip so far.
fn megahertz(frequency: f64) -> f64 {
    if frequency > 1e6 {
        frequency / 1e6
    } else {
        frequency
    }
}

/// `"Device Utilization %"=16` in the accelerator's statistics.
fn gpu_use(output: &str) -> Option<f64> {
    let (_, rest) = output.split_once("\"Device Utilization %\"=")?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// Memory as Activity Monitor shows it: what applications hold, what is wired and what is compressed.
fn memory(vm_stat: &str, sysctl: &str, group: &mut Group) {
    let page_bytes = vm_stat
        .split_once("page size of ")
        .and_then(|(_, rest)| rest.split_once(' ')?.0.parse::<f64>().ok());
    let pages = |name: &str| {
        let line = vm_stat.lines().find_map(|line| line.strip_prefix(name))?;
        let number = line.strip_prefix(':')?.trim().trim_end_matches('.');
        number.parse::<f64>().ok()
    };
    let used = || {
        let held = ["active", "inactive", "speculative", "wired down"];
        let mut sum = pages("Pages occupied by compressor")?;
        for kind in held {
            sum += pages(&format!("Pages {kind}"))?;
        }
        let given_back = pages("Pages purgeable")? + pages("File-backed pages")?;
        Some((sum - given_back).max(0.0) * page_bytes?)
    };
    let total = sysctl
        .lines()
        .find_map(|line| line.strip_prefix("hw.memsize:")?.trim().parse::<f64>().ok());
    let used = used();
    let swap = |name: &str| {
        let (_, rest) = sysctl.split_once("vm.swapusage:")?;
        let (_, rest) = rest.split_once(name)?;
        let word = rest.trim_start_matches([' ', '=']).split(' ').next()?;
        mebibytes(word)
    };
    let values = [
        ("memory.used", used),
        ("memory.used_percent", percent(used, total)),
        ("swap.used", swap("used")),
        // Nothing of no swap space is nothing.
        (
            "swap.used_percent",
            percent(swap("used"), swap("total")).or_else(|| swap("used").map(|_| 0.0)),
        ),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            group.gauge(key, value);
        }
    }
}

/// `1024.50M` in bytes.
fn mebibytes(word: &str) -> Option<f64> {
    let number: f64 = word.strip_suffix('M')?.parse().ok()?;
    Some(number * 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::testing::values;
    use crate::host::recorded::RecordedHost;

    const SAMPLE: &str = include_str!("../../tests/recorded/powermetrics-m1-pro.plist");
    const IOREG_OUTPUT: &str = include_str!("../../tests/recorded/ioreg-m4.txt");
    const VM_STAT_OUTPUT: &str = include_str!("../../tests/recorded/vm_stat.txt");
    const SYSCTL_OUTPUT: &str = "hw.memsize: 17179869184\n\
         vm.swapusage: total = 2048.00M  used = 1024.50M  free = 1023.50M  (encrypted)\n";
    const MEMORY: [(&str, f64); 4] = [
        ("memory.used", 480_000.0 * 16_384.0),
        (
            "memory.used_percent",
            480_000.0 * 16_384.0 / 17_179_869_184.0 * 100.0,
        ),
        ("swap.used", 1_024.5 * 1_048_576.0),
        ("swap.used_percent", 1_024.5 / 2_048.0 * 100.0),
    ];

    fn line((program, arguments): (&str, &[&str])) -> String {
        [&[program], arguments].concat().join(" ")
    }

    fn mac() -> RecordedHost {
        let host = RecordedHost::default();
        host.device("/System/Library/CoreServices/SystemVersion.plist", 1, 13);
        host.command(&line(IOREG), Ok(IOREG_OUTPUT));
        host.command(&line(VM_STAT), Ok(VM_STAT_OUTPUT));
        host.command(&line(SYSCTL), Ok(SYSCTL_OUTPUT));
        host
    }

    #[test]
    fn a_chip_is_read_by_root() {
        let host = mac();
        host.command(&line(POWERMETRICS), Ok(SAMPLE));
        let reading = AppleSilicon::default().sample(&host).expect("a reading");
        let expected = [
            ("gpu.0.gpu", 25.0),
            ("gpu.0.freq", 714.5),
            ("gpu.0.powerWatts", 0.5),
            ("cpu.powerWatts", 3.75),
            ("ane.power", 0.0),
            ("system.powerWatts", 4.25),
            ("cpu.ecpu_percent", 50.0),
            ("cpu.ecpu_freq", 1_296.0),
            ("cpu.pcpu_percent", 37.5),
            ("cpu.pcpu_freq", 2_500.0),
        ];
        let shown = values(&reading.groups[0]);
        assert_eq!(shown[..10], expected);
        assert_eq!(shown[10..], MEMORY);
    }

    #[test]
    fn without_root_the_gpu_and_memory_remain() {
        let host = mac();
        host.command(&line(POWERMETRICS), Err(io::ErrorKind::PermissionDenied));
        let mut chip = AppleSilicon::default();
        let reading = chip.sample(&host).expect("a reading");
        let shown = values(&reading.groups[0]);
        assert_eq!(shown[0], ("gpu.0.gpu", 16.0));
        assert_eq!(shown[1..], MEMORY);
        // It is not tried again.
        host.command(&line(POWERMETRICS), Ok(SAMPLE));
        assert_eq!(chip.sample(&host).expect("a reading").len(), shown.len());
    }

    #[test]
    fn other_systems_run_nothing() {
        let absent = AppleSilicon::default().sample(&RecordedHost::default());
        assert!(matches!(absent, Err(SampleError::Absent)));
    }

    #[test]
    fn garbage_is_an_error_and_odd_values_are_left_out() {
        let host = mac();
        host.command(&line(POWERMETRICS), Ok("<plist><dict>"));
        assert!(AppleSilicon::default().sample(&host).is_err());
        let host = mac();
        host.command(&line(VM_STAT), Ok("?"))
            .command(&line(SYSCTL), Ok("?"));
        host.command(&line(IOREG), Ok("\"Device Utilization %\"=x"));
        host.command(&line(POWERMETRICS), Ok("<plist><dict></dict></plist>\n\0"));
        assert!(
            AppleSilicon::default()
                .sample(&host)
                .expect("nothing")
                .is_empty()
        );
    }
}
