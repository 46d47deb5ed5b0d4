"""Daemons that stop, die or do not start: nothing that was logged is lost, and no call waits."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from core_world import WAIT_SECS, World, items_of
from runlane import _core


def wait_until(condition: object, what: str) -> None:
    """Poll a condition; there is no event for what another process does to a file."""
    deadline = time.monotonic() + WAIT_SECS
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def numbers(world: World) -> list[int]:
    """The values of key `n`, in the order of arrival."""
    return [items_of(call)["n"] for call in world.events("call")]


def test_a_stopped_daemon_blocks_no_call_and_loses_nothing(world: World) -> None:
    run = world.open()
    run.log({"n": 0})
    world.wait_for("call", 1)
    os.kill(world.daemon_pid(), signal.SIGSTOP)
    slowest = 0.0
    pad = "x" * 200
    for number in range(1, 20_000):
        started = time.perf_counter()
        run.log({"n": number, "pad": pad})
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 0.05
    wait_until(world.spill_files, "spill file")
    (spill,) = world.spill_files()
    assert stat.S_IMODE(spill.stat().st_mode) == 0o600
    os.kill(world.daemon_pid(), signal.SIGCONT)
    run._finish(0, 0.0, False, lambda _: None)
    assert numbers(world) == list(range(20_000))
    assert run._lost_rows == 0
    wait_until(lambda: not world.spill_files(), "spill file removed")
    assert run._queued_bytes == 0


def test_memory_is_bounded_and_the_rest_is_read_back_in_order(world: World) -> None:
    run = world.open()
    run.log({"n": 0})
    world.wait_for("call", 1)
    os.kill(world.daemon_pid(), signal.SIGSTOP)
    pad = "x" * 20_000
    most = 0
    for number in range(1, 8000):
        run.log({"n": number, "pad": pad})
        most = max(most, run._queued_bytes)
    assert most <= 64 << 20
    assert run._lost_rows == 0
    os.kill(world.daemon_pid(), signal.SIGCONT)
    run._finish(0, 0.0, False, lambda _: None)
    assert numbers(world) == list(range(8000))


def test_a_killed_daemon_is_started_again_and_gets_what_it_had_not_logged(world: World) -> None:
    run = world.open()
    for number in range(3000):
        run.log({"n": number})
        if number % 1000 == 500:
            world.wait_for("call", 1)
            os.kill(world.daemon_pid(), signal.SIGKILL)
            listening = len(world.events("listening"))
            world.wait_for("listening", listening + 1)
    run._finish(0, 0.0, False, lambda _: None)
    assert numbers(world) == list(range(3000))
    opens = world.events("open")
    # A daemon may be killed before the client opened the run with it.
    attached = [event["attach"] for event in opens]
    assert attached[0] is False
    assert len(attached) >= 2 and all(attached[1:])
    assert len({event["writer"] for event in opens}) == 1
    assert world.notices == [(30, "a notice")]


def test_a_request_survives_the_death_of_the_daemon(world: World) -> None:
    run = world.open()
    (world.runtime_dir / "no-ack").touch()
    run.log({"n": 1})
    world.wait_for("call", 1)
    os.kill(world.daemon_pid(), signal.SIGKILL)
    assert run._request("flush", {"level": "logged"}, 10.0) == {"reached": True}


def test_a_daemon_that_dies_at_start_is_tried_five_times_a_minute(world: World) -> None:
    run = world.open()
    run.log({"n": 0})
    world.wait_for("call", 1)
    (world.runtime_dir / "die-at-start").touch()
    os.kill(world.daemon_pid(), signal.SIGKILL)
    run.log({"n": 1})

    def told() -> bool:
        run.log({"m": 1})
        return any("does not stay up" in text for _, text in world.notices)

    wait_until(told, "warning")
    assert (world.runtime_dir / "starts").read_text() == "x" * 4
    wait_until(world.spill_files, "spill file")
    assert run._lost_rows == 0
    assert not _core.flush_at_exit(0.1)
    run._abandon()


def test_a_full_disk_drops_with_an_exact_count(world: World) -> None:
    """A directory that vanished stands for a disk that takes nothing."""
    run = world.open()
    run.log({"n": 0})
    world.wait_for("call", 1)
    os.kill(world.daemon_pid(), signal.SIGSTOP)
    moved = world.sync_dir.with_name("moved")
    world.sync_dir.rename(moved)
    pad = "x" * (1 << 20)
    logged = 100
    for number in range(1, logged):
        run.log({"n": number, "pad": pad})
    lost = run._lost_rows
    assert 30 < lost < 45
    run.log({"m": 1})
    errors = [text for severity, text in world.notices if severity == 40]
    assert len(errors) == 1 and "rows are being lost" in errors[0]
    os.kill(world.daemon_pid(), signal.SIGCONT)
    world.wait_for("call", logged - lost)
    wait_until(lambda: run._queued_bytes < 1000, "drained")
    run.log({"n": logged})
    run._finish(0, 0.0, False, lambda _: None)
    found = [call for call in world.events("call") if "n" in items_of(call)]
    assert len(found) == logged - run._lost_rows + 1 - (run._lost_rows - lost)
    assert any(f"{run._lost_rows} rows of this process are lost" in text for _, text in world.notices)


def test_rows_of_a_killed_trainer_are_in_the_spill_file(world: World) -> None:
    """Trainer and daemon die together while the daemon is stopped: the file has every row older than a moment."""
    code = world.script("""
