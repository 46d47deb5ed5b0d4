"""What the tests of event files share: scripts with writers, and reading what the run's log holds of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import logs

#: Begins a script whose writers' times are fixed. `writer` makes TensorBoard's own writer; `put` writes scalars to it.
PRELUDE = """
import os, sys, time
import {module} as wandb
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

SETTINGS = dict(console="off", x_disable_stats=True)

def put(writer, step, wall_time=None, **values):
    summary = Summary(value=[Summary.Value(tag=tag.replace("__", "/"), simple_value=value) for tag, value in values.items()])
    writer.add_event(Event(step=step, wall_time=float(step) if wall_time is None else wall_time, summary=summary))

def put_value(writer, step, **fields):
    writer.add_event(Event(step=step, wall_time=float(step), summary=Summary(value=[Summary.Value(**fields)])))

def metadata(plugin):
    return SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin))
"""


def script(body: str, module: str = "runlane") -> str:
    """A script for our module or the real one."""
    return PRELUDE.format(module=module) + body


def mirrored(run_dir: Path) -> list[dict[str, Any]]:
    """The rows of a run's log that come from event files, without what depends on the clock."""
    return [
        {key: value for key, value in row.items() if key not in ("_runtime", "_step")}
        for row in logs.rows(logs.log_of(run_dir))
        if "global_step" in row
    ]


def values(run_dir: Path, key: str) -> list[tuple[int, Any]]:
    """Global step and value of one key, in the order of the log."""
    return [(row["global_step"], row[key]) for row in mirrored(run_dir) if key in row]
