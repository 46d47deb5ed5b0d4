"""Becoming the version at the server, changing it there, and where it comes from."""

from __future__ import annotations

from datetime import timedelta

from runlane._json_text import encode
from runlane.errors import CommError

from . import _checks, _linking
from . import _documents as documents
from ._errors import ArtifactNotLoggedError, needs_logged
from ._facts import Facts
from ._versions import Version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from typing_extensions import Self

    from runlane._settings import Settings
    from runlane.public_api import Api, Run

    from ._artifact import Artifact


class Stored(Facts):
    """The part of `Artifact` that goes between a draft and the server."""

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
