"""The settings files: INI text, one section `[default]`, keys are setting names in lower case."""

from __future__ import annotations

import os

from ._environment import variable
from ._settings_fields import DEFAULTS
from .terminal import is_quiet, termlog, termwarn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_IN_FILES = ("settings_system", "root_dir")


def config_dir() -> str:
    """Directory of the global settings file."""
    return os.path.expanduser(variable("CONFIG_DIR") or os.path.join("~", ".config", "wandb"))


def global_path() -> str:
    """The global settings file."""
    return os.path.join(config_dir(), "settings")


def _plain_ini(text: str) -> dict[str, str] | None:
    """The `[default]` section of simple INI text, or None where only a full parser can say.

    Most files are three lines that the client wrote itself; configparser is slow to import.
    """
    values: dict[str, str] = {}
    section = None
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped:
            continue
        if stripped[0] in "#;":
            continue
        if stripped[0] == "[" and stripped[-1] == "]":
            if stripped in ("[DEFAULT]", section):
                return None
            section = stripped
            continue
        key, separator, value = line.partition("=")
        key = key.strip().lower()
        if (
            line[0].isspace()
            or not separator
            or not key
            or ":" in key
            or "%" in value
            or section is None
            or key in values
        ):
            return None
        if section == "[default]":
            values[key] = value.strip()
    return values


def _full_ini(text: str) -> dict[str, str]:
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return dict(parser.items("default")) if parser.has_section("default") else {}


def read(path: str) -> dict[str, str]:
    """The settings of one file; empty if it does not exist or cannot be understood (then with a warning)."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        termwarn(f"Error reading settings at {path}: {error}")
        return {}
    values = _plain_ini(text)
    if values is None:
        try:
            values = _full_ini(text)
        except Exception as error:  # noqa: BLE001, RUF100 - a parser's own error classes; any of them means "ignore the file"
            termwarn(f"Error reading settings at {path}: {error}")
            return {}
    for name in _NOT_IN_FILES:
        if values.pop(name, None) is not None:
            termwarn(f"Setting `{name}` in {path} is ignored")
    unknown = [name for name in values if name not in DEFAULTS and name != "anonymous"]
    if unknown:
        termwarn(f"Ignored unknown settings in {path}: {', '.join(sorted(unknown))}")
    values.pop("anonymous", None)
    return {name: value for name, value in values.items() if name in DEFAULTS and value != ""}


def announce(paths: list[str]) -> None:
    """Say which settings files are in use."""
    if paths and not is_quiet():
        termlog(f"Loading settings from {', '.join(paths)}")


def write(path: str, changes: Mapping[str, str | None]) -> bool:
    """Set (or, with None, remove) keys of a settings file; other content of the section is kept.

    Returns:
        Whether the file changed.

    Raises:
        OSError: The file cannot be written.
    """
    values: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        plain = _plain_ini(text)
        values = dict(_full_ini(text) if plain is None else plain)
    except (FileNotFoundError, NotADirectoryError):
        pass
    before = dict(values)
    for name, value in changes.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
    if values == before:
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}.runlane-tmp"
    # 0600: the file may hold an API key.
    with open(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write("[default]\n")
        for name, value in values.items():
            file.write(f"{name} = {value}\n")
        file.write("\n")
    os.replace(temporary, path)
    termlog(f"Updated settings file {path}")
    return True
