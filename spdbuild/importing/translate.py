"""A traced torch module -> the steps of our language, with their weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import fx, nn
from torch.utils._pytree import tree_leaves

from spdbuild.errors import InputError, SpdbuildError
from spdbuild.importing.functions import AS_MODULES, NOTHING, RULES_OF, as_module
from spdbuild.importing.layers import Unknown, rule_of
from spdbuild.importing.steps import Place, Step, Steps, Value
from spdbuild.importing.tracing import Measured, Traced
from spdbuild.ops import OPS, Op
from spdbuild.ops.activation import Activation
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.dense import Flatten
from spdbuild.ops.pooling import AvgPool, GlobalAvgPool, GlobalMaxPool, GlobalPool, MaxPool
from spdbuild.ops.regularization import Regularization
from spdbuild.shape import Shape, pair


def translate(traced: Traced) -> Steps:
    """The steps of a traced module; InputError names the first operation that our language has no op for."""
    translator = _Translator(traced)
    for node in traced.graph.nodes:
        translator.node(node)
    return translator.finished()


class _Translator:
    """The state of the translation; for the rules of functions also the place of the call."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        self.values: dict[fx.Node, Any] = {}
        self.inputs: dict[str, Shape] = {}
        self.steps: list[Step] = []
        self.outputs: tuple[Place, ...] = ()
        self.run: set[nn.Module] = set()
        self.current: fx.Node

    @property
    def result(self) -> Any:
        """What the current node gave for the example."""
        return self.traced.results[self.current]

    def shape(self, value: Value) -> Shape:
        if value.step < 0:
            return list(self.inputs.values())[-1 - value.step]
        return self.steps[value.step].shapes[value.output]

    def node(self, node: fx.Node) -> None:
        self.current = node
        try:
            self.values[node] = self._value(node)
        except SpdbuildError as error:
            raise self._placed(error) from None
        except (TypeError, ValueError) as error:  # arguments that a rule does not know
            raise self._placed(Unknown(f"a call that spdbuild does not know ({error})")) from None

    def emit(self, op: Op, *values: Value, last: bool | None = None, weights: Mapping[str, Any] = NOTHING) -> Value:
        shapes = [self.shape(value) for value in values]
        plain = op.simplified(*shapes)
        if plain is None:
            return values[0]._replace(last=values[0].last if last is None else last)
        given = plain.shape(*shapes)
        node = self.current
        path, kinds = self.traced.scope(node)
        label = str(node.target).removeprefix(".".join(path)).lstrip(".") if node.op == "call_module" else ""
        outputs = (given,) if isinstance(given, Shape) else given
        tensors = {name: tensor.detach() for name, tensor in weights.items()}
        self.steps.append(Step(plain, tuple(value.place for value in values), outputs, path, kinds, label, tensors))
        return Value(len(self.steps) - 1, 0, values[0].last if last is None else last)

    def finished(self) -> Steps:
        return _without_flatten(Steps(self.inputs, tuple(self.steps), self.outputs))

    def _value(self, node: fx.Node) -> Any:
        given: Any = fx.node.map_arg((node.args, node.kwargs), lambda read: self.values[read])
        args, kwargs = given
        if node.op == "placeholder":
            return self._input(node)
        if node.op == "get_attr":
            return _attribute(self.traced.module, str(node.target))
        if node.op == "output":
            self.outputs = tuple(value.place for value in tree_leaves(args, is_leaf=_is_value) if _is_value(value))
            return None
        if not any(isinstance(value, Value) for value in tree_leaves((args, kwargs), is_leaf=_is_value)):
            return _computed(node, args, kwargs) if _is_measured(self.result) else self.result
        if node.op == "call_module":
            return self._module(self.traced.module.get_submodule(str(node.target)), args[0])
        return self._function(node, args, kwargs)

    def _input(self, node: fx.Node) -> Any:
        if not isinstance(self.result, Measured):
            return self.result
        self.inputs[str(node.target)] = Shape(*self.result.shape[1:])
        return Value(-len(self.inputs))

    def _module(self, module: nn.Module, x: Value) -> Value:
        rule = rule_of(module)
        if rule is None:
            raise Unknown(f"{type(module).__name__}()")
        op, tensors = rule(module, self.shape(x)), dict(module.state_dict())
        if tensors and module in self.run:
            raise Unknown("a layer that runs twice with the same weights")
        self.run.add(module)
        _check_layout(op, module, x, self.shape(x))
        if isinstance(module, nn.Linear) and isinstance(op, Conv2d):
            tensors["weight"] = tensors["weight"][:, :, None, None]
        return self.emit(op, x, last=False if isinstance(op, Flatten) else None, weights=tensors)

    def _function(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        target = node.target
        if target in AS_MODULES:
            x = args[0] if args else kwargs.pop("input")
            op = _for_every_size(as_module(target, self.shape(x), args[1:], kwargs), node, self.shape(x))
            if x.last and not isinstance(op, Activation):
                raise Unknown("a pool over channels that are last")
            return self.emit(op, x)
        if target in RULES_OF:
            return RULES_OF[target](self, *args, **kwargs)
        if not any(map(_is_measured, tree_leaves(self.result, is_leaf=_is_measured))):
            return self.result  # sizes, dtypes, assertions
        raise Unknown(_called(target))

    def _placed(self, error: SpdbuildError) -> InputError:
        node = self.current
        path, _ = self.traced.scope(node)
        where = str(node.target) if node.op == "call_module" else ".".join(path) or "the module itself"
        known = sorted(OPS)
        return InputError(
            f"{where} cannot be imported: there is no op for {error.problems[0].message}",
            hint=error.problems[0].hint or f"ops: {', '.join(known)}",
        )


def _for_every_size(op: Op, node: fx.Node, x: Shape) -> Op:
    """Turn a pool whose kernel the module computes from the size of its input into the global pool that it is."""
    computed = len(node.all_input_nodes) > 1
    if not (computed and isinstance(op, AvgPool | MaxPool) and pair(op.kernel) == x[1:] and op.paddings() == (0, 0)):
        return op
    return GlobalAvgPool(keep_size=True) if isinstance(op, AvgPool) else GlobalMaxPool(keep_size=True)


def _computed(node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of code that reads only weights, such as a view of one."""
    target: Any = node.target
    if node.op == "call_method":
        return getattr(args[0], target)(*args[1:], **kwargs)
    return target(*args, **kwargs)


def _is_value(value: Any) -> bool:
    return isinstance(value, Value)


def _is_measured(result: Any) -> bool:
    return isinstance(result, Measured)


def _attribute(module: nn.Module, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _called(target: Any) -> str:
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    home = None if isinstance(target, str) else inspect.getmodule(target)
    return f"{home.__name__}.{name}()" if home else f"{name}()"


def _check_layout(op: Op, module: nn.Module, x: Value, shape: Shape) -> None:
    if len(shape) == 1 or isinstance(op, Activation | Regularization):
        return
    over_channels = isinstance(module, nn.Linear | nn.LayerNorm)
    if over_channels != x.last:
        axis = "last" if x.last else "first"
        raise Unknown(f"{type(module).__name__} over an image whose channels are the {axis} axis")


def _without_flatten(steps: Steps) -> Steps:
    """The steps with each flatten after a global pool merged into the pool."""
    reads = [place for step in steps.steps for place in step.reads] + list(steps.outputs)
    moved: dict[int, int] = {}
    kept: list[Step] = []

    def new(place: Place) -> Place:
        return (moved[place[0]], place[1]) if place[0] >= 0 else place

    for number, step in enumerate(steps.steps):
        source = moved.get(step.reads[0][0], 0)
        pooled = bool(kept) and step.reads[0][0] >= 0 and isinstance(kept[source].op, GlobalPool)
        if isinstance(step.op, Flatten) and pooled and reads.count(step.reads[0]) == 1:
            vector = replace(kept[source].op, keep_size=False)  # type: ignore[call-arg]
            kept[source] = replace(kept[source], op=vector, shapes=step.shapes)
            moved[number] = source
        else:
            kept.append(replace(step, reads=tuple(map(new, step.reads))))
            moved[number] = len(kept) - 1
    return Steps(steps.inputs, tuple(kept), tuple(map(new, steps.outputs)))
