//! Rows become columns and Parquet, and come back equal.

use bytes::Bytes;
use proptest::prelude::*;
use runlane_history::{Chunk, FileIndex, HistoryError};
use runlane_model::json::{Object, Value, parse_object};

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        (-5i64..5).prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        (-5i32..5).prop_map(|whole| Value::Float(f64::from(whole))),
        prop::sample::select(vec![
            Value::Int(9_007_199_254_740_993),
            Value::Int(i64::MAX),
            Value::Int(i64::MIN),
            Value::Float(-0.0),
            Value::Float(f64::NAN),
            Value::Float(f64::INFINITY),
            Value::Float(f64::NEG_INFINITY),
            Value::Float(9.3e18),
            Value::Float(5e-324),
        ]),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => number(),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => ".{0,8}".prop_map(Value::Text),
        1 => prop::collection::vec(number(), 0..3).prop_map(Value::List),
        1 => Just(Value::Object(Object::new())),
        1 => any::<i64>().prop_map(media),
    ]
}

fn media(size: i64) -> Value {
    Value::Object(Object::from_iter([
        ("_type".to_owned(), Value::from("image-file")),
        ("size".to_owned(), Value::Int(size)),
        (
            "nested".to_owned(),
            Value::Object(Object::from_iter([("a".to_owned(), Value::Null)])),
        ),
    ]))
}

fn row() -> impl Strategy<Value = Object> {
    let key = "[ab.\\\\]{0,2}";
    let value = leaf().prop_recursive(2, 8, 3, move |inner| {
        prop::collection::hash_map(key, inner, 0..3)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    });
    prop::collection::hash_map(key, value, 0..5)
        .prop_map(|members| members.into_iter().collect::<Object>())
}

/// Equal, floats bit for bit (every NaN is the same NaN), key order free.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => {
            left.to_bits() == right.to_bits() || left.is_nan() && right.is_nan()
        }
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Value::Object(left), Value::Object(right)) => same_object(left, right),
        _ => left == right,
    }
}

fn same_object(left: &Object, right: &Object) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .all(|(key, l)| right.get(key).is_some_and(|r| same(l, r)))
}

fn assert_same(chunk: &Chunk, rows: &[Object]) -> Result<(), TestCaseError> {
    prop_assert_eq!(chunk.len(), rows.len());
    for (index, row) in rows.iter().enumerate() {
        let back = chunk.row(index);
        prop_assert!(
            same_object(&back, row),
            "row {}: {:?} became {:?}",
            index,
            row,
            back
        );
        let line = parse_object(&chunk.line(index)).expect("a line is an object");
        prop_assert!(same_object(&line, row));
    }
    Ok(())
}

fn lines(rows: &[Object]) -> Vec<String> {
    rows.iter()
        .map(|row| Value::Object(row.clone()).to_string())
        .collect()
}

/// Reads the columns of `keys` from the bytes that they need.
fn read_parts(index: &FileIndex, stored: &Bytes, keys: Option<&[&str]>) -> Chunk {
    let place = |at: u64| usize::try_from(at).expect("a small file");
    let ranges = index.ranges(keys);
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
    let parts = ranges
        .iter()
        .map(|range| Bytes::copy_from_slice(&stored[place(range.start)..place(range.end)]));
    index
        .decode(parts.collect(), keys)
        .expect("the bytes of its columns")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn rows_come_back_from_columns_and_from_parquet(
        rows in prop::collection::vec(row(), 0..12),
        first_line in 0u64..1_000_000,
    ) {
        let chunk = Chunk::from_lines(first_line, &lines(&rows)).unwrap();
        assert_same(&chunk, &rows)?;
        let stored = chunk.to_parquet().unwrap();
        let again = Chunk::from_parquet(stored.clone(), None).unwrap();
        prop_assert_eq!(again.first_line(), first_line);
        assert_same(&again, &rows)?;
        let index = FileIndex::read(&stored, stored.len() as u64).unwrap();
        assert_same(&read_parts(&index, &stored, None), &rows)?;
        // Each column by itself is as in the whole, from the whole file and from its bytes alone.
        let parts = chunk.columns().iter().flat_map(|column| {
            let keys = [column.name()];
            let whole = Chunk::from_parquet(stored.clone(), Some(&keys)).unwrap();
            [(column, whole), (column, read_parts(&index, &stored, Some(&keys)))]
        });
        for (column, part) in parts {
            prop_assert_eq!(part.len(), rows.len());
            let found = part.column(column.name()).expect("selected");
            for row in 0..rows.len() {
                match (found.value(row), column.value(row)) {
                    (Some(left), Some(right)) => prop_assert!(same(&left, &right)),
                    (left, right) => prop_assert_eq!(left.is_none(), right.is_none()),
                }
            }
        }
    }

    #[test]
    fn damaged_files_are_refused_or_read(
        rows in prop::collection::vec(row(), 1..6),
        cut in 1usize..400,
    ) {
        let stored = Chunk::from_lines(0, &lines(&rows)).unwrap().to_parquet().unwrap();
        let cut = cut.min(stored.len());
        let rest = stored.slice(..stored.len() - cut);
        prop_assert!(FileIndex::read(&rest, rest.len() as u64).is_err());
        prop_assert!(Chunk::from_parquet(rest, None).is_err());
        // Parts that are too short are an error too.
        let index = FileIndex::read(&stored, stored.len() as u64).unwrap();
        let parts: Vec<Bytes> = index.ranges(None).into_iter().map(|_| stored.slice(..4)).collect();
        prop_assert!(index.decode(parts, None).is_err());
        prop_assert!(index.decode(Vec::new(), None).is_err());
    }
}

