"""`Table`: columns and their types, rows, reading, and what a file of it says. Without a run."""

from __future__ import annotations

import copy
import datetime
import json
import math
import pickle
import random
import struct
import time

import numpy as np
import pandas as pd
import pytest
from runlane import Table, _core
from runlane.data_types import _files
from runlane.data_types._table_json import run_pieces

NAN = math.nan


def encode(columns, rows, convert):
    """The file of a run."""
    return b"".join(run_pieces(columns, rows, 0, len(rows), convert))


class Odd:
    pass


# Cells of one column, and the column's type as the real wandb 0.31.0 names it (observed); None: the last cell is refused.
COLUMNS = [
    ([None, 1, 2.5, np.int8(3), NAN], "None or Number"),
    ([NAN, "a", None], "None or String"),
    ([True, np.bool_(False)], "Boolean or None"),
    ([1, True], None),
    ([True, 1], None),
    ([1, "a"], None),
    ([np.float64("nan"), "a"], None),
    (
        [datetime.datetime(2020, 1, 1), datetime.date(2020, 1, 1), np.datetime64("2020-01-01")],
        "None or Timestamp",
    ),
    ([datetime.time(1)], "None or Pythonobject(class_name:time)"),
    ([[1, 2], (3,), np.arange(2), []], "None or Number[]"),
    ([[1, 2], ["a"]], None),
    ([[None], [1]], "None or None or Number[]"),
    ([[1], [None]], None),
    ([[1, "a"]], "Invalid[] or None"),
    ([[1, "a"], [1, "a"]], None),
    ([[[1], [1, 2]]], "None or Number[][]"),
    ([[np.array([1]), np.array([2])]], "Ndarray(shape:[1])[] or None"),
    ([{"a": 1}, {"a": 2}], "None or {'a': Number}"),
    ([{"a": [1]}, {"a": [1, 2]}], "None or {'a': Number[]}"),
    ([{"a": 1}, {"a": 1, "b": 2}], None),
    ([{"a": 1, "b": 2}, {"a": 1}], None),
    ([np.zeros((2, 2)), np.ones((2, 2)), [[1, 2], [3, 4]]], "Ndarray(shape:[2, 2]) or None"),
    ([np.zeros((2, 2)), np.zeros(3)], None),
    ([Odd(), Odd()], "None or Pythonobject(class_name:Odd)"),
    ([Odd(), object()], None),
    ([np.str_("a")], "None or Pythonobject(class_name:str_)"),
    ([b"a"], "None or Pythonobject(class_name:bytes)"),
]


@pytest.mark.parametrize(("cells", "name"), COLUMNS)
def test_columns_have_the_types_that_wandb_gives_them(cells, name):
    at_once = {"columns": ["a"], "data": [[cell] for cell in cells]}
    table = Table(columns=["a"])
    for cell in cells[:-1]:
        table.add_data(cell)
    if name is None:
        with pytest.raises(TypeError, match="Data row contained incompatible types: column `a` takes"):
            table.add_data(cells[-1])
        assert len(table.data) == len(cells) - 1
        with pytest.raises(TypeError, match=f"row {len(cells) - 1} has"):
            Table(**at_once)
        Table(**at_once, allow_mixed_types=True)
    else:
        table.add_data(cells[-1])
        assert repr(table._column_types.types["a"]) == name
        assert repr(Table(**at_once)._column_types.types["a"]) == name


def test_types_are_written_as_files_of_tables_have_them():
    table = Table(columns=["n", "l", "t"], data=[[1, [1, None], Table(columns=["x"])]])
    optional = {"wb_type": "union", "params": {"allowed_types": [{"wb_type": "none"}, {"wb_type": "number"}]}}
    unknown = {"wb_type": "union", "params": {"allowed_types": [{"wb_type": "none"}, {"wb_type": "unknown"}]}}
    inner = {
        "wb_type": "table",
        "params": {"column_types": {"wb_type": "typedDict", "params": {"type_map": {"x": unknown}}}},
    }
    values = {"wb_type": "list", "params": {"element_type": optional, "length": 2}}
    assert table._column_types.to_json() == {
        "wb_type": "typedDict",
        "params": {
            "type_map": {
                "n": optional,
                "l": {"wb_type": "union", "params": {"allowed_types": [{"wb_type": "none"}, values]}},
                "t": {"wb_type": "union", "params": {"allowed_types": [{"wb_type": "none"}, inner]}},
            }
        },
    }


