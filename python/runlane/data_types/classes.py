"""`Classes`: names of the classes that masks and boxes tell by number."""

from __future__ import annotations

from hashlib import md5

from .base import WBValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class Classes(WBValue):
    """Names by class id.

    Args:
        class_set: `{"id": …, "name": …}` for each class; ids are numbers or texts.

    Raises:
        TypeError: An entry is no such mapping.
        ValueError: An entry lacks `id` or `name`.
    """

    _log_type = "classes"

    def __init__(self, class_set: Iterable[Mapping[str, Any]]) -> None:
        if isinstance(class_set, (str, bytes)) or not hasattr(class_set, "__iter__"):
            raise TypeError(f"classes must be a list of {{id, name}}, got {type(class_set).__name__}")
        self._class_set: list[dict[str, Any]] = []
        for entry in class_set:
            if not hasattr(entry, "keys"):
                raise TypeError(f"a class must be a mapping with `id` and `name`, got {type(entry).__name__}")
            if "id" not in entry or "name" not in entry:
                raise ValueError(f"a class must have `id` and `name`, got {dict(entry)!r:.200}")
            self._class_set.append({key: _plain(value) for key, value in entry.items()})

    @property
    def names(self) -> dict[Any, Any]:
        """Name by id."""
        return {entry["id"]: entry["name"] for entry in self._class_set}

    def to_json(self, run_or_artifact: Any = None) -> dict[str, Any]:
        """The artifact's form: `class_set`."""
        del run_or_artifact
        return {"_type": self._log_type, "class_set": self._class_set}

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> Classes:
        """The classes of an artifact's file."""
        del source_artifact
        return cls(json_obj["class_set"])

    def _name_in_artifact(self) -> str:
        """The name under which images add them to their artifact: equal ones are one file."""
        return f"media/classes/{md5(str(self._class_set).encode(), usedforsecurity=False).hexdigest()}_cls"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Classes) and self._class_set == other._class_set

    __hash__ = object.__hash__


def _plain(value: Any) -> Any:
    """`value` without numpy's types."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def checked_labels(labels: Any, what: str) -> dict[Any, str]:
    """Class names by number, keys as they were given.

    Raises:
        TypeError: It is no mapping of numbers to texts.
    """
    if not hasattr(labels, "items"):
        raise TypeError(
            f"{what}: class labels must be a dictionary of numbers to strings, got {type(labels).__name__}"
        )
    checked = {_plain(key): name for key, name in labels.items()}
    for key, name in checked.items():
        if isinstance(key, bool) or not isinstance(key, (int, float)) or not isinstance(name, str):
            raise TypeError(
                f"{what}: class labels must be a dictionary of numbers to strings, got {key!r}: {name!r:.80}"
            )
    return checked
