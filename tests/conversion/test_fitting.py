"""Budgets on networks whose counts are known."""

from __future__ import annotations

import shlex
from itertools import product

import pytest
from click.testing import CliRunner

import spdbuild
from spdbuild.cli import spdbuild as command
from spdbuild.conversion import latency
from spdbuild.conversion.budget import meter_of
from spdbuild.conversion.choices import choices
from spdbuild.conversion.fitting import Fit, fit_budget
from spdbuild.conversion.taps import taps_of
from spdbuild.declaring.arguments import arguments_of
from spdbuild.errors import ArgumentError, InputError
from spdbuild.graph import Graph
from spdbuild.passes import run_passes
from spdbuild.passes.strided_to_spd import StridedToSpd, is_strided

#: MACs and parameters of the strided networks, REFERENCE and torchvision.
KNOWN = {
    ("yolov5", "n"): (2_234_060_800, 1_872_157),
    ("yolov5", "s"): (8_216_780_800, 7_235_389),
    ("resnet18", None): (1_814_073_344, 11_689_512),
}
#: One strided layer after another, with room for everything to be tried: 3x3 kernels hold 4 of 9 taps in one block.
CHAIN = """\
model: chain
inputs: {image: [3, 32, 32]}
layers:
  - one: conv2d(4, 3, stride=2)
  - two: conv2d(8, 5, stride=2)
  - three: conv2d(16, 3, stride=2)
  - four: conv2d(8, 7, stride=2)
"""
#: A convolution of many channels that a convolution to few channels reads: placement "after" needs fewer parameters.
WIDE = """\
model: wide
inputs: {image: [64, 8, 8]}
layers:
  - wide: conv2d(64, 3, stride=2)
  - narrow: conv2d(1)
"""


def converted(fit: Fit) -> Graph:
    return spdbuild.convert(fit.architecture, **arguments_of(fit.step))[1].after


def held(graph: Graph) -> float:
    """Share of the taps of the chain that the converted chain holds, each layer alike."""
    taps = (taps_of(node.op) for node in graph.layers)
    whole = {3: 9, 5: 25, 7: 49}
    return sum(t.used / whole[n.op.kernel] for t, n in zip(taps, graph.layers, strict=True) if t is not None)


@pytest.mark.parametrize(("name", "variant"), KNOWN)
def test_matched_networks_cost_no_more_and_have_no_stride_left(name: str, variant: str | None) -> None:
    macs, parameters = KNOWN[name, variant]
    architecture = spdbuild.load(name, variant=variant)
    assert (architecture.graph.macs, architecture.graph.parameters) == (macs, parameters)
    fit = fit_budget(architecture, ["macs=1.0x", "params=1.0x"], strict=True)
    graph = converted(fit)
    assert graph.macs <= macs
    assert graph.parameters <= parameters
    assert not any(is_strided(node.op) for node in graph)
    assert [spending.converted for spending in fit.spendings] == [graph.macs, graph.parameters]


def test_yolov5n_keeps_all_taps_of_four_layers_at_its_own_cost() -> None:
    fit = fit_budget(spdbuild.load("yolov5", variant="n"), ["macs=1.0x", "params=1.0x"])
    assert fit.step == StridedToSpd(kernels=("backbone.down3=1", "backbone.down4=1", "backbone.down5=1"))
    assert [spending.converted for spending in fit.spendings] == [2_220_953_600, 1_804_061]


@pytest.mark.parametrize("factor", [0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.6])
def test_no_choice_of_kernels_holds_more_taps_within_the_budget(factor: float) -> None:
    graph = spdbuild.load(CHAIN).graph
    fit = fit_budget(spdbuild.load(CHAIN), [f"macs={factor}x"], before="*")
    best = converted(fit)
    every = [
        run_passes(graph, [StridedToSpd(kernels=tuple(f"{n.name}={k}" for n, k in zip(graph.layers, ks, strict=True)))])
        for ks in product([1, 2], [1, 2, 3], [1, 2], [1, 2, 3, 4])
    ]
    assert best.macs <= factor * graph.macs
    assert held(best) == pytest.approx(max(held(other) for other, _ in every if other.macs <= factor * graph.macs))


