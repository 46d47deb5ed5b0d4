//! The driver's library, loaded when it is first needed and kept until the process ends: devices point into it.

use std::sync::{Mutex, PoisonError};

use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, MemoryLocation, TemperatureSensor,
};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::{GpmSample, gpm_metrics_get};
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

use super::{Fault, Gpu, Process, Query};

/// Traffic is counted in MiB.
const MEBI: f64 = 1_048_576.0;
/// What is asked of the performance monitoring of Hopper and newer: key, and what makes its unit of the driver's.
const PROFILE: [(&str, GpmMetricId, f64); 12] = [
    ("smActive", GpmMetricId::SmUtil, 1.0),
    ("smOccupancy", GpmMetricId::SmOccupancy, 1.0),
    ("pipeTensorActive", GpmMetricId::AnyTensorUtil, 1.0),
    ("dramActive", GpmMetricId::DramBwUtil, 1.0),
    ("pipeFp64Active", GpmMetricId::Fp64Util, 1.0),
    ("pipeFp32Active", GpmMetricId::Fp32Util, 1.0),
    ("pipeFp16Active", GpmMetricId::Fp16Util, 1.0),
    ("pipeTensorHmmaActive", GpmMetricId::HmmaTensorUtil, 1.0),
    ("pcieTxBytes", GpmMetricId::PcieTxPerSec, MEBI),
    ("pcieRxBytes", GpmMetricId::PcieRxPerSec, MEBI),
    ("nvlinkTxBytes", GpmMetricId::NvlinkTotalTxPerSec, MEBI),
    ("nvlinkRxBytes", GpmMetricId::NvlinkTotalRxPerSec, MEBI),
];

