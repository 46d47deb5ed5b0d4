"""`log` at odd moments and from odd places (reliability.md 7.1, last rows): other processes, threads, handlers, destructors."""

from __future__ import annotations

import collections

import pytest
from attempts import mismatches, script, try_calls, try_starts
from reading import read_run
from world import Home, Server

# A deadlock fails the test by this, not by the suite's patience.
DEADLOCK_SECS = 50


def _finished_rows(home: Home, server: Server, project: str, body: str) -> list[dict]:
    """Rows of a run that `body` logs to as `run`; a script that deadlocks fails."""
    code = f"""
run = wandb.init(project={project!r}, id="moment01")
{body}
run.finish()
outcomes = []
"""
    home.python(script(code), env=server.env, timeout=DEADLOCK_SECS)
    return read_run(home, server, f"{project}/moment01")["rows"]


def test_log_before_init_and_after_finish_is_a_usage_error(home: Home) -> None:
    cases = [
        ("wandb.log({'a': 1})", "Error", "You must call wandb.init() before wandb.log()"),
        ("r = wandb.init(); r.finish(); r.log({'a': 1})", "UsageError", "finished"),
        ("r = wandb.init(); r.finish(); r.config['a'] = 1", "UsageError", "finished"),
        ("r = wandb.init(); r.finish(); r.summary['a'] = 1", "UsageError", "finished"),
        ("r = wandb.init(); r.finish(); r.name = 'x'", "UsageError", "finished"),
        ("r = wandb.init(); r.finish(); r.save('x')", "UsageError", "finished"),
        ("r = wandb.init(); r.finish(); r.define_metric('x')", "UsageError", "finished"),
        ("r = wandb.init(); r.finish(); wandb.log({'a': 1})", "Error", "You must call"),
    ]
    assert mismatches(cases, try_starts(home, [code for code, _, _ in cases]).raised) == []


def test_a_forked_child_logs_to_the_run(home: Home, server: Server, project: str) -> None:
    body = """
run.log({"who": "parent"}, commit=True)
pid = os.fork()
if pid == 0:
    signal.alarm(40)
    status = 1
    try:
        run.log({"who": "child"})
        run.finish()
        status = 0
    finally:
        os._exit(status)
assert os.waitpid(pid, 0)[1] == 0
run.log({"who": "parent"})
"""
    rows = _finished_rows(home, server, project, body)
    assert sorted(row["who"] for row in rows) == ["child", "parent", "parent"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_logs_to_a_run_that_was_handed_to_it(
    home: Home, server: Server, project: str, method: str
) -> None:
    code = f"""
import multiprocessing
import runlane as wandb

def work(run, number):
    run.log({{"worker": number}})

if __name__ == "__main__":
    run = wandb.init(project={project!r}, id="worker01")
    context = multiprocessing.get_context({method!r})
    workers = [context.Process(target=work, args=(run, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(40)
        assert worker.exitcode == 0, worker.exitcode
    run.log({{"worker": "none"}})
    run.finish()
"""
    home.python(code, env=server.env, timeout=DEADLOCK_SECS)
    rows = read_run(home, server, f"{project}/worker01")["rows"]
    assert sorted(str(row["worker"]) for row in rows) == ["0", "1", "none"]


def test_another_process_without_attach_says_how(home: Home) -> None:
    code = """
import multiprocessing
import runlane as wandb

def work(queue):
    try:
        wandb.log({"a": 1})
    except wandb.Error as error:
        queue.put(str(error))

if __name__ == "__main__":
    run = wandb.init(mode="offline")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    worker = context.Process(target=work, args=(queue,))
    worker.start()
    print("SAID", queue.get(timeout=40))
    worker.join()
    run.finish()
"""
    assert (
        "SAID You must call wandb.init() before wandb.log()"
        in home.python(code, timeout=DEADLOCK_SECS).stdout
    )


def test_a_hundred_thousand_calls_in_a_row(home: Home, server: Server, project: str) -> None:
    body = """
for number in range(100_000):
    run.log({"n": number})
"""
    rows = _finished_rows(home, server, project, body)
    assert [row["n"] for row in rows] == list(range(100_000))


def test_64_threads_lose_nothing_and_keep_their_order(home: Home, server: Server, project: str) -> None:
    body = """
def work(thread):
    for turn in range(50):
        run.log({"thread": thread, "turn": turn, "odd": Odd() if turn == 7 else None})
threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    turns = collections.defaultdict(list)
    for row in _finished_rows(home, server, project, body):
        turns[row["thread"]].append(row["turn"])
    assert turns == {thread: list(range(50)) for thread in range(64)}


def test_log_in_a_signal_handler(home: Home, server: Server, project: str) -> None:
    body = """
fired = []
def handler(*_):
    fired.append(len(fired))
    run.log({"signal": fired[-1], "odd": Odd()})
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
logged = 0
while len(fired) < 100:
    run.log({"n": logged, "array": np.arange(40), "nested": {"list": [Odd(), logged]}})
    logged += 1
signal.setitimer(signal.ITIMER_REAL, 0)
run.summary["fired"] = len(fired)
run.summary["logged"] = logged
"""
    rows = _finished_rows(home, server, project, body)
    summary = read_run(home, server, f"{project}/moment01")["summary"]
    # A handler that is interrupted by the next one ends behind it.
    assert sorted(row["signal"] for row in rows if "signal" in row) == list(range(summary["fired"]))
    assert [row["n"] for row in rows if "n" in row] == list(range(summary["logged"]))


def test_log_in_a_destructor_and_in_a_conversion(home: Home, server: Server, project: str) -> None:
    body = """
class Last:
    def __init__(self, number):
        self.number = number
    def __del__(self):
        run.log({"deleted": self.number})
class Chatty:
    def __array__(self, dtype=None, copy=None):
        run.log({"inner": 1})
        return np.array(2.5)
for number in range(100):
    run.log({"n": number, "text": str(Last(number))[:0]})
run.log({"outer": Chatty()})
row = {"item": Last(100)}
row["item"] = 1
run.log(row)
"""
    rows = _finished_rows(home, server, project, body)
    assert [row["deleted"] for row in rows if "deleted" in row] == list(range(101))
    assert [row["n"] for row in rows if "n" in row] == list(range(100))
    assert [
        next(key for key in ("inner", "outer") if key in row)
        for row in rows
        if {"inner", "outer"} & row.keys()
    ] == [
        "inner",
        "outer",
    ]


def test_an_interrupt_in_a_conversion_passes_and_leaves_no_trace(
    home: Home, server: Server, project: str
) -> None:
    codes = [
        """
class Interrupting:
    def __array__(self, dtype=None, copy=None):
        raise KeyboardInterrupt
""",
        "run.log({'a': 1, 'b': Interrupting()})",
    ]
    found = try_calls(home, server, project, codes)
    assert mismatches([(codes[1], "KeyboardInterrupt", "")], found.raised[1:]) == []
    assert found.rows == [{"last": 1}]


def test_log_at_exit_of_the_process(home: Home, server: Server, project: str) -> None:
    code = f"""
import atexit
import runlane as wandb
run = wandb.init(project={project!r}, id="exit0001")
atexit.register(lambda: run.log({{"late": 1}}))
run.log({{"early": 1}})
"""
    home.python(code, env=server.env, timeout=DEADLOCK_SECS)
    rows = read_run(home, server, f"{project}/exit0001")["rows"]
    assert [sorted(set(row) & {"early", "late"}) for row in rows] == [["early"], ["late"]]
