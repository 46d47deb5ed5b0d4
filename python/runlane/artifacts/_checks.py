"""What may be put into an artifact's fields. Names follow the rules of `runlane_model::artifact::names`."""

from __future__ import annotations

from runlane import _core, _json_text
from runlane._limits import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_RESERVED_PREFIX = "wandb-"
#: Type -> what names of it that this library makes begin with.
_RESERVED_NAMES = {"run_table": "run-", "code": "source-"}
METADATA_KEYS = 100
#: What one call gives to a version at most.
ALIASES = 100
TAGS = 20


def text(what: str, value: Any) -> str:
    """`value`, which must be a string.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a string, got {type(value).__name__}")
    return value


def artifact_name(name: Any) -> str:
    """A name for an artifact.

    Raises:
        TypeError: It is no string.
        ValueError: It breaks a rule; the message says which.
    """
    return _core.check_artifact_text("name", text("artifact name", name))


def artifact_type(type_: Any, name: str) -> str:
    """A type that users may give an artifact of this name.

    Raises:
        TypeError: It is no string.
        ValueError: It breaks a rule or is reserved.
    """
    checked = _core.check_artifact_text("type", text("artifact type", type_))
    prefix = _RESERVED_NAMES.get(checked)
    if (
        checked == "job"
        or checked.startswith(_RESERVED_PREFIX)
        or (prefix is not None and name.startswith(prefix))
    ):
        raise ValueError(
            f"Artifact type {checked!r} is reserved for internal use. Please use a different type."
        )
    return checked


def entry_path(name: Any) -> str:
    """A path in an artifact, in its normal form.

    Raises:
        ValueError: It leaves the artifact, or cannot be a file's name everywhere.
    """
    import os

    given = os.fspath(name)
    if not isinstance(given, str):
        raise TypeError(f"a path in an artifact must be a string, got {type(name).__name__}")
    parts = [part for part in given.split("/") if part not in ("", ".")]
    path = "/".join(parts)
    if given.startswith("/"):
        raise ValueError(f"Invalid artifact path: {given!r}: it must be relative")
    try:
        return _core.check_artifact_text("path", path)
    except ValueError as error:
        raise ValueError(f"Invalid artifact path: {given!r}: {error}") from None


def aliases(names: Iterable[str] | None, most: int | None = None) -> list[str]:
    """Aliases, each once, in order.

    Raises:
        TypeError: One is no string, or all are one string.
        ValueError: One breaks a rule, or there are more than `most`.
    """
    found = _names("alias", "aliases", names, most)
    for alias in found:
        if alias[0] == "v" and alias[1:].isdecimal() and alias.isascii():
            raise ValueError(f"alias `{alias}` is a version, which only the server gives")
    return found


def tags(names: Iterable[str] | None, most: int | None = None) -> list[str]:
    """Tags, each once, in order.

    Raises:
        TypeError: One is no string, or all are one string.
        ValueError: One breaks a rule, or there are more than `most`.
    """
    return _names("tag", "tags", names, most)


def _names(kind: str, plural: str, names: Iterable[str] | None, most: int | None) -> list[str]:
    if names is None:
        return []
    if isinstance(names, str):
        raise TypeError(f"`{plural}` must be a list of strings, got the string {names!r}")
    found = list(dict.fromkeys(_core.check_artifact_text(kind, text(f"each {kind}", name)) for name in names))
    if most is not None and len(found) > most:
        raise ValueError(f"at most {most} {plural} can be given at once, got {len(found)}")
    return found


def metadata(value: Any) -> dict[str, Any]:
    """A copy of metadata as plain JSON values; NaN and infinities stay.

    Raises:
        TypeError: It is no dict, or holds something that has no JSON form.
        ValueError: It has more than 100 keys, more than 1 MiB as JSON, or is nested too deep.
    """
    if value is None:
        return {}
    if isinstance(value, str):
        import json

        value = json.loads(value)
    if not isinstance(value, dict):
        raise TypeError(f"Cannot parse {type(value)} as artifact metadata")
    if len(value) > METADATA_KEYS:
        raise ValueError(f"Artifact must not have more than {METADATA_KEYS} metadata keys.")
    plain = _plain(value, 0)
    metadata_json(plain)
    return dict(plain)


def metadata_json(value: dict[str, Any]) -> str:
    """Plain metadata as JSON text.

    Raises:
        ValueError: It is too large.
    """
    return _core.check_artifact_text("metadata", _json_text.encode(value))


def _plain(value: Any, depth: int) -> Any:
    """`value` of JSON's types: numbers and arrays of numpy and torch, sets, bytes, dates and enumerations included."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    if depth >= MAX_DEPTH:
        raise ValueError(f"metadata is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    for method in ("isoformat", "tolist", "item"):
        convert = getattr(value, method, None)
        if callable(convert) and not isinstance(value, type):
            return _plain(convert(), depth + 1)
    if type(value).__module__ in ("datetime", "decimal", "uuid", "pathlib") or hasattr(value, "__fspath__"):
        return str(value)
    if hasattr(value, "value") and hasattr(type(value), "__members__"):
        return _plain(value.value, depth + 1)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
