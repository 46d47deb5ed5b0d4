"""System metrics of the host and of processes: psutil agrees under load, limits of cgroups count, and nothing else is disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from logs import log_of
from recorded import samples_of, timed_samples_of
from world import PYTHON, Home, let_end

LOAD = Path(__file__).with_name("host_load.py")
INTERVAL = 0.25
MIB = float(1 << 20)

Samples = list[tuple[float, dict[str, float]]]


def of_run(run_dir: str | Path) -> Samples:
    """The samples of a run, and their times."""
    return list(timed_samples_of(log_of(Path(run_dir))))


def last(samples: Samples, key: str) -> float:
    """The newest value of a key."""
    return next(sample[key] for _, sample in reversed(samples) if key in sample)


def around(samples: Samples, at: float, key: str) -> float:
    """The value nearest to a time."""
    found = [(abs(when - at), sample[key]) for when, sample in samples if key in sample]
    return min(found)[1]


def mean_between(samples: Samples, begin: float, end: float, key: str) -> float:
    """The mean of values whose whole interval lies between two times."""
    times = [when for when, _ in samples]
    found = [
        sample[key]
        for before, (when, sample) in zip(times, samples[1:], strict=False)
        if key in sample and begin <= before and when <= end
    ]
    assert len(found) >= 3, (len(found), key)
    return sum(found) / len(found)


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What psutil said of the load, with the samples of both runs."""
    from world import make_home

    home = make_home(tmp_path_factory.mktemp("load"))
    output = home.run([PYTHON, str(LOAD), str(INTERVAL)], check=True).stdout
    facts: dict[str, Any] = json.loads(output.partition("FACTS")[2])
    facts["plain"], facts["tree"] = (of_run(run) for run in facts["runs"])
    yield facts
    home.stop_daemon()


