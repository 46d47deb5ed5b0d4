"""`Graph`: the graph of a model."""

from __future__ import annotations

import json

from ._files import MediaFile
from .base import Media

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Graph(Media):
    """Nodes and edges of a model, as a value of the summary; `watch(log_graph=True)` makes it of a torch module.

    Args:
        format: Who made the model: `keras`, `torch`, …

    Nodes are dicts, by convention with `id`, `name`, `class_name`, `parameters`, `output_shape`, `num_parameters`; an edge is a pair
    of ids.
    """

    _log_type = "graph-file"
    _kind = "graph"

    def __init__(self, format: str = "keras") -> None:  # noqa: A002, RUF100 - the argument's name is W&B's
        super().__init__()
        self.format = format
        self.nodes: list[dict[str, Any]] = []
        self.edges: list[tuple[Any, Any]] = []

    def add_node(self, node: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
        """Add a node, a dict or its members; returns it."""
        made = {**(node or {}), **members}
        self.nodes.append(made)
        self._file = None
        return made

    def add_edge(self, from_node: Any, to_node: Any) -> tuple[Any, Any]:
        """Add an edge between two nodes, given as nodes or as their ids; returns the ids."""
        edge = (_id_of(from_node), _id_of(to_node))
        self.edges.append(edge)
        self._file = None
        return edge

    def __getitem__(self, nid: Any) -> dict[str, Any]:
        """The node with this id.

        Raises:
            KeyError: There is none.
        """
        for node in self.nodes:
            if node.get("id") == nid:
                return node
        raise KeyError(nid)

    def pprint(self) -> None:
        """Print edges and nodes."""
        from pprint import pprint

        for part in (*self.edges, *self.nodes):
            pprint(part)  # noqa: T203, RUF100 - what it is for

    @classmethod
    def from_keras(cls, model: Any) -> Graph:
        """The layers of a Keras model in their order, each with its parameters, and edges along it.

        Raises:
            TypeError: It has no layers.
        """
        layers = getattr(model, "layers", None)
        if not isinstance(layers, list):
            raise TypeError(f"Graph.from_keras takes a Keras model, got {type(model).__name__}")
        graph = cls(format="keras")
        before = None
        for layer in layers:
            weights = getattr(layer, "weights", [])
            shapes = [(weight.name, [int(length) for length in weight.shape]) for weight in weights]
            node = graph.add_node(
                id=layer.name,
                name=layer.name,
                class_name=type(layer).__name__,
                parameters=shapes,
                output_shape=list(getattr(getattr(layer, "output", None), "shape", None) or []),
                num_parameters=int(layer.count_params()) if getattr(layer, "built", True) else 0,
            )
            if before is not None:
                graph.add_edge(before, node)
            before = node
        return graph

    def document(self) -> dict[str, Any]:
        """The content of the file."""
        return {"format": self.format, "nodes": self.nodes, "edges": [list(edge) for edge in self.edges]}

    def _content(self) -> MediaFile:
        if self._file is None:
            text = json.dumps(self.document(), separators=(",", ":"), default=str)
            self._file = MediaFile.of_bytes(text.encode("utf-8", "replace"), ".graph.json")
        return self._file

    def _store(self, run: Any, key: str, step: int | str, id_: int | str | None = None) -> dict[str, Any]:
        return self._content().store(run, self._kind, key, step, id_)

    def _in_artifact(self, artifact: Any) -> dict[str, Any]:
        self._content()
        return super()._in_artifact(artifact)

    @classmethod
    def from_json(cls, json_obj: dict[str, Any], source_artifact: Any) -> Graph:
        """The graph of an artifact."""
        with open(source_artifact.get_entry(json_obj["path"]).download(), encoding="utf-8") as file:
            document = json.load(file)
        graph = cls(format=document.get("format", "keras"))
        graph.nodes = document.get("nodes", [])
        graph.edges = [tuple(edge) for edge in document.get("edges", [])]
        graph._set_artifact_source(source_artifact)
        graph._source_entry = json_obj["path"]
        return graph


def _id_of(node: Any) -> Any:
    return node.get("id") if isinstance(node, dict) else node
