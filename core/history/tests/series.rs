//! Buckets against brute force, the packed answer, and key statistics.

#![expect(
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "buckets are exact, not near; a failed test says where"
)]

use proptest::prelude::*;
use runlane_history::{
    Bucketizer, Chunk, Extent, KeyTable, Points, Series, bucketize, encode_series,
};
use runlane_model::json::Value;

/// The definition, point by point, on integers that all fit: no shortcuts shared with the crate.
fn brute_force(
    points: &[(i32, f64)],
    low: i32,
    high: i32,
    limit: u32,
) -> Vec<(f64, f64, f64, u32)> {
    let inside: Vec<_> = points
        .iter()
        .filter(|(x, _)| (low..=high).contains(x))
        .collect();
    let mut buckets = Vec::new();
    for bucket in 0..i64::from(limit) {
        let width = i64::from(high) - i64::from(low);
        let here = |x: i32| {
            let place = (i64::from(x) - i64::from(low)) * i64::from(limit);
            let index = if width == 0 { 0 } else { place / width };
            index.min(i64::from(limit) - 1) == bucket
        };
        let members: Vec<_> = inside.iter().filter(|(x, _)| here(*x)).collect();
        let Some(first) = members.iter().map(|(x, _)| *x).min() else {
            continue;
        };
        let finite: Vec<f64> = members
            .iter()
            .map(|(_, y)| *y)
            .filter(|y| y.is_finite())
            .collect();
        let (min, max) = if finite.is_empty() {
            (f64::NAN, f64::NAN)
        } else {
            (
                finite.iter().copied().fold(f64::INFINITY, f64::min),
                finite.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            )
        };
        buckets.push((
            f64::from(first),
            min,
            max,
            u32::try_from(members.len()).unwrap(),
        ));
    }
    buckets
}

fn same(left: f64, right: f64) -> bool {
    left == right || left.is_nan() && right.is_nan()
}

fn y_value() -> impl Strategy<Value = f64> {
    prop_oneof![8 => -1e3..1e3f64, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]
}

/// Points of one series, cut into chunks.
fn cut(points: &[(i32, f64)], size: usize) -> Vec<Points> {
    points
        .chunks(size)
        .map(|part| part.iter().map(|&(x, y)| (f64::from(x), y)).collect())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn buckets_agree_with_brute_force(
        points in prop::collection::vec((-300i32..300, y_value()), 0..400),
        sorted in any::<bool>(),
        chunk in 1usize..100,
        // Powers of two, so that neither side rounds.
        limit in prop::sample::select(vec![1u32, 2, 4, 8, 16, 64]),
        low in -320i32..300,
        width in prop::sample::select(vec![0i32, 1, 16, 64, 256, 512]),
    ) {
        let mut points = points;
        if sorted {
            points.sort_by_key(|(x, _)| *x);
        }
        let high = low + width;
        let range = Some((f64::from(low), f64::from(high)));
        let series = bucketize(&cut(&points, chunk), range, limit as usize);
        prop_assert_eq!(series.extent.points, points.len() as u64);
        let mut inside: Vec<_> =
            points.iter().copied().filter(|(x, _)| (low..=high).contains(x)).collect();
        if inside.len() <= limit as usize {
            prop_assert!(series.raw_points);
            inside.sort_by_key(|(x, _)| *x);
            prop_assert_eq!(series.x.len(), inside.len());
            for (index, (x, y)) in inside.into_iter().enumerate() {
                prop_assert_eq!(series.x[index], f64::from(x));
                for value in [series.min[index], series.max[index], series.mean[index]] {
                    prop_assert!(same(value, y));
                }
                prop_assert_eq!(series.count[index], 1);
            }
            return Ok(());
        }
        prop_assert!(!series.raw_points);
        let expected = brute_force(&points, low, high, limit);
        prop_assert_eq!(series.x.len(), expected.len());
        for (index, (x, min, max, count)) in expected.into_iter().enumerate() {
            prop_assert_eq!(series.x[index], x);
            prop_assert!(same(series.min[index], min));
            prop_assert!(same(series.max[index], max));
            prop_assert_eq!(series.count[index], count);
        }
    }

    #[test]
    fn means_are_exact_and_do_not_depend_on_chunks(
        values in prop::collection::vec(-1_000_000i32..1_000_000, 5..300),
        chunk in 1usize..50,
    ) {
        // Halves of integers this small add up without rounding, so the exact mean is known.
        let points: Vec<_> = (0..).zip(&values).map(|(x, &y)| (x, f64::from(y) / 2.0)).collect();
        let series = bucketize(&cut(&points, chunk), None, 1);
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        let count = f64::from(u32::try_from(values.len()).unwrap());
        prop_assert_eq!(series.mean[0], sum / 2.0 / count);
        prop_assert_eq!(series.extent.x_min, 0.0);
        prop_assert_eq!(series.extent.x_max, count - 1.0);
    }

    #[test]
    fn extreme_values_stay_ordered(
        points in prop::collection::vec((any::<f64>(), any::<f64>()), 2..200),
        limit in 1usize..20,
    ) {
        let all: Points = points.iter().copied().collect();
        let series = bucketize(std::slice::from_ref(&all), None, limit);
        let total: u64 = series.count.iter().map(|&count| u64::from(count)).sum();
        prop_assert_eq!(total, all.len() as u64);
        prop_assert!(series.x.is_sorted());
        for index in 0..series.x.len() {
            let (min, mean, max) = (series.min[index], series.mean[index], series.max[index]);
            prop_assert!(min.is_nan() || series.raw_points || min <= mean && mean <= max);
        }
    }
}

