"""Every snippet of the documents (tests/snippets.toml) runs with `import runlane as wandb` and ends as documented."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import pip._vendor.tomli as tomllib

SNIPPETS = tomllib.loads((Path(__file__).parent / "snippets.toml").read_text())["snippet"]
MARK = "SNIPPET "

# Runs behind the snippet: says how things stand, whether the run is still open or finished already.
EPILOGUE = f"""
import json as _json
_run = globals().get("run") or wandb.run
_state = {{name: getattr(_run, name) for name in ("id", "name", "notes", "project")}}
_state["tags"] = list(_run.tags)
_state["config"] = dict(_run.config.items())
_state["summary"] = {{key: value for key, value in dict(_run.summary).items() if not isinstance(value, dict)}}
_state["rows"] = getattr(_run, "step", None)
_state["dir"] = getattr(_run, "dir", None)
print({MARK!r} + _json.dumps(_state), flush=True)
"""


def _script(snippet: dict) -> str:
    code = snippet.get("setup", "") + "\n" + snippet["code"]
    code = re.sub(r"^import wandb$", "import runlane as wandb", code, flags=re.MULTILINE)
    assert "import runlane as wandb" in code
    return code + ("" if "error" in snippet["expect"] else EPILOGUE)


def _check(state: dict, expect: dict) -> None:
    for name in ("project", "name", "notes", "tags", "id", "rows"):
        if name in expect:
            assert state[name] == expect[name], name
    if "config" in expect:
        assert state["config"] == expect["config"]
    assert set(expect.get("config_has", ())) <= set(state["config"])
    for key, value in expect.get("summary", {}).items():
        assert state["summary"][key] == value


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[snippet["source"] for snippet in SNIPPETS])
def test_snippet(snippet, home, request):
    expect = snippet["expect"]
    env: dict[str, str] = {}
    if snippet.get("online"):
        env |= request.getfixturevalue("server").env
    for name, text in snippet.get("files", {}).items():
        path = home.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    script = home.work / "train.py"
    script.write_text(_script(snippet))
    done = home.run([sys.executable, "train.py", *snippet.get("args", [])], check=False, env=env)
    output = done.stdout + done.stderr
    if "error" in expect:
        kind, text = expect["error"]
        assert done.returncode == 1, output
        assert f"{kind}: {text}" in done.stderr, output
        return
    assert done.returncode == 0, output
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    state = json.loads(line.removeprefix(MARK))
    _check(state, expect)
    assert expect.get("output", "") in output
    for name, text in expect.get("files", {}).items():
        assert (Path(state["dir"]) / name).read_text() == text
    if expect.get("again"):
        # What was changed through the API is what a fresh reader sees.
        code = f"import runlane as wandb, json\nprint(json.dumps(wandb.Api().run('{state['project']}/{state['id']}').config))"
        assert json.loads(home.python(code, env=env).stdout) == expect["config"]


def test_every_snippet_says_what_it_expects():
    assert len(SNIPPETS) >= 25
    assert all(snippet["expect"] and snippet["source"] and snippet["code"].strip() for snippet in SNIPPETS)
