"""`Config`: the inputs of a run. A dict with attribute access whose values cannot be changed by accident."""

from __future__ import annotations

from _collections_abc import Mapping

from . import terminal
from ._config_sources import as_mapping
from ._convert import friendly
from ._json_text import encode
from ._limits import VALUE_BYTES
from .errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Publish = Callable[[list[tuple[str, str]]], None]


def normalized_key(key: Any) -> str:
    """A key without leading and trailing dashes.

    Raises:
        TypeError: The key is no string.
    """
    if not isinstance(key, str):
        raise TypeError(f"config keys must be strings, got {type(key).__name__}: {key!r:.80}")
    return key.strip("-")


class Config(Mapping):  # type: ignore[type-arg]
    """Config values by key, attribute or `get`.

    Setting a key to a new value sends it to the run. Changing a value raises `ConfigError` unless changes are allowed; a
    refused update leaves everything as it was. Keys that begin with `_` are hidden from `keys()`.
    """

    # The instance entry `_items` is read by other libraries (`vars(config)["_items"]`).
    _items: dict[str, Any]
    _locked: dict[str, str]
    _publish: Publish | None
    _allow_change: bool

    def __init__(self, publish: Publish | None = None, allow_val_change: bool = False) -> None:
        own = self.__dict__
        own["_items"] = {}
        own["_locked"] = {}
        own["_publish"] = publish
        own["_allow_change"] = allow_val_change
        own["_use"] = None
        own["_inputs"] = []

    def __repr__(self) -> str:
        return str(self.as_dict())

    def keys(self) -> Any:
        """The visible keys."""
        return [key for key in self._items if not key.startswith("_")]

    def items(self) -> Any:
        """Visible keys and their values."""
        return [(key, value) for key, value in self._items.items() if not key.startswith("_")]

    def values(self) -> Any:
        """Values of the visible keys."""
        return [value for key, value in self._items.items() if not key.startswith("_")]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return self._items.get(key, default)

    def __getattr__(self, key: str) -> Any:
        try:
            return self.__dict__["_items"][key]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {key!r}") from None

    def __setitem__(self, key: str, value: Any) -> None:
        self._change({key: value}, allow_val_change=None)

    __setattr__ = __setitem__

    def __delitem__(self, key: str) -> None:
        raise ConfigError(f"config key `{key}` cannot be deleted")

    __delattr__ = __delitem__

    def as_dict(self) -> dict[str, Any]:
        """A copy of all values, hidden ones included where there are any."""
        return dict(self._items)

    def update(self, d: Any, allow_val_change: bool | None = None) -> None:
        """Set several keys.

        Args:
            d: A mapping, argparse or absl namespace, or the path of a YAML file.
            allow_val_change: Whether values that differ from present ones are taken. Default: the run's setting.

        Raises:
            ConfigError: A value differs and changes are not allowed; nothing was changed.
            TypeError: `d`, a key or a value has a type that config cannot hold; nothing was changed.
        """
        self._change(as_mapping(d), allow_val_change)

    def setdefaults(self, d: Any) -> None:
        """Set the keys that are not set yet."""
        given = {normalized_key(key): value for key, value in as_mapping(d).items()}
        self._change(
            {key: value for key, value in given.items() if key not in self._items}, allow_val_change=False
        )

    def persist(self) -> None:
        """Send every value again."""
        self._send(self._items)

    def update_locked(self, d: Mapping[str, Any], user: str | None = None) -> None:
        """Set values that nobody else may change; `user` is named when somebody tries."""
        changes = {}
        for key, value in d.items():
            key = normalized_key(key)
            value = friendly(key, value)
            present = self._items.get(key)
            changes[key] = (
                {**present, **value} if isinstance(present, dict) and isinstance(value, dict) else value
            )
            self._locked[key] = user or "sweep"
        self._items.update(changes)
        self._send(changes)

    merge_locked = update_locked

    def load(self, values: Mapping[str, Any]) -> None:
        """Set values without sending them: they came from the run itself."""
        self._items.update(values)

    def _change(self, given: Mapping[str, Any], allow_val_change: bool | None) -> None:
        allowed = self._allow_change if allow_val_change is None else allow_val_change
        changes: dict[str, Any] = {}
        for key, value in given.items():
            key = normalized_key(key)
            if key in self._locked:
                terminal.termwarn(
                    f"Config item '{key}' was locked by '{self._locked[key]}' (ignored update)."
                )
                continue
            if hasattr(type(value), "_config_value"):
                value = self._of_artifact(value)
            value = friendly(key, value)
            if key in self._items and not allowed and not same(self._items[key], value):
                raise ConfigError(
                    f'Attempted to change value of key "{key}" from {self._items[key]} to {value}\n'
                    "If you really want to do this, pass allow_val_change=True to config.update()"
                )
            changes[key] = value
        self._send(changes)
        self._items.update(changes)

    def _of_artifact(self, artifact: Any) -> Any:
        """What the config holds for an artifact, which becomes an input of the run: now, or as soon as there is one."""
        use = self.__dict__["_use"]
        if use is not None:
            use(artifact)
        else:
            self.__dict__["_inputs"].append(artifact)
        return artifact._config_value()

    def use_inputs(self, use: Any) -> None:
        """Have artifacts of the config be inputs of a run: those given so far, and all further ones."""
        for artifact in self.__dict__["_inputs"]:
            use(artifact)
        self.__dict__["_inputs"].clear()
        self.__dict__["_use"] = use

    def _send(self, changes: Mapping[str, Any]) -> None:
        publish = self.__dict__["_publish"]
        texts = [(key, encode(value)) for key, value in changes.items()]
        for key, text in texts:
            if len(text) > VALUE_BYTES:
                raise ValueError(
                    f"the value of `{key}` is too large: {len(text)} bytes as JSON, the limit is {VALUE_BYTES}"
                )
        if publish is not None and texts:
            publish(texts)


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are the same, NaN being the same as NaN."""
    if one is other or one == other:
        return True
    return isinstance(one, float) and isinstance(other, float) and one != one and other != other
