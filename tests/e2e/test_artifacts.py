"""Artifacts from one process to another through the server: every byte comes back, whoever logs and whoever reads."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from world import Home, Server

HEAD = """
import hashlib, json, os, pathlib, sys
import {client} as wandb
PROJECT = {project!r}
SETTINGS = wandb.Settings(x_disable_stats=True, silent=True)
def start(**words):
    return wandb.init(project=PROJECT, settings=SETTINGS, **words)
def tree(root):
    root = pathlib.Path(root)
    return {{p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()}}
def told(value):
    print("TOLD" + json.dumps(value))
"""

# 2,000 small files, nested; odd names; empty ones; the same contents twice; a larger one.
MAKE = """
base = pathlib.Path("source")
for number in range(2000):
    path = base / f"d{number % 40}" / f"e{number % 3}" / f"f{number}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(hashlib.sha256(str(number).encode()).digest() * (number % 7))
(base / "\u00fcml\u00e4ut \u65e5\u672c.txt").write_text("unicode")
(base / "empty").write_bytes(b"")
(base / "space and %41+plus.txt").write_text("percent")
(base / "large.bin").write_bytes(os.urandom(9_000_000))
"""

LOG = """
art = wandb.Artifact("tree", "dataset", metadata={"n": 2004})
art.add_dir("source")
art.add_reference(pathlib.Path("source/empty").absolute().as_uri(), name="refs/local")
with start(id="maker") as run:
    logged = run.log_artifact(art, aliases=["best"]).wait()
    told([logged.name, logged.file_count, logged.size])
told(tree("source"))
"""

READ = """
with start(id="reader-{client}") as run:
    art = run.use_artifact("tree:best")
    root = art.download(root="read-{client}")
    art.verify(root)
found = tree(root)
found.pop("refs/local")
told(found)
told([art.version, art.metadata, [one.id for one in art.used_by()], art.logged_by().id])
"""


def script(client: str, project: str, *parts: str) -> str:
    return (
        (HEAD + "".join(parts))
        .replace("{client}", client)
        .replace("{project!r}", repr(project))
        .replace("{{", "{")
        .replace("}}", "}")
    )


def told(printed: subprocess.CompletedProcess[str]) -> list[object]:
    lines = printed.stdout.splitlines()
    return [json.loads(line.removeprefix("TOLD")) for line in lines if line.startswith("TOLD")]


def test_thousands_of_files_come_back_byte_for_byte(home: Home, server: Server, project: str) -> None:
    made = home.python(script("runlane", project, MAKE, LOG), env=server.env, timeout=110)
    (name, count, size), contents = told(made)  # type: ignore[misc]
    assert (name, count, len(contents)) == ("tree:v0", 2005, 2004)
    assert size > 9_000_000
    found = told(home.python(script("runlane", project, READ), env=server.env, timeout=110))
    assert found == [contents, ["v0", {"n": 2004}, ["reader-runlane"], "maker"]]


@pytest.mark.parametrize("maker", ["wandb", "runlane"])
def test_what_either_client_logs_the_other_reads(
    home: Home, server: Server, project: str, wandb_python: str, maker: str
) -> None:
    pythons = {"wandb": wandb_python, "runlane": sys.executable}
    small = MAKE.replace("range(2000)", "range(50)").replace("9_000_000", "100_000")
    made = home.python(script(maker, project, small, LOG), env=server.env, python=pythons[maker])
    reader = "wandb" if maker == "runlane" else "runlane"
    # What the maker left in the cache would be a shorter way.
    shutil.rmtree(home.root / "home" / ".cache" / "wandb")
    found = told(home.python(script(reader, project, READ), env=server.env, python=pythons[reader]))
    assert found[0] == told(made)[1]
    assert found[1] == ["v0", {"n": 2004}, [f"reader-{reader}"], "maker"]
    # Either client finds there what the other one fetched.
    kept = home.root / "home" / ".cache" / "wandb" / "artifacts" / "obj" / "md5"
    for path in (home.work / "source").rglob("*"):
        if path.is_file() and path.stat().st_size:
            digest = hashlib.md5(path.read_bytes()).hexdigest()
            assert (kept / digest[:2] / digest[2:]).read_bytes() == path.read_bytes()


CHANGES = """
run = start(id="changes")
pathlib.Path("script.txt").write_text("weights")
art = wandb.Artifact("data", "dataset")
with art.new_file("a.txt") as file:
    file.write("one")
