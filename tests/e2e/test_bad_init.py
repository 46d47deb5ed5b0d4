"""Bad arguments of `init` and of the run's properties and metrics (reliability.md 7.2): one clear error, nothing started."""

from __future__ import annotations

import pytest
from attempts import mismatches, try_calls, try_starts
from world import Home, Server

BAD_IDS = [
    "",
    " ",
    " a",
    "a b",
    "a/b",
    "a\\b",
    "a#b",
    "a?b",
    "a%b",
    "a:b",
    "a,b",
    "a;b",
    "x" * 129,
    ".",
    "..",
    "a\n",
    "a\0",
]
BAD_NAMES = [
    "a/b",
    "a\\b",
    "a#b",
    "a?b",
    "a%b",
    "a:b",
    "x" * 129,
    "..",
    "a\n",
    "\ud800",
    "p\u0430ypal",
    "a\u202eb",
]

STARTS: list[tuple[str, str, str]] = [
    *[
        (f"wandb.init(id={bad!r})", "UsageError", "hint: a run ID (`id`) has 1 to 128 characters")
        for bad in BAD_IDS
    ],
    *[(f"wandb.init(project={bad!r})", "UsageError", "hint: a project name has") for bad in BAD_NAMES],
    *[(f"wandb.init(entity={bad!r})", "UsageError", "hint: an entity name has") for bad in BAD_NAMES],
    *[
        (f"wandb.init({name}=5)", "TypeError", f"`{setting}` must be")
        for name, setting in (
            ("id", "run_id"),
            ("project", "project"),
            ("entity", "entity"),
            ("name", "name"),
            ("notes", "notes"),
            ("group", "group"),
            ("job_type", "job_type"),
            ("tags", "tags"),
        )
    ],
    ("wandb.init(tags=['a', 5])", "TypeError", "index 1"),
    ("wandb.init(name='x' * 1025)", "ValueError", "`name` is 1025 characters long, the limit is 1024"),
    ("wandb.init(notes='ü' * (33 << 10))", "ValueError", "65536"),
    ("wandb.init(group='x' * 129)", "ValueError", "the limit is 128"),
    ("wandb.init(job_type='x' * 129)", "ValueError", "the limit is 128"),
    ("wandb.init(tags=['x' * 65])", "ValueError", "64 characters"),
    ("wandb.init(tags=['ok', ''])", "ValueError", "index 1 is empty"),
    ("wandb.init(tags=['t%d' % i for i in range(101)])", "ValueError", "100 tags"),
    ("wandb.init(mode='sideways')", "ValueError", "'online', 'offline'"),
    ("wandb.init(mode=3)", "ValueError", "'online', 'offline'"),
    ("wandb.init(resume='maybe')", "ValueError", "'must'"),
    ("wandb.init(reinit='maybe')", "ValueError", "'create_new'"),
    ("wandb.init(settings={'durability': 'maybe'})", "ValueError", "durability"),
    ("wandb.init(resume_from='abc')", "ValueError", "_step"),
    ("wandb.init(fork_from='abc?loss=1')", "ValueError", "_step"),
    ("wandb.init(fork_from='abc?_step=1', resume_from='abc?_step=1')", "Exception", "fork_from"),
    ("wandb.init(settings=5)", "TypeError", "`settings` must be"),
    ("wandb.init(no_such_argument=5)", "TypeError", "no_such_argument"),
]


def test_bad_arguments_are_named_and_start_nothing(home: Home) -> None:
    found = try_starts(home, [code for code, _, _ in STARTS])
    assert mismatches(STARTS, found.raised) == []
    assert home.run_dirs() == []


def test_a_refused_start_leaves_no_trace(home: Home) -> None:
    codes = [
        "wandb.init(project='p', name='first', id='a b')",
        "run = wandb.init(); print('NAME', run.name, run.project)",
    ]
    found = try_starts(home, codes)
    assert found.raised[1] is None
    assert "NAME None uncategorized" in found.printed
    assert len(home.run_dirs()) == 1


def test_a_name_with_escape_sequences_is_shown_escaped(home: Home, server: Server, project: str) -> None:
    found = try_calls(home, server, project, [], name="red\x1b[31m\rfish")
    assert found.document["name"] == "red\x1b[31m\rfish"
    assert "Syncing run red\\x1b[31m\\rfish" in found.printed
    assert "\x1b" not in found.printed and "\r" not in found.printed


