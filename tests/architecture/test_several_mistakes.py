"""What is wrong in independent places is told at once, and what only follows from it is not told."""

from __future__ import annotations

from pathlib import Path

import pytest

import spdbuild
from spdbuild.architecture.failures import MAX_FAILURES, MAX_PROBLEMS
from spdbuild.checking import check_architecture
from spdbuild.errors import InputError, Problem, ShapeError, SourceError
from spdbuild.loading import read_document, source_of
from spdbuild.ops import OPS
from spdbuild.text.source import Source

HEAD = "model: m\ninputs: {image: [3, 32, 32]}\n"

RIGHT = f"""{HEAD}vars: {{levels: [8, 16]}}
blocks:
  conv(out, kernel=3, stride=1):
    - conv: conv2d(out, kernel, stride)
    - relu()
  residual(out):
    - first: conv(out // 2)
    - second: conv(out)
    - add() <- second, input
layers:
  - stem: conv(8)
  - body: residual(8) * 3
  - left: conv(levels[0]) <- stem
  - right: conv(levels[1]) <- stem
  - thirds: split(4) <- stem
  - both: concat() <- left, right
  - last: relu() <- thirds.3
outputs: [body.2.first.conv, both]
"""
MISTAKES = {
    "a count": ("* 3", "* 3.5"),
    "an argument": ("concat() <-", "concat(axis=5) <-"),
    "an index": ("levels[0]", "levels[2]"),
    "a shape": ("both: concat() <- left, right", "both: add() <- left, right"),
    "an output of a layer": ("thirds.3", "thirds.4"),
    "a line of a block": ("out // 2", "out // 0"),
    "a use of a block": ("conv(levels[1])", "conv(levels[1], 0)"),
    "an output": ("outputs: [body.2.first.conv, both]", "outputs: [body.2.first.conv, both, booth]"),
}


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        spdbuild.load(text)
    return caught.value.problems


def with_mistakes(*names: str) -> str:
    text = RIGHT
    for name in names:
        assert text.count(MISTAKES[name][0]) == 1
        text = text.replace(*MISTAKES[name])
    return text


@pytest.mark.parametrize(
    "names",
    [
        ("a count", "an index", "an output of a layer", "an output"),
        ("a line of a block", "a shape", "an output of a layer"),
        ("a use of a block", "a line of a block", "an index", "an output"),
    ],
    ids=", ".join,
)
def test_mistakes_told_together_are_those_told_alone(names: tuple[str, ...]) -> None:
    assert spdbuild.load(RIGHT).graph
    alone = [problem for name in names for problem in problems_of(with_mistakes(name))]
    together = problems_of(with_mistakes(*names))
    assert len(alone) == len(names)
    assert {(p.message, p.location.line, p.location.column, p.trail) for p in alone if p.location} == {
        (p.message, p.location.line, p.location.column, p.trail) for p in together if p.location
    }
    assert [p.location.line for p in together if p.location] == sorted(p.location.line for p in alone if p.location)


def test_a_wrong_layer_anywhere_in_yolov5_is_one_problem() -> None:
    source = source_of("yolov5")
    lines = [line for lines in read_document(source).sections.values() for line in lines]
    assert len(lines) > 20
    for line in lines:
        end = line.value.start + line.call.end
        with pytest.raises(InputError, match="a repeat count must be a whole number") as caught:
            spdbuild.load(f"{source.text[:end]} * 0.5{source.text[end:]}", variant="n")
        (problem,) = caught.value.problems
        assert problem.location is not None
        assert problem.location.line == line.location.line


def test_mistakes_of_one_kind_are_an_error_of_that_kind() -> None:
    layers = "layers:\n  - wide: conv2d(8) <- image\n  - add() <- wide, image\n"
    with pytest.raises(ShapeError):
        spdbuild.load(HEAD + layers)
    with pytest.raises(ShapeError) as caught:
        spdbuild.load(HEAD + layers + "  - again: add() <- image, wide\n")
    assert len(caught.value.problems) == 2
    with pytest.raises(SourceError):
        spdbuild.load(HEAD + layers + "  - thin: conv2d(0)\n")