first = run.log_artifact(art).wait()
with wandb.Api().artifact(first.qualified_name).new_draft().new_file("b.txt") as file:
    pass
draft = first.new_draft()
with draft.new_file("b.txt") as file:
    file.write("two")
run.use_artifact(draft)
second = draft
run.config["input"] = first
linked = run.link_artifact(second, "portfolio", aliases=["prod"])
second.aliases.append("good")
second.tags = ["t"]
second.save()
told([second.name, sorted(second.aliases), linked.name, linked.source_name])
model = run.link_model("script.txt", f"reg-{PROJECT}", name="net", aliases=["good"])
told([model.project, model.version, sorted(model.aliases), model.source_name, model.type])
told([pathlib.Path(run.use_model("net:latest")).read_text(), pathlib.Path("artifacts/net:v0").exists()])
try:
    run.use_model("data:v0")
except AssertionError as error:
    told(str(error))
run.finish()
api = wandb.Api()
told(sorted(one.name for one in api.run(f"{run.entity}/{PROJECT}/changes").used_artifacts()))
told(api.run(f"{run.entity}/{PROJECT}/changes").config["input"]["sequenceName"])
told(tree(api.artifact(f"{PROJECT}/portfolio:prod").download()))
told(api.artifact(f"{PROJECT}/data:good").tags)
"""


def test_versions_are_used_changed_and_linked(home: Home, server: Server, project: str) -> None:
    seen = told(home.python(script("runlane", project, CHANGES), env=server.env))
    assert seen[0] == ["data:v1", ["good", "latest"], "portfolio:v0", "data:v1"]
    assert seen[1] == ["model-registry", "v0", ["good", "latest"], "net:v0", "model"]
    assert seen[2] == ["weights", True]
    assert "`data:v0` is of type 'dataset'" in str(seen[3])
    assert seen[4] == ["data:v0", "data:v1", "net:v0"]
    assert seen[5] == "data"
    assert set(seen[6]) == {"a.txt", "b.txt"}  # type: ignore[call-overload]
    assert seen[7] == ["t"]


OFFLINE = """
def refused(call):
    try:
        call()
    except Exception as error:
        return [type(error).__name__, str(error)]
run = wandb.init(mode="offline", project=PROJECT, settings=SETTINGS)
art = wandb.Artifact("data", "dataset")
told([refused(lambda: run.use_artifact("x:latest")), refused(lambda: run.use_model("x")),
      refused(lambda: run.link_artifact(art, "x"))[0], refused(lambda: run.use_artifact(art))])
run.finish()
"""


def test_inputs_and_links_need_a_server(home: Home, project: str, wandb_python: str) -> None:
    ours = told(home.python(script("runlane", project, OFFLINE)))
    theirs = told(home.python(script("wandb", project, OFFLINE), python=wandb_python))
    assert ours == theirs
    assert ours[0][0] == ["TypeError", "Cannot use artifact when in offline mode."]  # type: ignore[index]


LARGE = """
pathlib.Path("large").write_bytes(os.urandom(70_000_000))
with start(id="large") as run:
    run.log_artifact("large", name="large", type="dataset").wait()
