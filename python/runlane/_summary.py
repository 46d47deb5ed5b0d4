"""`Summary`: the outcome of a run, one value per key. Reading asks the run; writing overrides what history gave."""

from __future__ import annotations

from _collections_abc import MutableMapping

from ._convert import friendly
from ._json_text import encode

_PLAIN = (bool, int, float, str, type(None))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Path = tuple[str, ...]
    Publish = Callable[[list[tuple[Path, str]], list[Path]], None]
    Read = Callable[[], dict[str, Any]]
    Store = Callable[[Path, Any], Any]


def checked_key(key: Any) -> str:
    """A summary key.

    Raises:
        TypeError: The key is no string.
    """
    if not isinstance(key, str):
        raise TypeError(f"summary keys must be strings, got {type(key).__name__}: {key!r:.80}")
    return key


class SummarySubDict(MutableMapping):  # type: ignore[type-arg]
    """One object of the summary; the whole summary is the one with an empty path."""

    def __init__(self, root: Summary, path: Path) -> None:
        self.__dict__["_root"] = root
        self.__dict__["_path"] = path

    def _as_dict(self) -> dict[str, Any]:
        """The present values. Waits for the daemon."""
        node: Any = self._root._fetch()
        for key in self._path:
            node = node.get(key) if isinstance(node, dict) else None
        return node if isinstance(node, dict) else {}

    def _value(self, key: str, value: Any) -> Any:
        return (
            SummarySubDict(self._root, (*self._path, key))
            if isinstance(value, dict) and "_type" not in value
            else value
        )

    def __getitem__(self, key: str) -> Any:
        return self._value(key, self._as_dict()[key])

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        if key not in self._as_dict():
            raise KeyError(key)
        self._root._send([], [(*self._path, key)])

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {key!r}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __delattr__(self, key: str) -> None:
        try:
            del self[key]
        except KeyError:
            raise AttributeError(key) from None

    def __iter__(self) -> Iterator[str]:
        return iter([key for key in self._as_dict() if self._path or key != "_wandb"])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, key: object) -> bool:
        return key in self._as_dict()

    def __repr__(self) -> str:
        return repr({key: value for key, value in self._as_dict().items() if self._path or key != "_wandb"})

    # The mixins of a mapping would ask the daemon once per key.

    def keys(self) -> Any:
        """The present keys. Waits for the daemon."""
        return list(self)

    def items(self) -> Any:
        """Keys and present values. Waits for the daemon."""
        return [
            (key, self._value(key, value))
            for key, value in self._as_dict().items()
            if self._path or key != "_wandb"
        ]

    def values(self) -> Any:
        """The present values. Waits for the daemon."""
        return [value for _, value in self.items()]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        values = self._as_dict()
        return self._value(key, values[key]) if key in values else default

    def update(self, d: Mapping[str, Any] | None = None, /, **values: Any) -> None:  # type: ignore[override]
        """Set several keys.

        Raises:
            TypeError: A key is no string, or a value cannot be stored; nothing was set.
        """
        changes = []
        for key, value in {**dict(d or {}), **values}.items():
            path = (*self._path, checked_key(key))
            changes.append((path, encode(friendly(key, self._root._stored(path, value), histograms=True))))
        if changes:
            self._root._send(changes, [])


class Summary(SummarySubDict):
    """The summary of a run: a dict with attribute access, nested objects included."""

    def __init__(self, read: Read, publish: Publish, store: Store | None = None) -> None:
        super().__init__(self, ())
        self.__dict__["_read"] = read
        self.__dict__["_publish"] = publish
        # What stores values that are more than plain ones.
        self.__dict__["_store"] = store

    def _fetch(self) -> dict[str, Any]:
        values: dict[str, Any] = self.__dict__["_read"]()
        return values

    def _stored(self, path: Path, value: Any) -> Any:
        """`value` with tables and their like stored, as a description of their files."""
        store = self.__dict__["_store"]
        return value if store is None or type(value) in _PLAIN else store(path, value)

    def _send(self, changes: list[tuple[Path, str]], removed: list[Path]) -> None:
        self.__dict__["_publish"](changes, removed)
