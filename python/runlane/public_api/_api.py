"""`Api`: the entry point of the Public API."""

from __future__ import annotations

from runlane import _credentials, _servers, _setup
from runlane._settings import Settings
from runlane.errors import CommError, UsageError

from . import _queries as queries
from ._client import GraphQLClient
from ._page import Page
from ._runs import Runs
from ._stored_run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_DEFAULT_TIMEOUT_SECS = 19
_PROJECTS_PER_PAGE = 200


class _RawClient:
    """`api.client`: raw GraphQL, for code that sends its own documents."""

    def __init__(self, client: GraphQLClient) -> None:
        self._client = client

    def execute(
        self, query: Any, variable_values: dict[str, Any] | None = None, **_options: Any
    ) -> dict[str, Any]:
        """Run one document, given as text or as a parsed one of the `gql` package."""
        if not isinstance(query, str):
            source = getattr(getattr(getattr(query, "loc", None), "source", None), "body", None)
            query = source if source is not None else str(query)
        return self._client.execute(query, variable_values or {})


class Project(Page):
    """A project, as `Api.projects` lists it."""

    def __init__(self, api: Api, attributes: dict[str, Any]) -> None:
        self._api = api
        self.id = attributes.get("id")
        self.name = str(attributes["name"])
        self.entity = str(attributes["entityName"])
        self.created_at = attributes.get("createdAt")

    @property
    def path(self) -> list[str]:
        """Entity and project name."""
        return [self.entity, self.name]

    @property
    def url(self) -> str:
        """The project's page."""
        return str(self._api._settings_for(self.entity, self.name).project_url)

    def runs(self, **options: Any) -> Runs:
        """The project's runs; options as in `Api.runs`."""
        return self._api.runs(f"{self.entity}/{self.name}", **options)

    def __repr__(self) -> str:
        return f"<Project {self.entity}/{self.name}>"


