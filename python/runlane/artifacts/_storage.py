"""Where artifacts lie on this machine: the directories that wandb uses too."""

from __future__ import annotations

import os
import sys

from runlane._environment import variable


def _platform_dir(variable_name: str, linux: str, mac: str) -> str:
    if sys.platform == "darwin":
        return os.path.join(os.path.expanduser("~"), "Library", mac)
    return os.environ.get(variable_name) or os.path.join(os.path.expanduser("~"), linux)


def cache_dir() -> str:
    """The cache of artifact files: `<WANDB_CACHE_DIR or ~/.cache/wandb>/artifacts`, absolute."""
    base = variable("CACHE_DIR") or os.path.join(_platform_dir("XDG_CACHE_HOME", ".cache", "Caches"), "wandb")
    return os.path.join(os.path.abspath(os.path.expanduser(base)), "artifacts")


def data_dir() -> str:
    """The directory of staged files: `<WANDB_DATA_DIR or ~/.local/share/wandb>/artifacts`, absolute."""
    base = variable("DATA_DIR") or os.path.join(
        _platform_dir("XDG_DATA_HOME", os.path.join(".local", "share"), "Application Support"), "wandb"
    )
    return os.path.join(os.path.abspath(os.path.expanduser(base)), "artifacts")


def staging_dir() -> str:
    """Copies of files that were added to artifacts and wait for their upload, absolute."""
    return os.path.join(data_dir(), "staging")


def download_dir() -> str:
    """Where artifacts are downloaded to by default: `WANDB_ARTIFACT_DIR`, else `./artifacts`, absolute."""
    return os.path.abspath(os.path.expanduser(variable("ARTIFACT_DIR") or "artifacts"))
