"""What people do with the Public API, one function each; the same body serves wandb and `import runlane as wandb`.

A scenario gets the module and its world (`entity`, `project`), works in a directory of its own, and returns what the client saw, as JSON.
What it works on was put onto the server before; the tests look at the server again afterwards.
"""

from __future__ import annotations

import csv
import json
import os
from types import ModuleType, SimpleNamespace
from typing import Any

World = SimpleNamespace


# --- reading ------------------------------------------------------------------------------------------------------


def attributes_of_a_run(wandb: ModuleType, world: World) -> Any:
    run = wandb.Api().run(f"{world.entity}/{world.project}/trained")
    return {
        "config": dict(run.config),
        "summary": {name: run.summary[name] for name in ("loss", "acc")},
        "summary_keys": sorted(run.summary.keys()),
        "state": run.state,
        "commit": run.commit,
        "created_at": run.created_at,
        "name": run.name,
        "id": run.id,
        "tags": run.tags,
        "notes": run.notes,
        "group": run.group,
        "job_type": run.job_type,
        "user": [run.user.username, run.user.name],
        "url": run.url,
        "path": run.path,
        "entity": run.entity,
        "project": run.project,
        "sweep": run.sweep,
        "read_only": run.read_only,
        "metadata": run.metadata,
        "system": run.system_metrics,
        "keys": sorted(run.history_keys["keys"]),
        "last_step": run.lastHistoryStep,
        "rawconfig": sorted(run.rawconfig),
    }


def histories_of_a_run(wandb: ModuleType, world: World) -> Any:
    run = wandb.Api().run(f"{world.entity}/{world.project}/trained")
    frame = run.history()
    sampled = run.history(samples=10, pandas=False)
    accuracy = run.history(keys=["acc"])
    events = run.history(stream="events")
    events.to_csv("sys_metrics.csv")
    refused = run.history(keys="acc", pandas=False)
    return {
        "rows": len(frame),
        "columns": sorted(frame.columns),
        "losses": list(frame["loss"])[:3],
        "sampled": len(sampled),
        "first_is_dict": isinstance(sampled[0], dict),
        "accuracy": [list(map(float, pair)) for pair in zip(accuracy["_step"], accuracy["acc"], strict=True)][
            :3
        ],
        "accuracies": len(accuracy),
        "events": sorted(events.columns),
        "csv": open("sys_metrics.csv", encoding="utf-8").readline().strip(),
        "refused": refused,
    }


def whole_history(wandb: ModuleType, world: World) -> Any:
    run = wandb.Api().run(f"{world.entity}/{world.project}/trained")
    return {
        "losses": [row["loss"] for row in run.scan_history()],
        "pages": [row["_step"] for row in run.scan_history(page_size=7)],
        "both": [row["_step"] for row in run.scan_history(keys=["loss", "acc"])],
        "range": [row["_step"] for row in run.scan_history(min_step=3, max_step=6)],
    }


def console_of_a_run(wandb: ModuleType, world: World) -> Any:
    run = wandb.Api().run(f"{world.entity}/{world.project}/trained")
    lines = list(run.console_logs(per_page=2))
    return {
        "lines": [[line.number, line.content, line.level or None] for line in lines],
        "tail": [line.content for line in run.console_logs(last=2)],
    }


def nothing_yet(wandb: ModuleType, world: World) -> Any:
    """What cannot exist yet is an empty list, not an error."""
    api = wandb.Api()
    run = api.run(f"{world.entity}/{world.project}/trained")
    return {
        "logged": [one.name for one in run.logged_artifacts()],
        "used": [one.name for one in run.used_artifacts()],
        "reports": [one.id for one in api.reports(f"{world.entity}/{world.project}")],
        "sweeps": [one.id for one in api.project(world.project, entity=world.entity).sweeps()],
        "types": [one.name for one in api.artifact_types(f"{world.entity}/{world.project}")],
        "automations": [one.name for one in api.automations(entity=world.entity)],
        "integrations": [one.id for one in api.integrations(entity=world.entity)],
    }


def cached_answers(wandb: ModuleType, world: World) -> Any:
    api = wandb.Api()
    path = f"{world.entity}/{world.project}/flushed"
    before = api.run(path)
    other = wandb.Api().run(path)
    other.config["seen"] = "later"
    other.update()
    cached = api.run(path).config.get("seen")
    api.flush()
    return {
        "before": before.config.get("seen"),
        "cached": cached,
        "flushed": api.run(path).config.get("seen"),
    }


