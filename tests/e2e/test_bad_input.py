"""Bad input at the SDK's door: reliability.md 7.1, and the init, config and settings rows of 7.2.

Each case says what is called, and what comes of it: an error of a type with a text, or rows. A refused call leaves no
trace, and the next valid one works.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Home, Server
from reading import plain, read_run

RUNNER = """
import json, math, datetime, decimal, enum, pathlib, uuid, dataclasses, warnings
import numpy as np
import runlane as wandb

class Colour(enum.Enum):
    RED = 1
class Broken:
    def __repr__(self): raise RuntimeError("no repr")
    __str__ = __repr__
    def __float__(self): raise RuntimeError("no float")
class Odd:
    pass
@dataclasses.dataclass
class Point:
    x: int
    y: int
def deep(levels):
    value = 1
    for _ in range(levels):
        value = {{"n": value}}
    return value
def cycle():
    value = {{}}
    value["self"] = value
    return value
def attempt(code):
    try:
        exec(code, globals())
        return None
    except BaseException as error:
        return [type(error).__name__, str(error), [kind.__name__ for kind in type(error).__mro__]]

run = wandb.init(project={project!r}, id="bad00001")
outcomes = [attempt(code) for code in {codes!r}]
run.log({{"last": 1}})
run.finish()
print("OUTCOMES" + json.dumps(outcomes))
"""

# Code, error type (None: accepted), part of its text.
LOG_CASES: list[tuple[str, str | None, str]] = [
    ("run.log(5)", "TypeError", "must be passed a dictionary"),
    ("run.log(None)", "TypeError", "must be passed a dictionary"),
    ("run.log([])", "TypeError", "must be passed a dictionary"),
    ("run.log({1: 2})", "TypeError", "1"),
    ("run.log({None: 2})", "TypeError", "None"),
    ("run.log({b'k': 2})", "TypeError", "b'k'"),
    ("run.log({('a', 'b'): 2})", "TypeError", "('a', 'b')"),
    ("run.log({Colour.RED: 2})", "TypeError", "Colour.RED"),
    ("run.log({'': 1})", "ValueError", "empty"),
    ("run.log({'  ': 1})", "ValueError", ""),
    ("run.log({'k' * 1025: 1})", "ValueError", "1024"),
    ("run.log({'ok': 1, 'deep': deep(65)})", "ValueError", "64"),
    ("run.log({'cycle': cycle()})", "ValueError", ""),
    ("run.log({'big': 'x' * (11 << 20)})", "ValueError", "10"),
    ("run.log({'a': 1}, step=True)", "TypeError", "step"),
    ("run.log({'a': 1}, step=1.5)", "TypeError", "step"),
    ("run.log({'a': 1}, step='3')", "TypeError", "step"),
    ("run.log({'a': 1}, step=float('nan'))", "TypeError", "step"),
    ("run.log({'a': 1}, step=2**63)", "ValueError", "step"),
]

# Code, and the row it leaves (without the automatic keys).
ROW_CASES: list[tuple[str, dict[str, Any]]] = [
    ("run.log({'a.b': 1, 'a': {'b': 2}})", {"a.b": 1, "a": {"b": 2}}),
    ("run.log({'k[0]/\"q\" 🚀 \\u202e': 1})", {'k[0]/"q" 🚀 \u202e': 1}),
    (
        "run.log({'nan': math.nan, 'inf': math.inf, 'ninf': -math.inf})",
        {"nan": "float:NaN", "inf": "float:Infinity", "ninf": "float:-Infinity"},
    ),
    (
        "run.log({'zero': -0.0, 'tiny': 5e-324, 'exact': 2**53 + 1})",
        {"zero": 0, "tiny": 5e-324, "exact": 2**53 + 1},
    ),
    ("run.log({'huge': 2**70})", {"huge": 2.0**70}),
    (
        "run.log({'bytes': b'abc', 'colour': Colour.RED, 'when': datetime.date(2026, 1, 2)})",
        {"bytes": "abc", "colour": "RED", "when": "2026-01-02"},
    ),
    (
        "run.log({'path': pathlib.PurePosixPath('/a/b'), 'id': uuid.UUID(int=1), 'dec': decimal.Decimal('1.5')})",
        {"path": "/a/b", "id": str(__import__("uuid").UUID(int=1)), "dec": 1.5},
    ),
    (
        "run.log({'np': np.float32(0.5), 'int': np.int64(3), 'flag': np.bool_(True), 'zero': np.array(7)})",
        {"np": 0.5, "int": 3, "flag": True, "zero": 7},
    ),
    (
        "run.log({'small': np.arange(4), 'list': [1, 2.5, None], 'tuple': (1, 'x')})",
        {"small": [0, 1, 2, 3], "list": [1, 2.5, None], "tuple": [1, "x"]},
    ),
    ("run.log({'none': None, 'text': 'x'})", {"none": None, "text": "x"}),
    ("run.log({'lone': 'a\\ud800b'})", {"lone": "a\ufffdb"}),
    ("run.log({'deep': deep(60)})", {"deep": None}),
    ("run.log({'a': 5, '_step': 999})", {"a": 5}),
]

PLACEHOLDERS = ["run.log({'odd': Odd()})", "run.log({'broken': Broken()})"]


@pytest.fixture
def outcomes(home: Home, server: Server, project: str) -> tuple[list[Any], list[dict[str, Any]], str]:
    codes = [case[0] for case in LOG_CASES] + [case[0] for case in ROW_CASES] + PLACEHOLDERS
    result = home.python(RUNNER.format(project=project, codes=codes), env=server.env)
    line = next(line for line in result.stdout.splitlines() if line.startswith("OUTCOMES"))
    rows = read_run(home, server, f"{project}/bad00001")["rows"]
    return json.loads(line.removeprefix("OUTCOMES")), rows, result.stdout + result.stderr


def test_log_refuses_misuse_and_keeps_the_rest(outcomes: tuple[list[Any], list[dict[str, Any]], str]) -> None:
    errors, rows, printed = outcomes
    for (code, kind, text), error in zip(LOG_CASES, errors, strict=False):
        assert error is not None, code
        assert kind in error[2] and text in error[1], (code, error)
    accepted = errors[len(LOG_CASES) :]
    assert accepted == [None] * len(accepted)
    assert len(rows) == len(ROW_CASES) + len(PLACEHOLDERS) + 1
    for (code, expected), row in zip(ROW_CASES, rows, strict=False):
        found = {key: value for key, value in row.items() if key not in {"_step", "_runtime", "_timestamp"}}
        if expected == {"deep": None}:
            assert "deep" in found or any(key.startswith("deep") for key in found), code
        else:
            assert plain(found) == plain(expected), code
    for row in rows[len(ROW_CASES) : -1]:
        (value,) = [row[key] for key in ("odd", "broken") if key in row]
        assert "Odd" in value or "Broken" in value
    assert rows[-1]["last"] == 1
    assert printed.count("odd") >= 1


def test_a_step_behind_is_dropped_with_both_numbers(home: Home, server: Server, project: str) -> None:
    code = f"""
