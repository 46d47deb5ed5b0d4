"""Odd values in `log` (reliability.md 7.1): stored faithfully, replaced with one warning, or refused whole."""

from __future__ import annotations

import math
import struct
import uuid
from typing import Any

from attempts import mismatches, try_calls
from reading import plain
from world import Home, Server


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)


def test_numbers_arrive_bit_for_bit(home: Home, server: Server, project: str) -> None:
    numbers = [
        -0.0,
        5e-324,
        2.2250738585072009e-308,
        1.7976931348623157e308,
        0.1 + 0.2,
        1.0,
        2.0**53 + 2,
        2**53 + 1,
        2**63 - 1,
        -(2**63),
        math.nan,
        math.inf,
        -math.inf,
    ]
    row = {f"n{index}": number for index, number in enumerate(numbers)}
    codes = [
        "from math import inf, nan",
        f"run.log({row!r})",
        f"run.log({{'in': {{'list': {numbers!r}}}}})",
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None] * 3
    for stored in (list(found.rows[0].values()), found.rows[1]["in"]["list"]):
        assert len(stored) == len(numbers)
        for number, read in zip(numbers, stored, strict=True):
            if math.isfinite(number):
                assert type(read) is type(number), number
                assert read == number
                assert isinstance(number, int) or _bits(read) == _bits(number)
            else:
                assert plain(read) == plain(number)


def test_integers_beyond_64_bits_are_exact(home: Home, server: Server, project: str) -> None:
    cases = [("run.log({'n': 1 << 200_000})", "ValueError", "too large")]
    codes = [
        "run.log({'a': 2**63, 'b': -(2**63) - 1, 'c': 2**70, 'd': [2**70], 'e': {'f': 2**64}, 'g': np.uint64(2**64 - 1)})",
        "run.log({'huge': 10**500})",
        "run.log({'huge': 10**5000})",
        *(code for code, _, _ in cases),
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised[:3] == [None] * 3
    assert mismatches(cases, found.raised[3:]) == []

    def big(digits: str) -> dict[str, str]:
        return {"_type": "bigint", "value": digits}

    assert found.rows == [
        {
            "a": big("9223372036854775808"),
            "b": big("-9223372036854775809"),
            "c": big("1180591620717411303424"),
            "d": [big("1180591620717411303424")],
            "e": {"f": big("18446744073709551616")},
            "g": big("18446744073709551615"),
        },
        {"huge": big("1" + "0" * 500)},
        {"huge": big("1" + "0" * 5000)},
        {"last": 1},
    ]
    assert len(found.warnings("beyond 64 bits")) == 1


def test_every_type_of_the_conversion_table(home: Home, server: Server, project: str) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("{'none': None, 'text': 'x', 'yes': True}", {"none": None, "text": "x", "yes": True}),
        ("{'bytes': b'abc', 'raw': bytearray(b'\\xff')}", {"bytes": "abc", "raw": "\ufffd"}),
        (
            "{'set': {3, 1, 2}, 'frozen': frozenset('a'), 'range': range(3)}",
            {"set": [1, 2, 3], "frozen": ["a"], "range": [0, 1, 2]},
        ),
        ("{'complex': 1 + 2j, 'np': np.complex64(1j)}", {"complex": "(1+2j)", "np": "1j"}),
        ("{'dec': decimal.Decimal('1.5'), 'frac': fractions.Fraction(1, 4)}", {"dec": 1.5, "frac": 0.25}),
        (
            "{'when': datetime.datetime(2026, 1, 2, 3, 4, 5), 'span': datetime.timedelta(minutes=2)}",
            {"when": "2026-01-02T03:04:05", "span": 120.0},
        ),
        ("{'day': np.datetime64('2026-01-02')}", {"day": "2026-01-02"}),
        (
            "{'id': uuid.UUID(int=1), 'path': pathlib.PurePosixPath('/a/b')}",
            {"id": str(uuid.UUID(int=1)), "path": "/a/b"},
        ),
        ("{'colour': Colour.RED, 'level': Level.HIGH}", {"colour": "RED", "level": 3}),
        ("{'point': Point(1, datetime.date(2026, 1, 2))}", {"point": {"x": 1, "when": "2026-01-02"}}),
        ("{'pair': Pair(1, 'x')}", {"pair": [1, "x"]}),
        ("{'model': Model()}", {"model": {"lr": 0.5, "colour": "RED"}}),
        (
            "{'f32': np.float32(0.5), 'int': np.int8(-3), 'flag': np.bool_(True), 'str': np.str_('x')}",
            {"f32": 0.5, "int": -3, "flag": True, "str": "x"},
        ),
        (
            "{'zero': np.array(7), 'one': np.array([[1.5]]), 'none': np.zeros(0)}",
            {"zero": 7, "one": 1.5, "none": []},
        ),
        (
            "{'small': np.arange(4).reshape(2, 2), 'list': [1, 2.5, None], 'tuple': (1, 'x')}",
            {"small": [[0, 1], [2, 3]], "list": [1, 2.5, None], "tuple": [1, "x"]},
        ),
        (
            "{'masked': np.ma.masked_array([1.0, 2.0], mask=[False, True]), 'gone': np.ma.masked}",
            {"masked": [1.0, None], "gone": None},
        ),
        (
            "{'long': np.longdouble(0.5), 'longs': np.array([1, 2], dtype=np.longdouble)}",
            {"long": 0.5, "longs": [1.0, 2.0]},
        ),
        (
            "{'bf16': Bfloat16(1.25), 'tensor': Tensor(2.5), 'inside': [Tensor(3.5)]}",
            {"bf16": 1.25, "tensor": 2.5, "inside": [3.5]},
        ),
        ("{'function': attempt, 'kind': dict}", {"function": "__main__.attempt", "kind": "builtins.dict"}),
    ]
    found = try_calls(home, server, project, [f"run.log({code})" for code, _ in cases])
    assert found.raised == [None] * len(cases)
    for (code, expected), row in zip(cases, found.rows, strict=False):
        assert row == expected, code
    assert found.rows[-1] == {"last": 1}
    assert found.warnings() == []


