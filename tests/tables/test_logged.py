"""What a run has of tables, charts and histograms, and what is said where one cannot be stored. (Equality: tests/pairs.)"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from world import PYTHON, Home

SCRIPT = """
import json, os, sys, threading
import numpy as np
import runlane as wandb
from runlane import _core

run = wandb.init(mode="offline", project="p", id="tables1")
Table, plot = wandb.Table, wandb.plot
one = lambda: Table(columns=["x"], data=[[1]])

# Misuse costs its own value and nothing else.
Table.MAX_ROWS, Table.MAX_ARTIFACT_ROWS = 5, 6
for _ in range(2):
    run.log({"long": Table(columns=["x"], data=[[i] for i in range(8)]), "ok": 1})
Table.MAX_ROWS, Table.MAX_ARTIFACT_ROWS = 5, 200_000
class Odd: pass
run.log({"odd": Table(columns=["x"], data=[[Odd()], [Odd()]])})
changed = one()
run.log({"changed": changed})
changed.add_data(2)
changed.add_data(3)
run.log({"changed": changed})
run.log({"list": [plot.line(one(), "x", "x")], "ok": 2})
run.log({"later": plot.line(one(), "x", "x"), "deep": {"er": wandb.visualize("wandb/x/v1", one())}})
run.log({"later": plot.line(one(), "x", "x")})
run.log({"titled": plot.line(one(), "x", "x", title=np.str_("T")), "odd title": plot.line(one(), "x", "x", title=object()), "ok": 2.5})
from runlane import _limits
_limits.CHARTS = 5
for i in range(3):
    run.log({f"chart {i}": plot.line(one(), "x", "x")})
run.log({"k" * 300 + "/" + "v" * 400: one()})
for use in (
    lambda: run.config.update({"t": one()}),
    lambda: run.summary.update({"good": 1, "chart": plot.line(one(), "x", "x")}),
    lambda: plot.line([[1]], "x", "x"),
):
    try:
        use()
        print("not refused")
    except (TypeError, wandb.Error) as error:
        print("REFUSED", type(error).__name__, str(error).splitlines()[0])
import pandas as pd
run.summary["deep"] = {"frame": pd.DataFrame({"a": [1, 2]}), "list": [one()]}
# Objects of artifacts.
early = one()
artifact = wandb.Artifact("mine", "dataset")
artifact.add(early, "kept")
run.log({"early": early, "parts": wandb.data_types.PartitionedTable("nowhere")})
joined = wandb.JoinedTable(one(), one(), "x")
artifact.add(joined, "joined")
run.log({"joined": joined})
run.log_artifact(artifact)
run.log({"evaluated": wandb.EvalTable(columns=["x"], data=[[1]])})
run.summary["hist"] = wandb.Histogram([1, 2, float("nan")], num_bins=2)

# A directory for media that cannot be made.
kept = os.path.join(run.dir, "media", "table")
os.rename(kept, kept + "-away")
open(kept, "w").close()
run.log({"lost": one(), "lost chart": plot.line(one(), "x", "x"), "ok": 3})
os.unlink(kept)
os.rename(kept + "-away", kept)

