"""Values that users log although they are no plain numbers: imported by the scripts of the bad-input tests."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import typing

import numpy as np


class Colour(enum.Enum):
    """An enumeration without a number."""

    RED = 1


class Level(enum.IntEnum):
    """An enumeration that is a number."""

    HIGH = 3


@dataclasses.dataclass
class Point:
    """A dataclass with parts that need conversion."""

    x: int
    when: datetime.date


Pair = collections.namedtuple("Pair", ["left", "right"])


class Model:
    """What a pydantic model looks like from outside."""

    model_fields: typing.ClassVar = {"lr": None}

    def model_dump(self) -> dict[str, object]:
        """The fields."""
        return {"lr": 0.5, "colour": Colour.RED}


class Odd:
    """No conversion fits."""


class Broken:
    """Every way to read it raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("no array")


class Tensor:
    """One element of a torch tensor; counts what is asked of it."""

    __module__ = "torch"

    def __init__(self, value: float) -> None:
        self.value = value
        self.asked: list[str] = []

    def numel(self) -> int:
        """The number of elements."""
        self.asked.append("numel")
        return 1

    def item(self) -> float:
        """The value."""
        self.asked.append("item")
        return self.value


class Bfloat16:
    """A scalar of the ml_dtypes family: `item` gives the same type again, `float` the value."""

    __module__ = "ml_dtypes"
    dtype = "bfloat16"
    size = 1

    def __init__(self, value: float) -> None:
        self.value = value

    def item(self) -> Bfloat16:
        """The same again: Python has no such type."""
        return self

    def __float__(self) -> float:
        return self.value


class Ring:
    """A dataclass-like object that contains itself."""

    __dataclass_fields__: typing.ClassVar = {"me": None}

    @property
    def me(self) -> Ring:
        """Itself."""
        return self


def deep(levels: int) -> object:
    """The number 1 below so many dictionaries."""
    value: object = 1
    for _ in range(levels):
        value = {"n": value}
    return value


def deep_list(levels: int) -> object:
    """The number 1 below so many lists."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def cycle() -> dict[str, object]:
    """A dictionary that contains itself."""
    value: dict[str, object] = {}
    value["self"] = value
    return value