# --- querying -----------------------------------------------------------------------------------------------------


def listings(wandb: ModuleType, world: World) -> Any:
    api = wandb.Api()
    path = f"{world.entity}/{world.project}-many"

    def names(filters: dict | None = None, **words: Any) -> list[str]:
        return [run.id for run in api.runs(path, filters=filters, **words)]

    foo_or_bar = {"$or": [{"config.experiment_name": "foo"}, {"config.experiment_name": "bar"}]}
    return {
        "count": len(api.runs(path)),
        "all": names(order="+created_at", per_page=3),
        "newest": names(order="-created_at")[0],
        "or": sorted(names(foo_or_bar)),
        "or_count": len(api.runs(path, filters=foo_or_bar)),
        "dates": len(names({"$and": [{"created_at": {"$gt": "2001-01-01T00", "$lt": "2100-01-01T00"}}]})),
        "no_dates": names({"created_at": {"$lt": "2001-01-01T00"}}),
        "greater": sorted(names({"summary_metrics.val_acc": {"$gte": 0.6}})),
        "in": sorted(names({"display_name": {"$in": ["name-1", "name-2"]}})),
        "not_in": len(names({"config.experiment_name": {"$nin": ["foo"]}})),
        "regex": sorted(names({"display_name": {"$regex": "name-[34]"}})),
        "tag": sorted(names({"tags": "even"})),
        "state": len(names({"state": "finished"})),
        "group": sorted(names({"group": "g1"})),
        "by_summary": names(order="-summary_metrics.val_acc")[:2],
        "by_config": names(order="+config.index.value")[:3],
        "name": names({"name": "run-5"}),
        "username": len(names({"username": api.viewer.username})),
    }


