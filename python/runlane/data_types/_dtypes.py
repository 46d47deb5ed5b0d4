"""Types of table columns, as `table.json` files name them (`wb_type`).

A column begins with a type that takes anything and becomes what its first cell is; every further cell is *assigned*: the type stays,
becomes wider, or refuses the cell. Floats that are NaN count as none, subclasses of builtin types as objects of their class. A list's
elements have one type, `invalid` if they have none in common; after that no list fits.
"""

from __future__ import annotations

import sys
from datetime import date, datetime
from operator import ne

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

#: Classes of builtin values, and the types of columns of them.
_BUILTIN = {int: "number", float: "number", str: "string", bool: "boolean", type(None): "none"}
_LISTS = (list, tuple, set, frozenset)
_CONTAINERS = (*_LISTS, dict)


class Type:
    """A type without parameters, known by its name alone. Types are values: none changes once it is made."""

    def __init__(self, name: str) -> None:
        self.name = name

    def assign(self, value: Any) -> Type:
        """The type of a column of this type once it holds `value` as well; `INVALID` if it cannot."""
        if type(value) in _CONTAINERS:
            # Types of these have their own rules, and looking at all parts takes long.
            return INVALID
        return self.assign_type(type_of(value))

    def assign_type(self, other: Type) -> Type:
        """The type that takes values of both; `INVALID` if there is none."""
        return self if other == self else INVALID

    def params(self, artifact: Any = None) -> dict[str, Any]:
        """The parameters of the type as JSON values; objects that they refer to are in `artifact` after that."""
        del artifact
        return {}

    def to_json(self, artifact: Any = None) -> dict[str, Any]:
        """The type as `column_types` of a `table.json` writes it."""
        params = self.params(artifact)
        return {"wb_type": self.name, "params": params} if params else {"wb_type": self.name}

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Type) and self.to_json() == other.to_json())

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return self.name.capitalize()

    def __deepcopy__(self, memo: Any) -> Type:
        return self

    def __reduce__(self) -> Any:
        # There is one of each type without parameters, wherever it came from.
        return (_single, (self.name,)) if _SINGLE.get(self.name) is self else super().__reduce__()


#: Types without parameters that are told apart by identity.
_SINGLE: dict[str, Type] = {}


def _single(name: str) -> Type:
    return _SINGLE[name]


def single(one: Type) -> Type:
    """`one`, of which there is no other, also in another process."""
    return _SINGLE.setdefault(one.name, one)


class _Unknown(Type):
    def assign(self, value: Any) -> Type:
        return self.assign_type(type_of(value))

    def assign_type(self, other: Type) -> Type:
        return INVALID if other in (NONE, INVALID) else other


class _Any(Type):
    def assign(self, value: Any) -> Type:
        return INVALID if value is None or (type(value) is float and value != value) else self

    def assign_type(self, other: Type) -> Type:
        return INVALID if other in (NONE, INVALID) else self


class _Invalid(Type):
    def assign_type(self, other: Type) -> Type:
        del other
        return self


NONE = single(Type("none"))
STRING = single(Type("string"))
NUMBER = single(Type("number"))
BOOLEAN = single(Type("boolean"))
TIMESTAMP = single(Type("timestamp"))
UNKNOWN = single(_Unknown("unknown"))
ANY = single(_Any("any"))
INVALID = single(_Invalid("invalid"))
_SIMPLE = {one.name: one for one in (NONE, STRING, NUMBER, BOOLEAN, TIMESTAMP)}


