"""What an artifact has because it is stored at a server: where it is, who made it, and how to change it there."""

from __future__ import annotations

from datetime import timedelta

from runlane._json_text import encode
from runlane._settings_paths import url_quoted
from runlane.errors import CommError

from . import _checks, _linking
from . import _documents as documents
from ._errors import ArtifactNotLoggedError, needs_logged
from ._ttl import INHERITED_SECS, OFF_SECS, ArtifactTTL
from ._versions import Version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from typing_extensions import Self

    from runlane._settings import Settings
    from runlane.public_api import Api, ArtifactCollection, Run

    from ._artifact import Artifact
    from ._entries import ArtifactManifest


class Stored:
    """The part of `Artifact` that is about the version at the server. A draft has little of it."""

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

    # --- becoming stored --------------------------------------------------------------------------------------------

    @classmethod
    def _from_version(cls, version: Version) -> Artifact:
        """The artifact of a stored version."""
        made = cls.__new__(cls)
        made._prepare(version.collection, version.attrs["artifactType"]["name"])
        made._take(version)
        return made

    @classmethod
    def _from_stored(cls, api: Api, attrs: dict[str, Any]) -> Artifact:
        """The artifact of a version, where it was logged, of an `ArtifactFragment`."""
        return cls._from_version(Version.of_artifact(api, attrs))

    def _take(self, version: Version) -> None:
        """Take everything that the server says of a version."""
        attrs = version.attrs
        self._version = version
        self._final = True
        self._name = version.collection
        self._type = attrs["artifactType"]["name"]
        self._description = attrs.get("description")
        self._metadata = version.metadata
        self._aliases = list(version.aliases)
        self._tags = version.tags
        seconds = attrs.get("ttlDurationSeconds")
        self._ttl = timedelta(seconds=int(seconds)) if seconds and int(seconds) > 0 else None
        self._ttl_changed = False

    def _become(self, stored: Stored) -> None:
        """Turn a draft that was logged into the version that it became; its entries are the server's from now on."""
        assert stored._version is not None, "only what is stored can be become"
        self._manifest = None
        self._take(stored._version)

    @property
    def _stored_version(self) -> Version:
        if self._version is None:
            raise ArtifactNotLoggedError("Artifact", self)
        return self._version

    def _execute(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        api = self._stored_version.api
        return api._client.execute(documents.fitting(document, api._has_feature), variables)

    def is_draft(self) -> bool:
        """Whether the artifact is not stored (yet)."""
        return self._version is None

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until a logged artifact is stored; from then on it has a version.

        Args:
            timeout: Seconds; None: as long as it takes.

        Raises:
            ArtifactNotLoggedError: It was not logged, or in an offline run.
            WaitTimeoutError: It is not stored yet.
            ValueError: It could not be stored.
        """
        if self._version is not None:
            return self
        if self._saving is None:
            raise ArtifactNotLoggedError("Artifact.wait", self)
        artifact_id = self._saving.wait(timeout)
        api = self._saving.api()
        version = Version.by_id(api, artifact_id)
        if version is None:
            raise CommError(f"the server does not know the artifact `{artifact_id}` that was just stored")
        self._manifest = None
        self._take(version)
        return self

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

    # --- changing it ------------------------------------------------------------------------------------------------

    def save(self, project: str | None = None, settings: Settings | None = None) -> None:
        """Send what was changed; a draft is logged, to the current run or to one of its own.

        Args:
            project: Where a draft goes if there is no current run.
            settings: Of the run of its own.

        Raises:
            CommError: The server cannot be reached, or refused it.
        """
        if self._version is not None:
            self._update()
            return
        import runlane

        if runlane.run is not None:
            runlane.run.log_artifact(self)  # type: ignore[arg-type]
            return
        with runlane.init(project=project, job_type="auto", settings=settings) as run:
            run.log_artifact(self)  # type: ignore[arg-type]

    def _update(self) -> None:
        version = self._stored_version
        self._update_aliases(version)
        if version.is_link and not _linking.source_is_writable(version):
            return
        known = version.tags
        given: dict[str, Any] = {
            "artifactID": version.id,
            "description": self._description,
            "metadata": encode(_checks.metadata(self._metadata)),
            "tagsToAdd": [{"tagName": tag} for tag in _checks.tags(self._tags) if tag not in known],
            "tagsToDelete": [{"tagName": tag} for tag in known if tag not in self._tags],
        }
        seconds = self._ttl_secs()
        if seconds is not None:
            given["ttlDurationSeconds"] = seconds
        answer = self._execute(documents.UPDATE, {"input": given})
        version.take(answer["result"]["artifact"])
        self._take(version)

    def _update_aliases(self, version: Version) -> None:
        wanted = _checks.aliases(self._aliases)
        place = {
            "entityName": version.entity,
            "projectName": version.project,
            "artifactCollectionName": version.collection,
        }
        for document, aliases in (
            (documents.ADD_ALIASES, [alias for alias in wanted if alias not in version.aliases]),
            (documents.DELETE_ALIASES, [alias for alias in version.aliases if alias not in wanted]),
        ):
            if aliases:
                given = {
                    "artifactID": version.id,
                    "aliases": [{**place, "alias": alias} for alias in aliases],
                }
                self._execute(document, {"input": given})
        version.aliases = wanted

    @needs_logged
    def delete(self, delete_aliases: bool = False) -> None:
        """Delete the version; of a link only the link.

        Args:
            delete_aliases: Delete it although it has aliases.

        Raises:
            CommError: It has aliases and `delete_aliases` is false, or the server cannot be reached.
        """
        if self.is_link:
            self.unlink()
            return
        given = {"artifactID": self.id, "deleteAliases": delete_aliases}
        self._execute(documents.DELETE, {"input": given})
        self._stored_version.attrs["state"] = "DELETED"

    def link(self, target_path: str, aliases: Iterable[str] | None = None) -> Artifact:
        """Link the version to another collection, which is made if it does not exist.

        Args:
            target_path: `collection`, `project/collection` or `entity/project/collection`; what is left out is the current
                run's, else the artifact's own.
            aliases: Aliases in that collection.

        Returns:
            The version as a member of that collection.

        Raises:
            ValueError: The path is none.
            CommError: The server cannot be reached, or refused it.
        """
        import runlane

        if self._version is None:
            if self._saving is None:
                self.save()
            self.wait()
        version = self._stored_version
        run = runlane.run
        entity = run.entity if run is not None and run.entity else version.entity
        project = run.project if run is not None and run.project else version.project
        return _linking.link(self, target_path, aliases, entity, project)  # type: ignore[arg-type]

    @needs_logged
    def unlink(self) -> None:
        """Take the version out of the collection that it is linked to.

        Raises:
            ValueError: This is the version where it was logged.
            CommError: The server cannot be reached, or refused it.
        """
        _linking.unlink(self)  # type: ignore[arg-type]

    # --- what it comes from -----------------------------------------------------------------------------------------

    @needs_logged
    def logged_by(self) -> Run | None:
        """The run that logged the version; None if a user did, or the run is gone."""
        found = (self._execute(documents.CREATED_BY, {"id": self.id}).get("artifact") or {}).get("createdBy")
        return self._run(found) if found and found.get("__typename", "Run") == "Run" else None

    @needs_logged
    def used_by(self) -> list[Run]:
        """The runs that used the version."""
        found = self._execute(documents.USED_BY, {"id": self.id}).get("artifact") or {}
        edges = (found.get("usedBy") or {}).get("edges") or []
        return [self._run(edge["node"]) for edge in edges]

    def _run(self, node: dict[str, Any]) -> Run:
        from runlane.public_api import Run

        place = node["project"]
        return Run(self._stored_version.api, place["entity"]["name"], place["name"], node["name"])

    @needs_logged
    def new_draft(self) -> Artifact:
        """A draft with the contents of this version, to be changed and logged as the next one; stored files are not sent again."""
        from ._entries import ArtifactManifest

        version = self._stored_version
        made = self.__class__.__new__(self.__class__)
        made._prepare(str(version.source_collection), self._type)
        made._description = self._description
        made._metadata = dict(self._metadata)
        made._base_id = version.id
        made._manifest = ArtifactManifest.copy_of(self.manifest)  # type: ignore[attr-defined]
        return made

    @needs_logged
    def json_encode(self) -> dict[str, Any]:
        """What a run's config holds for the artifact."""
        return {
            "_type": "artifactVersion",
            "_version": "v0",
            "id": self.id,
            "version": self.source_version,
            "sequenceName": self._stored_version.source_collection,
            "usedAs": self._use_as,  # type: ignore[attr-defined]
        }

    def _config_value(self) -> dict[str, Any]:
        return self.json_encode()

    def __repr__(self) -> str:
        return f"<Artifact {self.id or self._name}>"
