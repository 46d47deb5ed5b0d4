"""`server user` and `server team`: who may use a server. Asks the running server, with an administrator's key."""

from __future__ import annotations

import json
import os

import click

from runlane.errors import CommError

from . import _destination
from ._server import server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TIMEOUT_SECS = 30.0

_USERS = """query Users {
  users { edges { node { username email admin entity deletedAt teams { edges { node { name isTeam } } } } } }
}"""
_CREATE_USER = """mutation CreateUser($email: String!, $username: String, $admin: Boolean) {
  createUser(input: {email: $email, username: $username, admin: $admin}) { user { username entity } }
}"""
_UPDATE_USER = """mutation UpdateUser($username: String!, $disabled: Boolean) {
  updateUser(input: {username: $username, disabled: $disabled}) { user { username } }
}"""
_CREATE_KEY = """mutation CreateKey($username: String!, $description: String) {
  generateApiKey(input: {username: $username, description: $description}) { apiKey { name } }
}"""
_TEAMS = """query Teams {
  allTeams { name members { id name username email role pending accountType } }
}"""
_TEAM = """query Team($name: String!) {
  entity(name: $name) { members { id name username email apiKey } }
}"""
_CREATE_TEAM = """mutation CreateTeam($name: String!, $admin: String) {
  createTeam(input: {teamName: $name, teamAdminUserName: $admin}) { entity { name } }
}"""
_INVITE = """mutation Invite($team: String!, $username: String, $email: String, $admin: Boolean) {
  createInvite(input: {entityName: $team, username: $username, email: $email, admin: $admin}) {
    invite { name toUser { username } }
  }
}"""
_REMOVE = """mutation Remove($team: String!, $id: String!) {
  deleteInvite(input: {entityName: $team, id: $id}) { success }
}"""
_SERVICE = """mutation Service($team: String!, $description: String!) {
  createServiceAccount(input: {entityName: $team, description: $description}) { user { id username } }
}"""


class _Server:
    """The server that is asked, by its data directory, or the configured one."""

    def __init__(self, data_dir: str | None) -> None:
        from runlane.public_api._client import GraphQLClient

        if data_dir is None:
            settings, key = _destination.resolve()
            assert settings.base_url is not None
            self._client = GraphQLClient(settings.base_url, key, _TIMEOUT_SECS, settings)
        else:
            self._client = GraphQLClient(*_running(data_dir), _TIMEOUT_SECS)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Run one operation; what the server refuses ends the command."""
        try:
            return self._client.execute(query, variables)
        except CommError as error:
            raise click.ClickException(str(error)) from error


def _running(data_dir: str) -> tuple[str, str]:
    """Address and key of the server that runs on a data directory."""
    try:
        with open(os.path.join(data_dir, "server.pid"), encoding="utf-8") as file:
            lines = file.read().split()
        with open(os.path.join(data_dir, "credentials.json"), encoding="utf-8") as file:
            key = json.load(file)["api_key"]
    except (OSError, ValueError, KeyError) as error:
        raise click.ClickException(
            f"no server of yours has the data directory `{data_dir}`: {error}"
        ) from error
    if len(lines) < 2:
        raise click.ClickException(
            f"no server runs on `{data_dir}`\nhint: runlane server start --data-dir {data_dir}"
        )
    return lines[1], key


def _command(group: click.Group, name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command that gets the server as its first argument."""

    def decorate(function: Callable[..., None]) -> click.Command:
        def run(data_dir: str | None, **words: Any) -> None:
            function(_Server(data_dir), **words)

        run.__doc__ = function.__doc__
        run.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        option = click.option(
            "--data-dir", default=None, help="The server that runs on this directory, not the configured one."
        )
        return group.command(name)(option(run))

    return decorate


@server.group()
def user() -> None:
    """People with an account: add, list, disable, enable, key."""


@server.group()
def team() -> None:
    """Teams: add, list, invite, remove, service."""


@_command(user, "add")
@click.argument("email")
@click.option("--username", default=None, help="Login name; by default what stands before the @.")
@click.option("--admin", is_flag=True, help="Let it administer the server.")
def _add_user(asked: _Server, email: str, username: str | None, admin: bool) -> None:
    """Create a user, and print its first API key, which is shown this once."""
    made = asked.ask(_CREATE_USER, email=email, username=username, admin=admin)["createUser"]["user"]
    click.echo(f"user {made['username']} created, with the entity {made['entity']}", err=True)
    _print_key(asked, made["username"], "first key")


