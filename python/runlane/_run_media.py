"""Logged values that are more than plain values: media, tables, charts, histograms. Loaded with the first of them."""

from __future__ import annotations

import sys

from . import _core, _limits, terminal
from ._convert import Converter, UnconvertibleError, friendly, is_media
from ._json_text import encode
from .data_types.base import BatchableMedia

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._run import Run


class RunMedia:
    """Stores such values of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        # A call that waits for the disk cannot leave anything for later.
        self._is_async = bool(run._settings.x_async_media) and run._settings.x_durability != "strict"
        self._cells = Converter(bool(run._settings.strict), terminal.termwarn)
        #: What the config says of charts already, by path.
        self._charts: dict[tuple[str, ...], str] = {}
        #: The same of class names.
        self._told: dict[tuple[str, ...], str] = {}

    def row_value(self, key: str, value: Any, nested: bool) -> Any:
        """The value as a row holds it; its files are stored.

        Args:
            key: The innermost key.
            value: A value of the package `data_types`, a chart, or a DataFrame.
            nested: It is part of a list or an object, where nothing can get a key of its own.

        Raises:
            UnconvertibleError: A file cannot be written, or a chart is nested.
        """
        if self._is_async and not nested and _waits(value):
            return self._later(key, value)
        if type(value) in (list, tuple):
            return self._list_value(key, value, self._run._local_step)
        place = getattr(value, "_place", None)
        if place is not None:
            if nested:
                raise UnconvertibleError("a chart is a value of its own, not part of a list")
            return _core.Renamed(lambda path: self._placed(value, place, path))
        return self._stored(value, key, self._run._local_step)

    def _later(self, key: str, value: Any) -> Any:
        """The value when its images are encoded; its place in the row is kept."""
        from . import _media_queue

        step = self._run._local_step
        kept = list(value) if type(value) in (list, tuple) else value

        def job() -> Any:
            try:
                return (
                    self._list_value(key, kept, step) if type(kept) is list else self._stored(kept, key, step)
                )
            except Exception as error:  # noqa: BLE001, RUF100 - nobody is there to raise to
                return self._lost_later(key, kept, error)

        return _core.Later(job, _media_queue.take)

    def _lost_later(self, key: str, value: Any, error: Exception) -> Any:
        try:
            return self._cells.placeholder(key, value, error)
        except TypeError:
            terminal.termerror(f"`{terminal.printable(key)}` could not be stored: {error}")
            return None

    def _list_value(self, key: str, values: Any, step: int) -> Any:
        """Objects of one class are one value of a row; of a mixed list each is stored, and the rest is as it was."""
        kind = type(values[0])
        if issubclass(kind, BatchableMedia) and all(type(value) is kind for value in values):
            return self._kept(lambda: kind.seq_to_json(values, self._run, key, step), values[0])
        return [self._cells_or_stored(key, value) if is_media(value) else value for value in values]

    def _cells_or_stored(self, key: str, value: Any) -> Any:
        """A part of a list; what cannot be stored costs its own place alone."""
        try:
            return self.row_value(key, value, nested=True)
        except Exception as error:  # noqa: BLE001, RUF100 - a figure's own code may raise anything
            return self._cells.placeholder(key, value, error)

    def _placed(self, chart: Any, place: Any, path: str) -> tuple[str, Any]:
        """Where a chart's table goes, and its description; its panel is in the config after that."""
        config_path, panel, key, table = place(path)
        try:
            self._tell_panel(config_path, encode(friendly(path, panel)))
            return key, self._stored(table, key, self._run._local_step)
        except Exception as error:  # noqa: BLE001, RUF100 - a training loop is not stopped by a chart, whatever is wrong with it
            return key, self._cells.placeholder(path, chart, error)

    def tell_config(self, path: tuple[str, ...], text: str) -> None:
        """Have the config say `text` (JSON) at `path`; a repetition is not sent. Very many paths are left out, with one warning."""
        if path not in self._told and len(self._told) >= _limits.CLASS_LABELS:
            terminal.termwarn(
                f"a run's config names the classes of at most {_limits.CLASS_LABELS} layers of boxes and masks: of further ones the"
                " names are left out\nhint: log images under the same key at each step",
                repeat=False,
            )
        elif self._told.get(path) != text:
            self._run._publish("config", {"update": [(path, text)], "remove": []})
            self._told[path] = text

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
        value = as_media(value)
        return self._kept(lambda: value._row_value(self._run, key, step), value)

    @staticmethod
    def _kept(store: Callable[[], dict[str, Any]], value: Any) -> dict[str, Any]:
        try:
            return store()
        except NotImplementedError as error:
            raise UnconvertibleError(f"a {type(value).__name__} is no value of a row") from error
        except ValueError as error:
            raise UnconvertibleError(str(error)) from error
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
        key = ".".join(path)
        if type(value) in (list, tuple):
            return self._summary_list(path, key, value)
        if not is_media(value):
            return value
        self._run._await_media()
        if getattr(value, "_place", None) is not None:
            raise TypeError(f"`{key}`: a chart is logged with `run.log`, the summary cannot hold it")
        try:
            return self._stored(value, key, "summary")
        except UnconvertibleError as error:
            raise TypeError(f"`{key}`: {error}") from error

    def _summary_list(self, path: tuple[str, ...], key: str, values: Any) -> Any:
        kind = type(values[0]) if values else None
        self._run._await_media()
        if (
            kind is None
            or not issubclass(kind, BatchableMedia)
            or any(type(value) is not kind for value in values)
        ):
            return [self.summary_value(path, item) for item in values]
        try:
            return self._kept(lambda: kind.seq_to_json(values, self._run, key, "summary"), values[0])
        except UnconvertibleError as error:
            raise TypeError(f"`{key}`: {error}") from error

    def cell(self, key: str, value: Any) -> Any:
        """A cell of a table that JSON has no form for, as a row would hold it."""
        return self._cells(key, value)


def _waits(value: Any) -> bool:
    """Whether it is an image, or a list of images, that is still to be encoded, or whose turn comes after such ones.

    An image that several calls have belongs to the first of them, whichever is encoded.
    """
    images = value if type(value) in (list, tuple) else (value,)
    if not all(isinstance(image, BatchableMedia) for image in images):
        return False
    queue = sys.modules.get(f"{__package__}._media_queue")
    return any(image._is_pending() for image in images) or (queue is not None and not queue.is_settled())


def as_media(value: Any) -> Any:
    """The object of `data_types` for what was logged as it is: a DataFrame, or a figure.

    Raises:
        ValueError: The figure cannot be stored.
    """
    if hasattr(type(value), "_runlane_value"):
        return value
    if hasattr(value, "iloc"):
        from .data_types.table import Table

        try:
            return Table(dataframe=value)
        except TypeError:
            # A column of mixed types is no reason to lose the others.
            return Table(dataframe=value, allow_mixed_types=True)
    from .data_types.bokeh import Bokeh, is_bokeh

    if is_bokeh(value):
        return Bokeh(value)
    from .data_types.plotly import media_of_figure

    return media_of_figure(value)
