"""`ArtifactType` and `ArtifactCollection`."""

from __future__ import annotations

from runlane.artifacts import _checks
from runlane.artifacts import _documents as documents

from ._artifact_lists import ArtifactCollections, Artifacts
from ._attributes import Attributes
from ._errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ._api import Api

_SEQUENCE = "ArtifactSequence"


class ArtifactType(Attributes):
    """A type of artifacts in a project. Attributes: `description`, `created_at`."""

    def __init__(
        self, api: Api, entity: str, project: str, type_name: str, attrs: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(dict(attrs or {}))
        self._api = api
        self.entity = entity
        self.project = project
        self.type = type_name
        if attrs is None:
            self.load()

    def load(self) -> dict[str, Any]:
        """Read the type.

        Raises:
            ValueError: There is no such type; also a `CommError`.
        """
        variables = {"entity": self.entity, "project": self.project, "type": self.type}
        found = (self._api._client.execute(documents.TYPE, variables).get("project") or {}).get(
            "artifactType"
        )
        if not found:
            raise InvalidArgumentError(
                f"Could not find artifact type {self.type!r} in {self.entity}/{self.project}"
            )
        self._attrs = dict(found)
        return self._attrs

    @property
    def id(self) -> str:
        """The server's id of the type."""
        return str(self._attrs["id"])

    @property
    def name(self) -> str:
        """The type."""
        return self.type

    def collections(
        self,
        filters: Mapping[str, Any] | None = None,
        order: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> ArtifactCollections:
        """The collections of this type, loaded page by page.

        Args:
            filters: In the MongoDB query language: `{"name": "data"}`.
            order: `name`, `created_at` or `updated_at` with `+` or `-` in front.
            per_page: Collections per request.
            start: Where to begin: the `cursor` of an earlier list.

        Raises:
            UnsupportedError: The server neither filters nor sorts.
        """
        return ArtifactCollections(
            self._api, self.entity, self.project, self.type, filters, order, per_page, start
        )

    def collection(self, name: str) -> ArtifactCollection:
        """One collection of this type.

        Raises:
            ValueError: There is none; also a `CommError`.
        """
        return ArtifactCollection(self._api, self.entity, self.project, name, self.type)

    def __repr__(self) -> str:
        return f"<ArtifactType {self.type}>"


class ArtifactCollection:
    """A collection of versions: what is logged under one name, or linked to one. Changes are sent by `save`."""

    def __init__(
        self,
        api: Api,
        entity: str,
        project: str,
        name: str,
        type: str,  # noqa: A002 - wandb's name
        organization: str | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> None:
        del organization
        self._api = api
        self._entity = entity
        self._project = project
        self._name = name
        self._type = type
        self._aliases: list[str] | None = None
        if attrs is None:
            self.load(entity, project, type, name)
        else:
            self._take(attrs)

    @classmethod
    def _of(cls, api: Api, attrs: Mapping[str, Any]) -> ArtifactCollection:
        place = attrs["project"]
        return cls(
            api, place["entity"]["name"], place["name"], attrs["name"], attrs["type"]["name"], None, attrs
        )

    def _take(self, attrs: Mapping[str, Any]) -> None:
        self._attrs = dict(attrs)
        self._saved_name = self._name = str(attrs["name"])
        self._saved_type = self._type = str(attrs["type"]["name"])
        self._saved_description = self._description = attrs.get("description")
        tags = [str(edge["node"]["name"]) for edge in (attrs.get("tags") or {}).get("edges") or []]
        self._saved_tags, self._tags = tags, list(tags)
        place = attrs.get("project") or {}
        self._project = place.get("name") or self._project
        self._entity = (place.get("entity") or {}).get("name") or self._entity

    def load(self, entity: str, project: str, type_: str, name: str) -> dict[str, Any]:
        """Read the collection.

        Raises:
            ValueError: There is no such collection; also a `CommError`.
        """
        variables = {"entity": entity, "project": project, "type": type_, "name": name}
        answer = self._api._client.execute(documents.COLLECTION, variables)
        found = ((answer.get("project") or {}).get("artifactType") or {}).get("artifactCollection")
        if not found:
            raise InvalidArgumentError(
                f"Could not find artifact collection {name!r} of type {type_!r} in {entity}/{project}"
            )
        self._take(found)
        return self._attrs

    @property
    def id(self) -> str:
        """The server's id of the collection."""
        return str(self._attrs["id"])

    @property
    def entity(self) -> str:
        """The entity of the project."""
        return self._entity

    @property
    def project(self) -> str:
        """The project."""
        return self._project

    @property
    def project_id(self) -> str:
        """The server's id of the project."""
        return str(self._attrs["project"]["id"])

    @property
    def project_internal_id(self) -> int | None:
        """The server's number of the project; None if it does not tell."""
        import base64

        try:
            text = base64.b64decode(str(self._attrs["project"].get("internalId"))).decode()
            return int(text.rpartition(":")[2])
        except ValueError:
            return None

    @property
    def created_at(self) -> str:
        """When the collection was made, in UTC."""
        return str(self._attrs["createdAt"])

    @property
    def updated_at(self) -> str | None:
        """When the collection was last changed, in UTC."""
        return self._attrs.get("updatedAt")

    @property
    def name(self) -> str:
        """The name; of a collection that versions are logged to it can be changed."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = _checks.artifact_name(name)

    @property
    def type(self) -> str:
        """The type; of a collection that versions are logged to it can be changed."""
        return self._type

    @type.setter  # noqa: A003 - wandb's name
    def type(self, type_: str) -> None:
        if not self.is_sequence():
            raise InvalidArgumentError(
                f"the type of `{self._name}` cannot be changed: versions are linked to it"
            )
        self._type = _checks.artifact_type(type_, self._name)

    @property
    def description(self) -> str | None:
        """What the collection is, for people."""
        return self._description

    @description.setter
    def description(self, description: str | None) -> None:
        self._description = None if description is None else _checks.text("description", description)

    @property
    def tags(self) -> list[str]:
        """The collection's tags."""
        return self._tags

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        self._tags = _checks.tags(tags)

    @property
    def aliases(self) -> list[str]:
        """The aliases of all versions in the collection, as they were first read."""
        if self._aliases is None:
            found: list[str] = []
            cursor: str | None = None
            while True:
                answer = self._api._client.execute(
                    documents.COLLECTION_ALIASES, {"id": self.id, "cursor": cursor}
                )
                aliases = (answer.get("artifactCollection") or {}).get("aliases") or {"edges": []}
                found += [str(edge["node"]["alias"]) for edge in aliases["edges"]]
                page = aliases.get("pageInfo") or {}
                if not page.get("hasNextPage") or page.get("endCursor") in (None, cursor):
                    break
                cursor = page["endCursor"]
            self._aliases = found
        return self._aliases

    def is_sequence(self) -> bool:
        """Whether versions are logged to the collection; False: they are linked to it."""
        return bool(self._attrs.get("__typename") == _SEQUENCE)

    def artifacts(self, per_page: int = 50, start: str | None = None) -> Artifacts:
        """The versions, the newest first, loaded page by page."""
        return Artifacts(
            self._api,
            self._entity,
            self._project,
            self._saved_name,
            self._saved_type,
            per_page=per_page,
            start=start,
        )

    def change_type(self, new_type: str) -> None:
        """Give a collection that versions are logged to another type, at once; wandb prefers `type` and `save`.

        Raises:
            ValueError: Versions are linked to it; also a `CommError`.
            CommError: The server cannot be reached, or refused it.
        """
        self.type = new_type
        self._move()

    def _move(self) -> None:
        given = {"artifactSequenceID": self.id, "destinationArtifactTypeName": self._type}
        self._api._client.execute(documents.MOVE_SEQUENCE, {"input": given})
        self._saved_type = self._type

    def save(self) -> None:
        """Send what was changed.

        Raises:
            CommError: The server cannot be reached, or refused it.
        """
        client = self._api._client
        if (self._name, self._description) != (self._saved_name, self._saved_description):
            sequence = self.is_sequence()
            given = {
                "artifactSequenceID" if sequence else "artifactPortfolioID": self.id,
                "name": self._name,
                "description": self._description,
            }
            client.execute(
                documents.UPDATE_SEQUENCE if sequence else documents.UPDATE_PORTFOLIO, {"input": given}
            )
            self._saved_name, self._saved_description = self._name, self._description
        if self._type != self._saved_type:
            self._move()
        wanted = _checks.tags(self._tags)
        place = {
            "entityName": self._entity,
            "projectName": self._project,
            "artifactCollectionName": self._saved_name,
        }
        for document, tags in (
            (documents.ADD_COLLECTION_TAGS, [tag for tag in wanted if tag not in self._saved_tags]),
            (documents.DELETE_COLLECTION_TAGS, [tag for tag in self._saved_tags if tag not in wanted]),
        ):
            if tags:
                client.execute(document, {"input": {**place, "tags": [{"tagName": tag} for tag in tags]}})
        self._saved_tags, self._tags = wanted, list(wanted)

    def delete(self) -> None:
        """Delete the collection: with its versions if they are logged to it, else only the links.

        Raises:
            CommError: The server cannot be reached, or refused it.
        """
        document = documents.DELETE_SEQUENCE if self.is_sequence() else documents.DELETE_PORTFOLIO
        self._api._client.execute(document, {"id": self.id})

    def __repr__(self) -> str:
        return f"<ArtifactCollection {self._name} ({self._type})>"
