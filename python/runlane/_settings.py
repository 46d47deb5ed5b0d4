"""`Settings`: the documented options of a run and of the process, with their rules and derived values."""

from __future__ import annotations

from ._settings_fields import ALIASES, DEFAULTS, IGNORED
from ._settings_paths import DerivedSettings
from ._settings_values import parse
from .errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_EXCLUSIVE = ("fork_from", "resume", "resume_from")


def _spelled(name: str) -> str:
    """The field that a spelling means: `_stats_pid` is an older one of `x_stats_pid`."""
    name = ALIASES.get(name, name)
    older = f"x{name}"
    return older if name.startswith("_") and older in DEFAULTS else name


def canonical(name: str) -> str | None:
    """The field that `name` means; None for names that are accepted without effect.

    Raises:
        SettingsError: There is no such setting.
    """
    name = _spelled(name)
    if name in DEFAULTS:
        return name
    if name in IGNORED:
        return None
    import difflib

    close = difflib.get_close_matches(name, DEFAULTS, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    raise SettingsError(f"unknown setting `{name}`: extra inputs are not permitted{hint}")


class Settings(DerivedSettings):
    """Options by name, as attributes. A field that nobody set has its default.

    Args:
        **fields: Values by setting name.

    Raises:
        SettingsError: An unknown name, or a value that is not allowed.
        UsageError: A run id, project or entity that breaks its rule.
    """

    _values: dict[str, Any]

    def __init__(self, **fields: Any) -> None:
        object.__setattr__(self, "_values", {})
        for name, value in fields.items():
            self._set(name, value)
        self._check_together()

    def _set(self, name: str, value: Any, *, from_text: bool = False) -> None:
        field = canonical(name)
        if field is not None:
            self._values[field] = parse(field, value, from_text=from_text)

    def _check_together(self) -> None:
        given = [name for name in _EXCLUSIVE if self._values.get(name) is not None]
        if len(given) > 1:
            raise SettingsError(
                "`fork_from`, `resume`, or `resume_from` are mutually exclusive. Please specify only one of them."
            )
        own, fork, rewind = (
            self._values.get("run_id"),
            self._values.get("fork_from"),
            self._values.get("resume_from"),
        )
        if own and fork and fork["run"] == own:
            raise SettingsError(
                f"`run_id` and `fork_from` both name `{own}`: a fork needs an id of its own; `resume_from` rewinds the run itself"
            )
        if own and rewind and rewind["run"] != own:
            raise SettingsError(
                f"`run_id` and `resume_from` name different runs: `{own}` and `{rewind['run']}`"
            )

    def __getattr__(self, name: str) -> Any:
        field = _spelled(name)
        values = self.__dict__.get("_values", {})
        if field in values:
            value = values[field]
            return DEFAULTS[field] if value is None else value
        if field in DEFAULTS:
            return DEFAULTS[field]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        before = dict(self._values)
        self._set(name, value)
        try:
            self._check_together()
        except SettingsError:
            self._values.clear()
            self._values.update(before)
            raise

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.to_dict().items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = {name: "***" if "key" in name else value for name, value in sorted(self._values.items())}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def is_set(self, name: str) -> bool:
        """Whether somebody gave `name` a value."""
        return self._values.get(name) is not None

    def given(self) -> dict[str, Any]:
        """The fields that somebody set."""
        return {name: value for name, value in self._values.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Every field with its value or default, sorted by name."""
        return {name: getattr(self, name) for name in sorted(DEFAULTS)}

    model_dump = to_dict

    def copy(self) -> Settings:
        """An independent copy."""
        twin = type(self)()
        twin._values.update(self._values)
        return twin

    model_copy = copy

    def layer(self, values: Mapping[str, Any], *, from_text: bool = False) -> None:
        """Put `values` on top: each that is not None replaces the field.

        The new whole is checked; on an error nothing has changed.
        """
        twin = self.copy()
        for name, value in values.items():
            if value is not None:
                twin._set(name, value, from_text=from_text)
        if any(values.get(name) is not None for name in _EXCLUSIVE):
            # A newer layer's wish replaces an older one's; two wishes of one layer are an error.
            for name in _EXCLUSIVE:
                if values.get(name) is None:
                    twin._values.pop(name, None)
        twin._check_together()
        self._values.clear()
        self._values.update(twin._values)
