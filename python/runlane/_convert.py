"""Conversion of Python objects into values that a row, the summary or the config can hold.

`_core` encodes scalars, strings, lists, dicts and small arrays itself; everything else arrives here, once per value:

| given | stored |
|---|---|
| datetime, date, time | ISO text |
| Enum | its name |
| set, frozenset, range, deque, generators of dict views | list |
| bytes, bytearray | UTF-8 text, undecodable bytes replaced |
| Decimal, Fraction, long double | number |
| complex, UUID, Path | text |
| dataclass, pydantic model, named tuple, mapping | dict |
| array or tensor: one element / at most 32 / more | scalar / nested list / histogram |
| media, table, histogram, chart, DataFrame, figure; a list of such | what `_run_media` makes of it: files of the run, and a description |
| function, class | qualified name |
| any other object | `<TypeName>`, with one warning per key; `TypeError` with `strict` |
"""

from __future__ import annotations

import sys

from ._limits import ARRAY_VALUES, HISTOGRAM_BINS, MAX_DEPTH, VALUE_PARTS
from .terminal import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PLAIN = (bool, int, float, str, type(None))


#: Classes of other packages whose objects are stored as media.
_FOREIGN_MEDIA = (
    ("pandas", "DataFrame"),
    ("matplotlib.artist", "Artist"),
    ("plotly.basedatatypes", "BaseFigure"),
    ("bokeh.model", "Model"),
)


class UnconvertibleError(Exception):
    """No rule of the table fits the object."""


class NestingError(ValueError):
    """A value is nested too deeply, or contains itself."""


class StrictError(TypeError):
    """In strict mode: no rule of the table fits the object."""


#: What a conversion passes on to its caller; anything else that the user's objects raise makes a placeholder.
_PASSED_ON = (NestingError, StrictError)


def histogram(array: Any) -> dict[str, Any]:
    """The histogram object of a numpy array: 64 bins over its finite values."""
    import numpy as np

    flat = np.asarray(array).ravel()
    if flat.dtype.kind not in "fiub":
        raise UnconvertibleError
    flat = flat.astype(np.float64, copy=False)
    finite = flat[np.isfinite(flat)]
    counts, edges = np.histogram(finite, bins=HISTOGRAM_BINS) if finite.size else ([0], [0.0, 1.0])
    return {"_type": "histogram", "values": [int(n) for n in counts], "bins": [float(edge) for edge in edges]}


def _array(value: Any, histograms: bool) -> Any:
    """A numpy array, already on the host, as scalar, list or histogram."""
    if histograms and value.size > ARRAY_VALUES:
        return histogram(value)
    if value.dtype.kind in "mM":
        value = value.astype(str)
    return value.item() if value.size == 1 else value.tolist()


