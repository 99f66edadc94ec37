"""Rename tables: the rules one by one, and what is wrong with a table."""

from __future__ import annotations

import pytest
import torch
import torchvision

from spdbuild.errors import SourceError
from spdbuild.text.source import Source, parse_yaml
from spdbuild.weights import compile_rules, rename

RESNET50 = {
    "stem.conv": "conv1",
    "stem.norm": "bn1",
    "stage{s}.first": "layer{s}.0",
    "stage{s}.rest.{i}": "layer{s}.{i + 1}",
    "reduce.conv": "conv1",
    "reduce.norm": "bn1",
    "spatial.conv": "conv2",
    "spatial.norm": "bn2",
    "expand.conv": "conv3",
    "expand.norm": "bn3",
    "skip.match.conv": "downsample.0",
    "skip.match.norm": "downsample.1",
    "head": "fc",
}


def our_resnet50_names() -> list[str]:
    """The names of the weights of ResNet-50 by its structure: 3, 4, 6, 3 bottlenecks of three convolutions."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    blocks = {
        f"stage{stage}.{'first' if block == 0 else f'rest.{block - 1}'}": block == 0
        for stage, depth in zip((1, 2, 3, 4), (3, 4, 6, 3), strict=True)
        for block in range(depth)
    }
    pairs = ["stem"] + [
        f"{block}.{name}"
        for block, first in blocks.items()
        for name in ("reduce", "spatial", "expand", *(["skip.match"] if first else []))
    ]
    weights = [name for p in pairs for name in (f"{p}.conv.weight", *(f"{p}.norm.{part}" for part in norm))]
    return [*weights, "head.weight", "head.bias"]


def test_the_table_of_resnet50_gives_every_name_of_torchvision_once() -> None:
    with torch.device("meta"):
        theirs = list(torchvision.models.resnet50(weights=None).state_dict())
    rules = compile_rules(RESNET50)
    ours = [rename(name, rules) for name in our_resnet50_names()]
    assert len(theirs) == 320
    assert sorted(ours) == sorted(theirs)


@pytest.mark.parametrize(
    ("table", "ours", "theirs"),
    [
        ({"a": "b"}, "a.weight", "b.weight"),
        ({"a": "b"}, "ab.a.a", "ab.b.a"),
        ({"a.b": "c"}, "x.a.b.weight", "x.c.weight"),
        ({"a.b": "c"}, "x.a.bb.weight", "x.a.bb.weight"),
        ({"a": ""}, "a.b.weight", "b.weight"),
        ({"a": ""}, "x.a.weight", "x.weight"),
        ({"weight": "w.v"}, "a.weight", "a.w.v"),
        ({"a.b.weight": "w"}, "a.b.weight", "w"),
        ({"{x}.norm": "bn.{x}"}, "a.b.norm.bias", "a.bn.b.bias"),
        ({"s{i}": "layer{i}"}, "s01.weight", "layer01.weight"),
        ({"s{i}": "layer{i}"}, "stem.weight", "stem.weight"),
        ({"b{i}": "features.{i}"}, "block.bias", "block.bias"),
        ({"{n}x": "y{n}"}, "1x.ax", "y1.ax"),
        ({"{x}.b{i}.{y}": "{y}.{i}.{x}"}, "a.b2.c.weight", "c.2.a.weight"),
        ({"s{i}": "layer{i - 1}"}, "stem.weight", "stem.weight"),
        ({"s{i}": "layer{i - 1}"}, "stem.s12.weight", "stem.layer11.weight"),
        ({"{x}.{y}": "{y}.{x}"}, "a.b.c", "b.a.c"),
        ({"{x}.{x}": "twice.{x}"}, "a.b.b.c", "a.twice.b.c"),
        ({"p{l}.{i}": "m.{(l - 3) * 2 + i}"}, "p4.1.bias", "m.3.bias"),
        ({"a": "b", "b": "c"}, "a.weight", "c.weight"),
        ({"b": "c", "a": "b"}, "a.weight", "b.weight"),
    ],
)
def test_a_rule_replaces_the_first_run_of_whole_parts(table: dict[str, str], ours: str, theirs: str) -> None:
    assert rename(ours, compile_rules(table)) == theirs


WRITE = "write {x} for a part"
ALLOWED = (
    "numbers, texts, true, false, lists, names, + - * / //, comparisons, and/or/not, x if y else z, list[index], "
    "round, max, min, round_up"
)

#: A line of a table, the column of the mistake, message and hint.
ERRORS = [
    ("a: 'b c'", 6, "' ' cannot be in a name", WRITE),
    ("a b: c", 2, "' ' cannot be in a name", WRITE),
    ("a{: c", 2, "'{' cannot be in a name", WRITE),
    ("a: b.é", 6, "'é' cannot be in a name", WRITE),
    ("x.{i}: y.{j}", 11, "there is no number called 'j' here", "known: i"),
    ("x.{i}: y.{i + j}", 15, "there is no number called 'j' here", "known: i"),
    ("x.{i + 1}: y", 4, "'i + 1' is no name for a part", "arithmetic belongs on their side"),
    ("'{i}{j}': y", 6, "two parts of a name must have a text between them", ""),
    ("x.{i}: y.{i +}", 11, "this cannot be read: invalid syntax", ""),
    ("x.{i}: y.{i.real}", 11, "'i.real' is not allowed here", ALLOWED),
    ("x.{i}: y.{open('a')}", 11, "'open('a')' is not allowed here", ALLOWED),
    ("'': y", 1, "a rule needs a pattern of our names", ""),
]


@pytest.mark.parametrize(("text", "column", "message", "hint"), ERRORS, ids=[case[0] for case in ERRORS])
def test_what_is_wrong_with_a_rule_is_told_with_its_place(text: str, column: int, message: str, hint: str) -> None:
    table = parse_yaml(Source("table.yaml", text))
    with pytest.raises(SourceError) as caught:
        compile_rules(dict(table.items()))
    [problem] = caught.value.problems
    assert (problem.message, problem.hint) == (message, hint)
    assert str(problem.location) == f"table.yaml:1:{column}"


def test_all_wrong_rules_are_told_at_once() -> None:
    with pytest.raises(SourceError) as caught:
        compile_rules({"a b": "c", "c": "d+e", "f": "g"})
    assert [problem.message for problem in caught.value.problems] == [
        "' ' cannot be in a name",
        "'+' cannot be in a name",
    ]


def test_a_part_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(SourceError, match="a part of a name must be a whole number, got 0.5"):
        rename("a.1", compile_rules({"a.{i}": "b.{i / 2}"}))
