"""What holds for every registered op: what it says without torch is what its torch module does."""

from __future__ import annotations

import ast
import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spdbuild.declaring.arguments import construct, signature
from spdbuild.errors import ShapeError
from spdbuild.ops import OPS, Example, Op
from spdbuild.shape import Shape

from .examples import MORE

OP_CLASSES = [pytest.param(cls, id=name) for name, cls in OPS.items()]
EXAMPLES = [*(cls.example() for _, cls in OPS.items()), *(example for more in MORE.values() for example in more)]
EVERY_EXAMPLE = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.op} {e.inputs}")


def run(op: Op, inputs: list[Shape], device: str = "cpu") -> tuple[Shape, ...]:
    """The shapes that the op's module really puts out for one sample."""
    module = op.module(*inputs).to(device).eval()
    output = module(*(torch.rand(1, *shape, device=device) for shape in inputs))
    return tuple(Shape(*tensor.shape[1:]) for tensor in ([output] if torch.is_tensor(output) else output))


def several(shapes: Shape | tuple[Shape, ...]) -> tuple[Shape, ...]:
    return (shapes,) if isinstance(shapes, Shape) else shapes


def odd(shape: Shape) -> Shape:
    """The same channels and an odd height and width; one pixel stays one."""
    return Shape(shape.channels, *(size if size == 1 else 2 * size + 1 for size in shape[1:]))


def parse(call: str) -> Op:
    """The op that a call of the language makes."""
    node = ast.parse(re.sub(r"\b(true|false)\b", lambda word: word[0].title(), call), mode="eval").body
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    cls = OPS[node.func.id]
    named = {word.arg: word.value for word in node.keywords}
    names = signature(cls).bind(len(node.args), list(named))
    return construct(cls, {n: ast.literal_eval(v) for n, v in zip(names, [*node.args, *named.values()], strict=True)})


def test_there_are_ops() -> None:
    assert len(OP_CLASSES) >= 30


@EVERY_EXAMPLE
def test_the_shape_is_the_one_worked_out_by_hand(example: Example) -> None:
    assert example.op.shape(*example.inputs) == example.output


@EVERY_EXAMPLE
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_shape_is_the_modules(example: Example, device: str) -> None:
    assert run(example.op, example.inputs, device) == several(example.output)


@EVERY_EXAMPLE
def test_the_shape_is_the_modules_at_an_odd_size(example: Example) -> None:
    inputs = [odd(shape) for shape in example.inputs]
    try:
        expected = example.op.shape(*inputs)
    except ShapeError:
        # Refused by shape, the size must be refused by the module as well.
        with pytest.raises((ShapeError, RuntimeError)):
            run(example.op, inputs)
    else:
        assert run(example.op, inputs) == several(expected)


@EVERY_EXAMPLE
def test_the_parameters_are_the_modules(example: Example) -> None:
    module = example.op.module(*example.inputs)
    assert example.op.parameters(*example.inputs) == sum(p.numel() for p in module.parameters() if p.requires_grad)


@EVERY_EXAMPLE
def test_the_macs_are_half_of_what_torch_counts(example: Example) -> None:
    with FlopCounterMode(display=False) as counter:
        run(example.op, example.inputs)
    assert 2 * example.op.macs(*example.inputs) == counter.get_total_flops()


@EVERY_EXAMPLE
def test_an_op_with_a_state_says_so(example: Example) -> None:
    op = example.op.simplified(*example.inputs)
    if op is not None:
        assert op.weights == bool(op.module(*example.inputs).state_dict())


@EVERY_EXAMPLE
def test_what_is_simplified_keeps_the_shape_and_the_costs(example: Example) -> None:
    op, inputs = example.op, example.inputs
    plainer = op.simplified(*inputs)
    if plainer is None:
        assert several(example.output) == tuple(inputs)
        assert op.parameters(*inputs) == 0
    else:
        assert plainer.shape(*inputs) == example.output
        assert plainer.parameters(*inputs) == op.parameters(*inputs)
        assert plainer.macs(*inputs) == op.macs(*inputs)


@EVERY_EXAMPLE
def test_the_text_of_an_op_makes_the_op_again(example: Example) -> None:
    assert parse(str(example.op)) == example.op


@EVERY_EXAMPLE
def test_the_number_of_inputs_is_allowed(example: Example) -> None:
    least, most = example.op.arity
    assert least <= len(example.inputs)
    assert most is None or len(example.inputs) <= most


@pytest.mark.parametrize("cls", OP_CLASSES)
def test_the_docstring_tells_what_it_does_and_where_it_comes_from(cls: type[Op]) -> None:
    text = cls.__doc__ or ""
    assert re.search(r"^    Source: .{10}", text, re.MULTILINE)
    for argument in signature(cls).arguments:
        assert re.search(rf"^    ([\w, ]+, )?{argument}(, [\w, ]+)?: ", text, re.MULTILINE), argument


@pytest.mark.parametrize("cls", OP_CLASSES)
def test_every_argument_has_another_value_in_some_example(cls: type[Op]) -> None:
    examples = [cls.example().op, *(example.op for example in MORE.get(cls.name, ()))]
    written = " ".join(map(str, examples))
    required = signature(cls).required
    assert [name for name in signature(cls).arguments if name not in required and f"{name}=" not in written] == []