def test_limits_are_inclusive_and_one_string_is_one_tag(home: Home) -> None:
    codes = [
        "run = wandb.init(id='x' * 128, name='n' * 1024, notes='o' * 65536, group='g' * 128, tags=['t' * 64] * 1)",
        "run = wandb.init(tags=['t%d' % i for i in range(100)])",
        "run = wandb.init(tags='solo'); print('TAGS', run.tags)",
        "run = wandb.init(tags=('a', 'a')); print('TWICE', run.tags)",
        "run = wandb.init(project='日本語 модель', entity='β')",
    ]
    found = try_starts(home, codes)
    assert found.raised == [None] * len(codes)
    assert "TAGS ('solo',)" in found.printed


PROPERTIES: list[tuple[str, str, str]] = [
    ("run.name = 5", "TypeError", "name"),
    ("run.name = 'x' * 1025", "ValueError", "1024"),
    ("run.notes = ['x']", "TypeError", "notes"),
    ("run.notes = 'x' * 65537", "ValueError", "65536"),
    ("run.tags = 5", "TypeError", "tags"),
    ("run.tags = ['']", "ValueError", "empty"),
    ("run.tags += ('x' * 65,)", "ValueError", "64"),
    ("run.finish(exit_code='1')", "TypeError", "exit_code"),
    ("run.finish(exit_code=True)", "TypeError", "exit_code"),
    ("run.alert('t', 'x', level='LOUD')", "ValueError", "level"),
    ("run.alert(5, 'x')", "TypeError", "title"),
    ("run.alert('t', 5)", "TypeError", "text"),
    ("run.alert('t', 'x', wait_duration='soon')", "TypeError", "wait_duration"),
    ("run.alert('t', 'x', wait_duration=-1)", "ValueError", "wait_duration"),
]


def test_refused_assignments_keep_the_run_as_it_was(home: Home) -> None:
    codes = [
        "run = wandb.init(reinit='create_new', name='kept', notes='kept too', tags=['one'])",
        *(code for code, _, _ in PROPERTIES),
        "assert (run.name, run.notes, run.tags) == ('kept', 'kept too', ('one',)), (run.name, run.notes, run.tags)",
        "run.log({'a': 1}); run.finish()",
    ]
    found = try_starts(home, codes)
    assert found.raised[0] is None and found.raised[-2:] == [None, None], found.raised
    assert mismatches(PROPERTIES, found.raised[1:-2]) == []


METRICS: list[tuple[str, str, str]] = [
    ("run.define_metric('')", "Exception", "name"),
    ("run.define_metric(5)", "Exception", "name"),
    ("run.define_metric('a*b')", "Exception", "glob"),
    ("run.define_metric('*a')", "Exception", "glob"),
    ("run.define_metric('a', step_metric='b*')", "Exception", "step_metric"),
    ("run.define_metric('a', step_metric=5)", "Exception", "step_metric"),
    ("run.define_metric('a', summary='huge')", "Exception", "huge"),
    ("run.define_metric('a', summary=5)", "Exception", "summary"),
    ("run.define_metric('a', goal='upwards')", "Exception", "goal"),
    ("run.define_metric('a', hidden='yes')", "Exception", "hidden"),
    ("run.define_metric('a', step_sync=1)", "Exception", "step_sync"),
    ("run.define_metric('a', overwrite=1)", "Exception", "overwrite"),
]


def test_bad_metric_definitions_are_value_errors(home: Home) -> None:
    codes = ["run = wandb.init(reinit='create_new')", *(code for code, _, _ in METRICS), "run.finish()"]
    found = try_starts(home, codes)
    assert mismatches(METRICS, found.raised[1:-1]) == []
    assert [error.kind for error in found.raised[1:-1] if error and not error.is_a("ValueError")] == []


def test_a_run_has_at_most_10_000_metric_definitions(home: Home) -> None:
    cases = [("run.define_metric('one-more')", "ValueError", "10000")]
    codes = [
        "run = wandb.init(reinit='create_new')",
        "[run.define_metric(f'm{number}') for number in range(10_000)]",
        "run.define_metric('one-more')",
        "run.define_metric('m1', summary='max')",
        "run.log({'m1': 1}); run.finish()",
    ]
    found = try_starts(home, codes)
    assert [found.raised[index] for index in (0, 1, 3, 4)] == [None] * 4
    assert mismatches(cases, found.raised[2:3]) == []