class Union(Type):
    """One of several types."""

    def __init__(self, allowed: Iterable[Type]) -> None:
        super().__init__("union")
        flat: list[Type] = []
        for one in allowed:
            flat.extend(one.allowed if isinstance(one, Union) else [one])
        # The text decides the order, as in the files of other clients.
        self.allowed: list[Type] = sorted(dict.fromkeys(flat), key=repr)

    def assign(self, value: Any) -> Type:
        return self._first(lambda one: one.assign(value))

    def assign_type(self, other: Type) -> Type:
        if isinstance(other, Union):
            result: Type = self
            for one in other.allowed:
                result = result if one is UNKNOWN else result.assign_type(one)
            return result
        return self._first(lambda one: one.assign_type(other))

    def _first(self, assigned: Callable[[Type], Type]) -> Type:
        for index, one in enumerate(self.allowed):
            found = assigned(one)
            if found is one:
                return self
            if found is not INVALID:
                return Union([*self.allowed[:index], found, *self.allowed[index + 1 :]])
        return INVALID

    def params(self, artifact: Any = None) -> dict[str, Any]:
        return {"allowed_types": [one.to_json(artifact) for one in self.allowed]}

    def __repr__(self) -> str:
        return " or ".join(map(repr, self.allowed))


def optional(one: Type) -> Type:
    """`one`, or none."""
    return one if one is NONE else Union([NONE, one])


class List(Type):
    """A list, tuple or set; arrays fit, too."""

    def __init__(self, element: Type = UNKNOWN, length: int | None = None) -> None:
        super().__init__("list")
        self.element = element
        self.length = length

    def assign(self, value: Any) -> Type:
        if type(value) in _LISTS or (_is_array(value) and value.ndim > 0):
            items = list(value)
            element = self.element
            if not takes_all(element, items):
                for item in items:
                    element = element.assign(item)
                    if element is INVALID:
                        return INVALID
            return (
                self if element is self.element and len(items) == self.length else List(element, len(items))
            )
        return INVALID

    def assign_type(self, other: Type) -> Type:
        if not isinstance(other, List):
            return INVALID
        if other.element is UNKNOWN:
            return List(self.element, other.length)
        element = self.element.assign_type(other.element)
        return INVALID if element is INVALID else List(element, other.length)

    def params(self, artifact: Any = None) -> dict[str, Any]:
        return {"element_type": self.element.to_json(artifact), "length": self.length}

    def __repr__(self) -> str:
        return f"{self.element!r}[]"


class TypedDict(Type):
    """A dict with a type for each key; all of them are there, unless their type is optional."""

    def __init__(self, types: dict[Any, Type]) -> None:
        super().__init__("typedDict")
        self.types = types

    def assign(self, value: Any) -> Type:
        return self._merged(value, lambda one, item: one.assign(item)) if type(value) is dict else INVALID

    def assign_type(self, other: Type) -> Type:
        if not isinstance(other, TypedDict):
            return INVALID
        return self._merged(other.types, lambda one, item: one.assign_type(item))

    def _merged(self, given: dict[Any, Any], merge: Callable[[Type, Any], Type]) -> Type:
        if any(key not in self.types for key in given):
            return INVALID
        types = {
            key: merge(one, given[key]) if key in given else one.assign(None)
            for key, one in self.types.items()
        }
        return INVALID if any(one is INVALID for one in types.values()) else TypedDict(types)

    def params(self, artifact: Any = None) -> dict[str, Any]:
        return {"type_map": {key: one.to_json(artifact) for key, one in self.types.items()}}

    def __repr__(self) -> str:
        return repr(self.types)


class NDArray(Type):
    """A numpy array of a fixed shape; nested lists of that shape fit, too.

    `stored` says where the arrays of all rows are, as one array: `path` of a `.npz` file of the artifact and its `key` there.
    """

    def __init__(self, shape: Iterable[int], stored: dict[str, str] | None = None) -> None:
        super().__init__("ndarray")
        self.shape = list(shape)
        self.stored = stored

    def assign(self, value: Any) -> Type:
        if type(value) in _LISTS:
            return self if _shape(value) == self.shape else INVALID
        return super().assign(value)

    def assign_type(self, other: Type) -> Type:
        return self if isinstance(other, NDArray) and other.shape == self.shape else INVALID

    def params(self, artifact: Any = None) -> dict[str, Any]:
        del artifact
        return {"shape": self.shape, "serialization_path": self.stored}

    def __repr__(self) -> str:
        return f"Ndarray(shape:{self.shape})"


