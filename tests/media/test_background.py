"""`x_async_media`: images are encoded in the background, and rows are the same, in the same order, whatever ends the process."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from logs import log_of, rows
from world import Home

BODY = """
import os, signal, sys, threading, time
import numpy as np
import runlane as wandb

run = wandb.init(mode="offline", project="p", settings=wandb.Settings(console="off", x_async_media=os.environ["IMAGES"] == "later"))
rng = np.random.default_rng(0)
pixels = rng.integers(0, 256, (300, 200, 3), dtype=np.uint8)
masks = {"m": {"mask_data": pixels[..., 0] % 3, "class_labels": {0: "bg"}}}
for i in range(12):
    run.log({"loss": i / 3, "image": wandb.Image(pixels, caption=str(i)), "after": i})
    # What was given is the user's again.
    pixels += 1
    run.log({"only": i})
    if i % 4 == 0:
        run.log({"list": [wandb.Image(pixels), wandb.Image(pixels[::2])], "nested": {"deep": wandb.Image(pixels, masks=masks)}})
    if i % 5 == 0:
        run.log({"x": 1}, commit=False)
        run.log({"page": wandb.Html("x", inject=False), "floats": wandb.Image(pixels / 2.0)}, step=i * 10 + 500)
same = wandb.Image(pixels)
run.log({"same": same})
run.log({"same": same, "array": np.arange(3)})
run.config.late = 1
run.summary["best"] = 3
run.summary["picture"] = wandb.Image(pixels)
"""
ENDINGS = {
    "finish": "run.finish()",
    "exit": "sys.exit(0)",
    "flush": "assert run.flush(timeout=30); os._exit(0)",
    "sigterm": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)",
    # While the main thread is waiting for images itself.
    "sighup": "threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGHUP)).start(); run.flush(timeout=30); time.sleep(30)",
}


def _content(run_dir: Path) -> list[dict[str, Any]]:
    found = []
    for row in rows(log_of(run_dir)):
        for key, value in row.items():
            if key.endswith(".path"):
                assert (run_dir / "files" / value).stat().st_size == row[key.replace(".path", ".size")]
        found.append({key: value for key, value in row.items() if key not in ("_timestamp", "_runtime")})
    return found


def _run(home: Home, mode: str, ending: str) -> Path:
    known = set(home.run_dirs())
    done = home.python(BODY + ENDINGS[ending], check=False, env={"IMAGES": mode})
    assert done.returncode in (0, -signal.SIGTERM, -signal.SIGHUP), done.stderr
    (made,) = set(home.run_dirs()) - known
    return made


@pytest.fixture
def reference(home: Home) -> list[dict[str, Any]]:
    return _content(_run(home, "now", "finish"))


def test_rows_are_the_same_however_the_process_ends(home: Home, reference: list[dict[str, Any]]) -> None:
    assert len(reference) > 30
    for ending in ENDINGS:
        run_dir = _run(home, "later", ending)
        deadline = time.monotonic() + 20
        while len(rows(log_of(run_dir))) < len(reference) and time.monotonic() < deadline:
            time.sleep(0.05)
        home.stop_daemon()
        assert _content(run_dir) == reference, ending


SLOW = """
import os, sys, time
import numpy as np
import runlane as wandb
from runlane import _core, _media_queue

# The background does not get to it by itself.
complete, _media_queue._queue._work = _core.HeldCall.complete, lambda: time.sleep(60)
run = wandb.init(mode="offline", project="p", settings=wandb.Settings(console="off", x_async_media=True))
pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
run.log({"before": 0})
for i in range(5):
    run.log({"image": wandb.Image(pixels), "i": i})
    run.log({"i": i + 0.5})
"""


def test_a_kill_loses_calls_from_the_end_only(home: Home) -> None:
    home.python(SLOW + "_media_queue._queue._make_next(False)\nos.kill(os.getpid(), 9)", check=False)
    (run_dir,) = home.run_dirs()
    deadline = time.monotonic() + 20
    while len(found := [row for row in rows(log_of(run_dir)) if row]) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [row.get("before", row.get("i")) for row in found] == [0, 0, 0.5]
    assert "image.sha256" in found[1]


def test_a_forked_child_leaves_the_parents_images_to_it(home: Home) -> None:
    fork = """
child = os.fork()
if child == 0:
    run.log({"of child": wandb.Image(pixels)})
    run.flush(timeout=30)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
