"""Tables that are read from artifacts are those that were added. (From a server: `test_stored.py`.)"""

from __future__ import annotations

import datetime
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runlane
from artifact_cases import CASES, image, keyed, one, pointing, referring
from runlane import Artifact, Table
from runlane.data_types import PartitionedTable
from runlane.data_types.base import WBValue

NAN = float("nan")
ROOT = ""
UTC = datetime.timezone.utc


class Stored:
    """An artifact as readers see it once it is stored: the files of a draft."""

    def __init__(self, draft: Artifact) -> None:
        self.manifest = draft.manifest
        self._root = Path(tempfile.mkdtemp(prefix="tables-", dir=ROOT))

    def get_entry(self, path: str) -> Any:
        entry = self.manifest.entries[path]
        # What a file is tells its name.
        local = self._root / path.replace("/", "-")
        shutil.copyfile(entry.local_path, local)
        return type(
            "Entry",
            (),
            {"path": path, "download": lambda _self: str(local), "ref_url": lambda _self: f"ref:{path}"},
        )()

    def get(self, name: str) -> Any:
        (path,) = [path for path in self.manifest.entries if path == name or path.startswith(f"{name}.")]
        with open(self.get_entry(path).download(), encoding="utf-8") as file:
            return WBValue.init_from_json(json.load(file), self)


