//! From summary values to the values of a row, as W&B 0.31.0 converts them.
//!
//! Scalars (plain, or tensors of one number), histograms, images and precision-recall curves have a form in a row; text, audio
//! and what other plugins store stay in the event files.

use std::collections::{BTreeMap, HashMap};

use runlane_model::json::Value;

use super::event::{Content, Histogram, Image, SummaryValue, Tensor};
use super::media::{self, MediaFile, number, object};

/// More buckets are merged into this many.
const MOST_BINS: usize = 512;
/// Tags whose plugin is remembered in one file.
const MOST_TAGS: usize = 100_000;

/// Converts the values of one file, in order.
#[derive(Debug, Default)]
pub(crate) struct Converter {
    /// The plugin of each tag that is a tensor: only the first value of a tag says it.
    plugins: HashMap<Box<str>, Box<str>>,
}

/// What was not converted, by kind, with the first tag of each.
pub(crate) type LeftOut = BTreeMap<&'static str, String>;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Converted {
    pub(crate) value: Value,
    pub(crate) files: Vec<MediaFile>,
}

impl From<Value> for Converted {
    fn from(value: Value) -> Self {
        Self {
            value,
            files: Vec::new(),
        }
    }
}

impl Converter {
    /// The value for a row, if there is one. A value that should have one and has none is noted in `left_out`.
    pub(crate) fn convert(
        &mut self,
        value: &SummaryValue<'_>,
        left_out: &mut LeftOut,
    ) -> Option<Converted> {
        let plugin = self.plugin_of(value);
        if value.tag.is_empty() {
            return None;
        }
        let mut note = |kind| {
            left_out.entry(kind).or_insert_with(|| value.tag.to_owned());
        };
        match &value.content {
            Content::Scalar(value) => Some(number(shortest(*value)).into()),
            Content::Histogram(buckets) => {
                let converted = histogram(buckets);
                if converted.is_none() {
                    note("unreadable histograms");
                }
                converted.map(Converted::from)
            }
            Content::Image(image) => {
                let converted = encoded_image(image);
                if converted.is_none() {
                    note("unreadable images");
                }
                converted
            }
            Content::Audio => {
                note("audio");
                None
            }
            Content::Tensor(tensor) => match plugin.as_deref().unwrap_or_default() {
                "scalars" => match tensor.numbers()?.as_slice() {
                    [only] => Some(number(*only).into()),
                    _ => None,
                },
                "histograms" => tensor_histogram(tensor).map(Converted::from),
                "images" => {
                    let converted = tensor_images(tensor);
                    if converted.is_none() && tensor.strings.len() > 2 {
                        note("unreadable images");
                    }
                    converted
                }
                "pr_curves" => pr_curve(tensor),
                "audio" => {
                    note("audio");
                    None
                }
                "text" => {
                    note("text");
                    None
                }
                _ => None,
            },
            Content::Other => None,
        }
    }

    /// Takes note of what a tag is, of a value that is not needed.
    pub(crate) fn remember(&mut self, value: &SummaryValue<'_>) {
        self.plugin_of(value);
    }

    fn plugin_of(&mut self, value: &SummaryValue<'_>) -> Option<Box<str>> {
        if !matches!(value.content, Content::Tensor(_)) {
            return None;
        }
        if value.plugin.is_empty() {
            return self.plugins.get(value.tag).cloned();
        }
        if self.plugins.len() < MOST_TAGS && !self.plugins.contains_key(value.tag) {
            self.plugins.insert(value.tag.into(), value.plugin.into());
        }
        let known = self.plugins.get(value.tag).cloned();
        known.or_else(|| Some(value.plugin.into()))
    }
}

/// The number that a person wrote: 0.1 rather than 0.10000000149011612.
fn shortest(number: f32) -> f64 {
    if number.is_finite() {
        number.to_string().parse().unwrap_or_else(|_| number.into())
    } else {
        number.into()
    }
}

fn histogram(buckets: &Histogram) -> Option<Value> {
    let Histogram {
        min,
        limits,
        counts,
    } = buckets;
    if limits.is_empty() || limits.len() != counts.len() {
        return None;
    }
    // An empty first bucket reaches down to nowhere: the histogram begins behind it.
    if counts[0] == 0.0 {
        return bins(limits.clone(), counts[1..].to_vec());
    }
    let mut edges = Vec::with_capacity(limits.len() + 1);
    edges.push(*min);
    edges.extend(limits);
    bins(edges, counts.clone())
}

fn tensor_histogram(tensor: &Tensor<'_>) -> Option<Value> {
    let [_, 3] = tensor.shape[..] else {
        return None;
    };
    let numbers = tensor.numbers()?;
    let mut edges: Vec<f64> = numbers.iter().step_by(3).copied().collect();
    edges.push(*numbers.get(numbers.len() - 2)?);
    let counts = numbers.iter().skip(2).step_by(3).copied().collect();
    bins(edges, counts)
}

