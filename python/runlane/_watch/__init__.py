"""`watch`: gradients and parameters of torch models as histograms, and the model's graph.

Nothing here imports torch: who has a module to watch has imported it.

What a run holds of a model are the handles of its hooks, which hold nothing of the model in turn; the hooks hold the run. So a
model that nobody else holds goes away as if it were not watched, and a finished run leaves no hook behind.

The prefix of a model's keys counts the models that this process watches: none for the first, `graph_<i>` for later ones.
"""

from __future__ import annotations

import sys

from runlane import _telemetry, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from runlane._run import Run

#: What `log` may be, and which tensors it means: gradients, parameters.
_CHOICES: dict[str | None, tuple[bool, bool]] = {
    "gradients": (True, False),
    "parameters": (False, True),
    "all": (True, True),
    None: (False, False),
}

#: Models watched so far in this process.
_watched = 0


def watch(
    run: Run,
    models: Any,
    log: str | None,
    log_freq: int,
    idx: int | None,
    log_graph: bool,
) -> None:
    """Hook `models`, see `Run.watch`.

    Raises:
        TypeError: A model is no torch module, or a number is none.
        ValueError: `log` is none of the words, or a model with the same names of parameters is watched under the same prefix.
    """
    if isinstance(log, bool) or not isinstance(log, (str, type(None))) or log not in _CHOICES:
        raise ValueError("log must be one of 'gradients', 'parameters', 'all', or None")
    chosen = list(models) if isinstance(models, (tuple, list)) else [models]
    _check_models(chosen)
    every = _number("log_freq", log_freq, "__float__")
    first = None if idx is None else _number("idx", idx, "__index__")
    if run._finished:
        terminal.termwarn(f"Run ({run.id}) is finished: the model is not watched")
        return
    from .watcher import Watcher

    run._record_feature(_telemetry.WATCH)
    if run._watcher is None:
        run._watcher = Watcher(run)
    _hook(run._watcher, chosen, _CHOICES[log], every, first, log_graph)


def _number(name: str, value: Any, method: str) -> Any:
    """`value` as a number, whatever library it is of; frameworks compute `log_freq` and may give a float."""
    convert = getattr(type(value), method, None)
    if convert is None:
        raise TypeError(f"`{name}` must be an integer, got {type(value).__name__}")
    return convert(value)


def _check_models(models: Sequence[Any]) -> None:
    torch = sys.modules.get("torch")
    module = getattr(getattr(torch, "nn", None), "Module", None)
    for model in models:
        if module is None or not isinstance(model, module):
            raise TypeError(f"Expected a pytorch model (torch.nn.Module). Received {type(model)}")


def _hook(
    watcher: Any,
    models: Sequence[Any],
    tensors: tuple[bool, bool],
    log_freq: float,
    idx: int | None,
    log_graph: bool,
) -> None:
    global _watched  # noqa: PLW0603, RUF100 - it counts over all runs of the process
    first = _watched if idx is None else idx
    for number, model in enumerate(models, first):
        _watched += 1
        prefix = f"graph_{number}" if number > 0 else ""
        gradients, parameters = tensors
        if parameters:
            watcher.watch_parameters(model, prefix, log_freq)
        if gradients:
            watcher.watch_gradients(model, prefix, log_freq)
        if log_graph:
            watcher.watch_graph(model, f"graph_{number}")


def unwatch(run: Run, models: Any) -> None:
    """Remove the hooks of `models`, or all of the run without it."""
    if run._watcher is None:
        return
    if models is None:
        run._watcher.release()
        run._watcher = None
        return
    for model in models if isinstance(models, (tuple, list)) else (models,):
        run._watcher.release_model(model)
