"""The slow path of log: every rule of the conversion table, and what happens to objects without a rule."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import uuid
from pathlib import Path

import numpy as np
import pytest
from runlane._convert import Converter
from runlane._json_text import encode


class _Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class _Point:
    x: int
    inner: datetime.date


_Pair = collections.namedtuple("_Pair", ["left", "right"])


def _function():
    return None


def _convert(value, strict=False):
    warnings = []
    return Converter(strict, warnings.append)("key", value), warnings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.timedelta(seconds=90), 90.0),
        (_Color.RED, "RED"),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset("a"), ["a"]),
        (b"text", "text"),
        (bytearray(b"\xff"), "\ufffd"),
        (decimal.Decimal("0.5"), 0.5),
        (fractions.Fraction(1, 4), 0.25),
        (1 + 2j, "(1+2j)"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("/a/b"), "/a/b"),
        (_Point(1, datetime.date(2026, 1, 2)), {"x": 1, "inner": "2026-01-02"}),
        (_Pair(1, 2), {"left": 1, "right": 2}),
        (range(3), [0, 1, 2]),
        (collections.deque([1, {2}]), [1, [2]]),
        (collections.OrderedDict(a=_Color.RED), {"a": "RED"}),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([7]), 7),
        (np.array(7.5), 7.5),
        (np.ma.masked_array([1.0, 2.0], mask=[False, False]), [1.0, 2.0]),
        (_function, f"{__name__}._function"),
        (dict, "builtins.dict"),
    ],
)
def test_table(value, expected):
    assert _convert(value) == (expected, [])


def test_large_array_becomes_a_histogram_of_its_finite_values():
    value = np.concatenate([np.linspace(0.0, 1.0, 100), [np.nan, np.inf]])
    converted, warnings = _convert(value)
    assert converted["_type"] == "histogram"
    assert sum(converted["values"]) == 100
    assert (converted["bins"][0], converted["bins"][-1]) == (0.0, 1.0)
    assert warnings == []


def test_array_of_nan_only_is_an_empty_histogram():
    converted, _ = _convert(np.full(100, np.nan))
    assert sum(converted["values"]) == 0
    assert len(converted["bins"]) == len(converted["values"]) + 1


def test_pandas_series_is_an_array():
    pandas = pytest.importorskip("pandas")
    assert _convert(pandas.Series([1, 2]))[0] == [1, 2]
    assert _convert(pandas.Timestamp("2026-01-02"))[0] == "2026-01-02T00:00:00"


class _Opaque:
    pass


class _Hostile:
    def __float__(self):
        raise RuntimeError

    def __str__(self):
        raise RuntimeError

    __repr__ = __str__

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError


@pytest.mark.parametrize("kind", [_Opaque, _Hostile])
def test_object_without_a_rule_is_a_placeholder_with_one_warning_per_key(kind):
    warnings = []
    converter = Converter(False, warnings.append)
    expected = f"<{__name__}.{kind.__qualname__}>"
    assert [converter("a", kind()), converter("a", kind()), converter("b", kind())] == [expected] * 3
    assert len(warnings) == 2
    assert "`a`" in warnings[0]
    assert expected[1:-1] in warnings[0]


def test_strict_mode_raises():
    with pytest.raises(TypeError, match=r"the value of `key` has type .*_Opaque"):
        _convert(_Opaque(), strict=True)


def test_strict_setting_reaches_log(wandb):
    run = wandb.init(mode="offline", settings={"strict": True})
    with pytest.raises(TypeError, match="cannot be logged"):
        run.log({"a": _Opaque()})
    run.log({"a": 1})
    assert run.summary["a"] == 1


def test_deep_nesting_is_a_value_error():
    value = [1]
    for _ in range(100):
        value = collections.deque([value])
    with pytest.raises(ValueError, match="nested deeper than 64"):
        _convert(value)


def test_what_libraries_test_with_isinstance(wandb):
    assert issubclass(wandb.Image, wandb.data_types.WBValue) and isinstance(
        wandb.Table(columns=["a"]), wandb.data_types.Media
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (2**63 - 1, "9223372036854775807"),
        (2**70, "1.1805916207174113e+21"),
        (-0.0, "-0.0"),
        ('a\ud800\u00e4"', '"a\\ufffd\\u00e4\\""'),
        ({"a": [1, None, True]}, '{"a": [1, null, true]}'),
    ],
)
def test_json_text(value, text):
    assert encode(value) == text


def test_json_text_of_a_huge_integer_is_hexadecimal_text():
    assert encode(10**5000).startswith('"0x')