def test_with_a_larger_kernel_asked_for_room_that_is_left_goes_into_windows() -> None:
    architecture = spdbuild.load(CHAIN)
    assert fit_budget(architecture, ["macs=9x"]).step.kernel == "exact"
    assert fit_budget(architecture, ["macs=9x"], "paper").step.kernel == "same"
    assert fit_budget(architecture, ["macs=9x"], kernel=1).step.kernel == 1


def test_placement_after_is_taken_where_it_alone_keeps_the_taps() -> None:
    # before: 64*64*4 parameters a block, 4 blocks exact: 65,536 + 64; after: 64*64*9 + 4*64 = 37,120.
    fit = fit_budget(spdbuild.load(WIDE), ["params=37120"])
    assert fit.step == StridedToSpd(placement="after")
    assert converted(fit).parameters == 37_120
    assert fit_budget(spdbuild.load(WIDE), ["params=65600"]).step == StridedToSpd()


def test_a_layer_named_in_before_is_not_placed_after() -> None:
    fit = fit_budget(spdbuild.load(WIDE), ["params=37120"], before="wide")
    assert fit.step.kernel == 1


@pytest.mark.parametrize(
    ("name", "budgets", "message"),
    [
        # Projections of 1x1 at stride 2 see four times the channels, whatever the kernel.
        (
            "resnet50",
            ["macs=1.0x"],
            "at most 4,089,184,256 MACs, the least is 4,764,352,512 MACs (1.166x)",
        ),
        # 11,689,512 + 768 - 9,408 of the stem + 64*64*4 of the pool + (2 * 4 - 9 - 1) * 172,032 of the other three.
        ("resnet18", ["params=1M", "macs=2x"], "at most 1,000,000 parameters, the least is 11,353,192 parameters"),
    ],
)
def test_what_no_conversion_can_cost_is_refused_with_the_least(name: str, budgets: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        fit_budget(spdbuild.load(name), budgets)
    assert f"no conversion stays within the budget: {message}" in str(caught.value)


def test_a_network_without_a_layer_to_convert_may_already_cost_too_much() -> None:
    stride_free, _ = spdbuild.convert(CHAIN)
    assert fit_budget(stride_free, ["macs=1x"]).options == ""
    with pytest.raises(InputError, match="no conversion stays within the budget"):
        fit_budget(stride_free, ["macs=0.9x"])


def test_the_least_is_what_kernels_of_one_block_cost() -> None:
    graph = spdbuild.load("resnet50").graph
    least, _ = run_passes(graph, [StridedToSpd(kernel=1)])
    assert least.macs == 4_764_352_512
    fit = fit_budget(spdbuild.load("resnet50"), ["macs=1.166x"])
    assert fit.spendings[0].converted == least.macs


def test_limits_that_only_fit_one_by_one_say_so() -> None:
    # A 1x1 kernel: "before" has 64*64*4 + 64 parameters and 16 MACs for each; "after" 64*64 + 4*64, and more MACs.
    pointwise = spdbuild.load(WIDE.replace("3, stride", "1, stride"))
    assert fit_budget(pointwise, ["macs=263168"]).step.placement == "before"
    assert fit_budget(pointwise, ["params=4352"]).step.placement == "after"
    with pytest.raises(InputError, match="no conversion stays within the budget of all limits together"):
        fit_budget(pointwise, ["macs=263168", "params=4352"])


def test_layers_stay_strided_only_where_that_is_allowed_and_needed() -> None:
    architecture = spdbuild.load("resnet50")
    fit = fit_budget(architecture, ["macs=1.0x"], may_keep=True)
    assert fit.step.keep == ("stage2.first.skip", "stage3.first.skip", "stage4.first.skip")
    assert converted(fit).macs == 4_070_719_488
    assert fit_budget(architecture, ["macs=1.2x"], may_keep=True).step.keep == ()


def test_the_width_shrinks_and_the_kernels_stay() -> None:
    architecture = spdbuild.load("yolov5", variant="s")
    fit = fit_budget(architecture, ["macs=1.0x", "params=1.0x"], width="width_multiple")
    assert fit.step == StridedToSpd()
    assert fit.architecture.vars == {"width_multiple": 0.43}
    assert converted(fit).macs <= KNOWN["yolov5", "s"][0]
    wider = spdbuild.load("yolov5", variant="s", vars={"width_multiple": 0.44})
    assert run_passes(wider.graph, [StridedToSpd()])[0].macs > KNOWN["yolov5", "s"][0]


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2])
def test_the_width_is_the_greatest_that_fits(factor: float) -> None:
    text = (
        "model: m\ninputs: {image: [3, 8, 8]}\nvars: {width: 16}\nlayers:\n"
        "  - one: conv2d(width, 3, stride=2)\n  - two: conv2d(width, 3, stride=2)\n"
    )

    def parameters(width: int) -> int:
        return spdbuild.convert(spdbuild.load(text, vars={"width": width}))[1].after.parameters

    architecture = spdbuild.load(text)
    found = fit_budget(architecture, [f"params={factor}x"], width="width").architecture.vars
    limit = factor * architecture.graph.parameters
    assert found == {"width": max(width for width in range(1, 17) if parameters(width) <= limit)}


