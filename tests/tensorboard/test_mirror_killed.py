"""The daemon is killed while it mirrors event files: every row once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from event_world import script, values
from scripts import kill_daemon
from table import record

if TYPE_CHECKING:
    from world import Home

BATCHES, ROWS = 40, 50


def test_every_row_is_in_the_log_once_when_the_daemon_dies(home: Home) -> None:
    process = home.start(
        script(f"""
wandb.tensorboard.patch(root_logdir="tb")
run = wandb.init(settings=SETTINGS)
writers = [EventFileWriter("tb/a"), EventFileWriter("tb/b")]
print("logged", flush=True)
for step in range({BATCHES * ROWS}):
    for writer in writers:
        put(writer, step, x=step)
    if step % {ROWS} == 0:
        run.log({{"own": step}})
        writers[step // {ROWS} % 2].flush()
        time.sleep(0.1)
run.finish()
"""),
        env={"WANDB_MODE": "offline"},
    )
    (run_dir,) = home.run_dirs()
    kills, seen = 0, 0
    while process.poll() is None and kills < 4:
        rows = len(values(run_dir, "a/x"))
        if rows > seen:
            seen = rows
            kill_daemon(home)
            kills += 1
        time.sleep(0.05)
    assert process.wait(60) == 0
    for key in ("a/x", "b/x"):
        assert values(run_dir, key) == [(step, step) for step in range(BATCHES * ROWS)]
    record("TB", "SIGKILL of the daemon while it mirrors event files", "0 rows", "0 rows", kills)
    assert kills >= 2
