"""The same script with runlane and with wandb 0.31.0: the same rows, summary and files, but for what differences.md lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from event_world import script
from reading import plain, read_run

if TYPE_CHECKING:
    from world import Home, Server

BODY = """
import io
import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter

wandb.tensorboard.patch(root_logdir="logs")
run = wandb.init(project={project!r}, id={run_id!r}, settings=SETTINGS)
# W&B replaces the name in the module: who has imported it before has the class that tells nobody.
from tensorboard.summary.writer.event_file_writer import EventFileWriter

def encoded(color, form="png"):
    out = io.BytesIO()
    Image.new("RGB", (5, 3), color).save(out, form)
    return out.getvalue()

scalars = EventFileWriter("logs/exp/scalars")
for step in (0, 1, 2, 2, 2, 1, 5, -3):
    put(scalars, step, loss=step / 3, acc__top1=0.1, **{{"a.b": 2}})
put(scalars, 7, wall_time=123.5, nan=float("nan"), inf=float("-inf"), big=1e30, tiny=1e-45)
put(scalars, 8)
put(scalars, 9, global_step=99, _step=3, _runtime=5, _timestamp=3, kept=1)
for step, (plugin, value) in enumerate([
    ("scalars", np.float32(0.1)), ("scalars", np.float64(0.1)), ("scalars", np.int32(7)), ("scalars", np.int64(-8)),
    ("scalars", np.float32([3])), ("scalars", np.float32([1, 2])), ("", np.float32(1)), ("mine", np.float32(1)),
    ("histograms", np.array([[0.0, 1, 5], [1, 2, 6], [2, 3, 7]])), ("histograms", np.zeros((0, 3))),
    ("histograms", np.array([[i, i + 1, i % 5] for i in range(777)], dtype=np.float64)),
    ("images", np.array([b"5", b"3", encoded("red"), encoded("blue")], dtype=object)),
    ("text", np.array([b"words"], dtype=object)),
], 20):
    put_value(scalars, step, tag=f"tensor{{step}}", metadata=metadata(plugin), tensor=make_tensor_proto(value))
put_value(scalars, 40, tag="memory", metadata=metadata("scalars"), tensor=make_tensor_proto(np.float32(1)))
put_value(scalars, 41, tag="memory", tensor=make_tensor_proto(np.float32(2)))

other = SummaryWriter("logs/exp/other")
for step in range(3):
    other.add_histogram("weights", np.linspace(-1, 2, 50) ** 3, step, walltime=step)
other.add_image("image", np.full((3, 4, 6), 9, dtype=np.uint8), 3, walltime=3)
other.add_text("text", "hello", 4, walltime=4)
other.add_pr_curve("curve", np.array([0, 1, 1, 0, 1]), np.array([0.1, 0.9, 0.3, 0.6, 0.5]), 5, walltime=5)
limits = [float(i) for i in range(600)]
buckets = [float(i % 7) for i in range(600)]
raw = EventFileWriter("logs/exp/raw")
for step, (low, edges, counts) in enumerate([
    (0.0, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), (0.0, [1.0, 2.0, 3.0], [0.0, 2.0, 3.0]), (-1.0, limits, buckets),
    (0.0, [1.0], [1.0]), (0.0, [1.0, 2.0], [1.0]), (float("nan"), [1.0], [1.0]),
]):
    put_value(raw, step, tag=f"histo{{step}}", histo=HistogramProto(min=low, bucket_limit=edges, bucket=counts))
put_value(raw, 9, tag="one/0", image=Summary.Image(width=5, height=3, encoded_image_string=encoded("red", "jpeg")))
put_value(raw, 10, tag="bad", image=Summary.Image(width=50, height=30, encoded_image_string=encoded("red")))
for writer in (scalars, other, raw):
    writer.close()
run.finish()
"""

#: Names of media files are random in W&B and follow from the content here; W&B writes a digest as text that it is not.
_NAMES = ("filenames", "path", "sha256", "size")


def _comparable(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows by the file that they come from: how files take turns is a matter of moments."""
    found: dict[str, list[dict[str, Any]]] = {"scalars": [], "other": [], "raw": []}
    for row in rows:
        kept = {key: _nameless(value) for key, value in row.items() if key not in ("_step", "_runtime")}
        (place,) = {key.split("/")[1] for key in kept if key.startswith("exp/")}
        found[place].append(plain(kept))
    return found


def _nameless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nameless(inner) for key, inner in value.items() if key not in _NAMES}
    if isinstance(value, list) and value and isinstance(value[0], float | int):
        return [pytest.approx(number, rel=1e-12) for number in value]
    return value


def _run(home: Home, server: Server, project: str, python: str | None) -> dict[str, Any]:
    run_id = "theirs01" if python else "ours0001"
    body = BODY.format(project=project, run_id=run_id)
    words: dict[str, Any] = {"python": python} if python else {}
    root = home.work / run_id
    root.mkdir()
    home.python(
        f"import os\nos.chdir({str(root)!r})\n" + script(body, "wandb" if python else "runlane"),
        env=server.env,
        **words,
    )
    return read_run(home, server, f"{project}/{run_id}")


def test_rows_summary_and_files_are_those_of_wandb(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    ours = _run(home, server, project, None)
    theirs = _run(home, server, project, wandb_python)
    our_rows, their_rows = _comparable(ours["rows"]), _comparable(theirs["rows"])
    for place in ("scalars", "other", "raw"):
        assert len(our_rows[place]) > 3
        assert our_rows[place] == their_rows[place], place
    assert ours["state"] == theirs["state"] == "finished"
    automatic = ("_wandb", "_step", "_runtime", "global_step", "_timestamp")
    summaries = [
        {key: _nameless(value) for key, value in plain(run["summary"]).items() if key not in automatic}
        for run in (ours, theirs)
    ]
    assert summaries[0] == summaries[1]

    def files(run: dict[str, Any]) -> list[str]:
        names = [name for name in run["files"] if "tfevents" in name or name.startswith("media/")]
        # Each writer's file has the second and the process in its name; media have random names.
        return sorted(
            name.rpartition("/")[0] + "." + name.rpartition(".")[2][:4] for name in names if "media/" in name
        ) + sorted(name.rpartition("/")[0] for name in names if "tfevents" in name)

    assert files(ours) == files(theirs)
