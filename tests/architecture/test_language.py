"""What each piece of the language means, seen in the graph it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

import spdbuild
from spdbuild.architecture.document import architecture_schema
from spdbuild.errors import InputError
from spdbuild.graph import Graph

HEAD = "model: m\ninputs: {image: [3, 32, 32]}\n"


def graph_of(text: str, **choices: object) -> Graph:
    return spdbuild.load(HEAD + text, **choices).graph


def wiring(graph: Graph) -> list[str]:
    return [f"{node.name} <- {', '.join(map(str, node.inputs))}" for node in graph.layers]


def test_a_line_reads_the_line_before() -> None:
    graph = graph_of("layers:\n  - stem: conv2d(8, 3)\n  - relu()\n  - head: conv2d(4)\n")
    assert wiring(graph) == ["stem <- image", "relu <- stem", "head <- relu"]


def test_unnamed_lines_are_numbered_by_op() -> None:
    graph = graph_of("layers:\n  - relu()\n  - silu()\n  - relu()\n  - relu_3: relu()\n  - relu()\n")
    assert graph.names[1:] == ["relu", "silu", "relu_2", "relu_3", "relu_4"]


def test_an_arrow_names_what_is_read() -> None:
    graph = graph_of("layers:\n  - a: conv2d(8)\n  - b: conv2d(8) <- image\n  - add() <- a, b\n")
    assert wiring(graph)[1:] == ["b <- image", "add <- a, b"]


def test_a_block_reads_its_input_and_results_in_its_last_line() -> None:
    text = """blocks:
  residual(out):
    - conv: conv2d(out, 3)
    - add() <- conv, input
layers:
  - stem: conv2d(8)
  - first: residual(8)
  - relu()
"""
    assert wiring(graph_of(text))[1:] == ["first.conv <- stem", "first.add <- first.conv, stem", "relu <- first.add"]


def test_a_block_of_several_inputs_numbers_them() -> None:
    text = """blocks:
  join(out):
    - big: conv2d(out) <- input1
    - small: conv2d(out) <- input2
    - add() <- big, small
layers:
  - a: conv2d(8)
  - b: conv2d(6) <- image
  - both: join(4) <- a, b
