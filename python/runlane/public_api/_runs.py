"""`Runs`: the runs of a project as a sequence that is loaded page by page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from threading import RLock

from . import _queries as queries
from ._stored_run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, overload

    from ._api import Api


class Runs(Sequence):  # type: ignore[type-arg]
    """Runs that match a filter. `len` asks the server; iterating loads pages as they are needed."""

    def __init__(
        self,
        api: Api,
        entity: str,
        project: str,
        filters: dict[str, Any],
        order: str,
        per_page: int,
        lazy: bool,
    ) -> None:
        self._api = api
        self.entity = entity
        self.project = project
        self.filters = filters
        self.order = order
        self._per_page = per_page
        self._lazy = lazy
        self._loaded: list[Run] = []
        self._cursor: str | None = None
        self._more = True
        self._count: int | None = None
        self._lock = RLock()

    def _load_page(self) -> None:
        """Load one more page.

        Raises:
            ValueError: There is no such project.
        """
        variables = {
            "project": self.project,
            "entity": self.entity,
            "cursor": self._cursor,
            "perPage": self._per_page,
            "order": self.order,
            "filters": json.dumps(self.filters),
        }
        document = queries.RUNS_LIGHT if self._lazy else queries.RUNS_FULL
        project = self._api._client.execute(document, variables).get("project")
        if project is None:
            raise ValueError(f"Could not find project {self.project} of {self.entity}")
        self._count = int(project["runCount"])
        edges = project["runs"]["edges"]
        for edge in edges:
            node = edge["node"]
            self._loaded.append(
                Run(self._api, self.entity, self.project, node["name"], node, full=not self._lazy)
            )
        self._more = bool(project["runs"]["pageInfo"]["hasNextPage"]) and bool(edges)
        if edges:
            self._cursor = edges[-1]["cursor"]

    def __len__(self) -> int:
        with self._lock:
            if self._count is None:
                self._load_page()
            return self._count or 0

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> Run: ...
        @overload
        def __getitem__(self, index: slice) -> list[Run]: ...

    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        with self._lock:
            wanted = index.stop if isinstance(index, slice) else index
            while self._more and (wanted is None or wanted < 0 or len(self._loaded) <= wanted):
                self._load_page()
            return self._loaded[index]

    def __iter__(self) -> Iterator[Run]:
        position = 0
        while True:
            with self._lock:
                while self._more and position >= len(self._loaded):
                    self._load_page()
                if position >= len(self._loaded):
                    return
                run = self._loaded[position]
            yield run
            position += 1

    def __repr__(self) -> str:
        return f"<Runs {self.entity}/{self.project}>"
