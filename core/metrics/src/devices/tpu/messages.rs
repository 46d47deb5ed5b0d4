//! The messages of `tpu.monitoring.runtime.RuntimeMetricService`, as far as they are read.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListSupportedMetricsRequest {
    /// A regular expression; empty: all.
    #[prost(string, tag = "1")]
    pub(super) filter: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListSupportedMetricsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) supported_metric: Vec<SupportedMetric>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SupportedMetric {
    #[prost(string, tag = "1")]
    pub(super) metric_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricRequest {
    #[prost(string, tag = "1")]
    pub(super) metric_name: String,
    #[prost(bool, tag = "2")]
    pub(super) skip_node_aggregation: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) metric: Option<TpuMetric>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TpuMetric {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, optional, tag = "1")]
    pub(super) attribute: Option<Attribute>,
    #[prost(oneof = "Measure", tags = "3, 4, 5")]
    pub(super) measure: Option<Measure>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Measure {
    #[prost(message, tag = "3")]
    Gauge(Gauge),
    #[prost(message, tag = "4")]
    Counter(Counter),
    #[prost(message, tag = "5")]
    Distribution(Distribution),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Gauge {
    #[prost(oneof = "GaugeValue", tags = "1, 2")]
    pub(super) value: Option<GaugeValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum GaugeValue {
    #[prost(double, tag = "1")]
    Double(f64),
    #[prost(int64, tag = "2")]
    Int(i64),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Counter {
    #[prost(oneof = "CounterValue", tags = "1, 2")]
    pub(super) value: Option<CounterValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum CounterValue {
    #[prost(double, tag = "1")]
    Double(f64),
    #[prost(uint64, tag = "2")]
    Int(u64),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AttributeValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributeValue {
    #[prost(oneof = "AttributeKind", tags = "1, 3, 6")]
    pub(super) attr: Option<AttributeKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum AttributeKind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(message, tag = "6")]
    List(Attributes),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attributes {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Distribution {
    #[prost(int64, tag = "1")]
    pub(super) count: i64,
    #[prost(double, tag = "2")]
    pub(super) mean: f64,
    #[prost(message, optional, tag = "6")]
    pub(super) bucket_options: Option<BucketOptions>,
    /// The first one is of what is below all bounds, the last one of what is above.
    #[prost(int64, repeated, tag = "7")]
    pub(super) bucket_counts: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BucketOptions {
    #[prost(oneof = "Buckets", tags = "2, 3, 4")]
    pub(super) options: Option<Buckets>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Buckets {
    #[prost(message, tag = "2")]
    Exponential(Exponential),
    #[prost(message, tag = "3")]
    Explicit(Explicit),
    #[prost(message, tag = "4")]
    Linear(Linear),
}

/// Bucket i (from 1) begins at `scale` · `growth_factor`^(i-1).
#[derive(Clone, PartialEq, Message)]
pub(super) struct Exponential {
    #[prost(int32, tag = "1")]
    pub(super) num_finite_buckets: i32,
    #[prost(double, tag = "2")]
    pub(super) growth_factor: f64,
    #[prost(double, tag = "3")]
    pub(super) scale: f64,
}

/// Bucket i (from 1) begins at `bounds[i-1]`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Explicit {
    #[prost(double, repeated, tag = "1")]
    pub(super) bounds: Vec<f64>,
}

/// Bucket i (from 1) begins at `offset` + `width` · (i-1).
#[derive(Clone, PartialEq, Message)]
pub(super) struct Linear {
    #[prost(int32, tag = "1")]
    pub(super) num_finite_buckets: i32,
    #[prost(double, tag = "2")]
    pub(super) width: f64,
    #[prost(double, tag = "3")]
    pub(super) offset: f64,
}

impl Attribute {
    fn number(&self) -> Option<u32> {
        match self.value.as_ref()?.attr.as_ref()? {
            AttributeKind::Int(number) => u32::try_from(*number).ok(),
            // Newer libraries write numbers as texts.
            AttributeKind::Text(text) => text.parse().ok(),
            AttributeKind::List(_) => None,
        }
    }

    /// The parts of a list, or the attribute itself.
    fn parts(&self) -> &[Attribute] {
        let value = self.value.as_ref().and_then(|value| value.attr.as_ref());
        match value {
            Some(AttributeKind::List(list)) => &list.attributes,
            _ => std::slice::from_ref(self),
        }
    }
}

impl Metric {
    fn parts(&self) -> &[Attribute] {
        self.attribute.as_ref().map_or(&[], Attribute::parts)
    }

    /// The index of the device that it is about.
    pub(super) fn device(&self) -> Option<u32> {
        let parts = self.parts();
        let ordinal = parts.iter().find(|part| part.key == "device_ordinal");
        ordinal.or_else(|| parts.first())?.number()
    }

    /// What tells it from others of its name: a buffer's size, a core.
    pub(super) fn label(&self) -> Option<String> {
        let parts = self.parts();
        let named = |name: &str| parts.iter().find(|part| part.key == name);
        let part = named("buffer-size").or_else(|| named("device_ordinal"));
        match part
            .or_else(|| parts.first())?
            .value
            .as_ref()?
            .attr
            .as_ref()?
        {
            AttributeKind::Text(text) => Some(text.clone()),
            AttributeKind::Int(number) => Some(number.to_string()),
            AttributeKind::List(_) => None,
        }
    }

    /// The value of a gauge or counter.
    pub(super) fn number(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "bytes are below 2^53")]
        match self.measure.as_ref()? {
            Measure::Gauge(gauge) => match gauge.value.as_ref()? {
                GaugeValue::Double(number) => Some(*number),
                GaugeValue::Int(number) => Some(*number as f64),
            },
            Measure::Counter(counter) => match counter.value.as_ref()? {
                CounterValue::Double(number) => Some(*number),
                CounterValue::Int(number) => Some(*number as f64),
            },
            Measure::Distribution(_) => None,
        }
    }

    pub(super) fn distribution(&self) -> Option<&Distribution> {
        match self.measure.as_ref()? {
            Measure::Distribution(distribution) => Some(distribution),
            _ => None,
        }
    }
}
