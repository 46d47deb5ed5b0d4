//! One OpenMetrics or Prometheus endpoint: `openmetrics.<endpoint>.<metric>.<n>`, `n` counting the label sets of a metric in the
//! order in which they first appear.

use std::collections::BTreeMap;
use std::time::Duration;

use super::exposition::samples;
use super::filters::Filters;
use crate::{
    Filter, Group, Host, HttpRequest, MAX_METRICS, Pace, Reading, SampleError, Sampler, Settings,
    Spec,
};

/// An endpoint that needs longer is late.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing is read beyond this of an answer.
pub(super) const MAX_BODY_BYTES: usize = 16 << 20;

/// One sampler for each endpoint that the settings name.
pub(in crate::devices) fn wanted(settings: &Settings) -> impl Iterator<Item = Spec> + '_ {
    let headers = &settings.open_metrics_http_headers;
    let headers_hash = super::hash_of(headers);
    settings
        .open_metrics_endpoints
        .iter()
        .map(move |(name, url)| {
            let filters = settings.open_metrics_filters.clone();
            let id = format!("openmetrics {name} {url} {headers_hash:016x} {filters:?}");
            let request = HttpRequest {
                headers: headers.clone(),
                timeout: TIMEOUT,
                max_bytes: MAX_BODY_BYTES,
                ..HttpRequest::new(url)
            };
            let endpoint = name.clone();
            let make = move || OpenMetrics::new(endpoint, request, filters);
            Spec::new(format!("openmetrics {name}"), id, Pace::Slow, make)
        })
}

/// Reads one endpoint.
#[derive(Debug)]
struct OpenMetrics {
    endpoint: String,
    request: HttpRequest,
    wanted: Vec<Filter>,
    /// Compiled by the first reading.
    filters: Option<Filters>,
    series: Series,
}

/// The numbers of the label sets seen so far, by metric.
#[derive(Debug, Default)]
struct Series {
    numbers: BTreeMap<String, BTreeMap<Labels, usize>>,
    count: usize,
}

type Labels = Vec<(String, String)>;

impl Series {
    /// The number of a label set; a new one gets the next. `None`: there are too many.
    fn number(&mut self, metric: &str, labels: BTreeMap<&str, String>) -> Option<usize> {
        if !self.numbers.contains_key(metric) {
            self.numbers.insert(metric.to_owned(), BTreeMap::new());
        }
        let known = self.numbers.get_mut(metric)?;
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        let labels: Labels = labels.into_iter().map(owned).collect();
        if let Some(&number) = known.get(&labels) {
            return Some(number);
        }
        if self.count == MAX_METRICS {
            return None;
        }
        self.count += 1;
        let number = known.len();
        known.insert(labels, number);
        Some(number)
    }
}

impl OpenMetrics {
    fn new(endpoint: String, request: HttpRequest, wanted: Vec<Filter>) -> Self {
        Self {
            endpoint,
            request,
            wanted,
            filters: None,
            series: Series::default(),
        }
    }

    /// Compiles the filters, if that has not happened yet.
    fn compile(&mut self) -> Result<(), SampleError> {
        if self.filters.is_none() {
            let compiled = Filters::new(&self.wanted).map_err(|error| {
                SampleError::Failed(format!("x_stats_open_metrics_filters: {error}"))
            })?;
            self.filters = Some(compiled);
        }
        Ok(())
    }
}

impl Sampler for OpenMetrics {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        self.compile()?;
        let body = host
            .get(&self.request)
            .map_err(|error| SampleError::Failed(error.to_string()))?;
        let at = host.now();
        let text = String::from_utf8_lossy(&body);
        let filters = self.filters.as_ref().expect("they are compiled");
        let full = |metric: &str| format!("{}.{metric}", self.endpoint);
        let mut found = Vec::new();
        let mut dropped = 0_u64;
        let lines = samples(
            &text,
            |metric| filters.may_pass(&full(metric)),
            |sample| {
                if filters.passes(&full(sample.name), &sample.labels) {
                    if found.len() < 2 * MAX_METRICS {
                        found.push(sample);
                    } else {
                        dropped += 1;
                    }
                }
            },
        );
        if lines.samples == 0 && lines.unreadable > 0 {
            return Err(SampleError::unreadable(&self.endpoint));
        }
        let mut group = Group::default();
        for sample in found {
            match self.series.number(sample.name, sample.labels) {
                Some(number) => {
                    let (endpoint, metric) = (&self.endpoint, sample.name);
                    let key = format!("openmetrics.{endpoint}.{metric}.{number}");
                    group.gauge(key, sample.value);
                }
                None => dropped += 1,
            }
        }
        let mut reading = Reading::of(at, group);
        if dropped > 0 {
            reading.troubles.push(format!(
                "more than {MAX_METRICS} series: the rest is left out (hint: x_stats_open_metrics_filters)"
            ));
        }
        Ok(reading)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::devices::testing::values;
    use crate::host::recorded::RecordedHost;

    const URL: &str = "http://node/metrics";

    fn settings(filters: &[&str]) -> Settings {
        let filter = |&name: &&str| Filter {
            name: name.to_owned(),
            ..Filter::default()
        };
        Settings {
            open_metrics_endpoints: BTreeMap::from([("node".to_owned(), URL.to_owned())]),
            open_metrics_filters: filters.iter().map(filter).collect(),
            open_metrics_http_headers: BTreeMap::from([(
                "Authorization".to_owned(),
                "Bearer secret".to_owned(),
            )]),
            ..Settings::default()
        }
    }