class PythonObject(Type):
    """Any other object, known by the name of its class."""

    def __init__(self, class_name: str) -> None:
        super().__init__("pythonObject")
        self.class_name = class_name

    def params(self, artifact: Any = None) -> dict[str, Any]:
        del artifact
        return {"class_name": self.class_name}

    def __repr__(self) -> str:
        return f"Pythonobject(class_name:{self.class_name})"


class TableType(Type):
    """A table as a cell of another one."""

    def __init__(self, columns: Type = UNKNOWN) -> None:
        super().__init__("table")
        self.columns = columns

    def assign_type(self, other: Type) -> Type:
        if not isinstance(other, TableType):
            return INVALID
        if self.columns is UNKNOWN or self.columns == other.columns:
            return other
        return INVALID

    def params(self, artifact: Any = None) -> dict[str, Any]:
        return {"column_types": self.columns.to_json(artifact)}

    def __repr__(self) -> str:
        return f"Table(column_types:{self.columns!r})"


class Const(Type):
    """One value; `is_set` where the value is a set, which JSON writes as a list."""

    def __init__(self, value: Any) -> None:
        super().__init__("const")
        self.is_set = isinstance(value, (set, frozenset))
        self.value = value

    def assign(self, value: Any) -> Type:
        if _is_array(value):
            return INVALID
        return self if bool(value == self.value) else INVALID

    def params(self, artifact: Any = None) -> dict[str, Any]:
        del artifact
        return const_params(self.value)

    def __repr__(self) -> str:
        return str(self.value)


def const_params(value: Any) -> dict[str, Any]:
    """The parameters of a const; sets within its value are lists, too."""
    return {"val": _without_sets(value), "is_set": isinstance(value, (set, frozenset))}