@pytest.fixture(autouse=True, scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where copies of files are."""
    global ROOT
    ROOT = str(tmp_path_factory.mktemp("stored"))
    yield


def stored(made: Any) -> Stored:
    draft = Artifact("a", "b")
    draft.add(made, "t")
    return Stored(draft)


def back(made: Any) -> Any:
    return stored(made).get("t")


# Cases whose cells are something else when they are read: what JSON made of them.
CHANGED = {
    *(
        "numbers of numpy",
        "floats",
        "texts",
        "moments",
        "timestamps of pandas",
        "lists",
        "lists with nan",
        "lists of moments",
    ),
    *(
        "dicts of others",
        "keys that are numbers",
        "short arrays",
        "arrays of 150",
        "empty arrays",
        "texts as an array",
    ),
    *(
        "a number as an array",
        "lists among matrices",
        "bytes",
        "decimals",
        "enums",
        "series",
        "masked arrays",
        "named tuples",
    ),
    *(
        "functions",
        "mixed moments and arrays",
        "frames",
        "histograms",
        "incremental",
        "classes",
        "partitioned",
    ),
    # Their types name tables, which are other objects.
    *("foreign keys", "foreign rows", "keys as cells"),
}


@pytest.mark.parametrize("name", sorted(set(CASES) - CHANGED))
def test_tables_are_what_they_were(name: str) -> None:
    made = CASES[name]()
    read = back(made)
    assert read == made and type(read) is type(made)
    if isinstance(made, Table):
        assert (read.log_mode, read._column_types) == (made.log_mode, made._column_types)


def test_cells_come_back_as_objects() -> None:
    moment = datetime.datetime(1960, 1, 1, 1, 2, 3, 456789)
    read = back(one(moment, np.datetime64("2020-01-03T00:00:00.123456789"), None))
    assert [row[0] for row in read.data] == [
        datetime.datetime(1960, 1, 1, 1, 2, 3, 457000, tzinfo=UTC),
        datetime.datetime(2020, 1, 3, 0, 0, 0, 123457, tzinfo=UTC),
        None,
    ]
    assert (
        back(one([moment, None])).data[0][0][0].year == 1960
        and back(one({"a": moment})).data[0][0]["a"].year == 1960
    )
    assert back(one(1.5, NAN, float("inf"))).data == [[1.5], [None], [float("inf")]]
    assert back(one(np.arange(3), None)).data == [[[0, 1, 2]], [None]]
    assert back(one(np.zeros((2, 2)), np.ones((2, 2)))).data[1][0].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert back(one(np.array(5.0))).data[0][0] == 5.0
    # Arrays that make no common one are in the cells.
    assert back(one(np.zeros((2, 2)), None)).data[0][0].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    nested = back(one([image(), image(caption="c")])).data[0][0]
    assert [type(cell) for cell in nested] == [runlane.Image] * 2 and nested[1]._caption == "c"
    assert type(back(one({"x": image()})).data[0][0]["x"]) is runlane.Image
    assert type(back(one(1, image(), allow_mixed_types=True)).data[1][0]) is runlane.Image
    # A dict of the user's that looks like an object.
    assert back(one({"_type": "image-file"})).data == [[{"_type": "image-file"}]]
    assert back(one({"_type": "zz", "a": [1]})).data == [[{"_type": "zz", "a": [1]}]]
    inner = back(one(Table(columns=["x"], data=[[1]]))).data[0][0]
    assert inner.data == [[1]] and isinstance(inner, Table)


def test_keys_find_their_tables_again() -> None:
    read = back(referring())
    (key, _) = read.data[0]
    assert key == "a" and key._table.data == [["a", 1], ["b", 2]] and read._fk_cols == {"ref"}
    read.add_data("b", 6)
    assert read.data[1][0]._table is key._table
    assert back(pointing()).data[1][0].get_row() == {"id": "b", "v": 2}
    assert back(keyed())._pk_col == "id"


def test_columns_are_arrays_of_what_media_show() -> None:
    table = Table(
        columns=["n", "m", "i", "l", "r"],
        data=[[1, np.zeros((2, 2)), image(), [1, 2], [1]], [2, np.ones((2, 2)), image(), [3, 4], [1, 2]]],
    )
    for read in (table, back(table)):
        shapes = [read.get_column(name, convert_to="numpy").shape for name in read.columns]
        assert shapes == [(2,), (2, 2, 2), (2, 4, 4, 3), (2, 2), (2,)]
    with pytest.raises(NotImplementedError):
        one(runlane.Html("x")).get_column("a", convert_to="numpy")


def test_parts_are_read_one_after_the_other() -> None:
    draft = Artifact("a", "b")
    draft.add(PartitionedTable("parts"), "all")
    for name in ("b", "a", "sub/c"):
        draft.add(Table(columns=["x", "i"], data=[[name, image()], [name.upper(), None]]), f"parts/{name}")
    draft.add(one(1), "parts2/d")
    with draft.new_file("parts/readme.txt") as file:
        file.write("x")
    read = Stored(draft).get("all")
    rows = list(read.iterrows())
    assert [(number, row[0]) for number, row in rows] == list(
        enumerate(["a", "A", "b", "B", "sub/c", "SUB/C"])
    )
    assert type(rows[0][1][1]) is runlane.Image and read == Stored(draft).get("all")
    with pytest.raises(ValueError, match="has rows once it is read from an artifact"):
        list(PartitionedTable("parts").iterrows())


def test_an_incremental_table_has_the_rows_of_all_increments() -> None:
    draft = Artifact("a", "b")
    for name, values in (("None-5.t", [0]), ("10-6.t", [4, 5]), ("2-9.t", [3]), ("1-7.t", [1, 2])):
        table = Table(columns=["x"], data=[[value] for value in values], log_mode="INCREMENTAL")
        draft.add(table, name)
    for name in ("2-9.t", "None-5.t"):
        assert [row[0] for row in Stored(draft).get(name).data] == [0, 1, 2, 3, 4, 5]


def test_joined_tables_know_their_tables() -> None:
    left, right = Table(columns=["id", "a"], data=[[1, 2]]), Table(columns=["id", "b"], data=[[1, 3]])
    draft = Artifact("a", "b")
    draft.add(left, "left")
    draft.add(runlane.JoinedTable(left, right, "id"), "objects")
    draft.add(runlane.JoinedTable("left.table.json", right, ["id", "id"]), "paths")
    assert "t1_0.table.json" not in draft.manifest.entries
    for name in ("objects", "paths"):
        read = Stored(draft).get(name)
        assert (read._table1, read._table2) == (left, right)
    for arguments, text in (
        ((left, right, 5), "join_key should be a string or a list of two strings"),
        ((left, right, ["id"]), "join_key should be a string or a list of two strings"),
        (
            (5, right, "id"),
            "JoinedTable table1 should be an artifact path to a table or wandb.Table object, got int",
        ),
        ((left, "x", "id"), "JoinedTable table2 should be an artifact path"),
    ):
        with pytest.raises(ValueError, match=text):
            runlane.JoinedTable(*arguments)
    with pytest.raises(ValueError, match="there is no table `no"):
        draft.add(runlane.JoinedTable("no.table.json", right, "id"), "missing")


@pytest.mark.parametrize(
    ("described", "error", "text"),
    [
        ({"columns": "ab", "data": []}, ValueError, "must have lists of `columns` and `data`"),
        ({"columns": ["a"], "data": 5}, ValueError, "must have lists of `columns` and `data`"),
        (
            {"columns": ["a"], "data": [[1], [1, 2]]},
            ValueError,
            "row 1 of the table's file does not have 1 cells",
        ),
        (
            {"columns": ["a"], "data": [[1]], "column_types": {"wb_type": "number"}},
            TypeError,
            "must be a typedDict",
        ),
        (
            {"columns": ["a"], "data": [[1]], "column_types": {"wb_type": "typedDict"}},
            ValueError,
            "no type of column `a`",
        ),
        (
            {"columns": ["a"], "data": [[1]], "column_types": {"wb_type": "nosuch"}},
            TypeError,
            "no column type `nosuch`",
        ),
    ],
)
def test_files_that_are_no_tables_are_refused(
    described: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Table.from_json(described, None)
    assert Table.from_json({"columns": ["a"], "data": [[1], [None]]}, None) == one(1, None)


def test_a_changed_table_is_stored_as_it_is_now() -> None:
    table = one(1)
    first = Artifact("a", "b")
    first.add(table, "t")
    first.finalize()
    table.add_data(2)
    second = Artifact("a", "b")
    entry = second.add(table, "t")
    assert entry.ref is None and Stored(second).get("t").data == [[1], [2]]


def test_tables_that_lead_back_to_themselves_are_refused() -> None:
    tree = Table(columns=["id", "parent"], data=[["a", "a"]])
    tree.set_pk("id")
    tree.set_fk("parent", tree, "id")
    inner = Table(columns=["t"])
    inner.add_data(Table(columns=["x"], data=[[1]]))
    inner.data[0][0] = inner
    for table in (tree, inner):
        with pytest.raises(ValueError, match="lead back to the table itself"):
            stored(table)
    assert len(back(keyed()).data) == 2


def test_objects_without_a_form_are_refused_with_the_reason() -> None:
    with pytest.raises(TypeError, match="Object of type builtins"):
        stored(one(object()))
    assert back(one(datetime.timedelta(seconds=5), datetime.timedelta(1))).data == [[5.0], [86400.0]]


def test_evaluation_tables_know_roles() -> None:
    table = runlane.EvalTable(
        data=[["q", "a", 1.0]], input_columns=["in"], output_columns=["out"], score_columns=["good"]
    )
    assert table.columns == ["in", "out", "good"] and back(table) == table
    for arguments, text in (
        ({"input_columns": ["x"], "score_columns": ["x"]}, "has one role"),
        ({"columns": ["a"], "input_columns": ["x"]}, "column `x` has a role, but the table has only"),
        ({"unsupported_media_mode": "odd"}, "`unsupported_media_mode` must be one of"),
    ):
        with pytest.raises(ValueError, match=text):
            runlane.EvalTable(**arguments)