@pytest.mark.parametrize(
    ("dtype", "optional", "good", "bad"),
    [
        (int, True, None, "a"),
        (float, False, 1, None),
        (str, False, "a", NAN),
        (bool, True, True, 1),
        (np.int32, True, 2, "a"),
        (datetime.datetime, True, datetime.date(2020, 1, 1), 5),
        ([[int]], True, [1], ["a"]),
        ({"a": int}, True, {"a": 1}, {"b": 1}),
        (None, False, "a", None),
    ],
)
def test_types_may_be_given(dtype, optional, good, bad):
    table = Table(columns=["a"], dtype=dtype, optional=optional)
    table.add_data(good)
    with pytest.raises(TypeError, match="incompatible types"):
        table.add_data(bad)
    two = Table(columns=["a", "b"], dtype=[int, str], optional=[False, True], data=[[1, None]])
    with pytest.raises(TypeError, match="column `a` takes Number, row 1 has None"):
        two.add_data(None, "x")


def test_rows_come_from_lists_arrays_and_frames():
    rows = [[1, "x"], [2, None]]
    tables = [Table(columns=["a", "b"], data=rows), Table(columns=("a", "b"), rows=tuple(map(tuple, rows)))]
    tables += [Table(columns=["a", "b"], data=(row for row in rows)), Table(columns=["a", "b"])]
    for row in rows:
        tables[-1].add_data(*row)
    assert all(table == tables[0] and table.data == rows for table in tables)
    rows[0][0] = 5
    assert tables[0].data[0] == [1, "x"]
    assert Table(columns=["a", "b"], data=np.arange(4).reshape(2, 2)).data == [[0, 1], [2, 3]]
    assert Table(data=[[1, 2, 3]]).columns == ["Input", "Output", "Expected"]
    assert Table(columns=None, data=None, dataframe=None).data == []
    frame = pd.DataFrame(
        {
            "i": [1, 2],
            "s": ["a", None],
            "f": [0.5, NAN],
            "n": pd.array([1, None], dtype="Int64"),
            3: [True, False],
        }
    )
    for table in (Table(dataframe=frame), Table(data=frame), Table(columns=["unused"], dataframe=frame)):
        assert table.columns == ["i", "s", "f", "n", 3]
        assert table.data[0] == [1, "a", 0.5, 1, True]
        assert type(table.data[0][0]) is int and table.data[1][3] is None and table.data[1][1] != "None"
    assert Table(dataframe=frame.set_index("i")).columns == ["s", "f", "n", 3]
    twins = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert Table(dataframe=twins).data == [[1, 2]]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"columns": "ab"}, TypeError, "`columns` must be a list of names"),
        ({"columns": [None]}, TypeError, "strings or integers, got NoneType"),
        ({"columns": ["a"], "data": "xx"}, TypeError, "`data` must be a list of rows"),
        ({"columns": ["a"], "data": {"a": [1]}}, TypeError, "`data` must be a list of rows"),
        ({"columns": ["a"], "data": [1, 2]}, TypeError, "a row of `data` must be a list of cells, got int"),
        (
            {"columns": ["a"], "data": [{"a": 1}]},
            TypeError,
            "a row of `data` must be a list of cells, got dict",
        ),
        (
            {"columns": ["a", "b"], "data": [[1]]},
            ValueError,
            r"This table expects 2 columns: \['a', 'b'\], found 1",
        ),
        ({"dataframe": {"a": 1}}, TypeError, "`dataframe` must be a pandas DataFrame, got dict"),
        (
            {"columns": ["a", "b"], "dtype": [int, int, int]},
            ValueError,
            "`dtype` has 3 entries for 2 columns",
        ),
        ({"columns": ["a", "b"], "optional": [True]}, ValueError, "`optional` has 1 entries for 2 columns"),
        ({"columns": ["a"], "dtype": "number"}, TypeError, "`dtype` must be a type such as int"),
        ({"log_mode": "ODD"}, ValueError, "Invalid log_mode: ODD"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, text):
    with pytest.raises(error, match=text):
        Table(**arguments)


