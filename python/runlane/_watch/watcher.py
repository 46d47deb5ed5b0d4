"""The hooks of one run's `watch`: when a tensor's turn has come, its histogram goes into the open row.

Gradients are taken in hooks of the parameters, which the backward pass calls with each of them, and logged together when that
pass has ended; parameters in a hook of the model, when its forward pass has. A fault costs a histogram and one
warning, never the training.
"""

from __future__ import annotations

import sys
import weakref
from _thread import allocate_lock

from runlane import terminal

from .graph import GraphRecorder
from .tensors import Batch, NoValuesError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from runlane._run import Run

#: A row may have 10 MiB, a histogram takes 1 to 3 KB of it; what is watched beyond that would cost the rest of the row.
MAX_TENSORS = 3000


class Watcher:
    """Everything that one run watches."""

    def __init__(self, run: Run) -> None:
        # The other way round the run would be kept by models that outlive it.
        self._run = weakref.ref(run)
        self._lock = allocate_lock()
        self._gradients = Batch()
        # By the model's id: the model itself, as long as it lives, and its hooks.
        self._models: dict[int, tuple[weakref.ref[Any], list[_Hook]]] = {}
        self._warned: set[str] = set()

    # -- hooking -----------------------------------------------------------------------------------------------------

    def watch_gradients(self, model: Any, prefix: str, log_freq: float) -> None:
        """Have the gradient of each parameter that has one taken at every `log_freq`-th backward pass.

        Raises:
            ValueError: A parameter of the same name is watched already.
        """
        named = [
            (f"gradients/{prefix}{name}", parameter)
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        ]
        self._claim(key for key, _ in named)
        for key, parameter in self._within_limit(named):
            hook = _GradientHook(self, key, log_freq)
            self._keep(model, _Hook(key, parameter.register_hook(hook), 1))

    def watch_parameters(self, model: Any, prefix: str, log_freq: float) -> None:
        """Have all parameters taken at every `log_freq`-th forward pass.

        Raises:
            ValueError: A model is watched under the same prefix already.
        """
        self._claim([f"parameters/{prefix}"])
        named = [f"parameters/{prefix}{name}" for name, _ in model.named_parameters()]
        keys = {key for key, _ in self._within_limit([(key, None) for key in named])}
        hook = _ParameterHook(self, prefix, keys if len(keys) < len(named) else None, log_freq)
        handle = model.register_forward_hook(hook)
        self._keep(model, _Hook(f"parameters/{prefix}", handle, len(keys)))

    def watch_graph(self, model: Any, key: str) -> None:
        """Have the model's graph stored as `key` of the summary, once it has run."""
        recorder = GraphRecorder(lambda graph: self._publish_graph(key, graph))
        for handle in recorder.hook(model):
            self._keep(model, _Hook("", handle, 0))

    def _claim(self, names: Iterable[str]) -> None:
        taken = {hook.name for hook in self._hooks()}
        for name in names:
            if name in taken:
                raise ValueError(f'A hook has already been set under name "{name}"')

    def _hooks(self) -> list[_Hook]:
        """The hooks of all models that still live."""
        for number in [number for number, (model, _) in self._models.items() if model() is None]:
            del self._models[number]
        return [hook for _, hooks in self._models.values() for hook in hooks]

    def _within_limit(self, named: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        room = max(0, MAX_TENSORS - sum(hook.tensors for hook in self._hooks()))
        if len(named) > room:
            self._warn(
                "limit",
                f"{len(named) - room} tensors of the model are not watched: a run watches {MAX_TENSORS} at most\n"
                "hint: watch a part of the model, or only its `gradients` or `parameters`",
            )
        return named[:room]

    def _keep(self, model: Any, hook: _Hook) -> None:
        known = self._models.get(id(model))
        if known is None or known[0]() is not model:
            # Not watched so far, or another model had this id and is gone.
            known = self._models[id(model)] = (weakref.ref(model), [])
        known[1].append(hook)

    def release_model(self, model: Any) -> None:
        """Remove the hooks of a model; one that is not watched has none."""
        known = self._models.get(id(model))
        if known is not None and known[0]() is model:
            self._remove(id(model))

    def release(self) -> None:
        """Remove all hooks."""
        for number in list(self._models):
            self._remove(number)

    def _remove(self, number: int) -> None:
        for hook in self._models.pop(number)[1]:
            hook.handle.remove()

    # -- what hooks call ---------------------------------------------------------------------------------------------

    def take_gradient(self, key: str, gradient: Any) -> None:
        """Take one gradient, and have all that this backward pass brings logged when it has ended."""
        with self._lock:
            self._add(self._gradients, key, gradient)
        try:
            # One call of each hook: the first that comes true at the end logs, and a pass that fails leaves nothing to undo.
            sys.modules["torch"].autograd.Variable._execution_engine.queue_callback(self._log_gradients)
        except Exception:  # noqa: BLE001, RUF100 - not every engine has an end that can be waited for
            self._log_gradients()

    def _log_gradients(self) -> None:
        self._log(self._gradients)

    def take_parameters(self, model: Any, prefix: str, keys: set[str] | None) -> None:
        """Take the parameters of `model` and log them."""
        batch = Batch()
        for name, parameter in model.named_parameters():
            key = f"parameters/{prefix}{name}"
            if keys is None or key in keys:
                self._add(batch, key, parameter)
        self._log(batch)

    def _add(self, batch: Batch, key: str, tensor: Any) -> None:
        try:
            batch.add(key, tensor)
        except NoValuesError as reason:
            self._warn(key, f"`{terminal.printable(key)}` has no histogram: {reason}")
        except Exception as error:  # noqa: BLE001, RUF100 - tensors of any library come here, and training must go on
            self._fail(error)

    def _log(self, batch: Batch) -> None:
        run = self._run()
        try:
            with self._lock:
                found = batch.take()
            if found and run is not None and not run._finished:
                run.log(found, commit=False)
        except Exception as error:  # noqa: BLE001, RUF100 - as above
            self._fail(error)

    def _publish_graph(self, key: str, graph: dict[str, Any]) -> None:
        run = self._run()
        if run is None or run._finished:
            return
        try:
            from runlane.data_types.graph import Graph

            stored = Graph(format=graph["format"])
            stored.nodes, stored.edges = graph["nodes"], graph["edges"]
            run.summary[key] = stored
        except Exception as error:  # noqa: BLE001, RUF100 - as above
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._warn(
            type(error).__name__,
            f"watch: a histogram or graph is left out: {type(error).__name__}: {terminal.printable(str(error))[:300]}",
        )

    def _warn(self, reason: str, text: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            terminal.termwarn(text)


class _Hook:
    """A hook of torch: what it takes (nothing twice), its handle, and how many tensors it takes."""

    __slots__ = ("handle", "name", "tensors")

    def __init__(self, name: str, handle: Any, tensors: int) -> None:
        self.name, self.handle, self.tensors = name, handle, tensors


class _GradientHook:
    """Counts the backward passes of one parameter."""

    # Dynamo calls the hook as it is, instead of compiling it into the model.
    _torchdynamo_disable = True

    def __init__(self, watcher: Watcher, key: str, log_freq: float) -> None:
        self._watcher, self._key, self._log_freq = watcher, key, log_freq
        self._count = 0

    def __call__(self, gradient: Any) -> None:
        self._count += 1
        if self._count >= self._log_freq:
            self._count = 0
            self._watcher.take_gradient(self._key, gradient)


class _ParameterHook:
    """Counts the forward passes of one model."""

    _torchdynamo_disable = True

    def __init__(self, watcher: Watcher, prefix: str, keys: set[str] | None, log_freq: float) -> None:
        self._watcher, self._prefix, self._keys, self._log_freq = watcher, prefix, keys, log_freq
        self._count = 0

    def __call__(self, model: Any, _inputs: Any, _output: Any) -> None:
        self._count += 1
        if self._count >= self._log_freq:
            self._count = 0
            self._watcher.take_parameters(model, self._prefix, self._keys)