@_command(user, "list")
def _list_users(asked: _Server) -> None:
    """List users: name, mail address, teams."""
    for edge in asked.ask(_USERS)["users"]["edges"]:
        node = edge["node"]
        teams = [team["node"]["name"] for team in node["teams"]["edges"] if team["node"]["isTeam"]]
        marks = [mark for mark, on in (("admin", node["admin"]), ("disabled", node["deletedAt"])) if on]
        click.echo(
            "\t".join((node["username"], node["email"], ",".join(teams) or "-", ",".join(marks) or "-"))
        )


@_command(user, "disable")
@click.argument("username")
def _disable_user(asked: _Server, username: str) -> None:
    """Lock a user out: keys and sign-ins are refused. Runs stay."""
    asked.ask(_UPDATE_USER, username=username, disabled=True)
    click.echo(f"user {username} is locked out")


@_command(user, "enable")
@click.argument("username")
def _enable_user(asked: _Server, username: str) -> None:
    """Let a user in again."""
    asked.ask(_UPDATE_USER, username=username, disabled=False)
    click.echo(f"user {username} may use the server again")


@_command(user, "key")
@click.argument("username")
@click.option("--description", default="", help="What the key is for.")
def _new_key(asked: _Server, username: str, description: str) -> None:
    """Print a new API key of a user, which is shown this once."""
    _print_key(asked, username, description)


def _print_key(asked: _Server, username: str, description: str) -> None:
    made = asked.ask(_CREATE_KEY, username=username, description=description)
    # The key alone goes to standard output, so that a script can take it.
    click.echo(f"API key of {username}, shown this once:", err=True)
    click.echo(made["generateApiKey"]["apiKey"]["name"])


@_command(team, "add")
@click.argument("name")
@click.option("--admin", default=None, help="Who administers it; by default you.")
def _add_team(asked: _Server, name: str, admin: str | None) -> None:
    """Create a team."""
    asked.ask(_CREATE_TEAM, name=name, admin=admin)
    click.echo(f"team {name} created")


@_command(team, "list")
def _list_teams(asked: _Server) -> None:
    """List teams with their members and what they are: admin, member, service, invited."""
    for found in asked.ask(_TEAMS)["allTeams"]:
        members = (
            f"{one['name']} ({'invited' if one['pending'] else one['role']})" for one in found["members"]
        )
        click.echo(f"{found['name']}\t{', '.join(members)}")


@_command(team, "invite")
@click.argument("team")
@click.argument("who")
@click.option("--admin", is_flag=True, help="Let it administer the team.")
def _invite(asked: _Server, team: str, who: str, admin: bool) -> None:
    """Take a user into a team, by login name or mail address; an address without an account joins when it gets one."""
    given = {"email" if "@" in who else "username": who}
    made = asked.ask(_INVITE, team=team, admin=admin, **given)["createInvite"]["invite"]
    how = "belongs to" if made["toUser"] else "is invited to"
    click.echo(f"{made['name']} {how} {team}")


@_command(team, "remove")
@click.argument("team")
@click.argument("who")
def _remove(asked: _Server, team: str, who: str) -> None:
    """End a membership or take back an invitation."""
    found = asked.ask(_TEAM, name=team)["entity"]
    members = found["members"] if found else []
    names = ("username", "email", "name")
    ids = [one["id"] for one in members if who in (one[name] for name in names if one[name])]
    if len(ids) != 1:
        raise click.ClickException(f"{who} does not belong to {team}")
    asked.ask(_REMOVE, team=team, id=ids[0])
    click.echo(f"{who} does not belong to {team} any more")


@_command(team, "service")
@click.argument("team")
@click.argument("description")
def _service(asked: _Server, team: str, description: str) -> None:
    """Create an account for machines in a team, and print its API key, which is shown this once."""
    made = asked.ask(_SERVICE, team=team, description=description)["createServiceAccount"]["user"]
    members = asked.ask(_TEAM, name=team)["entity"]["members"]
    (key,) = [one["apiKey"] for one in members if one["id"] == made["id"]]
    click.echo(f"API key of {made['username']}, shown this once:", err=True)
    click.echo(key)