def test_columns_can_be_added_read_and_cast():
    table = Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])
    table.add_column("c", np.array([0.5, 1.5]))
    table.add_computed_columns(lambda index, row: {"d": row["a"] * 10 + index})
    assert table.columns == ["a", "b", "c", "d"] and table.data == [[1, "x", 0.5, 10], [2, "y", 1.5, 21]]
    assert table.get_column("b") == ["x", "y"]
    numbers = table.get_column("c", convert_to="numpy")
    assert isinstance(numbers, np.ndarray) and numbers.tolist() == [0.5, 1.5]
    assert list(table.iterrows()) == [(0, table.data[0]), (1, table.data[1])]
    pd.testing.assert_frame_equal(
        table.get_dataframe(), pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [0.5, 1.5], "d": [10, 21]})
    )
    before = (list(table.columns), [list(row) for row in table.data])
    for use, error, text in (
        (lambda: table.add_column("a", [1, 2]), ValueError, "column `a` exists already"),
        (lambda: table.add_column("e", [1]), ValueError, "Expected length 2, found 1"),
        (lambda: table.add_column(5, [1, 2]), TypeError, "`name` must be a string"),
        (lambda: table.add_column("e", "xy"), TypeError, "`data` must be a list or array"),
        (lambda: table.add_column("e", [None, 1]), TypeError, "column `e` takes Unknown, row 0 has None"),
        (lambda: table.add_column("e", ["a", 1]), TypeError, "column `e` takes String, row 1 has Number"),
        (lambda: table.get_column("zz"), KeyError, "there is no column `zz`"),
        (lambda: table.get_column("a", convert_to="torch"), ValueError, "`convert_to` must be None or"),
        (lambda: table.cast("b", int), TypeError, "column `b` takes Number, row 0 has String"),
        (lambda: table.set_pk("a"), TypeError, "column `a` takes Primarykey, row 0 has Number"),
        (lambda: table.to_json(object()), TypeError, "takes the run that it was logged to"),
    ):
        with pytest.raises(error, match=text):
            use()
    assert (table.columns, table.data) == before
    table.add_column("e", [None, 1], optional=True)
    table.cast("a", float, optional=True)
    table.add_data(None, "z", 2.0, 5, None)
    empty = Table(columns=[])
    empty.add_column("x", [1, 2])
    assert empty.data == [[1], [2]]


def test_tables_are_equal_by_columns_types_and_cells():
    made = [Table(columns=["a"], data=[[np.arange(3)]]) for _ in range(2)]
    assert made[0] == made[1]
    assert Table(columns=["a"], data=[[1]]) == Table(columns=["a"], data=[[1.0]])
    for other in (
        Table(columns=["b"], data=[[1]]),
        Table(columns=["a"], data=[[2]]),
        Table(columns=["a"], data=[[1], [2]]),
        Table(columns=["a"], data=[[1]], optional=False),
        5,
    ):
        assert Table(columns=["a"], data=[[1]]) != other


def text_of(*cells, convert=lambda value: f"<{type(value).__name__}>"):
    return json.loads(encode(["a"], [list(cells)], convert))["data"][0]


def test_cells_are_written_as_json_says_and_the_rest_as_rows_hold_it():
    nanos = np.datetime64("2020-01-01T01:02:03.123456789")
    utc = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    assert text_of(np.datetime64("NaT"), nanos, utc, pd.Timestamp("2020-01-02"), np.longdouble(1.5)) == [
        None,
        "2020-01-01T01:02:03.123456789",
        "2020-01-01T00:00:00Z",
        "2020-01-02T00:00:00",
        "<longdouble>",
    ]
    assert text_of(Odd(), 1j, {(1, 2): 3}, "\ud800") == ["<Odd>", "<complex>", "<dict>", "\ufffd"]
    assert encode(["a"], [["\ud800x"]], str) == '{"columns":["a"],"data":[["\ufffdx"]]}'.encode()

    class Tensor:
        """As libraries have them."""

        def __array__(self, *_args, **_kwargs):
            return np.arange(50.0).reshape(25, 2)

    class Broken(Tensor):
        def __array__(self, *_args, **_kwargs):
            raise RuntimeError("on another device")

    assert text_of(Tensor(), pd.Series(range(40)), Broken()) == [
        [[2.0 * i, 2.0 * i + 1] for i in range(25)],
        list(range(40)),
        "<Broken>",
    ]
    cycle: list[object] = []
    cycle.append(cycle)
    deepest = text_of(cycle)[0]
    while type(deepest) is list:
        (deepest,) = deepest
    assert deepest == "<list>"


