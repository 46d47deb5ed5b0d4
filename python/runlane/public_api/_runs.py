"""`Runs`: the runs of a project as a sequence that is loaded page by page."""

from __future__ import annotations

import json

from . import _frames
from . import _queries as queries
from ._errors import InvalidArgumentError
from ._paging import Loaded, SizedPages
from ._stored_run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from ._api import Api

#: Runs of which histories are asked for at once.
_AT_ONCE = 8


class Runs(SizedPages["Run"]):
    """Runs that match a filter. `len` asks the server; iterating loads pages as they are needed."""

    def __init__(
        self,
        api: Api,
        entity: str,
        project: str,
        filters: dict[str, Any] | None = None,
        order: str = "+created_at",
        per_page: int = 50,
        include_sweeps: bool = False,
        lazy: bool = True,
        start: str | None = None,
    ) -> None:
        super().__init__(per_page, start)
        del include_sweeps
        self._api = api
        self.entity = entity
        self.project = project
        self.filters = filters or {}
        self.order = order
        self._lazy = lazy
        self._text = json.dumps(self.filters)

    def _fetch(self, cursor: str | None) -> Loaded:
        """Ask for a page.

        Raises:
            ValueError: There is no such project.
        """
        variables = {
            "project": self.project,
            "entity": self.entity,
            "cursor": cursor,
            "perPage": self.per_page,
            "order": self.order,
            "filters": self._text,
        }
        document = queries.RUNS_LIGHT if self._lazy else queries.RUNS_FULL
        project = self._api._client.execute(document, variables).get("project")
        if project is None:
            raise ValueError(f"Could not find project {self.project}")
        self._total = int(project["runCount"])
        edges = project["runs"]["edges"]
        items = [
            Run(self._api, self.entity, self.project, edge["node"]["name"], edge["node"], full=not self._lazy)
            for edge in edges
        ]
        last = edges[-1]["cursor"] if edges else None
        return Loaded(items, last, bool(project["runs"]["pageInfo"]["hasNextPage"]))

    def upgrade_to_full(self) -> None:
        """Load config and summary of the runs that are loaded, and with those to come."""
        if self._lazy:
            self._lazy = False
            with self._lock:
                self._ahead = None
            for run in self.objects:
                run.load_full_data()

    def histories(
        self,
        samples: int = 500,
        keys: list[str] | None = None,
        x_axis: str = "_step",
        format: Literal["default", "pandas", "polars"] = "default",  # noqa: A002 - wandb's name
        stream: Literal["default", "system"] = "default",
    ) -> Any:
        """A sample of the history of each run, in one list or frame; each row has its `run_id`.

        Args:
            samples: Rows of each run at most.
            keys: Only rows that have all of these metrics.
            x_axis: Metric that each row has.
            format: A list of dicts, or a frame of pandas or Polars with its columns by name.
            stream: `default`, or `system` for system metrics.

        Raises:
            ValueError: There is no such format or stream.
            CommError: The server cannot be reached; also the error above is of this class.
            ImportError: The format's package is not installed.
        """
        if format not in ("default", "pandas", "polars"):
            raise InvalidArgumentError(
                f"Invalid format: {format}. Must be one of 'default', 'pandas', 'polars'"
            )
        if format != "default":
            _frames.needed_module(format, f'`format="{format}"`')

        def rows_of(run: Run) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = run.history(
                samples=samples, keys=keys, x_axis=x_axis, pandas=False, stream=stream
            )
            return [{**row, "run_id": run.id} for row in rows]

        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="runlane-histories") as pool:
            rows = [row for some in pool.map(rows_of, self) for row in some]
        return rows if format == "default" else _frames.histories_frame(rows, format)

    def __repr__(self) -> str:
        return f"<Runs {self.entity}/{self.project}>"
