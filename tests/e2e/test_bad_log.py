"""Bad input to `log`: arguments, keys and steps (reliability.md 7.1). A refused call leaves no trace, the next one works."""

from __future__ import annotations

from attempts import mismatches, script, try_calls
from reading import read_run
from world import Home, Server

# Code, exception, part of its text.
REFUSED: list[tuple[str, str, str]] = [
    ("run.log(5)", "TypeError", "must be passed a dictionary"),
    ("run.log(None)", "TypeError", "must be passed a dictionary"),
    ("run.log([])", "TypeError", "must be passed a dictionary"),
    ("run.log({1: 2})", "TypeError", "not 1 (`int`)"),
    ("run.log({None: 2})", "TypeError", "None"),
    ("run.log({b'k': 2})", "TypeError", "b'k'"),
    ("run.log({('a', 'b'): 2})", "TypeError", "('a', 'b')"),
    ("run.log({Colour.RED: 2})", "TypeError", "Colour.RED"),
    ("run.log({'': 1})", "ValueError", "empty"),
    ("run.log({'  ': 1})", "ValueError", "empty"),
    ("run.log({'ok': 1, 'below': {'': 1}})", "ValueError", "empty"),
    ("run.log({'k' * 1025: 1})", "ValueError", "1024"),
    ("run.log({'ok': 1, 'below': {'k' * 1025: 1}})", "ValueError", "1024"),
    ("run.log({'a': 1}, step=True)", "TypeError", "step"),
    ("run.log({'a': 1}, step=1.5)", "TypeError", "step"),
    ("run.log({'a': 1}, step='3')", "TypeError", "step"),
    ("run.log({'a': 1}, step=float('nan'))", "TypeError", "step"),
    ("run.log({'a': 1}, step=np.float64(1))", "TypeError", "step"),
    ("run.log({'a': 1}, step=2**63)", "ValueError", "step"),
]


def test_misuse_is_refused_whole_and_the_next_call_works(home: Home, server: Server, project: str) -> None:
    found = try_calls(home, server, project, [code for code, _, _ in REFUSED])
    assert mismatches(REFUSED, found.raised) == []
    assert found.rows == [{"last": 1}]


def test_odd_keys_round_trip(home: Home, server: Server, project: str) -> None:
    keys = [
        "a.b",
        "a/b",
        "a[0]",
        "'q\"`",
        "🚀",
        "\u202eabc\u202c",
        "__proto__",
        "a\\b",
        "ü",
        "u\u0308",
        "k" * 1024,
    ]
    rows = [
        {key: number for number, key in enumerate(keys)},
        {"a.b": 1, "a": {"b": 2}},
        {"x": {"y.z": {"\\": 3}}, "x.y": {"z": 4}},
    ]
    found = try_calls(home, server, project, [f"run.log({row!r})" for row in rows])
    assert found.raised == [None] * len(rows)
    assert found.rows == [*rows, {"last": 1}]
    assert found.warnings() == []


def test_nesting_of_64_levels_round_trips(home: Home, server: Server, project: str) -> None:
    cases = [
        ("run.log({'n': deep(65)})", "ValueError", "64"),
        ("run.log({'n': deep_list(65)})", "ValueError", "64"),
        ("run.log({'n': deep_list(100_000)})", "ValueError", "64"),
    ]
    codes = ["run.log({'n': deep(64)})", "run.log({'n': deep_list(64)})", *(code for code, _, _ in cases)]
    found = try_calls(home, server, project, codes)
    assert found.raised[:2] == [None, None]
    assert mismatches(cases, found.raised[2:]) == []
    value: object = 1
    listed: object = 1
    for _ in range(64):
        value, listed = {"n": value}, [listed]
    assert found.rows == [{"n": value}, {"n": listed}, {"last": 1}]


