"""Detectors that suppress overlapping boxes themselves, compared with what the project does behind a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from torch.export import Dim
from torchvision.ops import nms

import spdbuild
from spdbuild.cli import spdbuild as cli
from spdbuild.errors import ArgumentError, RunError
from spdbuild.exporting import suppression
from spdbuild.exporting.formats import FORMATS, Axes
from spdbuild.exporting.suppression import SUPPRESSED, Suppressing, Suppression, nms_options
from spdbuild.exporting.suppression_parity import crowded, require_own_boxes
from spdbuild.metrics.nms import DisplayNmsOptions, NmsOptions, select_detections
from spdbuild.training.recipe import load_recipe
from spdbuild.training.trained.stored_graph import StoredGraph

Run = Callable[[Path, Tensor], list[Tensor]]


def run_onnx(file: Path, given: Tensor) -> list[Tensor]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert tuple(output.name for output in session.get_outputs()) == SUPPRESSED
    (image,) = session.get_inputs()
    return list(map(torch.from_numpy, session.run(None, {image.name: given.numpy()})))


def run_pt2(file: Path, given: Tensor) -> list[Tensor]:
    return list(torch.export.load(file).module()(given))


FILES = pytest.mark.parametrize(("suffix", "run"), [(".onnx", run_onnx), (".pt2", run_pt2)], ids=["onnx", "pt2"])


def check(found: list[Tensor] | tuple[Tensor, ...], expected: list[Tensor], tolerance: float = 0) -> None:
    """The outputs of a file against the detections [D, 6] of each image."""
    counts, boxes, scores, labels = found
    assert counts.tolist() == list(map(len, expected))
    for image, rows in enumerate(expected):
        count = len(rows)
        torch.testing.assert_close(boxes[image, :count], rows[:, :4], rtol=tolerance, atol=10 * tolerance)
        torch.testing.assert_close(scores[image, :count], rows[:, 4], rtol=tolerance, atol=10 * tolerance)
        assert labels[image, :count].tolist() == rows[:, 5].tolist()
        assert not boxes[image, count:].any()
        assert not scores[image, count:].any()
        assert (labels[image, count:] == -1).all()


def decoded_images(seed: int, images: int, rows: int, options: NmsOptions, equal: bool) -> Tensor:
    """Decoded boxes [images, rows, 9]: of the last two images, one has no box that counts, and one has a single one.

    equal: whether many scores are equal.
    """
    decoded = crowded((images, rows, 9), options, seed)
    if equal:
        decoded[..., 5:] = decoded[..., 5:].mul(5).round() / 5
    if images > 2:
        decoded[-2, :, 4] = 0
        decoded[-1, 1:, 4] = 0
        decoded[-1, 0, 4:] = torch.tensor([1, 0.9, 0, 0, 0])
    return decoded


OPTIONS = {
    "shown": DisplayNmsOptions(),
    "judged": NmsOptions(),
    "class-agnostic": DisplayNmsOptions(class_agnostic=True, max_iou=0.2),
    "few places": DisplayNmsOptions(max_detections=7),
    "few candidates": NmsOptions(max_candidates=50),
    "more places than boxes": DisplayNmsOptions(max_detections=5000),
}


@pytest.mark.parametrize("loop", [False, True], ids=["unrolled", "loop"])
@pytest.mark.parametrize("equal", [False, True], ids=["distinct", "equal"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_boxes_that_are_kept_are_those_of_the_project(options: NmsOptions, equal: bool, loop: bool) -> None:
    for seed in range(4):
        decoded = decoded_images(seed, 3, 900, options, equal)
        expected = select_detections(decoded, options)
        assert len(expected[0]) > 5
        assert list(map(len, expected[1:])) == [0, 1]
        check(Suppression(options, loop)(decoded), expected)


@FILES
@pytest.mark.filterwarnings("ignore:`create_unbacked_symint` is deprecated:FutureWarning")
def test_a_file_for_any_number_of_images_and_boxes_keeps_the_same(tmp_path: Path, suffix: str, run: Run) -> None:
    options = NmsOptions(min_score=0.1, max_detections=30)
    free = {0: "batch", 1: "rows"}
    lengths = {axis: Dim(name, min=1) for axis, name in free.items()}
    example = crowded((2, 50, 9), options)
    program = torch.export.export(Suppression(options, loop=True), (example,), dynamic_shapes=(lengths,))
    FORMATS[suffix[1:]]().write(program, tmp_path / f"a{suffix}", Axes(("decoded",), SUPPRESSED, free), {})
    for seed, (images, rows) in enumerate(((1, 400), (4, 50), (3, 700), (1, 1))):
        decoded = decoded_images(seed, images, rows, options, equal=seed > 1)
        expected = select_detections(decoded, options)
        assert seed != 0 or len(expected[0]) == 30
        check(run(tmp_path / f"a{suffix}", decoded), expected)


@FILES
@pytest.mark.parametrize("free", [False, True], ids=["fixed", "any batch and size"])
def test_a_file_keeps_what_is_kept_behind_the_network(
    networks: Path, tmp_path: Path, suffix: str, run: Run, free: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"min_score": 0.0, "max_iou": 0.3, "max_detections": 20}
    arguments = (networks / "finder.yaml", tmp_path / f"a{suffix}", networks / "finder.st")
    exported = spdbuild.export(*arguments, batch=None if free else 2, any_size=free, nms=options)
    assert exported.outputs == {"num_detections": (), "boxes": (20, 4), "scores": (20,), "labels": (20,)}
    model = spdbuild.build(networks / "finder.yaml", networks / "finder.st").eval()
    generator = torch.Generator().manual_seed(3)
    for batch, height, width in ((1, 32, 64), (3, 48, 32)) if free else ((2, 32, 32),):
        images = torch.rand(batch, 3, height, width, generator=generator)
        expected = select_detections(model.boxes.decode(model(images)), DisplayNmsOptions(**options))
        assert all(map(len, expected))
        check(run(exported.file, images), expected, tolerance=1e-5)
    # Neither of what torch writes nor of what ONNX Runtime reads.
    assert capfd.readouterr().err == ""
    assert b"pkg.torch" not in exported.file.read_bytes()


def test_a_file_in_half_precision_keeps_what_is_kept_of_its_boxes(networks: Path, tmp_path: Path) -> None:
    arguments = (networks / "finder.yaml", tmp_path / "a.pt2", networks / "finder.st")
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    decoded = torch.export.load(spdbuild.export(*arguments, precision="fp16").file).module()(images)
    exported = spdbuild.export(*arguments, precision="fp16", nms={"min_score": 0.0})
    assert exported.card["precision"] == "fp16"
    check(run_pt2(exported.file, images), select_detections(decoded, DisplayNmsOptions(min_score=0.0)))


def test_the_command_says_what_is_kept_and_the_file_does(networks: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.pt2"
    arguments = [networks / "finder.yaml", "--weights", networks / "finder.st", "-o", file, "--dynamic", "--nms"]
    changes = ["--min-score", "0.1", "--max-iou", "0.4", "--max-detections", "9", "--class-agnostic"]
    result = CliRunner().invoke(cli, ["export", *map(str, arguments), *changes])
    assert result.exit_code == 0, result.output
    assert "-> num_detections [N], boxes [N, 9, 4], scores [N, 9], labels [N, 9]" in result.stdout
    files = {"spdbuild.json": ""}
    torch.export.load(file, extra_files=files)
    told = json.loads(files["spdbuild.json"])
    assert told["nms"] == asdict(DisplayNmsOptions(0.1, 0.4, class_agnostic=True, max_detections=9))
    assert list(told["outputs"]) == list(SUPPRESSED)


def test_options_are_refused_without_suppression() -> None:
    result = CliRunner().invoke(cli, ["export", "yolov5", "--class-agnostic"])
    assert result.exit_code == 2
    assert "--class-agnostic needs --nms" in result.output


def test_what_is_not_given_is_as_the_run_predicts(networks: Path) -> None:
    recipe = load_recipe("tiny_objects", ["task.seeing.nms.min_score=0.07", "task.seeing.nms.max_iou=0.2"])
    run = StoredGraph(spdbuild.load(networks / "finder.yaml").graph, recipe=recipe)
    assert nms_options(run, raw=False, nms=True) == DisplayNmsOptions(0.07, 0.2)
    assert nms_options(run, raw=False, nms={"max_iou": 1}) == DisplayNmsOptions(0.07, 1.0)
    assert nms_options(run, raw=False, nms=False) is None


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "raw maps": ({"raw": True, "nms": True}, "raw maps are not decoded, so there are no boxes to suppress"),
    "another option": ({"nms": {"min_scor": 0.1}}, "nms has no option 'min_scor'"),
    "another value": ({"nms": {"max_iou": 2}}, "max_iou must be between 0 and 1, got 2"),
    "another kind": ({"nms": {"max_detections": 2.5}}, "max_detections must be a whole number, got 2.5"),
    "a text": ({"nms": {"class_agnostic": "no"}}, "class_agnostic must be true or false, got 'no'"),
    "no options": ({"nms": 0.25}, "nms must be true, false, or options by name, got 0.25"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_boxes_or_no_such_options_is_refused(
    networks: Path, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        spdbuild.export(networks / "finder.yaml", tmp_path / "a.pt2", networks / "finder.st", **arguments)
    assert not any(tmp_path.iterdir())


WRONG: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Any]] = {
    "other labels": lambda counts, boxes, scores, labels: (counts, boxes, scores, (labels + 1) % 4),
    "moved boxes": lambda counts, boxes, scores, labels: (counts, boxes + 1, scores, labels),
    "images in another order": lambda *outputs: [output.flip(0) for output in outputs],
    "none": lambda counts, boxes, scores, labels: (counts * 0, boxes, scores, labels),
    "not the best": lambda counts, *outputs: (counts - 1, *(output.roll(-1, 1) for output in outputs)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_other_boxes_than_a_file_decodes_are_found(wrong: Callable[..., Any]) -> None:
    options = DisplayNmsOptions(max_detections=50)
    decoded = crowded((2, 300, 9), options)
    found = Suppression(options, loop=False)(decoded)
    near = decoded * (1 + 1e-5 * torch.rand(decoded.shape, generator=torch.Generator().manual_seed(0)))
    require_own_boxes(found, near, options, 1e-4, "a.onnx")
    with pytest.raises(RunError, match=r"a\.onnx was not written: it keeps other boxes than it decodes"):
        require_own_boxes(wrong(*found), near, options, 1e-4, "a.onnx")


def test_scores_that_only_rounding_lets_count_are_no_difference() -> None:
    options = DisplayNmsOptions()
    decoded = torch.tensor([[[20.0, 20, 8, 8, 0.5, 0.5]]])
    for factor in (1 + 1e-6, 1 - 1e-6):
        found = Suppression(options, loop=False)(decoded * factor)
        assert found[0].item() == (factor > 1)
        for other in (1 + 1e-6, 1 - 1e-6):
            require_own_boxes(found, decoded * other, options, 1e-4, "a.onnx")


def test_a_file_with_other_boxes_than_the_network_is_not_written(
    networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Suppressing.forward
    monkeypatch.setattr(Suppressing, "forward", lambda self, images: forward(self, images.flip(3)))
    arguments = (networks / "finder.yaml", tmp_path / "a.pt2", networks / "finder.st")
    with pytest.raises(RunError, match=r"a\.pt2 was not written: it keeps other boxes than it decodes"):
        spdbuild.export(*arguments, nms={"min_score": 0.0, "max_detections": 4})
    assert not any(tmp_path.iterdir())


def test_a_file_that_keeps_other_boxes_is_not_written(
    networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As of a format whose op takes the limit for another.
    monkeypatch.setattr(suppression, "nms", lambda boxes, scores, max_iou: nms(boxes, scores, 1 - max_iou))
    arguments = (networks / "finder.yaml", tmp_path / "a.pt2", networks / "finder.st")
    with pytest.raises(RunError, match="of overlapping boxes it keeps others than spdbuild does"):
        spdbuild.export(*arguments, nms=True)
    assert not any(tmp_path.iterdir())