def test_a_copy_is_a_table_of_its_own():
    table = Table(columns=["a"], data=[[1]], log_mode="MUTABLE")
    table._bound = (object(), {})
    for other in (copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        assert other == table and not other.is_bound()
        other.add_data(2)
    assert table.data == [[1]] and table.is_bound()


def test_names_of_media_files_stay_inside_and_fit_file_systems():
    def path(key: str) -> str:
        return _files.media_path("table", key, 3, "ab" * 32, ".table.json")

    end = "_3_abababababababababab.table.json"
    assert path("a/b c") == f"media/table/a/b c{end}"
    assert path("../../x") == f"media/table/__/__/x{end}"
    assert path("/lead//./y/") == f"media/table/lead/_/y{end}"
    assert path("a\\b\x00\n") == f"media/table/a_b__{end}" and path("/") == f"media/table/_{end}"
    long = [path("ü" * 500), path("ü" * 501), path("d" * 300 + "/x")]
    assert len({*long}) == 3
    assert all(len(part.encode()) <= 255 for name in long for part in name.split("/"))
    assert long[0].endswith(end)


def test_rows_are_written_as_python_writes_them():
    generator = random.Random(7)

    def number():
        bits = generator.getrandbits(64)
        value = struct.unpack("d", bits.to_bytes(8, "little"))[0]
        return (
            0.0
            if math.isnan(value)
            else generator.choice([value, round(value % 1e6, 3), float(bits), bits - 2**63])
        )

    def text():
        return "".join(
            chr(generator.choice([generator.randrange(0x250), generator.randrange(0xE000, 0x11000)]))
            for _ in range(8)
        )

    def cell(depth=0):
        kinds = [number, text, lambda: None, lambda: True, lambda: 10 ** generator.randrange(40)]
        if depth < 3:
            kinds += [lambda: [cell(depth + 1) for _ in range(3)], lambda: {text(): cell(depth + 1)}]
        return generator.choice(kinds)()

    rows = [[cell() for _ in range(3)] for _ in range(5000)]
    written = _core.table_rows(rows, 0, len(rows), False, lambda value: json.dumps(value, sort_keys=True), [])
    assert f"[{written.decode()}]" == json.dumps(rows, sort_keys=True)
    compact = _core.table_rows(
        rows, 0, len(rows), True, lambda value: json.dumps(value, ensure_ascii=False), []
    )
    assert json.loads(b"[" + compact + b"]") == rows
    assert json.loads(b"[" + _core.table_rows(rows, 10, 12, False, json.dumps, [1]) + b"]") == [
        [row[0], None, row[2]] for row in rows[10:12]
    ]
    for bad in (lambda value: 5, lambda value: "\ud800"):
        with pytest.raises((TypeError, UnicodeEncodeError)):
            _core.table_rows([[object()]], 0, 1, False, bad, [])
    with pytest.raises(TypeError):
        _core.table_rows([5], 0, 1, False, json.dumps, [])


def test_a_large_table_is_made_and_written_fast():
    rows = [[i, i / 7, f"text {i}", i % 2 == 0, None if i % 7 else 1.5] for i in range(100_000)]
    began = time.process_time()
    table = Table(columns=list("abcde"), data=rows)
    text = encode(table.columns, table.data, str)
    assert len(json.loads(text)["data"]) == 100_000
    # The real client takes 4 s for the first of the two.
    assert time.process_time() - began < 2
