"""T2 and T12: the ways in which a training process ends (reliability.md 4.1). Nothing is lost, and the process ends as it would."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

import logs
import pytest
from scripts import PRELUDE, calls_of_closed, log_of, run_to_end, said, start
from table import record
from trials import trials
from world import Home

#: Logs flat out until something ends the process; what is returned before it must be there.
BUSY = """
call = 0
def log_some(count):
    global call
    for _ in range(count):
        page.attempt(call)
        run.log({f"i{call % 3}": call, f"x{call % 3}": x_of(call)})
        page.done(call)
        call += 1
"""


@dataclass(frozen=True)
class Ending:
    """A way to end."""

    name: str
    code: str
    #: Exit status, as subprocess tells it.
    status: int
    #: Sent from outside while the script logs.
    signal: int | None = None
    #: Calls that returned before this many milliseconds must be there; None: all.
    bound_ms: float | None = None
    #: What the exit record says; None if there must be none.
    exit_record: int | None = None
    printed: str = ""


FOREVER = "print('logged', flush=True)\nwhile True: log_some(10)"
HANDLERS = """
def handler(*_):
    print("handled", flush=True)
    {then}
signal.signal(signal.{name}, handler)
"""
ENDINGS = [
    Ending("SIGTERM", FOREVER, -signal.SIGTERM, signal.SIGTERM),
    Ending("SIGHUP", FOREVER, -signal.SIGHUP, signal.SIGHUP),
    Ending("SIGINT", FOREVER, -signal.SIGINT, signal.SIGINT, exit_record=255),
    Ending(
        "SIGTERM, handler of the user's that exits",
        HANDLERS.format(name="SIGTERM", then="sys.exit(7)") + FOREVER,
        7,
        signal.SIGTERM,
        exit_record=7,
        printed="handled",
    ),
    Ending(
        "SIGTERM, handler that restores and repeats",
        HANDLERS.format(
            name="SIGTERM",
            then="signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGTERM)",
        )
        + FOREVER,
        -signal.SIGTERM,
        signal.SIGTERM,
        bound_ms=10,
        printed="handled",
    ),
    Ending("uncaught exception", "log_some(2000)\nraise ValueError('no luck')", 1, exit_record=1),
    Ending("sys.exit", "log_some(2000)\nsys.exit(3)", 3, exit_record=3),
    Ending("end of the script", "log_some(2000)", 0, exit_record=0),
    Ending(
        "sys.exit in a thread",
        "thread = threading.Thread(target=lambda: (log_some(2000), sys.exit(5)))\nthread.start()\nthread.join()",
        0,
        exit_record=0,
    ),
    Ending("os._exit", "log_some(2000)\nos._exit(4)", 4, bound_ms=10),
    Ending(
        "segmentation fault",
        "import ctypes\nlog_some(2000)\nctypes.string_at(0)",
        -signal.SIGSEGV,
        bound_ms=10,
    ),
    Ending("abort", "log_some(2000)\nos.abort()", -signal.SIGABRT, bound_ms=10),
    Ending(
        "the user's atexit handlers, in their order",
        "import atexit\nfor n in (1, 2): atexit.register(print, 'atexit', n, flush=True)\nlog_some(2000)",
        0,
        exit_record=0,
        printed="atexit 2\natexit 1\n",
    ),
]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name.replace(" ", "-"))
def test_t2_ways_to_end(home: Home, ending: Ending) -> None:
    run_id = "ending"
    victim = start(home, PRELUDE + BUSY + ending.code, run_id)
    sent_ns = 0
    if ending.signal is not None:
        victim.page.wait_for(500)
        sent_ns = time.monotonic_ns()
        returned = victim.page.returned
        victim.process.send_signal(ending.signal)
    output, _ = victim.process.communicate(timeout=40)
    assert victim.process.returncode == ending.status, said(home, run_id)
    assert ending.printed in output
    page, log = victim.page, log_of(home, run_id)
    if ending.signal is None:
        returned = page.returned
    found = calls_of_closed(home, run_id)
    assert found == list(range(len(found)))
    missing = max(0, page.returned - len(found))
    if ending.bound_ms is None:
        # What returned before the signal was sent; what the script logged while it was on its way is a present.
        assert len(found) >= returned, f"{returned - len(found)} calls are lost"
        missing = max(0, returned - len(found))
    elif missing:
        died_ns = max(sent_ns, page.returned_at_ns(page.returned - 1))
        assert (died_ns - page.returned_at_ns(len(found))) / 1e6 <= ending.bound_ms, missing
    assert page.longest_call_ms < 50
    codes = [one.exit.exit_code for one in logs.records(log) if one.HasField("exit")]
    assert codes == ([] if ending.exit_record is None else [ending.exit_record])
    bound = "0 calls" if ending.bound_ms is None else f"{ending.bound_ms:g} ms"
    record("T2", ending.name, bound, f"{missing} calls", 1)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_t2_signal_statuses_are_those_of_the_script_without_logging(home: Home, name: str) -> None:
    """Many kills by signal: a script that sleeps, with its rows in memory, ends by the signal and loses none."""
    count = trials(5, 50)
    for number in range(count):
        code = PRELUDE + BUSY + f"log_some(50)\nos.kill(os.getpid(), signal.{name})\ntime.sleep(30)"
        status, _, page = run_to_end(home, code, f"by-{number}", timeout=20)
        assert status == -getattr(signal, name)
        assert page.returned == 50
        assert calls_of_closed(home, f"by-{number}") == list(range(50))
    record("T2", f"{name} to a process that sleeps behind its calls", "0 calls", "0 calls", count)


def test_t2_a_child_of_a_fork_still_dies_by_its_signal(home: Home) -> None:
    code = (
        PRELUDE
        + """