def _as_numpy(value: Any) -> Any:
    """A numpy array of what behaves like an array or tensor, or None."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        filled = getattr(value, "filled", None)
        return (
            value.astype(float).filled(numpy.nan)
            if filled is not None and value.dtype.kind in "fiub"
            else value
        )
    module = type(value).__module__.partition(".")[0]
    if module == "torch" and hasattr(value, "detach"):
        tensor = value.detach().cpu()
        return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    if hasattr(value, "__array__") and not isinstance(value, type) and module not in ("pandas", "PIL"):
        import numpy as np

        return np.asarray(value)
    return None


def _text_like(value: Any) -> Any:
    module = type(value).__module__
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, complex):
        return str(value)
    if module in ("datetime", "_pydatetime") and hasattr(value, "isoformat"):
        return value.isoformat()
    if module == "datetime":
        return value.total_seconds()
    if module in ("decimal", "fractions", "_pydecimal"):
        return float(value)
    if module == "uuid" or module.partition(".")[0] == "pathlib" or hasattr(value, "__fspath__"):
        return str(value)
    if module.partition(".")[0] == "pandas" and hasattr(value, "isoformat"):
        return value.isoformat()
    raise UnconvertibleError


def _structure(value: Any, recurse: Callable[[Any], Any], histograms: bool) -> Any:
    """Objects made of other values, and code."""
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    enum = sys.modules.get("enum")
    if enum is not None and isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, (set, frozenset)):
        return [recurse(item) for item in sorted(value, key=lambda item: (type(item).__name__, repr(item)))]
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: recurse(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "model_dump") and hasattr(type(value), "model_fields"):
        return recurse(value.model_dump())
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return recurse(dict(value._asdict()))
    if isinstance(value, (range, list, tuple)) or type(value).__name__ in (
        "deque",
        "dict_keys",
        "dict_values",
    ):
        return [recurse(item) for item in value]
    if (
        type(value).__module__.partition(".")[0] == "pandas"
        and hasattr(value, "to_numpy")
        and getattr(value, "ndim", 2) == 1
    ):
        return _array(value.to_numpy(), histograms)
    if isinstance(value, dict) or (
        hasattr(value, "keys") and hasattr(value, "__getitem__") and not hasattr(value, "dtypes")
    ):
        return {key: recurse(value[key]) for key in value.keys()}  # noqa: SIM118, RUF100 - not every mapping iterates over keys
    raise UnconvertibleError


def is_media(value: Any) -> bool:
    """Whether the value is stored as more than a plain one: an object of `data_types`, a DataFrame, or a figure. Imports nothing."""
    kind = type(value)
    if hasattr(kind, "_runlane_value"):
        return True
    for module, base in _FOREIGN_MEDIA:
        known = getattr(sys.modules.get(module), base, None)
        if known is not None and isinstance(value, known):
            return True
    return kind.__name__ == "module" and value.__name__ == "matplotlib.pyplot"


def _has_media(value: Any) -> bool:
    return type(value) in (list, tuple) and any(map(is_media, value))


def convert_object(value: Any, recurse: Callable[[Any], Any], *, histograms: bool = True) -> Any:
    """`value` by the rules of the table, parts of it through `recurse`; arrays stay lists without `histograms`.

    Raises:
        UnconvertibleError: No rule fits.
    """
    if is_media(value):
        raise UnconvertibleError
    try:
        return _text_like(value)
    except UnconvertibleError:
        pass
    array = _as_numpy(value)
    if array is not None:
        return _array(array, histograms)
    return _structure(value, recurse, histograms)


class Converter:
    """The slow path of `log`: called by `_core` for a value of no type that it knows."""

    def __init__(
        self, strict: bool, warn: Callable[[str], None], media: Callable[[str, Any, bool], Any] | None = None
    ) -> None:
        self._strict = strict
        self._warn = warn
        self._media = media
        self._warned: set[str] = set()

    def __call__(self, key: str, value: Any) -> Any:
        """`value` as plain values; never raises inside a training loop unless `strict`.

        Raises:
            TypeError: In strict mode, for an object without a rule.
            ValueError: The value is nested too deeply.
        """
        return self._convert(key, value, 0)

    def _convert(self, key: str, value: Any, depth: int) -> Any:
        if isinstance(value, _PLAIN) and type(value) in _PLAIN:
            return value
        if depth > MAX_DEPTH:
            raise NestingError(f"the value of `{key}` is nested deeper than {MAX_DEPTH} levels")

        def recurse(item: Any) -> Any:
            return self._convert(key, item, depth + 1)

        try:
            if self._media is not None and (is_media(value) or _has_media(value)):
                return self._media(key, value, depth > 0)
            return convert_object(value, recurse)
        except _PASSED_ON:
            raise
        except Exception as error:  # noqa: BLE001, RUF100 - __str__, __float__ or __array__ of a user's object may raise anything
            return self.placeholder(key, value, error)

    def placeholder(self, key: str, value: Any, reason: BaseException) -> str:
        """What stands for a value that cannot be logged; says so once for each key.

        Raises:
            StrictError: In strict mode.
        """
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if self._strict:
            raise StrictError(f"the value of `{key}` has type {name}, which cannot be logged") from reason
        if key not in self._warned:
            self._warned.add(key)
            why = f" ({reason})" if is_media(value) and str(reason) else ""
            self._warn(
                f"cannot log the value of `{printable(key)}`: type {name} is stored as a placeholder{why}"
            )
        return f"<{name}>"


def _check_size(key: str, value: Any) -> None:
    """Refuse a value of very many parts: a few lines of YAML with references can stand for billions.

    Raises:
        ValueError: There are too many, or they lie too deep (a cycle included).
    """
    waiting: list[tuple[Any, int]] = [(value, 0)]
    count = 0
    while waiting:
        item, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise NestingError(f"the value of `{key}` is nested deeper than {MAX_DEPTH} levels")
        parts = item.values() if type(item) is dict else item if type(item) in (list, tuple) else ()
        count += len(parts)
        if count > VALUE_PARTS:
            raise ValueError(f"the value of `{key}` is too large: it has more than {VALUE_PARTS} parts")
        waiting.extend((part, depth + 1) for part in parts if type(part) in (dict, list, tuple))


def _key(name: Any) -> str:
    """A key within a value, as wandb writes it: `{0: "cat"}` is `{"0": "cat"}`."""
    if isinstance(name, str):
        return str.__str__(name)
    if isinstance(name, bool):
        return "true" if name else "false"
    if isinstance(name, tuple):
        return ",".join(map(_key, name))
    return str(name)


def _friendly_dict(key: str, value: dict[Any, Any], depth: int, histograms: bool) -> dict[str, Any]:
    return {_key(name): friendly(key, item, depth + 1, histograms=histograms) for name, item in value.items()}


def _as_text(key: str, value: Any) -> str:
    """The text of a foreign object.

    Raises:
        TypeError: It is a bare object, or its text cannot be made.
    """
    if type(value).__module__ == "builtins":
        raise TypeError(f"`{key}`: object of type {type(value).__name__} is not JSON serializable")
    try:
        return str(value)
    except Exception as error:
        raise TypeError(f"`{key}`: object of type {type(value).__name__} has no text form") from error


def _check_holdable(key: str, value: Any) -> None:
    if hasattr(type(value), "_config_value"):
        raise ValueError(
            f"`{key}`: an artifact must be a value of its own in a config, not a part of another"
        )
    if hasattr(type(value), "_runlane_value"):
        raise TypeError(f"`{key}`: {type(value).__name__} is logged with `run.log`; a config cannot hold it")


def friendly(key: str, value: Any, depth: int = 0, *, histograms: bool = False) -> Any:
    """`value` as config or summary keep it: plain values; foreign objects as their text, as wandb does.

    With `histograms` a large array becomes a histogram, as in a row; otherwise it stays a list.

    Raises:
        TypeError: A media object, or an object whose text cannot be made.
        ValueError: Nesting deeper than the limit, too many parts, or an artifact.
    """
    if type(value) in _PLAIN:
        return value
    if depth == 0:
        _check_size(key, value)
    if depth > MAX_DEPTH:
        raise NestingError(f"the value of `{key}` is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return _friendly_dict(key, value, depth, histograms)
    if type(value) in (list, tuple):
        return [friendly(key, item, depth + 1, histograms=histograms) for item in value]
    if isinstance(value, str) and not _is_enum(value):
        return str.__str__(value)
    _check_holdable(key, value)
    try:
        return convert_object(
            value, lambda item: friendly(key, item, depth + 1, histograms=histograms), histograms=histograms
        )
    except (TypeError, NestingError):
        raise
    except UnconvertibleError:
        pass
    except Exception as error:  # noqa: BLE001, RUF100 - methods of a user's object may raise anything
        raise TypeError(
            f"`{key}`: object of type {type(value).__name__} cannot be stored: {error}"
        ) from error
    scalar = getattr(value, "item", None)
    if callable(scalar) and getattr(value, "ndim", None) == 0:
        return friendly(key, scalar(), depth + 1)
    return _as_text(key, value)


def _is_enum(value: Any) -> bool:
    enum = sys.modules.get("enum")
    return enum is not None and isinstance(value, enum.Enum)