    fn sampler(filters: &[&str]) -> Box<dyn Sampler> {
        let settings = settings(filters);
        let mut specs = wanted(&settings);
        let spec = specs.next().expect("one endpoint");
        assert!(specs.next().is_none());
        (spec.make)()
    }

    fn take(sampler: &mut dyn Sampler, body: &str) -> Vec<(String, f64)> {
        let host = RecordedHost::default();
        host.answer(URL, Ok(body));
        let reading = sampler.sample(&host).expect("a reading");
        let pairs = values(&reading.groups[0]).into_iter();
        pairs.map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn pairs(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
        let owned = |&(key, value): &(&str, f64)| (key.to_owned(), value);
        expected.iter().map(owned).collect()
    }

    #[test]
    fn label_sets_keep_the_number_of_their_first_appearance() {
        let mut endpoint = sampler(&[]);
        let first = "# TYPE a gauge\na{x=\"1\",y=\"2\"} 10\na{x=\"2\"} 20\n# TYPE b counter\nb 1\n";
        let expected = pairs(&[
            ("openmetrics.node.a.0", 10.0),
            ("openmetrics.node.a.1", 20.0),
            ("openmetrics.node.b.0", 1.0),
        ]);
        assert_eq!(take(&mut *endpoint, first), expected);
        // In another order, with one gone, a new one, and the labels of one turned round.
        let second =
            "# TYPE a gauge\na{x=\"3\"} 30\na{y=\"2\",x=\"1\"} 11\n# TYPE b counter\nb 2\n";
        let expected = pairs(&[
            ("openmetrics.node.a.2", 30.0),
            ("openmetrics.node.a.0", 11.0),
            ("openmetrics.node.b.0", 2.0),
        ]);
        assert_eq!(take(&mut *endpoint, second), expected);
    }

    #[test]
    fn filters_see_the_endpoint_and_the_metric() {
        let body = "# TYPE a gauge\na 1\n# TYPE ab gauge\nab 2\n# TYPE c gauge\nc NaN\n";
        let mut endpoint = sampler(&["^node\\.ab$", "c"]);
        assert_eq!(
            take(&mut *endpoint, body),
            pairs(&[("openmetrics.node.ab.0", 2.0)])
        );
    }

    #[test]
    fn headers_are_sent_and_are_no_part_of_a_name() {
        let settings = settings(&[]);
        let spec = wanted(&settings).next().expect("one endpoint");
        assert!(!format!("{spec:?} {}", spec.name).contains("secret"));
        let other = Settings {
            open_metrics_http_headers: BTreeMap::new(),
            ..settings.clone()
        };
        let other = wanted(&other).next().expect("one endpoint");
        assert_ne!(other.id, spec.id, "other credentials see other things");
        let host = RecordedHost::default();
        host.answer(URL, Ok(""));
        (spec.make)().sample(&host).expect("nothing to read");
        let request = &host.requests()[0];
        assert_eq!(request.headers["Authorization"], "Bearer secret");
        assert!(request.timeout <= TIMEOUT && request.max_bytes <= MAX_BODY_BYTES);
    }

    #[test]
    fn garbage_and_silence_are_errors() {
        let host = RecordedHost::default();
        let mut endpoint = sampler(&[]);
        let refused = endpoint.sample(&host).expect_err("nobody answers");
        assert!(matches!(refused, SampleError::Failed(_)));
        host.answer(URL, Err(io::ErrorKind::TimedOut));
        assert!(endpoint.sample(&host).is_err());
        host.answer(URL, Ok("<!DOCTYPE html>\n<p>sign in\n"));
        let error = endpoint.sample(&host).expect_err("no metrics");
        assert_eq!(error.to_string(), "`node` has an unknown format");
        host.answer(URL, Ok("# TYPE a gauge\na 1\n%%\n"));
        assert_eq!(endpoint.sample(&host).expect("one odd line").len(), 1);
    }

    #[test]
    fn a_filter_that_is_no_expression_is_told_without_asking_the_endpoint() {
        let host = RecordedHost::default();
        let error = sampler(&["["]).sample(&host).expect_err("no expression");
        let text = "x_stats_open_metrics_filters: `[` is no regular expression";
        assert_eq!(error.to_string(), text);
        assert!(host.requests().is_empty());
    }

    #[test]
    fn series_are_bounded_and_the_user_is_told() {
        let lines: Vec<String> = (0..MAX_METRICS + 5)
            .map(|at| format!("a{{x=\"{at}\"}} 1"))
            .collect();
        let body = format!("# TYPE a gauge\n{}", lines.join("\n"));
        let host = RecordedHost::default();
        host.answer(URL, Ok(&body));
        let mut endpoint = sampler(&[]);
        for _ in 0..2 {
            let reading = endpoint.sample(&host).expect("the first ones");
            assert_eq!(reading.len(), MAX_METRICS);
            let [trouble] = reading.troubles.as_slice() else {
                panic!("it is not told: {:?}", reading.troubles)
            };
            assert!(trouble.contains("more than 4096 series"), "{trouble}");
        }
    }
}
