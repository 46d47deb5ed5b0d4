"""Lists of artifacts, and of their types, collections and files: loaded page by page."""

from __future__ import annotations

import json

from runlane.artifacts import _documents as documents
from runlane.errors import UnsupportedError

from ._errors import InvalidArgumentError
from ._files import File
from ._paging import Loaded, Pages, SizedPages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal, NoReturn

    from runlane.artifacts import Artifact

    from ._api import Api
    from ._artifact_collections import ArtifactCollection, ArtifactType  # noqa: F401 - in annotations that are texts
    from ._stored_run import Run

#: What `Artifacts` lists if nothing else is asked for: versions that are complete.
_COMMITTED = {"state": "COMMITTED"}


def _at(answer: Mapping[str, Any], what: str, *path: str) -> dict[str, Any]:
    """A member of an answer, at a path; `what` is asked for.

    Raises:
        ValueError: What is asked for does not exist; also a `CommError`.
    """
    found: Any = answer
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise InvalidArgumentError(f"there is no {what}, or it cannot be read")
    return found


def _loaded(connection: Mapping[str, Any], items: list[Any]) -> Loaded:
    page = connection["pageInfo"]
    return Loaded(items, page.get("endCursor"), bool(page.get("hasNextPage")))


class ArtifactTypes(Pages["ArtifactType"]):
    """The types of a project's artifacts."""

    def __init__(
        self, api: Api, entity: str, project: str, per_page: int = 50, start: str | None = None
    ) -> None:
        super().__init__(per_page, start)
        self._api = api
        self.entity = entity
        self.project = project

    def _fetch(self, cursor: str | None) -> Loaded:
        from ._artifact_collections import ArtifactType

        where = {"entity": self.entity, "project": self.project}
        answer = self._api._client.execute(
            documents.TYPES, {**where, "cursor": cursor, "perPage": self.per_page}
        )
        types = _at(answer, f"project {self.entity}/{self.project}", "project", "artifactTypes")
        nodes = [edge["node"] for edge in types["edges"]]
        return _loaded(
            types,
            [ArtifactType(self._api, self.entity, self.project, node["name"], node) for node in nodes],
        )

    def __repr__(self) -> str:
        return f"<ArtifactTypes {self.entity}/{self.project}>"


class _Collections(SizedPages["ArtifactCollection"]):
    """A list of collections."""

    _document = documents.PROJECT_COLLECTIONS
    _path: tuple[str, ...] = ("project", "artifactCollections")

    def __init__(
        self,
        api: Api,
        where: dict[str, Any],
        filters: Mapping[str, Any] | None,
        order: str | None,
        per_page: int,
        start: str | None,
    ) -> None:
        super().__init__(per_page, start)
        self._api = api
        self._where = where
        if (filters or order) and not api._has_feature("ARTIFACT_COLLECTIONS_FILTERING_SORTING"):
            raise UnsupportedError(
                "this server neither filters nor sorts collections\nhint: leave out `filters` and `order`"
            )
        self._filters = None if filters is None else json.dumps(dict(filters))
        self._order = order

    def _fetch(self, cursor: str | None) -> Loaded:
        from ._artifact_collections import ArtifactCollection

        given = {"cursor": cursor, "perPage": self.per_page, "filters": self._filters, "order": self._order}
        document = documents.fitting(self._document, self._api._has_feature)
        answer = self._api._client.execute(document, {**self._where, **given})
        found = _at(answer, f"project or type {'/'.join(map(str, self._where.values()))}", *self._path)
        if found.get("totalCount") is not None:
            self._total = int(found["totalCount"])
        nodes = [edge["node"] for edge in found["edges"]]
        return _loaded(found, [ArtifactCollection._of(self._api, node) for node in nodes])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'/'.join(map(str, self._where.values()))}>"


