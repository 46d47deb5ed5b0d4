//! What filters select, and that the laws of logic hold.

use proptest::prelude::*;

use super::path;
use super::*;
use crate::json::{Object, Value, parse_object};

/// Finds a text literally: enough of a regular expression for tests.
#[derive(Debug)]
struct Literal(String);

impl Pattern for Literal {
    fn is_match(&self, text: &str) -> bool {
        text.contains(&self.0)
    }
}

fn literal(pattern: &str) -> Result<Box<dyn Pattern>, String> {
    if pattern == "(" {
        return Err("a group is not closed".to_owned());
    }
    Ok(Box::new(Literal(pattern.to_owned())))
}

fn filter(text: &str) -> Filter {
    Filter::parse(Some(text), &literal).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A run whose config and summary are given; everything else is fixed.
#[derive(Debug)]
struct Example {
    config: Object,
    summary: Object,
    tags: Vec<String>,
}

impl Example {
    fn new(config: &str, summary: &str) -> Self {
        Self {
            config: parse_object(config).expect("a config"),
            summary: parse_object(summary).expect("a summary"),
            tags: vec!["odd".into(), "x".into()],
        }
    }

    fn at(&self, key: &Key) -> Cell<'_> {
        match key {
            Key::Config(place) => Cell::of(path::in_config(&self.config, place)),
            Key::Summary(place) => Cell::of(path::in_object(&self.summary, place)),
            Key::Logged(place) => presence(path::in_object(&self.summary, place).is_some()),
            Key::HasTag(tag) => presence(self.tags.contains(tag)),
            Key::Metadata(_) => Cell::Missing,
            Key::Field(field) => match field {
                Field::Name => Cell::Text("run0"),
                Field::DisplayName => Cell::Text("name-0"),
                Field::State => Cell::Text("finished"),
                // 2023-11-14T22:13:20.5
                Field::CreatedAt | Field::HeartbeatAt => Cell::Time(1_700_000_000_500_000),
                Field::Tags => Cell::Texts(self.tags.iter().map(String::as_str).collect()),
                Field::Group => Cell::Text("g0"),
                Field::JobType => Cell::Text("train"),
                Field::Username | Field::Entity => Cell::Text("alice"),
                Field::Duration => Cell::Float(12.5),
                Field::InputArtifacts | Field::OutputArtifacts => Cell::Texts(Vec::new()),
                _ => Cell::Missing,
            },
        }
    }
}

fn presence(is_there: bool) -> Cell<'static> {
    if is_there {
        Cell::Bool(true)
    } else {
        Cell::Missing
    }
}

struct Asked<'a>(&'a Example, &'a [Key]);

impl Values for Asked<'_> {
    fn cell(&self, key: usize) -> Cell<'_> {
        self.0.at(&self.1[key])
    }
}

fn matches(filter: &Filter, run: &Example) -> bool {
    filter.matches(&Asked(run, filter.keys()))
}

fn example() -> Example {
    Example::new(
        r#"{"lr":{"value":0.1},"nested":{"value":{"x":1,"l":[5,{"y":6}]}},"a.b":{"value":2},"opt":{"value":{"name":"adam"}},
            "none":{"value":null},"on":{"value":true},"layers":{"value":[64,32]},"empty":{"value":[]},"text":{"value":"10"},
            "big":{"value":9007199254740993}}"#,
        r#"{"loss":1.0,"train":{"acc":NaN,"f1":0.5},"_runtime":12.5,"_step":7,"top":Infinity}"#,
    )
}

