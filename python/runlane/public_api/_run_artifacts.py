"""What a stored run has to do with artifacts."""

from __future__ import annotations

from runlane.artifacts import _documents as documents

from ._artifact_lists import RunArtifacts
from ._errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from runlane.artifacts import Artifact

    from ._api import Api


class StoredRunArtifacts:
    """The versions that a run logged and used."""

    if TYPE_CHECKING:
        _api: Api
        project: str

        @property
        def entity(self) -> str: ...
        @property
        def id(self) -> str: ...

    def logged_artifacts(self, per_page: int = 100) -> RunArtifacts:
        """The versions that the run logged, loaded page by page."""
        return RunArtifacts(self._api, self, "logged", per_page)  # type: ignore[arg-type]

    def used_artifacts(self, per_page: int = 100) -> RunArtifacts:
        """The versions that the run used, loaded page by page."""
        return RunArtifacts(self._api, self, "used", per_page)  # type: ignore[arg-type]

    def use_artifact(self, artifact: Artifact, use_as: str | None = None) -> Artifact:
        """Record a stored version as an input of the run.

        Args:
            artifact: The version.
            use_as: What it is used as.

        Raises:
            ValueError: It is no artifact, or not stored; also a `CommError`.
            CommError: The server cannot be reached, or refused it.
        """
        _check_stored(artifact)
        record_use(self._api, self.entity, self.project, self.id, artifact, use_as)
        return artifact

    def log_artifact(
        self, artifact: Artifact, aliases: Collection[str] | None = None, tags: Collection[str] | None = None
    ) -> Artifact:
        """Record a stored version of the same project as an output of the run.

        Args:
            artifact: The version.
            aliases: Aliases for it; `latest` is added.
            tags: Tags for it.

        Raises:
            ValueError: It is no artifact, not stored, or of another project; also a `CommError`.
            CommError: The server cannot be reached, or refused it.
        """
        from runlane.artifacts import _checks

        _check_stored(artifact)
        if (artifact.source_entity, artifact.source_project) != (self.entity, self.project):
            raise InvalidArgumentError("A run can't log an artifact to a different project.")
        collection = artifact._stored_version.source_collection
        named: list[Any] = [
            {"artifactCollectionName": collection, "alias": alias}
            for alias in _checks.aliases([*(aliases or ()), "latest"])
        ]
        variables = {
            "artifactTypeName": artifact.type,
            "artifactCollectionNames": [collection],
            "entityName": self.entity,
            "projectName": self.project,
            "runName": self.id,
            "description": artifact.description,
            "digest": artifact.digest,
            "digestAlgorithm": artifact._stored_version.attrs.get("digestAlgorithm") or "MANIFEST_MD5",
            "aliases": named,
            "metadata": None,
            "tags": [{"tagName": tag} for tag in _checks.tags(tags)],
        }
        self._api._client.execute(documents.CREATE, variables)
        return artifact


def _check_stored(artifact: Any) -> None:
    from runlane.artifacts import Artifact

    if not isinstance(artifact, Artifact):
        raise InvalidArgumentError(
            f"You must pass an Artifact, e.g. `api.artifact('name:alias')`; got {type(artifact).__name__}"
        )
    if artifact.is_draft():
        raise InvalidArgumentError(
            "Only existing artifacts are accepted by this api. Manually create one with `runlane artifact put`"
        )


def record_use(
    api: Api, entity: str, project: str, run_id: str, artifact: Artifact, use_as: str | None = None
) -> None:
    """Record a stored version as an input of a run.

    Raises:
        CommError: The server cannot be reached, or refused it.
    """
    variables: dict[str, Any] = {
        "entityName": entity,
        "projectName": project,
        "runName": run_id,
        "artifactID": artifact.id,
    }
    document = documents.USE_PLAIN
    if api._has_feature("USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION"):
        document = documents.USE
        variables |= {
            "usedAs": use_as,
            "artifactEntityName": artifact.entity,
            "artifactProjectName": artifact.project,
        }
    api._client.execute(document, variables)