import runlane as wandb
run = wandb.init(project={project!r}, id="steps001")
run.log({{"x": 1}}, step=10, commit=True)
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


# Code run in a fresh process, error type, part of its text.
INIT_CASES: list[tuple[str, str, str]] = [
    *[
        (f"wandb.init(id={bad!r})", "UsageError", "id")
        for bad in ("", " a", "a/b", "a:b", "a,b", "x" * 129, "..", "a\n")
    ],
    *[(f"wandb.init(project={bad!r})", "UsageError", "project") for bad in ("a/b", "a#b", "x" * 129)],
    ("wandb.init(entity='a/b')", "UsageError", "entity"),
    ("wandb.init(name=5)", "TypeError", "name"),
    ("wandb.init(name='x' * 1025)", "ValueError", "name"),
    ("wandb.init(notes='x' * (65 << 10))", "ValueError", "notes"),
    ("wandb.init(group='x' * 129)", "ValueError", "group"),
    ("wandb.init(tags=['x' * 65])", "ValueError", "tag"),
    ("wandb.init(tags=[''])", "ValueError", "tag"),
    ("wandb.init(tags=['t%d' % i for i in range(101)])", "ValueError", "tag"),
    ("wandb.init(mode='sideways')", "ValueError", "offline"),
    ("wandb.init(resume='maybe')", "ValueError", "must"),
    ("wandb.init(config=5)", "TypeError", "config"),
    ("wandb.init(config='missing.yaml')", "Exception", "missing.yaml"),
    ("wandb.init(config={'a': object()})", "TypeError", "a"),
    ("wandb.init(config_include_keys=['a'], config_exclude_keys=['b'])", "UsageError", ""),
    ("wandb.init(settings={'no_such_field': 1})", "Exception", "no_such_field"),
    ("wandb.init(settings={'console': 'junk'})", "Exception", "console"),
    ("wandb.log({'a': 1})", "Error", "You must call"),
    ("r = wandb.init(); r.finish(); r.log({'a': 1})", "UsageError", "finished"),
    ("r = wandb.init(config={'a': 1}); r.config['a'] = 2", "ConfigError", "allow_val_change"),
    ("r = wandb.init(); r.config['a'] = object()", "TypeError", "a"),
    ("r = wandb.init(); r.config.update(5)", "TypeError", ""),
    ("r = wandb.init(); r.config.update({1: 2})", "TypeError", "1"),
    ("r = wandb.init(); r.define_metric('a*b')", "Exception", "glob"),
    ("r = wandb.init(); r.define_metric('')", "Exception", "name"),
    ("r = wandb.init(); r.define_metric('a', summary='huge')", "Exception", "huge"),
    ("r = wandb.init(); r.alert('t', 'x', level='LOUD')", "ValueError", ""),
    ("r = wandb.init(); r.save('x', policy='never')", "ValueError", "policy"),
]

