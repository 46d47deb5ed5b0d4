//! Columns answer as the documents do, whatever has been put in and taken out before.

use proptest::prelude::*;
use runlane_model::json::{Object, Value};
use runlane_model::run_filter::{Filter, Order};

use super::documents::Documents;
use super::search::{self, Gathering, Search, position};
use super::table::RunTable;
use super::*;

/// A run with a little of everything.
pub(super) fn example(id: i64, config: &str, summary: &str) -> RunRow {
    RunRow {
        id,
        project_id: 1,
        project: "p".into(),
        entity: "alice".into(),
        name: format!("run{id}"),
        display_name: format!("name-{id}"),
        username: Some("alice".into()),
        description: None,
        notes: None,
        tags: r#"["odd","x"]"#.into(),
        state: "finished".into(),
        group_name: Some("g0".into()),
        job_type: Some("train".into()),
        commit_hash: None,
        host: None,
        program: None,
        repo: None,
        sweep_name: None,
        config: config.into(),
        summary: summary.into(),
        exit_code: Some(0),
        stop_requested: false,
        created_at_micros: 1_700_000_000_000_000 + id % 3,
        heartbeat_at_micros: 1_700_000_100_000_000,
        history_line_count: 0,
        events_line_count: 0,
        log_line_count: 0,
        last_step: None,
        lost_rows: 0,
        version: 1,
        deleted_at_micros: None,
        generation: 0,
        archive_of: None,
    }
}

fn search(filter: &str, order: &str, after: Option<&Position<'_>>, first: usize) -> Search {
    Search {
        filter: parse_filter(Some(filter)).unwrap_or_else(|error| panic!("{filter}: {error:?}")),
        order: Order::parse(Some(order)).expect(order),
        after: after.cloned().map(Position::into_owned),
        first,
    }
}

/// The answer of the plain documents: (total, ids, whether there are more).
fn plain(runs: &[RunRow], search: &Search) -> (i64, Vec<i64>, bool) {
    let mut gathering = Gathering::new(search, search.after.clone());
    for run in runs {
        if search
            .filter
            .matches(&Documents::new(run, search.filter.keys()))
        {
            let documents = Documents::new(run, &[]);
            let cell = documents.at(search.order_key());
            gathering.add(position(cell, run.created_at_micros, run.id).into_owned());
        }
    }
    let found = gathering.finish();
    let ids = found.page.iter().map(|run| run.id).collect();
    (found.total, ids, found.has_next)
}

fn columns(table: &RunTable, search: &Search) -> (i64, Vec<i64>, bool) {
    let found = search::in_table(table, search).expect("the run is there");
    let ids = found.page.iter().map(|run| run.id).collect();
    (found.total, ids, found.has_next)
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3_i64..3).prop_map(Value::Int),
        (-2_i8..2).prop_map(|half| Value::Float(f64::from(half) / 2.0)),
        Just(Value::Float(f64::NAN)),
        "[ab]{0,2}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            any_object(inner).prop_map(Value::Object),
        ]
    })
}

fn any_object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Object> {
    let key = prop_oneof![
        "[ab]",
        "[ab]\\.[ab01]",
        Just("value".to_owned()),
        Just("_type".to_owned()),
        "[01]"
    ];
    prop::collection::hash_map(key, value, 0..4).prop_map(|members| members.into_iter().collect())
}

fn any_config() -> impl Strategy<Value = String> {
    let entry = (any_value(), any::<bool>()).prop_map(|(value, wrapped)| {
        if wrapped {
            Value::Object([("value".to_owned(), value)].into())
        } else {
            value
        }
    });
    let machine = prop_oneof![
        Just(Value::Object(Object::new())),
        any_object(any_value()).prop_map(Value::Object),
        "[ab]".prop_map(|host| Value::Object([("host".to_owned(), Value::Text(host))].into())),
    ];
    (any_object(entry), machine).prop_map(|(mut config, machine)| {
        let entries = Value::Object([("w1".to_owned(), machine)].into());
        let inner = Value::Object([("e".to_owned(), entries)].into());
        let wrapped = Value::Object([("value".to_owned(), inner)].into());
        config.insert("_wandb".to_owned(), wrapped);
        Value::Object(config).to_string()
    })
}

