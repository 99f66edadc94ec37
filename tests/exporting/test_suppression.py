"""Detectors that suppress overlapping boxes themselves, compared with what the project does behind a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from torchvision.ops import nms

import spdbuild
from spdbuild.cli import spdbuild as cli
from spdbuild.errors import ArgumentError, RunError
from spdbuild.exporting import suppression
from spdbuild.exporting.suppression import SUPPRESSED, Suppressing, Suppression, crowded
from spdbuild.metrics.nms import DisplayNmsOptions, NmsOptions, select_detections

Run = Callable[[Path, Tensor], list[Tensor]]


def run_onnx(file: Path, images: Tensor) -> list[Tensor]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert tuple(output.name for output in session.get_outputs()) == SUPPRESSED
    return list(map(torch.from_numpy, session.run(None, {"image": images.numpy()})))


def run_pt2(file: Path, images: Tensor) -> list[Tensor]:
    return list(torch.export.load(file).module()(images))


def check(found: list[Tensor] | tuple[Tensor, ...], expected: list[Tensor], exact: bool = True) -> None:
    """The outputs of a file against the detections [D, 6] of each image."""
    tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-5, "atol": 1e-4}
    counts, boxes, scores, labels = found
    assert counts.tolist() == list(map(len, expected))
    for image, rows in enumerate(expected):
        count = len(rows)
        torch.testing.assert_close(boxes[image, :count], rows[:, :4], **tolerance)
        torch.testing.assert_close(scores[image, :count], rows[:, 4], **tolerance)
        assert labels[image, :count].tolist() == rows[:, 5].tolist()
        assert not boxes[image, count:].any()
        assert not scores[image, count:].any()
        assert (labels[image, count:] == -1).all()


OPTIONS = {
    "shown": DisplayNmsOptions(),
    "judged": NmsOptions(),
    "class-agnostic": DisplayNmsOptions(class_agnostic=True, max_iou=0.2),
    "few places": DisplayNmsOptions(max_detections=7),
    "few candidates": NmsOptions(max_candidates=50),
    "more places than boxes": DisplayNmsOptions(max_detections=5000),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_boxes_that_are_kept_are_those_of_the_project(options: NmsOptions) -> None:
    decoded = crowded((3, 900, 9), options)
    # One image is empty, and one has a single box.
    decoded[1, :, 4] = 0
    decoded[2, 1:, 4] = 0
    decoded[2, 0, 4:] = torch.tensor([1, 0.9, 0, 0, 0])
    expected = select_detections(decoded, options)
    assert len(expected[0]) > 5
    assert list(map(len, expected[1:])) == [0, 1]
    check(Suppression(options)(decoded), expected)


@pytest.mark.parametrize(("suffix", "run"), [(".onnx", run_onnx), (".pt2", run_pt2)], ids=["onnx", "pt2"])
def test_a_file_keeps_what_is_kept_behind_the_network(networks: Path, tmp_path: Path, suffix: str, run: Run) -> None:
    options = {"min_score": 0.0, "max_iou": 0.3, "max_detections": 20}
    arguments = (networks / "finder.yaml", tmp_path / f"a{suffix}", networks / "finder.st")
    exported = spdbuild.export(*arguments, batch=2, nms=options)
    assert exported.outputs == {"num_detections": (), "boxes": (20, 4), "scores": (20,), "labels": (20,)}
    model = spdbuild.build(networks / "finder.yaml", networks / "finder.st").eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    expected = select_detections(model.boxes.decode(model(images)), DisplayNmsOptions(**options))
    assert all(map(len, expected))
    check(run(exported.file, images), expected, exact=False)


def test_the_file_says_what_it_keeps(networks: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    arguments = [networks / "finder.yaml", "--weights", networks / "finder.st", "-o", file, "--nms", "--max-iou", "0.4"]
    result = CliRunner().invoke(cli, ["export", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert "-> num_detections [1], boxes [1, 1000, 4], scores [1, 1000], labels [1, 1000]" in result.stdout
    told = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert json.loads(told["nms"]) == asdict(DisplayNmsOptions(max_iou=0.4))
    assert list(json.loads(told["outputs"])) == list(SUPPRESSED)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "any batch": ({"batch": None, "nms": True}, "with nms a call has one batch, got any"),
    "any size": (
        {"any_size": True, "batch": None, "nms": True},
        "has one batch and one height and one width, got any",
    ),
    "raw maps": ({"raw": True, "nms": True}, "finder gives no boxes here, so none are suppressed"),
    "another option": ({"nms": {"min_scor": 0.1}}, "nms has no option 'min_scor'"),
    "another value": ({"nms": {"max_iou": 2}}, "max_iou must be between 0 and 1, got 2"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_boxes_or_no_length_is_refused(
    networks: Path, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        spdbuild.export(networks / "finder.yaml", tmp_path / "a.pt2", networks / "finder.st", **arguments)
    assert not any(tmp_path.iterdir())


def test_a_file_with_other_boxes_than_the_network_is_not_written(
    networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: Suppressing, images: Tensor) -> Any:
        counts, boxes, scores, labels = self.suppression(self.detector(images))
        return counts, boxes, scores, 1 - labels

    monkeypatch.setattr(Suppressing, "forward", forward)
    arguments = (networks / "finder.yaml", tmp_path / "a.pt2", networks / "finder.st")
    with pytest.raises(RunError, match="the file keeps other boxes than it decodes"):
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
