"""`Api`: the entry point of the Public API."""

from __future__ import annotations

from runlane import _credentials, _servers, _setup
from runlane._settings import Settings
from runlane.errors import CommError, UsageError

from . import _queries as queries
from ._api_artifacts import ApiArtifacts
from ._api_later import ApiLater
from ._client import GraphQLClient
from ._errors import InvalidArgumentError
from ._later import later
from ._projects import Project, Projects
from ._runs import Runs
from ._stored_run import Run
from ._users import Team, User

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runlane.artifacts import Artifact

_DEFAULT_TIMEOUT_SECS = 19


class _RawClient:
    """`api.client`: raw GraphQL, for code that sends its own documents."""

    def __init__(self, client: GraphQLClient) -> None:
        self._client = client

    def execute(
        self, query: Any, variable_values: dict[str, Any] | None = None, **_options: Any
    ) -> dict[str, Any]:
        """Run one document, given as text or as a parsed one of the `gql` package.

        Raises:
            CommError: The server cannot be reached, or refused the document.
        """
        if not isinstance(query, str):
            inner = getattr(query, "document", query)
            source = getattr(getattr(getattr(inner, "loc", None), "source", None), "body", None)
            query = source if source is not None else str(query)
        return self._client.execute(query, variable_values or {})


class Api(ApiArtifacts, ApiLater):
    """Reads and changes what a server stores. One object caches what it read, until `flush`. Any thread may use it.

    It can be pickled, without the key: where it is loaded, the key is looked up again.

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
        self._overrides: dict[str, Any] = {
            name: overrides[name] for name in ("base_url", "entity", "project") if name in overrides
        }
        self._settings = state.settings.copy()
        self._settings.layer(dict(self._overrides))
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
        self.api_key = key
        self._default_entity: str | None = self._settings.entity
        self._viewer: User | None = None
        self._features: frozenset[str] | None = None
        self._run_cache: dict[str, Run] = {}
        self._runs_cache: dict[str, Runs] = {}
        self._projects_cache: dict[str, Projects] = {}
        self._artifact_cache: dict[str, Artifact] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        overrides = {**self._overrides, "base_url": str(self._settings.base_url)}
        return (Api, (overrides, self.timeout))

    # --- the server and its people ----------------------------------------------------------------------------------

    @property
    def client(self) -> _RawClient:
        """Raw GraphQL: `api.client.execute(document, variable_values={…})`."""
        return _RawClient(self._client)

    @property
    def settings(self) -> dict[str, Any]:
        """Server, entity and project that paths are completed with."""
        return {
            "base_url": self._settings.base_url,
            "entity": self._settings.entity,
            "project": self._settings.project,
            "organization": None,
            "run": None,
        }

    @property
    def user_agent(self) -> str:
        """What requests say about who sends them."""
        return self._client.user_agent

    def _has_feature(self, name: str) -> bool:
        """Whether the server announces a feature; asked once."""
        if self._features is None:
            try:
                found = (self._client.execute(queries.FEATURES, {}).get("serverInfo") or {}).get("features")
            except CommError as error:
                if error.exc is not None:
                    raise
                # A server from before it had features.
                found = None
            self._features = frozenset(
                feature["name"] for feature in found or [] if feature and feature.get("isEnabled")
            )
        return name in self._features

    @property
    def viewer(self) -> User:
        """Who the key belongs to.

        Raises:
            CommError: The server does not know the key.
        """
        if self._viewer is None:
            viewer = self._client.execute(queries.VIEWER, {}).get("viewer")
            if not viewer:
                raise CommError(f"the server at {self._settings.base_url} does not know the API key")
            self._viewer = User(self, viewer, self.api_key)
        return self._viewer

    @property
    def default_entity(self) -> str | None:
        """The entity of paths that name none."""
        if self._default_entity is None:
            viewer = self._client.execute(queries.DEFAULT_ENTITY, {}).get("viewer") or {}
            self._default_entity = viewer.get("entity")
        return self._default_entity

    def users(self, username_or_email: str) -> list[User]:
        """The accounts that a user name or mail address, or a part of one, fits."""
        found = self._client.execute(queries.USERS, {"query": username_or_email}).get("users") or {}
        return [User(self, edge["node"]) for edge in found.get("edges") or []]

    def user(self, username_or_email: str) -> User | None:
        """One account; None if there is none. Of several the first, with a warning."""
        found = self.users(username_or_email)
        if len(found) > 1:
            from runlane.terminal import termwarn

            termwarn(f"Found multiple users, returning the first user matching {username_or_email}")
        return found[0] if found else None

    def create_user(self, email: str, admin: bool | None = False) -> User:
        """Make an account.

        Raises:
            CommError: The server does not make accounts, or not for the caller.
        """
        return User.create(self, email, admin)

    def team(self, team: str) -> Team:
        """One team, or the entity of a user.

        Raises:
            ValueError: There is no such team.
        """
        return Team(self, team)

    def create_team(self, team: str, admin_username: str | None = None) -> Team:
        """Make a team.

        Args:
            team: Its name.
            admin_username: Who administers it; the caller by default.

        Raises:
            CommError: The server does not make teams, or not for the caller.
        """
        return Team.create(self, team, admin_username)

    # --- paths ------------------------------------------------------------------------------------------------------

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
            raise InvalidArgumentError("a path `entity/project` is needed: no project is configured")
        if not entity:
            raise InvalidArgumentError("a path `entity/project` is needed: no entity is configured")
        return entity, project

    def _run_path(self, path: str) -> tuple[str, str, str]:
        if not isinstance(path, str) or not path.strip("/"):
            raise InvalidArgumentError(f"invalid run path: {path!r}; expected `entity/project/run_id`")
        parts = [part for part in path.strip("/").split("/") if part]
        if len(parts) >= 3 and parts[-2] == "runs":
            parts.pop(-2)
        if len(parts) < 3 and parts:
            # `entity/project:id`; in a path of three parts a colon belongs to the id (`a:0` is an archived state of `a`).
            parts[-1:] = [part for part in parts[-1].split(":") if part]
        if not parts or len(parts) > 3:
            raise InvalidArgumentError(f"invalid run path: {path!r}; expected `entity/project/run_id`")
        return (*self._project_path("/".join(parts[:-1])), parts[-1])

    def from_path(self, path: str) -> Any:
        """The project, run or artifact that a path leads to.

        Args:
            path: `entity/project`, `entity/project/run_id`, `entity/project/runs/run_id`, `entity/project/name:version` or
                `entity/project/artifacts/name:version`.

        Raises:
            ValueError: The path leads to nothing of this kind.
            CommError: There is no such run; also the error above is of this class.
            NotYetError: It leads to a sweep or report.
        """
        parts = [part for part in str(path).strip("/ ").split("/") if part]
        if len(parts) == 4 and parts[2].startswith(("sweep", "report")):
            later(f"Api.from_path({path!r})", "sweeps and reports")
        if (len(parts) == 3 and ":" in parts[2]) or (len(parts) == 4 and parts[2].startswith("artifact")):
            return self.artifact("/".join((*parts[:2], parts[-1])))
        if len(parts) in (1, 2):
            entity, project = self._project_path("/".join(parts))
            return self.project(project, entity)
        if len(parts) == 3 or (len(parts) == 4 and parts[2].startswith("run")):
            return self.run("/".join((*parts[:2], parts[-1])))
        raise InvalidArgumentError(
            f"invalid path: {path!r}; expected a project, run, report, sweep or artifact"
        )

    # --- projects and runs ------------------------------------------------------------------------------------------

    def run(self, path: str = "") -> Run:
        """One run.

        Args:
            path: `entity/project/run_id`, `project/run_id` or `run_id`.

        Raises:
            ValueError: The path is wrong.
            CommError: There is no such run, or the server cannot be reached; also the error above is of this class.
        """
        entity, project, run_id = self._run_path(path)
        key = f"{entity}/{project}/{run_id}"
        if key not in self._run_cache:
            self._run_cache[key] = Run(self, entity, project, run_id)
        return self._run_cache[key]

    def _forget(self, run: Run) -> None:
        self._run_cache.pop("/".join(run.path), None)

    def runs(
        self,
        path: str | None = None,
        filters: dict[str, Any] | None = None,
        order: str = "+created_at",
        per_page: int = 50,
        include_sweeps: bool = False,
        lazy: bool = True,
        start: str | None = None,
    ) -> Runs:
        """The runs of a project, loaded page by page.

        Args:
            path: `entity/project`.
            filters: In the MongoDB query language.
            order: A key with `+` or `-` in front.
            per_page: Runs per request.
            include_sweeps: Accepted without effect.
            lazy: Load config and summary when they are first read.
            start: Where to begin: the `cursor` of an earlier list with the same filters and order.

        Raises:
            ValueError: `per_page` is not positive; when it is used: there is no such project.
        """
        entity, project = self._project_path(path)
        # What begins at a cursor is a list of its own.
        key = f"{entity}/{project}{filters!r}{order}{per_page}{lazy}"
        if start is None and key in self._runs_cache:
            return self._runs_cache[key]
        made = Runs(self, entity, project, filters, order, per_page, include_sweeps, lazy, start)
        if start is None:
            self._runs_cache[key] = made
        return made

    def create_run(
        self, *, run_id: str | None = None, project: str | None = None, entity: str | None = None
    ) -> Run:
        """Make a run without a program behind it.

        Args:
            run_id: Its id; a new one by default.
            project: Its project; the configured one, else `uncategorized`.
            entity: Its entity; the default one.
        """
        return Run.create(self, run_id, project, entity)

    def projects(self, entity: str | None = None, per_page: int = 200) -> Projects:
        """The projects of an entity, loaded page by page.

        Raises:
            ValueError: No entity is given or known.
        """
        name = entity or self.default_entity
        if not name:
            raise InvalidArgumentError("an entity is needed: none is configured")
        if name not in self._projects_cache:
            self._projects_cache[name] = Projects(self, name, per_page)
        return self._projects_cache[name]

    def project(self, name: str, entity: str | None = None) -> Project:
        """One project by name; whether it exists is seen when it is read."""
        return Project(self, entity or self.default_entity or "", name)

    def create_project(self, name: str, entity: str) -> None:
        """Make a project, if there is none of this name.

        Raises:
            CommError: The server cannot be reached, or refused it.
        """
        self._client.execute(queries.CREATE_PROJECT, {"input": {"name": name, "entityName": entity}})
        self._projects_cache.pop(entity, None)

    def sync_tensorboard(
        self,
        root_dir: str,
        run_id: str | None = None,
        project: str | None = None,
        entity: str | None = None,
    ) -> Any:
        """Comes later; `runlane.init(sync_tensorboard=True)` follows event files while they are written."""
        del root_dir, run_id, project, entity
        later("Api.sync_tensorboard", "imports of finished event files")

    def flush(self) -> None:
        """Forget what was read, so that fresh values are loaded."""
        self._run_cache.clear()
        self._runs_cache.clear()
        self._projects_cache.clear()
        self._artifact_cache.clear()
        self._viewer = None
        self._features = None

    def __repr__(self) -> str:
        return f"<Api {self._settings.base_url}>"
