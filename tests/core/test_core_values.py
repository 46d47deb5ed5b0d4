"""What a value becomes."""

from __future__ import annotations

import collections
import enum
import math
import struct
import types
from typing import Any

import pytest
from core_world import World, items_of
from runlane import _core


def test_scalars_keep_type_and_bits(world: World) -> None:
    run = world.open()
    data = {"f": 0.1, "z": -0.0, "i": -(2**63), "j": 2**53 + 1, "t": True, "n": None, "s": "ü\n"}
    found = world.values(run, data)
    assert found == data
    assert math.copysign(1, found["z"]) == -1
    assert [type(value) for value in found.values()] == [type(value) for value in data.values()]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308])
def test_floats_are_bit_exact(world: World, value: float) -> None:
    run = world.open()
    found = world.values(run, {"x": value, "l": [value]})
    assert struct.pack("<d", found["x"]) == struct.pack("<d", value)
    text = {math.inf: "[Infinity]", -math.inf: "[-Infinity]"}.get(value)
    text = "[NaN]" if value != value else text
    if text:
        assert found["l"] == ("json", text)
    else:
        assert float(found["l"][1].strip("[]")) == value


def test_integers_beyond_64_bits_are_exact_decimal_text(world: World) -> None:
    run = world.open()
    data = {"a": 2**63, "b": -(2**63) - 1, "c": 2**70}
    assert world.values(run, data) == {
        key: ("json", f'{{"_type":"bigint","value":"{value}"}}') for key, value in data.items()
    }
    text = world.values(run, {"x": 10**5000})["x"][1]
    assert text == '{"_type":"bigint","value":"1' + "0" * 5000 + '"}'
    assert [severity for severity, text in world.notices if "64 bits" in text] == [30]
    with pytest.raises(ValueError, match="the integer of key `x` is too large"):
        run.log({"x": 1 << 200_000})


def test_subclasses_count_by_their_base(world: World) -> None:
    class Level(enum.IntEnum):
        HIGH = 3

    class Name(str):
        __slots__ = ()

    class Loss(float):
        def __float__(self) -> float:
            raise AssertionError("not called")

    run = world.open()
    assert world.values(run, {"e": Level.HIGH, "s": Name("x"), "f": Loss(1.5)}) == {
        "e": 3,
        "s": "x",
        "f": 1.5,
    }


def test_nested_dicts_become_paths_and_lists_json(world: World) -> None:
    run = world.open()
    data = {
        "a": {"b": {"c": 1}, "d.e": 2.5},
        "a.b": 3,
        "l": [1, 2.0, "x", None, True, [], {"k": (1,)}],
        "t": (1, 2),
        "none": {},
    }
    assert world.values(run, data) == {
        ("a", "b", "c"): 1,
        ("a", "d.e"): 2.5,
        "a.b": 3,
        "l": ("json", '[1,2.0,"x",null,true,[],{"k":[1]}]'),
        "t": ("json", "[1,2]"),
    }


def test_nested_keys_follow_json(world: World) -> None:
    run = world.open()
    found = world.values(run, {"a": {1: 1, None: 3, 1.5: 4}, "b": {False: 5}, "l": [{2: 0}]})
    assert found == {
        ("a", "1"): 1,
        ("a", "null"): 3,
        ("a", "1.5"): 4,
        ("b", "false"): 5,
        "l": ("json", '[{"2":0}]'),
    }
    with pytest.raises(TypeError, match="keys below `a` must be strings"):
        run.log({"a": {(1, 2): 1}})


def test_other_mappings_are_accepted(world: World) -> None:
    run = world.open()
    assert world.values(run, types.MappingProxyType({"x": 1})) == {"x": 1}
    assert world.values(run, collections.OrderedDict(x=[1])) == {"x": ("json", "[1]")}
    assert world.values(run, collections.ChainMap({"x": 1}, {"y": 2})) == {"x": 1, "y": 2}
    assert world.values(run, {"x": collections.defaultdict(int, y=1)}) == {("x", "y"): 1}


def test_lone_surrogates_are_replaced_with_one_warning(world: World) -> None:
    run = world.open()
    for _ in range(2):
        assert world.values(run, {"k\ud800": "a\udfffb", "l": ["\ud83d"]}) == {
            "k\ufffd": "a\ufffdb",
            "l": ("json", '["\ufffd"]'),
        }
    assert [severity for severity, text in world.notices if "Unicode" in text] == [30]


def test_too_deep_or_cyclic_values_are_refused(world: World) -> None:
    run = world.open()
    deep: Any = 1
    for _ in range(64):
        deep = {"k": deep}
    assert len(world.values(run, {"x": deep})) == 1
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    for value in ({"k": {"k": deep}}, cycle, ring, [ring]):
        with pytest.raises(ValueError, match="nested more than 64 levels"):
            run.log({"x": value})
    assert world.values(run, {"y": 1}) == {"y": 1}