def test_a_tensor_is_asked_for_its_value_only(home: Home, server: Server, project: str) -> None:
    codes = [
        "tensor = Tensor(0.25)",
        "run.log({'loss': tensor})",
        "assert tensor.asked == ['numel', 'item'], tensor.asked",
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None] * 3
    assert found.rows == [{"loss": 0.25}, {"last": 1}]


def test_frames_and_series_of_pandas(home: Home, server: Server, project: str) -> None:
    codes = [
        "import pandas as pd",
        "run.log({'series': pd.Series([1, 2]), 'when': pd.Timestamp('2026-01-02'), 'gap': pd.NaT, 'na': pd.NA})",
        "run.log({'long': pd.Series(range(1000)), 'frame': pd.DataFrame({'a': [1, 2]})})",
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None] * 3
    first, second, last = found.rows
    assert (first["series"], first["when"]) == ([1, 2], "2026-01-02T00:00:00")
    assert second["long"]["_type"] == "histogram"
    assert (second["frame"]["_type"], second["frame"]["nrows"]) == ("table-file", 2)
    assert last == {"last": 1}


def test_placeholders_warn_once_per_key(home: Home, server: Server, project: str) -> None:
    codes = [
        "run.log({'odd': Odd(), 'broken': Broken(), 'inside': {'list': [1, Odd()]}})",
        "run.log({'odd': Odd(), 'broken': Broken(), 'inside': {'list': [1, Odd()]}})",
        "run.log({'other': Odd()})",
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None] * 3
    row = {
        "odd": "<odd_values.Odd>",
        "broken": "<odd_values.Broken>",
        "inside": {"list": [1, "<odd_values.Odd>"]},
    }
    assert found.rows == [row, row, {"other": "<odd_values.Odd>"}, {"last": 1}]
    for key in ("`odd`", "`broken`", "`other`"):
        assert len(found.warnings(key)) == 1
    assert len(found.warnings("placeholder")) == 4


def test_strict_mode_raises_and_leaves_no_trace(home: Home, server: Server, project: str) -> None:
    cases = [
        ("run.log({'a': 1, 'odd': Odd()})", "TypeError", "`odd`"),
        ("run.log({'a': 1, 'deep': {'odd': [Odd()]}})", "TypeError", "odd_values.Odd"),
        ("run.log({'broken': Broken()})", "TypeError", "`broken`"),
    ]
    found = try_calls(home, server, project, [code for code, _, _ in cases], settings={"strict": True})
    assert mismatches(cases, found.raised) == []
    assert found.rows == [{"last": 1}]


