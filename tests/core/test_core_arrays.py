"""Scalars and arrays of numpy, and what behaves like torch, TensorFlow and JAX."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from core_world import World

np = pytest.importorskip("numpy")


def test_numpy_scalars(world: World) -> None:
    run = world.open()
    data = {
        "f64": np.float64(0.5),
        "f32": np.float32(0.5),
        "f16": np.float16(0.5),
        "long": np.longdouble(0.5),
        "i8": np.int8(-3),
        "u64": np.uint64(2**64 - 1),
        "bool": np.bool_(True),
        "str": np.str_("x"),
        "nan": np.float32("nan"),
    }
    found = world.values(run, data)
    assert found.pop("nan") != 0
    assert found == {
        "f64": 0.5,
        "f32": 0.5,
        "f16": 0.5,
        "long": 0.5,
        "i8": -3,
        "u64": ("json", f'{{"_type":"bigint","value":"{2**64 - 1}"}}'),
        "bool": True,
        "str": "x",
    }
    assert found["bool"] is True


def test_numpy_arrays(world: World) -> None:
    run = world.open()
    data = {
        "zero_d": np.array(1.5),
        "one": np.array([[7]]),
        "small": np.arange(4).reshape(2, 2),
        "empty": np.zeros(0),
        "limit": np.arange(32),
        "masked": np.ma.masked_array([1.0, 2.0], mask=[False, True]),
        "masked_one": np.ma.masked_array([1.0], mask=[True]),
        "wide": np.array([1, 2], dtype=np.longdouble),
        "list": [np.float32(1), np.arange(2)],
    }
    assert world.values(run, data) == {
        "zero_d": 1.5,
        "one": 7,
        "small": ("json", "[[0,1],[2,3]]"),
        "empty": ("json", "[]"),
        "limit": ("json", str(list(range(32))).replace(" ", "")),
        "masked": ("json", "[1.0,null]"),
        "masked_one": None,
        "wide": ("json", "[1.0,2.0]"),
        "list": ("json", "[1.0,[0,1]]"),
    }


def test_large_arrays_go_through_the_hook(world: World) -> None:
    run = world.open()
    assert world.values(run, {"a": np.arange(33), "l": [np.arange(33)]}) == {
        "a": "<ndarray>",
        "l": ("json", '["<ndarray>"]'),
    }


def test_what_has_no_plain_form_goes_through_the_hook(world: World) -> None:
    run = world.open()
    data = {
        "c": np.complex64(1),
        "d": np.datetime64("2026-01-01"),
        "b": np.bytes_(b"x"),
        "o": np.array([object()]),
    }
    assert world.values(run, data) == {"c": "<complex>", "d": "<date>", "b": "<bytes>", "o": "<object>"}


def test_keys_of_numpy_inside_values(world: World) -> None:
    run = world.open()
    assert world.values(run, {"a": {np.int64(3): 1, np.str_("x"): 2}}) == {("a", "3"): 1, ("a", "x"): 2}


def stand_in(module: str, **members: Any) -> Any:
    """An object of a type that says it comes from `module`."""
    return type("Tensor", (), {"__module__": module, **members})()


def test_tensors_are_read_by_their_own_methods_without_an_import(world: World) -> None:
    run = world.open()
    data = {
        "torch": stand_in("torch", numel=lambda _: 1, item=lambda _: 2.5),
        "torch_list": stand_in("torch", numel=lambda _: 2, tolist=lambda _: [1, 2]),
        "torch_large": stand_in("torch", numel=lambda _: 33),
        "parameter": stand_in("torch.nn.parameter", numel=lambda _: 1, item=lambda _: 1.0),
        "subclass": stand_in("user.code", __torch_function__=None, numel=lambda _: 1, item=lambda _: 3),
        "tf": stand_in("tensorflow.python.framework.ops", numpy=lambda _: np.float32(0.25)),
        "jax": stand_in("jaxlib.xla_extension", dtype=None, size=1, item=lambda _: 4),
        "jax_list": stand_in("jaxlib._jax", dtype=None, size=2, tolist=lambda _: [1.5, 2.5]),
        "not_a_tensor": stand_in("torch"),
    }
    assert world.values(run, data) == {
        "torch": 2.5,
        "torch_list": ("json", "[1,2]"),
        "torch_large": "<Tensor>",
        "parameter": 1.0,
        "subclass": 3,
        "tf": 0.25,
        "jax": 4,
        "jax_list": ("json", "[1.5,2.5]"),
        "not_a_tensor": "<Tensor>",
    }
    assert not {"torch", "tensorflow", "jax"} & sys.modules.keys()


def test_an_object_whose_methods_raise_goes_through_the_hook(world: World) -> None:
    run = world.open()

    def fails(_self: Any) -> Any:
        raise RuntimeError("meta tensor")

    def interrupts(_self: Any) -> Any:
        raise KeyboardInterrupt

    assert world.values(run, {"a": stand_in("torch", numel=lambda _: 1, item=fails)}) == {"a": "<Tensor>"}
    with pytest.raises(KeyboardInterrupt):
        run.log({"a": stand_in("torch", numel=lambda _: 1, item=interrupts)})
