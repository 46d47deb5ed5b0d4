//! What is known of the machine and the process, as `wandb-metadata.json` and `config._wandb.e` have it
//! (`reference/wandb/system-metrics.md` §9). 64-bit numbers are strings, as protobuf's JSON writes them.

use prost::Message;
use runlane_proto::wandb_internal as pb;

use crate::json::{Object, Value};
use crate::run_filter::timestamp;

/// Takes what `newer` says on top of `base`, field by field.
pub fn merge(base: &mut pb::EnvironmentRecord, newer: &pb::EnvironmentRecord) {
    // Lists would add up; a later list is the whole list.
    if !newer.args.is_empty() {
        base.args.clear();
    }
    if !newer.gpu_nvidia.is_empty() {
        base.gpu_nvidia.clear();
    }
    if !newer.gpu_amd.is_empty() {
        base.gpu_amd.clear();
    }
    let encoded = newer.encode_to_vec();
    if base.merge(encoded.as_slice()).is_err() {
        base.clone_from(newer);
    }
}

/// The JSON object; empty fields are left out.
pub fn to_json(record: &pb::EnvironmentRecord) -> Object {
    let mut out = Members::default();
    out.text("os", &record.os);
    out.text("python", &record.python);
    if let Some(started) = &record.started_at {
        out.text("startedAt", &rfc3339(started.seconds, started.nanos));
    }
    out.text("docker", &record.docker);
    out.list(
        "args",
        record
            .args
            .iter()
            .map(|argument| Value::from(argument.as_str()))
            .collect(),
    );
    out.text("program", &record.program);
    out.text("codePath", &record.code_path);
    out.text("codePathLocal", &record.code_path_local);
    if let Some(git) = &record.git {
        let mut members = Members::default();
        members.text("remote", &git.remote_url);
        members.text("commit", &git.commit);
        out.object("git", members);
    }
    out.text("email", &record.email);
    out.text("root", &record.root);
    out.text("host", &record.host);
    out.text("username", &record.username);
    out.text("executable", &record.executable);
    out.text("colab", &record.colab);
    out.small("cpu_count", record.cpu_count);
    out.small("cpu_count_logical", record.cpu_count_logical);
    out.text("gpu", &record.gpu_type);
    out.small("gpu_count", record.gpu_count);
    let mut disks: Vec<_> = record.disk.iter().collect();
    disks.sort_by_key(|(path, _)| path.as_str());
    let mut members = Members::default();
    for (path, disk) in disks {
        let mut sizes = Members::default();
        sizes.large("total", disk.total);
        sizes.large("used", disk.used);
        members.object(path, sizes);
    }
    out.object("disk", members);
    if let Some(memory) = &record.memory {
        let mut members = Members::default();
        members.large("total", memory.total);
        out.object("memory", members);
    }
    if let Some(cpu) = &record.cpu {
        let mut members = Members::default();
        members.text("model", &cpu.model);
        members.small("count", cpu.count);
        members.small("countLogical", cpu.count_logical);
        out.object("cpu", members);
    }
    if let Some(apple) = &record.apple {
        out.object("apple", apple_members(apple));
    }
    out.list("gpu_nvidia", record.gpu_nvidia.iter().map(nvidia).collect());
    out.list("gpu_amd", record.gpu_amd.iter().map(amd).collect());
    out.text("cudaVersion", &record.cuda_version);
    let mut slurm: Vec<_> = record.slurm.iter().collect();
    slurm.sort();
    let mut members = Members::default();
    for (name, value) in slurm {
        members.text(name, value);
    }
    out.object("slurm", members);
    if let Some(writer) = &record.runlane_writer {
        let mut members = Members::default();
        for (name, value) in [
            ("rank", writer.rank),
            ("worldSize", writer.world_size),
            ("localRank", writer.local_rank),
        ] {
            if let Some(value) = value {
                members.0.insert(name.to_owned(), Value::Int(value.into()));
            }
        }
        out.object("distributed", members);
    }
    accelerators(record, &mut out);
    out.text("writerId", &record.writer_id);
    out.0
}

fn accelerators(record: &pb::EnvironmentRecord, out: &mut Members) {
    if let Some(trainium) = &record.trainium {
        let mut members = Members::default();
        members.text("name", &trainium.name);
        members.text("vendor", &trainium.vendor);
        members.small("neuronDeviceCount", trainium.neuron_device_count);
        members.small(
            "neuroncorePerDeviceCount",
            trainium.neuroncore_per_device_count,
        );
        out.object("trainium", members);
    }
    if let Some(tpu) = &record.tpu {
        let mut members = Members::default();
        members.text("name", &tpu.name);
        members.small("hbmGib", tpu.hbm_gib);
        members.small("devicesPerChip", tpu.devices_per_chip);
        members.small("count", tpu.count);
        out.object("tpu", members);
    }
    if let Some(cluster) = &record.coreweave {
        let mut members = Members::default();
        members.text("clusterName", &cluster.cluster_name);
        members.text("orgId", &cluster.org_id);
        members.text("region", &cluster.region);
        out.object("coreweave", members);
    }
}

