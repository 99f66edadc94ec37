"""What a file says and its network does not use."""

from __future__ import annotations

from pathlib import Path

import pytest

from spdbuild.checking import check_architecture
from spdbuild.errors import SourceError
from spdbuild.text.source import Source, read_source

HEAD = "model: m\ninputs: {image: [3, 8, 8]}\n"


def told(text: str, name: str = "m.yaml") -> list[str]:
    """The warnings, each as line:column and message."""
    return told_of(Source(name, text))


def told_of(source: Source) -> list[str]:
    warnings = check_architecture(source).warnings
    assert all(warning.kind == "warning" and warning.location for warning in warnings)
    return [f"{w.location.line}:{w.location.column} {w.message}" for w in warnings if w.location]


def test_each_kind_of_slip_is_told_at_its_place() -> None:
    text = """\
model: m
inputs: {image: [3, 8, 8], mask: [1, 8, 8]}
vars: {width: 8, widht: 16}
scale: {outt: outt * 2}
blocks:
  cn(out, kernel, stride=1):
    - c: conv2d(out, kernel)
    - n: batch_norm() <- c
    - lost: relu()
    - d: conv2d(out) <- n
  join():
    - add() <- input1, input2
  idle():
    - relu()
layers:
  - a: cn(width, 3, stride=2)
  - join() <- a, a, image
"""
    assert told(text) == [
        "2:28 no output depends on the input 'mask'",
        "3:18 nothing reads the var 'widht'",
        "4:9 no line of a section gives the argument 'outt'",
        "6:3 the lines of 'cn' do not read the parameter 'stride'",
        "9:13 no output depends on 'lost'",
        "13:3 no line uses the block 'idle'",
        "17:21 the lines of 'join' do not read input3, which is 'image' here",
    ]


def test_of_a_block_without_effect_only_its_use_is_told() -> None:
    block = "blocks:\n  pair():\n    - relu()\n    - silu()\n"
    text = HEAD + block + "layers:\n  - a: conv2d(8)\n  - lost: pair() * 2\n  - b: conv2d(8) <- a\n  - pair()\n"
    assert told(text) == ["9:11 no output depends on 'lost'"]


def test_a_layer_that_one_variant_or_one_use_needs_is_used() -> None:
    text = """variants: {one: {deep: true}, two: {deep: false}}
blocks:
  twins():
    - left: conv2d(8)
    - right: conv2d(8) <- input
layers:
  - a: conv2d(8)
  - b: conv2d(8)
  - c: add(when=deep) <- a, b
  - d: twins()
  - e: twins()
  - concat() <- e, d.left
"""
    # Nothing reads b in "two", and nothing the left twin of e.
    assert told(HEAD + text) == []


def test_names_in_conditions_counts_defaults_and_scales_are_read() -> None:
    text = """vars: {deep: true, times: 2, factor: 2, width: 8}
scale: {out: out * factor}
blocks:
  cn(out, kernel=3, padding=kernel // 2):
    - c: conv2d(out, kernel, padding=padding)
layers:
  - a: conv2d(width, when=deep)
  - b: cn(8) * times
"""
    assert told(HEAD + text) == []


def test_what_a_file_inherits_and_does_not_use_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(HEAD + "layers:\n  - a: conv2d(8)\n  - relu()\n  - b: conv2d(8)\n")
    (tmp_path / "new.yaml").write_text("model: new\nextends: base.yaml\noutputs: [a]\nvars: {classes: 4}\n")
    assert told_of(read_source(tmp_path / "new.yaml")) == [
        "2:1 not all of 'base.yaml' is used: no output depends on this relu; and 1 more",
        "4:8 nothing reads the var 'classes'",
    ]


def test_a_number_of_a_variant_that_is_no_var_and_is_not_read_is_an_error() -> None:
    text = HEAD + "vars: {width: 1}\nvariants: {small: {widht: 2}}\nlayers:\n  - a: conv2d(8 * width)\n"
    with pytest.raises(SourceError, match="the variant small sets 'widht', which is no var") as caught:
        check_architecture(Source("m.yaml", text))
    assert caught.value.problems[0].hint == "did you mean 'width'?"
