"""The load of test_host.py: two runs of one process, one of them with the process tree, and what psutil says meanwhile.

python host_load.py INTERVAL; prints one JSON line.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

import psutil
import runlane

BURN = "import time\nend = time.monotonic() + {secs}\nwhile time.monotonic() < end: pass\n"
SENT_BYTES = 30_000_000
WRITTEN_BYTES = 48 << 20
ALLOCATED_BYTES = 300 << 20


def cpu_secs(process: psutil.Process, *, ended_children: bool) -> float:
    """CPU time of a process; with its children that have ended and were waited for."""
    times = process.cpu_times()
    own = times.user + times.system
    return float(own + (times.children_user + times.children_system if ended_children else 0.0))


def tree_secs(process: psutil.Process) -> float:
    """CPU time of a process and its descendants."""
    children = process.children(recursive=True)
    return cpu_secs(process, ended_children=True) + sum(
        cpu_secs(child, ended_children=True) for child in children
    )


def burn(secs: float, interval: float) -> dict[str, float]:
    """Keep this process and a child busy; use per second of both, over the time of whole samples."""
    process = psutil.Process()
    child = subprocess.Popen([sys.executable, "-c", BURN.format(secs=secs + 2 * interval)])
    time.sleep(0.1)
    begin, own, tree = time.time(), cpu_secs(process, ended_children=False), tree_secs(process)
    until = time.monotonic() + secs
    while time.monotonic() < until:
        pass
    end = time.time()
    found = {
        "begin": begin,
        "end": end,
        "own": (cpu_secs(process, ended_children=False) - own) / (end - begin),
        "tree": (tree_secs(process) - tree) / (end - begin),
    }
    child.kill()
    child.wait()
    return found


def send_over_loopback() -> None:
    """Bytes from this process to itself."""
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    receiver, _ = listener.accept()

    def receive() -> None:
        left = SENT_BYTES
        while left > 0:
            left -= len(receiver.recv(1 << 20))

    thread = threading.Thread(target=receive)
    thread.start()
    sender.sendall(bytes(SENT_BYTES))
    thread.join()
    for one in (sender, receiver, listener):
        one.close()


def write_to_disk() -> None:
    """Bytes that reach the device."""
    with tempfile.NamedTemporaryFile(dir=os.getcwd()) as file:
        block = os.urandom(1 << 20)
        for _ in range(WRITTEN_BYTES >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def counters() -> dict[str, float]:
    """What psutil counts since the system's start."""
    network, disks = psutil.net_io_counters(), psutil.disk_io_counters(perdisk=True)
    return {
        "sent": network.bytes_sent,
        "recv": network.bytes_recv,
        **{f"{name}.out": disk.write_bytes / 2**20 for name, disk in disks.items()},
    }


def main() -> None:
    """Run the load."""
    interval = float(sys.argv[1])
    words = {"x_stats_sampling_interval": interval, "silent": True}
    plain = runlane.init(project="p", mode="offline", settings=words, reinit="create_new")
    tree = runlane.init(
        project="p",
        mode="offline",
        settings={**words, "x_stats_track_process_tree": True},
        reinit="create_new",
    )
    time.sleep(2 * interval)
    process = psutil.Process()
    before, counting_since = counters(), time.time()
    cpu = burn(6 * interval, interval)
    held = b"x" * ALLOCATED_BYTES
    send_over_loopback()
    write_to_disk()
    extra = [threading.Thread(target=time.sleep, args=(3 * interval,)) for _ in range(5)]
    for thread in extra:
        thread.start()
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(20)"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(2 * interval)
    memory, used = psutil.virtual_memory(), psutil.disk_usage("/")
    counting_until, after = time.time(), counters()
    facts = {
        "runs": [os.path.dirname(run.dir) for run in (plain, tree)],
        "cores": psutil.cpu_count(logical=False),
        "logical": psutil.cpu_count(),
        "cpu": cpu,
        "at": time.time(),
        "rss": process.memory_info().rss,
        "tree_rss": process.memory_info().rss + psutil.Process(sleeper.pid).memory_info().rss,
        "threads": process.num_threads(),
        "total": memory.total,
        "available": memory.available,
        "memory_percent": memory.percent,
        "disk_percent": used.percent,
        "disk_used": used.used,
        "counted": {name: after[name] - before[name] for name in before},
        "counted_between": (counting_since, counting_until),
        "held": len(held),
    }
    time.sleep(2 * interval)
    status = subprocess.run(
        [sys.executable, "-m", "runlane", "daemon", "status", "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    facts["samplers"] = json.loads(status.stdout)["samplers"]
    sleeper.kill()
    sleeper.wait()
    plain.finish()
    tree.finish()
    print("FACTS" + json.dumps(facts))


if __name__ == "__main__":
    main()