def test_the_first_sample_comes_at_once_and_the_others_every_interval(load: dict[str, Any]) -> None:
    """No `cpu` in the first one: it needs two readings."""
    times = [when for when, _ in load["plain"]]
    gaps = [after - before for before, after in pairwise(times)]
    assert "cpu" not in load["plain"][0][1]
    assert "cpu" in load["plain"][1][1]
    # The second one comes on the grid that all runs share.
    assert INTERVAL * 0.4 < gaps[0] < INTERVAL * 2
    middle = sorted(gaps[1:])[len(gaps) // 2]
    assert abs(middle - INTERVAL) < 0.05, gaps


def test_cpu_agrees_with_psutil(load: dict[str, Any]) -> None:
    """Within 12 points of a core: of the process alone, and of it and its child."""
    cpu, cores = load["cpu"], load["cores"]
    for run, used in (("plain", cpu["own"]), ("tree", cpu["tree"])):
        sampled = mean_between(load[run], cpu["begin"], cpu["end"], "cpu")
        assert abs(sampled * cores - used * 100) < 12, (run, sampled, cores, cpu)
    busy = [
        mean_between(load["plain"], cpu["begin"], cpu["end"], f"cpu.{index}.cpu_percent")
        for index in range(min(load["logical"], 64))
    ]
    assert sum(busy) >= cpu["tree"] * 100 - 15, (busy, cpu)
    assert all(0 <= share <= 100 for share in busy)


def test_memory_and_threads_agree_with_psutil(load: dict[str, Any]) -> None:
    """The process within 8 MiB, the host within 3 % of its memory, threads exactly."""
    at, plain, tree = load["at"], load["plain"], load["tree"]
    rss = around(plain, at, "proc.memory.rssMB")
    assert rss > load["held"] / MIB
    assert abs(rss - load["rss"] / MIB) < 8
    assert abs(around(tree, at, "proc.memory.rssMB") - load["tree_rss"] / MIB) < 12
    assert abs(around(plain, at, "proc.memory.percent") - load["rss"] / load["total"] * 100) < 0.5
    available = around(plain, at, "proc.memory.availableMB")
    assert abs(available - load["available"] / MIB) < load["total"] / MIB * 0.03
    assert abs(around(plain, at, "memory_percent") - load["memory_percent"]) < 3
    assert around(plain, at, "proc.cpu.threads") == load["threads"]
    assert around(tree, at, "proc.cpu.threads") >= load["threads"] + 1


def test_disk_agrees_with_psutil(load: dict[str, Any]) -> None:
    """Space within a point and 1 GiB; what was written within 16 MiB and a fifth."""
    plain, at = load["plain"], load["at"]
    assert abs(around(plain, at, "disk./.usagePercent") - load["disk_percent"]) < 1
    assert abs(around(plain, at, "disk./.usageGB") - load["disk_used"] / 2**30) < 1
    devices = [key for key in plain[0][1] if key.startswith("disk.") and key.endswith(".out")]
    assert devices
    written = {key: last(plain, key) for key in devices}
    assert all(plain[0][1][key] == 0 for key in devices)
    for key, sampled in written.items():
        counted = load["counted"][key.removeprefix("disk.")]
        # The run began a little before, and ended a little after psutil counted.
        assert sampled >= counted * 0.8 - 16, (key, sampled, counted)
    assert sum(written.values()) >= 40


def test_network_agrees_with_psutil(load: dict[str, Any]) -> None:
    """Traffic over loopback counts in both directions, within 1 MB of what psutil counts at the samples around its two looks.

    Others on this host may send meanwhile: a longer time would count them, a shorter one not.
    """
    since, until = load["counted_between"]
    for key, name in (("network.sent", "sent"), ("network.recv", "recv")):
        values = [(when, sample[key]) for when, sample in load["plain"] if key in sample]
        early = [value for when, value in values if when <= since]
        inside = [value for when, value in values if since <= when <= until]
        late = [value for when, value in values if when >= until]
        counted = load["counted"][name]
        assert counted > 29e6
        # What the load sends lies well within.
        assert 29e6 < inside[-1] - inside[0] <= counted + 1e6
        assert counted <= late[0] - early[-1] + 1e6
    assert last(load["plain"], "network.tcpRetransmits") >= 0


def test_counters_never_fall(load: dict[str, Any]) -> None:
    for key in ("network.sent", "network.recv", "network.tcpRetransmits"):
        values = [sample[key] for _, sample in load["plain"] if key in sample]
        assert values == sorted(values)
        assert values[0] == 0


def test_runs_of_one_daemon_share_the_readings_of_their_host(load: dict[str, Any]) -> None:
    """Two runs are sampled as often as one would be; each process is read for itself."""
    samplers = load["samplers"]
    disk = next(sampler for sampler in samplers if sampler["name"] == "disk")
    network = next(sampler for sampler in samplers if sampler["name"] == "network")
    assert (disk["runs"], network["runs"]) == (2, 2)
    of_each = len(load["plain"])
    # One for each sample of a run, and the first ones, which are not on the common grid yet; the status was asked before
    # the end.
    assert of_each * 0.5 <= network["readings"] <= of_each + 3, (samplers, of_each)
    processes = [sampler for sampler in samplers if sampler["name"] == "process"]
    assert len(processes) == 2


# --- limits ----------------------------------------------------------------------------------------------------------

LIMITED = """
import os, runlane, time
for group in {groups!r}:
    with open(group + "/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))
run = runlane.init(project="p", mode="offline", settings={{"x_stats_sampling_interval": 0.2, "silent": True, "x_stats_no_cgroup": {no_cgroup}}})
held = b"x" * (64 << 20)
end = time.monotonic() + 1.2
while time.monotonic() < end: pass
with open("/proc/self/statm") as file:
    print("RSS", int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"), os.path.dirname(run.dir))
run.finish()
"""
LIMIT_BYTES = 512 << 20
CPUS = 0.5


def _limits_v1(name: str) -> dict[Path, dict[str, str]]:
    root = Path("/sys/fs/cgroup")
    return {
        root / "memory" / name: {"memory.limit_in_bytes": str(LIMIT_BYTES)},
        root / "cpu" / name: {"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": str(int(CPUS * 20_000))},
    }


def _limits_v2(name: str) -> dict[Path, dict[str, str]]:
    root = Path("/sys/fs/cgroup")
    return {root / name: {"memory.max": str(LIMIT_BYTES), "cpu.max": f"{int(CPUS * 20_000)} 20000"}}


@pytest.fixture
def limited() -> Iterator[list[str]]:
    """Cgroups with limits of memory and CPU, in whichever version this host has."""
    name = f"runlane-test-{os.getpid()}"
    is_v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    wanted = (_limits_v2 if is_v2 else _limits_v1)(name)
    made: list[Path] = []
    try:
        if is_v2:
            Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+memory +cpu")
        for group, limits in wanted.items():
            group.mkdir()
            made.append(group)
            for file, value in limits.items():
                (group / file).write_text(value)
        yield [str(group) for group in made]
    except OSError as error:
        # The same limits from recorded trees are tested in core/metrics/src/system/{cgroup,memory,process}.rs, always.
        pytest.skip(f"this process may not make cgroups: {error}")
    finally:
        for group in made:
            for pid in (group / "cgroup.procs").read_text().split():
                (group.parent / "cgroup.procs").write_text(pid)
            group.rmdir()


def test_a_limited_process_reports_shares_of_its_limits(home: Home, limited: list[str]) -> None:
    """Memory of the limit instead of all there is; half a CPU that is busy all the time is 100 %."""
    # The daemon must not be limited itself: it is started before.
    home.python(
        "import runlane; runlane.init(mode='offline', project='p', settings={'silent': True}).finish()"
    )
    for no_cgroup in (False, True):
        code = LIMITED.format(groups=limited, no_cgroup=no_cgroup)
        output = home.python(code).stdout
        words = output.split()
        rss, samples = int(words[1]), of_run(words[2])
        share = last(samples, "proc.memory.percent")
        cpu = max(sample["cpu"] for _, sample in samples if "cpu" in sample)
        if no_cgroup:
            assert share < rss / LIMIT_BYTES * 100 * 0.8
            assert cpu < 75
        else:
            assert abs(share - rss / LIMIT_BYTES * 100) < 2
            assert 75 < cpu < 130
            assert last(samples, "proc.memory.availableMB") < LIMIT_BYTES / MIB - 64
            assert 64 * MIB / LIMIT_BYTES * 100 < last(samples, "memory_percent") < 60


# --- runs ------------------------------------------------------------------------------------------------------------

RUN = """
import runlane, sys, time
run = runlane.init(project="p", mode="offline", settings={{"x_stats_sampling_interval": 0.1, {words}}})
{body}
run.finish()
"""


def train(home: Home, words: str, body: str = "time.sleep(0.5)") -> subprocess.CompletedProcess[str]:
    """A run of some tenths of a second."""
    return home.python(RUN.format(words=words, body=body))


def test_a_path_that_is_not_there_is_one_warning(home: Home) -> None:
    result = train(home, '"x_stats_disk_paths": ("/nowhere", "/")', 'run.log({"a": 1}); time.sleep(0.6)')
    assert result.stderr.count("/nowhere") == 1, result.stderr
    assert "system metrics: cannot look at `/nowhere`" in result.stderr
    samples = of_run(home.run_dirs()[0])
    assert len(samples) >= 3
    assert all("disk./.usagePercent" in sample for _, sample in samples)
    assert not any("/nowhere" in key for _, sample in samples for key in sample)


@pytest.mark.parametrize("word", ["x_disable_stats", "x_disable_machine_info", "_disable_stats"])
def test_nothing_is_sampled_where_it_is_turned_off(home: Home, word: str) -> None:
    train(home, f'"{word}": True', "time.sleep(0.25)")
    assert of_run(home.run_dirs()[0]) == []


def test_other_spellings_and_another_process(home: Home) -> None:
    """`_stats_…` is the same as `x_stats_…`; `x_stats_pid` is the process that is looked at; the daemon tells its own use."""
    train(home, f'"_stats_pid": {os.getpid()}, "_stats_disk_paths": (), "_stats_self_usage": True')
    samples = of_run(home.run_dirs()[0])
    own = int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB
    assert abs(last(samples, "proc.memory.rssMB") - own) < 30
    assert not any(key.startswith("disk./") for _, sample in samples for key in sample)
    assert 2 < last(samples, "wandb.memory.rssMB") < 200
    assert last(samples, "wandb.cpu") >= 0


def test_recent_samples_can_be_asked_for(home: Home) -> None:
    body = """
import datetime
time.sleep(0.6)
found = run._system_metrics
print({key: len(values) for key, values in found.items()}["network.sent"], len(found) > 5)
at, value = found["proc.memory.rssMB"][-1]
print(abs((datetime.datetime.now(datetime.timezone.utc) - at).total_seconds()) < 1, value > 5)
times = [at for at, _ in found["network.sent"]]
print(times == sorted(times))
"""
    result = train(home, '"silent": True, "x_stats_buffer_size": 3', body)
    assert result.stdout.split() == ["3", "True", "True", "True", "True"]
    result = train(home, '"silent": True', "time.sleep(0.2); print(run._system_metrics)")
    assert result.stdout.strip() == "{}"
    disabled = "import runlane; print(runlane.init(mode='disabled')._system_metrics)"
    assert home.python(disabled).stdout.strip() == "{}"


def test_nothing_is_sampled_while_the_run_is_paused(home: Home) -> None:
    body = """
time.sleep(0.3)
run._request("pause", {}, 10)
time.sleep(0.1)
print("PAUSED", time.time())
time.sleep(0.6)
print("RESUMED", time.time())
run._request("resume", {}, 10)
time.sleep(0.3)
"""
    output = train(home, '"silent": True', body).stdout.split()
    paused, resumed = float(output[1]), float(output[3])
    times = [when for when, _ in of_run(home.run_dirs()[0])]
    assert any(when < paused for when in times)
    assert not any(paused < when < resumed for when in times)
    assert min(when for when in times if when >= resumed) - resumed < 1


def test_a_process_that_joins_is_sampled_beside_the_first_under_its_label(home: Home) -> None:
    body = """
import os
child = os.fork()
if child == 0:
    run.log({"a": 1})
    held = b"x" * (100 << 20)
    time.sleep(0.7)
    os._exit(0)
os.waitpid(child, 0)
time.sleep(0.2)
"""
    train(home, '"silent": True', body)
    samples = of_run(home.run_dirs()[0])
    joined = [sample for _, sample in samples if any("/l:" in key for key in sample)]
    assert joined
    keys = {key.partition("/l:")[0] for sample in joined for key in sample if "/l:" in key}
    assert keys == {"cpu", "proc.cpu.threads", "proc.memory.rssMB", "proc.memory.percent"}
    label = next(key.partition("/l:")[2] for key in joined[-1] if "/l:" in key)
    beside = joined[-1][f"proc.memory.rssMB/l:{label}"] - joined[-1]["proc.memory.rssMB"]
    assert beside > 80
    # The host is read once, and the child is gone when it has ended.
    assert not any(key.startswith("network") and "/l:" in key for key in joined[-1])
    assert not any("/l:" in key for key in samples[-1][1])


def test_writers_of_a_shared_run_on_one_host_record_it_once(home: Home) -> None:
    code = """
import runlane, sys
words = {"x_stats_sampling_interval": 0.1, "silent": True, "x_shared": True, "x_label": "rank-%s" % sys.argv[1], "x_primary": sys.argv[1] == "0"}
run = runlane.init(project="p", id="joint", mode="offline", settings=words)
import time
run.log({"a": 1})
print("logged", flush=True)
sys.stdin.readline()
run.finish()
"""
    script = home.root / "rank.py"
    script.write_text(code)
    ranks = []
    for rank in ("0", "1"):
        process = subprocess.Popen(
            [PYTHON, str(script), rank],
            cwd=home.work,
            env=home.env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "logged\n"
        ranks.append(process)
    time.sleep(0.5)
    for process in reversed(ranks):
        let_end(process)
    logs = sorted(home.run_dirs(), key=lambda path: path.stat().st_ctime_ns)
    found = [{key for _, sample in of_run(log) for key in sample} for log in logs]
    found.sort(key=len)
    joined, first = found
    assert {"network.sent", "memory_percent", "cpu", "disk./.usageGB"} <= first
    assert joined == {"cpu", "proc.cpu.threads", "proc.memory.rssMB", "proc.memory.percent"}


def test_sampling_goes_on_with_the_next_daemon(home: Home) -> None:
    """Counters go on where they stood."""
    body = """
import os
def samples():
    print("logged", flush=True)
    sys.stdin.readline()
samples()
run.log({"a": 1})
run.flush(level="logged", timeout=20)
time.sleep(0.5)
"""
    process = home.start(RUN.format(words='"silent": True', body=body))
    log = log_of(home.run_dirs()[0])
    deadline_secs, waited = 20.0, 0.0
    while len(list(samples_of(log))) < 3:
        time.sleep(0.05)
        waited += 0.05
        assert waited < deadline_secs
    for entry in Path("/proc").glob("[0-9]*"):
        words = (entry / "cmdline").read_bytes().split(b"\0") if entry.exists() else []
        if home.env["RUNLANE_RUNTIME_DIR"].encode() in words and b"daemon" in words:
            os.kill(int(entry.name), signal.SIGKILL)
    before = len(list(samples_of(log)))
    let_end(process)
    samples = of_run(home.run_dirs()[0])
    assert len(samples) >= before + 2
    for key in ("network.sent", "network.recv"):
        values = [sample[key] for _, sample in samples if key in sample]
        assert values == sorted(values)


BAD = {
    "x_stats_sampling_interval": [0.05, float("nan"), float("inf"), "soon"],
    "x_stats_disk_paths": ["/", 3, [3], [""]],
    "x_stats_pid": [0, -1, "a", 1.5, 2**40],
    "x_stats_buffer_size": [-2, 1.5, 2**40],
    "x_stats_gpu_device_ids": [[-1], ["a"], [True], 1],
    "x_stats_open_metrics_endpoints": ["x", {"a": 1}, {"a": "ftp://user:secret@host"}],
    "x_stats_open_metrics_filters": [[1], {"a": 1}, {"a": {"b": 1}}, "x"],
    "x_stats_open_metrics_http_headers": [{"a": 1}, {"a": "b\r\nc: d"}],
    "x_stats_track_process_tree": ["maybe"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_settings_that_mean_nothing_are_refused_by_name(name: str, value: Any) -> None:
    from runlane import Settings
    from runlane.errors import Error

    with pytest.raises(Error) as caught:
        Settings(**{name: value})
    assert name in str(caught.value) or "sampling interval" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_settings_come_from_the_environment_too(home: Home) -> None:
    code = (
        "import runlane; s = runlane.init(mode='offline', project='p').settings;"
        "print(s.x_stats_sampling_interval, s._stats_disk_paths, s.x_disable_stats)"
    )
    env = {
        "WANDB__STATS_SAMPLING_INTERVAL": "2.5",
        "WANDB_X_STATS_DISK_PATHS": "/,/tmp",
        "WANDB_X_DISABLE_STATS": "true",
    }
    result = home.python(code, env=env)
    assert result.stdout.strip() == "2.5 ('/', '/tmp') True"
