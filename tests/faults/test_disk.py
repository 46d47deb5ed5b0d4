"""L4, L5, L8, L10: a full disk, a failing sync, two that want one run directory, a spoilt cursor (reliability.md 4.2).

The rows' exhaustive halves are in core/translog/tests, through the file system seam; here whole processes meet real disks. A small
disk is a tmpfs in a mount namespace of the training process, which needs no privileges where the kernel gives them to users.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import logs
import pytest
import runlane
from driven import OwnServer
from oracle import Page
from scripts import PRELUDE as COMMON
from scripts import calls_in, log_of, said, start
from table import record
from world import Home

CORE = Path(runlane.__file__).parent / "_bin" / "runlane-core"

#: Beside the prelude, which takes it from the tests: a script in a mount namespace starts elsewhere.
PRELUDE = COMMON.replace(
    "from scripts import x_of", "x_of = lambda call: (call + 1) ** 0.5 / 7 - 1e-7 * call"
)

#: A call of about a kibibyte; `fill()` leaves the disk without a byte, `spare()` undoes it.
SMALL_DISK = (
    PRELUDE
    + """
import json, shutil
from pathlib import Path
ballast = Path("ballast")
def fill():
    with ballast.open("ab", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return
def spare():
    ballast.unlink()
def log_calls(first, count):
    for call in range(first, first + count):
        page.attempt(call)
        run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call), "text": "x" * 900})
        page.done(call)
def daemon():
    runtime = os.environ["RUNLANE_RUNTIME_DIR"].encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\\0")
        except OSError:
            continue
        if runtime in words and b"daemon" in words:
            return int(process.name)
def saved(name):
    # The disk goes with this process.
    shutil.copy(next(Path("wandb").glob("*run-*/run-*.wandb")), Path(sys.argv[1]).parent / name)
"""
)


def on_small_disk(
    home: Home, code: str, run_id: str, megabytes: int, env: dict[str, str] | None = None
) -> Page:
    """Run a script whose working directory is a disk of its own; its page. Skips where a user may not mount one."""
    script = home.root / f"{run_id}.py"
    script.write_text(SMALL_DISK + code, encoding="utf-8")
    page = Page(home.root / f"{run_id}.page")
    mount = 'mount -t tmpfs -o "size=$1m" none "$2" && cd "$2" && shift 2 && exec "$@"'
    probe = ["unshare", "-Urm", "sh", "-c", mount, "sh", "1", str(home.work), "true"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("a user may not mount a tmpfs here; the seam tests of core/translog cover the row")
    words = [sys.executable, str(script), str(home.root / f"{run_id}.page"), run_id]
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mount, "sh", str(megabytes), str(home.work), *words],
        cwd=home.root,
        env={**home.env, **(env or {})},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    (home.root / f"{run_id}.stderr").write_text(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return page


def test_l4_full_disk_that_gets_space_again(home: Home) -> None:
    """Nothing raises, nothing blocks, nothing is lost; what waited is in the log in its order."""
    page = on_small_disk(
        home,
        """
log_calls(0, 500)
fill()
log_calls(500, 4000)
time.sleep(1.5)
assert not run.flush("logged", timeout=0.5), "the disk has no room for this"
spare()
log_calls(4500, 500)
assert run.flush("logged", timeout=20)
run.finish()
saved("log")
""",
        "space-again",
        16,
    )
    assert calls_in(home.root / "log") == list(range(5000))
    assert not logs.losses(home.root / "log")
    assert "trying again, training goes on" in said(home, "space-again")
    assert page.longest_call_ms < 50
    record(
        "L4",
        "tmpfs of 16 MiB full, space returns",
        "0 rows lost, calls 50 ms",
        f"0 rows, {page.longest_call_ms:.1f} ms",
        1,
    )


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_l4_daemon_ends_while_the_disk_is_full(home: Home, how: str) -> None:
    """What it held in memory was not acknowledged: the next daemon gets it again, once, open rows too."""
    page = on_small_disk(
        home,
        f"""
def log_part(call):
    page.attempt(call)
    run.log({{f"i{{call % 3}}": call, f"x{{call % 3}}": x_of(call)}}, commit=call % 3 == 2)
    page.done(call)
