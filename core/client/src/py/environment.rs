//! The record of the host and the program: what `wandb-metadata.json` holds.

use std::collections::HashMap;

use pyo3::prelude::*;
use runlane_proto::wandb_internal::{
    AppleInfo, CoreWeaveInfo, CpuInfo, DiskInfo, EnvironmentRecord, GpuAmdInfo, GpuNvidiaInfo,
    MemoryInfo, TpuInfo, TrainiumInfo,
};

use super::fields::Fields;
use super::settings::{git, timestamp, writer_info};

/// The record with the fields of a mapping; what is not given is left out.
pub(super) fn environment(fields: &Fields<'_>) -> PyResult<EnvironmentRecord> {
    let disk: HashMap<String, (u64, u64)> = fields.value("disk")?;
    let disk = disk
        .into_iter()
        .map(|(path, (total, used))| (path, DiskInfo { total, used }))
        .collect();
    Ok(EnvironmentRecord {
        os: fields.text("os")?,
        python: fields.text("python")?,
        started_at: fields
            .value::<Option<i64>>("started_at_micros")?
            .map(timestamp),
        docker: fields.text("docker")?,
        args: fields.texts("args")?,
        program: fields.text("program")?,
        code_path: fields.text("code_path")?,
        code_path_local: fields.text("code_path_local")?,
        git: git(fields)?,
        email: fields.text("email")?,
        root: fields.text("root")?,
        host: fields.text("host")?,
        username: fields.text("username")?,
        executable: fields.text("executable")?,
        colab: fields.text("colab")?,
        cpu_count: fields.value("cpu_count")?,
        cpu_count_logical: fields.value("cpu_count_logical")?,
        gpu_type: fields.text("gpu_type")?,
        gpu_count: fields.value("gpu_count")?,
        disk,
        memory: fields
            .value::<Option<u64>>("memory_total")?
            .map(|total| MemoryInfo { total }),
        cpu: part(fields, "cpu", cpu)?,
        apple: part(fields, "apple", apple)?,
        gpu_nvidia: parts(fields, "gpu_nvidia", gpu_nvidia)?,
        cuda_version: fields.text("cuda_version")?,
        gpu_amd: parts(fields, "gpu_amd", gpu_amd)?,
        slurm: fields.text_map("slurm")?,
        trainium: part(fields, "trainium", trainium)?,
        tpu: part(fields, "tpu", tpu)?,
        coreweave: part(fields, "coreweave", coreweave)?,
        writer_id: fields.text("writer_id")?,
        runlane_writer: fields
            .fields("writer")?
            .map(|it| writer_info(&it))
            .transpose()?,
        ..EnvironmentRecord::default()
    })
}

/// What `read` makes of a nested mapping, which has no other fields.
fn whole<T>(fields: &Fields<'_>, read: impl Fn(&Fields<'_>) -> PyResult<T>) -> PyResult<T> {
    let value = read(fields)?;
    fields.finish()?;
    Ok(value)
}

fn part<T>(
    fields: &Fields<'_>,
    name: &'static str,
    read: impl Fn(&Fields<'_>) -> PyResult<T>,
) -> PyResult<Option<T>> {
    let nested = fields.fields(name)?;
    nested.map(|nested| whole(&nested, read)).transpose()
}

fn parts<T>(
    fields: &Fields<'_>,
    name: &'static str,
    read: impl Fn(&Fields<'_>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let list = fields.list_of_fields(name)?;
    list.iter().map(|nested| whole(nested, &read)).collect()
}

fn cpu(fields: &Fields<'_>) -> PyResult<CpuInfo> {
    Ok(CpuInfo {
        count: fields.value("count")?,
        count_logical: fields.value("count_logical")?,
        model: fields.text("model")?,
    })
}

fn apple(fields: &Fields<'_>) -> PyResult<AppleInfo> {
    Ok(AppleInfo {
        name: fields.text("name")?,
        ecpu_cores: fields.value("ecpu_cores")?,
        pcpu_cores: fields.value("pcpu_cores")?,
        gpu_cores: fields.value("gpu_cores")?,
        memory_gb: fields.value("memory_gb")?,
        swap_total_bytes: fields.value("swap_total_bytes")?,
        ram_total_bytes: fields.value("ram_total_bytes")?,
        mac_model: fields.text("mac_model")?,
    })
}

fn gpu_nvidia(fields: &Fields<'_>) -> PyResult<GpuNvidiaInfo> {
    Ok(GpuNvidiaInfo {
        name: fields.text("name")?,
        memory_total: fields.value("memory_total")?,
        cuda_cores: fields.value("cuda_cores")?,
        architecture: fields.text("architecture")?,
        uuid: fields.text("uuid")?,
        pci_bus_id: fields.text("pci_bus_id")?,
        numa_node: fields.value("numa_node")?,
    })
}

fn gpu_amd(fields: &Fields<'_>) -> PyResult<GpuAmdInfo> {
    Ok(GpuAmdInfo {
        id: fields.text("id")?,
        unique_id: fields.text("unique_id")?,
        vbios_version: fields.text("vbios_version")?,
        performance_level: fields.text("performance_level")?,
        gpu_overdrive: fields.text("gpu_overdrive")?,
        gpu_memory_overdrive: fields.text("gpu_memory_overdrive")?,
        max_power: fields.text("max_power")?,
        series: fields.text("series")?,
        model: fields.text("model")?,
        vendor: fields.text("vendor")?,
        sku: fields.text("sku")?,
        sclk_range: fields.text("sclk_range")?,
        mclk_range: fields.text("mclk_range")?,
    })
}

fn trainium(fields: &Fields<'_>) -> PyResult<TrainiumInfo> {
    Ok(TrainiumInfo {
        name: fields.text("name")?,
        vendor: fields.text("vendor")?,
        neuron_device_count: fields.value("neuron_device_count")?,
        neuroncore_per_device_count: fields.value("neuroncore_per_device_count")?,
    })
}

fn tpu(fields: &Fields<'_>) -> PyResult<TpuInfo> {
    Ok(TpuInfo {
        name: fields.text("name")?,
        hbm_gib: fields.value("hbm_gib")?,
        devices_per_chip: fields.value("devices_per_chip")?,
        count: fields.value("count")?,
    })
}

fn coreweave(fields: &Fields<'_>) -> PyResult<CoreWeaveInfo> {
    Ok(CoreWeaveInfo {
        cluster_name: fields.text("cluster_name")?,
        org_id: fields.text("org_id")?,
        region: fields.text("region")?,
    })
}
