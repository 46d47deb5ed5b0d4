use super::messages::{
    Attribute, AttributeKind, AttributeValue, Attributes, BucketOptions, Buckets, Distribution,
    Exponential, Gauge, GaugeValue, Measure, SupportedMetric, TpuMetric,
};
use super::*;
use crate::devices::testing::{keys, values};
use crate::host::recorded::RecordedHost;

fn attribute(key: &str, kind: AttributeKind) -> Attribute {
    Attribute {
        key: key.to_owned(),
        value: Some(AttributeValue { attr: Some(kind) }),
    }
}

fn gauge(device: Attribute, value: GaugeValue) -> Metric {
    Metric {
        attribute: Some(device),
        measure: Some(Measure::Gauge(Gauge { value: Some(value) })),
    }
}

fn of_device(index: i64, value: GaugeValue) -> Metric {
    gauge(attribute("device-id", AttributeKind::Int(index)), value)
}

fn parts(parts: Vec<Attribute>) -> Attribute {
    let list = AttributeKind::List(Attributes { attributes: parts });
    attribute("attributes", list)
}

fn latencies(size: &str, mean: f64) -> Metric {
    let text = AttributeKind::Text(size.to_owned());
    let exponential = Exponential {
        num_finite_buckets: 2,
        growth_factor: 2.0,
        scale: 10.0,
    };
    Metric {
        attribute: Some(parts(vec![attribute("buffer-size", text)])),
        measure: Some(Measure::Distribution(Distribution {
            count: 10,
            mean,
            bucket_options: Some(BucketOptions {
                options: Some(Buckets::Exponential(exponential)),
            }),
            bucket_counts: vec![0, 10, 0, 0],
        })),
    }
}

/// A host with a v5e chip; `offered` is what the service lists and answers.
fn host(offered: &[(&str, Vec<Metric>)]) -> RecordedHost {
    let host = RecordedHost::default();
    host.device("/dev/vfio", 0, 6);
    host.file("/sys/bus/pci/devices/0000:00:04.0/vendor", "0x1ae0\n");
    host.file("/sys/bus/pci/devices/0000:00:04.0/device", "0x0063\n");
    let list = ListSupportedMetricsResponse {
        supported_metric: offered
            .iter()
            .map(|&(name, _)| SupportedMetric {
                metric_name: name.to_owned(),
            })
            .collect(),
    };
    if !offered.is_empty() {
        host.called(DEFAULT_PORT, Vec::new(), list.encode_to_vec());
    }
    for (name, metrics) in offered {
        answer(&host, DEFAULT_PORT, name, metrics.clone());
    }
    host
}

fn answer(host: &RecordedHost, port: u16, name: &str, metrics: Vec<Metric>) {
    let request = MetricRequest {
        metric_name: name.to_owned(),
        skip_node_aggregation: false,
    };
    let response = MetricResponse {
        metric: Some(TpuMetric {
            name: name.to_owned(),
            metrics,
        }),
    };
    host.called(port, request.encode_to_vec(), response.encode_to_vec());
}

#[test]
fn devices_and_distributions_are_read() {
    let ordinal = attribute("device_ordinal", AttributeKind::Text("3".into()));
    let core = attribute("core_type", AttributeKind::Text("tensor".into()));
    let queue = gauge(parts(vec![core, ordinal]), GaugeValue::Int(5));
    let latency_name = DISTRIBUTIONS[0].0;
    let host = host(&[
        (
            CAPACITY,
            vec![of_device(0, GaugeValue::Int(17_179_869_184))],
        ),
        (USAGE, vec![of_device(0, GaugeValue::Int(4_294_967_296))]),
        (DUTY_CYCLE, vec![of_device(0, GaugeValue::Double(97.5))]),
        (QUEUE_SIZE, vec![queue]),
        (
            latency_name,
            vec![latencies("8MB+", 14.0), latencies("8MB+", 16.0)],
        ),
        ("some.new.metric", vec![of_device(0, GaugeValue::Int(1))]),
    ]);
    let reading = Tpus::default().sample(&host).expect("a reading");
    let expected = [
        ("tpu.0.hbmCapacityTotal", 17_179_869_184.0),
        ("tpu.0.hbmCapacityUsage", 4_294_967_296.0),
        ("tpu.0.hbmMemoryUsage", 25.0),
        ("tpu.0.dutyCycle", 97.5),
        ("tpu.hloQueueSize.3", 5.0),
        ("tpu.bufferTransferLatency.8MB+.meanUs", 15.0),
        ("tpu.bufferTransferLatency.8MB+.p50Us", 15.0),
        ("tpu.bufferTransferLatency.8MB+.p90Us", 19.0),
        ("tpu.bufferTransferLatency.8MB+.p95Us", 19.5),
        ("tpu.bufferTransferLatency.8MB+.p999Us", 10.0 + 0.999 * 10.0),
    ];
    assert_eq!(values(&reading.groups[0]), expected);
}