def test_a_hundred_mistakes_are_enough() -> None:
    layers = "".join(f"  - layer_{number}: conv2d(0) <- image\n" for number in range(300))
    assert len(problems_of(f"{HEAD}layers:\n{layers}")) == MAX_PROBLEMS


def test_the_expansion_ends_at_its_limits_and_tells_what_was_wrong_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spdbuild.architecture.expand.MAX_LINES", 20)
    before, limit = problems_of(
        f"{HEAD}layers:\n  - wrong: conv2d(0)\n  - many: relu() * 50 <- image\n  - never: conv2d(0) <- image\n"
    )
    assert before.message == "conv2d: out must be between 1 and 1000000, got 0"
    assert limit.message.startswith("the network has more than 20 lines")


def test_a_mistake_in_a_block_of_many_uses_hides_no_other() -> None:
    layers = "".join(f"  - layer_{number}: conv(8)\n" for number in range(2 * MAX_PROBLEMS))
    block, head = problems_of(
        f"{HEAD}blocks:\n  conv(out):\n    - conv: conv2d(out, 0)\nlayers:\n{layers}  - head: linear(0)\n"
    )
    assert block.trail[-1] == f"also in layer_1.conv, layer_2.conv, layer_3.conv and {2 * MAX_PROBLEMS - 4} more"
    assert head.message == "linear: out must be between 1 and 1000000, got 0"


def test_blocks_that_double_are_left_after_a_thousand_failures() -> None:
    doubled = "".join(
        f"  level{number}():\n    - a: level{number - 1}() <- input\n    - b: level{number - 1}() <- input\n"
        for number in range(1, 45)
    )
    blocks = f"blocks:\n  level0():\n    - wrong: conv2d(0)\n{doubled}"
    (problem,) = problems_of(f"{HEAD}{blocks}layers:\n  - all: level44()\n")
    assert problem.trail[-1].endswith(f"and {MAX_FAILURES - 4} more")


def test_mistakes_of_several_variants_are_told_once_each() -> None:
    text = (
        f"{HEAD}variants:\n  small: {{width: 0}}\n  odd: {{width: 3}}\n  even: {{width: 4}}\n"
        "layers:\n  - stem: conv2d(width)\n  - halves: split(2)\n  - join: add() <- halves.0, stem\n"
    )
    with pytest.raises(SourceError) as caught:
        check_architecture(Source("three.yaml", text))
    told = [(p.location.line if p.location else 0, p.trail) for p in caught.value.problems]
    assert told == [(8, ("in the variant small",)), (9, ("in the variant odd",)), (10, ("in the variant even",))]


@pytest.mark.parametrize("reference", ["input.0", "input", "input.1"])
def test_an_output_of_what_failed_is_no_further_mistake(reference: str) -> None:
    block = f"blocks:\n  b(out):\n    - a: conv2d(out, 3) <- {reference}\n"
    text = f"{HEAD}{block}layers:\n  - first: conv2d(0)\n  - second: b(4)\n"
    with pytest.raises(InputError) as caught:
        spdbuild.load(text)
    assert [problem.message for problem in caught.value.problems] == [
        "conv2d: out must be between 1 and 1000000, got 0"
    ]


def test_an_imported_op_that_refuses_its_input_hides_no_other_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # An op of a test would be among those that other tests list.
    monkeypatch.setattr(OPS, "_classes", dict(OPS.items()))
    Path("picky.py").write_text(PICKY)
    Path("own.yaml").write_text(
        "model: own\nimports: [picky.py]\ninputs: {image: [3, 32, 32]}\n"
        "layers:\n  - a: picky_op()\n  - b: relu()\n  - c: conv2d(0) <- image\n"
    )
    with pytest.raises(InputError) as caught:
        spdbuild.load("own.yaml", allow_imports=True)
    assert [problem.message for problem in caught.value.problems] == [
        "picky_op: never 3x32x32",
        "conv2d: out must be between 1 and 1000000, got 0",
    ]


PICKY = '''
from dataclasses import dataclass

from spdbuild.errors import ShapeError
from spdbuild.ops import OPS, Example, Op
from spdbuild.shape import Shape


@OPS.register
@dataclass(frozen=True)
class PickyOp(Op):
    """Refuse every input.

    Source: none.
    """

    def shape(self, x):
        raise ShapeError(f"never {x}")
'''