/// Loads the library if that has not happened yet; `None` where there is none.
fn library() -> Result<Option<&'static Nvml>, NvmlError> {
    static LOADED: Mutex<Option<&'static Nvml>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if loaded.is_some() {
        return Ok(*loaded);
    }
    match Nvml::init() {
        Ok(nvml) => {
            // Samples of the performance monitoring borrow the library for as long as they are kept; there is one library.
            *loaded = Some(Box::leak(Box::new(nvml)));
            Ok(*loaded)
        }
        Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All devices, by index.
pub(super) fn devices() -> Result<Option<Vec<Box<dyn Gpu>>>, String> {
    let failed = |error: NvmlError| format!("NVIDIA's driver does not answer: {error}");
    let Some(nvml) = library().map_err(failed)? else {
        return Ok(None);
    };
    let mut gpus: Vec<Box<dyn Gpu>> = Vec::new();
    for index in 0..nvml.device_count().map_err(failed)? {
        let device = nvml.device_by_index(index).map_err(failed)?;
        gpus.push(Box::new(NvmlGpu {
            nvml,
            device,
            before: None,
        }));
    }
    Ok(Some(gpus))
}

struct NvmlGpu {
    nvml: &'static Nvml,
    device: Device<'static>,
    /// The last sample of the performance monitoring.
    before: Option<GpmSample<'static>>,
}

impl Gpu for NvmlGpu {
    fn ask(&mut self, query: Query) -> Result<[f64; 2], Fault> {
        let device = &self.device;
        let clock = |clock| device.clock_info(clock).map(f64::from);
        let errors = |kind| {
            let place = MemoryLocation::Device;
            device
                .memory_error_counter(kind, EccCounter::Volatile, place)
                .map(exact)
        };
        let first = match query {
            Query::Utilization => {
                let rates = device.utilization_rates().map_err(fault)?;
                return Ok([rates.gpu.into(), rates.memory.into()]);
            }
            Query::Memory => {
                let memory = device.memory_info().map_err(fault)?;
                return Ok([exact(memory.used), exact(memory.total)]);
            }
            Query::Temperature => device.temperature(TemperatureSensor::Gpu).map(f64::from),
            Query::Power => device.power_usage().map(f64::from),
            Query::PowerLimit => device.enforced_power_limit().map(f64::from),
            Query::SmClock => clock(Clock::SM),
            Query::MemoryClock => clock(Clock::Memory),
            Query::GraphicsClock => clock(Clock::Graphics),
            Query::CorrectedErrors => errors(MemoryError::Corrected),
            Query::UncorrectedErrors => errors(MemoryError::Uncorrected),
            Query::FanSpeed => device.fan_speed(0).map(f64::from),
            Query::Encoder => device
                .encoder_utilization()
                .map(|found| f64::from(found.utilization)),
            Query::PcieGeneration => device.current_pcie_link_gen().map(f64::from),
            Query::PcieWidth => device.current_pcie_link_width().map(f64::from),
            Query::MaxPcieGeneration => device.max_pcie_link_gen().map(f64::from),
            Query::MaxPcieWidth => device.max_pcie_link_width().map(f64::from),
            Query::PcieSpeed => device.pcie_link_speed().map(f64::from),
            Query::Processes | Query::Profile => return Err(Fault::Unsupported),
        };
        Ok([first.map_err(fault)?, 0.0])
    }

    fn processes(&mut self) -> Result<Vec<Process>, Fault> {
        let process = |info: ProcessInfo| Process {
            pid: info.pid,
            used_bytes: match info.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Some(bytes),
                UsedGpuMemory::Unavailable => None,
            },
        };
        let computing = self.device.running_compute_processes().map_err(fault)?;
        // Some data center devices know no graphics.
        let drawing = self.device.running_graphics_processes();
        let mut found: Vec<Process> = computing.into_iter().map(process).collect();
        for process in drawing.unwrap_or_default().into_iter().map(process) {
            if found.iter().all(|known| known.pid != process.pid) {
                found.push(process);
            }
        }
        Ok(found)
    }

    fn profile(&mut self) -> Result<Vec<(&'static str, f64)>, Fault> {
        if self.before.is_none() && !self.device.gpm_support().map_err(fault)? {
            return Err(Fault::Unsupported);
        }
        let now = self.device.gpm_sample().map_err(fault)?;
        let Some(before) = self.before.replace(now) else {
            return Ok(Vec::new());
        };
        let now = self.before.as_ref().expect("it was put there");
        let wanted = PROFILE.map(|(_, metric, _)| metric);
        let results = gpm_metrics_get(self.nvml, &before, now, &wanted).map_err(fault)?;
        let found = PROFILE.iter().zip(results);
        // One that this device has not is left out.
        let value = |(&(key, _, scale), result): (&(&'static str, _, f64), Result<_, _>)| {
            let result: nvml_wrapper::struct_wrappers::gpm::GpmMetricResult = result.ok()?;
            Some((key, result.value * scale))
        };
        Ok(found.filter_map(value).collect())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes and counts are below 2^53"
)]
fn exact(number: u64) -> f64 {
    number as f64
}

fn fault(error: NvmlError) -> Fault {
    match error {
        NvmlError::NotSupported
        | NvmlError::NoPermission
        | NvmlError::FunctionNotFound
        | NvmlError::FailedToLoadSymbol(_)
        | NvmlError::InvalidArg
        | NvmlError::UnexpectedVariant(_) => Fault::Unsupported,
        NvmlError::GpuLost | NvmlError::ResetRequired => Fault::Lost(error.to_string()),
        other => Fault::Passing(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_the_library_has_no_devices() {
        // On a host that has it, there are devices or a reason.
        match devices() {
            Ok(Some(gpus)) => assert!(gpus.len() < 1_000),
            Ok(None) => {}
            Err(reason) => assert!(reason.contains("NVIDIA"), "{reason}"),
        }
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(fault(NvmlError::NotSupported), Fault::Unsupported);
        let symbol = NvmlError::FailedToLoadSymbol("nvmlGpmSampleGet".into());
        assert_eq!(fault(symbol), Fault::Unsupported);
        assert!(matches!(fault(NvmlError::GpuLost), Fault::Lost(_)));
        assert!(matches!(fault(NvmlError::Unknown), Fault::Passing(_)));
    }
}
