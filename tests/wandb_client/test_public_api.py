"""The unmodified wandb 0.31.0 and its Public API at our server: what it reads, and what the server holds afterwards."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
import scenarios
from asking import ask, refusal, seed_run, send, stored_run
from playing import METADATA, ROWS, play, seed
from world import PYTHON, Home, Server, make_home

PROJECT = "public-api"


class Played(dict[str, Any]):
    """What a client saw, by scenario."""

    def __init__(self, client: str, seen: dict[str, Any]) -> None:
        super().__init__(seen)
        self.client = client
        self.project = project_of(client)


def project_of(client: str) -> str:
    return f"public-api-{client}"


@pytest.fixture(scope="module", params=["wandb", "runlane"])
def played(
    request: pytest.FixtureRequest,
    server: Server,
    wandb_python: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Played:
    """All scenarios, played by one process of a client: the same script with the real one and with ours."""
    client = request.param
    project = project_of(client)
    seed(server, project)
    shared = [one.__name__ for one in scenarios.SHARED]
    home: Home = make_home(tmp_path_factory.mktemp(client))
    world = {"entity": server.entity, "project": project}
    if client == "runlane":
        return Played(client, play(home, server.env, PYTHON, client, shared, world))
    return Played(
        client, play(home, server.env, wandb_python, client, [*shared, "nothing_yet", "verify"], world)
    )


def test_a_run_is_read_with_everything_that_it_has(played: Played, server: Server) -> None:
    seen = played["attributes_of_a_run"]
    assert isinstance(seen, dict), seen
    created = seen.pop("created_at")
    assert created.startswith("20") and "T" in created
    assert seen.pop("url").endswith(f"/{server.entity}/{played.project}/runs/trained")
    assert seen.pop("metadata") == METADATA
    assert seen.pop("system") == {"system.cpu": 14.0}
    assert {"loss", "acc", "_step", "_runtime", "_timestamp"} <= set(seen.pop("keys"))
    assert {"loss", "acc", "_step", "_runtime", "_timestamp", "_wandb"} == set(seen.pop("summary_keys"))
    assert seen == {
        "config": {"n_epochs": 5, "lr": 0.1},
        "summary": {"loss": 0.05, "acc": 0.9},
        "state": "finished",
        "commit": "c0ffee" * 6 + "1234",
        "name": "readable",
        "id": "trained",
        "tags": ["first", "good"],
        "notes": "as planned",
        "group": "g",
        "job_type": "train",
        "user": [server.entity, server.entity],
        "path": [server.entity, played.project, "trained"],
        "entity": server.entity,
        "project": played.project,
        "sweep": None,
        "read_only": False,
        "last_step": 19,
        "rawconfig": ["lr", "n_epochs"],
    }


def test_histories_are_read_sampled_and_whole(played: Played) -> None:
    losses = [row["loss"] for row in ROWS]
    seen = played["histories_of_a_run"]
    assert isinstance(seen, dict), seen
    assert seen == {
        "rows": 20,
        "columns": ["_runtime", "_step", "_timestamp", "acc", "loss"],
        "losses": losses[:3],
        "sampled": 10,
        "first_is_dict": True,
        "accuracy": [[0, 0], [2, 0.1], [4, 0.2]],
        "accuracies": 10,
        "events": ["_runtime", "_timestamp", "system.cpu"],
        "csv": ",system.cpu,_runtime,_timestamp",
        "refused": [],
    }
    assert played["whole_history"] == {
        "losses": losses,
        "pages": list(range(20)),
        "both": list(range(0, 20, 2)),
        "range": [3, 4, 5],
    }


def test_the_console_is_read_in_pages_and_from_its_end(played: Played) -> None:
    assert played["console_of_a_run"] == {
        "lines": [[index, f"line {index}", "error" if index == 2 else None] for index in range(5)],
        "tail": ["line 3", "line 4"],
    }


def test_what_cannot_exist_yet_is_empty(played: Played) -> None:
    if played.client != "wandb":
        pytest.skip("ours says that it comes later")
    seen = played["nothing_yet"]
    assert isinstance(seen, dict), seen
    assert set(map(len, seen.values())) == {0}


def test_runs_are_listed_filtered_and_ordered(played: Played) -> None:
    seen = played["listings"]
    assert isinstance(seen, dict), seen
    assert seen == {
        "count": 8,
        "all": [f"run-{index}" for index in range(8)],
        "newest": "run-7",
        "or": ["run-0", "run-1", "run-3", "run-4", "run-6", "run-7"],
        "or_count": 6,
        "dates": 8,
        "no_dates": [],
        "greater": ["run-6", "run-7"],
        "in": ["run-1", "run-2"],
        "not_in": 5,
        "regex": ["run-3", "run-4"],
        "tag": ["run-0", "run-2", "run-4", "run-6"],
        "state": 8,
        "group": ["run-1", "run-4", "run-7"],
        "by_summary": ["run-7", "run-6"],
        "by_config": ["run-0", "run-1", "run-2"],
        "name": ["run-5"],
        "username": 8,
    }
    table = played["table_of_runs"]
    assert [row[2] for row in table[1:]] == [f"name-{index}" for index in range(8)]
    assert json.loads(table[3][1]) == {"experiment_name": "baz", "index": 2}
    assert json.loads(table[3][0])["val_acc"] == 0.2
    assert played["histories_of_runs"] == [[f"run-{index}" for index in range(8)], 40]
    assert played["two_configs"] == {"experiment_name": ["foo", "bar"], "index": [0, 1]}


def test_what_is_not_there_is_an_error_of_a_known_class(played: Played) -> None:
    seen = played["what_is_not_there"]
    assert isinstance(seen, dict), seen
    assert (seen["run"][0], seen["project"][0]) == (True, True)
    assert "$bogus" in seen["filter"][1]


def test_a_flush_shows_what_others_changed(played: Played) -> None:
    assert played["cached_answers"] == {"before": "first", "cached": "first", "flushed": "later"}


def test_config_and_settings_of_a_finished_run_are_changed(played: Played, server: Server) -> None:
    config = {"lr": 0.5, "kept": "k", "added": {"deep": [1, 2]}}
    assert played["change_a_run"] == config
    run = stored_run(server, played.project, "changed")
    assert run is not None
    assert run["config"] == config
    settings = ("displayName", "notes", "tags", "group", "jobType", "description", "state")
    assert [run[name] for name in settings] == [
        "another name",
        "what was found",
        ["old", "best"],
        "second",
        "eval",
        "described",
        "finished",
    ]


def test_the_summary_of_a_finished_run_is_changed_and_a_key_renamed(played: Played, server: Server) -> None:
    assert played["change_a_summary"] == {"accuracy": 0.9, "key": "val", "new_name": 1.5, "old_name": None}
    run = stored_run(server, played.project, "summed")
    assert run is not None
    histogram = run["summary"].pop("histogram")
    assert (histogram["_type"], histogram["values"]) == ("histogram", [1, 2, 3])
    assert run["summary"] == {
        "keep": 2,
        "_step": 3,
        "accuracy": 0.9,
        "key": "val",
        "nested": {"a": 1},
        "new_name": 1.5,
    }
    # Rows are what was logged: they do not change with the summary.
    assert len(run["rows"]) == 4


def test_tags_are_cleared(played: Played, server: Server) -> None:
    assert played["clear_the_tags"] == [["a", "b"], []]
    run = stored_run(server, played.project, "tagged")
    assert run is not None and run["tags"] == []


UNDELETE = "mutation M($id: ID!) { undeleteRun(input: {id: $id}) { run { name } } }"
DELETED = """query D($project: String!) {
  project(name: $project) { runCount deletedRuns { totalCount edges { node { id name } } } }
}"""


def test_a_deleted_run_is_gone_and_comes_back_with_everything(played: Played, server: Server) -> None:
    project = f"{played.project}-doomed"
    assert played["delete_a_run"] == ["kept"]
    assert stored_run(server, project, "gone") is None
    found = ask(server, DELETED, {"project": project})["project"]
    assert found["runCount"] == 1
    deleted = {edge["node"]["name"]: edge["node"]["id"] for edge in found["deletedRuns"]["edges"]}
    assert sorted(deleted) == ["gone", "gone-too"]
    # Its name stays taken: a program that goes on with it hears so.
    text = 'mutation U { upsertBucket(input: {modelName: "%s", name: "gone"}) { inserted } }'
    assert "deleted" in refusal(server, text % project)
    ask(server, UNDELETE, {"id": deleted["gone"]})
    run = stored_run(server, project, "gone")
    assert run is not None
    assert (run["config"], [row["_step"] for row in run["rows"]]) == ({"of": "gone"}, [0, 1, 2])
    assert send(server, run["files"]["a.txt"]["directUrl"]) == (200, b"a")
    assert ask(server, DELETED, {"project": project})["project"]["runCount"] == 2


def test_runs_are_stopped_requeued_and_made(played: Played, server: Server) -> None:
    assert played["stop_and_requeue"] == {"requeued": True, "forbidden": True, "made": ["made", "running"]}
    running, failing, made = (
        stored_run(server, played.project, name) for name in ("running", "failing", "made")
    )
    assert running is not None and failing is not None and made is not None
    assert (running["state"], running["stopped"]) == ("running", True)
    assert (failing["state"], made["state"]) == ("pending", "running")
    # The client of the run hears it with its next upload.
    _, answer = send(server, f"/files/{server.entity}/{played.project}/running/file_stream", {})
    assert json.loads(answer)["stopped"] is True
    assert played["wait_for_the_end"] == "finished"


def test_files_go_up_and_down_and_away(played: Played, server: Server) -> None:
    seen = played["files_of_a_run"]
    assert isinstance(seen, dict), seen
    listed = seen.pop("listed")
    assert set(listed) == {
        "model-best.h5",
        "wandb-metadata.json",
        "media/images/a.png",
        "media/images/b.png",
        "extra.txt",
        "er/more.bin",
    }
    assert listed["extra.txt"][:2] == [15, "text/plain"]
    assert listed["model-best.h5"][2] == base64.b64encode(hashlib.md5(b"weights").digest()).decode()
    assert seen == {
        "uploaded": "extra.txt",
        "downloaded": sorted(listed),
        "exists": True,
        "content": "weights",
        "named": ["extra.txt"],
        "pattern": ["media/images/a.png", "media/images/b.png"],
        "command": ["python", "train.py", "--lr", "0.1"],
        "left": ["er/more.bin", "extra.txt", "model-best.h5", "wandb-metadata.json"],
    }
    run = stored_run(server, played.project, "filed")
    assert run is not None
    assert sorted(run["files"]) == seen["left"]
    assert send(server, run["files"]["er/more.bin"]["directUrl"]) == (200, bytes(range(256)))


RENAME = """mutation M($old: String!, $new: String!, $entity: String!) {
  renameProject(input: {entityName: $entity, oldProjectName: $old, newProjectName: $new}) { project { id name } }
}"""
DESCRIBE = """mutation M($name: String!) {
  upsertModel(input: {name: $name, description: "what for", access: "USER_READ"}) {
    inserted project { id description access }
  }
}"""
DELETE = "mutation M($id: String!) { deleteModel(input: {id: $id}) { success } }"
MOVE = """mutation M($id: ID!, $project: String!) {
  moveRun(input: {id: $id, projectName: $project}) { run { id project { name } } }
}"""
PROJECTS = "query P($name: String!) { project(name: $name) { name description access runCount } }"


def test_projects_are_made_renamed_described_and_deleted(played: Played, server: Server) -> None:
    seen = played["projects"]
    assert isinstance(seen, dict), seen
    name, entity = f"{played.project}-made", server.entity
    assert seen["listed"] is True
    assert (seen["default"], seen["viewer"]) == (entity, [entity, entity, [entity]])
    assert seen["made"][:2] == [name, entity]
    seed_run(server, name, "inside", rows=ROWS[:2])
    assert ask(server, DESCRIBE, {"name": name})["upsertModel"]["inserted"] is False
    words = {"old": name, "new": f"{name}-anew", "entity": entity}
    renamed = ask(server, RENAME, words)["renameProject"]["project"]
    assert ask(server, PROJECTS, {"name": name})["project"] is None
    found = ask(server, PROJECTS, {"name": f"{name}-anew"})["project"]
    assert found == {"name": f"{name}-anew", "description": "what for", "access": "USER_READ", "runCount": 1}
    assert "already" in refusal(
        server, RENAME, {"old": f"{name}-anew", "new": played.project, "entity": entity}
    )
    ask(server, DELETE, {"id": renamed["id"]})
    assert ask(server, PROJECTS, {"name": f"{name}-anew"})["project"] is None
    assert send(server, f"/files/{entity}/{name}-anew/inside/file_stream", {})[0] in (404, 410)
    # The name is free, for a project without the old runs.
    seed_run(server, f"{name}-anew", "fresh")
    assert ask(server, PROJECTS, {"name": f"{name}-anew"})["project"]["runCount"] == 1


def test_a_run_moves_to_another_project_with_everything(server: Server) -> None:
    there = f"{PROJECT}-there"
    run = seed_run(server, PROJECT, "moving", rows=ROWS[:5], files={"a.txt": b"a"}, config={"x": 1})
    seed_run(server, f"{PROJECT}-taken", "moving")
    assert "already" in refusal(server, MOVE, {"id": run, "project": f"{PROJECT}-taken"})
    moved = ask(server, MOVE, {"id": run, "project": there})["moveRun"]["run"]
    assert moved["project"] == {"name": there}
    assert stored_run(server, PROJECT, "moving") is None
    found = stored_run(server, there, "moving")
    assert found is not None
    assert (found["config"], len(found["rows"]), list(found["files"])) == ({"x": 1}, 5, ["a.txt"])
    assert found["id"] == moved["id"]


def test_the_checks_of_wandb_verify_pass(played: Played) -> None:
    if played.client != "wandb":
        pytest.skip("the checks are its own")
    assert played["verify"] == {"logged_in": True, "run": True, "put": True, "large": True}
