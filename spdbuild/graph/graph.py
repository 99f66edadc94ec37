"""The graph: nodes in execution order, found by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from spdbuild.errors import InputError, ShapeError, UnknownNameError, nearest
from spdbuild.graph.node import Input, Node, Origin, Output
from spdbuild.ops.op import Op
from spdbuild.shape import Shape


class Graph:
    """Nodes in execution order; every node reads only nodes before it.

    name: of the architecture.
    outputs: what the model returns, in order.
    imports: the code that registers ops for the graph: absolute paths of files, and names of modules.

    A pass changes a graph through `add`, `replace_op`, `insert_after` and `remove`. Shapes are kept up to date: they
    are inferred when a node is added, and after every change.
    """

    def __init__(self, name: str = "model") -> None:
        self.name = name
        self.outputs: tuple[Output, ...] = ()
        self.imports: tuple[Path | str, ...] = ()
        self._nodes: dict[str, Node] = {}
        self._deferred = False

    def __repr__(self) -> str:
        inputs = ", ".join(f"{node.name} {node.shape}" for node in self.inputs)
        return f"Graph({self.name}: {len(self)} nodes, inputs {inputs or 'none'})"

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self._nodes.values()))

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> Node:
        if name not in self._nodes:
            raise UnknownNameError(f"{self.name} has no layer '{name}'", hint=nearest(name, self._nodes))
        return self._nodes[name]

    def __eq__(self, other: object) -> bool:
        """Whether both have the same nodes in the same order; origins and the graphs' names do not count."""
        if not isinstance(other, Graph):
            return NotImplemented
        return self.outputs == other.outputs and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def names(self) -> list[str]:
        return list(self._nodes)

    @property
    def inputs(self) -> list[Node]:
        return [node for node in self if isinstance(node.op, Input)]

    @property
    def layers(self) -> list[Node]:
        """All nodes but the inputs."""
        return [node for node in self if not isinstance(node.op, Input)]

    @property
    def parameters(self) -> int:
        return sum(node.parameters for node in self)

    @property
    def macs(self) -> int:
        return sum(node.macs for node in self)

    def copy(self) -> Graph:
        """A graph that can be changed without changing this one; the nodes themselves never change."""
        graph = Graph(self.name)
        graph.outputs, graph.imports = self.outputs, self.imports
        graph._nodes = dict(self._nodes)
        return graph

    __copy__ = copy

    def shape_of(self, output: Output) -> Shape:
        """Shape of one output of a node."""
        shapes = self[output.node].shapes
        if output.index >= len(shapes):
            raise ShapeError(f"'{output.node}' has {len(shapes)} outputs, so there is no '{output}'")
        return shapes[output.index]

    def users(self, name: str) -> list[Node]:
        """The nodes that read any output of `name`, in execution order."""
        return [node for node in self if any(output.node == name for output in node.inputs)]

    def is_output(self, name: str) -> bool:
        return any(output.node == name for output in self.outputs)

    def add(self, name: str, op: Op, inputs: Sequence[Output | str] = (), origin: Origin | None = None) -> Node:
        """Append a node and infer its shapes."""
        if name in self._nodes:
            raise InputError(f"two layers are called '{name}'")
        node = Node(name, op, tuple(map(_output, inputs)), origin=origin or Origin())
        self._nodes[name] = node = self._inferred(node)
        return node

    def replace_op(self, name: str, op: Op) -> None:
        """Give the node another op; it keeps its name, inputs and origin."""
        self._nodes[name] = replace(self[name], op=op)
        self._infer_from(name)

    def rewire(self, name: str, inputs: Sequence[Output | str]) -> None:
        """Make the node read other outputs, of nodes before it."""
        self._nodes[name] = replace(self[name], inputs=tuple(map(_output, inputs)))
        self._infer_from(name)

    def insert_after(self, anchor: str, name: str, op: Op, inserted_by: str) -> Node:
        """Add a node that reads `anchor` (its only output) and takes over the readers of `anchor`."""
        if name in self._nodes:
            raise InputError(f"two layers are called '{name}'")
        origin = replace(self[anchor].origin, inserted_by=inserted_by)
        moved = {Output(anchor): Output(name)}
        nodes: dict[str, Node] = {}
        for node in self:
            nodes[node.name] = _rewired(node, moved)
            if node.name == anchor:
                nodes[name] = Node(name, op, (Output(anchor),), origin=origin)
        self._nodes = nodes
        self.outputs = tuple(moved.get(output, output) for output in self.outputs)
        self._infer_from(name)
        return self[name]

    def remove(self, name: str) -> None:
        """Remove a node; its readers read its first input instead."""
        node = self[name]
        moved = {Output(name): node.inputs[0]}
        del self._nodes[name]
        self._nodes = {other.name: _rewired(other, moved) for other in self}
        self.outputs = tuple(moved.get(output, output) for output in self.outputs)
        self.infer_shapes()

    @contextmanager
    def changes(self) -> Iterator[None]:
        """Make several changes as one: shapes are inferred at the end, and a misfit or other error undoes them all."""
        nodes, outputs, shapes = dict(self._nodes), self.outputs, [self.shape_of(output) for output in self.outputs]
        self._deferred = True
        try:
            yield
            self._deferred = False
            self.infer_shapes()
            if [self.shape_of(output) for output in self.outputs] != shapes:
                raise ShapeError("the outputs of the network would have other shapes")
        except BaseException:
            self._nodes, self.outputs = nodes, outputs
            raise
        finally:
            self._deferred = False

    def infer_shapes(self) -> None:
        """Bring all shapes up to date; raises ShapeError at the first misfit."""
        self._infer_from(next(iter(self._nodes), ""))

    def _infer_from(self, start: str) -> None:
        if self._deferred:
            return
        begun = False
        for name, node in self._nodes.items():
            begun = begun or name == start
            if begun:
                self._nodes[name] = self._inferred(node)

    def with_inputs(self, shapes: Iterable[Shape]) -> Graph:
        """The same graph for other input shapes."""
        graph = self.copy()
        for node, shape in zip(graph.inputs, shapes, strict=True):
            graph._nodes[node.name] = replace(node, op=Input(tuple(shape)))
        graph.infer_shapes()
        return graph

    def _inferred(self, node: Node) -> Node:
        return node.inferred(tuple(self.shape_of(output) for output in node.inputs))


def _output(value: Output | str) -> Output:
    return value if isinstance(value, Output) else Output(value)


def _rewired(node: Node, moved: dict[Output, Output]) -> Node:
    if not any(output in moved for output in node.inputs):
        return node
    return replace(node, inputs=tuple(moved.get(output, output) for output in node.inputs))
