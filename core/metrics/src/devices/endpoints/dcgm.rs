//! Metrics of DCGM's exporter, asked of the Prometheus that collects them (or of the exporter itself).
//!
//! The setting is a complete query URL, `http://prometheus:9090/api/v1/query?query=…`; one query answers for all metrics and
//! hosts that it selects. Keys are those of the devices, with `/l:<node>` where series have a label `node`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::exposition::samples;
use super::open_metrics::{MAX_BODY_BYTES, TIMEOUT};
use crate::{
    Group, Host, HttpRequest, MAX_METRICS, Pace, Reading, SampleError, Sampler, Settings, Spec,
};

/// The exporter's fields and their names in keys.
const FIELDS: [(&str, &str); 22] = [
    ("DCGM_FI_DEV_GPU_TEMP", "temp"),
    ("DCGM_FI_DEV_POWER_USAGE", "powerWatts"),
    ("DCGM_FI_DEV_GPU_UTIL", "gpu"),
    ("DCGM_FI_DEV_MEM_COPY_UTIL", "memory"),
    ("DCGM_FI_DEV_SM_CLOCK", "smClock"),
    ("DCGM_FI_DEV_FB_USED", "memoryUsed"),
    ("DCGM_FI_DEV_FB_TOTAL", "memoryTotal"),
    ("DCGM_FI_DEV_FB_FREE", "memoryFree"),
    ("DCGM_FI_DEV_MEMORY_TEMP", "memoryTemp"),
    ("DCGM_FI_DEV_GPU_MAX_OP_TEMP", "maxOpTemp"),
    ("DCGM_FI_DEV_MEM_MAX_OP_TEMP", "memoryMaxOpTemp"),
    (
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "totalEnergyConsumption",
    ),
    ("DCGM_FI_PROF_PCIE_TX_BYTES", "pcieTxBytes"),
    ("DCGM_FI_PROF_PCIE_RX_BYTES", "pcieRxBytes"),
    ("DCGM_FI_PROF_NVLINK_TX_BYTES", "nvlinkTxBytes"),
    ("DCGM_FI_PROF_NVLINK_RX_BYTES", "nvlinkRxBytes"),
    ("DCGM_FI_PROF_SM_ACTIVE", "smActive"),
    ("DCGM_FI_PROF_SM_OCCUPANCY", "smOccupancy"),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "pipeTensorActive"),
    ("DCGM_FI_PROF_PIPE_FP64_ACTIVE", "pipeFp64Active"),
    ("DCGM_FI_PROF_PIPE_FP32_ACTIVE", "pipeFp32Active"),
    ("DCGM_FI_PROF_PIPE_FP16_ACTIVE", "pipeFp16Active"),
];

/// The sampler, if the settings name a URL.
pub(in crate::devices) fn wanted(settings: &Settings) -> Option<Spec> {
    let url = &settings.dcgm_exporter;
    if url.is_empty() {
        return None;
    }
    let headers = settings.open_metrics_http_headers.clone();
    let id = format!("dcgm {url} {:016x}", super::hash_of(&headers));
    let request = HttpRequest {
        headers,
        timeout: TIMEOUT,
        max_bytes: MAX_BODY_BYTES,
        ..HttpRequest::new(url)
    };
    Some(Spec::new("dcgm exporter", id, Pace::Slow, move || {
        DcgmExporter { request }
    }))
}

/// Asks one query.
#[derive(Debug)]
struct DcgmExporter {
    request: HttpRequest,
}

impl Sampler for DcgmExporter {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        let body = host
            .get(&self.request)
            .map_err(|error| SampleError::Failed(error.to_string()))?;
        let found = if body.trim_ascii_start().starts_with(b"{") {
            of_query(&body)?
        } else {
            of_exporter(&String::from_utf8_lossy(&body))?
        };
        let mut group = Group::default();
        for (key, value) in found {
            group.gauge(key, value);
        }
        Ok(Reading::of(host.now(), group))
    }
}

/// Values by key; of equal keys the last one counts.
#[derive(Debug, Default)]
struct Found(BTreeMap<String, f64>);

impl Found {
    /// A value of the field `name`; others, and those of no device, are left out.
    fn add(&mut self, name: &str, gpu: &str, node: Option<&str>, value: f64) {
        let field = FIELDS.iter().find(|(field, _)| *field == name);
        let (Some((_, key)), Ok(index)) = (field, gpu.parse::<u32>()) else {
            return;
        };
        let key = match node {
            Some(node) => format!("gpu.{index}.{key}/l:{node}"),
            None => format!("gpu.{index}.{key}"),
        };
        if self.0.len() < MAX_METRICS || self.0.contains_key(&key) {
            self.0.insert(key, value);
        }
    }
}

