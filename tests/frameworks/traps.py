"""A program that was written for wandb: each function does what a framework does, and what goes wrong in naive twins.

It runs under `runlane exec` and prints one JSON object: name -> `ok`, or what was raised.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import traceback
import unittest.mock

import wandb
import wandb.env
from wandb.sdk.lib.config_util import ConfigError

PROJECT = os.environ["WANDB_PROJECT"]


def rows(run_path, count=1):
    """The rows of a run that has ended."""
    found = list(wandb.Api().run(run_path).scan_history())
    assert len(found) >= count, found
    return found


def path_of(run):
    return f"{run.entity}/{run.project}/{run.id}"


def own(row):
    return {key: value for key, value in row.items() if not key.startswith("_")}


def trap_01_config_has_its_values_in_items():
    with wandb.init(config={"lr": 0.1}):
        assert vars(wandb.config)["_items"]["lr"] == 0.1
        assert dict(wandb.config) == {"lr": 0.1}


def trap_02_env_sets_entity_and_project():
    before = dict(os.environ)
    wandb.env.set_entity("someone")
    wandb.env.set_project("something")
    assert (os.environ["WANDB_ENTITY"], os.environ["WANDB_PROJECT"]) == ("someone", "something")
    os.environ.clear()
    os.environ.update(before)


def trap_03_a_changed_config_value_raises_config_error():
    with wandb.init(config={"lr": 0.1}):
        try:
            wandb.config["lr"] = 0.2
        except ConfigError as error:
            assert isinstance(error, wandb.Error)
        else:
            raise AssertionError("not raised")


def trap_04_run_and_run_disabled_are_classes_of_runs():
    from wandb.sdk.lib import RunDisabled
    from wandb.wandb_run import Run

    with wandb.init(mode="disabled") as disabled:
        assert isinstance(disabled, (Run, RunDisabled)) and isinstance(disabled, Run)
    with wandb.init() as run:
        assert isinstance(run, (Run, RunDisabled)) and not isinstance(run, RunDisabled)
    nothing = RunDisabled()
    nothing.config.trial_log_path = "x"
    nothing.log({"a": 1})
    nothing.finish()


def trap_05_the_class_is_at_its_attribute_path():
    with wandb.init() as run:
        assert isinstance(run, wandb.sdk.wandb_run.Run) and wandb.sdk.wandb_run.Run is wandb.Run


def _attached(attach_id):
    run = wandb._attach(attach_id)
    run.log({"child": 2})
    run.finish()


def trap_06_a_child_attaches_to_the_run():
    run = wandb.init()
    assert isinstance(run._attach_id, str)
    child = multiprocessing.get_context("spawn").Process(target=_attached, args=(run._attach_id,))
    child.start()
    child.join()
    assert child.exitcode == 0
    run.log({"parent": 1})
    run.finish()
    assert {key for row in rows(path_of(run)) for key in own(row)} == {"child", "parent"}


def trap_07_labels_are_accepted():
    with wandb.init() as run:
        run._label(code="transformers_trainer")
        run._label(repo="torchtune")
        run._label(anything="else")


def trap_08_require_takes_retired_names():
    wandb.require("service")
    wandb.require("report-editing:v0")
    wandb.require("no-such-thing")
    wandb.require(["core", "service"])


def trap_09_a_data_frame_becomes_a_table():
    import pandas

    run = wandb.init()
    wandb.run.log({"completions": pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})}, step=3)
    run.finish()
    value = rows(path_of(run))[0]["completions"]
    assert (value["_type"], value["nrows"], value["ncols"]) == ("table-file", 2, 2), value


def trap_10_tables_take_rows_and_explicit_nones():
    import pandas

    table = wandb.Table(columns=["a", "b"], rows=[[1, 2]])
    assert table.data == [[1, 2]]
    table.add_data(3, 4)
    assert wandb.Table(columns=table.columns, data=table.data).data == [[1, 2], [3, 4]]
    frame = pandas.DataFrame({"a": [1]})
    assert wandb.Table(columns=None, data=None, dataframe=frame).columns == ["a"]
    assert wandb.Table(data=frame).columns == ["a"]


def trap_11_the_module_is_a_writer():
    writer = wandb
    run = writer.init()
    writer.log({"loss": 1.0}, 5)
    writer.config.update({"a": 1})
    assert writer.run is run and callable(writer.Artifact) and callable(writer.finish)
    writer.finish()
    assert rows(path_of(run))[0]["_step"] == 5


def trap_12_every_public_name_is_an_attribute():
    missing = [name for name in MODULE_NAMES if getattr(wandb, name, "missing") == "missing"]
    assert not missing, missing
    assert not hasattr(wandb, "no_such_name")
    assert set(wandb.__all__) <= set(dir(wandb))


def trap_13_define_metric_is_truthy():
    assert getattr(wandb, "define_metric", None)


def trap_14_the_version_is_one_of_a_package():
    import importlib.metadata

    from packaging.version import Version

    assert Version(wandb.__version__) >= Version("0.19")
    assert importlib.metadata.version("wandb") == wandb.__version__ == "0.31.0"
    assert importlib.metadata.packages_distributions()["wandb"] == ["wandb"]


def trap_15_the_latest_run_is_found_on_disk():
    with wandb.init() as run:
        latest = os.path.join("wandb", "latest-run")
        (log,) = [name for name in os.listdir(latest) if name.startswith("run-") and name.endswith(".wandb")]
        assert log == f"run-{run.id}.wandb"


def trap_16_many_short_processes_with_a_start_method():
    code = (
        "import wandb, sys; run = wandb.init(reinit=True, id='trial-' + sys.argv[1], group='trials', config={'n': int(sys.argv[1])})\n"
        "wandb.log({'a': 1}); wandb.finish()"
    )
    for method in ("thread", "fork"):
        trials = [
            subprocess.Popen(
                [sys.executable, "-c", code, f"{'12'[method == 'fork']}{number}"],
                env={**os.environ, "WANDB_START_METHOD": method},
            )
            for number in range(3)
        ]
        assert [trial.wait(60) for trial in trials] == [0, 0, 0]
    found = wandb.Api().runs(PROJECT, filters={"group": "trials"})
    assert sorted(run.config["n"] for run in found) == [10, 11, 12, 20, 21, 22]


def trap_17_media_types_have_a_common_base():
    from wandb.sdk.data_types.base_types.wb_value import WBValue
    from wandb.util import json_dumps_safer

    for name in ("Image", "Table", "Histogram", "Video", "Audio", "Html", "Object3D", "Molecule", "Plotly"):
        assert issubclass(getattr(wandb, name), WBValue), name
    assert isinstance(wandb.Table(columns=["a"]), WBValue)
    assert json.loads(json_dumps_safer({"a": {1}})) == {"a": [1]}


def trap_18_the_key_is_an_attribute_of_api():
    wandb.ensure_configured()
    assert wandb.api.api_key == os.environ["WANDB_API_KEY"]


def trap_19_several_processes_write_one_run():
    code = (
        "import sys, wandb; primary = sys.argv[1] == 'primary'\n"
        "settings = wandb.Settings(mode='shared', x_primary=primary, x_label=sys.argv[1], x_update_finish_state=primary)\n"
        "run = wandb.init(id='shared1', settings=settings, reinit=True)\n"
        "run.log({sys.argv[1]: 1}); wandb.finish()"
    )
    # A worker comes first, as it may.
    processes = [subprocess.Popen([sys.executable, "-c", code, name]) for name in ("worker", "primary")]
    assert [process.wait(60) for process in processes] == [0, 0]
    run = wandb.Api().run(f"{PROJECT}/shared1")
    assert run.state == "finished"
    assert {key for row in run.scan_history() for key in own(row)} == {"worker", "primary"}


def trap_20_teardown_frees_the_id_for_another_try():
    from wandb.errors import CommError
    from wandb.sdk.mailbox.mailbox_handle import ServerResponseError

    assert issubclass(CommError, Exception) and issubclass(ServerResponseError, Exception)
    first = wandb.init(id="again")
    wandb.teardown()
    second = wandb.init(id="again", resume="allow")
    assert second is not first and wandb.run is second
    second.finish()


def trap_21_raw_graphql_and_clean_errors():
    from wandb.errors import CommError

    client = wandb.Api().client
    assert client.execute("query V { viewer { username } }", variable_values={})["viewer"]["username"]
    try:
        client.execute("mutation X($a: Int) { noSuchMutation(a: $a) { b } }", variable_values={"a": 1})
    except CommError as error:
        assert "noSuchMutation" in str(error)
    else:
        raise AssertionError("not raised")


def trap_22_tensorboard_is_followed_and_gym_is_no_error():
    from tensorboardX import SummaryWriter

    run = wandb.init(sync_tensorboard=True, monitor_gym=True, save_code=True, config={})
    writer = SummaryWriter("runs/cleanrl")
    for step in range(3):
        writer.add_scalar("charts/return", step * 2.0, step * 10)
    writer.close()
    wandb.finish()
    found = {row["global_step"]: row["charts/return"] for row in rows(path_of(run)) if "charts/return" in row}
    assert found == {0: 0.0, 10: 2.0, 20: 4.0}, found


def trap_23_join_is_finish():
    run = wandb.init()
    wandb.join()
    assert wandb.run is None and wandb.Api().run(path_of(run)).state == "finished"


class _Odd:
    def __repr__(self):
        return "<odd>"


def trap_24_config_takes_what_programs_have():
    given = argparse.Namespace(
        lr=0.1, path=os.path.join("a", "b"), when=time.gmtime, odd=_Odd(), nested={"a": (1, 2)}
    )
    run = wandb.init(config=given)
    wandb.config.update(argparse.Namespace(more=1))
    run.finish()
    stored = wandb.Api().run(path_of(run)).config
    assert (stored["lr"], stored["more"], stored["nested"]) == (0.1, 1, {"a": [1, 2]})
    assert isinstance(stored["odd"], str) and isinstance(stored["when"], str)


def trap_25_name_and_tags_can_be_set():
    run = wandb.init()
    run.name = "renamed"
    run.tags = ("a", "b")
    run.finish()
    stored = wandb.Api().run(path_of(run))
    assert (stored.name, sorted(stored.tags)) == ("renamed", ["a", "b"])


def trap_26_get_url_never_raises():
    with wandb.init() as run:
        assert run.get_url().startswith(os.environ["WANDB_BASE_URL"])
    with wandb.init(mode="offline") as run:
        assert run.get_url() is None and run.url is None
    with wandb.init(mode="disabled") as run:
        assert run.get_url() is None


def trap_27_a_glob_of_metrics_gets_the_step_metric():
    run = wandb.init()
    wandb.define_metric("train/global_step")
    wandb.define_metric("*", step_metric="train/global_step", step_sync=True)
    wandb.log({"train/global_step": 10, "train/loss": 1.0})
    wandb.log({"eval/loss": 2.0})
    wandb.finish()
    assert [own(row) for row in rows(path_of(run))] == [
        {"train/global_step": 10, "train/loss": 1.0},
        {"train/global_step": 10, "eval/loss": 2.0},
    ]


def trap_28_finish_takes_codes_threads_and_repeats():
    for finish in (lambda: wandb.finish(0), lambda: wandb.finish(exit_code=1)):
        run = wandb.init()
        threads = [threading.Thread(target=finish) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run.finish()
        assert wandb.run is None
    assert wandb.Api().run(path_of(run)).state == "failed"
    code = "import atexit, wandb; run = wandb.init(id='atexit1'); atexit.register(lambda: wandb.finish(0)); run.log({'a': 1})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert wandb.Api().run(f"{PROJECT}/atexit1").state == "finished"


def trap_29_calls_of_one_step_are_one_row():
    run = wandb.init()
    for iteration in range(3):
        for number in range(30):
            wandb.log({f"m{number}": number + iteration}, iteration)
    wandb.finish()
    found = rows(path_of(run))
    assert [row["_step"] for row in found] == [0, 1, 2]
    assert own(found[2]) == {f"m{number}": number + 2 for number in range(30)}


def trap_30_an_empty_row_is_legal():
    run = wandb.init()
    wandb.log({"a": 1}, step=1)
    wandb.log({})
    wandb.finish()
    assert rows(path_of(run))[0]["a"] == 1


def trap_31_the_module_is_called_wandb():
    assert wandb.__name__ == "wandb"
    with unittest.mock.patch("wandb.init", return_value="mocked"):
        assert wandb.init() == "mocked"
    with wandb.init() as run:
        bound = wandb.log
        with unittest.mock.patch("wandb.log"), unittest.mock.patch("wandb.log"):
            wandb.log({"mocked": 1})
        assert wandb.log == bound
        wandb.log({"real": 1})
        assert run.summary["real"] == 1 and "mocked" not in run.summary


def trap_32_children_import_it_unconditionally():
    code = "import wandb; from wandb.sdk.wandb_run import Run; assert wandb.__version__ == '0.31.0'"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def trap_33_config_knows_what_it_has():
    with wandb.init(config={"a": 1}) as run:
        assert "a" in wandb.config and "b" not in run.config
        wandb.config.setdefaults({"a": 2, "b": 3})
        assert dict(run.config) == {"a": 1, "b": 3}
        run.config.c = 4
        assert (run.config.c, run.config.get("d", 5), sorted(run.config.keys())) == (4, 5, ["a", "b", "c"])


def trap_34_dryrun_is_offline():
    with unittest.mock.patch.dict(os.environ, {"WANDB_MODE": "dryrun"}), wandb.init() as run:
        assert run.offline


def trap_35_a_live_run_can_be_read():
    run = wandb.init()
    for step in range(5):
        run.log({"iteration-time": step}, step=step)
    run.log({})
    assert run.flush("uploaded", timeout=30)
    found = list(wandb.Api().run(path_of(run)).scan_history(keys=["iteration-time"]))
    assert found[-1]["iteration-time"] >= 3
    run.finish()
    code = (
        "import wandb\ntry: wandb.Api().run('e/p/abc').scan_history(keys=['a'])\n"
        "except wandb.Error as error: raise SystemExit(7)"
    )
    env = {
        name: value for name, value in os.environ.items() if name not in ("WANDB_BASE_URL", "WANDB_API_KEY")
    }
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 7


MODULE_NAMES = (
    # Functions.
    "init finish join log save restore watch unwatch define_metric log_artifact use_artifact log_model use_model link_model alert"
    " login require setup teardown attach _attach sweep agent controller mark_preempting plot_table visualize ensure_configured"
    " termlog termwarn termerror"
    # Objects.
    " config summary api Api Settings Artifact AlertLevel Run Config Error CommError UsageError errors env util plot sklearn keras"
    " xgboost lightgbm catboost tensorboard gym sacred patched sdk data_types __version__"
    # Types, and what else is public in 0.31.0.
    " Audio Classes EvalTable Graph Histogram Html Image JoinedTable Molecule Object3D Plotly Table Video ArtifactTTL agents analytics"
    " apis box3d docker helper integration jupyter pin_config_keys profiler proto sagemaker_auth tensorflow termsetup trigger"
    " wandb_agent wandb_lib wandb_sdk wandb_torch"
).split()


def main():
    results = {}
    for name, trap in sorted(globals().items()):
        if name.startswith("trap_"):
            began = time.monotonic()
            try:
                trap()
            except BaseException:  # noqa: BLE001, RUF100 - the test shows it
                results[name] = traceback.format_exc()
            else:
                results[name] = "ok"
            finally:
                if wandb.run is not None:
                    wandb.finish()
            print(f"{name} {time.monotonic() - began:.2f} s", file=sys.stderr)
    print("RESULTS " + json.dumps(results))


if __name__ == "__main__":
    # What is found out about code and machine is not what is looked at here.
    os.environ.update(
        WANDB_SILENT="true",
        WANDB_DISABLE_GIT="true",
        WANDB_X_DISABLE_META="true",
        WANDB_X_SAVE_REQUIREMENTS="false",
    )
    main()
