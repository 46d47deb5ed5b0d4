"""Users, teams and keys with the real client, and who reaches what; on a server of their own, because others rely on having one alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import ask, seed_run, send, stored_run
from driven import OwnServer
from playing import play
from world import Home, Server, make_home


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OwnServer, Server]]:
    made = OwnServer(tmp_path_factory.mktemp("accounts") / "own")
    yield made, made.start()
    made.stop()


@pytest.fixture(scope="module")
def team_server(place: tuple[OwnServer, Server]) -> Server:
    return place[1]


@pytest.fixture(scope="module")
def admins(
    team_server: Server, wandb_python: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the owner of the server does, before there is anybody else."""
    home = make_home(tmp_path_factory.mktemp("admin"))
    names = ["people_and_teams", "own_keys"]
    return play(home, team_server.env, wandb_python, "wandb", names, {"entity": team_server.entity})


def key_of(place: tuple[OwnServer, Server], username: str) -> str:
    """A new key of a user, as the owner of the server makes it."""
    own, server = place
    done = own.owner.runlane("server", "user", "key", username, "--data-dir", str(server.data_dir))
    return done.stdout.strip()


def test_an_administrator_makes_users_and_teams(admins: dict[str, Any], team_server: Server) -> None:
    seen = admins["people_and_teams"]
    assert isinstance(seen, dict), seen
    key = seen["service_key"]
    assert re.fullmatch(r"local-[\w-]{43}", key)
    owner = team_server.entity
    assert seen == {
        "made": ["ann", "ann@example.org", False, "boss-two", True],
        "again": True,
        "found": ["ann"],
        "one": "ann@example.org",
        "nobody": None,
        "invited": [True, False, False, True],
        "service_key": key,
        "members": sorted(
            [
                [owner, "MEMBER", True, False],
                ["ann", "MEMBER", False, False],
                ["later@example.org", "MEMBER", True, True],
                ["nightly training", "SERVICE", False, False],
            ]
        ),
        "removed": True,
        "left": 3,
        "teams": [owner, "vision"],
        "no_team": seen["no_team"],
    }
    assert seen["no_team"] in ("TypeError", "KeyError", "AttributeError", "CommError", "ValueError")
    # The key works, and belongs to the team.
    found = ask(team_server, "{ viewer { entity admin } }", key=key)["viewer"]
    assert found == {"entity": "vision", "admin": False}


def test_keys_are_made_shown_once_and_deleted(admins: dict[str, Any], team_server: Server) -> None:
    seen = admins["own_keys"]
    assert isinstance(seen, dict), seen
    secret = seen.pop("secret")
    assert re.fullmatch(r"local-[\w-]{43}", secret)
    assert seen == {"as": team_server.entity, "counts": [1, 2, 1], "hidden": True, "deleted": True}
    assert send(team_server, "/api/session", key=secret)[0] == 401


def test_members_and_strangers_see_what_is_theirs(
    admins: dict[str, Any],
    place: tuple[OwnServer, Server],
    team_server: Server,
    wandb_python: str,
    tmp_path: Path,
) -> None:
    assert "people_and_teams" in admins
    owner = team_server.entity
    seed_run(team_server, "private", "secret", tags=["ours"])
    seed_run(team_server, "open", "shown", tags=["ours"], displayName="shown to all")
    level = 'mutation { upsertModel(input: {name: "open", access: "USER_READ"}) { inserted } }'
    ask(team_server, level)
    key = key_of(place, "ann")
    env = {**team_server.env, "WANDB_API_KEY": key}
    world = {"entities": [None, "vision", owner], "who": "ann", "owner": owner}
    home: Home = make_home(tmp_path)
    played = play(home, env, wandb_python, "wandb", ["a_run_in_an_entity", "look_around"], world)
    logged = played["a_run_in_an_entity"]
    assert isinstance(logged, dict), logged
    refused = logged.pop(owner)
    assert logged == {"": "ann", "vision": "vision"}
    assert f"there is no entity `{owner}` for you; yours are: ann, vision" in refused
    for entity, run in (("ann", "ann-default"), ("vision", "ann-vision")):
        found = stored_run(team_server, "shared", run, entity, key=key)
        assert found is not None
        assert (found["user"]["username"], [row["x"] for row in found["rows"]]) == ("ann", [1])
    assert stored_run(team_server, "shared", f"ann-{owner}", owner) is None
    seen = played["look_around"]
    assert isinstance(seen, dict), seen
    assert seen["viewer"] == ["ann", ["ann", "vision"], False]
    for name in ("run", "runs"):
        assert "yours are: ann, vision" in seen[name], seen[name]
    assert (seen["projects"], seen["open"]) == (["open"], "shown to all")
    assert "you may look at it, not change it" in seen["change"]
    shown = stored_run(team_server, "open", "shown")
    assert shown is not None and shown["tags"] == ["ours"]


def test_a_service_account_logs_for_a_member(
    admins: dict[str, Any], team_server: Server, wandb_python: str, tmp_path: Path
) -> None:
    key = admins["people_and_teams"]["service_key"]
    env = {**team_server.env, "WANDB_API_KEY": key, "WANDB_USERNAME": "ann"}
    world = {"entities": [None], "who": "nightly"}
    played = play(make_home(tmp_path), env, wandb_python, "wandb", ["a_run_in_an_entity"], world)
    assert played["a_run_in_an_entity"] == {"": "vision"}
    found = stored_run(team_server, "shared", "nightly-default", "vision", key=key)
    assert found is not None
    assert found["user"]["username"] == "ann"


def test_accounts_by_command(place: tuple[OwnServer, Server], admins: dict[str, Any]) -> None:
    assert admins
    own, server = place
    where = ("--data-dir", str(server.data_dir))

    def run(*words: str, check: bool = True) -> str:
        done = own.owner.runlane("server", *words, *where, check=check)
        return done.stdout if done.returncode == 0 else done.stderr

    key = run("user", "add", "eve@example.org", "--username", "eve").strip()
    session = ask(server, "{ viewer { username entity admin } }", key=key)["viewer"]
    assert session == {"username": "eve", "entity": "eve", "admin": False}
    assert "there is a user" in run("user", "add", "eve@example.org", check=False)
    run("team", "add", "audio", "--admin", "eve")
    assert run("team", "invite", "audio", "ann") == "ann belongs to audio\n"
    assert run("team", "invite", "audio", "zoe@example.org") == "zoe@example.org is invited to audio\n"
    service = run("team", "service", "audio", "exports").strip()
    assert ask(server, "{ viewer { entity } }", key=service)["viewer"] == {"entity": "audio"}
    listed = run("team", "list")
    assert "audio\tzoe@example.org (invited), eve (admin), ann (member), exports (service)" in listed
    assert "eve\teve@example.org\taudio\t-" in run("user", "list").splitlines()
    run("team", "remove", "audio", "zoe@example.org")
    assert "zoe" not in run("team", "list")
    run("user", "disable", "eve")
    assert send(server, "/api/session", key=key)[0] == 401
    assert "eve\teve@example.org\taudio\tdisabled" in run("user", "list").splitlines()
    run("user", "enable", "eve")
    assert send(server, "/api/session", key=key)[0] == 200
