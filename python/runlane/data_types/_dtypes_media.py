"""Types of columns of media objects, of keys between tables, and of other objects of this package."""

from __future__ import annotations

from ._dtypes import INVALID, Const, PythonObject, Type, Union, const_params, single

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: `_log_type`s that are types of columns without parameters; other media are objects of their class.
_PLAIN = frozenset(
    (
        *("audio-file", "video-file", "html-file", "object3D-file", "bokeh-file", "wb_trace_tree"),
        *("joined-table", "partitioned-table"),
    )
)

ARTIFACT = single(Type("artifactVersion"))


class _PrimaryKey(Type):
    """Texts that rows are known by."""

    def assign(self, value: Any) -> Type:
        return self if isinstance(value, str) else INVALID

    def assign_type(self, other: Type) -> Type:
        return self if other.name in ("string", "primaryKey") else INVALID


PRIMARY_KEY = single(_PrimaryKey("primaryKey"))

#: What an image column tells of its images; sets are of class numbers, texts of the numbers are keys of maps.
_IMAGE_FACTS: dict[str, Any] = {
    "box_layers": {},
    "box_score_keys": set(),
    "mask_layers": {},
    "box_class_maps": {},
    "mask_class_maps": {},
    "class_map": {},
}


class ImageType(Type):
    """Images: which layers of boxes and masks they have, and the names of the classes."""

    def __init__(self, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__("image-file")
        given = facts or {}
        self.facts: dict[str, Any] = {name: given.get(name) or empty for name, empty in _IMAGE_FACTS.items()}

    def assign_type(self, other: Type) -> Type:
        if not isinstance(other, ImageType):
            return INVALID
        merged = {name: _merged(mine, other.facts[name]) for name, mine in self.facts.items()}
        return self if merged == self.facts else ImageType(merged)

    def params(self, artifact: Any = None) -> dict[str, Any]:
        del artifact
        return {name: {"wb_type": "const", "params": const_params(one)} for name, one in self.facts.items()}

    def __repr__(self) -> str:
        return f"Image-file({', '.join(f'{name}:{one}' for name, one in self.facts.items())})"


def _merged(mine: Any, other: Any) -> Any:
    """Layers, classes and names of both; what both name is named as in `mine`."""
    if isinstance(mine, set):
        return mine | other
    if isinstance(mine, dict) and isinstance(other, dict):
        return {
            **other,
            **{key: _merged(one, other[key]) if key in other else one for key, one in mine.items()},
        }
    return mine


class ClassesId(Type):
    """Numbers of the classes of a `Classes` object."""

    def __init__(self, classes: Any, valid: Type | None = None) -> None:
        super().__init__("classesId")
        self.classes = classes
        self.valid = Union([Const(one["id"]) for one in classes._class_set]) if valid is None else valid

    def assign(self, value: Any) -> Type:
        return INVALID if self.valid.assign(value) is INVALID else self

    def assign_type(self, other: Type) -> Type:
        return self if isinstance(other, ClassesId) and other.valid == self.valid else INVALID

    def params(self, artifact: Any = None) -> dict[str, Any]:
        described = self.classes.to_json(artifact)
        if artifact is not None:
            entry = artifact.add(self.classes, "media/cls")
            described = {"type": "classes-file", "path": entry.path, "digest": entry.digest}
        return {"valid_ids": self.valid.to_json(artifact), "classes_obj": described}

    def __repr__(self) -> str:
        return f"Classesid(valid_ids:{self.valid!r})"


class ForeignKey(Type):
    """Keys of another table: values of its column `column`."""

    def __init__(self, table: Any, column: str | int | None) -> None:
        super().__init__("foreignKey")
        self.table = table
        self.column = column

    def assign(self, value: Any) -> Type:
        if isinstance(value, str):
            other = getattr(value, "_table", None)
            return self if other is None or other is self.table else INVALID
        return super().assign(value)

    def assign_type(self, other: Type) -> Type:
        if isinstance(other, ForeignKey):
            return self if other.table is self.table and other.column == self.column else INVALID
        return self if other.name == "string" else INVALID

    def params(self, artifact: Any = None) -> dict[str, Any]:
        return {"table": _table_path(self.table, artifact), "col_name": self.column}

    def __repr__(self) -> str:
        return f"Foreignkey(table:{self.table!r}, col_name:{self.column})"


class ForeignIndex(Type):
    """Numbers of rows of another table."""

    def __init__(self, table: Any) -> None:
        super().__init__("foreignIndex")
        self.table = table

    def assign(self, value: Any) -> Type:
        if isinstance(value, int) and not isinstance(value, bool):
            other = getattr(value, "_table", None)
            known = self.table is None or 0 <= value < len(self.table.data)
            return self if known and (other is None or other is self.table) else INVALID
        return super().assign(value)

    def assign_type(self, other: Type) -> Type:
        if isinstance(other, ForeignIndex):
            return self if other.table is self.table else INVALID
        return self if other.name == "number" else INVALID

    def params(self, artifact: Any = None) -> dict[str, Any]:
        return {"table": _table_path(self.table, artifact)}

    def __repr__(self) -> str:
        return f"Foreignindex(table:{self.table!r})"


def _table_path(table: Any, artifact: Any) -> Any:
    """The entry of `artifact` that is a table that keys refer to; without an artifact the table's identity."""
    if table is None:
        return None
    if artifact is None:
        return f"table {id(table):x}"
    return table._entry_for_keys(artifact)


def type_of_media(value: Any) -> Type:
    """The type of a cell that is a media object."""
    kind = type(value)._log_type
    if kind == "image-file":
        facts = getattr(value, "_layer_facts", None)
        return ImageType(facts() if facts is not None else None)
    if kind == "classes":
        return ClassesId(value)
    return Type(kind) if kind in _PLAIN else PythonObject(type(value).__name__)


def type_of_class(kind: type) -> Type:
    """The type of a column for objects of a class of this package."""
    log_type = getattr(kind, "_log_type", None)
    if log_type == "image-file":
        return ImageType()
    return Type(log_type) if log_type in _PLAIN else PythonObject(kind.__name__)


def is_plain(name: str) -> bool:
    """Whether `name` is a type of media without parameters."""
    return name in _PLAIN