#[test]
fn documented_filters_select_as_documented() {
    let run = example();
    let cases = [
        ("{}", true),
        (r#"{"state": "finished"}"#, true),
        (r#"{"state": {"$in": ["running", "crashed"]}}"#, false),
        (r#"{"config.lr": {"$gt": 0.05}}"#, true),
        (r#"{"config.lr.value": {"$gt": 0.5}}"#, false),
        (r#"{"config.nested.x": 1}"#, true),
        (r#"{"config.nested.value.x": 1.0}"#, true),
        (r#"{"config.nested.l.1.y": 6}"#, true),
        (r#"{"config.a.b": 2}"#, true),
        (r#"{"summary_metrics.loss": {"$lt": 1.5}}"#, true),
        (r#"{"summary.loss": 1}"#, true),
        (r#"{"summary_metrics.train.f1": 0.5}"#, true),
        (r#"{"summary_metrics.missing": {"$lt": 1.5}}"#, false),
        (r#"{"summary_metrics.missing": null}"#, true),
        (r#"{"summary_metrics.missing": {"$ne": 1}}"#, true),
        (r#"{"summary_metrics.missing": {"$nin": [1]}}"#, true),
        (r#"{"config.none": null}"#, true),
        (r#"{"config.none": {"$exists": true}}"#, true),
        (r#"{"config.none": {"$in": [null, 1]}}"#, true),
        (r#"{"config.none": {"$lte": 0}}"#, false),
        (r#"{"config.on": true}"#, true),
        (r#"{"config.on": 1}"#, false),
        (r#"{"config.text": 10}"#, false),
        (r#"{"config.text": {"$gt": 1}}"#, false),
        (r#"{"config.text": {"$gte": "10"}}"#, true),
        (r#"{"config.big": 9007199254740992}"#, false),
        (r#"{"config.big": 9007199254740993}"#, true),
        (r#"{"config.big": {"$gt": 9007199254740992.0}}"#, true),
        (r#"{"summary_metrics.train.acc": {"$gt": 0}}"#, false),
        (r#"{"summary_metrics.train.acc": {"$lte": 0}}"#, false),
        (r#"{"summary_metrics.train.acc": {"$exists": true}}"#, true),
        (r#"{"summary_metrics.top": {"$gt": 1e308}}"#, true),
        (r#"{"summary_metrics.top": Infinity}"#, true),
        (r#"{"tags": {"$in": ["odd"]}}"#, true),
        (r#"{"tags": "even"}"#, false),
        (r#"{"tags": {"$ne": "odd"}}"#, false),
        (r#"{"tags": {"$ne": "even"}}"#, true),
        (r#"{"tags": null}"#, false),
        (r#"{"tags": {"$all": ["x", "odd"]}}"#, true),
        (r#"{"tags": {"$all": ["x", "even"]}}"#, false),
        (r#"{"tags": {"$all": []}}"#, false),
        (r#"{"tags": {"$size": 2}}"#, true),
        (r#"{"tags": ["odd", "x"]}"#, true),
        (r#"{"tags": ["x", "odd"]}"#, false),
        (r#"{"tags": {"$regex": "od"}}"#, true),
        (r#"{"tags.odd": true}"#, true),
        (r#"{"tags.even": {"$exists": false}}"#, true),
        (r#"{"inputArtifacts": null}"#, true),
        (r#"{"outputArtifacts": "model:v0"}"#, false),
        (r#"{"keys_info.keys.loss": {"$exists": true}}"#, true),
        (r#"{"keys_info.keys.none": {"$exists": true}}"#, false),
        (r#"{"displayName": {"$regex": "name-"}}"#, true),
        (r#"{"display_name": {"$contains": "ame"}}"#, true),
        (r#"{"$or": [{"name": "run0"}, {"group": "g1"}]}"#, true),
        (r#"{"$or": [{"name": "run1"}, {"name": "run0"}]}"#, true),
        (
            r#"{"$nor": [{"name": "run1"}, {"name": {"$eq": "run0"}}]}"#,
            false,
        ),
        (
            r#"{"$or": [{"$and": [{"group": "g0"}, {"state": "finished"}]}]}"#,
            true,
        ),
        (r#"{"$or": []}"#, false),
        (r#"{"$and": []}"#, true),
        (r#"{"$nor": []}"#, true),
        (r#"{"$nor": [{"name": "run0"}]}"#, false),
        (r#"{"$not": {"name": "run0"}}"#, false),
        (r#"{"jobType": "train", "username": "alice"}"#, true),
        (r#"{"jobType": "train", "username": "bob"}"#, false),
        (r#"{"sweep": null}"#, true),
        (r#"{"$and": [{"sweep": "cee3abd6"}]}"#, false),
        (r#"{"config.lr": {"$not": {"$gt": 0.05}}}"#, false),
        (r#"{"config.lr": {"$gt": 0.05, "$lt": 0.1}}"#, false),
        (
            r#"{"config.lr": {"$exists": true}, "config.zz": {"$exists": false}}"#,
            true,
        ),
        (r#"{"config.lr": "0.1"}"#, false),
        (r#"{"config.lr": {"$nin": [0.2, 0.3]}}"#, true),
        (r#"{"config.lr": {"$in": [3, "x", 0.1, null]}}"#, true),
        (r#"{"config.opt": {"name": "adam"}}"#, true),
        (r#"{"config.layers": 32}"#, true),
        (r#"{"config.layers": [64, 32.0]}"#, true),
        (r#"{"config.layers": {"$gt": 60}}"#, true),
        (r#"{"config.layers.0": 64}"#, true),
        (r#"{"config.layers": {"$size": 2}}"#, true),
        (r#"{"config.lr": {"$size": 1}}"#, false),
        (r#"{"config.empty": null}"#, false),
        (r#"{"duration": {"$gte": 10}}"#, true),
        (r#"{"_step": 7, "_runtime": {"$lt": 13}}"#, true),
        (r#"{"_timestamp": {"$exists": false}}"#, true),
    ];
    for (text, expected) in cases {
        assert_eq!(matches(&filter(text), &run), expected, "{text}");
    }
}

#[test]
fn times_are_compared_as_they_are_written() {
    let run = example();
    let cases = [
        (r#"{"createdAt": {"$gt": "2020-01-01T00:00:00"}}"#, true),
        (r#"{"created_at": {"$lt": "2020-01"}}"#, false),
        (r#"{"createdAt": "2023-11-14T22:13:20"}"#, true),
        (r#"{"createdAt": "2023-11-14T22:13:20Z"}"#, true),
        (r#"{"createdAt": "2023-11-14T23:13:20+01:00"}"#, true),
        (r#"{"createdAt": {"$ne": "2023-11-14T22:13:20"}}"#, false),
        (r#"{"createdAt": {"$in": ["2022", "2023-11"]}}"#, true),
        (r#"{"createdAt": {"$lte": "2023-11-14T22:13:20"}}"#, true),
        (r#"{"createdAt": {"$gt": "2023-11-14T22:13:20"}}"#, false),
        (r#"{"createdAt": {"$gt": "2023-11-14T22:13:20.4"}}"#, true),
        (
            r#"{"createdAt": {"$gte": "2023-11-14T22:13:20.500001"}}"#,
            false,
        ),
        (r#"{"createdAt": {"$gt": "2023-11"}}"#, true),
        (r#"{"createdAt": {"$lte": "2023-11"}}"#, false),
        (
            r#"{"createdAt": {"$gte": "2023-11-14", "$lt": "2023-11-15"}}"#,
            true,
        ),
        (r#"{"createdAt": null}"#, false),
        (r#"{"createdAt": {"$regex": "2023-11-14T22"}}"#, true),
        (r#"{"heartbeat_at": {"$gt": "2023"}}"#, true),
    ];
    for (text, expected) in cases {
        assert_eq!(matches(&filter(text), &run), expected, "{text}");
    }
}

#[test]
fn faults_are_named_with_their_place() {
    let deep = format!("{}{{}}{}", r#"{"$and": ["#.repeat(30), "]}".repeat(30));
    let deep_not = format!(
        r#"{{"config.x": {}1{}}}"#,
        r#"{"$not":"#.repeat(60),
        "}".repeat(60)
    );
    let patterns = format!(
        r#"{{"$and": [{}]}}"#,
        vec![r#"{"name": {"$regex": "x"}}"#; 51].join(",")
    );
    let long = format!(r#"{{"name": "{}"}}"#, "x".repeat(300_000));
    let long_pattern = format!(r#"{{"name": {{"$regex": "{}"}}}}"#, "x".repeat(5_000));
    let long_key = format!(r#"{{"config.{}": 1}}"#, "x".repeat(5_000));
    let many = format!(
        r#"{{"$and": [{}]}}"#,
        vec![r#"{"name":{"$ne":"x"}}"#; 1_001].join(",")
    );
    let cases = [
        ("[1]", "", "not an object"),
        ("{", "", ""),
        ("1", "", "not an object"),
        (
            r#"{"config.lr": {"$where": "1"}}"#,
            "/config.lr/$where",
            "`$where`",
        ),
        (r#"{"$where": "1"}"#, "/$where", "`$where`"),
        (
            r#"{"config.lr": {"$gt": 1, "x": 2}}"#,
            "/config.lr/x",
            "among operators",
        ),
        (r#"{"name": {"$regex": "("}}"#, "/name/$regex", "not closed"),
        (r#"{"name": {"$regex": 5}}"#, "/name/$regex", "needs a text"),
        (r#"{"name": {"$in": "x"}}"#, "/name/$in", "needs a list"),
        (
            r#"{"name": {"$gt": {"a": 1}}}"#,
            "/name/$gt",
            "number or a text",
        ),
        (
            r#"{"name": {"$lt": null}}"#,
            "/name/$lt",
            "number or a text",
        ),
        (
            r#"{"name": {"$exists": 1}}"#,
            "/name/$exists",
            "true or false",
        ),
        (r#"{"tags": {"$size": -1}}"#, "/tags/$size", "whole number"),
        (r#"{"tags": {"$size": 1.5}}"#, "/tags/$size", "whole number"),
        (r#"{"name": {"$not": 5}}"#, "/name/$not", "operators"),
        (r#"{"$not": []}"#, "/$not", "needs an object"),
        (r#"{"$and": {}}"#, "/$and", "needs a list"),
        (
            r#"{"createdAt": {"$gt": "yesterday"}}"#,
            "/createdAt/$gt",
            "a time",
        ),
        (r#"{"createdAt": 5}"#, "/createdAt", "a time"),
        (r#"{"config.lr": NaN}"#, "/config.lr", "NaN"),
        (
            r#"{"config.lr": {"$in": [1, NaN]}}"#,
            "/config.lr/$in",
            "NaN",
        ),
        (r#"{"name": "a\u0000b"}"#, "/name", "NUL"),
        (r#"{"config.a\u0000b": 1}"#, r"/config.a\u{0}b", "NUL"),
        (r#"{"nonsense": 1}"#, "/nonsense", "`nonsense`"),
        (r#"{"config.": 1}"#, "/config.", "`config.`"),
        (r#"{"config": {"a": 1}}"#, "/config", "`config`"),
        (
            r#"{"name'; DROP TABLE runs; --": 1}"#,
            "/name'; DROP TABLE runs; --",
            "no key",
        ),
        (r#"{"$or": [1]}"#, "/$or/0", "not an object"),
        (
            r#"{"$or": [{"a/b~": 1}, {"a/b~": 2}]}"#,
            "/$or/0/a~1b~0",
            "no key",
        ),
        (&deep, "/$and/0/$and", "nested"),
        (&deep_not, "$not/$not", "nested"),
        (&patterns, "/$and/50/name/$regex", "more than 50"),
        (&long, "", "longer than"),
        (&long_pattern, "/name/$regex", "more than 4096"),
        (&long_key, "…", "more than 4096"),
        (&many, "/name", "more than 2000"),
    ];
    for (text, pointer, what) in cases {
        let shown = &text[..text.len().min(80)];
        let error = Filter::parse(Some(text), &literal).expect_err(shown);
        assert!(error.pointer.contains(pointer), "{shown}: {error}");
        assert!(error.what.contains(what), "{shown}: {error}");
        assert!(error.to_string().len() < 1_000, "{shown}");
    }
}

#[test]
fn a_long_list_of_names_is_one_condition() {
    let names: Vec<_> = (0..5_000)
        .map(|at| format!(r#"{{"name":"run{at}"}}"#))
        .collect();
    let any = filter(&format!(r#"{{"$or":[{}]}}"#, names.join(",")));
    assert!(matches(&any, &example()));
    assert_eq!(any.names().map(|names| names.len()), Some(5_000));
    assert_eq!(
        filter(r#"{"name": "a", "state": "x"}"#).names(),
        Some(vec!["a"])
    );
    assert_eq!(
        filter(r#"{"name": {"$in": ["b", "a"]}}"#).names(),
        Some(vec!["a", "b"])
    );
    for open in [
        "{}",
        r#"{"name": {"$ne": "a"}}"#,
        r#"{"$or": [{"name": "a"}, {"state": "x"}]}"#,
        r#"{"$not": {"name": "a"}}"#,
        r#"{"name": {"$in": ["a", null]}}"#,
        r#"{"displayName": "a"}"#,
    ] {
        assert_eq!(filter(open).names(), None, "{open}");
    }
}

#[test]
fn equal_filters_have_equal_texts() {
    assert_eq!(
        filter(r#"{ "name" : "a" }"#).text(),
        filter(r#"{"name":"a"}"#).text()
    );
    for everything in [None, Some(""), Some("null"), Some("{}"), Some(" ")] {
        let filter = Filter::parse(everything, &literal).expect("everything");
        assert!(filter.is_everything() && filter.text() == "{}");
        assert!(matches(&filter, &example()));
    }
}

fn sorted(order: &str, summaries: &[&str]) -> String {
    let order = Order::parse(Some(order)).expect(order);
    let runs: Vec<_> = summaries
        .iter()
        .map(|summary| Example::new("{}", summary))
        .collect();
    let mut places: Vec<_> = (0..runs.len()).collect();
    let key = |place: usize| SortKey::of(runs[place].at(&order.key));
    places.sort_by(|left, right| {
        order
            .compare(key(*left).as_ref(), key(*right).as_ref())
            .then(left.cmp(right))
    });
    places.iter().map(ToString::to_string).collect()
}

#[test]
fn missing_values_come_last_in_both_directions() {
    let summaries = [
        r#"{"s":NaN}"#,
        r#"{"s":2}"#,
        "{}",
        r#"{"s":10}"#,
        r#"{"s":2}"#,
    ];
    assert_eq!(sorted("+summary_metrics.s", &summaries), "14302");
    assert_eq!(sorted("-summary_metrics.s", &summaries), "31402");
    assert_eq!(sorted("summary.s", &summaries), "14302");
}

#[test]
fn values_of_different_types_are_kept_apart() {
    let summaries = [
        r#"{"s":"b"}"#,
        r#"{"s":[1]}"#,
        r#"{"s":Infinity}"#,
        r#"{"s":true}"#,
        r#"{"s":null}"#,
        r#"{"s":"a"}"#,
        r#"{"s":-1}"#,
    ];
    assert_eq!(sorted("+summary_metrics.s", &summaries), "3625014");
    assert_eq!(sorted("-summary_metrics.s", &summaries), "1052634");
}

#[test]
fn orders_name_their_keys_in_every_spelling() {
    for (text, descending) in [
        ("+created_at", false),
        ("created_at", false),
        ("-createdAt", true),
        ("", false),
    ] {
        let order = Order::parse(Some(text)).expect(text);
        assert!(order.is_creation(), "{text}");
        assert_eq!(order.descending, descending, "{text}");
    }
    for text in [
        "+heartbeat_at",
        "-updatedAt",
        "name",
        "displayName",
        "state",
        "+duration",
        "tags",
        "-config.lr.value",
        "summary_metrics.a.b",
    ] {
        assert!(Order::parse(Some(text)).is_ok(), "{text}");
    }
    for text in [
        "+nonsense",
        "+",
        "--name",
        "config.",
        "name,state",
        "+summary_metrics",
    ] {
        assert!(Order::parse(Some(text)).is_err(), "{text}");
    }
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3_i64..3).prop_map(Value::Int),
        (-3_i64..3).prop_map(|half| Value::from(f64::from(i32::try_from(half).unwrap_or(0)) / 2.0)),
        "[ab]{0,2}".prop_map(Value::Text),
    ]
}

fn any_stored() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any_scalar(), Just(Value::Float(f64::NAN))];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::hash_map("[ab]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_run() -> impl Strategy<Value = Example> {
    let object = || {
        prop::collection::hash_map("[ab](\\.[ab])?", any_stored(), 0..4)
            .prop_map(|members| members.into_iter().collect::<Object>())
    };
    (object(), object()).prop_map(|(config, summary)| Example {
        config,
        summary,
        tags: vec!["a".into()],
    })
}

fn any_condition() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "config\\.[ab](\\.[ab01])?",
        "summary_metrics\\.[ab](\\.[ab01])?",
        Just("tags".to_owned()),
        Just("tags.a".to_owned()),
    ];
    let operand = prop_oneof![
        (prop::sample::select(vec!["$eq", "$ne"]), any_scalar())
            .prop_map(|(operator, value)| format!(r#""{operator}":{value}"#)),
        (
            prop::sample::select(vec!["$gt", "$gte", "$lt", "$lte"]),
            -2_i64..3
        )
            .prop_map(|(operator, value)| format!(r#""{operator}":{value}"#)),
        (
            prop::sample::select(vec!["$in", "$nin", "$all"]),
            prop::collection::vec(any_scalar(), 0..3)
        )
            .prop_map(|(operator, values)| format!(r#""{operator}":{}"#, Value::List(values))),
        any::<bool>().prop_map(|wanted| format!(r#""$exists":{wanted}"#)),
        "[ab]".prop_map(|part| format!(r#""$contains":"{part}""#)),
        (0_u8..3).prop_map(|size| format!(r#""$size":{size}"#)),
    ];
    (key, operand).prop_map(|(key, operand)| format!(r#"{{"{key}":{{{operand}}}}}"#))
}

proptest! {
    #[test]
    fn negation_and_de_morgan_hold(run in any_run(), a in any_condition(), b in any_condition()) {
        let says = |text: String| matches(&filter(&text), &run);
        let (one, two) = (says(a.clone()), says(b.clone()));
        prop_assert_eq!(says(format!(r#"{{"$not":{a}}}"#)), !one);
        prop_assert_eq!(says(format!(r#"{{"$and":[{a},{b}]}}"#)), one && two);
        prop_assert_eq!(says(format!(r#"{{"$or":[{a},{b}]}}"#)), one || two);
        prop_assert_eq!(says(format!(r#"{{"$nor":[{a},{b}]}}"#)), !(one || two));
        prop_assert_eq!(
            says(format!(r#"{{"$not":{{"$and":[{a},{b}]}}}}"#)),
            says(format!(r#"{{"$or":[{{"$not":{a}}},{{"$not":{b}}}]}}"#))
        );
    }

    #[test]
    fn membership_is_a_disjunction_of_equalities(
        run in any_run(),
        key in "(config|summary)\\.[ab](\\.[ab01])?",
        values in prop::collection::vec(any_scalar(), 0..4),
    ) {
        let says = |text: String| matches(&filter(&text), &run);
        let list = Value::List(values.clone());
        let within = says(format!(r#"{{"{key}":{{"$in":{list}}}}}"#));
        let any = values.iter().any(|value| says(format!(r#"{{"{key}":{value}}}"#)));
        prop_assert_eq!(within, any);
        prop_assert_eq!(says(format!(r#"{{"{key}":{{"$nin":{list}}}}}"#)), !within);
        let or: Vec<_> = values.iter().map(|value| format!(r#"{{"{key}":{{"$eq":{value}}}}}"#)).collect();
        prop_assert_eq!(says(format!(r#"{{"$or":[{}]}}"#, or.join(","))), any);
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"[{}\[\]":,$a-z0-9 .]{0,60}"#) {
        let _outcome = Filter::parse(Some(&text), &literal);
        let _outcome = Order::parse(Some(&text));
    }

    #[test]
    fn orders_are_total(left in any_stored(), middle in any_stored(), right in any_stored()) {
        let order = Order { key: Key::Summary("a".into()), descending: false };
        let key = |value| SortKey::of(Cell::of(Some(value)));
        let (left, middle, right) = (key(&left), key(&middle), key(&right));
        let compare = |a: &Option<SortKey<'_>>, b: &Option<SortKey<'_>>| order.compare(a.as_ref(), b.as_ref());
        prop_assert_eq!(compare(&left, &right), compare(&right, &left).reverse());
        if compare(&left, &middle).is_le() && compare(&middle, &right).is_le() {
            prop_assert!(compare(&left, &right).is_le());
        }
    }

    #[test]
    fn sort_keys_survive_a_cursor(value in any_stored()) {
        let key = SortKey::of(Cell::of(Some(&value)));
        let again = key.as_ref().and_then(|key| SortKey::from_value(key.to_value()));
        prop_assert_eq!(key, again);
    }
}
