"""Logged values that are more than plain values: tables, charts, histograms. Loaded with the first of them."""

from __future__ import annotations

from . import _core, _limits, terminal
from ._convert import Converter, UnconvertibleError, friendly
from ._json_text import encode
from .data_types._table_inputs import is_dataframe
from .data_types.base import WBValue
from .data_types.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._run import Run


class RunMedia:
    """Stores such values of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._cells = Converter(bool(run._settings.strict), terminal.termwarn)
        #: What the config says of charts already, by path.
        self._charts: dict[tuple[str, ...], str] = {}

    def row_value(self, key: str, value: Any, nested: bool) -> Any:
        """The value as a row holds it; its files are stored.

        Args:
            key: The innermost key.
            value: A value of the package `data_types`, a chart, or a DataFrame.
            nested: It is part of a list or an object, where nothing can get a key of its own.

        Raises:
            UnconvertibleError: A file cannot be written, or a chart is nested.
        """
        place = getattr(value, "_place", None)
        if place is not None:
            if nested:
                raise UnconvertibleError("a chart is a value of its own, not part of a list")
            return _core.Renamed(lambda path: self._placed(value, place, path))
        return self._stored(value, key, self._run._local_step)

    def _placed(self, chart: Any, place: Any, path: str) -> tuple[str, Any]:
        """Where a chart's table goes, and its description; its panel is in the config after that."""
        config_path, panel, key, table = place(path)
        try:
            self._tell_panel(config_path, encode(friendly(path, panel)))
            return key, self._stored(table, key, self._run._local_step)
        except Exception as error:  # noqa: BLE001, RUF100 - a training loop is not stopped by a chart, whatever is wrong with it
            return key, self._cells.placeholder(path, chart, error)

    def _tell_panel(self, config_path: tuple[str, ...], text: str) -> None:
        if config_path not in self._charts and len(self._charts) >= _limits.CHARTS:
            terminal.termwarn(
                f"a run has at most {_limits.CHARTS} custom charts: of further ones the tables alone are stored\n"
                "hint: log a chart under the same key at each step",
                repeat=False,
            )
        elif self._charts.get(config_path) != text:
            self._run._publish("config", {"update": [(config_path, text)], "remove": []})
            self._charts[config_path] = text

    def _stored(self, value: Any, key: str, step: int | str) -> dict[str, Any]:
        if is_dataframe(value):
            value = Table(dataframe=value, allow_mixed_types=True)
        try:
            return value._row_value(self._run, key, step)  # type: ignore[no-any-return]
        except NotImplementedError as error:
            raise UnconvertibleError(f"a {type(value).__name__} is no value of a row") from error
        except OSError as error:
            raise UnconvertibleError(f"its file cannot be written: {error}") from error

    def summary_value(self, path: tuple[str, ...], value: Any) -> Any:
        """`value` with what is more than a plain value stored; lists and dicts are looked through.

        Raises:
            TypeError: A chart, or a file that cannot be written.
        """
        if isinstance(value, dict):
            return {
                key: self.summary_value((*path, key), item) if isinstance(key, str) else item
                for key, item in value.items()
            }
        if type(value) in (list, tuple):
            return [self.summary_value(path, item) for item in value]
        if not (isinstance(value, WBValue) or is_dataframe(value)):
            return value
        key = ".".join(path)
        if getattr(value, "_place", None) is not None:
            raise TypeError(f"`{key}`: a chart is logged with `run.log`, the summary cannot hold it")
        try:
            return self._stored(value, key, "summary")
        except UnconvertibleError as error:
            raise TypeError(f"`{key}`: {error}") from error

    def cell(self, key: str, value: Any) -> Any:
        """A cell of a table that JSON has no form for, as a row would hold it."""
        return self._cells(key, value)
