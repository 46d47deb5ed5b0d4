"""`run.flush`, `run.durability` and the setting `x_durability` (reliability.md 2): each rung is observable and can be waited for."""

from __future__ import annotations

import json

import logs
import pytest
from driven import OwnServer, TrainerError
from scripts import kill_daemon, log_of
from table import record
from world import Home, Server

#: No records but those of the test.
QUIET = "console='off', x_disable_meta=True, x_save_requirements=False"
KNOWN = "import json; print(json.dumps(run.durability()._asdict()))"


def _known(trainer) -> dict[str, int]:
    (line,) = trainer.do(KNOWN)
    found: dict[str, int] = json.loads(line)
    return found


def test_each_rung_is_observable_and_can_be_waited_for(
    home: Home, server: Server, project: str, trainer
) -> None:
    one = trainer(server.env)
    one.do(f"run = wandb.init(project={project!r}, id='rungs', settings=wandb.Settings({QUIET}))")
    one.log(range(100))
    for level in ("logged", "durable", "synced", "acknowledged", "uploaded"):
        (line,) = one.do(f"print(run.flush({level!r}, timeout=30))")
        assert line == "True", level
    known = _known(one)
    assert known["returned"] >= 100
    for rung in ("handed_over", "logged", "synced", "uploaded"):
        assert known[rung] == known["returned"], known
    assert (known["lost"], known["queued_bytes"]) == (0, 0)
    # An open row is logged and synced; uploaded it is when it is closed.
    one.do("run.log({'x': 1}, commit=False)")
    assert one.do("print(run.flush('synced', timeout=30))") == ["True"]
    later = _known(one)
    assert later["synced"] == later["returned"] == known["returned"] + 1
    assert later["uploaded"] == known["returned"]
    assert one.do("print(run.flush('uploaded', timeout=0))") == ["False"]
    one.do("run.log({'y': 1})")
    assert one.do("print(run.flush('uploaded', timeout=30), run.flush('uploaded', timeout=0))") == [
        "True True"
    ]
    one.do("run.finish()")
    for call in ("run.flush()", "run.durability()"):
        with pytest.raises(TrainerError, match=r"^UsageError: Run \(rungs\) is finished"):
            one.do(call)
    one.end()


def test_levels_and_timeouts_are_checked(home: Home, trainer) -> None:
    one = trainer()
    one.do("run = wandb.init(mode='offline')")
    one.do("run.log({'x': 1})")
    for call, error in (
        ("run.flush('safe')", r"^ValueError: `level` must be one of 'logged', 'synced', 'durable'"),
        ("run.flush(3)", "^TypeError: `level` must be a string"),
        ("run.flush(timeout='soon')", "^TypeError: `timeout` must be a number"),
        ("run.flush(timeout=-1)", "^ValueError: `timeout` must not be negative"),
        (
            "wandb.Settings(x_durability='much')",
            r"^SettingsError: `x_durability` should be one of 'strict', 'relaxed'",
        ),
    ):
        with pytest.raises(TrainerError, match=error):
            one.do(call)
    # Offline nothing is ever uploaded: no wait.
    assert one.do("print(run.flush('uploaded'), run.flush('synced'))") == ["False True"]
    one.do("run.finish()")
    one.end()


def test_a_flush_waits_for_the_next_daemon(home: Home, trainer) -> None:
    one = trainer()
    one.do("run = wandb.init(mode='offline', id='next')")
    one.log(range(50))
    kill_daemon(home)
    assert one.do("print(run.flush('synced', timeout=20))") == ["True"]
    one.do("run.finish()")
    one.end()


def test_a_server_that_is_away_is_not_reached(
    home: Home, own_server: OwnServer, project: str, trainer
) -> None:
    server = own_server.start()
    one = trainer(server.env)
    one.do(
        f"run = wandb.init(project={project!r}, id='away', settings=wandb.Settings(finish_timeout=1, {QUIET}))"
    )
    one.log(range(10))
    assert one.do("print(run.flush('uploaded', timeout=30))") == ["True"]
    before = _known(one)
    own_server.stop()
    one.log(range(10, 20))
    assert one.do("print(run.flush('synced', timeout=20), run.flush('uploaded', timeout=1))") == [
        "True False"
    ]
    known = _known(one)
    assert before["uploaded"] <= known["uploaded"] < known["synced"] == known["returned"]
    own_server.start()
    assert one.do("print(run.flush('uploaded', timeout=60))", timeout=90) == ["True"]
    one.do("run.finish()")
    one.end()


def test_strict_calls_return_when_they_are_on_stable_storage(home: Home, trainer) -> None:
    """Behind every call the synced number is the call's own; the others behave as ever."""
    one = trainer()
    one.do(
        f"run = wandb.init(mode='offline', id='strict', settings=wandb.Settings(x_durability='strict', {QUIET}))"
    )
    (line,) = one.do("print([(run.log({'x': n}), run._reached[0] - run._reached[3])[1] for n in range(50)])")
    assert line == str([0] * 50)
    # Rows that stay open are on stable storage too, beside the log.
    (line,) = one.do(
        "print([(run.log({f'y{n}': n}, step=1000), run._reached[0] - run._reached[3])[1] for n in range(20)])"
    )
    assert line == str([0] * 20)
    one.do("run.finish()")
    one.end()
    rows = logs.rows(log_of(home, "strict"))
    assert [row["x"] for row in rows[:-1]] == list(range(50))
    assert [rows[-1][f"y{n}"] for n in range(20)] == list(range(20))
    record("D3", 'x_durability="strict": calls that return before they are synced', "0 calls", "0 calls", 70)


def test_a_child_flushes_what_it_logged(home: Home, trainer) -> None:
    one = trainer()
    one.do("run = wandb.init(mode='offline', id='child')")
    one.do("run.log({'x': 1})")
    one.do(
        "import os; pid = os.fork(); "
        "pid or os._exit(0 if (run.log({'x': 2}), run.flush('synced', timeout=20))[1] and run.durability().synced == 1 else 1)"
    )
    assert one.do("print(os.waitpid(pid, 0)[1])") == ["0"]
    one.do("run.finish()")
    one.end()