/// A histogram of `edges`, one more than `counts`; `None` if it is empty or holds what is no number.
fn bins(edges: Vec<f64>, counts: Vec<f64>) -> Option<Value> {
    if counts.is_empty() || !edges.iter().chain(&counts).all(|it| it.is_finite()) {
        return None;
    }
    let (edges, counts) = if counts.len() > MOST_BINS {
        merged(&edges, &counts)
    } else {
        (edges, counts)
    };
    let list = |numbers: Vec<f64>| Value::List(numbers.into_iter().map(number).collect());
    Some(object([
        ("_type", Value::from("histogram")),
        ("bins", list(edges)),
        ("values", list(counts)),
    ]))
}

/// As many buckets as a histogram may have: each takes an equal share of the old ones, parts of them in proportion.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions among far fewer than 2^52 buckets"
)]
fn merged(edges: &[f64], counts: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let share = counts.len() as f64 / MOST_BINS as f64;
    let edge_at = |position: f64| {
        let index = (position.floor() as usize).min(counts.len() - 1);
        let part = position - index as f64;
        edges[index] * (1.0 - part) + edges[index + 1] * part
    };
    let mut new_edges = vec![edges[0]];
    let mut new_counts = Vec::with_capacity(MOST_BINS);
    for bin in 0..MOST_BINS {
        let (from, to) = (bin as f64 * share, (bin + 1) as f64 * share);
        new_edges.push(if bin + 1 == MOST_BINS {
            edges[counts.len()]
        } else {
            edge_at(to)
        });
        let mut sum = 0.0;
        let mut index = from.floor() as usize;
        while index < counts.len() && (index as f64) < to {
            let overlap = to.min(index as f64 + 1.0) - from.max(index as f64);
            sum += counts[index] * overlap;
            index += 1;
        }
        new_counts.push(sum);
    }
    (new_edges, new_counts)
}

fn encoded_image(image: &Image<'_>) -> Option<Converted> {
    let (value, files) = media::images(&[image.encoded], (image.width, image.height))?;
    Some(Converted { value, files })
}

/// The first two elements are width and height in decimal, the others encoded images.
fn tensor_images(tensor: &Tensor<'_>) -> Option<Converted> {
    let (size, encoded) = tensor.strings.split_first_chunk::<2>()?;
    let pixels = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u32>().ok();
    let size = (pixels(size[0])?, pixels(size[1])?);
    let (value, files) = media::images(encoded, size)?;
    Some(Converted { value, files })
}

/// The last two rows are precision and recall, over the thresholds.
fn pr_curve(tensor: &Tensor<'_>) -> Option<Converted> {
    let [rows, width] = tensor.shape[..] else {
        return None;
    };
    if rows < 2 {
        return None;
    }
    let numbers = tensor.numbers()?;
    let width = usize::try_from(width).ok()?;
    let last = numbers.len().checked_sub(2 * width)?;
    let (precision, recall) = numbers[last..].split_at(width);
    let points: Vec<Vec<f64>> = recall
        .iter()
        .zip(precision)
        .map(|(recall, precision)| vec![*recall, *precision])
        .collect();
    let (value, file) = media::table(&["recall", "precision"], &points);
    Some(Converted {
        value,
        files: vec![file],
    })
}

#[cfg(test)]
mod tests {
    use super::super::event::{decode, writing};
    use super::super::media::png;
    use super::*;
    use crate::wire::{put_bytes, put_number};

    fn shown(converter: &mut Converter, value: &[u8]) -> Option<String> {
        let bytes = writing::event(1, 0.0, &[value.to_vec()]);
        let event = decode(&bytes).expect("an event");
        let mut left_out = LeftOut::new();
        converter
            .convert(&event.values[0], &mut left_out)
            .map(|converted| converted.value.to_string())
    }

    fn of(value: &[u8]) -> Option<String> {
        shown(&mut Converter::default(), value)
    }

    // What is expected here was observed of W&B 0.31.0, by `tests/tensorboard`'s comparison and by hand.

    #[test]
    fn scalars_are_numbers() {
        assert_eq!(of(&writing::scalar("a", 0.1)), Some("0.1".to_owned()));
        assert_eq!(of(&writing::scalar("a", 1e30)), Some("1e+30".to_owned()));
        assert_eq!(of(&writing::scalar("a", f32::NAN)), Some("NaN".to_owned()));
        let tensor = |shape: &[u64], numbers: &[f64]| {
            of(&writing::tensor_of_doubles("a", "scalars", shape, numbers))
        };
        assert_eq!(tensor(&[], &[0.5]), Some("0.5".to_owned()));
        assert_eq!(tensor(&[1, 1], &[2.0]), Some("2".to_owned()));
        assert_eq!(tensor(&[2], &[1.0, 2.0]), None);
        assert_eq!(tensor(&[0], &[]), None);
        assert_eq!(of(&writing::scalar("", 1.0)), None);
    }