told(hashlib.sha256(pathlib.Path("large").read_bytes()).hexdigest())
"""
DOWNLOAD = """
told(tree(wandb.Api().artifact(f"{PROJECT}/large:latest").download(multipart=None)))
"""


def test_a_download_that_was_killed_goes_on(home: Home, server: Server, project: str) -> None:
    (digest,) = told(home.python(script("runlane", project, LARGE), env=server.env))
    cache = home.root / "home" / ".cache" / "wandb" / "artifacts"
    shutil.rmtree(cache)
    # The first parts only: the killed one is slowed down.
    slow = (
        "import time\nfrom runlane.artifacts import _fetching\n_fetching._PARTS_AT_ONCE = 1\n"
        "whole = _fetching.FinishedParts.add\n"
        "def add(self, number):\n    whole(self, number)\n    time.sleep(0.2)\n"
        "_fetching.FinishedParts.add = add\n"
    )
    path = home.root / "slow.py"
    path.write_text(script("runlane", project, slow, DOWNLOAD), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(path)],
        cwd=home.work,
        env={**home.env, **server.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    done: list[Path] = []
    while not (done and len(done[0].read_text().splitlines()) > 2):
        assert time.monotonic() < deadline
        time.sleep(0.01)
        done = list((cache / "tmp").glob("*.done")) if (cache / "tmp").exists() else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = done[0].read_text().splitlines()[1:]
    assert kept
    count = "asked = []\nfrom runlane.artifacts._transport import Transport\nplain = Transport.get\n" + (
        "def get(self, url, headers=None, foreign=False):\n"
        "    asked.append((headers or {}).get('Range'))\n    return plain(self, url, headers, foreign)\n"
        "Transport.get = get\n"
    )
    found, asked = told(
        home.python(script("runlane", project, count, DOWNLOAD, "\ntold(asked)\n"), env=server.env)
    )
    assert found == {"large": digest}
    # The manifest is asked for by other means.
    assert len(asked) <= 5 - len(kept)  # type: ignore[arg-type]
    assert list((cache / "tmp").iterdir()) == []


@pytest.fixture
def filled(home: Home, server: Server, project: str) -> str:
    """A project with one artifact, `me/<project>`."""
    code = 'run = start()\nrun.log_artifact("script.txt", name="data", type="dataset").wait()\nrun.finish()\ntold(run.entity)\n'
    write = 'pathlib.Path("script.txt").write_text("x")\n'
    (entity,) = told(home.python(script("runlane", project, write, code), env=server.env))
    return f"{entity}/{project}"


def test_the_command_line_puts_gets_and_lists(home: Home, server: Server, filled: str) -> None:
    source = home.work / "up"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "x").write_text("contents")
    put = home.runlane(
        "artifact",
        "put",
        "up",
        "-n",
        f"{filled}/put",
        "-t",
        "stuff",
        "-a",
        "one",
        "-a",
        "two",
        "-d",
        "text",
        env=server.env,
    )
    assert f'Uploading directory up to: "{filled}/put:one" (stuff)' in put.stderr
    assert f'artifact = run.use_artifact("{filled}/put:v0")' in put.stderr
    got = home.runlane("artifact", "get", f"{filled}/put:two", "--root", "got", env=server.env)
    assert f"Downloading stuff artifact {filled}/put:two" in got.stderr
    assert "Artifact downloaded to got" in got.stderr
    assert (home.work / "got" / "sub" / "x").read_text() == "contents"
    listed = home.runlane("artifact", "ls", filled, env=server.env).stdout.splitlines()
    assert sorted(line.split()[0] for line in listed) == ["dataset", "stuff"]
    assert {line.split()[-1] for line in listed} == {"data:v0", "put:v0"}
    only = home.runlane("artifact", "ls", "--type", "stuff", filled, env=server.env).stdout
    assert [line.split()[2:] for line in only.splitlines()] == [["8.0B", "put:v0"]]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["get", "{project}/nope"], "Error: artifact 'nope:latest' not found in"),
        (
            ["get", "{project}/data", "--type", "model"],
            "type 'model' specified but this artifact is of type 'dataset'",
        ),
        (["put", "no-such-file"], "Path argument must be a file or directory"),
        (["put", "script.txt", "-n", "a/b/c/d"], "is no name of an artifact"),
        (["ls", "{project}", "--type", "nope"], "Could not find artifact type 'nope'"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    home: Home, server: Server, filled: str, words: list[str], text: str
) -> None:
    result = home.runlane(
        "artifact", *(word.replace("{project}", filled) for word in words), env=server.env, check=False
    )
    assert result.returncode == 1
    assert text in result.stderr
