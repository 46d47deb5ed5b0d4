"""The graph of a model: its modules in the order in which the first forward pass calls them, with the shapes they return.

Containers (`Sequential`, `ModuleList`, `ModuleDict`) are looked into, every other child of the model is one node. The file is that
of reference/wandb/files-and-media.md 2.4; it names no edges, as wandb's does not.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")
#: Nesting of outputs beyond this is not looked into.
_MAX_DEPTH = 16
#: The text of a large module is cut here.
_MAX_TEXT = 10_000


def _nodes(model: Any) -> list[tuple[str, Any]]:
    """The modules that become nodes, by name; a module under several names has its first."""
    containers = tuple(getattr(sys.modules["torch"].nn, name) for name in _CONTAINERS)
    found: dict[int, tuple[str, Any]] = {}

    def walk(module: Any, prefix: str) -> None:
        for name, child in module.named_children():
            if isinstance(child, containers):
                walk(child, f"{prefix}{name}.")
            else:
                found.setdefault(id(child), (f"{prefix}{name}", child))

    walk(model, "")
    return list(found.values()) or [("", model)]


def _shape(output: Any, depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        return []
    if isinstance(output, dict):
        return [_shape(part, depth + 1) for part in output.values()]
    if isinstance(output, (list, tuple)):
        return [_shape(part, depth + 1) for part in output]
    size = getattr(output, "shape", None)
    return [int(length) for length in size] if size is not None else []


def _node(name: str, module: Any, output: Any) -> dict[str, Any]:
    parameters = [
        (name, [int(length) for length in parameter.shape]) for name, parameter in module.named_parameters()
    ]
    shape = _shape(output)
    return {
        "name": name,
        "id": id(module),
        "class_name": repr(module)[:_MAX_TEXT],
        "parameters": parameters,
        "output_shape": shape if isinstance(output, (list, tuple, dict)) else [shape],
        "num_parameters": [_product(size) for _, size in parameters],
    }


def _product(lengths: list[int]) -> int:
    product = 1
    for length in lengths:
        product *= length
    return product


class GraphRecorder:
    """Notes each module when it is first called, and hands the graph over when the model has run, or all of them have."""

    _torchdynamo_disable = True

    def __init__(self, done: Callable[[dict[str, Any]], None]) -> None:
        self._done: Callable[[dict[str, Any]], None] | None = done
        self._handles: list[Any] = []
        self._waiting: set[str] = set()
        self._nodes: list[dict[str, Any]] = []

    def hook(self, model: Any) -> list[Any]:
        """Hook the model; returns the handles, which the recorder removes itself when it is done."""
        for name, module in _nodes(model):
            self._waiting.add(name)
            self._handles.append(module.register_forward_hook(_NodeHook(self, name)))
        self._handles.append(model.register_forward_hook(_EndHook(self)))
        return list(self._handles)

    def note(self, name: str, module: Any, output: Any) -> None:
        """A module has run."""
        if name in self._waiting and self._done is not None:
            self._waiting.discard(name)
            self._nodes.append(_node(name, module, output))
            if not self._waiting:
                self.end()

    def end(self) -> None:
        """The model has run."""
        done, self._done = self._done, None
        if done is None:
            return
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._nodes:
            done({"format": "torch", "nodes": self._nodes, "edges": []})


class _NodeHook:
    _torchdynamo_disable = True

    def __init__(self, recorder: GraphRecorder, name: str) -> None:
        self._recorder, self._name = recorder, name

    def __call__(self, module: Any, _inputs: Any, output: Any) -> None:
        self._recorder.note(self._name, module, output)


class _EndHook:
    _torchdynamo_disable = True

    def __init__(self, recorder: GraphRecorder) -> None:
        self._recorder = recorder

    def __call__(self, _module: Any, _inputs: Any, _output: Any) -> None:
        self._recorder.end()
