"""Types of columns: their JSON, in both directions, and what becomes of them. Texts and JSON as wandb 0.31.0 has them (observed)."""

from __future__ import annotations

import json

import numpy as np
import pytest
import runlane
from runlane import Table
from runlane.data_types import _dtypes, _dtypes_json, _dtypes_media
from runlane.data_types._dtypes import INVALID, NUMBER, Const, List, NDArray, TypedDict, Union, optional
from runlane.data_types._dtypes_json import type_from_json

EMPTY_IMAGE = "Image-file(box_layers:{}, box_score_keys:set(), mask_layers:{}, box_class_maps:{}, mask_class_maps:{}, class_map:{})"


def const(value: object, is_set: bool) -> dict[str, object]:
    return {"wb_type": "const", "params": {"val": value, "is_set": is_set}}


FULL_IMAGE = {
    "wb_type": "image-file",
    "params": {
        "box_layers": const({"p": [0, 1]}, False),
        "box_score_keys": const(["conf"], True),
        "mask_layers": const({"m": [0]}, False),
        "box_class_maps": const({"p": {"0": "a", "1": "b"}}, False),
        "mask_class_maps": const({"m": {"0": "bg"}}, False),
        "class_map": const({"0": "a", "1": "b"}, False),
    },
}
NUMBERS = {"wb_type": "list", "params": {"element_type": {"wb_type": "number"}, "length": 2}}
OPTIONAL = {"wb_type": "union", "params": {"allowed_types": [{"wb_type": "none"}, {"wb_type": "number"}]}}

# JSON of a type as this version writes it, and its text.
KINDS = [
    *(
        ({"wb_type": name}, name.capitalize())
        for name in ("none", "string", "number", "boolean", "timestamp")
    ),
    *(
        ({"wb_type": name}, name.capitalize())
        for name in ("unknown", "any", "invalid", "primaryKey", "artifactVersion")
    ),
    *(
        ({"wb_type": name}, name.capitalize())
        for name in ("audio-file", "video-file", "html-file", "object3D-file")
    ),
    *(({"wb_type": name}, name.capitalize()) for name in ("bokeh-file", "joined-table", "partitioned-table")),
    ({"wb_type": "wb_trace_tree"}, "Wb_trace_tree"),
    (OPTIONAL, "None or Number"),
    (NUMBERS, "Number[]"),
    ({"wb_type": "typedDict", "params": {"type_map": {"a": NUMBERS}}}, "{'a': Number[]}"),
    (
        {"wb_type": "ndarray", "params": {"shape": [2, 3], "serialization_path": {"path": "p", "key": "k"}}},
        "Ndarray(shape:[2, 3])",
    ),
    (const([1, 2], True), "{1, 2}"),
    (const("a", False), "a"),
    ({"wb_type": "pythonObject", "params": {"class_name": "X"}}, "Pythonobject(class_name:X)"),
    ({"wb_type": "table", "params": {"column_types": {"wb_type": "unknown"}}}, "Table(column_types:Unknown)"),
    (
        FULL_IMAGE,
        "Image-file(box_layers:{'p': {0, 1}}, box_score_keys:{'conf'}, mask_layers:{'m': {0}}, box_class_maps:{'p': {'0': 'a', '1': 'b'}},"
        " mask_class_maps:{'m': {'0': 'bg'}}, class_map:{'0': 'a', '1': 'b'})",
    ),
]


@pytest.mark.parametrize(("described", "text"), KINDS)
def test_types_are_read_from_what_they_are_written_as(described: dict[str, object], text: str) -> None:
    made = type_from_json(described)
    assert (made.to_json(), repr(made)) == (described, text)
    # Reading is an identity for what is told apart by identity.
    assert type_from_json(described) == made


@pytest.mark.parametrize(
    ("described", "text"),
    [
        ({"wb_type": "dictionary", "params": {"type_map": {"a": {"wb_type": "string"}}}}, "{'a': String}"),
        ({"wb_type": "object", "params": {"class_name": "X"}}, "Pythonobject(class_name:X)"),
        ({"wb_type": "wandb.Image"}, EMPTY_IMAGE),
        ({"wb_type": "wandb.Image", "params": {"box_keys": const(["a"], True)}}, EMPTY_IMAGE),
        ({"wb_type": "wandb.Table"}, "Table(column_types:Unknown)"),
        ({"wb_type": "wandb.TablePrimaryKey"}, "Primarykey"),
        ({"wb_type": "list"}, "Unknown[]"),
    ],
)
def test_names_of_older_clients_are_read(described: dict[str, object], text: str) -> None:
    assert repr(type_from_json(described)) == text


@pytest.mark.parametrize(
    "described",
    [
        None,
        5,
        {},
        {"wb_type": 5},
        {"wb_type": "nosuch"},
        {"wb_type": "union", "params": 5},
        {"wb_type": "union", "params": {}},
        {"wb_type": "ndarray", "params": {}},
        {"wb_type": "pythonObject", "params": {}},
        {"wb_type": "image-file", "params": {"box_layers": 5}},
    ],
)
def test_what_is_no_type_is_refused(described: object) -> None:
    with pytest.raises(TypeError, match="column type"):
        type_from_json(described)


def test_types_that_are_nested_without_end_are_refused() -> None:
    described: dict[str, object] = {"wb_type": "number"}
    for _ in range(10_000):
        described = {"wb_type": "list", "params": {"element_type": described, "length": None}}
    with pytest.raises(TypeError, match="nested deeper than"):
        type_from_json(described)


