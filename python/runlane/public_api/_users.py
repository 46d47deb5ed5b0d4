"""`User`, `Team` and `Member`: who can do what at a server."""

from __future__ import annotations

from runlane.errors import CommError

from . import _queries as queries
from ._attributes import Attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Any

    from ._api import Api


def _nodes(connection: Any) -> list[dict[str, Any]]:
    return [edge["node"] for edge in (connection or {}).get("edges") or []]


class User(Attributes):
    """An account. Attributes: `id`, `name`, `username`, `email`, `admin`, `entity`, `flags`, `deleted_at`."""

    def __init__(self, api: Api, attrs: MutableMapping[str, Any], api_key: str | None = None) -> None:
        super().__init__(attrs)
        self._api = api
        self._user_api_key = api_key

    @classmethod
    def create(cls, api: Api, email: str, admin: bool | None = False) -> User:
        """Make an account.

        Raises:
            CommError: The server does not make accounts, or not for the caller.
        """
        result = api._client.execute(queries.CREATE_USER, {"email": email, "admin": admin})
        return cls(api, dict((result.get("result") or {}).get("user") or {}))

    @property
    def api_keys(self) -> list[str]:
        """The names of the account's keys."""
        return [str(node["name"]) for node in _nodes(self._attrs.get("apiKeys"))]

    @property
    def teams(self) -> list[str]:
        """The names of the entities that the account belongs to."""
        return [str(node["name"]) for node in _nodes(self._attrs.get("teams"))]

    @property
    def user_api(self) -> Api | None:
        """An `Api` with a key of this account, if one is known."""
        from ._api import Api

        key = self._user_api_key
        if key is None and self._attrs.get("id") == self._api.viewer._attrs.get("id"):
            key = self._api.api_key
        if key is None:
            return None
        return Api({"base_url": self._api._client.base_url}, self._api.timeout, key)

    def generate_api_key(self, description: str | None = None) -> str | None:
        """A new key of the account that calls; None if the server made none."""
        try:
            result = self._api._client.execute(queries.GENERATE_API_KEY, {"description": description})
        except CommError as error:
            if error.exc is not None:
                raise
            return None
        made = (result.get("result") or {}).get("apiKey")
        if not made:
            return None
        self._attrs.setdefault("apiKeys", {"edges": []})["edges"].append({"node": made})
        self._user_api_key = str(made["name"])
        return self._user_api_key

    def delete_api_key(self, api_key: str) -> bool:
        """Delete a key of the account, given by its name; whether it was deleted."""
        found = [node for node in _nodes(self._attrs.get("apiKeys")) if node["name"] == api_key]
        if not found:
            return False
        result = self._api._client.execute(queries.DELETE_API_KEY, {"id": found[0]["id"]})
        if not (result.get("result") or {}).get("success"):
            return False
        edges = self._attrs["apiKeys"]["edges"]
        edges[:] = [edge for edge in edges if edge["node"] is not found[0]]
        return True

    def __repr__(self) -> str:
        shown = self._attrs.get("email") or self._attrs.get("username") or self._attrs.get("name") or ""
        return f"<User {shown}>"


class Member(Attributes):
    """Somebody in a team. Attributes: `id`, `name`, `username`, `email`, `admin`, `pending`, `account_type`, `api_key`."""

    def __init__(self, api: Api, team: str, attrs: Mapping[str, Any]) -> None:
        super().__init__(dict(attrs))
        self._api = api
        self.team = team

    def delete(self) -> bool:
        """Take the member out of the team; whether it was taken out."""
        variables = {"id": self._attrs["id"], "entity": self.team}
        result = self._api._client.execute(queries.DELETE_INVITE, variables)
        return bool((result.get("result") or {}).get("success"))

    def __repr__(self) -> str:
        return f"<Member {self._attrs.get('name')} ({self._attrs.get('accountType')})>"


class Team(Attributes):
    """A team: an entity with members. Attributes: `members`, `storage_bytes`, `default_access` and more."""

    def __init__(self, api: Api, name: str, attrs: Mapping[str, Any] | None = None) -> None:
        super().__init__(dict(attrs or {}))
        self._api = api
        self.name = name
        self._loaded = False
        self.load()

    @classmethod
    def create(cls, api: Api, team: str, admin_username: str | None = None) -> Team:
        """Make a team.

        Raises:
            CommError: The server does not make teams, or not for the caller.
        """
        variables = {"teamName": team, "teamAdminUserName": admin_username}
        result = api._client.execute(queries.CREATE_TEAM, variables)
        return cls(api, team, (result.get("result") or {}).get("entity"))

    def load(self, force: bool = False) -> dict[str, Any]:
        """Read the team; again only with `force`.

        Raises:
            ValueError: There is no such team.
        """
        if force or not self._loaded:
            entity = self._api._client.execute(queries.TEAM, {"name": self.name}).get("entity")
            if entity is None:
                raise ValueError(f"Could not find team {self.name}")
            self._attrs = dict(entity)
            self._attrs["members"] = [
                Member(self._api, self.name, member) for member in entity.get("members") or []
            ]
            self._loaded = True
        return dict(self._attrs)

    def invite(self, username_or_email: str, admin: bool = False) -> bool:
        """Ask somebody in; whether the invitation was made."""
        kind = "email" if "@" in username_or_email else "username"
        variables = {"entity": self.name, "admin": admin, kind: username_or_email}
        try:
            result = self._api._client.execute(queries.CREATE_INVITE, variables)
        except CommError as error:
            if error.exc is not None:
                raise
            return False
        return bool((result.get("result") or {}).get("invite"))

    def create_service_account(self, description: str) -> Member | None:
        """An account for programs; None if the server made none."""
        variables = {"entity": self.name, "description": description}
        try:
            result = self._api._client.execute(queries.CREATE_SERVICE_ACCOUNT, variables)
        except CommError as error:
            if error.exc is not None:
                raise
            return None
        if not (result.get("result") or {}).get("user"):
            return None
        self.load(force=True)
        members = self._attrs["members"]
        return members[-1] if members else None

    def __repr__(self) -> str:
        return f"<Team {self.name}>"