log_calls(0, 300)
for call in range(300, 302):
    log_part(call)
assert run.flush("logged", timeout=20)
fill()
for call in range(302, 313):
    log_part(call)
log_calls(313, 2000)
time.sleep(0.5)
os.kill(daemon(), signal.{how})
log_calls(2313, 200)
time.sleep(0.5)
spare()
assert run.flush("logged", timeout=20)
for call in range(2513, 2515):
    log_part(call)
run.finish()
saved("log")
""",
        f"ended-{how}",
        12,
    )
    assert calls_in(home.root / "log") == list(range(2515))
    assert not logs.losses(home.root / "log")
    record("L4", f"disk full, then {how} of the daemon, then space", "0 rows lost, none twice", "0 rows", 1)
    assert page.longest_call_ms < 50


def test_l4_full_disk_at_the_end_counts_exactly(home: Home) -> None:
    """What does not fit into the reserve is dropped, last rows first, and counted; config, summary and exit are there."""
    page = on_small_disk(
        home,
        """
run.config["kept"] = 1
log_calls(0, 500)
fill()
log_calls(500, 11_500)
run.config["late"] = 2
run.summary["best"] = 7
run.finish()
saved("log")
""",
        "full-at-the-end",
        12,
    )
    log = home.root / "log"
    found = calls_in(log)
    # Samples of system metrics go first, and are counted for themselves.
    losses = logs.losses(log)
    assert {one.stream for one in losses} <= {"history", "system"}
    (loss,) = [one for one in losses if one.stream == "history"]
    assert found == list(range(len(found))), "the rows that are kept are the first ones"
    assert 0 < loss.count == 12_000 - len(found)
    assert len(found) > 4000, "the reserve was used"
    records = list(logs.records(log))
    assert records[-1].HasField("exit")
    configs = [one for one in records if one.HasField("config")]
    assert configs, "the configuration that came late"
    keys = {tuple(item.nested_key) or (item.key,) for one in records for item in one.summary.update}
    assert ("best",) in keys
    assert f"runlane: {loss.count} rows lost" in said(home, "full-at-the-end")
    lines = [
        one.output_raw.line for one in records if one.HasField("control") and one.control.HasField("loss")
    ]
    assert sum(f"{loss.count} rows lost" in line for line in lines) == 1
    assert page.longest_call_ms < 50
    record(
        "L4",
        "tmpfs of 12 MiB full to the end",
        "loss marker exact, essentials kept",
        f"{loss.count} of 12000 rows, all counted",
        1,
    )


def test_l4_online_run_goes_on_from_memory(home: Home, own_server: OwnServer) -> None:
    """While the disk takes nothing, the server gets every row."""
    server = own_server.start()
    page = on_small_disk(
        home,
        """
log_calls(0, 500)
fill()
log_calls(500, 3000)
print(run.flush("uploaded", timeout=20), flush=True)
api = wandb.Api()
deadline = time.monotonic() + 20
rows = []
while len(rows) < 3500 and time.monotonic() < deadline:
    rows = [row for row in api.run(run.path).scan_history(keys=None)]
    time.sleep(0.2)
found = [next(row[f"i{place}"] for place in range(3) if row.get(f"i{place}") is not None) for row in rows]
assert found == list(range(3500)), len(found)
assert not run.flush("logged", timeout=0.2)
run.finish()
""",
        "online",
        10,
        env={**server.env, "FAULT_MODE": "online"},
    )
    assert page.longest_call_ms < 50
    record(
        "L4",
        "online, disk full",
        "all rows at the server",
        f"3500 of 3500 rows, {page.longest_call_ms:.1f} ms",
        1,
    )


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* fdatasync of a transaction log fails once for each file `fail` that is there. */
int fdatasync(int fd) {
    static int (*real)(int);
    char link[64], name[4096];
    ssize_t length;
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, name, sizeof name - 1);
    if (length > 0) {
        name[length] = 0;
        const char *fail = getenv("SHIM_FAIL");
        if (strstr(name, ".wandb") && fail && unlink(fail) == 0) { errno = EIO; return -1; }
    }
    return real(fd);
}
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes one `fdatasync` of a log fail."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler; the seam tests of core/translog cover the row")
    directory = tmp_path_factory.mktemp("shim")
    (directory / "shim.c").write_text(SHIM)
    library = directory / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, directory / "shim.c", "-ldl"], check=True)
    return library


def test_l5_fsync_fails_once(home: Home, shim: Path) -> None:
    """The log goes on in a sound copy; nothing is lost; the failed range is durable only when the copy is."""
    fail = home.root / "fail"
    code = (
        PRELUDE
        + """
