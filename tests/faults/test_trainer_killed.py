"""T1 and T5: the trainer is killed, alone or together with the daemon (reliability.md 4.1)."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import logs
import pytest
from oracle import Noise, Verdict, judge
from scripts import (
    LOGGER,
    PRELUDE,
    calls_in,
    calls_of_closed,
    daemon_pid,
    left_behind,
    log_of,
    run_to_end,
    start,
    wait_until,
)
from table import record
from trials import trials
from world import Home, Server

T1_BOUND_MS = 10.0
T5_BOUND_MS = 20.0


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> Iterator[random.Random]:
    """Random moments; the seed is printed with a failure."""
    seed = int(os.environ.get("RUNLANE_FAULT_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"RUNLANE_FAULT_SEED={seed}")
    yield random.Random(seed)


def summed_up(verdicts: list[Verdict]) -> str:
    worst = max(verdict.worst_age_ms for verdict in verdicts)
    rows = max(verdict.missing for verdict in verdicts)
    return f"{worst:.1f} ms ({rows} calls)" if rows else "0 calls"


def marked_in(log: Path) -> int:
    """Calls that loss markers stand for."""
    return sum(loss.count for loss in logs.losses(log))


CASES = [
    # name, calls a second, how, trials at a time, longest life (ms), trials short and full
    ("10 rows/s", 10, "plain", 10, 1000, (20, 100)),
    ("1,000 rows/s", 1000, "plain", 4, 700, (20, 100)),
    ("flat out", 0, "plain", 1, 120, (20, 100)),
    ("1,000 calls/s on open rows, log(d, step=s)", 1000, "step", 4, 700, (20, 100)),
    ("10 calls/s on open rows, commit=False", 10, "commit", 10, 1000, (20, 100)),
]


@pytest.mark.parametrize(("name", "rate", "form", "together", "life_ms", "counts"), CASES)
def test_t1_trainer_killed(
    home: Home,
    dice: random.Random,
    name: str,
    rate: int,
    form: str,
    together: int,
    life_ms: int,
    counts: tuple[int, int],
) -> None:
    """SIGKILL at a random moment: only calls that returned in the last 10 ms may be missing."""
    verdicts: list[Verdict] = []
    excess: list[float] = []
    number = 0
    while len(verdicts) < trials(*counts):
        batch = [start(home, LOGGER, f"t1-{number + n}", str(rate), form) for n in range(together)]
        number += together
        for victim in batch:
            victim.page.wait_for(1)
        moments = sorted(
            ((dice.uniform(0, life_ms) / 1000, victim) for victim in batch), key=lambda it: it[0]
        )
        begun = time.monotonic()
        killed = []
        with Noise() as noise:
            for moment, victim in moments:
                time.sleep(max(0, begun + moment - time.monotonic()))
                killed.append((victim, victim.kill()))
            late_ms = {victim.run_id: noise.around_ms(killed_at_ns) for victim, killed_at_ns in killed}
        for victim, killed_at_ns in killed:
            found = calls_of_closed(home, victim.run_id, with_values=rate > 0)
            log = log_of(home, victim.run_id)
            verdict = judge(victim.page, found, killed_at_ns, marked_in(log))
            verdicts.append(verdict)
            excess.append(verdict.worst_age_ms - late_ms[victim.run_id])
            assert not any(one.HasField("exit") for one in logs.records(log)), "an exit record was invented"
            assert victim.page.longest_call_ms < 50
    record("T1", f"SIGKILL of the trainer, {name}", f"{T1_BOUND_MS:g} ms", summed_up(verdicts), len(verdicts))
    # What a thread waits for a processor on this machine at that moment comes on top; on a quiet one it is nothing.
    assert max(excess) <= T1_BOUND_MS, verdicts
    wait_until(lambda: not left_behind(home), f"files of dead writers are taken over: {left_behind(home)}")


FLUSHED = (
    PRELUDE
    + """
for call in range(500):
    page.attempt(call)
    run.log({"i0": call}, step=call // 2)
    page.done(call)
assert run.flush("logged")
os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_t1_nothing_is_lost_behind_flush(home: Home) -> None:
    """A kill right behind `flush("logged")` costs nothing, and neither does it with a row still open."""
    count = trials(5, 20)
    for number in range(count):
        code, _, page = run_to_end(home, FLUSHED, f"flushed-{number}")
        assert code == -signal.SIGKILL and page.returned == 500
        log = log_of(home, f"flushed-{number}")
        # Two calls of one step write one key: the second wins.
        wait_until(lambda log=log: len(logs.rows(log)) == 250, "every row")
        assert [row["i0"] for row in logs.rows(log)] == list(range(1, 500, 2))
    record("T1", 'SIGKILL of the trainer behind flush("logged")', "0 rows", "0 rows", count)


def test_t5_trainer_and_daemon_killed_together(
    home: Home, server: Server, dice: random.Random, wandb_python: str
) -> None:
    """Both die at once: only calls that returned in the last 20 ms may be missing, open rows included."""
    verdicts, excess, killed = [], [], []
    for number in range(trials(10, 50)):
        rate, form = ((1000, "plain"), (1000, "step"), (10, "commit"), (0, "plain"))[number % 4]
        victim = start(home, LOGGER, f"t5-{number}", str(rate), form)
        victim.page.wait_for(1)
        pid = daemon_pid(home)
        with Noise() as noise:
            time.sleep(dice.uniform(0.02, 0.2 if rate == 0 else 0.5))
            now = time.monotonic_ns()
            for one in dice.sample([pid, victim.process.pid], 2):
                os.kill(one, signal.SIGKILL)
            victim.process.wait(10)
            killed.append((victim, now, rate, noise.around_ms(now)))
    # The log, the pending file and the spill file tell `sync` what there was.
    directories = [str(log_of(home, victim.run_id).parent) for victim, *_ in killed]
    home.runlane("sync", *directories, env=server.env, timeout=120)
    for victim, now, rate, late_ms in killed:
        log = log_of(home, victim.run_id)
        found = calls_in(log, with_values=rate > 0)
        verdicts.append(judge(victim.page, found, now, marked_in(log)))
        excess.append(verdicts[-1].worst_age_ms - late_ms)
    record(
        "T5",
        "SIGKILL of trainer and daemon together",
        f"{T5_BOUND_MS:g} ms",
        summed_up(verdicts),
        len(verdicts),
    )
    assert max(excess) <= T5_BOUND_MS, verdicts
    assert left_behind(home) == []
    # The real client's reader finds the same rows in what was left.
    log = log_of(home, killed[0][0].run_id)
    wandb = str(Path(wandb_python).with_name("wandb"))
    lines = home.run([wandb, "leet", "inspect", "--json", str(log)], check=True).stdout.splitlines()
    rows = [line for line in map(json.loads, lines) if line["type"] == "history"]
    assert len(rows) == len(logs.rows(log))