#[test]
fn sums_beyond_the_range_of_floats_still_have_a_mean() {
    let points: Points = [(0.0, f64::MAX), (1.0, f64::MAX), (2.0, f64::MAX)]
        .into_iter()
        .collect();
    let series = bucketize(&[points], None, 1);
    assert!((series.mean[0] / f64::MAX - 1.0).abs() < 1e-12);
    let tiny: Points = (0..10).map(|x| (f64::from(x), 0.1)).collect();
    assert_eq!(bucketize(&[tiny], None, 1).mean, [0.1]);
}

#[test]
fn ranges_without_points_are_empty() {
    let none = bucketize(&[], None, 10);
    assert!(none.x.is_empty() && none.raw_points && none.extent.x_min.is_nan());
    let points: Points = [(1.0, 2.0)].into_iter().collect();
    let outside = bucketize(std::slice::from_ref(&points), Some((5.0, 6.0)), 10);
    assert!(outside.x.is_empty());
    assert_eq!((outside.extent.points, outside.extent.x_min), (1, 1.0));
    let nonsense = bucketize(&[points], Some((f64::NAN, f64::NAN)), 10);
    assert!(nonsense.x.len() <= 1);
}

#[test]
fn streaming_gives_what_one_call_gives() {
    let chunks: Vec<Points> = (0..10)
        .map(|chunk| {
            (0..1000)
                .map(|row| (f64::from(chunk * 1000 + row), f64::from(row % 17)))
                .collect()
        })
        .collect();
    let mut extent = Extent::EMPTY;
    for points in &chunks {
        extent.add(points);
    }
    let mut bucketizer = Bucketizer::new(extent.x_min, extent.x_max, 100);
    for points in &chunks {
        bucketizer.add(points);
    }
    let series = bucketizer.finish();
    assert_eq!(series, bucketize(&chunks, None, 100));
    assert_eq!(series.count, [100; 100].map(|count: u32| count).to_vec());
}