INIT_RUNNER = """
import json
import runlane as wandb
def attempt(code):
    try:
        exec(code, globals())
        return None
    except BaseException as error:
        return [type(error).__name__, str(error), [kind.__name__ for kind in type(error).__mro__]]
    finally:
        if wandb.run is not None:
            wandb.run.finish()
print("OUTCOMES" + json.dumps([attempt(code) for code in {codes!r}]))
"""


def test_init_config_and_friends_refuse_bad_arguments(home: Home) -> None:
    codes = [case[0] for case in INIT_CASES]
    result = home.python(INIT_RUNNER.format(codes=codes), env={"WANDB_MODE": "offline"})
    line = next(line for line in result.stdout.splitlines() if line.startswith("OUTCOMES"))
    wrong = []
    for (code, kind, text), error in zip(INIT_CASES, json.loads(line.removeprefix("OUTCOMES")), strict=True):
        if error is None or kind not in error[2] or text not in error[1]:
            wrong.append((code[:80], kind, text, error and error[:2]))
    assert not wrong


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("WANDB_CONSOLE", "junk", "console"),
        ("WANDB_RESUME", "true", "resume"),
        ("WANDB_MODE", "sideways", "mode"),
    ],
)
def test_a_bad_variable_is_named(home: Home, variable: str, value: str, text: str) -> None:
    result = home.python("import runlane as wandb\nwandb.init()", check=False, env={variable: value})
    assert result.returncode == 1 and text in result.stderr.lower() and value in result.stderr


def test_an_unwritable_directory_falls_back_with_a_warning(home: Home) -> None:
    (home.work / "file").write_text("not a directory")
    code = "import runlane as wandb\nrun = wandb.init(mode='offline', dir='file/below')\nprint('DIR', run.dir)\nrun.finish()"
    result = home.python(code)
    assert "DIR" in result.stdout and "file/below" not in result.stdout.split("DIR")[1]
    assert "file/below" in result.stdout + result.stderr


def test_tags_as_one_string_are_one_tag(home: Home) -> None:
    code = "import runlane as wandb\nrun = wandb.init(mode='offline', tags='solo')\nprint('TAGS', run.tags)\nrun.finish()"
    assert "TAGS ('solo',)" in home.python(code).stdout
