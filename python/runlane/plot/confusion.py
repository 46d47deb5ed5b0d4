"""The confusion matrix of a classifier."""

from __future__ import annotations

from runlane.data_types.table import Table

from .custom_chart import CustomChart, plot_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def confusion_matrix(
    probs: Sequence[Sequence[float]] | Any = None,
    y_true: Sequence[Any] | Any = None,
    preds: Sequence[Any] | Any = None,
    class_names: Sequence[str] | None = None,
    title: str = "Confusion Matrix Curve",
    split_table: bool = False,
) -> CustomChart:
    """How often each class was taken for each class.

    Args:
        probs: Probabilities of shape (examples, classes); the most probable class is the predicted one.
        y_true: The true class of each example.
        preds: The predicted class of each example; instead of `probs`.
        class_names: Names of the classes; `y_true` and `preds` are numbers into it then. Default: `Class_1`, `Class_2`, … for the
            classes that occur, in their order.
        title: Title of the chart.
        split_table: Whether the table gets a section of its own.

    Returns:
        The chart of a table with a row for each pair of classes: `Actual`, `Predicted`, `nPredictions`.

    Raises:
        TypeError: `y_true`, or both `probs` and `preds`, are missing.
        ValueError: Both are given, lengths differ, or there are more classes than names.
    """
    import numpy as np

    if probs is not None and preds is not None:
        raise ValueError("Only one of `probs` or `preds` should be provided, not both.")
    if y_true is None or (probs is None and preds is None):
        raise TypeError("confusion_matrix needs `y_true`, and one of `preds` and `probs`")
    predicted = _plain(np.argmax(np.asarray(probs), axis=1) if probs is not None else preds)
    actual = _plain(y_true)
    if len(predicted) != len(actual):
        raise ValueError("The number of predictions and true labels must be equal.")
    if class_names is None:
        occurring = sorted({*actual, *predicted})
        names = [f"Class_{number}" for number in range(1, len(occurring) + 1)]
        place = {value: index for index, value in enumerate(occurring)}
    else:
        names = list(class_names)
        if len(set(predicted)) > len(names):
            raise ValueError("The number of unique predicted classes exceeds the number of class names.")
        place = _places(names, {*actual, *predicted})
    counts = np.zeros((len(names), len(names)))
    if actual:
        np.add.at(counts, ([place[value] for value in actual], [place[value] for value in predicted]), 1)
    rows = [[names[i], names[j], float(counts[i, j])] for i in range(len(names)) for j in range(len(names))]
    columns = ["Actual", "Predicted", "nPredictions"]
    return plot_table(
        "wandb/confusion_matrix/v1",
        Table(columns=columns, data=rows),
        {name: name for name in columns},
        {"title": title},
        split_table,
    )


def _plain(values: Any) -> list[Any]:
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    return [value.item() if hasattr(value, "item") else value for value in listed]


def _places(names: list[str], occurring: set[Any]) -> dict[Any, int]:
    """Where classes stand in the matrix: numbers count the names, other classes are names themselves.

    Raises:
        ValueError: A class has no name.
    """
    place: dict[Any, int] = {name: index for index, name in enumerate(names)}
    place.update({index: index for index in range(len(names))})
    for value in occurring:
        if value not in place:
            raise ValueError(f"class {value!r} has no name: `class_names` has {len(names)} names")
    return place