fn any_run() -> impl Strategy<Value = RunRow> {
    let summary = any_object(any_value()).prop_map(|summary| Value::Object(summary).to_string());
    let tags = prop::sample::select(vec!["[]", r#"["a"]"#, r#"["a","b"]"#]);
    let group = prop::option::of("[ab]");
    (1_i64..12, any_config(), summary, tags, group).prop_map(
        |(id, config, summary, tags, group_name)| RunRow {
            tags: tags.into(),
            group_name,
            ..example(id, &config, &summary)
        },
    )
}

fn any_key() -> impl Strategy<Value = String> {
    let part = "([ab01]|value|_type)(\\.([ab01]|value)){0,3}";
    prop_oneof![
        4 => part.prop_map(|path| format!("config.{path}")),
        4 => part.prop_map(|path| format!("summary_metrics.{path}")),
        1 => part.prop_map(|path| format!("metadata.{path}")),
        1 => part.prop_map(|path| format!("keys_info.keys.{path}")),
        2 => prop::sample::select(vec![
            "tags", "tags.a", "group", "host", "duration", "createdAt", "heartbeatAt", "name", "username", "entity",
            "config._wandb", "config._wandb.e.w1", "metadata.host", "sweep", "inputArtifacts", "state",
        ])
        .prop_map(str::to_owned),
    ]
}

fn any_condition() -> impl Strategy<Value = String> {
    let operand = prop_oneof![
        any_value()
            .prop_filter("NaN is refused", |value| !value.to_string().contains("NaN"))
            .prop_map(|value| format!(r#"{{"$eq":{value}}}"#)),
        (prop::sample::select(vec!["$gt", "$lte"]), -2_i64..3)
            .prop_map(|(operator, limit)| format!(r#"{{"{operator}":{limit}}}"#)),
        Just(r#"{"$in":[1,"a",null,true]}"#.to_owned()),
        Just(r#"{"$all":["a",1]}"#.to_owned()),
        (0_u8..3).prop_map(|size| format!(r#"{{"$size":{size}}}"#)),
        any::<bool>().prop_map(|wanted| format!(r#"{{"$exists":{wanted}}}"#)),
        Just(r#"{"$regex":"^a"}"#.to_owned()),
    ];
    (any_key(), operand).prop_map(|(key, operand)| format!(r#"{{"{key}":{operand}}}"#))
}

/// Conditions that do not fit the type of a key are refused, which is tested elsewhere.
fn readable(filter: &str) -> Option<Filter> {
    parse_filter(Some(filter)).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn columns_answer_as_the_documents_do(
        changes in prop::collection::vec((any_run(), prop::bool::weighted(0.8)), 1..20),
        filters in prop::collection::vec(any_condition(), 6),
        order in any_key(),
    ) {
        let mut table = RunTable::default();
        let mut twin: BTreeMap<i64, RunRow> = BTreeMap::new();
        for (run, put) in changes {
            if put {
                table.put(&run);
                twin.insert(run.id, run);
            } else {
                table.remove(run.id, Some(2));
                twin.remove(&run.id);
            }
        }
        let runs: Vec<RunRow> = twin.into_values().collect();
        prop_assert_eq!(table.len(), runs.len());
        for filter in filters.iter().filter(|filter| readable(filter).is_some()) {
            for sign in ["+", "-"] {
                let order = format!("{sign}{order}");
                let mut after: Option<Position<'static>> = None;
                loop {
                    let asked = search(filter, &order, after.as_ref(), 3);
                    let answer = columns(&table, &asked);
                    prop_assert_eq!(&answer, &plain(&runs, &asked), "{} {}", filter, order);
                    prop_assert_eq!(search::count_in_table(&table, &asked.filter), answer.0);
                    if !answer.2 {
                        break;
                    }
                    let found = search::in_table(&table, &asked).expect("the run is there");
                    after = found.page.into_iter().next_back().map(Position::into_owned);
                }
            }
        }
    }

    #[test]
    fn what_is_taken_out_leaves_nothing(runs in prop::collection::vec(any_run(), 1..10)) {
        let mut table = RunTable::default();
        for run in &runs {
            table.put(run);
        }
        for run in &runs {
            table.remove(run.id, None);
        }
        prop_assert_eq!(table.len(), 0);
        prop_assert!(table.marks().is_empty());
        prop_assert_eq!(table.text_bytes(), 0);
    }
}

#[test]
fn pages_follow_one_another_while_runs_come_and_go() {
    let run = |id: i64, score: i64| example(id, "{}", &format!(r#"{{"score":{score}}}"#));
    let mut table = RunTable::default();
    for id in 1..=6 {
        table.put(&run(id, id));
    }
    let first = search("{}", "-summary_metrics.score", None, 2);
    let found = search::in_table(&table, &first).expect("a page");
    let end = found.page[1].clone().into_owned();
    assert_eq!(columns(&table, &first), (6, vec![6, 5], true));
    // A better run, and the one at which the page ended changes and another goes.
    table.put(&run(7, 9));
    table.put(&run(5, 0));
    table.remove(4, Some(2));
    let next = search("{}", "-summary_metrics.score", Some(&end), 2);
    assert_eq!(columns(&table, &next), (6, vec![3, 2], true));
}

#[test]
fn a_page_of_nothing_says_whether_there_is_more() {
    let mut table = RunTable::default();
    table.put(&example(1, "{}", "{}"));
    assert_eq!(
        columns(&table, &search("{}", "name", None, 0)),
        (1, vec![], true)
    );
    let none = search(r#"{"state":"x"}"#, "name", None, 0);
    assert_eq!(columns(&table, &none), (0, vec![], false));
}

#[test]
fn regular_expressions_are_bounded() {
    for (pattern, what) in [
        ("(", "RE2 syntax"),
        ("a(?=b)", "RE2 syntax"),
        (r"(\\w{200}){200}", "too large"),
        ("((a{100}){100}){100}", "too large"),
    ] {
        let text = format!(r#"{{"name":{{"$regex":"{pattern}"}}}}"#);
        let error = parse_filter(Some(&text)).expect_err(pattern);
        assert_eq!(error.code, "invalid_filter");
        assert!(error.message.contains(what), "{}", error.message);
        assert!(error.message.contains("/name/$regex"), "{}", error.message);
    }
    // Patterns that take others exponential time.
    let hostile = parse_filter(Some(r#"{"notes":{"$regex":"^(a+)+$"}}"#)).expect("a filter");
    let run = RunRow {
        notes: Some(format!("{}b", "a".repeat(100_000))),
        ..example(1, "{}", "{}")
    };
    assert!(!hostile.matches(&Documents::new(&run, hostile.keys())));
}

/// Two processes with tables of their own, and runs that change all the time: whoever asks after a commit sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_see_every_commit_whoever_made_it() {
    use crate::config::ServerConfig;
    use crate::store::runs::{self, RunChange};
    use crate::store::users::{self, NewUser};
    use crate::store::{Objects, entities, projects};

    const RUNS: i64 = 150;
    let dir = tempfile::tempdir().expect("a directory");
    let config = ServerConfig::new(dir.path(), "me");
    let objects = Objects::open(&config.objects, dir.path())
        .await
        .expect("objects");
    let store = Store::open(dir.path(), None, objects)
        .await
        .expect("a store");
    let mut writer = store.writer().await.expect("a writer");
    let user = NewUser {
        username: "me",
        email: "",
        admin: true,
    };
    users::create(&mut writer, &user, 1).await.expect("a user");
    let entity = entities::find(&mut writer, "me").await.expect("a read");
    let entity = entity.expect("the user's entity").id;
    let made = projects::ensure(&mut writer, entity, "me", "p", 1).await;
    let project = made.expect("a project").0.id;
    let mut ids = Vec::new();
    for index in 0..RUNS {
        let name = format!("r{index}");
        let id = runs::insert(&mut writer, project, &name, &name, "running", index).await;
        ids.push(id.expect("a run"));
    }
    writer.commit().await.expect("a commit");
    let tables = [RunTables::new(1 << 26), RunTables::new(1 << 26)];
    let changed: Vec<_> = (0..4_usize)
        .map(|task| {
            let (store, ids, tables) = (store.clone(), ids.clone(), tables.clone());
            tokio::spawn(async move {
                for turn in 0..30_usize {
                    let id = ids[(task * 37 + turn * 11) % ids.len()];
                    let mark = format!("t{task}-{turn}");
                    let change = RunChange {
                        summary: Some(format!(r#"{{"mark{task}":"{mark}"}}"#)),
                        ..RunChange::default()
                    };
                    let mut writer = store.writer().await.expect("a writer");
                    runs::update(&mut writer, id, &change)
                        .await
                        .expect("an update");
                    writer.commit().await.expect("a commit");
                    let filter = format!(r#"{{"summary_metrics.mark{task}":"{mark}"}}"#);
                    let filter = parse_filter(Some(&filter)).expect("a filter");
                    let asked = tables[turn % 2].count(&store, project, filter);
                    // Another task may have written over it by now; then its own mark is there.
                    let seen = asked.await.expect("a count");
                    let mut reader = store.reader().await.expect("a reader");
                    let stored = runs::by_id(&mut reader, id).await.expect("a read");
                    let still = stored.is_some_and(|run| run.summary.contains(&mark));
                    assert!(seen == 1 || !still, "{mark}");
                }
            })
        })
        .collect();
    for task in changed {
        task.await.expect("a task");
    }
    let query = RunQuery::new(
        project,
        Some(r#"{"state":"running"}"#),
        Some("-name"),
        None,
        1_000,
    );
    for table in &tables {
        let page = table.page(&store, query.as_ref().expect("a query")).await;
        assert_eq!(page.expect("a page").total, RUNS);
    }
    store.close().await;
}

#[test]
fn every_statement_that_changes_runs_raises_their_version() {
    let store = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut seen = 0;
    for entry in std::fs::read_dir(store).expect("the store's sources") {
        let path = entry.expect("an entry").path();
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for statement in text.split("\"UPDATE runs").skip(1) {
            let statement = statement.split('"').next().unwrap_or_default();
            // The numbers of lines, which no filter sees, change together with the heartbeat.
            let counts = statement.contains("history_line_count =");
            assert!(
                counts || statement.contains("version = version + 1"),
                "{}: UPDATE runs{statement}",
                path.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 5);
}
