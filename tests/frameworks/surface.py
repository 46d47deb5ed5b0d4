"""The names that frameworks use: paths that are imported, keyword arguments, members of what `init` returns.

It runs under `runlane exec` in a fresh directory without a server, and prints one JSON object: name -> `ok`, or what was raised.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import unittest.mock

import wandb

# Path of a module -> names in it that are imported by name.
PATHS = {
    "wandb.sdk.lib": "RunDisabled",
    "wandb.sdk.lib.disabled": "RunDisabled",
    "wandb.wandb_run": "Run",
    "wandb.sdk.wandb_run": "Run",
    "wandb.sdk.lib.config_util": "ConfigError",
    "wandb.sdk.data_types.base_types.wb_value": "WBValue",
    "wandb.sdk.data_types.base_types.media": "Media",
    "wandb.sdk.data_types.image": "Image",
    "wandb.sdk.data_types.video": "Video",
    "wandb.sdk.data_types.table": "Table",
    "wandb.sdk.data_types.audio": "Audio",
    "wandb.sdk.data_types.histogram": "Histogram",
    "wandb.sdk.data_types.html": "Html",
    "wandb.sdk.artifacts.artifact": "Artifact",
    "wandb.sdk.lib.printer": "new_printer",
    "wandb.sdk.lib.telemetry": "context",
    "wandb.sdk.lib.runid": "generate_id",
    "wandb.sdk.mailbox.mailbox_handle": "ServerResponseError",
    "wandb.sdk.wandb_config": "Config",
    "wandb.sdk.wandb_init": "init",
    "wandb.sdk.wandb_settings": "Settings",
    "wandb.sdk.wandb_summary": "Summary",
    "wandb.sdk.wandb_alerts": "AlertLevel",
    "wandb.errors": "AuthenticationError CommError Error UnsupportedError UsageError",
    "wandb.errors.term": "termlog termwarn termerror",
    "wandb.util": "generate_id json_dumps_safer get_module make_artifact_name_safe to_forward_slash_path random_string",
    "wandb.env": "set_entity set_project get_project get_entity is_offline is_silent",
    "wandb.apis.public": "Api",
    "wandb.data_types": "Image Table Histogram WBValue",
    "wandb.plot": "line bar scatter histogram line_series confusion_matrix pr_curve roc_curve",
    "wandb.cli.cli": "cli",
    "wandb.integration": "",
    "wandb.integration.keras": "",
    "wandb.integration.xgboost": "",
    "wandb.integration.lightgbm": "",
    "wandb.integration.catboost": "",
    "wandb.integration.sb3": "",
    "wandb.integration.sklearn": "plot_roc",
    "wandb.integration.ultralytics": "add_wandb_callback",
    "wandb.integration.diffusers": "autolog",
    "wandb.integration.huggingface": "autolog",
    "wandb.integration.openai": "autolog",
    "wandb.integration.tensorboard": "patch unpatch",
    "wandb.integration.lightning.fabric": "",
    "wandb.integration.torch": "",
    "wandb.integration.gym": "monitor",
    "wandb.integration.sacred": "",
    "wandb.integration.fastai": "WandbCallback",
    "wandb.keras": "",
    "wandb.xgboost": "",
    "wandb.lightgbm": "",
    "wandb.catboost": "",
    "wandb.sklearn": "plot_roc",
    "wandb.tensorboard": "patch",
    "wandb.gym": "monitor",
    "wandb.sacred": "",
}

INIT = {
    "project": "p", "entity": "someone", "name": "n", "id": "id1", "group": "g", "job_type": "train", "tags": ("a", "b"),
    "notes": "words", "dir": ".", "config": {"a": 1}, "config_exclude_keys": ["a"], "mode": "offline", "resume": "allow",
    "reinit": True, "save_code": False, "sync_tensorboard": False, "monitor_gym": True, "allow_val_change": True,
    "settings": wandb.Settings(), "anonymous": "allow", "force": False,
}  # fmt: skip

SETTINGS = {
    "mode": "offline", "https_proxy": "http://localhost:1", "start_method": "thread", "console": "off", "x_primary": True,
    "x_label": "rank0", "x_update_finish_state": True, "init_timeout": 120, "_disable_stats": True, "x_disable_stats": True,
    "_except_exit": True, "silent": True, "program": "x.py", "run_id": "abc", "base_url": "http://localhost:1",
}  # fmt: skip

RUN = (
    "id name tags notes entity project project_name dir url get_url step group job_type resumed config summary path log"
    " define_metric watch unwatch save log_code log_artifact use_artifact link_artifact alert finish mark_preempting _label"
    " _attach_id _log start_time starting_step settings sweep_id offline disabled status restore use_model log_model join"
).split()


def check_path(path, names):
    module = importlib.import_module(path)
    assert module.__name__ == path
    for name in names.split():
        assert getattr(module, name) is getattr(importlib.import_module(path), name), name
    found = wandb
    for part in path.split(".")[1:]:
        found = getattr(found, part)
    assert found is module


def check_init(name):
    with wandb.init(**{"mode": "offline", name: INIT[name]}) as run:
        expected = {
            "project": run.project,
            "name": run.name,
            "id": run.id,
            "group": run.group,
            "tags": run.tags,
        }
        expected |= {
            "job_type": run.job_type,
            "notes": run.notes,
            "config": dict(run.config),
            "entity": run.entity,
        }
        if name in expected:
            assert expected[name] == INIT[name], expected[name]
        if name == "config_exclude_keys":
            assert dict(run.config) == {}
    if name == "resume":
        for value in ("auto", True, False, None):
            with wandb.init(mode="offline", resume=value):
                pass


def check_setting(name):
    settings = wandb.Settings(**{name: SETTINGS[name]})
    if name in (
        "mode",
        "x_primary",
        "x_label",
        "x_disable_stats",
        "init_timeout",
        "run_id",
        "base_url",
        "silent",
    ):
        assert getattr(settings, name) == SETTINGS[name]


def check_settings_together():
    with wandb.init(settings=wandb.Settings(**SETTINGS)) as run:
        run.log({"a": 1})
        assert run.id == "abc" and run.offline


ENVIRONMENT = {
    "PROJECT": "from-env", "ENTITY": "someone", "TEAM": "team", "NAME": "named", "RUN_ID": "env1", "RUN_GROUP": "group",
    "JOB_TYPE": "eval", "TAGS": "a,b", "NOTES": "words", "MODE": "offline", "CONSOLE": "off", "RESUME": "allow", "DIR": ".",
    "CACHE_DIR": "c", "DATA_DIR": "d", "ARTIFACT_DIR": "a", "START_METHOD": "thread", "LOG_MODEL": "false", "WATCH": "false",
    "_SERVICE_WAIT": "30", "HTTP_TIMEOUT": "20", "INIT_TIMEOUT": "60", "BASE_URL": "http://localhost:1", "API_KEY": "k" * 40,
    "ANONYMOUS": "allow", "DISABLE_CODE": "false", "ARGS": "[]", "PROJECT_NAME": "ray", "GROUP_NAME": "ray",
}  # fmt: skip


def check_environment():
    with unittest.mock.patch.dict(
        os.environ, {f"WANDB_{name}": value for name, value in ENVIRONMENT.items()}
    ):
        with wandb.init() as run:
            run.log({"a": 1})
            found = {
                "PROJECT": run.project,
                "ENTITY": run.entity,
                "NAME": run.name,
                "RUN_ID": run.id,
                "RUN_GROUP": run.group,
            }
            found |= {"JOB_TYPE": run.job_type, "TAGS": ",".join(run.tags), "NOTES": run.notes}
            assert found == {name: ENVIRONMENT[name] for name in found}, found
            assert run.offline


def check_run_members():
    with wandb.init(mode="offline", project="p", config={"a": 1}) as run:
        missing = [name for name in RUN if not hasattr(run, name)]
        assert not missing, missing
        assert run.project_name() == "p" and run.get_url() is None and run.resumed is False
        run.log({"loss": 1.0}, step=3, commit=True)
        run._log({"more": 1})
        run.define_metric("m", step_metric="s", step_sync=True, summary="min", hidden=True, goal="minimize")
        run.alert("title", "text")
        run.save("*.none")
        run.log_code(".")
        run.mark_preempting()


def check_config_members():
    with wandb.init(mode="offline", config={"a": 1}) as run:
        run.config.update({"a": 2}, allow_val_change=True)
        run.config.setdefaults({"b": 3})
        run.config["c"] = 4
        run.config.d = 5
        assert run.config.get("a") == 2 and run.config.b == 3 and "c" in run.config
        assert sorted(run.config.keys()) == ["a", "b", "c", "d"]
        assert dict(run.config) == dict(run.config.items()) == run.config._items


def check_summary_members():
    with wandb.init(mode="offline") as run:
        run.summary["a"] = 1
        run.summary.update({"b": {"c": 2}})
        run.summary.d = 3
        assert run.summary.get("a") == 1 and run.summary.get("z", 9) == 9 and run.summary.d == 3
        assert dict(dict(run.summary).items())["b"] == {"c": 2} or run.summary["b"]["c"] == 2
        assert wandb.summary["a"] == 1


def check_methods_before_init():
    for name in ("log", "define_metric", "save", "alert"):
        try:
            getattr(wandb, name)("x")
        except wandb.Error as error:
            assert "wandb.init()" in str(error), error
        else:
            raise AssertionError(name)
    wandb.termlog("text")
    wandb.termwarn("text", repeat=False)
    wandb.termerror("text", repeat=False)


def check_what_comes_later_says_so():
    with wandb.init(mode="offline") as run:
        calls = {
            "sweep": lambda: wandb.sweep({}),
            "agent": lambda: wandb.agent("x"),
            "ultralytics": lambda: importlib.import_module(
                "wandb.integration.ultralytics"
            ).add_wandb_callback(None),
        }
        for name, call in calls.items():
            try:
                call()
            except NotImplementedError as error:
                assert isinstance(error, wandb.UsageError) and "later version" in str(error), (name, error)
            else:
                raise AssertionError(name)
        run.log({"goes on": 1})


def check_helpers_of_frameworks():
    from wandb.sdk.lib.printer import new_printer
    from wandb.sdk.lib.telemetry import context

    printer = new_printer()
    printer.display("text")
    printer.display(["a", "b"], level="warn")
    printer.display(
        f"{printer.name('x')} {printer.link('http://x')} {printer.code('y')} {printer.emoji('broom')}"
    )
    with context() as telemetry:
        telemetry.feature.keras = True
    assert wandb.util.get_module("json") is json and wandb.util.get_module("no_such_module") is None
    try:
        wandb.util.get_module("no_such_module", required="install it")
    except wandb.Error as error:
        assert "install it" in str(error)
    else:
        raise AssertionError("not raised")
    assert len(wandb.util.generate_id()) == 8


def check_missing_frameworks_are_named():
    for path, name in (
        ("keras", "WandbMetricsLogger"),
        ("sb3", "WandbCallback"),
        ("lightning.fabric", "WandbLogger"),
    ):
        try:
            getattr(importlib.import_module(f"wandb.integration.{path}"), name)
        except wandb.UsageError as error:
            assert "not installed" in str(error)
        else:
            raise AssertionError(path)


CHECKS = {
    **{f"path {path}": (check_path, path, names) for path, names in PATHS.items()},
    **{f"init({name}=)": (check_init, name) for name in INIT},
    **{f"Settings({name}=)": (check_setting, name) for name in SETTINGS},
    "environment": (check_environment,),
    "all settings": (check_settings_together,),
    "members of Run": (check_run_members,),
    "members of Config": (check_config_members,),
    "members of Summary": (check_summary_members,),
    "methods before init": (check_methods_before_init,),
    "what comes later": (check_what_comes_later_says_so,),
    "helpers": (check_helpers_of_frameworks,),
    "missing frameworks": (check_missing_frameworks_are_named,),
}


def main():
    results = {}
    for name, (check, *words) in CHECKS.items():
        try:
            check(*words)
        except BaseException:  # noqa: BLE001, RUF100 - the test shows it
            results[name] = traceback.format_exc()
        else:
            results[name] = "ok"
        finally:
            if wandb.run is not None:
                wandb.finish()
    print("RESULTS " + json.dumps(results))


if __name__ == "__main__":
    # What is found out about code and machine is not what is looked at here.
    os.environ.update(
        WANDB_SILENT="true",
        WANDB_DISABLE_GIT="true",
        WANDB_X_DISABLE_META="true",
        WANDB_X_SAVE_REQUIREMENTS="false",
    )
    sys.exit(main())
