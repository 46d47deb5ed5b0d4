"""The daemon is killed while it mirrors event files: every row once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from event_world import script, values
from scripts import kill_daemon
from table import record

if TYPE_CHECKING:
    from world import Home

ROWS = 20_000


def test_every_row_is_in_the_log_once_when_the_daemon_dies(home: Home) -> None:
    process = home.start(
        script(f"""
run = wandb.init(sync_tensorboard=True, settings=SETTINGS)
writers = [EventFileWriter("tb/a"), EventFileWriter("tb/b")]
for step in range({ROWS}):
    for writer in writers:
        put(writer, step, x=step)
for writer in writers:
    writer.flush()
print("logged", flush=True)
sys.stdin.readline()
run.log({{"own": 1}})
run.finish()
"""),
        env={"WANDB_MODE": "offline"},
    )
    (run_dir,) = home.run_dirs()
    kills = 0
    counts = []
    deadline = time.monotonic() + 40
    while kills < 4 and time.monotonic() < deadline:
        seen = len(values(run_dir, "a/x"))
        if seen > (counts[-1] if counts else 0):
            counts.append(seen)
            kill_daemon(home)
            kills += 1
        time.sleep(0.05)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(60) == 0
    for key in ("a/x", "b/x"):
        assert values(run_dir, key) == [(step, step) for step in range(ROWS)]
    record("TB", "SIGKILL of the daemon while it mirrors event files", "0 rows", "0 rows", kills)
    assert kills >= 2
