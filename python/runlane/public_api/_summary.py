"""`run.summary` of a stored run: changed as a dict, sent by `update`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._stored_run import Run


class SummarySubDict(dict):  # type: ignore[type-arg]
    """A dict of the summary, the keys of which are attributes as well."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        for key, value in (values or {}).items():
            dict.__setitem__(self, key, _wrapped(value))

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, _wrapped(value))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is set if it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the summary has no key {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"the summary has no key {name!r}")
        del self[name]


def _wrapped(value: Any) -> Any:
    """Dicts as those of the summary, so that their keys can be changed in place; media objects stay as they are."""
    if type(value) is dict and "_type" not in value:
        return SummarySubDict(value)
    return value


class HTTPSummary(SummarySubDict):
    """The summary of a stored run. Setting and deleting keys changes this object; `update` sends it."""

    def __init__(self, run: Run, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(values)
        self._run = run

    @property
    def _json_dict(self) -> dict[str, Any]:
        """The summary as it is sent: what is in place of arrays, histograms and the like included."""
        from runlane._convert import friendly

        return {str(key): friendly(str(key), _plain(value), histograms=True) for key, value in self.items()}

    def load(self) -> None:
        """Nothing: the summary came with the run."""

    def update(self, key_vals: Mapping[str, Any] | None = None, overwrite: bool = True) -> None:  # type: ignore[override]
        """Set values, and send the whole summary.

        Args:
            key_vals: Keys to values.
            overwrite: Whether keys that exist get the new value.

        Raises:
            CommError: The server cannot be reached, or refused it.
        """
        for key, value in (key_vals or {}).items():
            if overwrite or key not in self:
                self[key] = value
        self._run._send_summary(self._json_dict)

    def __reduce__(self) -> tuple[Any, ...]:
        return (HTTPSummary, (self._run, dict(self)))


def _plain(value: Any) -> Any:
    if isinstance(value, SummarySubDict):
        return {key: _plain(inner) for key, inner in value.items()}
    if hasattr(type(value), "_runlane_value"):
        # A histogram is its counts and edges; what has a file needs the run that is being logged.
        return value.to_json()
    return value