run = world.open()
run.log({"n": 0})
world.wait_for("call", 1)
os.kill(world.daemon_pid(), signal.SIGSTOP)
for n in range(1, 500):
    run.log({"n": n})
print("logged", flush=True)
time.sleep(60)
""")
    trainer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None and trainer.stdout.readline() == "logged\n"
    wait_until(world.spill_files, "spill file")
    (spill,) = world.spill_files()
    # What is in the socket of a silent daemon is spilled too, after a quarter of a second.
    wait_until(lambda: last_seq(spill) == 500, "all rows spilled")
    trainer.kill()
    trainer.wait()
    assert last_seq(spill) == 500


def last_seq(spill: Path) -> int:
    """The last sequence number in a spill file."""
    data = spill.read_bytes()
    if len(data) < 16:
        return 0  # created, but its header is still being written
    assert data[:8] == b"RLSPILL1"
    at, last = 16, 0
    while at + 20 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        count = int.from_bytes(data[at + 4 : at + 8], "little")
        first = int.from_bytes(data[at + 8 : at + 16], "little")
        if at + 20 + length > len(data):
            break
        last = first + count - 1
        at += 20 + length
    return last


def run_script(world: World, code: str) -> str:
    """Run a script to its end; returns what it printed."""
    command = [sys.executable, "-c", world.script(code)]
    result = subprocess.run(command, check=False, timeout=WAIT_SECS, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_flush_at_exit_waits_for_the_acknowledgement(world: World) -> None:
    printed = run_script(
        world,
        """
run = world.open()
for n in range(1000):
    run.log({"n": n})
print(_core.flush_at_exit(10.0), len(world.events("call")))
""",
    )
    assert printed == "True 1000\n"


def test_flush_at_exit_spills_what_was_not_acknowledged(world: World) -> None:
    (world.runtime_dir / "no-ack").touch()
    printed = run_script(
        world,
        """
run = world.open()
run.log({"n": 1})
world.wait_for("call", 1)
print(_core.flush_at_exit(0.05))
""",
    )
    assert printed == "False\n"
    assert last_seq(world.spill_files()[0]) == 1


def test_a_process_that_ends_without_a_word_has_delivered_its_rows(world: World) -> None:
    run_script(
        world,
        """
import atexit
run = world.open()
class Late:
    def __del__(self):
        run.log({"n": -2})
late = Late()
atexit.register(_core.flush_at_exit, 10.0)
atexit.register(lambda: run.log({"n": -1}))
for n in range(5000):
    run.log({"n": n})
""",
    )
    assert numbers(world)[:5001] == [*range(5000), -1]


def test_a_daemon_thread_that_logs_while_the_interpreter_ends_is_harmless(world: World) -> None:
    run_script(
        world,
        """
import threading
run = world.open()
def forever():
    while True:
        run.log({"n": 0, "l": [1]})
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.05)
""",
    )


def test_a_missing_binary_is_a_daemon_error(world: World) -> None:
    with pytest.raises(_core.DaemonError, match=r"cannot start the daemon: No such file.*\nhint: reinstall"):
        _core.Connection.open(str(world.runtime_dir), "/nonexistent/runlane-core", 10.0)


def test_a_binary_that_cannot_be_run_is_a_daemon_error(world: World, tmp_path: Path) -> None:
    (tmp_path / "binary").write_text("")
    with pytest.raises(_core.DaemonError, match="Permission denied"):
        _core.Connection.open(str(world.runtime_dir), str(tmp_path / "binary"), 10.0)


def test_a_runtime_directory_of_others_is_refused(world: World) -> None:
    world.runtime_dir.chmod(0o755)
    with pytest.raises(_core.DaemonError, match="must be a directory of this user alone"):
        _core.Connection.open(str(world.runtime_dir), str(world.binary), 10.0)
    world.runtime_dir.chmod(0o700)


def test_a_socket_path_that_is_too_long_is_a_daemon_error(world: World, tmp_path: Path) -> None:
    with pytest.raises(_core.DaemonError):
        _core.Connection.open(str(tmp_path / ("d" * 120)), str(world.binary), 5.0)


def test_processes_that_start_together_share_one_daemon(world: World) -> None:
    code = world.script("print(world.connection.daemon_pid)")
    children = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    pids = {child.communicate(timeout=WAIT_SECS)[0] for child in children}
    assert pids == {f"{world.daemon_pid()}\n"}
    assert len(world.events("listening")) == 1


def test_the_daemon_is_detached(world: World) -> None:
    pid = world.connection.daemon_pid
    status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    parent, session = int(status[1]), int(status[3])
    assert parent != os.getpid()
    assert session == pid
    names = {
        part.split(b"=")[0].decode()
        for part in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if part
    }
    assert names <= {"HOME", "PATH", "XDG_RUNTIME_DIR", "TMPDIR", "LANG", "RUST_BACKTRACE"} | {"LC_CTYPE"}
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_no_descriptors_left_is_no_exception(world: World) -> None:
    import resource

    run = world.open()
    run.log({"n": 0})
    world.wait_for("call", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        while True:
            try:
                held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        os.kill(world.connection.daemon_pid, signal.SIGKILL)
        for number in range(1, 200):
            run.log({"n": number})
        with pytest.raises(_core.DaemonError):
            run._request("step", {}, 0.3)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    run._finish(0, 0.0, False, lambda _: None)
    assert numbers(world) == list(range(200))