def test_what_is_too_large_is_refused_whole(world: World) -> None:
    run = world.open()
    with pytest.raises(
        ValueError, match=r"the value of key `big` is too large to log: 11534336 bytes, the limit is 10485760"
    ):
        run.log({"a": 1, "big": "x" * (11 << 20), "l": []})
    with pytest.raises(ValueError, match="the value of key `big` is too large"):
        run.log({"big": [0.123456789] * 2_000_000})
    with pytest.raises(ValueError, match="the call is too large"):
        run.log({f"k{number}": "x" * (1 << 20) for number in range(11)})
    assert world.values(run, {"a": "y" * (9 << 20)})["a"] == "y" * (9 << 20)
    assert len(world.events("call")) == 1


def test_unknown_objects_go_through_the_hook(world: World) -> None:
    seen = []
    run = world.open()

    def convert(key: str, value: Any) -> Any:
        seen.append((key, type(value).__name__))
        return (
            [convert(key, item) if isinstance(item, set) else item for item in value]
            if isinstance(value, list)
            else sorted(value)
        )

    run._set_hooks(convert, lambda *_: None, lambda *_: None)
    assert world.values(run, {"a": {2, 1}, "b": {"inner": {3}}, "l": [{5}, 1]}) == {
        "a": ("json", "[1,2]"),
        ("b", "inner"): ("json", "[3]"),
        "l": ("json", "[[5],1]"),
    }
    assert seen == [("a", "set"), ("inner", "set"), ("l", "list"), ("l", "set")]


def test_a_hook_that_raises_leaves_no_trace(world: World) -> None:
    run = world.open()

    def convert(_key: str, _value: Any) -> Any:
        raise TypeError("no rule")

    run._set_hooks(convert, lambda *_: None, lambda *_: None)
    with pytest.raises(TypeError, match="no rule"):
        run.log({"a": 1, "b": object()})
    assert world.values(run, {"c": 1}) == {"c": 1}
    assert len(world.events("call")) == 1


def test_a_hook_that_converts_to_nothing_known_ends(world: World) -> None:
    run = world.open()
    run._set_hooks(lambda _key, _value: object(), lambda *_: None, lambda *_: None)
    with pytest.raises(TypeError, match="cannot log the value of key `a`: a `object` has no known form"):
        run.log({"a": object()})


def test_a_hook_may_give_a_value_another_key(world: World) -> None:
    run = world.open()
    places = []

    def place(path: str) -> tuple[str, dict[str, int]]:
        places.append(path)
        return f"{path}_table", {"rows": 2}

    run._set_hooks(lambda _key, _value: _core.Renamed(place), lambda *_: None, lambda *_: None)
    found = world.values(run, {"a": object(), "b": {"c": object(), "d": 1}})
    assert found == {("a_table", "rows"): 2, ("b.c_table", "rows"): 2, ("b", "d"): 1}
    assert places == ["a", "b.c"]
    run._set_hooks(
        lambda _key, _value: _core.Renamed(lambda _path: ("", 1)), lambda *_: None, lambda *_: None
    )
    with pytest.raises(ValueError, match="is empty: a key needs"):
        run.log({"a": object()})
    run._set_hooks(lambda _key, _value: _core.Renamed(lambda _path: 5), lambda *_: None, lambda *_: None)
    with pytest.raises(TypeError):
        run.log({"a": object()})
    assert len(world.events("call")) == 1


def test_the_step_is_counted_without_asking(world: World) -> None:
    run = world.open()
    counted = [run._local_step]
    for words in ({}, {"commit": False}, {"step": 10}, {"step": 4}, {"step": 11, "commit": True}, {}):
        run.log({"a": 1}, **words)
        counted.append(run._local_step)
    with pytest.raises(TypeError):
        run.log({"a": {1: 2, (): 3}})
    assert [*counted, run._local_step] == [0, 1, 1, 10, 10, 12, 13, 13]


def test_a_hook_may_log_itself(world: World) -> None:
    run = world.open()

    def convert(_key: str, _value: Any) -> Any:
        run.log({"inner": 1})
        return 2

    run._set_hooks(convert, lambda *_: None, lambda *_: None)
    run.log({"outer": object()})
    inner, outer = world.wait_for("call", 2)
    assert (items_of(inner), items_of(outer)) == ({"inner": 1}, {"outer": 2})


def test_a_value_that_changes_the_dict_meanwhile_is_harmless(world: World) -> None:
    run = world.open()
    data: dict[str, Any] = {}

    def convert(_key: str, _value: Any) -> Any:
        data.clear()
        return 1

    data.update({"a": object(), "b": "kept" * 10, "c": [1, 2]})
    run._set_hooks(convert, lambda *_: None, lambda *_: None)
    assert world.values(run, data) == {"a": 1, "b": "kept" * 10, "c": ("json", "[1,2]")}


def test_without_a_hook_an_unknown_object_is_a_type_error() -> None:
    run = _core.RunBase()
    assert run._open_stream is False
    run.log({"a": 1})  # the misuse hook decides; without one the call is ignored
