"""One run, several processes, several hosts: every row is there, once, with its writer; a killed one costs only its own.

Reliability.md names no rows for this; issue 3, part 3 does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import logs
import pytest
from oracle import HERE, Page, judge
from table import record
from world import Home, Server, make_home

WRITERS = 4
ROWS = 5_000
BOUND_MS = 10.0

#: A run that is handed to workers. Arguments: id, start method, mode, rows.
POOL = """
import multiprocessing, sys
import runlane as wandb

def work(run, writer, rows):
    for number in range(rows):
        run.log({"writer": writer, "number": number})

if __name__ == "__main__":
    _, run_id, method, mode, rows = sys.argv
    run = wandb.init(project="sharing", id=run_id, mode=mode, settings=wandb.Settings(console="off", x_disable_meta=True))
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=work, args=(run, writer, int(rows))) for writer in range(WRITERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * WRITERS
    run.finish()
""".replace("WRITERS", str(WRITERS))

#: One rank of a launch. Arguments: id, writer, mode, rows. Rank 0 is the primary process.
RANK = """
import sys
import runlane as wandb
_, run_id, writer, mode, rows = sys.argv
settings = wandb.Settings(console="off", x_disable_meta=True, x_shared=True, x_primary=writer == "0")
run = wandb.init(project="sharing", id=run_id, mode=mode, config={f"from-{writer}": 1}, settings=settings)
for number in range(int(rows)):
    run.log({"writer": int(writer), "number": number})
run.finish()
"""


def launch(homes: list[Home], run_id: str, mode: str, env: dict[str, str], rows: int = ROWS) -> None:
    """Start the ranks, in turn on the hosts, as torchrun does; wait until all have ended well."""
    processes = []
    for rank in range(WRITERS):
        home = homes[rank % len(homes)]
        script = home.root / "rank.py"
        script.write_text(RANK, encoding="utf-8")
        launcher = {"RANK": str(rank), "WORLD_SIZE": str(WRITERS), "LOCAL_RANK": str(rank // len(homes))}
        command = [sys.executable, str(script), run_id, str(rank), mode, str(rows)]
        processes.append(
            subprocess.Popen(
                command,
                cwd=home.work,
                env={**home.env, **env, **launcher},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    for process in processes:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said


def graphql(server: Server, query: str, run_id: str) -> dict[str, Any]:
    """Fields of a run of the project `sharing`."""
    text = f'query R($run: String!) {{ project(name: "sharing") {{ run(name: $run) {{ {query} }} }} }}'
    body = json.dumps({"query": text, "variables": {"run": run_id}}).encode()
    key = b64encode(f"api:{server.api_key}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {key}"}
    request = urllib.request.Request(f"{server.base_url}/graphql", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        document = json.load(answer)
    assert not document.get("errors"), document
    run: dict[str, Any] = document["data"]["project"]["run"]
    return run


def stored_rows(server: Server, run_id: str) -> list[dict[str, Any]]:
    """The rows that the server has, as it gives them; they must come by step."""
    texts = graphql(server, "history(minStep: 0, maxStep: 90000, samples: 100000)", run_id)["history"]
    rows = [json.loads(text) for text in texts]
    steps = [row["_step"] for row in rows]
    assert steps == sorted(steps)
    return rows


def check(rows: list[dict[str, Any]], ranked: bool, expected: int = ROWS) -> dict[int, str]:
    """Each row of each writer is there once, in its writer's order and under its writer's name. Returns the names."""
    names: dict[int, str] = {}
    numbers: dict[int, list[int]] = {}
    for row in rows:
        writer = row["writer"]
        assert names.setdefault(writer, row["_label"]) == row["_label"], row
        assert row.get("_rank") == (writer if ranked else None), row
        numbers.setdefault(writer, []).append(row["number"])
    assert sorted(names) == list(range(WRITERS))
    assert len(set(names.values())) == WRITERS, names
    for writer, found in numbers.items():
        assert found == list(range(expected)), f"writer {writer}: {len(found)} rows"
    return names


@pytest.fixture
def other_host(home: Home, tmp_path: Path) -> Iterator[Home]:
    """Another host: a home, runtime directory, daemon and host name of its own."""
    home.env["WANDB_HOST"] = "alpha"
    root = tmp_path / "beta"
    root.mkdir()
    made = make_home(root)
    made.env["WANDB_HOST"] = "beta"
    yield made
    made.stop_daemon()


@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_share_workers(home: Home, server: Server, method: str, mode: str) -> None:
    """SHARE: four processes get one run, by pickle or by fork."""
    run_id = f"share-{method}-{mode}"
    script = home.root / "pool.py"
    script.write_text(POOL, encoding="utf-8")
    env = server.env if mode == "online" else {}
    home.run([sys.executable, str(script), run_id, method, mode, str(ROWS)], check=True, env=env)
    (directory,) = home.run_dirs()
    names = check(logs.rows(logs.log_of(directory)), ranked=False)
    assert all("Process-" in name for name in names.values()), names
    if mode == "online":
        assert check(stored_rows(server, run_id), ranked=False) == names
        run = graphql(server, "state summaryMetrics historyKeys historyLineCount", run_id)
        assert (run["state"], run["historyLineCount"]) == ("finished", WRITERS * ROWS)
        # Who logged a row is no result and no metric.
        assert set(json.loads(run["summaryMetrics"])) == {
            *("writer", "number", "_step", "_runtime", "_timestamp", "_wandb")
        }
    record(f"SHARE-{method}-{mode}", f"{WRITERS} processes x {ROWS} rows on one run", "0 rows", "0 rows", 1)


def test_share_launch_online(home: Home, server: Server) -> None:
    """SHARE: four ranks of a launch, each with a client of its own."""
    launch([home], "share-launch", "online", server.env)
    assert len(home.run_dirs()) == WRITERS
    names = check(stored_rows(server, "share-launch"), ranked=True)
    assert names == {rank: f"rank-{rank}" for rank in range(WRITERS)}
    run = graphql(server, "state config historyLineCount lastStep", "share-launch")
    assert (run["state"], run["historyLineCount"], run["lastStep"]) == ("finished", WRITERS * ROWS, ROWS - 1)
    assert {f"from-{rank}" for rank in range(WRITERS)} <= set(json.loads(run["config"]))
    record("SHARE-launch-online", f"{WRITERS} ranks x {ROWS} rows on one run", "0 rows", "0 rows", 1)


def test_share_launch_offline(home: Home, server: Server) -> None:
    """SHARE: four ranks without a server; `sync` of their directories makes one run of them."""
    launch([home], "share-apart", "offline", {})
    sync([home], server, "share-apart")
    record("SHARE-launch-offline", f"{WRITERS} ranks x {ROWS} rows, then sync", "0 rows", "0 rows", 1)


def sync(homes: list[Home], server: Server, run_id: str) -> None:
    """Sync what lies in the homes, twice, and check the one run that comes of it."""
    for home in homes:
        directories = home.run_dirs()
        assert len(directories) == WRITERS // len(homes)
        for _again in range(2):
            home.runlane("sync", *map(str, directories), env=server.env)
    names = check(stored_rows(server, run_id), ranked=True)
    assert names == {rank: f"rank-{rank}" for rank in range(WRITERS)}
    run = graphql(server, "state historyLineCount", run_id)
    assert (run["state"], run["historyLineCount"]) == ("finished", WRITERS * ROWS)


def test_share_hosts_online(home: Home, other_host: Home, server: Server) -> None:
    """SHARE: two daemons that know nothing of each other, as on two hosts."""
    launch([home, other_host], "share-hosts", "online", server.env)
    assert [len(one.run_dirs()) for one in (home, other_host)] == [2, 2]
    check(stored_rows(server, "share-hosts"), ranked=True)
    hosts = set()
    for one in (home, other_host):
        for directory in one.run_dirs():
            first = [
                item for item in logs.records(logs.log_of(directory)) if item.control.HasField("writer_info")
            ]
            hosts.add(first[0].control.writer_info.host)
    assert hosts == {"alpha", "beta"}
    assert graphql(server, "state", "share-hosts")["state"] == "finished"
    record("SHARE-hosts-online", f"2 daemons, {WRITERS} ranks x {ROWS} rows", "0 rows", "0 rows", 1)


def test_share_hosts_offline(home: Home, other_host: Home, server: Server) -> None:
    """SHARE: two hosts without a server, synced one after the other."""
    launch([home, other_host], "share-hosts-apart", "offline", {})
    sync([home, other_host], server, "share-hosts-apart")
    record(
        "SHARE-hosts-offline", f"2 daemons, {WRITERS} ranks x {ROWS} rows, then sync", "0 rows", "0 rows", 1
    )


#: As POOL and RANK, but each writer notes its calls on a page, and they log until they are told to stop.
KILLED_WORKERS = f"""
import multiprocessing, os, signal, sys, time
sys.path.insert(0, {HERE!r})
from oracle import Page
import runlane as wandb

def work(run, writer, place):
    page = Page(f"{{place}}-{{writer}}")
    number = 0
    while not os.path.exists(f"{{place}}-stop"):
        page.attempt(number)
        run.log({{"writer": writer, "number": number}}, step=number // 2)
        page.done(number)
        number += 1
        time.sleep(0.0002)

if __name__ == "__main__":
    _, run_id, place = sys.argv
    run = wandb.init(project="sharing", id=run_id, mode="offline", settings=wandb.Settings(console="off", x_disable_meta=True))
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(run, writer, place)) for writer in range({WRITERS})]
    for worker in workers:
        worker.start()
    print(workers[2].pid, flush=True)
    # The kill is seen here, and the run ended at once: what the dead one left must be in the log before its end is.
    workers[2].join()
    open(f"{{place}}-stop", "w").close()
    for worker in workers:
        worker.join()
    run.finish()
