"""`Version`: which version of an artifact, in which collection, and what the server says of it."""

from __future__ import annotations

import json

from runlane.errors import CommError

from . import _documents as documents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from runlane.public_api import Api


class Version:
    """One stored version as a member of one collection: the one it was logged to, or one that it is linked to.

    Attributes:
        api: The server that it is at.
        entity, project, collection, index: Where it is looked at: `<entity>/<project>/<collection>:v<index>`.
        source_entity, source_project, source_collection, source_index: Where it was logged; None: the caller may not see that.
        linked_at: When it became a member of the collection.
        alias: The alias that it was asked for by, if any.
        attrs: The server's answer about the version itself.
        aliases: The aliases that it has in `collection`.
    """

    def __init__(
        self,
        api: Api,
        attrs: Mapping[str, Any],
        *,
        entity: str,
        project: str,
        collection: str,
        index: int | None,
        aliases: list[str],
        linked_at: str | None = None,
    ) -> None:
        self.api = api
        self.entity = entity
        self.project = project
        self.collection = collection
        self.index = index
        self.linked_at = linked_at
        self.aliases = aliases
        self.alias: str | None = None
        self.take(attrs)

    def take(self, attrs: Mapping[str, Any]) -> None:
        """Take what the server says of the version now."""
        self.attrs = dict(attrs)
        source = attrs.get("artifactSequence") or {}
        place = source.get("project") or {}
        self.source_entity: str | None = (place.get("entity") or {}).get("name")
        self.source_project: str | None = place.get("name")
        self.source_collection: str | None = source.get("name")
        found = attrs.get("versionIndex")
        self.source_index: int | None = None if found is None else int(found)
        self.id = str(attrs["id"])

    @property
    def name(self) -> str:
        """Collection and version, `data:v3`, or the alias that it was asked for by."""
        return f"{self.collection}:{self.alias or self.label}"

    @property
    def label(self) -> str:
        """The version, `v3`."""
        return f"v{self.index}"

    @property
    def is_link(self) -> bool:
        """Whether the collection is one that the version is linked to."""
        return (self.entity, self.project, self.collection) != (
            self.source_entity,
            self.source_project,
            self.source_collection,
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """The version's metadata."""
        text = self.attrs.get("metadata")
        value = json.loads(text) if isinstance(text, str) and text else text
        return value if isinstance(value, dict) else {}

    @property
    def tags(self) -> list[str]:
        """The version's tags."""
        return [str(tag["name"]) for tag in self.attrs.get("tags") or []]

    @classmethod
    def of_membership(cls, api: Api, membership: Mapping[str, Any]) -> Version:
        """The version in a collection, of an `ArtifactMembershipFragment`."""
        collection = membership["artifactCollection"]
        place = collection.get("project") or {}
        return cls(
            api,
            membership["artifact"],
            entity=str((place.get("entity") or {}).get("name")),
            project=str(place.get("name")),
            collection=str(collection["name"]),
            index=membership.get("versionIndex"),
            aliases=[str(alias["alias"]) for alias in membership.get("aliases") or []],
            linked_at=membership.get("createdAt"),
        )

    @classmethod
    def of_artifact(cls, api: Api, attrs: Mapping[str, Any]) -> Version:
        """The version where it was logged, of an `ArtifactFragment`.

        Raises:
            CommError: The caller may not see where that is.
        """
        source = attrs.get("artifactSequence") or {}
        place = source.get("project")
        if not place:
            raise CommError(f"the project of the artifact `{attrs.get('id')}` cannot be read")
        return cls.of_member(
            api, attrs, place["entity"]["name"], place["name"], source["name"], attrs.get("versionIndex")
        )

    @classmethod
    def of_member(
        cls,
        api: Api,
        attrs: Mapping[str, Any],
        entity: str,
        project: str,
        collection: str,
        index: int | None,
    ) -> Version:
        """The version in a collection, of an `ArtifactFragment` with the aliases of all collections."""
        aliases = [
            str(alias["alias"])
            for alias in attrs.get("aliases") or []
            if _is_collection(alias.get("artifactCollection"), entity, project, collection)
        ]
        return cls(
            api,
            attrs,
            entity=entity,
            project=project,
            collection=collection,
            index=index,
            aliases=aliases,
            linked_at=attrs.get("createdAt"),
        )

    @classmethod
    def by_name(cls, api: Api, entity: str, project: str, name: str) -> Version | None:
        """The version that `<collection>:<alias or version>` means in a project; None if there is none.

        Raises:
            CommError: The server cannot be reached, or refused it.
        """
        variables = {"entity": entity, "project": project, "name": name}
        found = api._client.execute(documents.fitting(documents.BY_NAME, api._has_feature), variables)
        membership = (found.get("project") or {}).get("artifactCollectionMembership")
        return cls.of_membership(api, membership) if membership and membership.get("artifact") else None

    @classmethod
    def by_id(cls, api: Api, artifact_id: str) -> Version | None:
        """The version with a server's id; None if there is none.

        Raises:
            CommError: The server cannot be reached, or refused it.
        """
        document = documents.fitting(documents.BY_ID, api._has_feature)
        attrs = api._client.execute(document, {"id": artifact_id}).get("artifact")
        return cls.of_artifact(api, attrs) if attrs else None


def _is_collection(found: Any, entity: str, project: str, collection: str) -> bool:
    if not isinstance(found, dict):
        return False
    place = found.get("project") or {}
    return (place.get("entity") or {}).get("name") == entity and (place.get("name"), found.get("name")) == (
        project,
        collection,
    )