def log_calls(first, count):
    for call in range(first, first + count):
        page.attempt(call)
        run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call)})
        page.done(call)
log_calls(0, 300)
assert run.flush("synced", timeout=20)
log = next(__import__("pathlib").Path("wandb").glob("*run-*/run-*.wandb"))
before = log.stat().st_ino
for round in range(3):
    open(os.environ["SHIM_FAIL"], "w").close()
    log_calls(300 + 300 * round, 300)
    assert run.flush("synced", timeout=20)
    assert not os.path.exists(os.environ["SHIM_FAIL"]), "the sync did not fail"
    assert log.stat().st_ino != before, "synced, and still the suspect file"
    before = log.stat().st_ino
run.finish()
"""
    )
    # The daemon's environment is its own: the shim comes with its binary.
    wrapper = home.root / "core"
    wrapper.write_text(f'#!/bin/sh\nLD_PRELOAD={shim} SHIM_FAIL={fail} exec {CORE} "$@"\n')
    wrapper.chmod(0o755)
    environment = {"RUNLANE_CORE_BINARY": str(wrapper), "SHIM_FAIL": str(fail)}
    victim = start(home, code, "fsync", env=environment)
    assert victim.process.wait(60) == 0, said(home, "fsync")
    log = log_of(home, "fsync")
    assert calls_in(log) == list(range(1200))
    assert [path.name for path in log.parent.glob("*.runlane-new")] == []
    told = said(home, "fsync")
    assert "cannot sync transaction log" in told and "replaced by a sound copy" in told
    record("L5", "fdatasync of the daemon fails with EIO, three times", "0 rows lost", "0 of 1200 rows", 3)


def test_l8_two_daemons_want_one_run_directory(home: Home) -> None:
    """Two processes with a daemon each open the same run in the same second: both logs, or the only one, are whole."""
    code = (
        PRELUDE.replace("run = wandb.init(", "run = None\ndef begin():\n  return wandb.init(")
        + """
while time.time() < float(sys.argv[3]):
    pass
try:
    run = begin()
except (wandb.Error, wandb.UsageError) as error:
    print("refused", type(error).__name__, error, flush=True)
    sys.exit(0)
print("open", run.dir, flush=True)
for call in range(200):
    run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call)})
run.finish()
"""
    )
    rounds = 3
    for number in range(rounds):
        at = str(time.time() + 2.5)
        run_id = f"same-{number}"
        running = []
        for side in "ab":
            environment = {
                "RUNLANE_RUNTIME_DIR": home.env["RUNLANE_RUNTIME_DIR"] + ("" if side == "a" else "-b")
            }
            script = home.root / f"{side}.py"
            script.write_text(code)
            words = [sys.executable, str(script), str(home.root / f"{side}.page"), run_id, at]
            running.append(
                subprocess.Popen(
                    words,
                    cwd=home.work,
                    env={**home.env, **environment},
                    text=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
        said_by = [process.communicate(timeout=60) for process in running]
        assert [process.returncode for process in running] == [0, 0], said_by
        opened = [out for out, _ in said_by if out.startswith("open")]
        refused = [out for out, _ in said_by if out.startswith("refused")]
        assert len(opened) >= 1, said_by
        written = list(home.wandb_dir.glob(f"*run-*-{run_id}*/run-{run_id}.wandb"))
        assert len(written) == len(opened) == 2 - len(refused), (written, said_by)
        for log in written:
            assert calls_in(log) == list(range(200))
    # The second daemon leaves by itself; it has nothing open.
    record(
        "L8",
        "two daemons open one run in one directory",
        "one log each, or a typed error; 0 bytes mixed",
        "0 rows off",
        rounds,
    )


def test_l4_run_directory_removed_under_a_live_run(home: Home) -> None:
    """finish() says so at once; nothing raises before."""
    code = (
        PRELUDE
        + """