def test_a_million_numbers_are_a_histogram_or_refused_and_never_silent_text(
    home: Home, server: Server, project: str
) -> None:
    cases = [("run.log({'list': [0.123456789 + n for n in range(1_000_000)]})", "ValueError", "10485760")]
    codes = [
        "run.log({'array': np.linspace(0.0, 1.0, 1_000_000)})",
        "run.log({'inside': [np.zeros(1_000_000)], 'nan': np.full(100, np.nan)})",
        "run.log({'ones': [1] * 1_000_000})",
        *(code for code, _, _ in cases),
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised[:3] == [None] * 3
    assert mismatches(cases, found.raised[3:]) == []
    array, inside, ones, last = found.rows
    assert array["array"]["_type"] == "histogram"
    assert (sum(array["array"]["values"]), len(array["array"]["bins"])) == (1_000_000, 65)
    assert inside["inside"][0]["_type"] == "histogram"
    assert sum(inside["nan"]["values"]) == 0
    assert ones == {"ones": [1] * 1_000_000}
    assert len(found.warnings("`ones`", "1999")) == 1 or len(found.warnings("`ones`", "2000")) == 1
    assert last == {"last": 1}


def test_cycles_are_refused_whole(home: Home, server: Server, project: str) -> None:
    cases = [
        ("run.log({'ok': 1, 'cycle': cycle()})", "ValueError", "`cycle`"),
        ("run.log({'ok': 1, 'list': [cycle()]})", "ValueError", "`list`"),
        ("run.log({'ok': 1, 'ring': Ring()})", "ValueError", "`ring`"),
        (
            "run.log({'ok': 1, 'deque': (lambda d: (d.append(d), d)[1])(__import__('collections').deque())})",
            "ValueError",
            "`deque`",
        ),
    ]
    found = try_calls(home, server, project, [code for code, _, _ in cases])
    assert mismatches(cases, found.raised) == []
    assert found.rows == [{"last": 1}]


def test_too_large_values_and_rows_are_refused_whole(home: Home, server: Server, project: str) -> None:
    cases = [
        (
            "run.log({'a': 1, 'big': 'x' * (11 << 20)})",
            "ValueError",
            "`big` is too large to log: 11534336 bytes, the limit is 10485760",
        ),
        ("run.log({'a': 1, 'big': b'x' * (11 << 20)})", "ValueError", "`big`"),
        ("run.log({f'k{n}': 'x' * (1 << 20) for n in range(11)})", "ValueError", "the call is too large"),
    ]
    found = try_calls(home, server, project, [code for code, _, _ in cases])
    assert mismatches(cases, found.raised) == []
    assert found.rows == [{"last": 1}]


def test_a_row_of_several_calls_that_grows_too_large(home: Home, server: Server, project: str) -> None:
    codes = [f"run.log({{'k{number}': 'x' * (3 << 20)}}, step=0)" for number in range(4)]
    codes.append("run.log({'next': 1}, step=1)")
    found = try_calls(home, server, project, codes)
    assert found.raised == [None] * 5
    # Known only when the row closes: it stays in the log as a whole, and is not stored in part.
    assert found.rows == [{"next": 1, "last": 1}]
    assert len(found.warnings("a row of", "too long and is not uploaded")) == 1
    # The summary of all that does not fit either: the upload leaves out what is too much of it, and goes on.
    assert len(found.warnings("the summary is too large", "`k3`")) == 1
    assert {"k0", "next", "last"} <= found.document["summary"].keys()
    assert found.document["state"] == "finished"


def test_values_are_those_of_the_moment_of_the_call(home: Home, server: Server, project: str) -> None:
    codes = [
        "array, items, row = np.zeros(2), [1, [2]], {'x': 1, 'n': {'y': 1}}",
        "run.log({'array': array, 'items': items} | row)",
        "array[:] = 9; items[1][0] = 9; items.append(9); row['x'] = 9; row['n']['y'] = 9",
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None] * 3
    assert found.rows == [{"array": [0.0, 0.0], "items": [1, [2]], "x": 1, "n": {"y": 1}}, {"last": 1}]


def test_values_that_another_thread_changes_meanwhile(home: Home, server: Server, project: str) -> None:
    codes = [
        """
data = {'fixed': 1, 'nested': {'fixed': 2}, 'list': [3]}
stop = threading.Event()
def churn():
    turn = 0
    while not stop.is_set():
        turn += 1
        data[f'n{turn % 97}'] = [turn]
        data['nested'][f'n{turn % 89}'] = turn
        data['list'].append(turn)
        data.pop(f'n{turn * 7 % 97}', None)
        data['nested'].pop(f'n{turn * 7 % 89}', None)
        del data['list'][1:]
thread = threading.Thread(target=churn)
thread.start()
outcome = set()
for _ in range(500):
    try:
        run.log(data)
    except RuntimeError as error:
        outcome.add(str(error))
stop.set()
thread.join()
assert all('changed' in text for text in outcome), outcome
"""
    ]
    found = try_calls(home, server, project, codes)
    assert found.raised == [None]
    assert found.rows[-1] == {"last": 1}
    for row in found.rows[:-1]:
        assert (row["fixed"], row["nested"]["fixed"], row["list"][0]) == (1, 2, 3)