def test_conflicting_step_metrics(home: Home) -> None:
    codes = [
        "run = wandb.init(reinit='create_new')",
        "run.define_metric('a', step_metric='x')",
        "run.define_metric('a', step_metric='a')",
        "run.define_metric('a', step_metric='y')",
        "run.define_metric('a', step_metric='y', overwrite=True)",
        "run.define_metric('a', step_metric='y', summary='max')",
        "run.log({'a': 1, 'x': 2, 'y': 3}); run.finish()",
    ]
    found = try_starts(home, codes)
    assert found.raised[:2] == [None, None]
    cases = [
        ("self", "ValueError", "its own"),
        ("other", "ValueError", "step metric `x` already, not `y`"),
    ]
    assert mismatches(cases, found.raised[2:4]) == []
    assert found.raised[4:] == [None, None, None]


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("WANDB_CONSOLE", "junk", "console"),
        ("WANDB_RESUME", "true", "resume"),
        ("WANDB_MODE", "sideways", "mode"),
        ("WANDB_RUN_ID", "a b", "run id"),
        ("WANDB_PROJECT", "a/b", "project"),
        ("WANDB_ENTITY", "a/b", "entity"),
        ("WANDB_SILENT", "perhaps", "silent"),
        ("WANDB_BASE_URL", "no-url", "base_url"),
        ("WANDB_INIT_TIMEOUT", "soon", "init_timeout"),
        ("RUNLANE_TAGS", "x" * 65, "tag"),
    ],
)
def test_a_bad_variable_is_named(home: Home, variable: str, value: str, text: str) -> None:
    env = {"WANDB_MODE": "offline", variable: value}
    result = home.python("import runlane as wandb\nwandb.init()", check=False, env=env)
    assert result.returncode == 1, result.stdout + result.stderr
    last = result.stderr.strip().splitlines()
    assert any(text in line.lower() for line in last) and value[:20] in result.stderr


SETTINGS: list[tuple[str, str, str]] = [
    ("wandb.init(settings={'no_such_field': 1})", "Exception", "no_such_field"),
    ("wandb.init(settings={'console': 'junk'})", "ValueError", "console"),
    ("wandb.init(settings={'silent': 'perhaps'})", "ValueError", "silent"),
    ("wandb.init(settings={'quiet': []})", "TypeError", "quiet"),
    ("wandb.init(settings={'init_timeout': 'soon'})", "ValueError", "init_timeout"),
    ("wandb.init(settings={'init_timeout': float('nan')})", "ValueError", "init_timeout"),
    ("wandb.init(settings={'init_timeout': True})", "TypeError", "init_timeout"),
    ("wandb.init(settings={'finish_timeout': -1})", "ValueError", "finish_timeout"),
    ("wandb.init(settings={'base_url': 'ftp://x'})", "ValueError", "base_url"),
    ("wandb.init(settings={'base_url': 'http://user:secret@x'})", "ValueError", "api_key"),
    ("wandb.init(settings={'root_dir': 5})", "TypeError", "root_dir"),
    ("wandb.init(settings={'root_dir': 'a\\0b'})", "ValueError", "NUL"),
    ("wandb.init(settings={'x_stats_sampling_interval': 0.01})", "Exception", "0.1"),
    ("wandb.init(settings={'max_end_of_run_history_metrics': 1.5})", "ValueError", "integer"),
    ("wandb.init(settings={'max_end_of_run_history_metrics': -1})", "ValueError", "at least 0"),
    ("wandb.init(settings={'ignore_globs': '*.x'})", "TypeError", "list"),
    ("wandb.init(settings={'x_extra_http_headers': ['a']})", "TypeError", "mapping"),
    ("wandb.init(settings=wandb.Settings(mode='sideways'))", "ValueError", "mode"),
    ("wandb.setup(settings={'console': 'junk'})", "ValueError", "console"),
]


def test_bad_settings_are_named_and_leave_no_trace(home: Home) -> None:
    codes = [*(code for code, _, _ in SETTINGS), "run = wandb.init()"]
    found = try_starts(home, codes)
    assert mismatches(SETTINGS, found.raised[:-1]) == []
    assert found.raised[-1] is None
    assert "secret" not in str(found.raised)
    assert len(home.run_dirs()) == 1