#[derive(Deserialize)]
struct Status {
    status: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// Seconds since 1970, and the value as a text.
    value: (f64, String),
}

/// Reads the answer of Prometheus to an instant query.
fn of_query(body: &[u8]) -> Result<BTreeMap<String, f64>, SampleError> {
    let odd = || SampleError::unreadable("the answer to the DCGM query");
    let status: Status = serde_json::from_slice(body).map_err(|_error| odd())?;
    if status.status != "success" {
        let text = format!("the DCGM query failed: {}", status.error);
        return Err(SampleError::Failed(text));
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_error| odd())?;
    let mut found = Found::default();
    for series in answer.data.result {
        let label = |name: &str| series.metric.get(name).map(String::as_str);
        let (Some(name), Some(gpu)) = (label("__name__"), label("gpu")) else {
            continue;
        };
        if let Ok(value) = series.value.1.parse() {
            found.add(name, gpu, label("node"), value);
        }
    }
    Ok(found.0)
}

/// Reads what the exporter itself shows.
fn of_exporter(text: &str) -> Result<BTreeMap<String, f64>, SampleError> {
    let mut found = Found::default();
    let is_field = |name: &str| FIELDS.iter().any(|(field, _)| *field == name);
    let lines = samples(text, is_field, |sample| {
        let label = |name: &str| sample.labels.get(name).map(String::as_str);
        if let Some(gpu) = label("gpu") {
            found.add(sample.name, gpu, label("node"), sample.value);
        }
    });
    if lines.samples == 0 && lines.unreadable > 0 {
        return Err(SampleError::unreadable("the answer of the DCGM exporter"));
    }
    Ok(found.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::testing::values;
    use crate::host::recorded::RecordedHost;

    const URL: &str = "http://prometheus/api/v1/query?query={__name__=~\"DCGM.*\"}";
    const QUERY: &str = include_str!("../../../tests/recorded/prometheus-dcgm-query.json");
    const EXPORTER: &str = include_str!("../../../tests/recorded/dcgm-exporter-3.3.txt");

    fn sampler() -> Box<dyn Sampler> {
        let settings = Settings {
            dcgm_exporter: URL.to_owned(),
            ..Settings::default()
        };
        (wanted(&settings).expect("a URL").make)()
    }

    fn sampled(body: &str) -> Result<Reading, SampleError> {
        let host = RecordedHost::default();
        host.answer(URL, Ok(body));
        sampler().sample(&host)
    }

    #[test]
    fn a_query_answers_for_all_nodes() {
        let reading = sampled(QUERY).expect("an answer");
        let expected = [
            ("gpu.0.gpu/l:n1", 97.0),
            ("gpu.0.memoryUsed/l:n1", 40_960.0),
            ("gpu.0.smActive/l:n1", 0.875),
            ("gpu.0.temp", 79.0),
            ("gpu.0.temp/l:n1", 40.5),
            ("gpu.1.temp/l:n1", 77.0),
        ];
        assert_eq!(values(&reading.groups[0]), expected);
    }

    #[test]
    fn the_exporter_itself_is_read_too() {
        let reading = sampled(EXPORTER).expect("an exposition");
        let expected = [
            ("gpu.0.powerWatts", 66.25),
            ("gpu.0.temp", 33.0),
            ("gpu.0.totalEnergyConsumption", 1_234_567.0),
            ("gpu.1.temp", 34.0),
        ];
        assert_eq!(values(&reading.groups[0]), expected);
    }

    #[test]
    fn every_field_has_a_key_of_its_own() {
        let names: std::collections::BTreeSet<_> = FIELDS.iter().map(|(_, key)| key).collect();
        assert_eq!(names.len(), FIELDS.len());
    }

    #[test]
    fn failures_are_told() {
        let failed = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        let error = sampled(failed).expect_err("it failed");
        assert_eq!(error.to_string(), "the DCGM query failed: parse error");
        for garbage in ["{}", "{\"status\":\"success\"}", "<html>", "{\"status\":1}"] {
            assert!(sampled(garbage).is_err(), "{garbage}");
        }
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
        assert!(sampled(scalar).is_err());
        assert!(sampler().sample(&RecordedHost::default()).is_err());
    }

    #[test]
    fn without_a_url_there_is_no_sampler() {
        assert!(wanted(&Settings::default()).is_none());
    }
}