class ProjectArtifactCollections(_Collections):
    """The collections of a project, of all types."""

    def __init__(
        self,
        api: Api,
        entity: str,
        project: str,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        super().__init__(api, {"entity": entity, "project": project}, filters, order, per_page, start)


class ArtifactCollections(_Collections):
    """The collections of one type in a project."""

    _document = documents.TYPE_COLLECTIONS
    _path = ("project", "artifactType", "artifactCollections")

    def __init__(
        self,
        api: Api,
        entity: str,
        project: str,
        type_name: str,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        where = {"entity": entity, "project": project, "type": type_name}
        super().__init__(api, where, filters, order, per_page, start)


class Artifacts(SizedPages["Artifact"]):
    """The versions in a collection, the newest first.

    Args:
        api: The server.
        entity: The entity of the project.
        project: The project.
        collection_name: The collection.
        type: Its type.
        filters: In the MongoDB query language; complete versions by default.
        order: A key with `+` or `-` in front.
        per_page: Versions per request.
        tags: Only versions with all of these tags.
        start: Where to begin: the `cursor` of an earlier list.
    """

    def __init__(
        self,
        api: Api,
        entity: str,
        project: str,
        collection_name: str,
        type: str,  # noqa: A002 - wandb's name
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        tags: str | list[str] | None = None,
        start: str | None = None,
    ) -> None:
        super().__init__(per_page, start)
        self._api = api
        self.entity = entity
        self.project = project
        self.collection_name = collection_name
        self.type = type
        self.filters = dict(_COMMITTED if filters is None else filters)
        self.order = order
        self.tags = [tags] if isinstance(tags, str) else list(tags or [])

    def _fetch(self, cursor: str | None) -> Loaded:
        from runlane.artifacts import Artifact
        from runlane.artifacts._versions import Version

        variables = {
            "entity": self.entity,
            "project": self.project,
            "type": self.type,
            "collection": self.collection_name,
            "cursor": cursor,
            "perPage": self.per_page,
            "order": self.order,
            "filters": json.dumps(self.filters),
        }
        wanted = frozenset(self.tags)
        made: list[Artifact] = []
        while True:
            document = documents.fitting(documents.VERSIONS, self._api._has_feature)
            answer = self._api._client.execute(document, variables)
            where = f"artifact collection {self.entity}/{self.project}/{self.collection_name} of type {self.type!r}"
            found = _at(answer, where, "project", "artifactType", "artifactCollection", "artifacts")
            self._total = int(found["totalCount"])
            for edge in found["edges"]:
                version = Version.of_member(
                    self._api,
                    edge["node"],
                    self.entity,
                    self.project,
                    self.collection_name,
                    int(str(edge["version"])[1:]),
                )
                if wanted <= set(version.tags):
                    made.append(Artifact._from_version(version))
            page = found["pageInfo"]
            # A page without any of the tags is no end of the list.
            if made or not page["hasNextPage"] or page["endCursor"] == variables["cursor"]:
                return _loaded(found, made)
            variables["cursor"] = page["endCursor"]

    def __repr__(self) -> str:
        return f"<Artifacts {self.entity}/{self.project}/{self.collection_name}>"


class RunArtifacts(SizedPages["Artifact"]):
    """The versions that a run logged or used."""

    def __init__(
        self,
        api: Api,
        run: Run,
        mode: Literal["logged", "used"] = "logged",
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        if mode not in ("logged", "used"):
            raise InvalidArgumentError(f"`mode` must be 'logged' or 'used', got {mode!r}")
        super().__init__(per_page, start)
        self._api = api
        self.run = run
        self.mode = mode

    def _fetch(self, cursor: str | None) -> Loaded:
        from runlane.artifacts import Artifact

        where = {"entity": self.run.entity, "project": self.run.project, "run": self.run.id}
        document = documents.RUN_LOGGED if self.mode == "logged" else documents.RUN_USED
        answer = self._api._client.execute(
            documents.fitting(document, self._api._has_feature),
            {**where, "cursor": cursor, "perPage": self.per_page},
        )
        found = _at(answer, f"run {'/'.join(self.run.path)}", "project", "run", "artifacts")
        self._total = int(found["totalCount"])
        # What the caller may not see is there without its project.
        nodes = [
            edge["node"]
            for edge in found["edges"]
            if (edge["node"].get("artifactSequence") or {}).get("project")
        ]
        return _loaded(found, [Artifact._from_stored(self._api, node) for node in nodes])

    def __repr__(self) -> str:
        return f"<RunArtifacts {'/'.join(self.run.path)} ({self.mode})>"


class _FilesOwner:
    """What `File` needs of whatever its file belongs to."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def _project_id(self) -> NoReturn:
        raise UnsupportedError("a file of an artifact cannot be deleted\nhint: log a version without it")


class ArtifactFiles(SizedPages["File"]):
    """The files of a version, as the server lists them."""

    def __init__(
        self,
        api: Api,
        artifact: Artifact,
        names: Sequence[str] | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> None:
        super().__init__(per_page, start)
        self._api = api
        self.artifact = artifact
        self._names = None if names is None else list(names)

    @property
    def path(self) -> list[str]:
        """Entity, project and name of the artifact."""
        return [self.artifact.entity, self.artifact.project, self.artifact.name]

    def _fetch(self, cursor: str | None) -> Loaded:
        version = self.artifact._stored_version
        variables = {
            "entity": version.entity,
            "project": version.project,
            "collection": version.collection,
            "alias": version.label,
            "fileNames": self._names,
            "cursor": cursor,
            "perPage": self.per_page,
        }
        answer = self._api._client.execute(
            documents.fitting(documents.FILES, self._api._has_feature), variables
        )
        where = f"artifact {'/'.join(self.path)}"
        found = _at(answer, where, "project", "artifactCollection", "artifactMembership", "files")
        if found.get("fileTotal") is not None:
            self._total = int(found["fileTotal"])
        owner: Any = _FilesOwner(self._api)
        return _loaded(found, [File(owner, edge["node"]) for edge in found["edges"]])

    def __len__(self) -> int:
        """How many files there are."""
        if self._total is None:
            self._load_until(1)
        if self._total is None:
            # A server that does not count them.
            self._load_until(None)
            return len(self.objects)
        return self._total

    def __repr__(self) -> str:
        return f"<ArtifactFiles {'/'.join(self.path)} ({len(self)})>"