#[test]
fn a_service_that_cannot_list_is_asked_for_what_all_have() {
    let host = host(&[]);
    for (name, value) in [(CAPACITY, 100), (USAGE, 50)] {
        answer(
            &host,
            8_001,
            name,
            vec![of_device(1, GaugeValue::Int(value))],
        );
    }
    let duty = of_device(1, GaugeValue::Double(1.0));
    answer(&host, 8_001, DUTY_CYCLE, vec![duty]);
    host.set_variable("TPU_RUNTIME_METRICS_PORTS", "8001, 8002,x");
    let reading = Tpus::default().sample(&host).expect("a reading");
    let expected = [
        "tpu.1.hbmCapacityTotal",
        "tpu.1.hbmCapacityUsage",
        "tpu.1.hbmMemoryUsage",
        "tpu.1.dutyCycle",
    ];
    assert_eq!(keys(&reading), expected);
}

#[test]
fn a_program_that_does_not_use_the_devices_yet_is_waited_for() {
    let mut tpus = Tpus::default();
    assert!(tpus.sample(&host(&[])).expect("nothing yet").is_empty());
    let begun = host(&[(DUTY_CYCLE, vec![of_device(0, GaugeValue::Double(1.0))])]);
    assert_eq!(tpus.sample(&begun).expect("a reading").len(), 1);
}

#[test]
fn garbage_of_one_process_hides_no_other() {
    let duty = || vec![of_device(0, GaugeValue::Double(1.0))];
    let host = host(&[(DUTY_CYCLE, duty())]);
    host.set_variable("TPU_RUNTIME_METRICS_PORTS", "8001,8431");
    let request = MetricRequest {
        metric_name: CAPACITY.to_owned(),
        skip_node_aggregation: false,
    };
    host.called(8_001, request.encode_to_vec(), vec![0xff; 9]);
    let reading = Tpus::default().sample(&host).expect("one that answers");
    assert_eq!(keys(&reading), ["tpu.0.dutyCycle"]);
    let [trouble] = reading.troubles.as_slice() else {
        panic!("it is not told: {:?}", reading.troubles)
    };
    assert!(
        trouble.starts_with("libtpu's metrics on port 8001"),
        "{trouble}"
    );
}

#[test]
fn tensor_cores_are_read_from_the_tool_once_a_minute() {
    let table = "TensorCore Utilization\n\
        ┏━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓\n\
        ┃ Core ID ┃ TensorCore Utilization (%) ┃\n\
        ┡━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩\n\
        │ 0       │ 12.25%                     │\n\
        │ 1       │ N/A                        │\n\
        └─────────┴────────────────────────────┘\n";
    let host = host(&[(DUTY_CYCLE, Vec::new())]);
    host.command("tpu-info --metric tensorcore_utilization", Ok(table));
    let mut tpus = Tpus::default();
    let first = tpus.sample(&host).expect("a reading");
    assert_eq!(
        values(&first.groups[0]),
        [("tpu.0.tensorcoreUtilization", 12.25)]
    );
    assert!(tpus.sample(&host).expect("too early").is_empty());
    host.wait(60.0);
    assert_eq!(tpus.sample(&host).expect("a reading").len(), 1);
}

#[test]
fn other_devices_of_the_maker_are_no_chips() {
    let host = RecordedHost::default();
    host.device("/dev/vfio", 0, 6);
    host.file("/sys/bus/pci/devices/0000:00:04.0/vendor", "0x1ae0\n");
    host.file("/sys/bus/pci/devices/0000:00:04.0/device", "0x0042\n");
    let absent = Tpus::default().sample(&host);
    assert!(matches!(absent, Err(SampleError::Absent)));
    host.device("/dev/accel0", 120, 0);
    assert!(Tpus::default().sample(&host).is_ok());
}
