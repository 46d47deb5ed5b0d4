"""Fork, rewind, resume, shared mode, stop and crash: the same scripts with wandb and with runlane, and what the server holds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from driven import OwnServer
from world import PYTHON, Home, Server, make_home

DEADLINE_SECS = 60
CLIENTS = ("wandb", "runlane")


@dataclass
class Client:
    """One of the two libraries, with a home of its own."""

    module: str
    python: str
    home: Home
    server: Server
    programs: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def project(self) -> str:
        return f"changing-{self.module}"

    def script(self, code: str) -> dict[str, Any]:
        """Run a script; what it collected in `said`."""
        text = (
            HEAD.format(module=self.module, project=self.project)
            + code
            + "\nprint('SAID', json.dumps(said))\n"
        )
        done = self.home.python(text, env=self.server.env, python=self.python)
        line = next(line for line in done.stdout.splitlines() if line.startswith("SAID "))
        said: dict[str, Any] = json.loads(line.removeprefix("SAID "))
        return said

    def start(self, code: str, name: str) -> subprocess.Popen[str]:
        """Start a script in a session of its own, so that all of it can be killed."""
        path = self.home.root / f"{name}.py"
        path.write_text(HEAD.format(module=self.module, project=self.project) + code)
        return subprocess.Popen(
            [self.python, str(path)],
            cwd=self.home.work,
            env={**self.home.env, **self.server.env},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def stop_when_it_runs(self, name: str) -> None:
        """Press the stop button."""
        found = self.wait_for(name, "id historyLineCount", lambda run: run["historyLineCount"] >= 1)
        mutation = "mutation S($id: ID!) { stopRun(input: {id: $id}) { success } }"
        assert ask(self.server, mutation, {"id": found["id"]})["stopRun"]["success"] is True

    def run(self, name: str, fields: str) -> Any:
        query = (
            f"query R($p: String!, $r: String!) {{ project(name: $p) {{ run(name: $r) {{ {fields} }} }} }}"
        )
        return (ask(self.server, query, {"p": self.project, "r": name})["project"] or {}).get("run")

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows, without times."""
        texts = self.run(name, "history(samples: 100000)")["history"]
        rows = [json.loads(text) for text in texts]
        return [{key: row[key] for key in row if key not in ("_runtime", "_timestamp")} for row in rows]

    def steps(self, name: str) -> list[int]:
        return [row["_step"] for row in self.rows(name)]

    def summary(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(name, "summaryMetrics")["summaryMetrics"])
        return found

    def config(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(name, "config")["config"])
        return found

    def wait_for(self, name: str, fields: str, wanted: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + DEADLINE_SECS
        while True:
            found = self.run(name, fields)
            if found is not None and wanted(found):
                return found
            if time.monotonic() > deadline:
                pytest.fail(f"{name}: {fields} is {found}")
            time.sleep(0.05)


HEAD = """
import json, os, sys, time
import {module} as wandb
said = {{}}
project = "{project}"

def init(settings=None, **words):
    settings = wandb.Settings(x_disable_stats=True, x_file_stream_transmit_interval=0.2, silent=True, **(settings or {{}}))
    return wandb.init(project=project, settings=settings, **words)

def refused(**words):
    try:
        init(**words).finish()
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return [next((kind for kind in ("UsageError", "CommError", "Error") if kind in kinds), kinds[0]), str(error)]
    return None
"""


OLD = """
run = init(id="twice")
for i in range(5):
    run.log({"v": i})
print("READY", flush=True)
sys.stdin.readline()
for i in range(3):
    run.log({"v": 1000 + i})
run.summary["late"] = True
run.finish()
print("ENDED", flush=True)
"""

LIVES = """
run = init(id="lives")
run.log({"v": 1})
print("READY", flush=True)
try:
    for line in sys.stdin:
        run.log({"v": 2})
finally:
    run.finish()
"""

STOPS = """
run = init(id="stops")
print("READY", flush=True)
try:
    while True:
        run.log({"v": 1})
        time.sleep(0.2)
except KeyboardInterrupt:
    print("INTERRUPTED", flush=True)
    raise
"""

PROGRAMS = {"old": OLD, "lives": LIVES, "stops": STOPS}


def family(pid: int) -> list[int]:
    """A process and what it started, its service included."""
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid or int(fields[3]) == pid:
            found += family(int(path.parent.name)) if int(path.parent.name) not in (pid, *found) else []
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def changing_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes silence for a crash soon."""
    own = OwnServer(tmp_path_factory.mktemp("changing") / "own")
    own.words = ("--heartbeat-timeout-secs", "4")
    yield own.start()
    own.stop()


@pytest.fixture(scope="module", params=CLIENTS)
def client(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    changing_server: Server,
    wandb_python: str,
) -> Iterator[Client]:
    home = make_home(tmp_path_factory.mktemp(f"client-{request.param}"))
    python = wandb_python if request.param == "wandb" else PYTHON
    made = Client(request.param, python, home, changing_server)
    # Waiting takes most of the time of these: they do it beside the other tests.
    for name, code in PROGRAMS.items():
        made.programs[name] = made.start(code, name)
    stop = threading.Thread(target=made.stop_when_it_runs, args=("stops",))
    stop.start()
    yield made
    stop.join()
    for program in made.programs.values():
        for pid in family(program.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        program.communicate()
    home.stop_daemon()


FORKS = """
run = init(id="a", config={"lr": 1}, tags=["t"], notes="n")
run.define_metric("loss", summary="min,last")
for i in range(10):
    run.log({"loss": 10 - i, "i": i})
run.finish()
run = init(id="b", fork_from="a?_step=4", config={"lr": 2})
said["b"] = [run.starting_step, run.resumed, run.config.as_dict()]
for i in range(3):
    run.log({"loss": 100 + i, "b": i})
print("of b")
run.finish()
run = init(id="c", fork_from="b?_step=6")
for i in range(2):
    run.log({"loss": 200 + i, "c": i})
run.finish()
run = init(resume_from="a?_step=2", config={"bs": 8})
said["rewound"] = [run.id, run.starting_step, run.config.as_dict()]
for i in range(2):
    run.log({"loss": 50 + i})
print("of a, again")
run.finish()
run = init(id="d", fork_from="a:0?_step=8")
run.log({"d": 1})
run.finish()
said["refused"] = [refused(id="x1", fork_from="a?_step=99"), refused(id="x2", fork_from="nobody?_step=1"),
                   refused(resume_from="nobody?_step=1"), refused(resume_from="a?_step=77"), refused(id="c", fork_from="a?_step=1")]
"""


@pytest.fixture(scope="module")
def forked(client: Client) -> dict[str, Any]:
    return client.script(FORKS)


def test_a_fork_shows_its_parents_rows_and_goes_on_behind_them(
    client: Client, forked: dict[str, Any]
) -> None:
    assert forked["b"] == [5, False, {"lr": 2}]
    parents = [{"_step": i, "loss": 10 - i, "i": i} for i in range(10)]
    own = [{"_step": 5 + i, "loss": 100 + i, "b": i} for i in range(3)]
    assert client.rows("b") == parents[:5] + own
    # A fork of the fork, although the first parent was rewound since.
    assert client.rows("c") == [
        *parents[:5],
        *own[:2],
        *({"_step": 7 + i, "loss": 200 + i, "c": i} for i in range(2)),
    ]
    # A precise state can be named, also when it is an archive.
    assert client.rows("d") == [*parents[:9], {"_step": 9, "d": 1}]
    found = client.run("c", "historyLineCount lastStep state origin { run { name } step } historyKeys")
    assert (found["historyLineCount"], found["lastStep"], found["state"]) == (9, 8, "finished")
    assert found["origin"] == {"run": {"name": "b"}, "step": 6}
    assert set(found["historyKeys"]["keys"]) >= {"loss", "i", "b", "c"}
    assert client.config("b")["_wandb"]["value"]["branch_point"] == {"run_id": "a", "step": 4}
    # The summary begins with the parent's at that step; what is logged comes on top.
    summary = client.summary("b")
    assert (summary["i"], summary["b"], summary["loss"], summary["_step"]) == (4, 2, 102, 7)


def test_a_rewind_keeps_the_id_and_archives_what_was_there(client: Client, forked: dict[str, Any]) -> None:
    assert forked["rewound"] == ["a", 3, {"lr": 1, "bs": 8}]
    kept = [{"_step": i, "loss": 10 - i, "i": i} for i in range(3)]
    assert client.rows("a") == [*kept, *({"_step": 3 + i, "loss": 50 + i} for i in range(2))]
    assert client.steps("a:0") == list(range(10))
    found = client.run(
        "a",
        "generation state historyLineCount origin { run { name } rewound } logLines { edges { node { line } } } tags notes",
    )
    assert (found["generation"], found["state"], found["historyLineCount"]) == (1, "finished", 5)
    assert found["origin"] == {"run": {"name": "a:0"}, "rewound": True}
    assert (found["tags"], found["notes"]) == (["t"], "n")
    assert [edge["node"]["line"] for edge in found["logLines"]["edges"]] == ["of a, again"]
    config = client.config("a")
    assert (config["lr"]["value"], config["bs"]["value"]) == (1, 8)
    assert config["_wandb"]["value"]["branch_point"] == {"run_id": "a", "step": 2}
    summary = client.summary("a")
    assert (summary["i"], summary["loss"], summary["_step"]) == (2, 51, 4)


def test_what_cannot_be_forked_or_rewound_raises_with_the_reason(
    client: Client, forked: dict[str, Any]
) -> None:
    wanted = [
        ("the last step of `a` that has arrived here is 4", ("Error", "CommError")),
        ("there is no run `nobody`", ("Error", "CommError")),
        ("failed to rewind run", ("CommError",)),
        ("the last step of `a` that has arrived here is 4", ("CommError",)),
        ("there is a run `c` already", ("Error", "CommError")),
    ]
    for found, (part, kinds) in zip(forked["refused"], wanted, strict=True):
        assert found is not None and part in found[1] and found[0] in kinds, found
    assert client.run("x1", "name") is None and client.run("x2", "name") is None


def test_the_public_api_reads_forks_and_archives(client: Client, forked: dict[str, Any]) -> None:
    """Through scan pages, samples and files, with the library's own `Api`."""
    code = """
api = wandb.Api()
for name in ("b", "c", "a", "a:0"):
    run = api.run(f"{api.default_entity}/{project}/{name}")
    said[name] = [[row["_step"] for row in run.scan_history()], [row["_step"] for row in run.history(samples=1000, pandas=False)],
                  [row["loss"] for row in run.scan_history(keys=["loss"])], run.id]
said["all"] = sorted(run.id for run in api.runs(f"{api.default_entity}/{project}"))
"""
    said = client.script(code)
    for name in ("b", "c", "a", "a:0"):
        steps, losses = client.steps(name), [row["loss"] for row in client.rows(name)]
        assert said[name] == [steps, steps, losses, name], name
    # Other tests of this module have runs here as well, but no archive.
    assert {"a", "b", "c", "d"} <= set(said["all"]) and not any(":" in name for name in said["all"])


RESUMES = """
run = init(id="r", config={"lr": 1, "old": True}, tags=["t"], notes="n")
for i in range(4):
    run.log({"v": i})
print("first")
time.sleep(1.1)
run.finish(exit_code=3)
for mode in ("allow", "must", True):
    words = {} if mode is True else {"id": "r"}
    if mode is True:
        os.makedirs("wandb", exist_ok=True)
        open("wandb/wandb-resume.json", "w").write(json.dumps({"run_id": "r"}))
    run = init(resume=mode, config={"lr": 2}, settings={}, **words) if mode != "must" else init(resume="must", id="r")
    said[str(mode)] = [run.id, run.resumed, run.starting_step, run.config.as_dict(), list(run.tags), run.notes, run.summary.get("v")]
    run.log({"v": 10 * run.starting_step})
    print("again", mode)
    run.finish()
said["never"] = refused(id="r", resume="never")
said["missing"] = refused(id="missing", resume="must")
run = init(id="fresh", resume="never")
said["fresh"] = [run.resumed, run.starting_step]
run.log({"v": 1})
run.finish()
run = init(id="allowed", resume="allow")
said["allowed"] = [run.resumed, run.starting_step]
run.finish()
"""


def test_resuming_in_all_modes(client: Client) -> None:
    said = client.script(RESUMES)
    merged = {"lr": 2, "old": True}
    assert said["allow"] == ["r", True, 4, merged, ["t"], "n", 3]
    assert said["must"] == ["r", True, 5, merged, ["t"], "n", 40]
    assert said["True"] == ["r", True, 6, merged, ["t"], "n", 50]
    assert (said["fresh"], said["allowed"]) == ([False, 0], [False, 0])
    for mode, part in (("never", "already exists"), ("missing", "does not exist")):
        assert said[mode][0] == "UsageError" and part in said[mode][1], said[mode]
    assert [(row["_step"], row["v"]) for row in client.rows("r")] == [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 40),
        (5, 50),
        (6, 60),
    ]
    found = client.run("r", "state exitCode runtimeSeconds logLines { edges { node { line } } }")
    assert (found["state"], found["exitCode"]) == ("finished", 0)
    lines = [edge["node"]["line"] for edge in found["logLines"]["edges"]]
    assert lines == ["first", "again allow", "again must", "again True"]
    # The running time goes on.
    assert found["runtimeSeconds"] >= 1
    texts = client.run("r", "history(samples: 100)")["history"]
    assert json.loads(texts[-1])["_runtime"] >= 1.0