def test_control_characters_in_keys_are_stored_escaped_with_one_warning(
    home: Home, server: Server, project: str
) -> None:
    rows = [{"a\0b": 1, "c\x1b[31m": 2}, {"a\0b": 3, "c\x1b[31m": 4, "tab\t\x7f": {"in\0": 5}}]
    found = try_calls(home, server, project, [f"run.log({row!r})" for row in rows])
    assert found.raised == [None, None]
    assert found.rows == [*rows, {"last": 1}]
    assert found.document["summary"]["a\0b"] == 3
    assert len(found.warnings("control characters")) == 1
    # The user's terminal and the run's JSON files get them escaped.
    assert "c\\x1b[31m" in found.printed and "\x1b[31m" not in found.printed
    (summary,) = home.run_dirs()[0].glob("files/wandb-summary.json")
    assert b'"a\\u0000b"' in summary.read_bytes() and b"\x1b" not in summary.read_bytes()


def test_reserved_keys_are_not_overwritten_and_warned_once(home: Home, server: Server, project: str) -> None:
    codes = ["run.log({'a': 5, '_step': 999, '_runtime': -1.5, '_wandb': {'x': 1}})"] * 2
    found = try_calls(home, server, project, codes)
    assert found.raised == [None, None]
    assert found.rows == [{"a": 5}, {"a": 5}, {"last": 1}]
    assert [row["_step"] for row in found.document["rows"]] == [0, 1, 2]
    assert all(row["_runtime"] >= 0 for row in found.document["rows"])
    for key in ("_step", "_runtime", "_wandb"):
        assert len(found.warnings(f"`{key}`")) == 1


def test_a_given_timestamp_is_used_with_one_warning(home: Home, server: Server, project: str) -> None:
    codes = ["run.log({'a': 1, '_timestamp': 12.5})", "run.log({'a': 2, '_timestamp': 'noon'})"]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None, None]
    stamps = [row["_timestamp"] for row in found.document["rows"]]
    assert stamps[0] == 12.5
    assert stamps[1] > 1_600_000_000
    assert len(found.warnings("`_timestamp`")) == 1


def test_lone_surrogates_are_replaced_with_one_warning(home: Home, server: Server, project: str) -> None:
    codes = ["run.log({'k\\ud800': 'a\\ud800b', 'l': ['\\udfff'], 'n': {'\\ud83d': 1}})"] * 2
    found = try_calls(home, server, project, codes)
    assert found.raised == [None, None]
    row = {"k\ufffd": "a\ufffdb", "l": ["\ufffd"], "n": {"\ufffd": 1}}
    assert found.rows == [row, row, {"last": 1}]
    assert len(found.warnings("U+FFFD")) == 1


def test_a_step_behind_is_dropped_with_both_numbers(home: Home, server: Server, project: str) -> None:
    code = f"""
import numpy as np
import runlane as wandb
run = wandb.init(project={project!r}, id="steps001")
run.log({{"x": 1}}, step=np.int64(10), commit=True)
run.log({{"x": 2}}, step=3)
run.log({{"x": 3}}, step=-1)
run.log({{}})
run.log({{"x": 4}})
run.finish()
"""
    printed = home.python(code, env=server.env)
    rows = read_run(home, server, f"{project}/steps001")["rows"]
    assert [(row["_step"], row.get("x")) for row in rows] == [(10, 1), (11, None), (12, 4)]
    text = printed.stdout + printed.stderr
    assert "3" in text and "11" in text and "monotonically" in text


def test_a_run_has_at_most_100_000_keys(home: Home) -> None:
    body = """
run = wandb.init(mode="offline")
for start in range(0, 102_000, 1_000):
    run.log({f"k{number}": 1 for number in range(start, start + 1_000)})
run.log({"k0": 2, "one more": 1})
print("KEYS", len([key for key in run.summary.keys() if not key.startswith("_")]), dict(run.summary.items())["k0"])
run.finish()
outcomes = []
"""
    printed = home.python(script(body))
    assert "KEYS 100000 2" in printed.stdout
    at_10_000, at_the_limit = [line for line in printed.stderr.splitlines() if "distinct keys" in line]
    assert "has 10000 distinct keys" in at_10_000
    assert "has 100000 distinct keys, which is the limit" in at_the_limit and "`k100000`" in at_the_limit
    assert "2001 values of new keys beyond the limit of a run were left out" in printed.stderr