# The step of the file's name is the one that the row gets.
run.log({"a": 1}, step=100)
run.log({"at": one()}, commit=True)
run.log({"at": one()})
threads = [threading.Thread(target=lambda: run.log({"of threads": one()})) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
child = os.fork()
if child == 0:
    run.log({"of child": one()})
    run.flush(timeout=30)
    os._exit(0)
os.waitpid(child, 0)
run.finish()

with wandb.init(mode="offline", project="p", settings=wandb.Settings(strict=True)) as strict:
    for value in (Table(columns=["x"], data=[[Odd()]]), [plot.line(one(), "x", "x")]):
        try:
            strict.log({"odd": value})
            print("not refused")
        except TypeError as error:
            print("REFUSED", str(error))
with wandb.init(mode="offline", project="p", id="plain", settings=wandb.Settings(allow_offline_artifacts=False)) as plain:
    plain.log({"without": Table(columns=["x"], data=[[i] for i in range(8)]), "joined": wandb.JoinedTable(one(), one(), "x")})
with wandb.init(mode="disabled") as disabled:
    disabled.log({"t": one(), "c": plot.line(one(), "x", "x")})
    disabled.summary["t"] = one()
    assert disabled.summary["t"] == {"_type": "Table"}
"""


def test_tables_and_charts_of_a_run(home: Home, wandb_python: str) -> None:
    result = home.python(SCRIPT, env={"PYTHONWARNINGS": "ignore"})
    directory = next(path for path in home.run_dirs() if path.name.endswith("tables1"))

    def records_of(run_id: str) -> list[dict[str, Any]]:
        (log,) = home.wandb_dir.glob(f"*-{run_id}/run-{run_id}.wandb")
        words = [str(Path(wandb_python).with_name("wandb")), "leet", "inspect", "--json", str(log)]
        return [json.loads(line) for line in home.run(words, check=True).stdout.splitlines()]

    records = records_of("tables1")
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]

    def values(key: str) -> list[object]:
        return [row[key] for row in rows if key in row]

    # Every path that a row names is a file, and was handed to the daemon.
    paths = [value for row in rows for key, value in row.items() if key.endswith(".path")]
    saved = {
        file["path"] for record in records if record["type"] == "files" for file in record["files"]["files"]
    }
    assert paths and set(paths) <= saved and all((directory / "files" / path).is_file() for path in paths)

    warnings = [line for line in result.stderr.splitlines() if "WARNING" in line]
    told = "\n".join(warnings)
    assert values("ok") == [1, 1, 2, 2.5, 3]
    assert values("long.nrows") == [8, 8]
    (stored,) = {
        json.dumps(json.loads((directory / "files" / path).read_text())) for path in values("long.path")
    }
    assert json.loads(stored)["data"] == [[0], [1], [2], [3], [4]]
    assert told.count("Truncating wandb.Table object to 6 rows: it has 8") == 2
    assert told.count("cannot log the value of `odd`: type __main__.Odd is stored as a placeholder") == 1
    assert told.count("is changed after it was logged") == 1
    artifacts = {
        record["artifact"]["client_id"]: record["artifact"]
        for record in records
        if record["type"] == "artifact"
    }
    names = [artifact["name"] for artifact in artifacts.values()]
    # Each row says where the table is in full.
    for key in ("long", "early", "joined", "evaluated", "k" * 300 + "/" + "v" * 400):
        (path,) = {*values(f"{key}.artifact_path")} if key != "long" else {values("long.artifact_path")[-1]}
        client_id, _, entry = str(path).removeprefix("wandb-client-artifact://").partition("/")
        assert entry in [one["path"] for one in artifacts[client_id]["manifest"]["contents"]], key
    assert names.count("run-tables1-long") == 2 and names.count("run-tables1-evaluated") == 1
    (long_name,) = [name for name in names if "kkkk" in name]
    assert len(long_name) == 128 and long_name[:20] == "run-tables1-kkkkkkkk" and long_name[-7] == "-"
    assert values("parts") == ["<runlane.data_types.partitioned_table.PartitionedTable>"]
    assert "PartitionedTables must first be added to an Artifact before logging to a Run" in told
    assert told.count("an EvalTable is stored as an ordinary table") == 1
    without = records_of("plain")
    assert [record for record in without if record["type"] == "artifact"] == []
    (row,) = [record["history"]["item"] for record in without if record["type"] == "history"]
    assert row["without.nrows"] == 8 and "without.artifact_path" not in row
    assert told.count("table `without` has 8 rows: the first 5 are stored") == 1
    assert (
        row["joined"] == "<runlane.data_types.joined_table.JoinedTable>"
        and "offline run does without" in told
    )
    assert len(set(values("changed.path"))) == 1 and values("changed.nrows") == [1, 3]
    assert values("list") == [["<runlane.plot.custom_chart.CustomChart>"]]
    assert "a chart is a value of its own, not part of a list" in told
    assert values("lost") == ["<runlane.data_types.table.Table>"]
    assert values("lost chart_table") == ["<runlane.plot.custom_chart.CustomChart>"]
    assert told.count("its file cannot be written: ") == 2
    assert values("odd title_table") == ["<runlane.plot.custom_chart.CustomChart>"]
    assert "cannot log the value of `odd title`" in told
    config = [
        key for record in records if record["type"] == "config" for key in record["config"].get("update", {})
    ]
    assert "_wandb.visualize.later" in config and "_wandb.viz.deep.er" in config
    assert [f"_wandb.visualize.chart {i}" in config for i in range(3)] == [True, True, False]
    assert values("chart 2_table.ncols") == [1] and told.count("a run has at most 5 custom charts") == 1
    assert config.count("_wandb.visualize.later") == 1
    assert values("later_table.ncols") == [1, 1] and values("deep.er.ncols") == [1] and values("later") == []
    assert [path.rsplit("_", 2)[1] for path in values("at.path")] == ["100", "101"]
    assert [row["_step"] for row in rows if "at.path" in row] == [100, 101]
    assert len(values("of threads.path")) == 4 and len(values("of child.path")) == 1

    refused = [line for line in result.stdout.splitlines() if line.startswith("REFUSED")]
    assert "not refused" not in result.stdout and len(refused) == 5
    assert refused[0] == "REFUSED TypeError `t`: Table is logged with `run.log`; a config cannot hold it"
    assert (
        refused[1]
        == "REFUSED TypeError `chart`: a chart is logged with `run.log`, the summary cannot hold it"
    )
    assert refused[2] == "REFUSED Error Expected `data_table` to be `wandb.Table` type, instead got list"
    assert "which cannot be logged" in refused[3] and "which cannot be logged" in refused[4]
    summary: dict[str, object] = {}
    for record in records:
        if record["type"] == "summary":
            summary.update(record["summary"].get("update", {}))
    assert "good" not in summary
    deep = summary["deep"]
    assert deep["frame"]["path"].startswith("media/table/deep.frame_summary_") and deep["frame"]["nrows"] == 2
    assert deep["list"][0]["_type"] == "table-file"
    assert summary["hist"] == {"_type": "histogram", "values": [1, 1], "bins": [1, 1.5, 2]}
    # What rows say of tables is no metric of the closing lines.
    assert "nrows" not in result.stderr and "ok" in result.stderr


RESUMED = """
import runlane as wandb
run = wandb.init(project={project!r}, id="grows", resume="allow")
table = wandb.Table(columns=["x"], data=[[{value}]], log_mode="INCREMENTAL")
run.log({{"grows": table}})
run.finish()
print("NUMBER", run.summary["grows"]["increment_num"], run.summary["grows"]["path"].split("_")[1])
"""


def test_an_incremental_table_goes_on_in_a_resumed_run(home: Home, server, project: str) -> None:
    printed = [home.python(RESUMED.format(project=project, value=i), env=server.env).stdout for i in range(2)]
    # The step in the name of the file goes on, too.
    assert ["NUMBER 0 0" in printed[0], "NUMBER 1 1" in printed[1]] == [True, True]


SIGNATURES = """
import inspect, json, sys
import {module} as wandb
from {module} import plot, sklearn
found = {{}}
for owner, names in (
    (wandb, "Table Histogram plot_table visualize"),
    (plot, "CustomChart bar confusion_matrix histogram line line_series plot_table pr_curve roc_curve scatter visualize"),
    (wandb.Table, "add_data add_row add_column add_computed_columns cast get_column get_dataframe get_index iterrows set_fk set_pk"),
    (sklearn, " ".join(name for name in dir(sklearn) if name.startswith("plot_"))),
):
    for name in names.split():
        parameters = inspect.signature(getattr(owner, name)).parameters.values()
        found[f"{{owner.__name__}}.{{name}}"] = [[one.name, repr(one.default)] for one in parameters if one.name != "self"]
print("SIGNATURES" + json.dumps(found))
"""


def test_functions_take_the_arguments_that_wandbs_take(home: Home, wandb_python: str) -> None:
    signatures = []
    for module, python in (("wandb", wandb_python), ("runlane", PYTHON)):
        printed = home.python(SIGNATURES.format(module=module), python=python).stdout
        line = next(line for line in printed.splitlines() if line.startswith("SIGNATURES"))
        found = json.loads(line.removeprefix("SIGNATURES"))
        signatures.append({key.removeprefix(f"{module}."): value for key, value in found.items()})
    theirs, ours = signatures
    # Here the function says itself what is missing.
    assert theirs["plot.roc_curve"][0] == ["y_true", "<class 'inspect._empty'>"] != ours["plot.roc_curve"][0]
    theirs["plot.roc_curve"][0] = ours["plot.roc_curve"][0]
    theirs = {key.replace("integration.sklearn", "sklearn"): value for key, value in theirs.items()}
    ours = {key.replace("integration.sklearn", "sklearn"): value for key, value in ours.items()}
    assert ours == theirs