"""
    assert wiring(graph_of(text))[2:] == ["both.big <- a", "both.small <- b", "both.add <- both.big, both.small"]


def test_a_parameter_has_the_default_that_may_use_others() -> None:
    text = (
        "blocks:\n  b(out, hidden=out // 2):\n    - one: conv2d(hidden)\n    - two: conv2d(out)\nlayers:\n  - x: b(8)\n"
    )
    assert [node.shape.channels for node in graph_of(text).layers] == [4, 8]


def test_in_channels_is_the_width_of_the_input() -> None:
    text = "blocks:\n  half():\n    - conv: conv2d(in_channels // 2)\nlayers:\n  - stem: conv2d(12)\n  - x: half()\n"
    assert graph_of(text)["x.conv"].shape.channels == 6


def test_repeats_are_a_chain_with_numbers() -> None:
    graph = graph_of("layers:\n  - stem: conv2d(8)\n  - rest: conv2d(8, 3) * 3\n  - relu()\n")
    assert wiring(graph)[1:] == ["rest.0 <- stem", "rest.1 <- rest.0", "rest.2 <- rest.1", "relu <- rest.2"]


def test_index_is_the_number_of_a_repeat() -> None:
    graph = graph_of("layers:\n  - rest: conv2d(4 + 2 * index) * 3\n")
    assert [node.shape.channels for node in graph.layers] == [4, 6, 8]


def test_an_index_of_ones_own_decides_when_there_is_no_repeat() -> None:
    assert graph_of("vars: {index: 0}\nlayers:\n  - relu(when=index > 0)\n  - silu()\n").names[1:] == ["silu"]
    blocks = "blocks:\n  b(index):\n    - relu(when=index > 0)\n    - silu()\nlayers:\n  - a: b(0)\n  - c: b(1)\n"
    assert graph_of(blocks).names[1:] == ["a.silu", "c.relu", "c.silu"]


@pytest.mark.parametrize("count", ["(n - 1)", "(8 // n)"])
def test_where_when_is_false_the_count_may_make_no_sense(count: str) -> None:
    text = f"vars: {{n: 0}}\nlayers:\n  - more: conv2d(8, when=n > 0) * {count}\n  - relu()\n"
    assert graph_of(text).names[1:] == ["relu"]


def test_when_is_decided_for_each_repeat() -> None:
    graph = graph_of("layers:\n  - stem: conv2d(8)\n  - rest: conv2d(8, when=index != 1) * 3\n  - relu()\n")
    assert wiring(graph)[1:] == ["rest.0 <- stem", "rest.2 <- rest.0", "relu <- rest.2"]


def test_a_line_counts_once_and_each_repeat_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spdbuild.architecture.expand.MAX_LINES", 4)
    graph_of("layers:\n  - relu()\n  - relu() * 2\n")
    with pytest.raises(InputError, match="the network has more than 4 lines, with those of blocks and repeats"):
        graph_of("layers:\n  - relu()\n  - relu() * 3\n")


def test_no_repeats_pass_the_input_through() -> None:
    assert wiring(graph_of("layers:\n  - stem: conv2d(8)\n  - rest: conv2d(8) * 0\n  - relu()\n")) == [
        "stem <- image",
        "relu <- stem",
    ]


@pytest.mark.parametrize(("condition", "names"), [("1 < 2", ["relu", "silu"]), ("not 1 < 2", ["silu"])])
def test_when_leaves_a_line_out(condition: str, names: list[str]) -> None:
    assert graph_of(f"layers:\n  - relu(when={condition})\n  - silu()\n").names[1:] == names


def test_a_line_left_out_passes_its_first_input_through() -> None:
    graph = graph_of("layers:\n  - a: conv2d(3)\n  - sum: add(when=1 > 2) <- a, image\n  - relu() <- sum\n")
    assert wiring(graph) == ["a <- image", "relu <- a"]


def test_sections_follow_each_other_and_name_their_layers() -> None:
    text = "backbone:\n  - stem: conv2d(8)\n  - p2: conv2d(8)\n"
    text += "neck:\n  - top: conv2d(8)\n  - add() <- top, backbone.stem\n"
    assert wiring(graph_of(text)) == [
        "backbone.stem <- image",
        "backbone.p2 <- backbone.stem",
        "neck.top <- backbone.p2",
        "neck.add <- neck.top, backbone.stem",
    ]


def test_a_layer_inside_a_block_can_be_read_by_its_path() -> None:
    text = "blocks:\n  b():\n    - one: conv2d(3)\n    - two: conv2d(5)\nlayers:\n  - x: b()\n  - relu() <- x.one\n"
    assert wiring(graph_of(text))[-1] == "relu <- x.one"


def test_outputs_of_a_split_have_numbers() -> None:
    graph = graph_of("layers:\n  - parts: split(3)\n  - concat() <- parts.2, parts.0\n")
    assert wiring(graph)[-1] == "concat <- parts.2, parts"
    assert graph["concat"].shape == (2, 32, 32)


def test_scale_changes_arguments_of_sections_and_not_of_blocks() -> None:
    text = """variants:
  half: {width_multiple: 0.5}
  full: {width_multiple: 1.0}
scale:
  out: round_up(out * width_multiple, 8)
blocks:
  b(out):
    - conv: conv2d(out)
layers:
  - stem: conv2d(40)
  - x: b(80)
"""
    assert [n.shape.channels for n in graph_of(text, variant="half").layers] == [24, 40]
    assert [n.shape.channels for n in graph_of(text, variant="full").layers] == [40, 80]


def test_vars_can_be_set_from_outside() -> None:
    text = "vars: {width: 8}\nlayers:\n  - stem: conv2d(width)\n"
    assert graph_of(text)["stem"].shape.channels == 8
    assert graph_of(text, vars={"width": 5})["stem"].shape.channels == 5


def test_several_inputs_and_outputs() -> None:
    text = "model: m\ninputs: {left: [3, 8, 8], right: [3, 8, 8]}\noutputs: [sum, left_conv]\nlayers:\n"
    text += "  - left_conv: conv2d(4)\n  - right_conv: conv2d(4) <- right\n  - sum: add() <- left_conv, right_conv\n"
    graph = spdbuild.load(text).graph
    assert [str(output) for output in graph.outputs] == ["sum", "left_conv"]
    assert wiring(graph)[0] == "left_conv <- left"


def test_the_declared_input_shape_can_be_replaced() -> None:
    graph = graph_of("layers:\n  - stem: conv2d(8, 3, stride=2)\n", inputs=[[3, 65, 33]])
    assert graph["stem"].shape == (8, 33, 17)


def test_blocks_see_the_channels_of_a_replaced_input_shape() -> None:
    text = """model: m