    #[test]
    fn the_first_value_of_a_tag_says_what_the_others_are() {
        let mut converter = Converter::default();
        let with = |plugin| writing::tensor_of_doubles("t", plugin, &[], &[3.0]);
        assert_eq!(shown(&mut converter, &with("")), None);
        assert_eq!(
            shown(&mut converter, &with("scalars")),
            Some("3".to_owned())
        );
        assert_eq!(shown(&mut converter, &with("")), Some("3".to_owned()));
        assert_eq!(
            of(&writing::tensor_of_doubles("t", "mine", &[], &[3.0])),
            None
        );
    }

    #[test]
    fn histograms_have_edges_and_counts() {
        let of =
            |min, limits: &[f64], counts: &[f64]| of(&writing::histogram("h", min, limits, counts));
        assert_eq!(
            of(0.0, &[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]),
            Some(r#"{"_type":"histogram","bins":[0,1,2,3],"values":[1,2,3]}"#.to_owned())
        );
        assert_eq!(
            of(0.0, &[1.0, 2.0, 3.0, 4.0], &[0.0, 1.0, 1.0, 0.0]),
            Some(r#"{"_type":"histogram","bins":[1,2,3,4],"values":[1,1,0]}"#.to_owned())
        );
        assert_eq!(of(0.0, &[1.0, 2.0], &[1.0]), None);
        assert_eq!(of(0.0, &[], &[]), None);
        assert_eq!(of(f64::NAN, &[1.0], &[1.0]), None);
        assert_eq!(of(0.0, &[1.0, f64::INFINITY], &[1.0, 1.0]), None);
    }

    #[test]
    fn histograms_of_tensors_have_an_edge_more_than_counts() {
        let of = |shape: &[u64], numbers: &[f64]| {
            of(&writing::tensor_of_doubles(
                "h",
                "histograms",
                shape,
                numbers,
            ))
        };
        assert_eq!(
            of(&[2, 3], &[0.0, f64::NAN, 5.0, 1.0, 2.0, 6.0]),
            Some(r#"{"_type":"histogram","bins":[0,1,2],"values":[5,6]}"#.to_owned())
        );
        assert_eq!(of(&[2, 2], &[0.0, 1.0, 1.0, 2.0]), None);
        assert_eq!(of(&[0, 3], &[]), None);
    }

    #[test]
    fn too_many_buckets_are_merged_in_proportion() {
        let limits: Vec<f64> = (0..513).map(f64::from).collect();
        let Some(Value::Object(merged)) = histogram(&Histogram {
            min: -1.0,
            limits,
            counts: vec![1.0; 513],
        }) else {
            panic!("a histogram");
        };
        let numbers = |key: &str| match merged.get(key) {
            Some(Value::List(list)) => list.iter().filter_map(Value::as_f64).collect::<Vec<_>>(),
            _ => panic!("a list"),
        };
        let (edges, counts) = (numbers("bins"), numbers("values"));
        assert_eq!((edges.len(), counts.len()), (513, 512));
        assert_eq!(edges[..3], [-1.0, 0.001_953_125, 1.003_906_25]);
        assert_eq!(edges[512..], [512.0]);
        assert_eq!(counts[..1], [1.001_953_125]);
        assert!((counts.iter().sum::<f64>() - 513.0).abs() < 1e-9);
    }

    #[test]
    fn images_and_curves_become_files() {
        let image = png(5, 3, b"x");
        assert!(of(&writing::image("i", 5, 3, &image)).is_some());
        assert_eq!(of(&writing::image("i", 50, 30, &image)), None);
        let mut strings = Vec::new();
        put_number(&mut strings, 1, 7);
        for string in [b"5".as_slice(), b"3", &image, &image] {
            put_bytes(&mut strings, 8, string);
        }
        let text = of(&writing::tensor("i", "images", &[4], &strings)).expect("images");
        assert!(text.contains("\"count\":2"), "{text}");
        let curve = writing::tensor_of_doubles(
            "pr",
            "pr_curves",
            &[3, 2],
            &[9.0, 9.0, 0.5, 0.25, 1.0, 0.75],
        );
        let text = of(&curve).expect("a curve");
        assert!(text.contains("\"nrows\":2"), "{text}");
    }

    #[test]
    fn what_has_no_form_in_a_row_is_named() {
        let bytes = writing::event(
            1,
            0.0,
            &[
                writing::tensor("words", "text", &[], &[]),
                writing::tensor("sound", "audio", &[], &[]),
                writing::image("i", 5, 3, b"?"),
                writing::tensor("_hparams_", "hparams", &[], &[]),
            ],
        );
        let mut left_out = LeftOut::new();
        let event = decode(&bytes).expect("an event");
        for value in &event.values {
            assert_eq!(Converter::default().convert(value, &mut left_out), None);
        }
        let kinds: Vec<_> = left_out.into_iter().collect();
        assert_eq!(
            kinds,
            [
                ("audio", "sound".to_owned()),
                ("text", "words".to_owned()),
                ("unreadable images", "i".to_owned()),
            ]
        );
    }
}