def _without_sets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sets(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        # In an order that does not change from run to run.
        return sorted(value, key=lambda item: (str(type(item)), item))
    return value


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _shape(value: Any) -> list[int] | None:
    """The shape of nested lists, None if they have none."""
    if type(value) not in _LISTS:
        return []
    shapes = [_shape(item) for item in value]
    if not shapes:
        return [0]
    return None if shapes[0] is None or any(one != shapes[0] for one in shapes) else [len(shapes), *shapes[0]]


def type_of(value: Any) -> Type:
    """The type of one cell."""
    if type(value) is float and value != value:
        return NONE
    name = _BUILTIN.get(type(value))
    if name is not None:
        return _SIMPLE[name]
    if type(value) in _LISTS:
        return _list_type(value)
    if type(value) is dict:
        return TypedDict({key: type_of(item) for key, item in value.items()})
    cell_type = getattr(type(value), "_cell_type", None)
    if cell_type is not None:
        made: Type = cell_type(value)
        return made
    if getattr(type(value), "_runlane_value", False):
        from ._dtypes_media import type_of_media

        return type_of_media(value)
    return _foreign_type(value)


def _list_type(value: Any) -> Type:
    items = list(value)
    element: Type = optional(UNKNOWN) if any(item is None for item in items) else UNKNOWN
    for item in items:
        element = element.assign(item)
        if element is INVALID:
            break
    return List(element, len(items))


def _foreign_type(value: Any) -> Type:
    """The type of an object of numpy or the standard library, or of any other class."""
    kind = type(value)
    if kind is datetime or kind is date:
        return TIMESTAMP
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        # Subclasses, such as masked arrays, are more than their numbers.
        if kind is numpy.ndarray:
            return NDArray(value.shape)
        if isinstance(value, numpy.bool_):
            return BOOLEAN
        if isinstance(value, numpy.datetime64):
            return TIMESTAMP
        if isinstance(value, numpy.number) and not isinstance(value, numpy.timedelta64):
            return NUMBER
    return PythonObject(kind.__name__)


def type_named(dtype: Any) -> Type:
    """The type that a user means: a type of Python or numpy, a class of this package, or `[type]` and `{key: type}` of them.

    Raises:
        TypeError: No column can have it.
    """
    if isinstance(dtype, Type):
        return dtype
    if dtype is None:
        return UNKNOWN
    if isinstance(dtype, list) and dtype:
        return List(type_named(dtype[0])) if len(dtype) == 1 else Union(map(type_named, dtype))
    if isinstance(dtype, dict):
        return TypedDict({key: type_named(one) for key, one in dtype.items()})
    if isinstance(dtype, type):
        if dtype in _BUILTIN:
            return _SIMPLE[_BUILTIN[dtype]]
        if dtype in _LISTS:
            return List()
        if dtype is dict:
            return TypedDict({})
        named = getattr(dtype, "_named_cell_type", None)
        if named is not None:
            made: Type = named()
            return made
        if getattr(dtype, "_runlane_value", False):
            from ._dtypes_media import type_of_class

            return type_of_class(dtype)
        return _foreign_type_named(dtype)
    raise TypeError(
        f"`dtype` must be a type such as int, str or bool, or a list of one for each column, got {dtype!r:.80}"
    )


def _foreign_type_named(dtype: type) -> Type:
    if dtype is datetime or dtype is date:
        return TIMESTAMP
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if issubclass(dtype, numpy.ndarray):
            raise TypeError(
                "`dtype` cannot be numpy.ndarray: a column's arrays have the shape of its first one"
            )
        if issubclass(dtype, numpy.bool_):
            return BOOLEAN
        if issubclass(dtype, numpy.datetime64):
            return TIMESTAMP
        if issubclass(dtype, numpy.number) and not issubclass(dtype, numpy.timedelta64):
            return NUMBER
    return PythonObject(dtype.__name__)


def takes_all(one: Type, values: list[Any]) -> bool:
    """Whether a column of type `one` takes all values as it is; a quick look that may say no where a slow one says yes."""
    kinds = plain_kinds(one)
    found = {*map(type, values)}
    if found <= kinds:
        return True
    # Without none there must be no NaN among the floats.
    return one is NUMBER and found <= kinds | {float} and not any(map(ne, values, values))


def plain_kinds(one: Type) -> frozenset[type]:
    """Exact types whose values a column of type `one` takes without a second look. A float may be NaN, which is none."""
    allowed = one.allowed if isinstance(one, Union) else [one]
    kinds: set[type] = set()
    numpy = sys.modules.get("numpy")
    has_none = NONE in allowed
    for part in allowed:
        if part is NUMBER:
            kinds |= {int, float} if has_none else {int}
            if numpy is not None:
                kinds |= {numpy.int64, numpy.int32, numpy.uint8, numpy.float64, numpy.float32}
        elif part is STRING:
            kinds.add(str)
        elif part is BOOLEAN:
            kinds.add(bool)
        elif part is TIMESTAMP:
            kinds |= {datetime, date} if numpy is None else {datetime, date, numpy.datetime64}
        elif part is NONE:
            kinds.add(type(None))
        elif part is ANY:
            kinds |= {int, str, bool, list, tuple, dict} | ({float} if has_none else set())
    return frozenset(kinds)


def array_part(one: Type) -> NDArray | None:
    """The array type that `one` is, or allows."""
    allowed = one.allowed if isinstance(one, Union) else [one]
    return next((part for part in allowed if isinstance(part, NDArray)), None)


def with_arrays_at(one: Type, stored: dict[str, str] | None) -> Type:
    """`one` with its arrays stored elsewhere (`NDArray.stored`)."""
    if isinstance(one, NDArray):
        return NDArray(one.shape, stored)
    if isinstance(one, Union):
        return Union(
            [with_arrays_at(part, stored) if isinstance(part, NDArray) else part for part in one.allowed]
        )
    return one