OFFLINE = """
for name in ("base", "cut"):
    run = init(id=name)
    for i in range(3):
        run.log({"v": i})
    run.finish()
run = init(mode="offline", id="off", fork_from="base?_step=1")
said["fork"] = run.starting_step
run.log({"v": 2})
run.finish()
run = init(mode="offline", resume_from="cut?_step=0")
said["rewind"] = [run.id, run.starting_step]
run.log({"v": 99})
run.finish()
"""


def test_offline_forks_and_rewinds_happen_at_sync(client: Client) -> None:
    said = client.script(OFFLINE)
    assert said == {"fork": 2, "rewind": ["cut", 1]}
    directories = [str(path) for path in client.home.wandb_dir.glob("offline-run-*")]
    assert sorted(path.rpartition("-")[2] for path in directories) == ["cut", "off"]
    command = [client.python, "-m", client.module, "sync", *directories]
    client.home.run(command, check=True, env=client.server.env)
    assert [(row["_step"], row["v"]) for row in client.rows("off")] == [(0, 0), (1, 1), (2, 2)]
    assert [(row["_step"], row["v"]) for row in client.rows("cut")] == [(0, 0), (1, 99)]
    assert client.steps("cut:0") == [0, 1, 2]


def test_late_rows_of_the_old_process_stay_out_of_a_rewound_run(client: Client) -> None:
    """They are not lost for the old process: its log has them."""
    client.wait_for("twice", "historyLineCount", lambda run: run["historyLineCount"] == 5)
    client.script(
        "run = init(resume_from='twice?_step=1')\nfor i in range(2):\n    run.log({'v': 50 + i})\nrun.finish()"
    )
    out, err = client.programs["old"].communicate("\n", timeout=DEADLINE_SECS)
    assert "ENDED" in out, (out, err)
    assert [row["v"] for row in client.rows("twice")] == [0, 1, 50, 51]
    assert client.steps("twice:0") == list(range(5))
    assert "late" not in client.summary("twice")
    assert client.run("twice", "state")["state"] == "finished"