IMAGES = {
    "A": {
        "box_layers": {"p": {0, 1}},
        "box_score_keys": {"conf"},
        "box_class_maps": {"p": {"0": "a", "1": "b"}},
        "class_map": {"0": "a", "1": "b"},
    },
    "C": {
        "box_layers": {"p": {1, 5}},
        "box_score_keys": {"x"},
        "box_class_maps": {"p": {"1": "z", "5": "w"}},
        "class_map": {"1": "z", "5": "w"},
    },
    "M": {"mask_layers": {"m": {0}}, "mask_class_maps": {"m": {"0": "bg"}}, "class_map": {"0": "bg"}},
}


def test_image_columns_know_all_layers_and_keep_the_first_name_of_a_class() -> None:
    a, c, m = (_dtypes_media.ImageType(facts) for facts in IMAGES.values())
    both = a.assign_type(c).assign_type(m)
    assert isinstance(both, _dtypes_media.ImageType)
    assert both.facts == {
        "box_layers": {"p": {0, 1, 5}},
        "box_score_keys": {"conf", "x"},
        "mask_layers": {"m": {0}},
        "box_class_maps": {"p": {"0": "a", "1": "b", "5": "w"}},
        "mask_class_maps": {"m": {"0": "bg"}},
        "class_map": {"0": "a", "1": "b", "5": "w"},
    }
    assert both.assign_type(a) is both and a.assign_type(a) is a
    assert a.assign_type(NUMBER) is INVALID and optional(a).assign(5) is INVALID
    assert json.dumps(both.to_json()).count('"val": [0, 1, 5]') == 0


def test_consts_lists_and_arrays_take_what_they_say() -> None:
    five, letters = Const(5), Const({"a", "b"})
    assert [five.assign(value) is five for value in (5, 5.0, 6, None, "5", np.zeros(2))] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert letters.assign({"b", "a"}) is letters and letters.assign(["a", "b"]) is INVALID
    assert letters.to_json() == const(["a", "b"], True)
    either = optional(Const("x"))
    assert repr(either) == "None or x" and either.assign(None) is either and either.assign("y") is INVALID
    array = NDArray([2, 2])
    assert array.assign([[1, 2], [3, 4]]) is array and array.assign([[1, 2], [3]]) is INVALID
    assert repr(List(List(NUMBER)).assign(np.zeros((2, 2)))) == "Number[][]"
    several = _dtypes.type_named([int, str])
    assert isinstance(several, Union) and repr(several) == "Number or String"
    assert several.assign(True) is INVALID
    assert (
        repr(TypedDict({"a": NUMBER, "b": optional(NUMBER)}).assign({"a": 1}))
        == "{'a': Number, 'b': None or Number}"
    )


def test_keys_belong_to_a_table() -> None:
    people = Table(columns=["id", "age"], data=[["ann", 30], ["bob", 40]])
    people.set_pk("id")
    people.add_data("cy", 50)
    (first, *_), last = people.get_column("id"), people.data[-1][0]
    assert first == "ann" and last._table is people and people._pk_col == "id"
    visits = Table(columns=["who", "day"], data=[["ann", 1], ["cy", 2]])
    visits.set_fk("who", people, "id")
    visits.add_data("bob", 3)
    assert visits._fk_cols == {"who"} and visits.data[2][0]._table is people
    rows = Table(columns=["row"], data=[[index] for index in people.get_index()])
    assert rows.data[1][0].get_row() == {"id": "bob", "age": 40}
    assert [index.get_row()["age"] for index, _ in people.iterrows()] == [30, 40, 50]
    with pytest.raises(IndexError, match="there is no row 7"):
        people.index_ref(7)
    for use, error, text in (
        (lambda: people.set_pk("age"), ValueError, "Cannot have multiple primary keys - id is already"),
        (
            lambda: people.cast("id", _dtypes_media.PRIMARY_KEY, optional=True),
            ValueError,
            "cannot be optional",
        ),
        (lambda: visits.set_fk("day", people, "id"), TypeError, "column `day` takes Foreignkey"),
        (lambda: visits.set_fk("who", people, "nope"), KeyError, "there is no column `nope`"),
        (lambda: visits.set_fk("who", [["ann"]], "id"), TypeError, "`table` must be a Table, got list"),
        (lambda: visits.add_data(5, 4), TypeError, "column `who` takes Foreignkey"),
        (lambda: rows.add_data(99), TypeError, "column `row` takes Foreignindex"),
        (
            lambda: Table(columns=["id"], data=[[None]]).set_pk("id"),
            TypeError,
            "takes Primarykey, row 0 has None",
        ),
    ):
        with pytest.raises(error, match=text):
            use()
    assert visits.data == [["ann", 1], ["cy", 2], ["bob", 3]]


def test_types_are_the_same_in_a_copy() -> None:
    import copy
    import pickle

    table = Table(columns=["id", "n"], data=[["a", 1]])
    table.set_pk("id")
    for other in (copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        assert other._types[0] is _dtypes_media.PRIMARY_KEY and other.data[0][0]._table is other
        other.add_data("b", None)
        assert other.data[1][0]._table is other and len(table.data) == 1


def test_classes_of_a_table_are_found_under_wandbs_names() -> None:
    assert runlane.JoinedTable._log_type == "joined-table"
    assert runlane.data_types.PartitionedTable._log_type == "partitioned-table"
    assert issubclass(runlane.EvalTable, Table)
    assert sorted(_dtypes_json._OLD_NAMES) == [
        "dictionary",
        "object",
        "wandb.Classes_id",
        "wandb.Image",
        "wandb.Table",
        "wandb.TableForeignIndex",
        "wandb.TableForeignKey",
        "wandb.TablePrimaryKey",
    ]