inputs: {{image: [{channels}, 16, 16]}}
blocks:
  depthwise(stride):
    - conv: conv2d(in_channels, 3, stride, groups=in_channels)
layers:
  - first: depthwise(2)
  - head: conv2d(4)
"""
    replaced = spdbuild.load(text.format(channels=3), inputs=[[6, 16, 16]]).graph
    assert replaced == spdbuild.load(text.format(channels=6)).graph
    assert replaced["first.conv"].shape == (6, 8, 8)


def test_extends_inherits_and_overrides(tmp_path: Path) -> None:
    base = "vars: {width: 8, classes: 10}\nlayers:\n  - stem: conv2d(width, 3, stride=2)\n  - head: conv2d(classes)\n"
    (tmp_path / "base.yaml").write_text(HEAD + base)
    derived = tmp_path / "derived.yaml"
    derived.write_text("model: derived\nextends: base\nvars: {width: 4}\npasses:\n  - strided_to_spd()\n")
    graph = spdbuild.load(derived).graph
    assert [str(node.op) for node in graph.layers] == ["spd_conv2d(4, kernel=3, stride=2)", "conv2d(10)"]


@pytest.mark.parametrize("name", ["mine", "mine.yaml", "../nets/mine", "resnet18", "resnet18.yaml"])
def test_extends_names_a_file_beside_or_a_built_in_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "nets" / "mine").mkdir(parents=True)
    (tmp_path / "nets" / "mine.yaml").write_text(HEAD + "layers:\n  - stem: conv2d(8)\n")
    derived = tmp_path / "nets" / "derived.yaml"
    derived.write_text(f"model: derived\nextends: {name}\n")
    base = spdbuild.load("resnet18" if "resnet" in name else tmp_path / "nets" / "mine.yaml")
    assert spdbuild.load(derived).graph.parameters == base.graph.parameters


def test_a_bare_name_is_the_built_in_file_and_one_with_its_ending_the_file_beside(tmp_path: Path) -> None:
    (tmp_path / "resnet18.yaml").write_text(HEAD + "layers:\n  - stem: conv2d(8)\n")
    counts = []
    for name in ("resnet18", "resnet18.yaml"):
        (tmp_path / "derived.yaml").write_text(f"model: derived\nextends: {name}\n")
        counts.append(len(spdbuild.load(tmp_path / "derived.yaml").graph.layers))
    assert counts == [len(spdbuild.load("resnet18").graph.layers), 1]


def test_a_path_may_have_a_line_break(tmp_path: Path) -> None:
    path = tmp_path / "odd\nname.yaml"
    path.write_text(HEAD + "layers:\n  - stem: conv2d(8)\n")
    assert spdbuild.load(str(path)).graph == spdbuild.load(path).graph


@pytest.mark.parametrize(("own", "strided"), [("[]", 1), ("[strided_to_spd()]", 0)])
def test_passes_are_added_to_those_inherited(tmp_path: Path, own: str, strided: int) -> None:
    layers = "layers:\n  - stem: conv2d(8, 3, stride=2)\n  - identity()\n  - deep: conv2d(8)\n"
    (tmp_path / "base.yaml").write_text(HEAD + layers + "passes: [remove_identity()]\n")
    derived = tmp_path / "derived.yaml"
    derived.write_text(f"model: derived\nextends: base\npasses: {own}\n")
    graph = spdbuild.load(derived).graph
    assert "identity" not in graph
    assert [node.op.name for node in graph.layers].count("conv2d") == 1 + strided


def test_own_ops_are_imported_when_allowed(tmp_path: Path) -> None:
    (tmp_path / "own_ops.py").write_text(OWN_OP)
    file = tmp_path / "net.yaml"
    file.write_text(HEAD + "imports: [own_ops.py]\nlayers:\n  - stem: conv2d(8)\n  - shift(3)\n")
    with pytest.raises(InputError, match="this file wants to run the Python code of 'own_ops.py'"):
        spdbuild.load(file)
    model = spdbuild.build(spdbuild.load(file, allow_imports=True))
    import torch

    images = torch.zeros(1, 3, 32, 32)
    assert torch.equal(model(images), model.stem(images) + 3)


OWN_OP = '''
from dataclasses import dataclass
from typing import ClassVar

from spdbuild.ops import OPS, Example, Op
from spdbuild.shape import Shape


@OPS.register
@dataclass(frozen=True)
class Shift(Op):
    """Add a constant.

    Source: none.
    """

    family: ClassVar = "activation"
    amount: float = 0.0

    def shape(self, x: Shape) -> Shape:
        return x

    def module(self, x: Shape):
        from torch import nn

        class Plus(nn.Module):
            def __init__(self, amount):
                super().__init__()
                self.amount = amount

            def forward(self, x):
                return x + self.amount

        return Plus(self.amount)

    @classmethod
    def example(cls) -> Example:
        return Example(cls(2.0), [Shape(3, 4, 4)], Shape(3, 4, 4))
'''


def test_own_ops_come_from_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "plugin-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[spdbuild.ops]\nwobble = plugin_ops\n")
    (tmp_path / "plugin_ops.py").write_text(OWN_OP.replace("class Shift", "class Wobble"))
    monkeypatch.syspath_prepend(tmp_path)
    from spdbuild.declaring.registry import Registry
    from spdbuild.ops import OPS

    registry: Registry = Registry(OPS.kind, OPS.package, OPS.group)
    assert "wobble" in registry or "wobble" in OPS


@pytest.mark.parametrize(
    ("call", "number"),
    [("7 // 2", 3), ("max(1, round(0.4))", 1), ("round_up(20, 8)", 24), ("-(-7)", 7), ("2 * (3 + 1)", 8)],
)
def test_arithmetic(call: str, number: int) -> None:
    assert graph_of(f"layers:\n  - stem: conv2d({call})\n")["stem"].shape.channels == number


def test_a_call_may_span_lines() -> None:
    graph = graph_of("layers:\n  - stem: conv2d(8,\n      kernel=3,\n      stride=2)\n")
    assert str(graph["stem"].op) == "conv2d(8, kernel=3, stride=2)"


def test_an_error_in_a_call_of_several_lines_points_into_the_line() -> None:
    with pytest.raises(InputError) as caught:
        graph_of("layers:\n  - stem: conv2d(8,\n      kernel=3,\n      strid=2)\n")
    place = caught.value.problems[0].location
    assert place is not None
    assert (place.line, place.column) == (6, 7)


def test_the_schema_is_a_schema() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(architecture_schema())


def test_a_number_may_depend_on_a_condition_or_be_the_entry_of_a_list() -> None:
    text = """vars: {widths: [8, 16], deep: true}
