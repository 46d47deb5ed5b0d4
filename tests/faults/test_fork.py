"""T7: forks while other threads log (reliability.md 4.1)."""

from __future__ import annotations

import collections
import sys
import time

import logs
from scripts import PRELUDE, log_of, run_to_end, said
from table import record
from trials import trials
from world import Home

#: Third argument: number of forks. Two threads log all the time; children log, fork again, or do nothing.
FORKS = (
    PRELUDE
    + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
forks = int(sys.argv[3])
run.log({"who": "start"})
stop = threading.Event()
counts = [0, 0]

def busy(thread):
    mine = Page(f"{sys.argv[1]}-{thread}")
    while not stop.is_set():
        call = counts[thread]
        mine.attempt(call)
        run.log({"thread": thread, "n": call})
        mine.done(call)
        counts[thread] += 1
        # What a training loop does between two rows; without it the log grows to gigabytes.
        time.sleep(0.0002)

def inherited():
    # Our descriptors have high numbers; in a child there are none until it logs.
    return [name for name in os.listdir("/proc/self/fd") if int(name) >= 512]

def child(number, depth):
    status = 1
    try:
        signal.alarm(30)
        if inherited():
            os.write(2, f"inherited {inherited()}\\n".encode())
            os._exit(3)
        if number % 4 != 3:
            for n in range(3):
                run.log({"child": number, "depth": depth, "n": n})
            if number % 4 == 1 and depth == 0:
                grandchild = os.fork()
                if grandchild == 0:
                    child(number, 1)
                assert os.waitpid(grandchild, 0)[1] == 0
            run.finish()
        status = 0
    except BaseException as error:
        os.write(2, f"child: {error!r}\\n".encode())
    finally:
        os._exit(status)

threads = [threading.Thread(target=busy, args=(number,)) for number in range(2)]
for thread in threads:
    thread.start()
for number in range(forks):
    pid = os.fork()
    if pid == 0:
        child(number, 0)
    status = os.waitpid(pid, 0)[1]
    if status:
        print("FAILED", number, status, flush=True)
        break
stop.set()
for thread in threads:
    thread.join()
run.finish()
print("RESULT", counts[0], counts[1], flush=True)
"""
)


def test_t7_forks_under_load(home: Home) -> None:
    """No deadlock, a writer of its own for each child, the parent's stream unaffected, no descriptor inherited."""
    forks = trials(20, 1000)
    begun = time.monotonic()
    status, output, _ = run_to_end(home, FORKS, "forks", str(forks), timeout=60 + forks)
    assert status == 0 and "FAILED" not in output, output + said(home, "forks")
    _, first, second = output.split()[-3:]
    log = log_of(home, "forks")
    threads: dict[int, list[int]] = collections.defaultdict(list)
    children: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
    writers: dict[object, set[int]] = collections.defaultdict(set)
    for one in logs.records(log):
        if not one.HasField("history"):
            continue
        row = logs.row_of(one)
        if "thread" in row:
            threads[row["thread"]].append(row["n"])
            writers["parent"].add(one.control.writer)
        elif "child" in row:
            children[row["child"], row["depth"]].append(row["n"])
            writers[row["child"], row["depth"]].add(one.control.writer)
    assert {thread: len(rows) for thread, rows in threads.items()} == {0: int(first), 1: int(second)}
    assert all(rows == list(range(len(rows))) for rows in threads.values())
    expected = {(number, 0) for number in range(forks) if number % 4 != 3}
    expected |= {(number, 1) for number in range(forks) if number % 4 == 1}
    assert set(children) == expected
    assert all(rows == [0, 1, 2] for rows in children.values())
    assert all(len(ids) == 1 for ids in writers.values())
    assert len(set().union(*writers.values())) == len(writers)
    record(
        "T7",
        "fork while two threads log; children and grandchildren log",
        "30 s, 0 rows",
        f"{time.monotonic() - begun:.1f} s in all, 0 rows",
        forks,
    )


MULTIPROCESSING = """
import multiprocessing, os, sys, time
import runlane as wandb

def work(run, worker):
    for n in range(50):
        run.log({"worker": worker, "n": n})

def main(method):
    run = wandb.init(project="faults", id=f"mp-{method}", mode="offline", settings=wandb.Settings(console="off"))
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=work, args=(run, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for n in range(50):
        run.log({"worker": "parent", "n": n})
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0, worker.exitcode
    run.finish()

if __name__ == "__main__":
    main(sys.argv[1])
"""


def test_t7_multiprocessing(home: Home) -> None:
    """Workers by fork, spawn and forkserver that got the run handed over: all rows, each in its order."""
    script = home.root / "workers.py"
    script.write_text(MULTIPROCESSING)
    for method in ("fork", "spawn", "forkserver"):
        home.run([sys.executable, str(script), method], check=True, timeout=60)
        rows: dict[object, list[int]] = collections.defaultdict(list)
        for row in logs.rows(log_of(home, f"mp-{method}")):
            rows[row["worker"]].append(row["n"])
        assert rows == {worker: list(range(50)) for worker in (0, 1, 2, "parent")}
        record("T7", f"multiprocessing, {method}: 3 workers and the parent log", "0 rows", "0 rows", 1)