"""


def test_share_worker_killed(home: Home) -> None:
    """SHARE: a worker is killed in the middle; the others, and the run, go on."""
    script = home.root / "killed.py"
    script.write_text(KILLED_WORKERS, encoding="utf-8")
    place = str(home.root / "page")
    pages = [Page(f"{place}-{writer}") for writer in range(WRITERS)]
    process = subprocess.Popen(
        [sys.executable, str(script), "share-killed", place],
        cwd=home.work,
        env=home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    victim = int(process.stdout.readline())
    for page in pages:
        page.wait_for(300)
    killed_at = time.monotonic_ns()
    os.kill(victim, signal.SIGKILL)
    assert process.wait(60) == 0
    (directory,) = home.run_dirs()
    rows = logs.rows(logs.log_of(directory))
    worst = 0.0
    for writer, page in enumerate(pages):
        # Two calls share a step: the second one's number stays, and the last row may be a half.
        found = [row["number"] for row in rows if row["writer"] == writer]
        if writer == 2:
            calls = list(range(found[-1] + 1))
            assert found == [number for number in calls if number % 2 or number == calls[-1]]
            worst = judge(page, calls, killed_at).worst_age_ms
        else:
            last = page.returned - 1
            assert found == [number for number in range(page.returned) if number % 2 or number == last]
    record("SHARE-killed", "SIGKILL of one of 4 workers", f"{BOUND_MS:g} ms of its own", f"{worst:.1f} ms", 1)
    assert worst <= BOUND_MS


#: A rank of a launch that notes its calls on a page and logs until it is told to stop. Arguments: id, writer, mode, page.
LIVING_RANK = f"""
import os, sys, time
sys.path.insert(0, {HERE!r})
from oracle import Page
import runlane as wandb
_, run_id, writer, mode, place = sys.argv
settings = wandb.Settings(console="off", x_disable_meta=True, x_shared=True, x_primary=writer == "0")
run = wandb.init(project="sharing", id=run_id, mode=mode, settings=settings)
page, number = Page(f"{{place}}-{{writer}}"), 0
while not os.path.exists(f"{{place}}-stop"):
    page.attempt(number)
    run.log({{"writer": int(writer), "number": number}})
    page.done(number)
    number += 1
    time.sleep(0.0002)
