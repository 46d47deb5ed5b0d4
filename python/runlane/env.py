"""Names of environment variables, as `wandb.env` has them."""

from __future__ import annotations

import os

from ._environment import flag, variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

API_KEY = "WANDB_API_KEY"
BASE_URL = "WANDB_BASE_URL"
CONFIG_DIR = "WANDB_CONFIG_DIR"
DIR = "WANDB_DIR"
ENTITY = "WANDB_ENTITY"
MODE = "WANDB_MODE"
NAME = "WANDB_NAME"
NOTES = "WANDB_NOTES"
PROJECT = "WANDB_PROJECT"
RESUME = "WANDB_RESUME"
RUN_GROUP = "WANDB_RUN_GROUP"
RUN_ID = "WANDB_RUN_ID"
SILENT = "WANDB_SILENT"
SWEEP_ID = "WANDB_SWEEP_ID"
TAGS = "WANDB_TAGS"


def set_entity(value: str, env: MutableMapping[str, str] | None = None) -> None:
    """Set the entity of runs that start from now on."""
    (os.environ if env is None else env)[ENTITY] = value


def set_project(value: str, env: MutableMapping[str, str] | None = None) -> None:
    """Set the project of runs that start from now on."""
    (os.environ if env is None else env)[PROJECT] = value or "uncategorized"


def get_entity(default: str | None = None) -> str | None:
    """The entity that the environment names."""
    return variable("ENTITY") or default


def get_project(default: str | None = None) -> str | None:
    """The project that the environment names."""
    return variable("PROJECT") or default


def get_run(default: str | None = None) -> str | None:
    """The run id that the environment names."""
    return variable("RUN_ID") or default


def get_dir(default: str | None = None) -> str | None:
    """The parent of the `wandb` directory that the environment names."""
    return variable("DIR") or default


def get_base_url(default: str | None = None) -> str | None:
    """The server that the environment names."""
    return variable("BASE_URL") or default


def get_username(default: str | None = None) -> str | None:
    """The user name that the environment names."""
    return variable("USERNAME") or default


def get_tags(default: str = "") -> list[str]:
    """The tags that the environment names."""
    return [tag for tag in (variable("TAGS") or default).split(",") if tag]


def is_offline() -> bool:
    """Whether the environment asks for runs without a server."""
    return (variable("MODE") or "") in ("offline", "dryrun")


def is_silent() -> bool:
    """Whether the environment asks for no lines on the terminal."""
    return flag("SILENT")


def is_quiet() -> bool:
    """Whether the environment asks for fewer lines on the terminal."""
    return flag("QUIET")