RANK = """
rank = int(sys.argv[1])
run = init(id="together", settings=dict(mode="shared", x_primary=rank == 0, x_update_finish_state=rank == 0, x_label=f"rank{rank}"),
           config={f"c{rank}": rank})
for number in range(20):
    run.log({"rank": rank, "number": number, f"own{rank}": number})
run.finish()
"""


def test_three_writers_of_a_shared_run_keep_their_rows(client: Client) -> None:
    script = client.home.root / "rank.py"
    script.write_text(HEAD.format(module=client.module, project=client.project) + RANK)

    def rank(number: int) -> None:
        command = [client.python, str(script), str(number)]
        client.home.run(command, check=True, env=client.server.env)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(rank, (1, 2)))
    # Its end is the run's; rows of a writer that comes later still count, and do not open it again.
    rank(0)
    assert client.run("together", "state")["state"] == "finished"
    rows = client.rows("together")
    for number in range(3):
        assert [row["number"] for row in rows if row["rank"] == number] == list(range(20)), number
    config = client.config("together")
    assert [config[f"c{number}"]["value"] for number in range(3)] == [0, 1, 2]
    assert client.summary("together")["own0"] == 19


def test_a_silent_run_has_crashed_until_it_is_heard_of_again(client: Client) -> None:
    lives = client.programs["lives"]
    assert lives.stdin is not None
    client.wait_for("lives", "historyLineCount", lambda run: run["historyLineCount"] == 1)
    # Its heartbeats come every 30 s, which this server does not wait for.
    client.wait_for("lives", "state", lambda run: run["state"] == "crashed")
    lives.stdin.write("\n")
    lives.stdin.flush()
    wanted = {"state": "running", "historyLineCount": 2}
    client.wait_for("lives", "state historyLineCount", lambda run: run == wanted)
    for pid in family(lives.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    client.wait_for("lives", "state", lambda run: run["state"] == "crashed")
    said = client.script(
        "run = init(id='lives', resume='must')\nsaid['step'] = run.starting_step\nrun.log({'v': 3})\nrun.finish()"
    )
    assert said["step"] == 2
    assert client.run("lives", "state exitCode") == {"state": "finished", "exitCode": 0}
    assert [row["v"] for row in client.rows("lives")] == [1, 2, 3]


def test_the_stop_button_interrupts_the_program(client: Client) -> None:
    out, err = client.programs["stops"].communicate(timeout=DEADLINE_SECS)
    assert "INTERRUPTED" in out, (out, err)
    found = client.wait_for("stops", "state exitCode", lambda run: run["state"] != "running")
    assert found == {"state": "killed", "exitCode": 255}