class Api:
    """Reads what a server stores. One object caches what it read, until `flush`. Any thread may use it.

    Args:
        overrides: Settings of this object: `base_url`, `entity`, `project`.
        timeout: Seconds that one request may take.
        api_key: The key. Default: environment, netrc, settings.

    Raises:
        UsageError: No server is configured, or there is no key.
    """

    def __init__(
        self, overrides: dict[str, Any] | None = None, timeout: int | None = None, api_key: str | None = None
    ) -> None:
        state = _setup.process()
        overrides = {name: value for name, value in (overrides or {}).items() if value is not None}
        self._settings = state.settings.copy()
        self._settings.layer(
            {name: overrides[name] for name in ("base_url", "entity", "project") if name in overrides}
        )
        if not self._settings.is_set("base_url"):
            server = _servers.running_server()
            if server is None:
                raise UsageError(
                    "no server is configured\nhint: run `runlane server start`, or set `WANDB_BASE_URL` to the address of a server"
                )
            self._settings.base_url = server.base_url
            api_key = api_key or server.api_key
        key = api_key or _credentials.find_key(self._settings, state.file_api_key)[0]
        if not key:
            raise UsageError(
                f"No API key configured for {self._settings.base_url}. Use `runlane login` to log in."
            )
        self.timeout = _DEFAULT_TIMEOUT_SECS if timeout is None else timeout
        self._client = GraphQLClient(str(self._settings.base_url), key, float(self.timeout), self._settings)
        self._api_key = key
        self._runs: dict[str, Run] = {}
        self._viewer: dict[str, Any] | None = None
        self._default_entity: str | None = self._settings.entity

    @property
    def client(self) -> _RawClient:
        """Raw GraphQL."""
        return _RawClient(self._client)

    @property
    def api_key(self) -> str:
        """The key in use."""
        return self._api_key

    @property
    def settings(self) -> dict[str, Any]:
        """Server, entity and project that paths are completed with."""
        return {
            "base_url": self._settings.base_url,
            "entity": self._default_entity,
            "project": self._settings.project,
            "run": None,
        }

    @property
    def viewer(self) -> dict[str, Any]:
        """Who the key belongs to.

        Raises:
            CommError: The server does not know the key.
        """
        if self._viewer is None:
            viewer = self._client.execute(queries.VIEWER, {}).get("viewer")
            if not viewer:
                raise CommError(f"the server at {self._settings.base_url} does not know the API key")
            self._viewer = viewer
        return self._viewer

    @property
    def default_entity(self) -> str | None:
        """The entity of paths that name none."""
        if self._default_entity is None:
            self._default_entity = self.viewer.get("entity")
        return self._default_entity

    def _settings_for(self, entity: str, project: str, run_id: str | None = None) -> Settings:
        settings = Settings(base_url=self._settings.base_url)
        settings._values.update(
            {"app_url_override": self._settings.app_url_override, "entity": entity, "project": project}
        )
        settings._values["run_id"] = run_id
        return settings

    def _project_path(self, path: str | None) -> tuple[str, str]:
        parts = [part for part in (path or "").strip("/").split("/") if part]
        project = parts[-1] if parts else self._settings.project
        entity = parts[0] if len(parts) > 1 else self.default_entity
        if not project:
            raise ValueError("a path `entity/project` is needed: no project is configured")
        if not entity:
            raise ValueError("a path `entity/project` is needed: no entity is configured")
        return entity, project

    def _run_path(self, path: str) -> tuple[str, str, str]:
        if not isinstance(path, str) or not path.strip("/"):
            raise ValueError(f"invalid run path: {path!r}; expected `entity/project/run_id`")
        parts = [part for part in path.replace(":", "/").strip("/").split("/") if part]
        if len(parts) >= 3 and parts[-2] == "runs":
            parts.pop(-2)
        if len(parts) > 3:
            raise ValueError(f"invalid run path: {path!r}; expected `entity/project/run_id`")
        return (*self._project_path("/".join(parts[:-1])), parts[-1])

    def run(self, path: str = "") -> Run:
        """One run.

        Args:
            path: `entity/project/run_id`, `project/run_id` or `run_id`.

        Raises:
            ValueError: The path is wrong.
            CommError: There is no such run, or the server cannot be reached.
        """
        entity, project, run_id = self._run_path(path)
        key = f"{entity}/{project}/{run_id}"
        if key not in self._runs:
            self._runs[key] = Run(self, entity, project, run_id)
        return self._runs[key]

    def runs(
        self,
        path: str | None = None,
        filters: dict[str, Any] | None = None,
        order: str = "+created_at",
        per_page: int = 50,
        include_sweeps: bool = True,
        lazy: bool = True,
    ) -> Runs:
        """The runs of a project, loaded page by page.

        Args:
            path: `entity/project`.
            filters: In the MongoDB query language.
            order: A key with `+` or `-` in front.
            per_page: Runs per request.
            include_sweeps: Accepted without effect.
            lazy: Load config and summary when they are first read.
        """
        del include_sweeps
        entity, project = self._project_path(path)
        return Runs(self, entity, project, filters or {}, order, per_page, lazy)

    def projects(self, entity: str | None = None, per_page: int = _PROJECTS_PER_PAGE) -> Iterator[Project]:
        """The projects of an entity."""
        cursor = None
        while True:
            variables = {"entity": entity or self.default_entity, "cursor": cursor, "perPage": per_page}
            models = self._client.execute(queries.PROJECTS, variables).get("models") or {
                "edges": [],
                "pageInfo": {},
            }
            for edge in models["edges"]:
                yield Project(self, edge["node"])
            if not models["pageInfo"].get("hasNextPage") or not models["edges"]:
                return
            cursor = models["pageInfo"].get("endCursor")

    def project(self, name: str, entity: str | None = None) -> Project:
        """One project by name; it is not checked whether it exists."""
        return Project(self, {"name": name, "entityName": entity or self.default_entity})

    def flush(self) -> None:
        """Forget what was read, so that fresh values are loaded."""
        self._runs.clear()
        self._viewer = None