fn apple_members(apple: &pb::AppleInfo) -> Members {
    let mut members = Members::default();
    members.text("name", &apple.name);
    members.small("ecpuCores", apple.ecpu_cores);
    members.small("pcpuCores", apple.pcpu_cores);
    members.small("gpuCores", apple.gpu_cores);
    members.small("memoryGb", apple.memory_gb);
    members.large("swapTotalBytes", apple.swap_total_bytes);
    members.large("ramTotalBytes", apple.ram_total_bytes);
    members.text("macModel", &apple.mac_model);
    members
}

fn nvidia(gpu: &pb::GpuNvidiaInfo) -> Value {
    let mut members = Members::default();
    members.text("name", &gpu.name);
    members.large("memoryTotal", gpu.memory_total);
    members.small("cudaCores", gpu.cuda_cores);
    members.text("architecture", &gpu.architecture);
    members.text("uuid", &gpu.uuid);
    members.text("pciBusId", &gpu.pci_bus_id);
    if let Some(node) = gpu.numa_node {
        members
            .0
            .insert("numaNode".to_owned(), Value::Int(i64::from(node)));
    }
    Value::Object(members.0)
}

fn amd(gpu: &pb::GpuAmdInfo) -> Value {
    let mut members = Members::default();
    for (name, value) in [
        ("id", &gpu.id),
        ("uniqueId", &gpu.unique_id),
        ("vbiosVersion", &gpu.vbios_version),
        ("performanceLevel", &gpu.performance_level),
        ("gpuOverdrive", &gpu.gpu_overdrive),
        ("gpuMemoryOverdrive", &gpu.gpu_memory_overdrive),
        ("maxPower", &gpu.max_power),
        ("series", &gpu.series),
        ("model", &gpu.model),
        ("vendor", &gpu.vendor),
        ("sku", &gpu.sku),
        ("sclkRange", &gpu.sclk_range),
        ("mclkRange", &gpu.mclk_range),
    ] {
        members.text(name, value);
    }
    Value::Object(members.0)
}

/// Members with the empty ones left out.
#[derive(Default)]
struct Members(Object);

impl Members {
    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.insert(name.to_owned(), Value::from(value));
        }
    }

    fn small(&mut self, name: &str, value: u32) {
        if value != 0 {
            self.0.insert(name.to_owned(), Value::Int(i64::from(value)));
        }
    }

    fn large(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.0
                .insert(name.to_owned(), Value::Text(value.to_string()));
        }
    }

    fn list(&mut self, name: &str, values: Vec<Value>) {
        if !values.is_empty() {
            self.0.insert(name.to_owned(), Value::List(values));
        }
    }

    fn object(&mut self, name: &str, members: Self) {
        if !members.0.is_empty() {
            self.0.insert(name.to_owned(), Value::Object(members.0));
        }
    }
}

/// A moment in UTC as RFC 3339 with microseconds.
pub fn rfc3339(seconds: i64, nanos: i32) -> String {
    let (date, time) = civil(seconds);
    format!("{date}T{time}.{:06}Z", nanos.clamp(0, 999_999_999) / 1_000)
}

/// A moment in UTC as console lines carry it: ISO with microseconds and no zone.
pub fn iso_without_zone(seconds: i64, nanos: i32) -> String {
    let (date, time) = civil(seconds);
    format!("{date}T{time}.{:06}", nanos.clamp(0, 999_999_999) / 1_000)
}

/// Date and time of day of Unix seconds.
fn civil(seconds: i64) -> (String, String) {
    let text = timestamp::to_text(seconds.saturating_mul(1_000_000));
    let (date, time) = text
        .trim_end_matches('Z')
        .split_once('T')
        .unwrap_or_default();
    (date.to_owned(), time.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_merge_field_by_field_and_show_what_is_set() {
        let mut base = pb::EnvironmentRecord {
            os: "Linux".to_owned(),
            args: vec!["a".to_owned()],
            writer_id: "w".to_owned(),
            ..Default::default()
        };
        let newer = pb::EnvironmentRecord {
            args: vec!["b".to_owned()],
            cpu_count: 4,
            memory: Some(pb::MemoryInfo { total: 1 << 35 }),
            disk: [("/".to_owned(), pb::DiskInfo { total: 10, used: 5 })].into(),
            ..Default::default()
        };
        merge(&mut base, &newer);
        assert_eq!(
            Value::Object(to_json(&base)).to_string(),
            r#"{"os":"Linux","args":["b"],"cpu_count":4,"disk":{"/":{"total":"10","used":"5"}},"memory":{"total":"34359738368"},"writerId":"w"}"#
        );
    }

    #[test]
    fn moments_are_civil() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            rfc3339(951_827_696, 123_456_789),
            "2000-02-29T12:34:56.123456Z"
        );
        assert_eq!(iso_without_zone(-1, 0), "1969-12-31T23:59:59.000000");
    }
}