blocks:
  stage(out):
    - conv: conv2d(out if out > 8 else 4)
layers:
  - a: stage(widths[index]) * 2
  - b: conv2d(12 if not deep else widths[1])
"""
    assert [node.shape[0] for node in graph_of(text).layers] == [4, 16, 16]
    assert [node.shape[0] for node in graph_of(text, vars={"deep": False}).layers] == [4, 16, 12]


def test_a_rule_of_scaling_for_one_op_wins_over_that_for_all() -> None:
    scale = "scale: {out: out * 2, linear.out: out, narrow.out: out / 2}\n"
    blocks = "blocks:\n  narrow(out):\n    - conv: conv2d(out)\n"
    lines = "layers:\n  - a: conv2d(8)\n  - b: narrow(8)\n  - global_avg_pool()\n  - head: linear(10)\n"
    graph = graph_of(scale + blocks + lines)
    assert [node.shape[0] for node in graph.layers] == [16, 4, 4, 10]


def test_a_size_may_be_written_with_a_point() -> None:
    graph = spdbuild.load("model: m\ninputs: {image: [3.0, 8, 8]}\nlayers:\n  - relu()\n").graph
    assert [str(size) for size in graph.inputs[0].shape] == ["3", "8", "8"]


def test_the_default_of_a_parameter_may_depend_on_the_channels_that_the_block_reads() -> None:
    text = "blocks:\n  half(out=in_channels // 2):\n    - conv: conv2d(out)\n"
    graph = graph_of(text + "layers:\n  - a: conv2d(12)\n  - b: half()\n")
    assert graph["b.conv"].shape[0] == 6


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "{}: 3\nlayers:\n  - a: conv2d(3)\n",
        "model: m\nextends: {}\n",
        HEAD + "outputs: [{}]\nlayers:\n  - a: conv2d(3)\n",
        HEAD + "imports: [{}]\nlayers:\n  - a: conv2d(3)\n",
        HEAD + "layers:\n  - a: *{}\n",
        HEAD + "layers:\n  - a: !{} 3\n",
    ],
    ids=["key", "extends", "outputs", "imports", "anchor", "tag"],
)
def test_messages_do_not_quote_long_texts_whole(text: str) -> None:
    with pytest.raises(InputError) as caught:
        spdbuild.load(text.replace("{}", "x" * 40_000))
    assert len(str(caught.value)) < 700
