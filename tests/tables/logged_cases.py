"""Tables logged to an offline run, by wandb or by runlane: `logged_cases.py MODULE RUN_ID`. Not a test: `test_logged_pairs.py` runs it."""

from __future__ import annotations

import importlib
import logging
import sys

import numpy as np
import pandas as pd

wandb = importlib.import_module(sys.argv[1])
Table = wandb.Table
logging.disable()


def one(*values, **options):
    return Table(columns=["x"], data=[[value] for value in values], **options)


def image():
    return wandb.Image(np.zeros((4, 4, 3), np.uint8))


run = wandb.init(mode="offline", project="p", id=sys.argv[2], settings=wandb.Settings(console="off"))
pictures = Table(columns=["id", "img"], data=[[0, image()], [1, None]])
run.log({"first": pictures})
run.log({"first": pictures, "other key": pictures})
pictures.add_data(2, None)
run.log({"first": pictures})
run.log({"a/b c-d.e ü": one(1)})
run.log({"ab": one(1), "a/b": one(2)})
mutable = one(1, log_mode="MUTABLE")
for _ in range(2):
    run.log({"mutable": mutable})
mutable.add_data(2)
run.log({"mutable": mutable})
mutable.add_column("y", [1, 2])
run.log({"mutable": mutable})
grows = Table(columns=["x"], log_mode="INCREMENTAL")
run.log({"grows": grows})
for value in range(3):
    grows.add_data(value)
    run.log({"grows": grows})
run.log({"grows": grows})
for value in range(3):
    grows.add_data(value)
run.log({"grows": grows})
run.log({"grows elsewhere": grows})
grows.add_data(9)
run.log({"grows elsewhere": grows})
Table.MAX_ROWS, Table.MAX_ARTIFACT_ROWS = 5, 12
run.log({"cut": one(*range(20)), "cut less": one(*range(7))})
cut = Table(columns=["x"], log_mode="INCREMENTAL")
for _ in range(2):
    for value in range(20):
        cut.add_data(value)
    run.log({"grows cut": cut})
Table.MAX_ROWS, Table.MAX_ARTIFACT_ROWS = 10_000, 200_000
artifact = wandb.Artifact("user", "dataset")
both = one(1)
run.log({"both": both})
artifact.add(both, "copy")
run.log_artifact(artifact)
run.log({"both": both})
stored = one(5)
mine = wandb.Artifact("mine", "dataset")
mine.add(stored, "kept")
run.log_artifact(mine)
run.log({"kept": stored})
run.log({"joined": wandb.JoinedTable(both, stored, "x")})
run.log({"list": [one(1), one(2)], "frame": pd.DataFrame({"a": [1]}), "deep": {"er": one(1)}})
run.log({"odd name.x": one([1.5, 2.5e-7], {"b": 1, "a": "ü"}, allow_mixed_types=True)})
run.log(
    {
        "line": wandb.plot.line(one(1, 2), "x", "x"),
        "split": wandb.plot.scatter(one(1), "x", "x", split_table=True),
    }
)
run.log(
    {
        "mine": wandb.plot_table(
            vega_spec_name="me/own", data_table=one(3), fields={"x": "x"}, string_fields={"title": "T"}
        )
    }
)
run.summary["last"] = one(9)
run.finish()
