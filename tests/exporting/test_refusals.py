"""What cannot be exported, in whole messages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import spdbuild
from spdbuild.errors import InputError, RunError
from spdbuild.exporting.formats import FORMATS
from spdbuild.weights import save_weights

REFUSED = {
    "no weights": (
        {"output": "a.onnx"},
        "error: only a trained network is worth a file, and small comes without weights\n"
        "      = hint: give them with --weights (from Python: weights=...), or name the folder of a run",
    ),
    "no such weights": (
        {"output": "a.onnx", "weights": "v.st"},
        "error: v.st: there is no such file",
    ),
    "unknown suffix": (
        {"output": "a.bin", "weights": "small.st"},
        "error: a.bin: the name says no format\n      = hint: let it end in .onnx or .pt2",
    ),
    "another suffix": (
        {"output": "a.pt2", "weights": "small.st", "to": "onnx"},
        "error: a file of the format onnx ends in .onnx, got a.pt2\n      = hint: write to a.onnx, or leave `to` out",
    ),
    "unknown format": (
        {"output": "a.onnx", "weights": "small.st", "to": "onx"},
        "error: there is no format 'onx'\n      = hint: did you mean 'onnx'?",
    ),
    "opset of another format": (
        {"output": "a.pt2", "weights": "small.st", "opset": 18},
        "error: opset is a version of ONNX's ops, and a.pt2 is of the format pt2\n      = hint: leave opset out",
    ),
    "old opset": (
        {"output": "a.onnx", "weights": "small.st", "opset": 11},
        "error: opset must be from 18 to 25, got 11\n      = hint: torch writes no ops older than 18",
    ),
    "maps of a classifier": (
        {"output": "a.onnx", "weights": "small.st", "raw": True},
        "error: small is no detector, so what it gives is never decoded\n      = hint: leave raw out",
    ),
    "boxes of a classifier": (
        {"output": "a.onnx", "weights": "small.st", "nms": True},
        "error: small is no detector, so it has no boxes to suppress\n      = hint: leave nms out",
    ),
    "no batch": (
        {"output": "a.onnx", "weights": "small.st", "batch": 0},
        "error: batch must be at least 1, got 0",
    ),
    "any size of what is no multiple": (
        {"output": "a.onnx", "weights": "small.st", "any_size": True},
        "error: images of any size are multiples of 4x4 here, and at least 8x8; 12x10 is not\n"
        "      = hint: choose another size of input",
    ),
    "any size of a single cell": (
        {"output": "a.onnx", "weights": "small.st", "any_size": True, "inputs": [(3, 8, 4)]},
        "error: images of any size are multiples of 4x4 here, and at least 8x8; 8x4 is not\n"
        "      = hint: choose another size of input",
    ),
    "too many shapes": (
        {"output": "a.onnx", "weights": "small.st", "inputs": [(3, 8, 8), (3, 8, 8)]},
        "error: small has 1 input, got 2 shapes\n      = hint: give one shape for each input",
    ),
    "no folder": (
        {"output": "files/a.pt2", "weights": "small.st"},
        "error: files/a.pt2 cannot be written: there is no folder files\n      = hint: make the folder first",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused(classifier: Path, arguments: dict[str, Any], message: str):
    with pytest.raises(InputError) as caught:
        spdbuild.export(classifier, **arguments)
    assert str(caught.value) == message
    assert {path.name for path in Path().iterdir()} == {"small.yaml", "small.st"}


#: Networks whose weights or shapes go by the size of the image, and what is said of them.
OF_ONE_SIZE = {
    "flatten": (
        "- flatten()\n  - head: linear(5)",
        "error: one_size takes no images of 3x9x10: head would have other weights\n"
        "      = hint: what stands before the first linear layer must end in one pixel, as global_avg_pool() does",
    ),
    "two images": (
        "- add() <- image, other",
        "error: one_size does not take one image, so it has no sizes",
    ),
}


@pytest.mark.parametrize(("layers", "message"), OF_ONE_SIZE.values(), ids=OF_ONE_SIZE)
def test_networks_of_one_size_are_told(tmp_path: Path, weigh: Any, layers: str, message: str):
    inputs = "{image: [3, 8, 8], other: [3, 8, 8]}" if "other" in layers else "{image: [3, 8, 8]}"
    network = spdbuild.load(f"model: one_size\ninputs: {inputs}\nlayers:\n  {layers}\n")
    with pytest.raises(InputError) as caught:
        spdbuild.export(network, tmp_path / "a.pt2", weigh(network, tmp_path / "w.st"), any_size=True)
    assert str(caught.value) == message
    assert not (tmp_path / "a.pt2").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_told_with_what_to_install(
    classifier: Path, monkeypatch: pytest.MonkeyPatch, package: str
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError) as caught:
        spdbuild.export(classifier, "a.onnx", "small.st")
    assert str(caught.value) == (
        f'error: the format onnx needs {package}, which is not installed\n      = hint: pip install "spdbuild[onnx]"'
    )


def test_a_program_of_torch_needs_none_of_them(classifier: Path, monkeypatch: pytest.MonkeyPatch):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    assert spdbuild.export(classifier, "a.pt2", "small.st").file.exists()


def test_more_than_an_onnx_file_holds_is_refused(classifier: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("spdbuild.exporting.formats.onnx._MOST_BYTES", 1000)
    with pytest.raises(InputError, match="an ONNX file holds 1,000 bytes, and the weights have"):
        spdbuild.export(classifier, "a.onnx", "small.st")
    assert not Path("a.onnx").exists()


UNKNOWN_TO_ONNX = """
model: pooled
inputs: {image: [3, 36, 22]}
layers:
  - wide: conv2d(4, 3)
  - %s
"""


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ("adaptive_max_pool(4)", "No ONNX function found for <OpOverload(op='aten.adaptive_max_pool2d'"),
        ("max_pool(5, stride=4, ceil=true)", "ceil=true may have other sizes in ONNX"),
    ],
)
def test_what_onnx_cannot_say_is_named(pool: str, message: str, tmp_path: Path):
    network = UNKNOWN_TO_ONNX % pool
    save_weights(tmp_path / "some.safetensors", spdbuild.build(network).state_dict())
    with pytest.raises(RunError) as caught:
        spdbuild.export(network, tmp_path / "a.onnx", tmp_path / "some.safetensors")
    assert message in str(caught.value)
    assert "write a .pt2 file" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert not (tmp_path / "a.onnx").exists()


def test_every_format_is_found_by_a_suffix_of_its_own():
    suffixes = [cls.suffix for _, cls in FORMATS.items()]
    assert {".onnx", ".pt2"} <= set(suffixes)
    assert len(set(suffixes)) == len(suffixes)
    assert all(cls.__doc__ for _, cls in FORMATS.items())