def test_only_one_of_the_layers_that_share_a_reader_may_be_placed_after() -> None:
    lines = "  - a: conv2d(8, 3, stride=2)\n  - b: conv2d(8, 3, stride=2) <- image\n  - concat() <- a, b\n"
    text = f"model: m\ninputs: {{image: [3, 8, 8]}}\nlayers:\n{lines}  - narrow: conv2d(1)\n"
    found = choices(spdbuild.load(text).graph, StridedToSpd(), [meter_of("macs")])
    assert [{option.item.placement for option in options} for options in found] == [{"before", "after"}, {"before"}]


def test_a_width_that_fits_as_it_is_stays() -> None:
    architecture = spdbuild.load("yolov5", variant="n")
    assert fit_budget(architecture, ["macs=2x"], width="width_multiple").architecture is architecture


@pytest.mark.parametrize("budget", ["macs=1.0x", "params=1.1x"])
@pytest.mark.parametrize("width", ["", "width_multiple"])
def test_the_printed_options_give_the_same_file(budget: str, width: str) -> None:
    fit = fit_budget(spdbuild.load("yolov5", variant="n"), [budget], width=width)
    words = ["convert", "yolov5", "--variant", "n", *shlex.split(fit.options)]
    expected, _ = spdbuild.convert(fit.architecture, **arguments_of(fit.step))
    assert CliRunner().invoke(command, words).stdout == expected.text


def test_without_a_budget_there_is_nothing_to_fit() -> None:
    with pytest.raises(InputError, match="there is no budget"):
        fit_budget(spdbuild.load(CHAIN), [])


def test_latency_is_added_up_from_layers_and_measured_on_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that counts MACs the choice is that of the MACs."""
    monkeypatch.setattr(latency.LayerTimer, "__call__", lambda timer, node: 1e-9 * node.macs)
    monkeypatch.setattr(latency, "network_seconds", lambda graphs: [1e-9 * graph.macs for graph in graphs])
    timed, counted = (fit_budget(spdbuild.load(CHAIN), [f"{quantity}=1.0x"]) for quantity in ("latency", "macs"))
    assert timed.step == counted.step
    assert timed.spendings[0].estimate == pytest.approx(timed.spendings[0].converted)


def test_layers_and_networks_are_timed_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "LAYER_SECONDS", 0.0)
    monkeypatch.setattr(latency, "NETWORK_SECONDS", 0.0)
    fit = fit_budget(spdbuild.load(CHAIN), ["latency=100s"])
    assert fit.step == StridedToSpd()
    assert fit.spendings[0].fits
    assert min(fit.spendings[0].strided, fit.spendings[0].converted) > 0


def test_budgets_are_one_text_or_several() -> None:
    one, several = (fit_budget("resnet18", budgets) for budgets in ("macs=1.2x", ["macs=1.2x"]))
    assert one.options == several.options
    with pytest.raises(ArgumentError, match="budgets must be texts, got 3"):
        fit_budget("resnet18", 3)  # type: ignore[arg-type]