#[test]
fn a_w_and_b_row_keeps_every_value() {
    let lines = [
        r#"{"_step":0,"_runtime":0.5,"loss":1,"odd":NaN,"big":9007199254740993,"a":{"b.c":{"d":1.5}}}"#,
        r#"{"_step":1,"_runtime":1,"loss":0.25,"odd":null,"name":"é\n","list":[1,NaN,"x"],"ok":true}"#,
        r#"{"_step":2,"odd":-Infinity,"loss":"diverged","image":{"_type":"image-file","path":"x.png"},"empty":{}}"#,
    ];
    let chunk = Chunk::from_lines(7, &lines).unwrap();
    let chunk = Chunk::from_parquet(chunk.to_parquet().unwrap(), None).unwrap();
    let names: Vec<_> = chunk
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "_step",
            "_runtime",
            "loss",
            "odd",
            "big",
            r"a.b\.c.d",
            "name",
            "list",
            "ok",
            "image",
            "empty"
        ]
    );
    for (index, line) in lines.iter().enumerate() {
        assert!(
            same_object(&chunk.row(index), &parse_object(line).unwrap()),
            "{line}"
        );
    }
    assert_eq!(chunk.steps(), [Some(0), Some(1), Some(2)]);
    let loss: Vec<_> = chunk.numbers("loss").unwrap().iter().collect();
    assert_eq!(loss, [Some(1.0), Some(0.25), None]);
    assert_eq!(chunk.points("_step", "loss").len(), 2);
    assert_eq!(
        chunk.points("_step", "odd").len(),
        2,
        "NaN and -Infinity count, null does not"
    );
    assert!(chunk.numbers("name").is_none());
}

#[test]
fn an_object_above_selects_what_is_below_it() {
    let lines = [r#"{"train":{"loss":1,"acc":2},"training":3,"_step":0}"#];
    let stored = Chunk::from_lines(0, &lines).unwrap().to_parquet().unwrap();
    let part = Chunk::from_parquet(stored, Some(&["train", "none"])).unwrap();
    assert_eq!(part.line(0), r#"{"train":{"loss":1,"acc":2}}"#);
}

#[test]
fn a_line_that_is_no_object_is_named() {
    let error = Chunk::from_lines(40, &["{}", "[1]"]).unwrap_err();
    assert!(
        matches!(error, HistoryError::Line { line: 41, .. }),
        "{error}"
    );
    let empty = Chunk::from_lines::<&str>(3, &[]).unwrap();
    let empty = Chunk::from_parquet(empty.to_parquet().unwrap(), None).unwrap();
    assert_eq!((empty.len(), empty.first_line()), (0, 3));
}

#[test]
fn rows_of_the_fixtures_come_back_equal() {
    // `big`, `odd` and the dotted key of fixture a, as wandb 0.31.0 uploads them.
    let expected = include_str!("../../../tests/fixtures/wandb-offline/a-scalars/expected.json");
    let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    for row in ["first_row", "last_row"] {
        let row = Value::from(expected["history"][row].clone());
        let chunk = Chunk::from_lines(0, &[row.to_string()]).unwrap();
        let back = Chunk::from_parquet(chunk.to_parquet().unwrap(), None).unwrap();
        assert!(same(&Value::Object(back.row(0)), &row));
    }
}