run.finish()
"""


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_share_rank_of_a_launch_killed(home: Home, server: Server, mode: str) -> None:
    """SHARE: a rank that is no child of the others is killed in the middle; the others end the run."""
    run_id, place, victim = f"share-rank-killed-{mode}", str(home.root / "page"), 2
    script = home.root / "rank.py"
    script.write_text(LIVING_RANK, encoding="utf-8")
    pages = [Page(f"{place}-{writer}") for writer in range(WRITERS)]
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), run_id, str(rank), mode, place],
            cwd=home.work,
            env={
                **home.env,
                **(server.env if mode == "online" else {}),
                "RANK": str(rank),
                "WORLD_SIZE": "4",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for rank in range(WRITERS)
    ]
    for page in pages:
        page.wait_for(300)
    killed_at = time.monotonic_ns()
    ranks[victim].kill()
    Path(f"{place}-stop").touch()
    assert [rank.wait(60) for rank in ranks] == [0, 0, -signal.SIGKILL, 0]
    if mode == "offline":
        home.runlane("sync", *map(str, home.run_dirs()), env=server.env)
    expected = sum(page.returned for page in pages) - pages[victim].returned
    deadline = time.monotonic() + 30
    while True:
        rows = stored_rows(server, run_id)
        found = {w: [row["number"] for row in rows if row["writer"] == w] for w in range(WRITERS)}
        if sum(map(len, found.values())) - len(found[victim]) >= expected and found[victim]:
            worst = judge(pages[victim], found[victim], killed_at).worst_age_ms
            if worst <= BOUND_MS:
                break
        assert time.monotonic() < deadline, f"not all rows came: { {w: len(n) for w, n in found.items()} }"
        time.sleep(0.2)
    for writer, page in enumerate(pages):
        if writer != victim:
            assert found[writer] == list(range(page.returned))
    assert {row["_rank"] for row in rows if row["writer"] == victim} == {victim}
    record(
        f"SHARE-rank-killed-{mode}",
        "SIGKILL of one of 4 ranks of a launch",
        f"{BOUND_MS:g} ms of its own",
        f"{worst:.1f} ms",
        1,
    )


#: A worker logs while the daemon stands still and is killed; the run is finished before the daemon has seen any of it.
STANDING = """
import os, signal, sys, threading, time
import runlane as wandb
from runlane import _setup
run = wandb.init(project="sharing", id=sys.argv[1], mode="offline", settings=wandb.Settings(console="off", x_disable_meta=True))
run.log({"writer": 0, "number": 0})
run._request("flush", {"level": "logged"}, 10)
daemon = _setup.process().connection().daemon_pid
ready, told = os.pipe()
worker = os.fork()
if worker == 0:
    run.log({"writer": 1, "number": 0})
    run._request("flush", {"level": "logged"}, 10)
    os.kill(daemon, signal.SIGSTOP)
    for number in range(1, 3000):
        run.log({"writer": 1, "number": number}, step=10 + number // 3)
    time.sleep(0.05)
    os.write(told, b".")
    time.sleep(60)
os.read(ready, 1)
os.kill(worker, signal.SIGKILL)
os.waitpid(worker, 0)
threading.Timer(0.3, os.kill, (daemon, signal.SIGCONT)).start()
run.finish()
"""


def test_share_worker_killed_while_the_daemon_stands(home: Home) -> None:
    """SHARE: what a dead worker left in its socket and spill file is in the log before the run's end is."""
    script = home.root / "standing.py"
    script.write_text(STANDING, encoding="utf-8")
    home.run([sys.executable, str(script), "share-standing"], check=True)
    (directory,) = home.run_dirs()
    rows = [row for row in logs.rows(logs.log_of(directory)) if row["writer"] == 1]
    # Three calls share a step and a key: the last one of each stays.
    assert [row["number"] for row in rows] == [0, *range(2, 3000, 3)]
    record("SHARE-standing", "SIGSTOP of the daemon, SIGKILL of a worker, finish", "0 rows", "0 rows", 1)
