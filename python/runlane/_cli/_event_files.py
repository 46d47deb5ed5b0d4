"""Directories of TensorBoard event files as runs: `sync` makes an offline run of each, and uploads it like any other."""

from __future__ import annotations

import os

import click

import runlane
from runlane._settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def log_directories(directory: str) -> list[str]:
    """The directories at and below `directory` that hold event files themselves, in order of their paths."""
    return sorted(
        current
        for current, _, names in os.walk(os.path.abspath(directory))
        if any("tfevents." in name for name in names)
    )


def make_run(directory: str, **arguments: Any) -> str:
    """Make an offline run of the event files below `directory`; the path of its log.

    Args:
        directory: What TensorBoard calls a log directory. Keys have the path of each subdirectory as their prefix.
        arguments: What `init` is given: project, entity, id, job_type.

    Raises:
        ClickException: There are no event files.
    """
    places = log_directories(directory)
    if not places:
        raise click.ClickException(f"no TensorBoard event files in {directory}")
    root = os.path.abspath(directory)
    settings = Settings(
        console="off", silent=True, x_disable_meta=True, x_disable_stats=True, x_save_requirements=False
    )
    # This program is not what made the run: nothing of it is recorded.
    settings.disable_git = settings.disable_code = True
    given = {"name": os.path.basename(root), **arguments}
    run = runlane.init(mode="offline", settings=settings, reinit="create_new", **given)
    for place in places:
        record = {"log_dir": place, "root_dir": root, "save": True, "save_path": "", "any_time": True}
        run._publish("tensorboard", {**record, "host": ""})
    run.finish()
    return os.path.join(run.sync_dir, f"run-{run.id}.wandb")
