"""Types of columns from their JSON form (`column_types` of a `table.json`), older names included."""

from __future__ import annotations

from . import _dtypes, _dtypes_media
from ._dtypes import Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Names that older clients wrote.
_OLD_NAMES = {
    "dictionary": "typedDict",
    "object": "pythonObject",
    "wandb.Classes_id": "classesId",
    "wandb.Image": "image-file",
    "wandb.Table": "table",
    "wandb.TableForeignIndex": "foreignIndex",
    "wandb.TableForeignKey": "foreignKey",
    "wandb.TablePrimaryKey": "primaryKey",
}
_SIMPLE: dict[str, Type] = {
    one.name: one
    for one in (
        _dtypes.NONE,
        _dtypes.STRING,
        _dtypes.NUMBER,
        _dtypes.BOOLEAN,
        _dtypes.TIMESTAMP,
        _dtypes.UNKNOWN,
        _dtypes.ANY,
        _dtypes.INVALID,
        _dtypes_media.ARTIFACT,
        _dtypes_media.PRIMARY_KEY,
    )
}
#: Deepest nesting that is read.
_DEPTH = 64


def type_from_json(described: Any, artifact: Any = None, depth: int = 0) -> Type:
    """The type that `described` says.

    Args:
        described: `{"wb_type": …, "params": {…}}`.
        artifact: Where tables and classes that the type refers to are read from.
        depth: How deep it lies already.

    Raises:
        TypeError: It is no type, or one that is not known.
    """
    name = described.get("wb_type") if isinstance(described, dict) else None
    if not isinstance(name, str):
        raise TypeError(f"a column type must be a dict with `wb_type`, got {described!r:.80}")
    if depth > _DEPTH:
        raise TypeError(f"column types are nested deeper than {_DEPTH} levels")
    name = _OLD_NAMES.get(name, name)
    if name in _SIMPLE:
        return _SIMPLE[name]
    if _dtypes_media.is_plain(name):
        return Type(name)
    make = _MAKERS.get(name)
    params = described.get("params", {})
    if make is None or not isinstance(params, dict):
        raise TypeError(f"there is no column type `{name}`")
    try:
        return make(params, artifact, lambda one: type_from_json(one, artifact, depth + 1))
    except (KeyError, AttributeError, ValueError) as error:
        raise TypeError(f"the parameters of column type `{name}` cannot be read: {error}") from error


def _union(params: dict[str, Any], _artifact: Any, read: Callable[[Any], Type]) -> Type:
    return _dtypes.Union([read(one) for one in params["allowed_types"]])


def _list(params: dict[str, Any], _artifact: Any, read: Callable[[Any], Type]) -> Type:
    element = params.get("element_type")
    return _dtypes.List(_dtypes.UNKNOWN if element is None else read(element), params.get("length"))


def _dict(params: dict[str, Any], _artifact: Any, read: Callable[[Any], Type]) -> Type:
    return _dtypes.TypedDict({key: read(one) for key, one in params.get("type_map", {}).items()})


def _array(params: dict[str, Any], _artifact: Any, _read: Any) -> Type:
    return _dtypes.NDArray(params["shape"], params.get("serialization_path"))


def _const_value(described: Any) -> Any:
    params = described.get("params", described)
    value = params.get("val")
    return set(value) if params.get("is_set") else value


def _const(params: dict[str, Any], _artifact: Any, _read: Any) -> Type:
    return _dtypes.Const(_const_value(params))


def _object(params: dict[str, Any], _artifact: Any, _read: Any) -> Type:
    return _dtypes.PythonObject(params["class_name"])


def _image(params: dict[str, Any], _artifact: Any, _read: Any) -> Type:
    facts = {name: _const_value(one) for name, one in params.items()}
    # JSON has no sets: the classes of a layer are a list.
    for name in ("box_layers", "mask_layers"):
        facts[name] = {layer: set(ids) for layer, ids in (facts.get(name) or {}).items()}
    return _dtypes_media.ImageType(facts)


def _classes(params: dict[str, Any], artifact: Any, read: Callable[[Any], Type]) -> Type:
    from .base import WBValue

    described = params["classes_obj"]
    if "path" in described:
        classes = artifact.get(described["path"])
    else:
        classes = WBValue.init_from_json(described, artifact)
    return _dtypes_media.ClassesId(classes, read(params["valid_ids"]))


def _table(params: dict[str, Any], _artifact: Any, read: Callable[[Any], Type]) -> Type:
    columns = params.get("column_types")
    return _dtypes.TableType(_dtypes.UNKNOWN if columns is None else read(columns))


def _foreign_key(params: dict[str, Any], artifact: Any, _read: Any) -> Type:
    return _dtypes_media.ForeignKey(_referred(params["table"], artifact), params["col_name"])


def _foreign_index(params: dict[str, Any], artifact: Any, _read: Any) -> Type:
    return _dtypes_media.ForeignIndex(_referred(params["table"], artifact))


def _referred(path: Any, artifact: Any) -> Any:
    """The table that keys refer to; None where it is not there any more, as a key's text is of use without it."""
    return artifact.get(path) if artifact is not None and isinstance(path, str) else None


_MAKERS: dict[str, Callable[[dict[str, Any], Any, Callable[[Any], Type]], Type]] = {
    "classesId": _classes,
    "const": _const,
    "foreignIndex": _foreign_index,
    "foreignKey": _foreign_key,
    "image-file": _image,
    "list": _list,
    "ndarray": _array,
    "pythonObject": _object,
    "table": _table,
    "typedDict": _dict,
    "union": _union,
}
