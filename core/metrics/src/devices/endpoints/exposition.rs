//! The text format of Prometheus (0.0.4) and OpenMetrics (1.0): one sample a line, types in comments.
//!
//! ```text
//! # TYPE http_requests_total counter
//! http_requests_total{method="post",code="200"} 1027 1395066363000
//! ```
//!
//! Only counters and gauges are kept. A line that is none of the format is counted and skipped: an endpoint with one odd line
//! is still of use. Reading takes time linear in the text and room for the samples that `keep` asks for.

use std::collections::BTreeMap;

/// A sample has no more labels than this.
const MAX_LABELS: usize = 128;

/// One sample of a counter or gauge.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample<'text> {
    pub(super) name: &'text str,
    /// Sorted by name; of equal names the last one counts.
    pub(super) labels: BTreeMap<&'text str, String>,
    pub(super) value: f64,
}

/// What a text turned out to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// Samples of all types.
    pub(super) samples: usize,
    /// Neither samples nor comments.
    pub(super) unreadable: usize,
}

/// Gives each sample of a counter or gauge whose name `wanted` accepts to `take`, in the order of the text.
pub(super) fn samples<'text>(
    text: &'text str,
    mut wanted: impl FnMut(&str) -> bool,
    mut take: impl FnMut(Sample<'text>),
) -> Lines {
    let mut lines = Lines::default();
    let mut types: BTreeMap<&str, bool> = BTreeMap::new();
    // Samples of a family stand together: what was decided for the last name holds for the next line.
    let mut last: Option<(&str, bool)> = None;
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            if let Some((name, is_kept)) = declared_type(comment) {
                types.insert(name, is_kept);
                last = None;
            }
            continue;
        }
        let end = line
            .find(|letter: char| letter == '{' || letter.is_ascii_whitespace())
            .unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if !is_name(name) {
            lines.unreadable += 1;
            continue;
        }
        lines.samples += 1;
        let is_kept = match last {
            Some((known, is_kept)) if known == name => is_kept,
            _ => is_counter_or_gauge(&types, name) && wanted(name),
        };
        last = Some((name, is_kept));
        if !is_kept {
            continue;
        }
        match labels_and_value(rest) {
            Some((labels, value)) => take(Sample {
                name,
                labels,
                value,
            }),
            None => lines.unreadable += 1,
        }
    }
    lines
}

/// `TYPE name kind`: the name, and whether it is one that is kept.
fn declared_type(comment: &str) -> Option<(&str, bool)> {
    let mut words = comment.split_ascii_whitespace();
    if words.next()? != "TYPE" {
        return None;
    }
    let name = words.next()?;
    Some((name, matches!(words.next()?, "counter" | "gauge")))
}

/// In OpenMetrics the sample of the counter `x` is called `x_total`.
fn is_counter_or_gauge(types: &BTreeMap<&str, bool>, name: &str) -> bool {
    let family = || types.get(name.strip_suffix("_total")?);
    types.get(name).or_else(family).copied().unwrap_or(false)
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    let starts_well = |first: &u8| !first.is_ascii_digit();
    name.as_bytes().first().is_some_and(starts_well) && name.bytes().all(is_letter)
}

/// `{a="b",…} value [timestamp] [# exemplar]`
fn labels_and_value(rest: &str) -> Option<(BTreeMap<&str, String>, f64)> {
    let rest = rest.trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let word = rest.split_ascii_whitespace().next()?;
    Some((labels, number(word)?))
}

/// `+Inf`, `-Inf` and `NaN` are numbers of the format; they are no measurements, and left out later.
fn number(word: &str) -> Option<f64> {
    match word {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust reads words such as `infinity`, which are none of the format.
        _ if word.bytes().any(|byte| byte.is_ascii_digit()) => word.parse().ok(),
        _ => None,
    }
}

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(BTreeMap<&str, String>, &str)> {
    let mut found = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((found, behind));
        }
        let (name, value) = rest.split_once('=')?;
        let (text, behind) = quoted(value.trim_start().strip_prefix('"')?)?;
        if found.len() == MAX_LABELS {
            return None;
        }
        found.insert(name.trim(), text);
        rest = behind.trim_start();
        if let Some(behind) = rest.strip_prefix(',') {
            rest = behind;
        } else if !rest.starts_with('}') {
            return None;
        }
    }
}