#[test]
fn the_packed_answer_has_the_documented_layout() {
    let points: Points = [(1.0, 2.0), (3.0, f64::NAN), (5.0, 6.0)]
        .into_iter()
        .collect();
    let packed = encode_series(&[bucketize(&[points], None, 10), Series::unknown()]);
    let u32_at = |at: usize| u32::from_le_bytes(packed[at..at + 4].try_into().unwrap());
    let f64_at = |at: usize| f64::from_le_bytes(packed[at..at + 8].try_into().unwrap());
    assert_eq!(&packed[..4], b"RLS1");
    assert_eq!(u32_at(4), 2);
    assert_eq!(u32_at(8), 1, "raw points");
    assert_eq!(u64::from_le_bytes(packed[12..20].try_into().unwrap()), 3);
    assert_eq!((f64_at(20), f64_at(28)), (1.0, 5.0));
    assert_eq!((u32_at(36), u32_at(40)), (3, 0));
    assert_eq!([f64_at(44), f64_at(52), f64_at(60)], [1.0, 3.0, 5.0]);
    for column in 1..4 {
        let at = 44 + column * 24;
        assert_eq!((f64_at(at), f64_at(at + 16)), (2.0, 6.0));
        assert!(f64_at(at + 8).is_nan());
    }
    assert_eq!([u32_at(140), u32_at(144), u32_at(148)], [1, 1, 1]);
    assert_eq!(u32_at(152), 3, "the next series begins at a multiple of 8");
    assert_eq!(u32_at(152 + 28), 0);
    assert_eq!(packed.len(), 192);
}

#[test]
fn key_statistics_follow_the_rows() {
    let lines = [
        r#"{"_step":0,"loss":3,"name":"a","m":{"_type":"histogram","bins":[]},"x":null}"#,
        r#"{"_step":4,"loss":NaN,"name":7,"flag":true,"l":[1],"e":{}}"#,
        r#"{"_step":9,"loss":2.5}"#,
    ];
    let mut table = KeyTable::default();
    for (first, line) in (0..).zip(lines) {
        table.add_chunk(&Chunk::from_lines(first, &[line]).unwrap());
        // Storing in between changes nothing.
        table = KeyTable::from_json(&table.to_json()).unwrap();
    }
    let mut whole = KeyTable::default();
    whole.add_chunk(&Chunk::from_lines(0, &lines).unwrap());
    assert_eq!(whole, table);

    // What is known of parts that follow each other is what is known of the whole.
    for cut in 0..=lines.len() {
        let part = |first, lines: &[&str]| {
            let mut table = KeyTable::default();
            table.add_chunk(&Chunk::from_lines(first, lines).unwrap());
            table
        };
        let mut joined = part(0, &lines[..cut]);
        joined.follow(&part(u64::try_from(cut).unwrap(), &lines[cut..]));
        assert_eq!(joined.to_json(), whole.to_json(), "cut at {cut}");
    }

    assert_eq!(table.last_step(), Some(9));
    let loss = table.get("loss").unwrap();
    assert_eq!((loss.count(), loss.is_monotonic()), (3, false));
    assert_eq!(loss.last_value, Some(Value::Float(2.5)));
    assert!(table.get("_step").unwrap().is_monotonic());
    let counts = |key: &str| -> Vec<(String, u64)> {
        table
            .get(key)
            .unwrap()
            .type_counts
            .clone()
            .into_iter()
            .collect()
    };
    assert_eq!(
        counts("name"),
        [("number".to_owned(), 1), ("string".to_owned(), 1)]
    );
    assert_eq!(counts("m"), [("histogram".to_owned(), 1)]);
    assert_eq!(counts("l"), [("list".to_owned(), 1)]);
    assert_eq!(counts("e"), [("object".to_owned(), 1)]);
    assert_eq!(counts("x"), [("null".to_owned(), 1)]);
    assert_eq!(counts("flag"), [("boolean".to_owned(), 1)]);

    let keys = table.history_keys().to_strict();
    assert_eq!(keys["lastStep"], 9);
    assert_eq!(keys["sets"], serde_json::json!([]));
    assert_eq!(
        keys["keys"]["loss"],
        serde_json::json!({
            "typeCounts": [{"type": "number", "count": 3}], "monotonic": false, "previousValue": 2.5
        })
    );
}
