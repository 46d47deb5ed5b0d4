"""Run: what init sends, what methods publish, how a run ends."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

HERE = os.path.dirname(__file__)
PACKAGE = os.path.dirname(os.path.dirname(HERE)) + "/python"


def test_init_sends_the_run(wandb, daemon):
    run = wandb.init(
        mode="offline",
        project="p",
        entity="e",
        name="n",
        notes="t",
        tags=["a"],
        group="g",
        job_type="train",
        id="r1",
        config={"a": 1},
    )
    opened = daemon.opened[-1]
    sent, settings = opened["run"], opened["settings"]
    assert sent["run_id"] == settings["run_id"] == run.id == "r1"
    assert (sent["project"], sent["entity"], sent["display_name"]) == ("p", "e", "n")
    assert (sent["notes"], sent["tags"], sent["run_group"], sent["job_type"]) == ("t", ["a"], "g", "train")
    assert sent["config"] == {"a": "1"}
    assert sent["telemetry"]["feature"] == [4, 13, 14, 15, 16, 24]
    assert settings["offline"] is True
    assert "base_url" not in settings
    assert settings["sync_dir"] == run.sync_dir == str(Path(run.dir).parent)
    (environment,) = [record for record in opened["preface"] if record["kind"] == "environment"]
    assert environment["executable"] == sys.executable
    assert environment["root"] == os.getcwd()
    assert opened["attach"] is False


def test_properties(wandb):
    run = wandb.init(mode="offline", project="p", entity="e", tags=["x"])
    assert len(run.id) == 8
    assert run.path == f"e/p/{run.id}"
    assert (run.name, run.notes, run.group, run.job_type, run.sweep_id) == (None, None, "", "", None)
    assert (run.resumed, run.offline, run.disabled, run.starting_step, run.step) == (False, True, False, 0, 0)
    assert run.url is None
    assert run.get_url() is None
    assert run.project_name() == "p"
    assert isinstance(run, wandb.Run)
    assert wandb.run is run


def test_project_defaults(wandb):
    assert wandb.init(mode="offline").project == "uncategorized"
    wandb.finish()
    subprocess.run(["git", "init", "-q", "repo"], check=True)
    os.makedirs("repo/sub/dir")
    os.chdir("repo/sub/dir")
    assert wandb.init(mode="offline").project == "repo"
    wandb.finish()
    assert (
        wandb.init(mode="offline", settings={"program": os.path.abspath("train.py")}).project
        == "repo-sub_dir"
    )


def test_git_commit_and_remote_without_credentials(wandb, daemon):
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@x"]
    subprocess.run(["git", "init", "-q", "."], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "m"], check=True)
    subprocess.run(["git", "remote", "add", "origin", "https://user:token@host/repo.git"], check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    wandb.init(mode="offline").finish()
    assert daemon.opened[-1]["run"]["git"] == {"commit": commit, "remote_url": "https://host/repo.git"}
    subprocess.run(["git", "pack-refs", "--all"], check=True)
    wandb.init(mode="offline").finish()
    assert daemon.opened[-1]["run"]["git"]["commit"] == commit
    wandb.init(mode="offline", settings={"disable_git": True}).finish()
    assert "git" not in daemon.opened[-1]["run"]


def test_run_directory_is_laid_out_as_documented(wandb, world):
    run = wandb.init(mode="offline", id="abc")
    name = os.path.basename(run.sync_dir)
    assert name.startswith("offline-run-")
    assert name.endswith("-abc")
    assert os.readlink(world / "wandb" / "latest-run") == name
    assert os.readlink(world / "wandb" / "debug.log") == os.path.join(name, "logs", "debug.log")
    for part in ("files", "logs", "tmp/code"):
        assert (Path(run.sync_dir) / part).is_dir()
    run.finish()
    assert (Path(run.dir) / "requirements.txt").read_text().count("==") > 3
    assert "finishing run" in (Path(run.sync_dir) / "logs" / "debug.log").read_text()


def test_same_id_in_the_same_second_gets_a_numbered_directory(wandb, monkeypatch):
    import time

    monkeypatch.setattr(time, "time", lambda: 1767323045.5)
    first = wandb.init(mode="offline", id="abc")
    first.finish()
    second = wandb.init(mode="offline", id="abc")
    assert second.sync_dir == f"{first.sync_dir}-1"


def test_unwritable_directory_falls_back_to_the_temporary_one(wandb, tmp_path, capsys, monkeypatch):
    fallback = tmp_path / "tmp"
    fallback.mkdir()
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(fallback))
    run = wandb.init(mode="offline", dir="/proc/nope")
    assert run.sync_dir.startswith(str(fallback / "wandb"))
    assert "wasn't writable, using system temp directory" in capsys.readouterr().err


def test_publishing_methods(offline, daemon):
    offline.name = "new name"
    offline.notes = "new notes"
    offline.tags = ("a", "b")
    offline.alert("title", "text", level="WARN", wait_duration=datetime.timedelta(minutes=2))
    offline.alert("title", "text")
    offline.mark_preempting()
    offline.write_logs("hello")
    assert {
        key: value for record in daemon.of_kind("run") for key, value in record.items() if key != "run_id"
    } == {
        "display_name": "new name",
        "notes": "new notes",
        "tags": ["a", "b"],
    }
    assert daemon.of_kind("alert") == [
        {"title": "title", "text": "text", "level": "WARN", "wait_millis": 120_000},
        {"title": "title", "text": "text", "level": "INFO", "wait_millis": 60_000},
    ]
    assert daemon.of_kind("preempting") == [{}]
    (line,) = daemon.of_kind("output_logger")
    assert line["text"] == "hello\n" and abs(line["time_micros"] / 1e6 - time.time()) < 60


def test_alert_levels(wandb, offline, daemon):
    offline.alert("t", "x", level=wandb.AlertLevel.ERROR)
    assert daemon.of_kind("alert")[0]["level"] == "ERROR"
    with pytest.raises(ValueError, match="must be one of"):
        offline.alert("t", "x", level="LOUD")
    with pytest.raises(TypeError):
        offline.alert("t", "x", wait_duration="soon")
    with pytest.raises(TypeError):
        offline.alert(5, "x")


@pytest.mark.parametrize(
    ("arguments", "record"),
    [
        ({"name": "loss"}, {"name": "loss"}),
        (
            {"name": "val/*", "step_metric": "epoch"},
            {"glob_name": "val/*", "step_metric": "epoch", "step_sync": True},
        ),
        (
            {"name": "a", "step_metric": "e", "step_sync": False},
            {"name": "a", "step_metric": "e", "step_sync": False},
        ),
        (
            {"name": "a", "summary": "min, max", "hidden": True},
            {"name": "a", "hidden": True, "summary": ["min", "max"]},
        ),
        (
            {"name": "a", "summary": "best", "goal": "maximize"},
            {"name": "a", "goal": "maximize", "summary": ["max"]},
        ),
        (
            {"name": "a", "summary": "best", "objective": "minimize"},
            {"name": "a", "goal": "minimize", "summary": ["min"]},
        ),
        ({"name": "a", "overwrite": True}, {"name": "a", "overwrite": True}),
    ],
)
def test_define_metric(offline, daemon, arguments, record):
    offline.define_metric(**arguments)
    assert daemon.of_kind("metric") == [record]


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": 1},
        {"name": "a*b"},
        {"name": "a", "summary": "median"},
        {"name": "a", "summary": 3},
        {"name": "a", "step_metric": 3},
        {"name": "a", "step_metric": "e*"},
        {"name": "a", "hidden": "x"},
        {"name": "a", "goal": "up"},
    ],
)
def test_define_metric_refuses(offline, daemon, arguments, wandb):
    with pytest.raises(wandb.Error, match="define_metric"):
        offline.define_metric(**arguments)
    assert daemon.of_kind("metric") == []


def test_metric_definitions_are_limited(offline, monkeypatch):
    from runlane import _limits

    monkeypatch.setattr(_limits, "METRIC_DEFINITIONS", 2)
    for name in ("a", "b", "a"):
        offline.define_metric(name)
    with pytest.raises(ValueError, match="at most 2 metric definitions"):
        offline.define_metric("c")


_AFTER_FINISH = {
    "log": lambda run: run.log({"a": 1}),
    "save": lambda run: run.save("x"),
    "alert": lambda run: run.alert("a", "b"),
    "define_metric": lambda run: run.define_metric("a"),
    "config": lambda run: run.config.update({"a": 1}),
    "mark_preempting": lambda run: run.mark_preempting(),
    "name": lambda run: setattr(run, "name", "x"),
    "status": lambda run: run.status(),
}


@pytest.mark.parametrize("method", list(_AFTER_FINISH))
def test_calls_after_finish_are_usage_errors(method, wandb):
    run = wandb.init(mode="offline", id="gone")
    run.finish()
    with pytest.raises(
        wandb.UsageError, match=rf"Run \(gone\) is finished\. The call to `{method}` will be ignored"
    ):
        _AFTER_FINISH[method](run)


def test_finish_twice_and_properties_after_it(wandb, daemon):
    run = wandb.init(mode="offline", name="n")
    run.log({"a": 1})
    run.finish()
    run.finish()
    run.write_logs("ignored")
    assert daemon.exit_codes == [0]
    assert (run.name, run.step, wandb.run) == ("n", 1, None)


@pytest.mark.parametrize("name", ["log", "save", "define_metric", "alert", "mark_preempting", "watch"])
def test_module_functions_before_init(name, wandb):
    with pytest.raises(wandb.Error, match=rf"^You must call wandb\.init\(\) before wandb\.{name}\(\)$"):
        getattr(wandb, name)({"a": 1})


def test_module_objects_before_init(wandb):
    for use in (
        lambda: wandb.config.x,
        lambda: wandb.config["x"],
        lambda: setattr(wandb.config, "x", 1),
        lambda: wandb.summary["x"],
        lambda: wandb.summary.update({}),
    ):
        with pytest.raises(
            wandb.Error, match=r"^You must call wandb\.init\(\) before wandb\.(config|summary)"
        ):
            use()


def test_module_functions_follow_the_active_run(wandb, daemon):
    run = wandb.init(mode="offline")
    assert wandb.log == run.log
    wandb.log({"loss": 1}, step=3)
    wandb.define_metric("loss")
    assert run.summary == {}
    wandb.finish()
    with pytest.raises(wandb.Error):
        wandb.log({"loss": 1})
    assert run.summary["loss"] == 1


def test_context_manager_exit_codes(wandb, daemon, capsys):
    with wandb.init(mode="offline"):
        pass
    with pytest.raises(ZeroDivisionError), wandb.init(mode="offline"):
        _ = 1 / 0
    with pytest.raises(SystemExit), wandb.init(mode="offline"):
        sys.exit(0)
    assert daemon.exit_codes == [0, 1, 1]
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["1", 1.0, True])
def test_exit_code_must_be_an_integer(value, offline):
    with pytest.raises(TypeError, match="exit_code"):
        offline.finish(value)


_SCRIPT = """
import sys
sys.path[:0] = [{here!r}, {package!r}]
import fake_core
fake_core.install()
import atexit
import runlane
atexit.register(lambda: print("codes", fake_core.daemon.exit_codes))
runlane.init(mode="offline", settings={{"silent": True}})
{end}
"""


@pytest.mark.parametrize(
    ("end", "recorded", "status"),
    [
        ("", 0, 0),
        ("sys.exit(3)", 3, 3),
        ("sys.exit(None)", 0, 0),
        ("sys.exit('text')", 1, 1),
        ("raise ValueError('x')", 1, 1),
        ("raise KeyboardInterrupt", 255, 130),
        ("runlane.finish(4)", 4, 0),
    ],
)
def test_exit_code_of_the_process_is_recorded(end, recorded, status, world):
    script = _SCRIPT.format(here=HERE, package=PACKAGE, end=end)
    (world / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert f"codes [{recorded}]" in done.stdout, done.stderr
    assert done.returncode in (status, -2)


def test_reinit_modes(wandb, daemon, capsys):
    first = wandb.init(mode="offline")
    assert wandb.init(mode="offline", project="ignored") is first
    assert wandb.init(mode="offline", reinit=False) is first
    assert "returning the previous run" in capsys.readouterr().err
    second = wandb.init(mode="offline", reinit="create_new")
    assert second is not first
    assert wandb.run is first
    assert daemon.exit_codes == []
    third = wandb.init(mode="offline", reinit=True)
    assert daemon.exit_codes == [0, 0]
    assert wandb.run is third


def test_resume_must_while_a_run_is_active(wandb, offline):
    with pytest.raises(wandb.Error, match="Cannot resume a run while another run is active"):
        wandb.init(mode="offline", resume="must", id="x")


def test_resume_auto_keeps_the_id_until_success(wandb, daemon, world, capsys):
    first = wandb.init(mode="offline", resume=True)
    assert first.id in (world / "wandb" / "wandb-resume.json").read_text()
    assert daemon.opened[-1]["settings"]["resume"] == "allow"
    first.finish(1)
    second = wandb.init(mode="offline", resume="auto")
    assert second.id == first.id
    second.finish(1)
    wandb.init(mode="offline", resume="auto", id="other").finish()
    assert f"Tried to auto resume run with id {first.id} but id other is set." in capsys.readouterr().err
    assert not (world / "wandb" / "wandb-resume.json").exists()


def test_save_places_files_and_publishes_them(offline, daemon, world):
    (world / "sub").mkdir()
    (world / "sub" / "a.txt").write_text("a")
    (world / "b.txt").write_text("b")
    saved = offline.save("sub/*.txt", policy="now")
    assert saved == [os.path.join(offline.dir, "sub", "a.txt")]
    assert Path(saved[0]).read_text() == "a"
    assert offline.save("sub/a.txt", base_path="sub", policy="end") == [os.path.join(offline.dir, "a.txt")]
    assert offline.save(str(world / "sub" / "a.txt")) == [os.path.join(offline.dir, "sub", "a.txt")]
    assert [record["files"] for record in daemon.of_kind("files") if record["files"][0][2] == "other"] == [
        [("sub/a.txt", "now", "other")],
        [("a.txt", "end", "other")],
        [("sub/a.txt", "live", "other")],
    ]


def test_save_refuses(offline, world, capsys):
    with pytest.raises(ValueError, match="policy must be one of"):
        offline.save("x", policy="sometimes")
    with pytest.raises(ValueError, match="not below the base path"):
        offline.save("../x")
    with pytest.raises(ValueError, match="not below the base path"):
        offline.save("x", base_path="/elsewhere")
    with pytest.raises(TypeError):
        offline.save(5)
    os.mkfifo(world / "pipe")
    os.symlink("loop", world / "loop")
    assert offline.save("pipe") == []
    assert offline.save("loo*") == []
    assert offline.save("missing*") == []
    assert offline.save("s3://bucket/x") == []
    text = capsys.readouterr().err
    assert "is not a regular file" in text
    assert "cannot be read and is not saved" in text
    assert "no file matches `missing*`" in text


def test_console_is_captured_and_restored(wandb, daemon, capsys):
    run = wandb.init(mode="offline")
    print("to the log")
    print("as error", file=sys.stderr)
    run.finish()
    print("afterwards")
    texts = [(record["stream"], record["text"]) for record in daemon.of_kind("output")]
    assert ("stdout", "to the log") in texts
    assert ("stderr", "as error") in texts
    assert all("afterwards" not in text for _, text in texts)
    assert "to the log" in capsys.readouterr().out
    assert "write" not in sys.stdout.__dict__


def test_console_off(wandb, daemon):
    wandb.init(mode="offline", settings={"console": "off"})
    print("not captured")
    assert daemon.of_kind("output") == []


def test_host_facts_arrive_before_the_end(wandb, daemon):
    wandb.init(mode="offline").finish()
    (facts,) = daemon.of_kind("environment")
    assert facts["memory_total"] > 0
    assert "/" in facts["disk"]
    assert daemon.opened[-1]["preface"][0]["writer_id"] == facts["writer_id"]


def test_machine_info_can_be_turned_off(wandb, daemon):
    wandb.init(mode="offline", settings={"x_disable_machine_info": True}).finish()
    assert daemon.opened[-1]["preface"] == []
    assert daemon.of_kind("environment") == []


def test_log_from_many_threads(offline):
    threads = [threading.Thread(target=lambda: [offline.log({"a": 1}) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert offline.step == 400


def test_daemon_that_cannot_start_is_one_clear_error(wandb, daemon):
    from runlane import _core
    from runlane.errors import CoreNotAvailableError

    daemon.open_error = _core.DaemonError("no such file: `/x`")
    with pytest.raises(CoreNotAvailableError, match="cannot reach the runlane daemon: no such file"):
        wandb.init(mode="offline")
    assert wandb.run is None
    daemon.open_error = None
    wandb.init(mode="offline")


@pytest.mark.parametrize(
    ("code", "kind"), [(0, "CommError"), (1, "CommError"), (2, "AuthenticationError"), (3, "UsageError")]
)
def test_refusals_of_the_server_have_their_class(code, kind, wandb, daemon):
    from runlane import errors

    daemon.answer = {"error": {"code": code, "message": "because"}}
    with pytest.raises(getattr(errors, kind), match="because"):
        wandb.init(mode="offline")
    assert wandb.run is None
    daemon.answer = {}
    wandb.init(mode="offline").log({"a": 1})


def test_resumed_run_takes_over_what_the_server_has(wandb, daemon):
    daemon.answer = {
        "resumed": True,
        "starting_step": 7,
        "display_name": "old",
        "tags": ["t"],
        "notes": "n",
        "config": {"a": "1", "b": "2", "_wandb": "{}"},
    }
    run = wandb.init(mode="offline", config={"a": 5})
    assert (run.resumed, run.starting_step, run.name, run.tags, run.notes) == (True, 7, "old", ("t",), "n")
    assert dict(run.config) == {"a": 5, "b": 2}


def test_pickled_run_is_the_same_run_here(offline):
    import pickle

    assert pickle.loads(pickle.dumps(offline)) is offline


def test_finished_run_cannot_be_pickled(wandb):
    import pickle

    run = wandb.init(mode="offline")
    run.finish()
    with pytest.raises(wandb.UsageError, match="cannot be pickled"):
        pickle.dumps(run)


def test_attach(wandb, offline):
    assert wandb.attach(offline._attach_id) is offline
    with pytest.raises(wandb.UsageError, match="Unable to attach"):
        wandb.attach("unknown:/nowhere")


def test_features_of_later_versions_say_so(wandb, offline):
    for use in (
        lambda: offline.pin_config_keys(["lr"]),
        lambda: wandb.sweep({}),
        lambda: wandb.controller(),
    ):
        with pytest.raises(wandb.UsageError, match="not available yet"):
            use()
