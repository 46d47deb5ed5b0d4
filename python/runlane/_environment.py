"""Settings from environment variables: `WANDB_*` as documented, `RUNLANE_*` the same set, which wins."""

from __future__ import annotations

import os

from ._settings_fields import DEFAULTS, ENV_FIELDS, NOT_FROM_ENV
from ._settings_values import parse_boolean
from .errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PREFIXES = ("RUNLANE_", "WANDB_")


def variable(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The value of `RUNLANE_<name>`, else of `WANDB_<name>`; an empty value counts as unset."""
    environ = os.environ if environ is None else environ
    return environ.get(f"RUNLANE_{name}") or environ.get(f"WANDB_{name}") or None


def flag(name: str) -> bool:
    """Whether a boolean variable is set to a true word."""
    value = variable(name)
    try:
        return value is not None and parse_boolean(name, value)
    except SettingsError:
        return False


def _field(suffix: str) -> str | None:
    """The field that a variable (name without prefix) sets, or None."""
    if suffix in ENV_FIELDS:
        return ENV_FIELDS[suffix]
    field = suffix.lower()
    if field.startswith("_"):
        # WANDB__FOO is an older spelling of WANDB_X_FOO.
        field = f"x_{field[1:]}"
    return field if field in DEFAULTS and field not in NOT_FROM_ENV else None


def settings_from_environment(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Setting values (text, not yet checked) by field name; names that are no setting are ignored.

    Raises:
        SettingsError: `WANDB_SAVE_CODE` or `WANDB_DISABLE_CODE` is not a boolean word.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, Any] = {}
    for prefix in reversed(PREFIXES):
        for name, value in environ.items():
            if not name.startswith(prefix) or not value:
                continue
            field = _field(name[len(prefix) :])
            if field is not None:
                found[field] = value
    disable_git = variable("DISABLE_GIT", environ)
    if disable_git is not None:
        # As documented: every word but `false` turns git off.
        found["disable_git"] = disable_git.strip().lower() != "false"
    save, disable = variable("SAVE_CODE", environ), variable("DISABLE_CODE", environ)
    disabled = disable is not None and parse_boolean("disable_code", disable)
    if disabled:
        found["disable_code"] = True
        found["save_code"] = False
    elif save is not None:
        found["save_code"] = parse_boolean("save_code", save)
    return found
