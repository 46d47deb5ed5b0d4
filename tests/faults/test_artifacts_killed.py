"""S8, N13: artifacts whose clients, daemons, servers and networks die in the middle: a version is there whole or not at all, and is
completed afterwards; what has arrived is not sent again."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from driven import OwnServer, Trainer
from network_world import wait_until
from proxy import Action, DropResponse, Duplicate, Forward, HoldAndReplay, Lose, Proxy
from scripts import kill_daemon
from stored_versions import StoredVersion, logged_versions
from table import record
from trials import trials
from world import Home, Server

Start = Callable[..., Trainer]
#: Files of a version.
FILES = 60


#: A server keeps equal contents once: those of a test are its own.
LOG_VERSION = """
artifact = wandb.Artifact("data", type="dataset")
for index in range({files}):
    with artifact.new_file(f"dir/{{index}}") as file:
        file.write(f"{project} {number} {{index}} " * 400)
run.log_artifact(artifact)
"""


def log_versions(one: Trainer, project: str, count: int) -> None:
    """Log so many versions of `FILES` files each, none of which is like another."""
    for number in range(count):
        one.do(f"exec({LOG_VERSION.format(files=FILES, project=project, number=number)!r})")


def check_version(version: StoredVersion, project: str, number: int) -> None:
    """The version has the content that was logged as the `number`th."""
    assert len(version.manifest["contents"]) == FILES
    for index in (0, FILES // 2, FILES - 1):
        assert version.content(f"dir/{index}") == f"{project} {number} {index} ".encode() * 400


def check_whole(server: Server, project: str, run: str, count: int) -> None:
    """Each version is there once, in the order of the calls, with its own content."""
    versions = logged_versions(server, project, run)
    committed = {name: one for name, one in versions.items() if one.state == "COMMITTED"}
    assert sorted(committed) == [f"data:v{number}" for number in range(count)]
    for number in range(count):
        check_version(committed[f"data:v{number}"], project, number)


def no_half_version(server: Server, project: str, run: str) -> None:
    """What is committed is whole, at any time."""
    for name, version in logged_versions(server, project, run).items():
        if version.state == "COMMITTED":
            check_version(version, project, int(name.rpartition(":v")[2]))


def is_complete(server: Server, project: str, run: str, count: int) -> bool:
    versions = logged_versions(server, project, run).values()
    return sum(version.state == "COMMITTED" for version in versions) == count


def slow(seconds: float) -> Callable[[int, bytes], Action]:
    """Every request takes its time, so that there is a middle to die in."""
    return lambda _number, _head: Forward(seconds)


def test_s8_the_trainer_is_killed(home: Home, server: Server, project: str, trainer: Start) -> None:
    port = int(server.base_url.rpartition(":")[2])
    with Proxy(port, plan=slow(0.02), kinds=b"PUT ") as proxy:
        one = trainer({**server.env, "WANDB_BASE_URL": proxy.base_url})
        one.do(f"run = wandb.init(project={project!r}, id='killed')")
        log_versions(one, project, 2)
        one.kill()
        wait_until("stored", lambda: is_complete(server, project, "killed", 2))
        check_whole(server, project, "killed", 2)


def test_s8_the_daemon_is_killed(home: Home, server: Server, project: str, trainer: Start) -> None:
    port = int(server.base_url.rpartition(":")[2])
    kills = trials(3, 30)
    with Proxy(port, plan=slow(0.02), kinds=b"PUT ") as proxy:
        one = trainer({**server.env, "WANDB_BASE_URL": proxy.base_url})
        one.do(f"run = wandb.init(project={project!r}, id='killed')")
        log_versions(one, project, 2)
        chance = random.Random(kills)
        for kill in range(kills):
            time.sleep(chance.uniform(0, 0.4))
            kill_daemon(home)
            one.log(range(kill, kill + 1))
            one.flush()
            no_half_version(server, project, "killed")
        one.do("run.finish()", timeout=90)
        one.end()
    check_whole(server, project, "killed", 2)
    record("S8", "daemon killed in the middle of artifacts", "whole, once, or completed", "2 of 2", kills)


def test_s8_daemon_and_trainer_are_killed_and_sync_completes(
    home: Home, server: Server, project: str, trainer: Start
) -> None:
    port = int(server.base_url.rpartition(":")[2])
    puts: Counter[bytes] = Counter()

    def plan(_number: int, head: bytes) -> Action:
        puts[head.split(b"?")[0]] += 1
        return Forward(0.03)

    with Proxy(port, plan=plan, kinds=b"PUT /storage/artifact") as proxy:
        env = {**server.env, "WANDB_BASE_URL": proxy.base_url}
        one = trainer(env)
        one.do(f"run = wandb.init(project={project!r}, id='killed')")
        log_versions(one, project, 1)
        one.flush()
        wait_until("under way", lambda: sum(puts.values()) > 10)
        one.kill()
        kill_daemon(home)
        no_half_version(server, project, "killed")
        (directory,) = home.wandb_dir.glob("run-*killed")
        home.runlane("sync", str(directory), env=env)
    check_whole(server, project, "killed", 1)
    # What was on its way when the daemon died may go once more.
    repeated = sum(puts.values()) - len(puts)
    assert repeated <= 24, puts


def test_s8_the_server_is_killed(home: Home, own_server: OwnServer, project: str, trainer: Start) -> None:
    server = own_server.start()
    kills = trials(2, 30)
    with Proxy(own_server.port, plan=slow(0.02), kinds=b"PUT ") as proxy:
        one = trainer({**server.env, "WANDB_BASE_URL": proxy.base_url})
        one.do(f"run = wandb.init(project={project!r}, id='killed')")
        log_versions(one, project, 2)
        chance = random.Random(kills)
        for _kill in range(kills):
            time.sleep(chance.uniform(0, 0.4))
            own_server.kill()
            own_server.start_again()
            no_half_version(server, project, "killed")
        one.do("run.finish()", timeout=90)
        one.end()
    check_whole(server, project, "killed", 2)
    record("S8", "server killed in the middle of artifacts", "whole, once, or completed", "2 of 2", kills)


def test_s8_answers_are_lost_and_requests_repeated(
    home: Home, server: Server, project: str, trainer: Start
) -> None:
    port = int(server.base_url.rpartition(":")[2])
    source, lock, armed = random.Random(8), threading.Lock(), threading.Event()

    def plan(_number: int, _head: bytes) -> Action:
        with lock:
            drawn = source.random() if armed.is_set() else 1.0
        if drawn < 0.06:
            return DropResponse()
        if drawn < 0.1:
            return Lose()
        if drawn < 0.14:
            return HoldAndReplay(0.3)
        return Duplicate(0.1) if drawn < 0.2 else Forward()

    with Proxy(port, plan=plan, kinds=b"HTTP/1.1") as proxy:
        one = trainer({**server.env, "WANDB_BASE_URL": proxy.base_url})
        one.do(f"run = wandb.init(project={project!r}, id='lossy')")
        armed.set()
        log_versions(one, project, 3)
        one.do("run.finish()", timeout=90)
        one.end()
        proxy.settle()
        disturbed = sum(name != "Forward" for _at, name in proxy.log)
    assert disturbed > 10
    check_whole(server, project, "lossy", 3)
    record("N3", "answers on artifacts lost, late, twice", "every version once", "3 of 3", disturbed)


def test_n13_parts_that_arrived_are_not_sent_again(
    home: Home, server: Server, project: str, trainer: Start
) -> None:
    arrived: list[bytes] = []
    goes_on = threading.Event()

    def plan(_number: int, head: bytes) -> Action:
        if len(arrived) < 2 or goes_on.is_set():
            arrived.append(head.split(b"?")[0])
            return Forward()
        return Lose()

    port = int(server.base_url.rpartition(":")[2])
    with Proxy(port, plan=plan, kinds=b"PUT /storage/parts/") as proxy:
        one = trainer({**server.env, "WANDB_BASE_URL": proxy.base_url})
        # Four parts of 32 MiB.
        one.do("import os")
        one.do("block = os.urandom(1 << 20); file = open('large', 'wb')")
        one.do("[file.write(i.to_bytes(8, 'little') + block[8:]) for i in range(128)]; file.close()")
        one.do(f"run = wandb.init(project={project!r}, id='parts')")
        one.do("artifact = wandb.Artifact('large', type='model')")
        one.do("artifact.add_file('large', policy='immutable'); run.log_artifact(artifact)")
        one.flush()
        wait_until("two parts stored", lambda: len(arrived) == 2)
        time.sleep(0.5)
        kill_daemon(home)
        goes_on.set()
        one.log(range(1))
        one.do("artifact.wait(60)")
        one.do("run.finish()", timeout=90)
        one.end()
    assert len(set(arrived)) == len(arrived) == 4, arrived
    (version,) = logged_versions(server, project, "parts").values()
    assert version.content("large") == (home.work / "large").read_bytes()


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_n11_a_file_that_is_gone_or_changed_fails_its_artifact_alone(
    home: Home, server: Server, project: str, trainer: Start, what: str
) -> None:
    port = int(server.base_url.rpartition(":")[2])
    with Proxy(port, plan=slow(0.05), kinds=b"PUT ") as proxy:
        one = trainer({**server.env, "WANDB_BASE_URL": proxy.base_url})
        one.do(f"run = wandb.init(project={project!r}, id={what!r})")
        one.do("open('given', 'w').write('as it was')")
        log_versions(one, project, 1)
        # Of the same name: it waits for the first.
        one.do("bad = wandb.Artifact('data', type='dataset'); bad.add_file('given', policy='immutable')")
        one.do("run.log_artifact(bad); import os")
        one.do("os.remove('given')" if what == "gone" else "open('given', 'w').write('as it is!')")
        (told,) = one.do(
            'exec("try:\\n bad.wait(60)\\nexcept ValueError as error:\\n print(repr(str(error)))")'
        )
        one.do("run.finish()", timeout=90)
        said = one.said()
        one.end()
    assert "given" in told
    assert ("cannot be read" if what == "gone" else "has changed since it was added") in told
    assert "artifact `data` is not stored: file `given`" in said
    assert "the run is uploaded, but not all of its artifacts" in said
    check_whole(server, project, what, 1)
