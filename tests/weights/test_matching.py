"""Which tensor goes where, and what is said about each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from spdbuild.errors import UnknownNameError, WeightsError
from spdbuild.weights import compile_rules, match, match_any, misfits, require_fit
from spdbuild.weights.contents import TensorInfo
from spdbuild.weights.orders import Reordering
from spdbuild.weights.prefixes import averaging_counts, choose_reading
from spdbuild.weights.rename import Rule

RULES = compile_rules({"stem": "conv1", "head": "fc"})


def needs(**shapes: tuple[int, ...]) -> dict[str, TensorInfo]:
    """What a model of float32 weights needs; `__` stands for a dot."""
    return {name.replace("__", "."): TensorInfo(shape, "float32", 0) for name, shape in shapes.items()}


def messages(error: WeightsError) -> list[tuple[str, str]]:
    return [(problem.message, problem.hint) for problem in error.problems]


def refused(target: dict[str, TensorInfo], theirs: dict[str, torch.Tensor], *rules: Rule) -> list[tuple[str, str]]:
    """Messages and hints with which weights are refused that do not fit exactly."""
    _, matching = match(target, theirs, rules)
    with pytest.raises(WeightsError) as caught:
        require_fit(matching)
    return messages(caught.value)


def test_tensors_are_taken_under_their_names_unchanged() -> None:
    theirs = {"fc.weight": torch.ones(2, 3), "conv1.weight": torch.zeros(4)}
    state, matching = match(needs(stem__weight=(4,), head__weight=(2, 3)), theirs, RULES)
    assert list(state) == ["stem.weight", "head.weight"]
    assert state["head.weight"] is theirs["fc.weight"]
    assert [(entry.name, entry.theirs, entry.status) for entry in matching.entries] == [
        ("stem.weight", "conv1.weight", "loaded"),
        ("head.weight", "fc.weight", "loaded"),
    ]


def test_missing_and_unused_weights_are_errors_with_the_nearest_name() -> None:
    theirs = {"conv1.weight": torch.ones(4), "fcl.weight": torch.ones(2)}
    assert refused(needs(stem__weight=(4,), head__weight=(2,)), theirs, *RULES) == [
        ("1 of 2 weights are not in the file: fc.weight", "the file has 'fcl.weight' and no 'fc.weight'"),
        ("1 weights of the file are not used: fcl.weight", "`spdbuild weights import --partial` takes only what fits"),
    ]


def test_a_shape_that_does_not_agree_is_told_with_both_shapes() -> None:
    told = refused(needs(head__weight=(10, 8)), {"fc.weight": torch.ones(1000, 8)}, *RULES)
    assert told == [("'head.weight' ('fc.weight') needs 10x8, has 1000x8", "")]


def test_partial_takes_what_fits_and_reports_the_rest() -> None:
    theirs = {"conv1.weight": torch.ones(4), "fc.weight": torch.ones(3), "extra": torch.ones(5)}
    state, matching = match(needs(stem__weight=(4,), head__weight=(2,), neck=(1,)), theirs, RULES)
    assert list(state) == ["stem.weight"]
    assert [(entry.name, entry.status, entry.shape, entry.their_shape) for entry in matching.entries] == [
        ("stem.weight", "loaded", (4,), (4,)),
        ("head.weight", "mismatch", (2,), (3,)),
        ("neck", "missing", (1,), None),
        (None, "unused", None, (5,)),
    ]


def test_floating_types_are_cast_and_the_report_says_so() -> None:
    state, matching = match(needs(a=(2,)), {"a": torch.tensor([1.5, -2.0], dtype=torch.float16)})
    assert state["a"].dtype == torch.float32
    assert state["a"].tolist() == [1.5, -2.0]
    assert (matching.entries[0].status, matching.entries[0].note) == ("cast", "float16 -> float32")


def test_whole_numbers_do_not_become_weights() -> None:
    assert refused(needs(a=(2,)), {"a": torch.ones(2, dtype=torch.int8)}) == [("'a' needs float32, has int8", "")]


def test_a_strided_stem_is_taken_by_space_to_depth_and_back() -> None:
    weight = torch.randn(16, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    deep, matching = match(needs(stem=(16, 12, 3, 3)), {"stem": weight})
    assert (matching.entries[0].status, matching.entries[0].note) == (
        "permuted",
        "stride 2 -> space_to_depth(2) and its kernel; float64 -> float32",
    )
    # REFERENCE 2.4: W[o, c, 2a+dy, 2b+dx] = w[o, (2*dx+dy)*C + c, a, b].
    assert deep["stem"][5, (2 * 1 + 0) * 3 + 2, 1, 2] == weight[5, 2, 2 * 1 + 0, 2 * 2 + 1].float()
    back, matching = match(needs(stem=(16, 3, 6, 6)), deep)
    assert matching.entries[0].note == "space_to_depth(2) and its kernel -> stride 2"
    assert torch.equal(back["stem"], weight.float())


def test_a_weight_behind_another_order_is_permuted() -> None:
    reordering = Reordering("column_row_channel", "channel_row_column")
    theirs = {"a": torch.tensor([0.0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11]).reshape(1, 12, 1, 1)}
    state, matching = match(needs(a=(1, 12, 1, 1)), theirs, reorderings={"a": reordering})
    # REFERENCE 2.1: pixel_unshuffle[:, k] = ref[:, inv[k]] with inv = 0 6 3 9 1 7 4 10 2 8 5 11.
    expected = theirs["a"].flatten()[[0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11]]
    assert state["a"].flatten().tolist() == expected.tolist()
    assert matching.entries[0].note == "column_row_channel -> channel_row_column"


@pytest.mark.parametrize(("ours", "theirs"), [((8,), (8, 1, 1)), ((8, 4), (8, 4, 1, 1)), ((8, 1, 1), (8,))])
def test_sizes_of_one_may_be_written_or_not(ours: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    state, matching = match(
        needs(scale=ours), {"scale": torch.arange(float(torch.Size(theirs).numel())).reshape(theirs)}
    )
    assert state["scale"].shape == ours
    assert state["scale"].flatten()[-1] == torch.Size(theirs).numel() - 1
    assert matching.entries[0].status == "permuted"


def test_counters_that_old_files_do_not_have_are_zero() -> None:
    target = needs(norm__weight=(4,)) | {"norm.num_batches_tracked": TensorInfo((), "int64", 8)}
    state, matching = match(target, {"norm.weight": torch.ones(4)})
    assert state["norm.num_batches_tracked"].item() == 0
    assert state["norm.num_batches_tracked"].dtype == torch.int64
    assert matching.counts["initial"] == 1
    assert matching.fits


def test_a_table_that_leads_two_weights_to_one_name_is_refused() -> None:
    with pytest.raises(WeightsError, match="gives 'a.x' and 'b.x' the same name 'c.x'"):
        match(needs(a__x=(1,), b__x=(1,)), {"c.x": torch.ones(1)}, compile_rules({"a": "c", "b": "c"}))


TABLES = {"one": {"stem": "conv1", "head": "fc"}, "two": {"stem": "features.0", "head": "classifier"}}
TARGET = needs(stem__weight=(1,), head__weight=(1,))


@pytest.mark.parametrize(
    ("names", "table", "prefix"),
    [
        (["stem.weight", "head.weight"], "", ""),
        (["conv1.weight", "fc.weight"], "one", ""),
        (["features.0.weight", "classifier.weight"], "two", ""),
        (["module.conv1.weight", "module.fc.weight"], "one", "module."),
        (["module.model.stem.weight", "module.model.head.weight"], "", "module.model."),
        (["_orig_mod.features.0.weight", "_orig_mod.classifier.weight"], "two", "_orig_mod."),
        (["backbone.conv1.weight", "backbone.fc.weight"], "one", "backbone."),
        (["student.net.stem.weight", "student.net.head.weight"], "", "student.net."),
    ],
)
def test_the_table_and_the_prefix_that_find_most_are_taken(names: list[str], table: str, prefix: str) -> None:
    state, matching = match_any(TARGET, {name: torch.ones(1) for name in names}, TABLES)
    assert (matching.table, matching.prefix) == (table, prefix)
    assert list(state) == list(TARGET)


def test_a_part_of_a_larger_network_is_found_behind_the_prefix_that_most_names_have() -> None:
    names = ["encoder.conv1.weight", "encoder.fc.weight", "fc.weight"]
    theirs = {name: torch.full((1,), float(number)) for number, name in enumerate(names)}
    state, matching = match_any(TARGET, theirs, TABLES)
    assert {name: tensor.item() for name, tensor in state.items()} == {"stem.weight": 0, "head.weight": 1}
    assert (matching.table, matching.prefix) == ("one", "encoder.")
    assert [(entry.theirs, entry.status) for entry in matching.entries] == [
        ("encoder.conv1.weight", "loaded"),
        ("encoder.fc.weight", "loaded"),
        ("fc.weight", "unused"),
    ]
    assert [problem.message for problem in misfits(matching)] == ["1 weights of the file are not used: fc.weight"]


def networks(**sides: Sequence[str]) -> dict[str, torch.Tensor]:
    """A file of networks side by side, with the names that each has; 1 stands for the first, 2 for the second, ..."""
    named = {"" if side == "bare" else f"{side}.": names for side, names in sides.items()}
    numbered = enumerate(named.items(), start=1)
    return {f"{prefix}{name}": torch.full((1,), float(n)) for n, (prefix, names) in numbered for name in names}


THREE = needs(stem=(1,), deep=(1,), head=(1,))
WHOLE = list(THREE)


@pytest.mark.parametrize(
    ("theirs", "prefixes"),
    [
        (networks(teacher=WHOLE, student=WHOLE), "'student.', 'teacher.'"),
        (networks(online=WHOLE, target=[*WHOLE, "predictor"]), "'online.', 'target.'"),
        (networks(bare=["stem", "deep"], teacher=WHOLE), "'', 'teacher.'"),
        (networks(bare=WHOLE, teacher=[*WHOLE, "a", "b", "c"]), "'', 'teacher.'"),
    ],
    ids=["equal", "an extra tensor", "one without its head", "a bare one"],
)
def test_of_networks_side_by_side_none_is_chosen(theirs: dict[str, torch.Tensor], prefixes: str) -> None:
    with pytest.raises(WeightsError) as caught:
        match_any(THREE, theirs, TABLES)
    ((message, hint),) = messages(caught.value)
    assert message == f"the file holds several networks that fit, under the prefixes {prefixes}"
    assert hint.startswith("choose one: --prefix ")


@pytest.mark.parametrize(("prefix", "value"), [("online.", 1), ("online", 1), ("target.", 2), ("", 3)])
def test_a_prefix_chooses_one_of_them(prefix: str, value: float) -> None:
    theirs = networks(online=WHOLE, target=WHOLE, bare=WHOLE)
    state, matching = match_any(THREE, theirs, {}, prefix=prefix)
    assert {tensor.item() for tensor in state.values()} == {value}
    assert (matching.counts["loaded"], matching.counts["unused"]) == (3, 0 if prefix else 6)


def test_a_prefix_that_no_name_has_is_told() -> None:
    with pytest.raises(WeightsError) as caught:
        match_any(THREE, networks(online=WHOLE), {}, prefix="onlin")
    assert messages(caught.value) == [
        ("no weight is behind 'onlin.'", "the file has online.stem, online.deep, online.head")
    ]


def test_a_network_that_cannot_fit_is_no_choice() -> None:
    """As a larger teacher beside a student, with the same names and other sizes."""
    theirs = networks(student=WHOLE) | {f"teacher.{name}": torch.ones(2 if name == "deep" else 1) for name in WHOLE}
    _, matching = match_any(THREE, theirs, {})
    assert matching.prefix == "student."


def test_the_rest_of_a_network_of_which_a_part_is_asked_for_is_no_other() -> None:
    whole = needs(conv=(1,), block__conv=(1,), head=(1,))
    theirs = {"conv": torch.zeros(1), "block.conv": torch.ones(1), "head": torch.ones(5)}
    state, matching = match_any(needs(conv=(1,)), theirs, {}, whole=whole)
    assert (matching.prefix, state["conv"].item(), matching.counts["unused"]) == ("", 0, 2)


class Counted(dict[str, int]):
    """Weights of a file that count how often they are gone through."""

    passes = 0

    def items(self) -> Any:
        self.passes += 1
        return super().items()

    def __iter__(self) -> Iterator[str]:
        self.passes += 1
        return super().__iter__()


def test_the_names_of_a_file_are_gone_through_once_however_many_prefixes_they_have() -> None:
    names = [f"stage{number % 7}.block{number}.conv.weight" for number in range(200)]
    theirs = Counted({f"backbone.{name}": 9 for name in names})
    assert choose_reading({"": dict.fromkeys(names, 9)}, theirs) == ("", "backbone.")
    assert theirs.passes == 1


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (["n_averaged", "module.w"], {"n_averaged"}),
        (["module.n_averaged", "module.module.w"], {"module.n_averaged"}),
        (["model.w", "ema.n_averaged", "ema.module.w"], {"ema.n_averaged"}),
        (["n_averaged", "w"], set()),
        (["n_averaged", "module.w", "w"], set()),
        (["n_averaged"], set()),
    ],
)
def test_the_counts_of_averaged_weights_are_none_of_them(names: list[str], counts: set[str]) -> None:
    assert averaging_counts(names) == counts
    found = [name for name in names if name.endswith(".w")][:1]
    if counts and found:
        state, matching = match_any(needs(w=(1,)), {name: torch.ones(1) for name in names}, {}, prefix=found[0][:-1])
        assert (list(state), matching.counts["unused"]) == (["w"], 0)


OWN_BACKBONE = needs(backbone__stem=(1,), backbone__deep=(1,), head=(1,))


@pytest.mark.parametrize(
    ("names", "prefix", "found"),
    [
        (["backbone.stem", "backbone.deep", "head"], "", 3),
        (["backbone.stem", "backbone.deep"], "", 2),
        (["backbone.stem", "backbone.deep", "backbone.wide", "stem"], "", 2),
        (["backbone.backbone.stem", "backbone.backbone.deep", "backbone.head", "neck"], "backbone.", 3),
    ],
    ids=["whole", "backbone alone", "beside a stem", "as the backbone of another"],
)
def test_a_backbone_of_our_own_is_no_prefix(names: list[str], prefix: str, found: int) -> None:
    _, matching = match_any(OWN_BACKBONE, {name: torch.ones(1) for name in names}, {})
    assert (matching.prefix, matching.counts["loaded"]) == (prefix, found)


def test_names_that_both_readings_find_are_our_own() -> None:
    target = needs(backbone__stem=(1,), stem=(1,))
    _, matching = match_any(target, {"backbone.stem": torch.ones(1)}, {})
    assert (matching.prefix, matching.entries[0].status, matching.entries[1].status) == ("", "loaded", "missing")


def test_prefixes_of_hostile_names_end() -> None:
    deep = {("a." * 2000 + str(number)): torch.ones(1) for number in range(50)}
    _, matching = match_any(TARGET, deep, TABLES)
    assert (matching.prefix, matching.counts["unused"]) == ("", 50)


def test_partial_is_not_advised_where_nothing_fits() -> None:
    target = needs(stem__weight=(4,)) | {"norm.num_batches_tracked": TensorInfo((), "int64", 8)}
    assert refused(target, {"other": torch.ones(4), "norm.num_batches_tracked": torch.tensor(3)}) == [
        ("1 of 2 weights are not in the file: stem.weight", ""),
        ("1 weights of the file are not used: other", ""),
    ]


def test_a_prefix_that_belongs_to_the_names_stays() -> None:
    tables = {"yolo": {"stem": "model.0", "head": "model.1"}}
    _, matching = match_any(TARGET, {"model.0.weight": torch.ones(1), "model.1.weight": torch.ones(1)}, tables)
    assert (matching.table, matching.prefix) == ("yolo", "")


def test_a_named_table_is_the_only_one_tried() -> None:
    _, matching = match_any(TARGET, {"conv1.weight": torch.ones(1), "fc.weight": torch.ones(1)}, TABLES, table="two")
    first = next(misfits(matching)).message
    assert first == "2 of 2 weights are not in the file: features.0.weight, classifier.weight"


def test_a_table_that_is_not_there_is_told() -> None:
    with pytest.raises(UnknownNameError, match="there is no rename table 'tow'") as caught:
        match_any(TARGET, {}, TABLES, table="tow")
    assert caught.value.problems[0].hint == "did you mean 'two'?"


def test_the_report_is_data() -> None:
    _, matching = match(needs(a=(2,), b=(1,)), {"a": torch.ones(2)})
    data = matching.to_dict()
    assert data["counts"] == {
        "loaded": 1,
        "cast": 0,
        "permuted": 0,
        "initial": 0,
        "mismatch": 0,
        "missing": 1,
        "unused": 0,
    }
    assert data["tensors"][0] == {
        "name": "a",
        "theirs": "a",
        "status": "loaded",
        "shape": [2],
        "their_shape": [2],
        "note": "",
    }
