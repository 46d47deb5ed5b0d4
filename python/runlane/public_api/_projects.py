"""`Project` and `Projects`."""

from __future__ import annotations

from . import _queries as queries
from ._later import later
from ._page import Page
from ._paging import Loaded, Pages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._api import Api
    from ._artifact_lists import ArtifactTypes, ProjectArtifactCollections
    from ._runs import Runs
    from ._users import User


class Project(Page):
    """A project. Attributes: `id`, `name`, `entity`, `created_at`; read from the server when they are asked for."""

    def __init__(self, api: Api, entity: str, project: str, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(dict(attrs or {}))
        self._api = api
        self.name = project
        self.entity = entity
        self._complete = bool(attrs)

    def _load(self) -> None:
        """Read the project.

        Raises:
            ValueError: There is no such project.
        """
        variables = {"name": self.name, "entity": self.entity}
        project = self._api._client.execute(queries.PROJECT, variables).get("project")
        if project is None:
            raise ValueError(f"Project {self.name} not found")
        self._attrs = dict(project)
        self._complete = True

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and not self._complete:
            self._load()
        return super().__getattr__(name)

    @property
    def id(self) -> str:
        """The server's id of the project."""
        if not self._complete:
            self._load()
        return str(self._attrs["id"])

    @property
    def owner(self) -> User:
        """Who made the project.

        Raises:
            ValueError: The server does not say.
        """
        from ._users import User

        if not self._complete or "user" not in self._attrs:
            self._load()
        user = self._attrs.get("user")
        if not user:
            raise ValueError(f"the owner of project {self.name} is not known")
        return User(self._api, dict(user))

    @property
    def path(self) -> list[str]:
        """Entity and project name."""
        return [self.entity, self.name]

    @property
    def url(self) -> str:
        """The project's page."""
        return str(self._api._settings_for(self.entity, self.name).project_url) + "/workspace"

    def runs(self, **options: Any) -> Runs:
        """The project's runs; options as in `Api.runs`."""
        return self._api.runs(f"{self.entity}/{self.name}", **options)

    def artifacts_types(self, per_page: int = 50) -> ArtifactTypes:
        """The types of the project's artifacts, loaded page by page."""
        from ._artifact_lists import ArtifactTypes

        return ArtifactTypes(self._api, self.entity, self.name, per_page)

    def collections(
        self, filters: Mapping[str, Any] | None = None, order: str | None = None, per_page: int = 50
    ) -> ProjectArtifactCollections:
        """The project's artifact collections of all types, loaded page by page.

        Args:
            filters: In the MongoDB query language: `{"name": "data"}`.
            order: `name`, `created_at` or `updated_at` with `+` or `-` in front.
            per_page: Collections per request.

        Raises:
            UnsupportedError: The server neither filters nor sorts.
        """
        from ._artifact_lists import ProjectArtifactCollections

        return ProjectArtifactCollections(self._api, self.entity, self.name, filters, order, per_page)

    def sweeps(
        self, per_page: int = 50, filters: dict[str, Any] | None = None, order: str | None = None
    ) -> Any:
        """Comes with sweeps."""
        del per_page, filters, order
        later("Project.sweeps", "sweeps")

    def __repr__(self) -> str:
        return f"<Project {self.entity}/{self.name}>"


class Projects(Pages["Project"]):
    """The projects of an entity."""

    def __init__(self, api: Api, entity: str, per_page: int = 50) -> None:
        super().__init__(per_page)
        self._api = api
        self.entity = entity

    def _fetch(self, cursor: str | None) -> Loaded:
        variables = {"entity": self.entity, "cursor": cursor, "perPage": self.per_page}
        models = self._api._client.execute(queries.PROJECTS, variables).get("models") or {}
        page = models.get("pageInfo") or {}
        nodes = [edge["node"] for edge in models.get("edges") or []]
        items = [Project(self._api, node["entityName"], node["name"], node) for node in nodes]
        return Loaded(items, page.get("endCursor"), bool(page.get("hasNextPage")))

    def __repr__(self) -> str:
        return f"<Projects {self.entity}>"
