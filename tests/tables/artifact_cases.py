"""Tables put into artifacts, by wandb or by runlane: `artifact_cases.py MODULE RESULTS`. One JSON object of case -> entries, or error.

Not a test: `test_artifact_files.py` runs it with both clients.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import importlib
import json
import sys

import numpy as np
import pandas as pd

wandb = importlib.import_module(sys.argv[1] if __name__ == "__main__" else "runlane")
Table = wandb.Table
NAN = float("nan")
CLASSES = [{"id": 0, "name": "bg"}, {"id": 1, "name": "cat"}]
LABELS = {0: "bg", 1: "cat"}
BOX = {
    "position": {"minX": 0.1, "maxX": 0.5, "minY": 0.2, "maxY": 0.6},
    "class_id": 1,
    "scores": {"conf": 0.75},
}


def one(*cells, **options):
    return Table(columns=["a"], data=[[cell] for cell in cells], **options)


def image(**options):
    return wandb.Image(np.zeros((4, 4, 3), np.uint8), **options)


def keyed():
    table = Table(columns=["id", "v"], data=[["a", 1], ["b", 2]])
    table.set_pk("id")
    return table


def referring():
    table = Table(columns=["ref", "x"], data=[["a", 5]])
    table.set_fk("ref", keyed(), "id")
    return table


def pointing():
    return Table(columns=["ref"], data=[[index] for index in keyed().get_index()])


def mixed_with(**options):
    table = Table(columns=["a", "b"], dtype=[int, str], optional=[False, True], **options)
    table.add_data(1, None)
    table.add_data(2, "x")
    return table


FRAME = pd.DataFrame(
    {
        "i": [1, 2],
        "s": ["a", None],
        "f": [0.5, NAN],
        "b": [True, False],
        "d": pd.to_datetime(["2020-01-01", "2021-01-01"]),
    }
)
FLOATS = [
    1.0,
    1e16,
    1e15,
    1e-4,
    1.5e-5,
    1e-7,
    1e22,
    0.1,
    -0.0,
    1 / 3,
    float("inf"),
    -float("inf"),
    NAN,
    10**20,
    5e-324,
    None,
]
TEXTS = ["ü☃😀", 'a"b\\c\n\x00\x7f/', "\ud800", ""]
Color = enum.Enum("Color", "red")
Point = collections.namedtuple("Point", "x y")

CASES = {
    "plain": lambda: Table(columns=["id", "name"], data=[[0, "a"], [1, None]]),
    "floats": lambda: one(*FLOATS),
    "texts": lambda: one(*TEXTS),
    "numbers of numpy": lambda: one(
        np.float32(0.1), np.float64(0.1), np.int8(3), np.uint64(2**63), np.float32("nan")
    ),
    "booleans": lambda: one(True, np.bool_(False)),
    "moments": lambda: one(
        datetime.datetime(2020, 1, 1, 1, 2, 3, 456789),
        datetime.date(1960, 1, 2),
        datetime.datetime(1960, 1, 1, 0, 0, 0, 500),
        np.datetime64("2020-01-03T00:00:00.123456789"),
        np.datetime64("2020-01-03", "ns"),
        np.datetime64("2020"),
        np.datetime64("NaT"),
        datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        None,
    ),
    "timestamps of pandas": lambda: one(
        pd.Timestamp("2020-01-01T00:00:00.123456789"), pd.Timestamp("2020-01-01", tz="UTC")
    ),
    "lists": lambda: one([1, 2], (3,), {4}, []),
    "lists of moments": lambda: one([datetime.datetime(2020, 1, 1)]),
    "lists with nan": lambda: one([NAN, 1.0]),
    "lists of numbers of numpy": lambda: one([np.float32(0.5), np.int64(1)]),
    "dicts": lambda: one({"b": 1, "a": "x"}, {"b": 2, "a": "y"}),
    "dicts of others": lambda: one({"b": np.float32(1), "d": datetime.date(2020, 1, 1), "n": NAN}),
    "keys that are numbers": lambda: one({1: 2}),
    "short arrays": lambda: one(np.arange(3), np.arange(3) * 2.5, None),
    "arrays of 150": lambda: one(np.zeros(150)),
    "arrays of 151": lambda: one(np.zeros(151), np.ones(151)),
    "matrices": lambda: one(np.zeros((2, 3)), np.ones((2, 3))),
    "a number as an array": lambda: one(np.array(5.0)),
    "texts as an array": lambda: one(np.array(["a", "b"])),
    "lists among matrices": lambda: one(np.zeros((2, 2)), [[1, 2], [3, 4]]),
    "empty arrays": lambda: one(np.zeros((0,))),
    "two columns of matrices": lambda: Table(
        columns=["a", "ü x"], data=[[np.zeros((2, 2)), np.zeros((3, 3))]]
    ),
    "bytes": lambda: one(b"ab"),
    "decimals": lambda: one(decimal.Decimal("1.5")),
    "enums": lambda: one(Color.red),
    "texts of numpy": lambda: one(np.str_("x")),
    "series": lambda: one(pd.Series([1, 2])),
    "masked arrays": lambda: one(np.ma.array([1, 2], mask=[0, 1])),
    "named tuples": lambda: one(Point(1, 2)),
    "ordered dicts": lambda: one(collections.OrderedDict(b=1, a=2)),
    "functions": lambda: one(len),
    "mixed": lambda: one(1, "a", [1], {"b": 2}, None, allow_mixed_types=True),
    "mixed moments and arrays": lambda: one(
        1, datetime.datetime(2020, 1, 1), np.zeros((2, 2)), allow_mixed_types=True
    ),
    "tables in cells": lambda: one(Table(columns=["x"], data=[[1]]), Table(columns=["x"], data=[[2]])),
    "frames": lambda: Table(dataframe=FRAME),
    "arrays as data": lambda: Table(columns=["a", "b"], data=np.array([[1.5, 2], [3, 4]])),
    "without rows": lambda: Table(columns=["a", "b"]),
    "not optional": lambda: one(1, optional=False),
    "given types": mixed_with,
    "a type of either": lambda: one(1, "a", dtype=[[int, str]]),
    "mutable": lambda: one(1, log_mode="MUTABLE"),
    "incremental": lambda: one(1, log_mode="INCREMENTAL"),
    "repeated columns": lambda: Table(columns=["a", "a"], data=[[1, 2]]),
    "a primary key": keyed,
    "foreign keys": referring,
    "foreign rows": pointing,
    "keys as cells": lambda: Table(columns=["r"], data=[[keyed().get_column("id")[0]]]),
    "histograms": lambda: one(wandb.Histogram([1, 2, 3], num_bins=2)),
    "joined": lambda: wandb.JoinedTable(one(1), one(2), "a"),
    "joined on two": lambda: wandb.JoinedTable(one(1), one(2), ["a", "a"]),
    "partitioned": lambda: wandb.data_types.PartitionedTable("parts"),
    # What is an object of its class in a column is the column's type, and a file.
    "image": lambda: one(image(), image(caption="c"), None),
    "image type": lambda: Table(columns=["a"], dtype=wandb.Image),
    "image classes": lambda: one(image(classes=CLASSES)),
    "image boxes": lambda: one(
        image(boxes={"pred": {"box_data": [BOX], "class_labels": LABELS}}, classes=CLASSES), image()
    ),
    "image masks": lambda: one(
        image(masks={"m": {"mask_data": np.eye(4, dtype=np.uint8), "class_labels": {0: "bg"}}}),
        image(masks={"n": {"mask_data": np.eye(4, dtype=np.uint8) * 3}}),
    ),
    "image lists": lambda: one([image(), image()]),
    "image dicts": lambda: one({"x": image()}),
    "image mixed": lambda: one(1, image(), allow_mixed_types=True),
    "html": lambda: one(wandb.Html("<p>x", inject=False)),
    "object3d": lambda: one(wandb.Object3D(np.zeros((2, 3)))),
    "classes": lambda: one(wandb.Classes(CLASSES)),
}


def entries_of(made):
    artifact = wandb.Artifact("a", "b")
    artifact.add(made, "t")
    found = {}
    for path, entry in artifact.manifest.entries.items():
        with open(entry.local_path, "rb") as file:
            content = file.read()
        found[path] = content.decode() if path.endswith(".json") else f"{len(content)} bytes"
    return found


if __name__ == "__main__":
    results = {}
    for name, make in CASES.items():
        try:
            results[name] = entries_of(make())
        except Exception as error:
            results[name] = {"error": f"{type(error).__name__}: {error}"}
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(results, file)