run.log({"i0": 0})
pid = os.fork()
if pid == 0:
    time.sleep(30)
    os._exit(1)
os.kill(pid, signal.SIGTERM)
assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGTERM
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
import subprocess
child = subprocess.Popen(["sleep", "30"])
child.terminate()
assert child.wait(10) == -signal.SIGTERM
"""
    )
    status, _, _ = run_to_end(home, code, "forked", timeout=20)
    assert status == 0, said(home, "forked")


TEARDOWNS = {
    "__del__ at the end of the interpreter": """
class Last:
    def __del__(self):
        run.log({"late": 1})
last = Last()
last.itself = last
run.log({"i0": 0})
""",
    "atexit behind finish": """
import atexit
def late():
    try:
        run.log({"late": 1})
    except wandb.UsageError:
        print("refused", flush=True)
atexit.register(late)
run.log({"i0": 0})
run.finish()
""",
    "a daemon thread that goes on": """
def forever():
    while True:
        run.log({"thread": 1, "nested": {"list": [1, object()]}})
        time.sleep(0.0001)
run.log({"i0": 0})
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.05)
""",
    "a daemon thread behind finish": """
def forever():
    while True:
        try:
            run.log({"thread": 1})
        except wandb.UsageError:
            pass
        time.sleep(0.0001)
run.log({"i0": 0})
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.05)
run.finish()
""",
    "modules torn down": """
import weakref
class Holder: pass
holder = Holder()
weakref.finalize(holder, run.log, {"final": 1})
sys.modules["kept"] = holder
run.log({"i0": 0})
""",
}


@pytest.mark.parametrize("name", TEARDOWNS, ids=lambda name: name.replace(" ", "-"))
def test_t12_logging_while_the_interpreter_ends(home: Home, name: str) -> None:
    """Ignored or stored; never a crash, nor a hang of more than a second."""
    control = _seconds_to_end(home, "run.log({'i0': 0})\n", "control")
    took = _seconds_to_end(home, TEARDOWNS[name], "teardown")
    assert "Fatal" not in said(home, "teardown") and "panicked" not in said(home, "teardown")
    assert [row["i0"] for row in logs.rows(log_of(home, "teardown")) if "i0" in row] == [0]
    # What a busy machine adds, it adds to the control as well.
    assert took < 1 + 3 * control
    record("T12", f"log from {name}", "no crash, no hang > 1 s", f"ended well after {took:.1f} s", 1)


def _seconds_to_end(home: Home, body: str, run_id: str) -> float:
    """How long a process takes to end behind its last line."""
    victim = start(home, PRELUDE + body + "page.attempt(0)\npage.done(0)\n", run_id)
    victim.page.wait_for(1)
    begun = time.monotonic()
    assert victim.process.wait(30) == 0, said(home, run_id)
    return time.monotonic() - begun
