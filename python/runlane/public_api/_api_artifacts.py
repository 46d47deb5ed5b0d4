"""What `Api` does with artifacts."""

from __future__ import annotations

from ._artifact_collections import ArtifactCollection, ArtifactType
from ._artifact_lists import ArtifactCollections, Artifacts, ArtifactTypes
from ._errors import InvalidArgumentError
from ._later import later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runlane.artifacts import Artifact

    from ._client import GraphQLClient

_REGISTRY = "wandb-registry-"


class ApiArtifacts:
    """Versions, collections and types of artifacts."""

    if TYPE_CHECKING:
        _client: GraphQLClient

        def _project_path(self, path: str | None) -> tuple[str, str]: ...

    def _artifact_path(self, name: str) -> tuple[str, str, str]:
        """Entity, project and collection with version, of `[[entity/]project/]name[:version]`.

        Raises:
            ValueError: It is none.
            NotYetError: It leads to a registry.
        """
        if not name:
            raise InvalidArgumentError("You must specify name= to fetch an artifact.")
        if not isinstance(name, str):
            raise TypeError(f"`name` must be a string, got {type(name).__name__}")
        parts = name.split("/")
        if len(parts) > 3 or not all(parts):
            raise InvalidArgumentError(
                f"Invalid artifact path: {name!r}; expected `entity/project/name:version`"
            )
        entity, project = self._project_path("/".join(parts[:-1]))
        if project.startswith(_REGISTRY):
            later(f"artifact {name}", "registries")
        return entity, project, parts[-1]

    def _collection_path(self, name: str) -> tuple[str, str, str]:
        entity, project, collection = self._artifact_path(name)
        return entity, project, collection.partition(":")[0]

    def artifact(self, name: str, type: str | None = None) -> Artifact:  # noqa: A002 - wandb's name
        """One version.

        Args:
            name: `entity/project/name:version`; the version may be an alias and is `latest` by default, entity and project are
                the configured ones.
            type: What its type must be.

        Raises:
            ValueError: There is no such version, or it is of another type; also a `CommError`.
            CommError: The server cannot be reached.
        """
        from runlane.artifacts import Artifact
        from runlane.artifacts._versions import Version

        entity, project, member = self._artifact_path(name)
        collection, _, label = member.partition(":")
        member = f"{collection}:{label or 'latest'}"
        version = Version.by_name(self, entity, project, member)  # type: ignore[arg-type]
        if version is None:
            raise InvalidArgumentError(f"artifact '{member}' not found in '{entity}/{project}'")
        version.alias = label or None
        found = Artifact._from_version(version)
        if type is not None and found.type != type:
            raise InvalidArgumentError(f"type {type!r} specified but this artifact is of type {found.type!r}")
        return found

    def artifact_exists(self, name: str, type: str | None = None) -> bool:  # noqa: A002 - wandb's name
        """Whether there is such a version; see `artifact`.

        Raises:
            CommError: The server cannot be reached.
        """
        try:
            self.artifact(name, type)
        except ValueError:
            return False
        return True

    def artifact_collection(self, type_name: str, name: str) -> ArtifactCollection:
        """One collection.

        Args:
            type_name: Its type.
            name: `entity/project/name`.

        Raises:
            ValueError: There is none; also a `CommError`.
        """
        return ArtifactCollection(self, *self._collection_path(name), type_name)  # type: ignore[arg-type]

    def artifact_collection_exists(self, name: str, type: str) -> bool:  # noqa: A002 - wandb's name
        """Whether there is such a collection; see `artifact_collection`.

        Raises:
            CommError: The server cannot be reached.
        """
        try:
            self.artifact_collection(type, name)
        except ValueError:
            return False
        return True

    def artifact_collections(
        self,
        project_name: str,
        type_name: str,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> ArtifactCollections:
        """The collections of one type in a project, loaded page by page.

        Args:
            project_name: `entity/project`.
            type_name: The type.
            order: `name`, `created_at` or `updated_at` with `+` or `-` in front.
            per_page: Collections per request.
            start: Where to begin: the `cursor` of an earlier list.
        """
        entity, project = self._project_path(project_name)
        return ArtifactCollections(self, entity, project, type_name, None, order, per_page, start)  # type: ignore[arg-type]

    def artifact_type(self, type_name: str, project: str | None = None) -> ArtifactType:
        """One type.

        Args:
            type_name: The type.
            project: `entity/project`.

        Raises:
            ValueError: There is none; also a `CommError`.
        """
        return ArtifactType(self, *self._project_path(project), type_name)  # type: ignore[arg-type]

    def artifact_types(self, project: str | None = None, start: str | None = None) -> ArtifactTypes:
        """The types in a project, loaded page by page.

        Args:
            project: `entity/project`.
            start: Where to begin: the `cursor` of an earlier list.
        """
        return ArtifactTypes(self, *self._project_path(project), start=start)  # type: ignore[arg-type]

    def artifact_versions(self, type_name: str, name: str, per_page: int = 50) -> Artifacts:
        """As `artifacts`; wandb deprecates this name."""
        from runlane.terminal import termwarn

        termwarn(
            "Api.artifact_versions(type_name, name) is deprecated, use Api.artifacts(type_name, name) instead.",
            repeat=False,
        )
        return self.artifacts(type_name, name, per_page=per_page)

    def artifacts(
        self,
        type_name: str,
        name: str,
        order: str | None = None,
        per_page: int = 50,
        tags: list[str] | None = None,
        start: str | None = None,
    ) -> Artifacts:
        """The versions in a collection, the newest first, loaded page by page.

        Args:
            type_name: The type of the collection.
            name: `entity/project/name`.
            order: `version_index` or `createdAt`, with `+` or `-` in front.
            per_page: Versions per request.
            tags: Only versions with all of these tags.
            start: Where to begin: the `cursor` of an earlier list.
        """
        entity, project, collection = self._collection_path(name)
        return Artifacts(self, entity, project, collection, type_name, None, order, per_page, tags, start)  # type: ignore[arg-type]
