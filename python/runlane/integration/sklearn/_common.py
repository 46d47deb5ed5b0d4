"""What the charts share: checks that say what is missing instead of raising, and the row that a chart is."""

from __future__ import annotations

from runlane import terminal
from runlane.data_types.table import Table
from runlane.integration._frameworks import active_run, framework
from runlane.plot.viz import visualize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def scikit(module: str) -> Any:
    """The module `sklearn.<module>`.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    framework("sklearn")
    return framework(f"sklearn.{module}")


def given(**arguments: Any) -> bool:
    """Whether no argument is missing; the others are named in the terminal."""
    missing = [name for name, value in arguments.items() if value is None]
    for name in missing:
        terminal.termerror(f"`{name}` is None: nothing is plotted")
    return not missing


def fitted(model: Any) -> bool:
    """Whether the model is fitted; says so if it is not."""
    try:
        scikit("utils.validation").check_is_fitted(model)
    except (TypeError, scikit("exceptions").NotFittedError):
        terminal.termerror(f"{type(model).__name__} is not fitted: nothing is plotted")
        return False
    return True


def is_kind(model: Any, kind: str) -> bool:
    """Whether the model is a `classifier`, `regressor` or `clusterer`; says so if it is not."""
    base = scikit("base")
    known = getattr(base, f"is_{kind}", None)
    # Releases of scikit-learn before 1.6 have no test for clusterers.
    found = known(model) if known is not None else getattr(model, "_estimator_type", None) == kind
    if not found:
        terminal.termerror(f"{type(model).__name__} is no {kind}: nothing is plotted")
    return bool(found)


def log_chart(user: str, key: str, preset: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Log a table under `key`, drawn by `preset`.

    Raises:
        Error: There is no active run; `user` needs one.
    """
    table = Table(columns=columns, data=rows)
    active_run(user).log({key: visualize(preset, table)})


def label_of(value: Any, labels: Any) -> Any:
    """The name of a class; `labels` are those of the classes 0, 1 and so on."""
    plain = value.item() if hasattr(value, "item") else value
    whole = isinstance(plain, int) and not isinstance(plain, bool)
    if labels is not None and whole and 0 <= plain < len(labels):
        name = labels[plain]
        return name.item() if hasattr(name, "item") else name
    return plain