/// A text up to its closing quotation mark, and what follows it.
fn quoted(rest: &str) -> Option<(String, &str)> {
    let end = rest.find(['"', '\\'])?;
    if rest[end..].starts_with('"') {
        return Some((rest[..end].to_owned(), &rest[end + 1..]));
    }
    let mut text = String::new();
    let mut letters = rest.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((text, &rest[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => text.push('\n'),
                escaped => text.push(escaped),
            },
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Vec<Sample<'_>>, Lines) {
        let mut found = Vec::new();
        let lines = samples(text, |_| true, |sample| found.push(sample));
        (found, lines)
    }

    fn sample<'a>(name: &'a str, labels: &[(&'a str, &str)], value: f64) -> Sample<'a> {
        let labels = labels.iter().map(|&(name, value)| (name, value.to_owned()));
        Sample {
            name,
            labels: labels.collect(),
            value,
        }
    }

    #[test]
    fn counters_and_gauges_are_read_and_nothing_else() {
        let text = "\
# HELP requests_total A comment with # and { in it.
# TYPE requests_total counter
requests_total{method=\"post\", code=\"200\",} 1027 1395066363000
requests_total { code = \"400\" } 3
# TYPE temperature gauge
temperature -2.5e1
# TYPE latency histogram
latency_bucket{le=\"0.05\"} 24054
latency_sum 53423
# TYPE rpc summary
rpc{quantile=\"0.5\"} 4773
# TYPE unclear untyped
unclear 1
nowhere_declared 1
";
        let (found, lines) = read(text);
        let expected = [
            sample(
                "requests_total",
                &[("method", "post"), ("code", "200")],
                1027.0,
            ),
            sample("requests_total", &[("code", "400")], 3.0),
            sample("temperature", &[], -25.0),
        ];
        assert_eq!(found, expected);
        assert_eq!((lines.samples, lines.unreadable), (8, 0));
    }

    #[test]
    fn openmetrics_counters_and_exemplars_are_read() {
        let text = "\
# TYPE foo counter
# UNIT foo seconds
foo_total{a=\"b\"} 17.0 1520879607.789 # {id=\"oHg5SJ\"} 0.67
foo_created{a=\"b\"} 1520430000.123
# TYPE bar gauge
bar 2
# EOF
";
        let (found, _) = read(text);
        let expected = [
            sample("foo_total", &[("a", "b")], 17.0),
            sample("bar", &[], 2.0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn escapes_in_labels_are_undone() {
        let text = "# TYPE x gauge\nx{path=\"C:\\\\DIR\\n\",say=\"\\\"hi\\\", } {\"} 1\n";
        let (found, lines) = read(text);
        let labels = [("path", "C:\\DIR\n"), ("say", "\"hi\", } {")];
        assert_eq!(found, [sample("x", &labels, 1.0)]);
        assert_eq!(lines.unreadable, 0);
    }

    #[test]
    fn unreadable_lines_are_counted_and_skipped() {
        let text = "\
# TYPE x gauge
<html>
x{open=\"never 1
x{a=\"b\"
x{a=b} 1
x one
x infinity
x
1x 5
x 7
";
        let (found, lines) = read(text);
        assert_eq!(found, [sample("x", &[], 7.0)]);
        assert_eq!(lines.unreadable, 8);
        let (found, _) = read("# TYPE x gauge\nx +Inf\nx NaN");
        assert!(found[0].value.is_infinite());
        assert!(found[1].value.is_nan());
    }

    #[test]
    fn unwanted_names_are_asked_for_once_and_not_read() {
        let text = "# TYPE x gauge\nx 1\nx 2\nx{broken\n# TYPE y gauge\ny 1\n";
        let mut asked = Vec::new();
        let wanted = |name: &str| {
            asked.push(name.to_owned());
            name == "y"
        };
        let mut found = Vec::new();
        let lines = samples(text, wanted, |sample| found.push(sample));
        assert_eq!(found, [sample("y", &[], 1.0)]);
        assert_eq!((lines.samples, lines.unreadable), (4, 0));
        assert_eq!(asked, ["x", "y"]);
    }

    #[test]
    fn a_flood_of_labels_is_refused() {
        let labels: Vec<String> = (0..1_000).map(|at| format!("l{at}=\"v\"")).collect();
        let text = format!("# TYPE x gauge\nx{{{}}} 1\nx 2", labels.join(","));
        let (found, lines) = read(&text);
        assert_eq!((found.len(), lines.unreadable), (1, 1));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(# TYPE [a-z] (gauge|counter)\n|[a-z]\\{?|[ -~]{0,12}|\\PC|\n){0,40}") {
            let (found, lines) = read(&text);
            prop_assert!(found.len() + lines.unreadable <= text.lines().count());
        }

        #[test]
        fn labels_survive_being_written_and_read(value in "\\PC{0,20}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let text = format!("# TYPE x gauge\nx{{label=\"{escaped}\"}} 4.5");
            let (found, _) = read(&text);
            prop_assert_eq!(found, [sample("x", &[("label", &value)], 4.5)]);
        }
    }
}
