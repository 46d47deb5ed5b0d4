"""Runs with `sync_tensorboard`: what writers write becomes rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import logs
from event_world import mirrored, script, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven import Trainer
    from world import Home

OFFLINE = {"WANDB_MODE": "offline"}


def test_scalars_of_both_writers_become_rows_under_their_directories(home: Home) -> None:
    """Writers made after `init`, of modules imported before and after it; open ones are flushed by the finish."""
    printed = home.python(
        script("""
run = wandb.init(sync_tensorboard=True, settings=SETTINGS)
from tensorboardX import SummaryWriter
train, val = EventFileWriter("tb/train"), SummaryWriter("tb/val")
for step in range(3):
    put(train, step, loss=step / 2, acc__top1=0.1)
    val.add_scalar("loss", step, step, walltime=step)
run.finish()
"""),
        env=OFFLINE,
    )
    (run_dir,) = home.run_dirs()
    assert values(run_dir, "train/loss") == [(0, 0), (1, 0.5), (2, 1)]
    assert values(run_dir, "train/acc/top1") == [(0, 0.1), (1, 0.1), (2, 0.1)]
    assert values(run_dir, "val/loss") == [(0, 0), (1, 1), (2, 2)]
    assert sorted(row["_timestamp"] for row in mirrored(run_dir)) == [0, 0, 1, 1, 2, 2]
    assert "WARNING" not in printed.stderr
    # The files themselves are the run's, too.
    for place in ("train", "val"):
        (saved,) = (run_dir / "files" / place).glob("events.out.tfevents.*")
        assert saved.resolve().parent == home.work / "tb" / place


def test_rows_come_while_the_run_goes_on(home: Home, trainer: Callable[..., Trainer]) -> None:
    """Within seconds, under one count of steps with those of `log`; `step` of a call has no effect, as in W&B."""
    one = trainer(OFFLINE)
    for line in script("").splitlines()[1:]:
        if line.startswith(("import", "from", "SETTINGS")):
            one.do(line)
    one.do("wandb.tensorboard.patch(root_logdir='tb')")
    one.do("run = wandb.init(settings=SETTINGS); writer = EventFileWriter('tb/a')")
    one.do(
        "add = lambda step: writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag='x', simple_value=step)])))"
    )
    one.do("[add(step) for step in range(3)]; writer.flush(); run.log({'own': 1}, step=70)")
    (run_dir,) = home.run_dirs()
    deadline = time.monotonic() + 20
    while len(values(run_dir, "a/x")) < 2:
        assert time.monotonic() < deadline, one.said()
        time.sleep(0.02)
    one.do("run.log({'own': 2}, step=3, commit=False); run.log({'own': 3}, step=90); run.finish()")
    assert values(run_dir, "a/x") == [(0, 0), (1, 1), (2, 2)]
    rows = logs.rows(logs.log_of(run_dir))
    assert [row["_step"] for row in rows] == list(range(len(rows)))
    assert [row["own"] for row in rows if "own" in row] == [1, 3]
    assert one.said().count("`step` has no effect") == 1


def test_a_killed_trainer_leaves_what_its_files_hold(home: Home, trainer: Callable[..., Trainer]) -> None:
    one = trainer(OFFLINE)
    for line in script("").splitlines()[1:]:
        if line.startswith(("import", "from", "SETTINGS")):
            one.do(line)
    one.do("run = wandb.init(sync_tensorboard=True, settings=SETTINGS); writer = EventFileWriter('tb')")
    one.do(
        "[writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag='x', simple_value=step)])))"
        " for step in range(50)]; writer.flush()"
    )
    one.flush()
    one.kill()
    (run_dir,) = home.run_dirs()
    deadline = time.monotonic() + 20
    while len(values(run_dir, "x")) < 50:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert values(run_dir, "x") == [(step, step) for step in range(50)]


def test_other_directories_are_left_alone_and_nothing_is_patched_afterwards(home: Home) -> None:
    """Nothing is imported for it; a writer made before `init` or after `finish` belongs to nobody."""
    printed = home.python(
        """