import shutil
run.log({"i0": 0, "x0": x_of(0)})
assert run.flush("synced", timeout=20)
shutil.rmtree("wandb")
for call in range(1, 300):
    run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call)}, commit=call % 2 == 0)
begun = time.monotonic()
run.finish()
print(time.monotonic() - begun, flush=True)
"""
    )
    victim = start(home, code, "removed")
    out, _ = victim.process.communicate(timeout=90)
    assert victim.process.returncode == 0, said(home, "removed")
    took = float(out.split()[-1])
    assert took < 5, f"finish() took {took:.1f} s"
    assert "removed while the run was going on" in said(home, "removed")
    record(
        "L4",
        "run directory removed under a live run",
        "finish() ends at once and says so",
        f"{took:.1f} s",
        1,
    )


def test_l10_cursor_lost_or_wrong(home: Home, own_server: OwnServer) -> None:
    """The sidecar is lost, cut, from the future, from another run, no file at all: everything is sent again, once."""
    variants = ["lost", "cut", "empty", "version", "future", "other", "directory", "ahead", "behind"]
    made = home.python(
        f"""
import runlane as wandb
for name in {variants!r}:
    with wandb.init(project="faults", id=name, mode="offline",
                    settings=wandb.Settings(console="off", x_disable_meta=True, x_save_requirements=False)) as run:
        for call in range(60):
            run.log({{"i": call}})
"""
    )
    assert made.returncode == 0
    server = own_server.start()
    (sample,) = home.wandb_dir.glob("*run-*-lost/run-lost.wandb")
    home.runlane("sync", str(sample.parent), env=server.env)
    cursor = json.loads(Path(f"{sample}.runlane-cursor").read_text())
    ((key, target),) = cursor["targets"].items()

    def spoil(name: str, log: Path) -> None:
        sidecar = Path(f"{log}.runlane-cursor")
        text = sidecar.read_text() if sidecar.exists() else ""
        own = key.rsplit(" ", 1)[0] + f" {name}"
        changes = {
            "cut": text[: len(text) // 2],
            "empty": "",
            "version": json.dumps({"version": 99, "targets": {own: {"history": [1, 2]}}}),
            # Lines that the server does not have, of a log that does not have them either.
            "future": json.dumps(
                {"version": 1, "targets": {own: {**target, "history": 10_000, "bytes": 10**9}}}
            ),
            "other": json.dumps(cursor),
            # Of this log, but the server does not have them: it was never asked, or restored from a backup.
            "ahead": json.dumps(
                {"version": 1, "targets": {own: {**target, "history": 50, "complete": False}}}
            ),
            "behind": json.dumps(
                {"version": 1, "targets": {own: {**target, "history": 3, "complete": False}}}
            ),
        }
        sidecar.unlink(missing_ok=True)
        if name == "directory":
            sidecar.mkdir()
        elif name in changes:
            sidecar.write_text(changes[name])

    logs_of = {name: next(home.wandb_dir.glob(f"*run-*-{name}/run-{name}.wandb")) for name in variants}
    for name in ("future", "ahead", "other"):
        spoil(name, logs_of[name])
    for again in range(2):
        home.runlane("sync", "--include-synced", str(home.wandb_dir), env=server.env)
        if not again:
            for name, log in logs_of.items():
                spoil(name, log)
    found = home.python(
        f"""
import json
import runlane as wandb
api = wandb.Api()
print(json.dumps({{name: [row["i"] for row in api.run("faults/" + name).scan_history()] for name in {variants!r}}}))
""",
        env=server.env,
    )
    rows = json.loads(found.stdout)
    assert rows == {name: list(range(60)) for name in variants}
    record(
        "L10",
        "cursor lost, cut, from the future, of another run, a directory",
        "each row once",
        "0 rows off",
        2 * len(variants),
    )
