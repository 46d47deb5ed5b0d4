"""`EvalTable`: a table of inputs, outputs and scores of an evaluation."""

from __future__ import annotations

from runlane import terminal

from .table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_MEDIA_MODES = ("stub", "raise")


class EvalTable(Table):
    """A table whose columns are inputs, outputs and scores of an evaluation.

    W&B's client sends the rows to an evaluation service if the server says that it has one (`EVAL_TABLES_CES`), and stores an ordinary
    table otherwise. No server of ours has one: it is stored as an ordinary table, and says so once.

    Args:
        columns: As for `Table`. Default: inputs, outputs and scores, in that order.
        data: As for `Table`; likewise `rows`, `dataframe`, `dtype`, `optional`, `allow_mixed_types` and `log_mode`.
        rows: Another name of `data`.
        dataframe: A pandas DataFrame.
        dtype: The types of the columns.
        optional: Whether columns take None.
        allow_mixed_types: Columns take cells of any type.
        log_mode: What logging the same object again does.
        input_columns: Names of columns that were given to what is evaluated.
        output_columns: Names of columns that it returned.
        score_columns: Names of columns that say how good that is.
        backend: The service that W&B's client would write to.
        unsupported_media_mode: What that service does with media that it does not know: `stub` or `raise`.

    Raises:
        TypeError: A cell does not fit its column.
        ValueError: A column has two roles or does not exist, or `unsupported_media_mode` is unknown.
    """

    def __init__(
        self,
        columns: Sequence[str | int] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: bool | Sequence[bool] = True,
        allow_mixed_types: bool = False,
        log_mode: str = "IMMUTABLE",
        *,
        input_columns: Sequence[str] | None = None,
        output_columns: Sequence[str] | None = None,
        score_columns: Sequence[str] | None = None,
        backend: str | None = None,
        unsupported_media_mode: str = "stub",
    ) -> None:
        if unsupported_media_mode not in _MEDIA_MODES:
            raise ValueError(
                f"`unsupported_media_mode` must be one of {list(_MEDIA_MODES)}, got {unsupported_media_mode!r}"
            )
        roles = [list(names or ()) for names in (input_columns, output_columns, score_columns)]
        named = [name for names in roles for name in names]
        if len(set(named)) < len(named):
            raise ValueError("a column of an EvalTable has one role: input, output or score")
        if columns is None and dataframe is None and named:
            columns = named
        super().__init__(columns, data, rows, dataframe, dtype, optional, allow_mixed_types, log_mode)
        missing = [name for name in named if name not in self.columns]
        if missing:
            raise ValueError(f"column `{missing[0]}` has a role, but the table has only {self.columns}")
        self._input_columns, self._output_columns, self._score_columns = roles
        self._backend = backend

    def _store(self, run: Any, key: str, step: int | str, id_: int | str | None = None) -> dict[str, Any]:
        terminal.termwarn(
            "the server has no evaluation tables: an EvalTable is stored as an ordinary table", repeat=False
        )
        return super()._store(run, key, step, id_)
