"""The build backend: maturin, with the native binary and the web app staged first.

maturin builds one kind of thing per wheel; our wheel carries an extension and a program. `RUNLANE_BUILD_PROFILE`
(`release` by default) chooses the Cargo profile of both.
"""

from __future__ import annotations

import os
from typing import Any

import maturin
from maturin import (
    build_sdist as build_sdist,
)
from maturin import (
    get_requires_for_build_editable as get_requires_for_build_editable,
)
from maturin import (
    get_requires_for_build_sdist as get_requires_for_build_sdist,
)
from maturin import (
    get_requires_for_build_wheel as get_requires_for_build_wheel,
)
from maturin import (
    prepare_metadata_for_build_wheel as prepare_metadata_for_build_wheel,
)
from stage import stage

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def _profile(default: str) -> str:
    profile = os.environ.get("RUNLANE_BUILD_PROFILE", default)
    os.environ["MATURIN_PEP517_ARGS"] = f"--profile {profile}"
    return profile


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Stage, then let maturin build the wheel."""
    stage(_profile("release"))
    return str(maturin.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Stage a debug binary, then let maturin install the package in place."""
    stage(_profile("dev"))
    return str(maturin.build_editable(wheel_directory, config_settings, metadata_directory))
