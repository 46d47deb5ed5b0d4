"""Links: a version as a member of collections other than the one it was logged to."""

from __future__ import annotations

from runlane._later import refuse

from . import _checks
from . import _documents as documents
from ._versions import Version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._artifact import Artifact

_REGISTRY = "wandb-registry-"


def target(path: str, entity: str, project: str) -> tuple[str, str, str]:
    """Entity, project and collection of a path to link to; what it leaves out is given.

    Raises:
        ValueError: It is no such path.
        NotYetError: It leads to a registry.
    """
    if not isinstance(path, str):
        raise TypeError(f"`target_path` must be a string, got {type(path).__name__}")
    parts = path.split("/")
    if len(parts) > 3 or not all(parts):
        raise ValueError(
            f"invalid target path {path!r}: expected `collection`, `project/collection` or `entity/project/collection`"
        )
    if ":" in parts[-1]:
        raise ValueError(
            f"invalid target path {path!r}: it must not name an alias or version; give those as `aliases`"
        )
    collection = _checks.artifact_name(parts[-1])
    if len(parts) > 1:
        project = parts[-2]
    if len(parts) > 2:
        entity = parts[0]
    if project.startswith(_REGISTRY):
        refuse(f"link to {path}", "registries")
    return entity, project, collection


def link(artifact: Artifact, path: str, aliases: Iterable[str] | None, entity: str, project: str) -> Artifact:
    """Link a stored version; see `Artifact.link`."""
    entity, project, collection = target(path, entity, project)
    checked = _checks.aliases(aliases)
    version = artifact._stored_version
    given = {
        "artifactID": version.id,
        "artifactPortfolioName": collection,
        "entityName": entity,
        "projectName": project,
        "aliases": [{"artifactCollectionName": collection, "alias": alias} for alias in checked],
    }
    index = artifact._execute(documents.LINK, {"input": given})["result"]["versionIndex"]
    found = None
    if index is not None:
        found = Version.by_name(version.api, entity, project, f"{collection}:v{index}")
    if found is None:
        raise ValueError(f"the server did not link `{artifact.name}` to `{entity}/{project}/{collection}`")
    return artifact._from_version(found)


def unlink(artifact: Artifact) -> None:
    """Remove a link; see `Artifact.unlink`."""
    if not artifact.is_link:
        raise ValueError(
            f"Artifact {artifact.qualified_name!r} is not a linked artifact and cannot be unlinked."
            "\nhint: `artifact.delete()` deletes the version itself"
        )
    given = {"artifactID": artifact.id, "artifactPortfolioID": artifact.collection.id}
    artifact._execute(documents.UNLINK, {"input": given})


def linked(artifact: Artifact) -> list[Artifact]:
    """The version in each collection that it is linked to."""
    version = artifact._stored_version
    found = artifact._execute(documents.LINKED, {"artifactID": version.id}).get("artifact") or {}
    made = []
    for edge in (found.get("artifactMemberships") or {}).get("edges") or []:
        node = edge.get("node") or {}
        collection = node.get("artifactCollection") or {}
        if not collection.get("project"):
            continue
        member = Version.of_membership(version.api, {**node, "artifact": version.attrs})
        if member.is_link:
            made.append(artifact._from_version(member))
    return made


def source_is_writable(version: Version) -> bool:
    """Whether description, metadata and tags of a link can be changed, which are those of the source."""
    if version.source_project is None:
        return False
    variables = {"entity": version.source_entity, "project": version.source_project}
    project = version.api._client.execute(documents.READ_ONLY, variables).get("project")
    return project is not None and not project.get("readOnly")