import sys
import runlane as wandb
before = set(sys.modules)
run = wandb.init(sync_tensorboard=True, settings=dict(console="off"))
assert not any(name.partition(".")[0] in ("tensorboard", "tensorboardX", "google") for name in set(sys.modules) - before)
run.finish()
from tensorboard.summary.writer.event_file_writer import EventFileWriter
assert EventFileWriter.__init__.__module__ == EventFileWriter.__module__ and not hasattr(EventFileWriter.__init__, "__wrapped__")
early = EventFileWriter("early")
run = wandb.init(sync_tensorboard=True, settings=dict(console="off"))
assert hasattr(EventFileWriter.__init__, "__wrapped__")
run.finish()
assert not hasattr(EventFileWriter.__init__, "__wrapped__")
EventFileWriter("late")
run = wandb.init(sync_tensorboard=False, settings=dict(console="off"))
run.log({"x": 1}, step=7)
run.finish()
print("steps", run.step)
""",
        env=OFFLINE,
    )
    assert "steps 8" in printed.stdout
    assert all(mirrored(run_dir) == [] for run_dir in home.run_dirs())


def test_patching_by_hand_follows_wandb(home: Home) -> None:
    printed = home.python(
        script("""
from runlane.tensorboard import patch, unpatch
wandb.tensorboard.unpatch()
patch(save=False, root_logdir="logs")
try:
    wandb.tensorboard.patch()
except ValueError as error:
    print("RAISED", error)
run = wandb.init(sync_tensorboard=True, settings=SETTINGS)
inner, outer = EventFileWriter("logs/a/b"), EventFileWriter("outside")
put(inner, 1, x=1)
put(outer, 1, y=1)
run.finish()
unpatch()
"""),
        env=OFFLINE,
    )
    assert "RAISED TensorBoard is patched already" in printed.stdout
    (run_dir,) = home.run_dirs()
    assert sorted(key for row in mirrored(run_dir) for key in row if key in ("a/b/x", "y")) == ["a/b/x", "y"]
    assert printed.stderr.count("is not below the root_logdir") == 1
    assert not list((run_dir / "files").rglob("*tfevents*"))


def test_damage_costs_only_itself_and_one_warning(home: Home) -> None:
    """A record with a changed byte, rubbish, a directory of another host, a remote one, a file cut short."""
    printed = home.python(
        script("""
run = wandb.init(sync_tensorboard=True, settings=SETTINGS)
remote = wandb.run._publish("tensorboard", {**dict(root_dir="", save=True, save_path="", any_time=False, host=""), "log_dir": "s3://bucket/x"})
writer = EventFileWriter("tb")
path = [os.path.join("tb", name) for name in os.listdir("tb")][0]
ends = []
for step in range(6):
    put(writer, step, x=step)
    writer.flush()
    ends.append(os.path.getsize(path))
writer.close()
with open(path, "r+b") as file:
    file.seek(ends[1] + 20); file.write(b"!")
    file.seek(ends[3]); file.write(b"!")
    file.truncate(ends[5] - 3)
os.link(path, path.replace(os.uname().nodename, os.uname().nodename + "1"))
put(EventFileWriter("tb", filename_suffix=".second"), 9, x=9)
run.finish()
"""),
        env=OFFLINE,
    )
    (run_dir,) = home.run_dirs()
    assert values(run_dir, "x") == [(0, 0), (1, 1), (3, 3), (9, 9)]
    assert printed.stderr.count("damaged records of TensorBoard event files") == 1
    assert printed.stderr.count("`s3://bucket/x`") == 1
    assert printed.stderr.count("WARNING") == 2


def test_a_nested_log_directory_is_read_once(home: Home) -> None:
    """W&B reads its files twice, under two keys. A file of a directory is read on when a newer one is there."""
    home.python(
        script("""
run = wandb.init(sync_tensorboard=True, settings=SETTINGS)
outer, inner = EventFileWriter("tb"), EventFileWriter("tb/group")
put(inner, 1, x=1)
put(outer, 1, y=1)
outer.flush()
newer = EventFileWriter("tb", filename_suffix=".newer")
put(newer, 2, y=2)
newer.flush()
put(outer, 3, y=3)
run.finish()
"""),
        env=OFFLINE,
    )
    (run_dir,) = home.run_dirs()
    rows = mirrored(run_dir)
    assert [row["group/x"] for row in rows if "group/x" in row] == [1]
    assert not any("x" in row for row in rows)
    assert sorted(values(run_dir, "y")) == [(1, 1), (2, 2), (3, 3)]
