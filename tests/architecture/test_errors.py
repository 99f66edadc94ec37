"""Every wrong file beside this test gives exactly the message in the text file of its name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import spdbuild
from spdbuild.architecture.failures import MAX_PROBLEMS
from spdbuild.errors import InputError
from spdbuild.text.source import MAX_BYTES

FOLDER = Path(__file__).parent / "errors"
WRONG = sorted(FOLDER.glob("*.yaml"))


def message_of(path: str) -> str:
    with pytest.raises(InputError) as caught:
        spdbuild.load(path)
    return str(caught.value)


def test_the_wrong_files_are_found() -> None:
    assert len(WRONG) >= 70


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_a_wrong_file_gives_its_message(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    assert message_of(path.name) + "\n" == path.with_suffix(".txt").read_text()


BYTES = {
    "empty": (b"", "1:1: error: the file is empty"),
    "blank": (b"# nothing\n", "1:1: error: the file is empty\n    1 | # nothing\n      | ^"),
    "nul": (
        b"model: m\x00\n",
        "1:9: error: a text file cannot hold the character U+0000\n    1 | model: m?\n      |         ^\n"
        "      = hint: is this a binary file?",
    ),
    "latin-1": (
        "model: m\nsource: Jégou\n".encode("latin-1"),
        "2:10: error: the file is not UTF-8 text: byte 0xe9\n      = hint: save it as UTF-8",
    ),
    "an image": (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00",
        "1:1: error: the file is not UTF-8 text: byte 0x89\n      = hint: save it as UTF-8",
    ),
    "deep nesting": (
        b"[" * 200 + b"]" * 200,
        "1:52: error: values are nested more than 50 deep\n    1 | "
        + "[" * 112
        + "[" * 8
        + "\n      | "
        + " " * 51
        + "^",
    ),
    "100 MB": (
        b"# " + b"x" * 100_000_000,
        f"1:1: error: the file is larger than {MAX_BYTES:,} bytes\n"
        "      = hint: an architecture or recipe is a short text; is this the right file?",
    ),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_architecture_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, expected = BYTES[name]
    Path("wrong.yaml").write_bytes(content)
    assert message_of("wrong.yaml") == f"wrong.yaml:{expected}"


def test_a_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.yaml").mkdir()
    message = message_of("folder.yaml")
    assert message.startswith("error: folder.yaml is not the folder of a run: it has no recipe.yaml\n")


def test_a_missing_file_suggests_a_built_in_name() -> None:
    expected = "error: there is no architecture 'resnet51': neither a file nor a built-in name\n"
    assert message_of("resnet51").startswith(expected + "      = hint: did you mean 'resnet")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"variant": "q"}, "yolov5 has no variant 'q'"),
        ({"variant": "n", "vars": {"clases": 3}}, "yolov5 has no var 'clases'"),
        ({"variant": "n", "vars": {"classes": "many"}}, "the var classes is a number, got the text 'many'"),
        ({"variant": "n", "inputs": [[3, 64, 64], [3, 64, 64]]}, "yolov5 has 1 input, got 2 shapes"),
        ({"variant": "n", "inputs": (3, 64, 64)}, "inputs must be a list of shapes, got (3, 64, 64)"),
        ({"variant": "n", "inputs": "3,64,64"}, "inputs must be a list of shapes, got '3,64,64'"),
        ({"variant": "n", "inputs": ["3,64,64"]}, "a shape is made of whole numbers, got '3,64,64'"),
        ({"variant": "n", "inputs": [(3, 64.0, 64)]}, "a shape is made of whole numbers, got (3, 64.0, 64)"),
        ({"variant": "n", "inputs": [(True, 64, 64)]}, "a shape is made of whole numbers, got (True, 64, 64)"),
        ({"variant": "n", "vars": ["classes=3"]}, "vars must be a mapping, got ['classes=3']"),
    ],
    ids=["variant", "var", "type of a var", "inputs", "one shape", "a text", "texts", "a float", "a bool", "a list"],
)
def test_what_a_person_chooses_is_checked(call: dict[str, object], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        spdbuild.load("yolov5", **call)
    assert caught.value.problems[0].message == expected


def test_numbers_of_numpy_and_torch_are_those_of_python() -> None:
    plain = spdbuild.load("yolov5", "n", {"classes": 3, "width_multiple": 0.5}, [(3, 64, 96)])
    given = {"classes": np.int64(3), "width_multiple": torch.tensor(0.5)}
    for inputs in ([np.array([3, 64, 96])], np.array([[3, 64, 96]]), [torch.Size([3, 64, 96])]):
        architecture = spdbuild.load("yolov5", "n", given, inputs)
        assert architecture.graph == plain.graph
        assert json.dumps(spdbuild.summary(architecture).to_dict()) == json.dumps(spdbuild.summary(plain).to_dict())
        assert spdbuild.convert(architecture)[0].text == spdbuild.convert(plain)[0].text


def test_a_network_that_no_machine_holds_is_refused_before_it_takes_memory() -> None:
    text = "model: m\ninputs: {image: [3, 8, 8]}\nlayers:\n  - wide: conv2d(1000000)\n  - huge: conv2d(1000000)\n"
    with pytest.raises(InputError, match=r"m has 1,000,003,000,000 parameters, more than the 100,000,000,000"):
        spdbuild.build(text)


def test_a_file_of_nothing_but_mistakes_names_a_hundred() -> None:
    lines = "".join(f"  - layer_{number}: relu() <- leyer_{number}\n" for number in range(300))
    with pytest.raises(InputError) as caught:
        spdbuild.load(f"model: m\ninputs: {{image: [3, 8, 8]}}\nlayers:\n{lines}")
    assert len(caught.value.problems) == MAX_PROBLEMS