def table_of_runs(wandb: ModuleType, world: World) -> Any:
    """Name, config and summary of all runs of a project to a CSV file, as the documents do."""
    runs = wandb.Api().runs(f"{world.entity}/{world.project}-many", order="+created_at")
    with open("project.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["summary", "config", "name"])
        for run in runs:
            config = {key: value for key, value in run.config.items() if not key.startswith("_")}
            writer.writerow(
                [json.dumps(run.summary._json_dict, sort_keys=True), json.dumps(config), run.name]
            )
    with open("project.csv", newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def histories_of_runs(wandb: ModuleType, world: World) -> Any:
    runs = wandb.Api().runs(f"{world.entity}/{world.project}-many", order="+created_at", per_page=4)
    rows = runs.histories(samples=10, keys=["loss"])
    return sorted({row["run_id"] for row in rows}), len(rows)


def two_configs(wandb: ModuleType, world: World) -> Any:
    api = wandb.Api()
    one, other = (api.run(f"{world.entity}/{world.project}-many/run-{index}") for index in (0, 1))
    return {
        key: [value, other.config[key]] for key, value in one.config.items() if other.config[key] != value
    }


def what_is_not_there(wandb: ModuleType, world: World) -> Any:
    """Errors of reading: whether the class is one that callers expect, and the text."""
    api = wandb.Api()
    found = {}
    for name, call in {
        "run": lambda: api.run(f"{world.entity}/{world.project}/nobody"),
        "project": lambda: len(api.runs(f"{world.entity}/no-such-project")),
        "filter": lambda: list(api.runs(f"{world.entity}/{world.project}", filters={"$bogus": 1})),
    }.items():
        try:
            call()
        except Exception as error:
            known = isinstance(error, (wandb.CommError, ValueError))
            found[name] = [known, str(error)[:200]]
        else:
            found[name] = None
    return found


# --- changing -----------------------------------------------------------------------------------------------------


def change_a_run(wandb: ModuleType, world: World) -> Any:
    run = wandb.Api().run(f"{world.entity}/{world.project}/changed")
    run.config["lr"] = 0.5
    run.config["added"] = {"deep": [1, 2]}
    run.name = "another name"
    run.notes = "what was found"
    run.tags.append("best")
    run.group = "second"
    run.job_type = "eval"
    run.description = "described"
    run.update()
    return dict(wandb.Api().run(f"{world.entity}/{world.project}/changed").config)


def change_a_summary(wandb: ModuleType, world: World) -> Any:
    run = wandb.Api().run(f"{world.entity}/{world.project}/summed")
    run.summary["accuracy"] = 0.9
    run.summary["histogram"] = wandb.Histogram(np_histogram=([1, 2, 3], [0.0, 1.0, 2.0, 3.0]))
    run.summary.update()
    run.summary.update({"key": "val", "nested": {"a": 1}})
    run.summary["new_name"] = run.summary["old_name"]
    del run.summary["old_name"]
    run.summary.update()
    again = wandb.Api().run(f"{world.entity}/{world.project}/summed")
    return {key: again.summary.get(key) for key in ("accuracy", "key", "new_name", "old_name")}


def clear_the_tags(wandb: ModuleType, world: World) -> Any:
    run = wandb.Api().run(f"{world.entity}/{world.project}/tagged")
    before = list(run.tags)
    run.tags = []
    run.update()
    return [before, list(wandb.Api().run(f"{world.entity}/{world.project}/tagged").tags)]


def delete_a_run(wandb: ModuleType, world: World) -> Any:
    api = wandb.Api()
    path = f"{world.entity}/{world.project}-doomed"
    api.run(f"{path}/gone").delete()
    api.run(f"{path}/gone-too").delete(delete_artifacts=True)
    api.flush()
    return [run.id for run in wandb.Api().runs(path)]


def stop_and_requeue(wandb: ModuleType, world: World) -> Any:
    api = wandb.Api()
    path = f"{world.entity}/{world.project}"
    api.run(f"{path}/running").stop()
    requeued = api.run(f"{path}/failing").update_state("pending")
    try:
        forbidden = api.run(f"{path}/trained").update_state("pending")
    except Exception as error:
        forbidden = type(error).__name__
    pending = api.create_run(run_id="made", project=world.project, entity=world.entity)
    return {
        "requeued": requeued,
        "forbidden": forbidden in (False, "CommError", "ValueError"),
        "made": [pending.id, pending.state],
    }


def wait_for_the_end(wandb: ModuleType, world: World) -> Any:
    run = wandb.Api().run(f"{world.entity}/{world.project}/trained")
    run.wait_until_finished()
    return run.state


# --- files --------------------------------------------------------------------------------------------------------


def here(name: str) -> str:
    """An absolute path: the process that downloads has a working directory of its own."""
    return os.path.abspath(name)


def files_of_a_run(wandb: ModuleType, world: World) -> Any:
    run = wandb.Api().run(f"{world.entity}/{world.project}/filed")
    with open("extra.txt", "w", encoding="utf-8") as file:
        file.write("from afterwards")
    os.makedirs("deep/er")
    with open("deep/er/more.bin", "wb") as file:
        file.write(bytes(range(256)))
    uploaded = run.upload_file("extra.txt")
    run.upload_file("deep/er/more.bin", root="deep")
    run = wandb.Api().run(f"{world.entity}/{world.project}/filed")
    listed = {file.name: [file.size, file.mimetype, file.md5] for file in run.files(per_page=2)}
    run.file("model-best.h5").download(root=here("one"))
    for file in run.files():
        file.download(root=here("all"), exist_ok=True)
    downloaded = sorted(
        os.path.relpath(os.path.join(place, name), "all")
        for place, _, names in os.walk("all")
        for name in names
    )
    try:
        run.file("model-best.h5").download(root=here("one"))
    except (ValueError, wandb.CommError):
        exists = True
    else:
        exists = False
    with run.file("model-best.h5").download(root=here("one"), replace=True) as again:
        content = again.read()
    named = [file.name for file in run.files(["./extra.txt", "no.txt"])]
    by_pattern = sorted(file.name for file in run.files(pattern="%.png"))
    metadata = json.load(run.file("wandb-metadata.json").download(root=here("meta")))
    for file in run.files():
        if file.name.endswith(".png"):
            file.delete()
    return {
        "uploaded": uploaded.name,
        "listed": listed,
        "downloaded": downloaded,
        "exists": exists,
        "content": content,
        "named": named,
        "pattern": by_pattern,
        "command": ["python", metadata["program"], *metadata["args"]],
        "left": sorted(
            file.name for file in wandb.Api().run(f"{world.entity}/{world.project}/filed").files()
        ),
    }


# --- projects -----------------------------------------------------------------------------------------------------


def projects(wandb: ModuleType, world: World) -> Any:
    api = wandb.Api()
    name = f"{world.project}-made"
    api.create_project(name, world.entity)
    api.create_project(name, world.entity)
    made = api.project(name, entity=world.entity)
    return {
        "listed": name in [project.name for project in api.projects(world.entity, per_page=2)],
        "made": [made.name, made.entity, made.url, made.path],
        "default": api.default_entity,
        "viewer": [api.viewer.username, api.viewer.entity, api.viewer.teams],
    }


# --- checks of `wandb verify` -------------------------------------------------------------------------------------


def verify(wandb: ModuleType, world: World) -> Any:
    """The checks that `wandb verify` makes of a server, as far as they are about runs."""
    from wandb.sdk.verify import verify as checks

    checks.PROJECT_NAME = f"{world.project}-verify"
    api = wandb.Api()
    put, _url = checks.check_graphql_put(api, os.environ["WANDB_BASE_URL"])
    checks.check_wandb_version(api)
    return {
        "logged_in": checks.check_logged_in(api, os.environ["WANDB_BASE_URL"]),
        "run": checks.check_run(api),
        "put": put,
        "large": checks.check_large_post(),
    }


#: Scenarios that both clients can play.
SHARED = [
    attributes_of_a_run,
    histories_of_a_run,
    whole_history,
    console_of_a_run,
    listings,
    table_of_runs,
    histories_of_runs,
    two_configs,
    what_is_not_there,
    cached_answers,
    change_a_run,
    change_a_summary,
    clear_the_tags,
    delete_a_run,
    stop_and_requeue,
    wait_for_the_end,
    files_of_a_run,
    projects,
]


# --- accounts: on a server of their own ---------------------------------------------------------------------------


def people_and_teams(wandb: ModuleType, world: World) -> Any:
    """What an administrator of the server does."""
    api = wandb.Api()
    made = api.create_user("ann@example.org")
    admin = api.create_user("Boss.Two@example.org", admin=True)
    try:
        api.create_user("ann@example.org")
    except Exception as error:
        again = "address" in str(error)
    else:
        again = False
    team = api.create_team("vision")
    invited = [
        team.invite("ann"),
        team.invite("ann"),
        team.invite("nobody"),
        team.invite("later@example.org", admin=True),
    ]
    account = team.create_service_account("nightly training")
    assert account is not None
    loaded = api.team("vision")
    members = sorted(
        [member.name, member.account_type, member.admin, bool(member.pending)] for member in loaded.members
    )
    (pending,) = (member for member in loaded.members if member.pending)
    removed = pending.delete()
    api.flush()
    return {
        "made": [made.username, made.email, made.admin, admin.username, admin.admin],
        "again": again,
        "found": [user.username for user in api.users("ann@example.org")],
        "one": api.user("ann").email,
        "nobody": api.user("nobody-at-all"),
        "invited": invited,
        "service_key": account.api_key,
        "members": members,
        "removed": removed,
        "left": len(api.team("vision").members),
        "teams": api.viewer.teams,
        "no_team": team_or_error(api, "no-such-team"),
    }


def team_or_error(api: Any, name: str) -> str:
    try:
        return str(len(api.team(name).members))
    except Exception as error:
        return type(error).__name__


def own_keys(wandb: ModuleType, world: World) -> Any:
    api = wandb.Api()
    user = api.viewer
    before = len(user.api_keys)
    secret = user.generate_api_key("from a script")
    other = wandb.Api(api_key=secret).viewer.username
    again = wandb.Api().viewer
    listed = again.api_keys
    deleted = again.delete_api_key(listed[-1])
    return {
        "secret": secret,
        "as": other,
        "counts": [before, len(listed), len(wandb.Api().viewer.api_keys)],
        "hidden": secret not in listed,
        "deleted": deleted,
    }


def a_run_in_an_entity(wandb: ModuleType, world: World) -> Any:
    """Log a run to each entity of the world; the error where that is refused."""
    found = {}
    for entity in world.entities:
        try:
            with wandb.init(entity=entity, project="shared", id=f"{world.who}-{entity or 'default'}") as run:
                run.log({"x": 1})
                found[entity or ""] = run.entity
        except Exception as error:
            found[entity or ""] = f"{type(error).__name__}: {error}"
    return found


def look_around(wandb: ModuleType, world: World) -> Any:
    """What somebody else's project looks like."""
    api = wandb.Api()
    found: dict[str, Any] = {"viewer": [api.viewer.username, api.viewer.teams, api.viewer.admin]}
    for name, call in {
        "run": lambda: api.run(f"{world.owner}/private/secret").name,
        "runs": lambda: len(api.runs(f"{world.owner}/private")),
        "projects": lambda: [one.name for one in api.projects(world.owner)],
        "open": lambda: api.run(f"{world.owner}/open/shown").name,
        "change": lambda: change_tag(api.run(f"{world.owner}/open/shown")),
    }.items():
        try:
            found[name] = call()
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def change_tag(run: Any) -> list[str]:
    run.tags = ["mine"]
    run.update()
    return run.tags