run.finish()
"""
    home.python(SLOW + fork)
    (run_dir,) = home.run_dirs()
    found = rows(log_of(run_dir))
    assert [row["i"] for row in found if "i" in row] == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5]
    assert sum("of child.sha256" in row for row in found) == 1


def test_where_memory_is_full_calls_encode_themselves(home: Home) -> None:
    full = """
from runlane.data_types import _files
_files.MEMORY_BYTES = _files.temporary.memory_bytes + 3 * pixels.nbytes
images = [wandb.Image(pixels) for _ in range(6)]
print("PENDING", [image._is_pending() for image in images])
run.log({"full": images})
print("SETTLED", run.summary["i"], _files.temporary.memory_bytes <= _files.MEMORY_BYTES)
run.finish()
"""
    text = home.python(SLOW + full).stdout
    assert "PENDING [True, True, True, False, False, False]" in text.replace("False, True", "?"), text
    assert "SETTLED 4.5 True" in text


def test_a_call_with_an_image_returns_before_it_is_encoded(home: Home) -> None:
    timed = """
large = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
began = time.perf_counter()
run.log({"large": wandb.Image(large)})
later = time.perf_counter() - began
began = time.perf_counter()
_core.encode_png(large.ctypes.data, 1500, 1500, 3)
print("RATIO", later / (time.perf_counter() - began))
run.finish()
"""
    text = home.python(SLOW + timed).stdout
    (ratio,) = (float(line.split()[1]) for line in text.splitlines() if line.startswith("RATIO"))
    assert ratio < 0.5


LOCKED = """
import gc, os, signal, sys, threading, time
import numpy as np
import runlane as wandb
from runlane.data_types._files import temporary

signal.alarm(20)
small = np.zeros((8, 8), np.uint8)
"""


def test_objects_that_are_collected_anywhere_hang_nobody(home: Home) -> None:
    """The collector runs in whatever thread makes the directory of temporary files."""
    home.python(
        LOCKED
        + """
class Holder:
    pass

for _ in range(50):
    holder = Holder()
    holder.me, holder.image = holder, wandb.Image(small)
del holder
gc.set_threshold(1)
with temporary.lock:
    gc.collect()
assert os.path.isdir(os.path.dirname(temporary.path(".png")))
"""
    )


def test_a_child_makes_images_though_a_thread_of_its_parent_was_at_it(home: Home) -> None:
    text = home.python(
        LOCKED
        + """
mine = temporary.path(".png")
open(mine, "w").close()
threading.Thread(target=lambda: temporary.lock.acquire() and time.sleep(1), daemon=True).start()
while temporary.lock.acquire(blocking=False):
    temporary.lock.release()
child = os.fork()
if child == 0:
    signal.alarm(20)
    wandb.Image(small)
    path = temporary.path(".png")
    assert os.path.dirname(path) != os.path.dirname(mine)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert os.path.exists(mine)
print(os.path.dirname(mine))
"""
    ).stdout
    assert not Path(text.split()[-1]).exists()


def test_a_signal_ends_a_process_whatever_its_main_thread_is_at(home: Home) -> None:
    done = home.python(
        LOCKED
        + """
run = wandb.init(mode="offline", settings=wandb.Settings(x_async_media=True))
pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
for i in range(8):
    run.log({"i": i, "image": wandb.Image(pixels)})
temporary.lock.acquire()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(30)
""",
        check=False,
    )
    assert done.returncode == -signal.SIGTERM, done.stderr


def test_a_child_ends_at_a_signal_as_any_other(home: Home) -> None:
    """What its parent's end waits for is not the child's."""
    home.python(
        LOCKED
        + """
run = wandb.init(mode="offline", settings=wandb.Settings(x_async_media=True))
run.log({"image": wandb.Image(np.zeros((300, 300, 3), np.uint8))})
assert callable(signal.getsignal(signal.SIGTERM))
child = os.fork()
if child == 0:
    os._exit(int(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL))
assert os.waitpid(child, 0)[1] == 0
run.finish()
"""
    )


def test_what_calls_keep_beside_their_images_is_bounded(home: Home) -> None:
    full = """
_media_queue.WAITING_BYTES = 1 << 20
text, most = "x" * 300_000, 0
for i in range(12):
    run.log({"text": text, "image": wandb.Image(pixels), "i": i})
    most = max(most, _media_queue._queue._bytes)
assert 600_000 < most <= 1 << 20, most
run.finish()
assert _media_queue._queue._bytes == 0
"""
    home.python(SLOW + full)
    (run_dir,) = home.run_dirs()
    assert [row["i"] for row in rows(log_of(run_dir)) if "text" in row] == list(range(12))
