"""What an artifact tells of itself: where it is, and what. Most of it a draft does not have yet."""

from __future__ import annotations

from datetime import timedelta

from runlane._settings_paths import url_quoted

from . import _checks, _linking
from ._errors import ArtifactNotLoggedError, needs_logged
from ._ttl import INHERITED_SECS, OFF_SECS, ArtifactTTL
from ._versions import Version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from runlane.public_api import ArtifactCollection

    from ._artifact import Artifact
    from ._entries import ArtifactManifest


class Facts:
    """The part of `Artifact` that tells."""

    _name: str
    _type: str
    _description: str | None
    _metadata: dict[str, Any]
    _ttl: timedelta | ArtifactTTL | None
    _ttl_changed: bool
    _base_id: str | None
    _manifest: ArtifactManifest | None
    _final: bool
    _saving: Any
    _version: Version | None
    _aliases: list[str]
    _tags: list[str]

    if TYPE_CHECKING:

        def __new__(cls, *args: Any) -> Artifact: ...
        def _prepare(self, name: str, type_: str) -> None: ...
        @classmethod
        def _from_version(cls, version: Version) -> Artifact: ...

    @property
    def _stored_version(self) -> Version:
        if self._version is None:
            raise ArtifactNotLoggedError("Artifact", self)
        return self._version

    # --- where it is ------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The server's id of the version; None for a draft."""
        return None if self._version is None else self._version.id

    @property
    def name(self) -> str:
        """The collection's name, with the version behind a colon once there is one: `data:v3`, or the alias that was asked for."""
        return self._name if self._version is None else self._version.name

    @property
    @needs_logged
    def entity(self) -> str:
        """The entity of the collection's project."""
        return self._stored_version.entity

    @property
    @needs_logged
    def project(self) -> str:
        """The project of the collection."""
        return self._stored_version.project

    @property
    def qualified_name(self) -> str:
        """Entity, project and name: `alice/vision/data:v3`."""
        return f"{self.entity}/{self.project}/{self.name}"

    @property
    @needs_logged
    def version(self) -> str:
        """The version in this collection: `v3`."""
        return self._stored_version.label

    @property
    @needs_logged
    def collection(self) -> ArtifactCollection:
        """The collection that this was read from."""
        from runlane.public_api import ArtifactCollection

        version = self._stored_version
        return ArtifactCollection(
            version.api, version.entity, version.project, version.collection, self._type
        )

    def _source(self, what: str, value: Any) -> Any:
        if value is None:
            raise ValueError(f"the {what} that `{self.name}` was logged to cannot be read by this user")
        return value

    @property
    @needs_logged
    def source_entity(self) -> str:
        """The entity of the project that the version was logged to."""
        return str(self._source("entity", self._stored_version.source_entity))

    @property
    @needs_logged
    def source_project(self) -> str:
        """The project that the version was logged to."""
        return str(self._source("project", self._stored_version.source_project))

    @property
    def source_name(self) -> str:
        """Name and version where the version was logged."""
        if self._version is None:
            return self._name
        return f"{self._version.source_collection}:v{self._version.source_index}"

    @property
    @needs_logged
    def source_version(self) -> str:
        """The version where it was logged: `v3`."""
        return f"v{self._stored_version.source_index}"

    @property
    def source_qualified_name(self) -> str:
        """Entity, project and name where the version was logged."""
        return f"{self.source_entity}/{self.source_project}/{self.source_name}"

    @property
    @needs_logged
    def source_collection(self) -> ArtifactCollection:
        """The collection that the version was logged to."""
        from runlane.public_api import ArtifactCollection

        version = self._stored_version
        return ArtifactCollection(
            version.api, self.source_entity, self.source_project, str(version.source_collection), self._type
        )

    @property
    def is_link(self) -> bool:
        """Whether this is the version as a member of a collection that it is linked to."""
        return self._version is not None and self._version.is_link

    @property
    @needs_logged
    def url(self) -> str:
        """The version's page."""
        version = self._stored_version
        project = version.api._settings_for(version.entity, version.project).project_url
        parts = (self._type, version.collection, version.label)
        return f"{project}/artifacts/{'/'.join(url_quoted(part) for part in parts)}" if project else ""

    @property
    @needs_logged
    def linked_artifacts(self) -> list[Artifact]:
        """The version in each collection that it is linked to and that the caller may see."""
        return _linking.linked(self)  # type: ignore[arg-type]

    @property
    @needs_logged
    def source_artifact(self) -> Artifact:
        """The version where it was logged; this object if it is that."""
        if not self.is_link:
            return self  # type: ignore[return-value]
        version = Version.by_name(
            self._stored_version.api, self.source_entity, self.source_project, self.source_name
        )
        if version is None:
            raise ValueError(f"there is no artifact `{self.source_qualified_name}`")
        return self._from_version(version)

    # --- what it is -------------------------------------------------------------------------------------------------

    @property
    def type(self) -> str:
        """The type of the collection."""
        return self._type

    @property
    def description(self) -> str | None:
        """What the version is, for people; of a stored version sent by `save`."""
        return self._description

    @description.setter
    def description(self, description: str | None) -> None:
        self._description = None if description is None else _checks.text("description", description)

    @property
    def metadata(self) -> dict[str, Any]:
        """Facts about the version, a JSON object; of a stored version sent by `save`."""
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: dict[str, Any] | None) -> None:
        self._metadata = _checks.metadata(metadata)

    @property
    def ttl(self) -> timedelta | ArtifactTTL | None:
        """How long the version is kept after it was made; None: for good. Of a stored version sent by `save`."""
        if self._ttl_changed:
            return self._ttl
        if self._version is None:
            raise ArtifactNotLoggedError("Artifact.ttl", self)
        return self._ttl

    @ttl.setter
    def ttl(self, ttl: timedelta | ArtifactTTL | None) -> None:
        if self.is_link:
            raise ValueError(
                f"the TTL of the linked artifact `{self.name}` cannot be set"
                "\nhint: set it on `artifact.source_artifact`"
            )
        if isinstance(ttl, timedelta):
            if ttl.total_seconds() <= 0:
                raise ValueError(f"Artifact TTL Duration has to be positive, got {ttl!r}")
        elif ttl is not None and not isinstance(ttl, ArtifactTTL):
            raise TypeError(
                f"`ttl` must be a `datetime.timedelta`, `ArtifactTTL.INHERIT` or None, got {type(ttl).__name__}"
            )
        self._ttl = ttl
        self._ttl_changed = True

    def _ttl_secs(self) -> int | None:
        """The TTL as it is sent; None: nothing is sent."""
        if not self._ttl_changed:
            return None
        if isinstance(self._ttl, timedelta):
            return max(1, int(self._ttl.total_seconds()))
        return OFF_SECS if self._ttl is None else INHERITED_SECS

    @property
    @needs_logged
    def aliases(self) -> list[str]:
        """The aliases in this collection; changes are sent by `save`."""
        return self._aliases

    @aliases.setter
    @needs_logged
    def aliases(self, aliases: Iterable[str]) -> None:
        self._aliases = _checks.aliases(aliases)

    @property
    @needs_logged
    def tags(self) -> list[str]:
        """The version's tags; changes are sent by `save`."""
        return self._tags

    @tags.setter
    @needs_logged
    def tags(self, tags: Iterable[str]) -> None:
        self._tags = _checks.tags(tags)

    @property
    def state(self) -> str:
        """`PENDING`, `COMMITTED`, `DELETED`, `PENDING_DELETION` or `GARBAGE_COLLECTED`."""
        return "PENDING" if self._version is None else str(self._version.attrs["state"])

    @property
    @needs_logged
    def commit_hash(self) -> str:
        """The hash that the server gave the version."""
        return str(self._stored_version.attrs.get("commitHash") or "")

    @property
    @needs_logged
    def file_count(self) -> int:
        """How many entries the version has, references included."""
        return int(self._stored_version.attrs.get("fileCount") or 0)

    @property
    @needs_logged
    def created_at(self) -> str:
        """When the version was made, in UTC."""
        return str(self._stored_version.attrs["createdAt"])

    @property
    @needs_logged
    def updated_at(self) -> str:
        """When the version was last changed, in UTC."""
        attrs = self._stored_version.attrs
        return str(attrs.get("updatedAt") or attrs["createdAt"])

    @property
    @needs_logged
    def linked_at(self) -> str | None:
        """When the version was linked to this collection, in UTC; None where it was logged."""
        version = self._stored_version
        return version.linked_at if version.is_link else None

    @property
    @needs_logged
    def history_step(self) -> int | None:
        """The step of the run's history that had been logged last; None: no step, or no run."""
        step = self._stored_version.attrs.get("historyStep")
        return None if step is None else int(step)
