"""Files of weights, of every form that is read."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import spdbuild
from spdbuild.errors import DiskFullError, WeightsError
from spdbuild.weights import load_into, open_weights, read_weights, save_weights
from spdbuild.weights.facts import Facts


def network() -> nn.Sequential:
    """A model with parameters, buffers of two types, and a child within a child."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.ReLU(), nn.Linear(2, 5)))


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Names in order, types and values are equal."""
    assert list(left) == list(right)
    for name, tensor in right.items():
        torch.testing.assert_close(left[name], tensor, rtol=0, atol=0)


def filled(keys: Path) -> dict[str, torch.Tensor]:
    """The state_dict that the fill rules of a keys file give, by numpy."""
    rules: dict[str, Callable[[np.random.Generator, list[int]], Any]] = {
        "uniform(0.5,1.5)": lambda generator, shape: generator.uniform(0.5, 1.5, shape),
        "normal*0.05": lambda generator, shape: generator.standard_normal(shape) * 0.05,
        "normal*sqrt(2/fan_in)": lambda g, shape: g.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])),
    }
    return {
        entry["key"]: torch.from_numpy(
            np.asarray(rules[entry["rule"]](np.random.default_rng(1000 + entry["i"]), entry["shape"]), np.float32)
        )
        for entry in json.loads(keys.read_text())["detail"]
        if entry["rule"] in rules
    }


def test_the_published_checkpoint_gives_its_names_in_order_and_its_values(golden: Path) -> None:
    """Golden: values are the fill of the keys file rounded to float16; counters and anchors are as a fresh model's."""
    weights = read_weights(golden / "yolov5_spd_n.reference.pt")
    assert list(weights) == json.loads((golden / "yolov5_spd_n.keys.json").read_text())["state_dict_order"]
    expected = filled(golden / "yolov5_spd_n.he.keys.json")
    assert len(weights) == 349
    assert len(expected) == 291
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor.half(), rtol=0, atol=0)
    rest = {name: tensor for name, tensor in weights.items() if name not in expected}
    anchors = rest.pop("model.30.anchors")
    np.testing.assert_array_equal(anchors.numpy(), np.load(golden / "yolov5_spd_n.npz")["anchors_buffer"])
    assert all(tensor.dtype == torch.int64 and tensor.shape == () for tensor in rest.values())


def test_the_published_checkpoint_is_described_without_torch_or_its_own_code(golden: Path) -> None:
    code = f"""
import sys
from spdbuild.weights import open_weights
contents = open_weights({str(golden / "yolov5_spd_n.reference.pt")!r})
print(len(contents.tensors), contents.taken_from, contents.bytes)
print(sorted({{"torch", "models", "numpy", "yaml"}} & set(sys.modules) - {{"yaml"}}))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    # 2,256,157 parameters, 2 x 11,008 running statistics and 18 anchors of 2 bytes, and 57 counters of 8.
    assert out.splitlines()[0].startswith("349 model ")
    assert out.splitlines()[1] == "[]"


FORMS: dict[str, Callable[[Path, nn.Module], None]] = {
    "safetensors": lambda path, model: save_weights(path, model.state_dict()),
    "state_dict": lambda path, model: torch.save(model.state_dict(), path),
    "state_dict before torch 1.6": lambda path, model: torch.save(
        model.state_dict(), path, _use_new_zipfile_serialization=False
    ),
    "module": lambda path, model: torch.save(model, path),
    "module before torch 1.6": lambda path, model: torch.save(model, path, _use_new_zipfile_serialization=False),
    "protocol 4": lambda path, model: torch.save(model, path, pickle_protocol=4),
    "parameters": lambda path, model: torch.save(
        {name: nn.Parameter(tensor, tensor.is_floating_point()) for name, tensor in model.state_dict().items()}, path
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_state_dict(form: Callable[[Path, nn.Module], None], tmp_path: Path) -> None:
    model = network()
    form(tmp_path / "weights", model)
    weights = read_weights(tmp_path / "weights")
    state = model.state_dict()
    # safetensors has an order of its own.
    assert_same({name: weights[name] for name in state} if form is FORMS["safetensors"] else weights, dict(state))


@pytest.mark.parametrize("key", ["model", "ema", "state_dict", "model_state"])
@pytest.mark.parametrize("whole", [False, True], ids=["state_dict", "module"])
def test_the_model_is_found_in_a_checkpoint(key: str, whole: bool, tmp_path: Path) -> None:
    model = network()
    steps = torch.optim.Adam(model.parameters()).state_dict()
    saved = {"epoch": 3, key: model if whole else model.state_dict(), "optimizer": steps}
    torch.save(saved, tmp_path / "x.pt")
    contents = open_weights(tmp_path / "x.pt")
    assert contents.taken_from == key
    assert_same(contents.load(), dict(model.state_dict()))


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.zeros(2)}, "ema": {"w": torch.ones(2)}}, tmp_path / "x.pt")
    assert read_weights(tmp_path / "x.pt")["w"].tolist() == [1, 1]


def test_a_key_chooses_other_weights(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.zeros(2)}, "ema": {"w": torch.ones(2)}}, tmp_path / "x.pt")
    contents = open_weights(tmp_path / "x.pt", "model")
    assert (contents.taken_from, contents.load()["w"].tolist()) == ("model", [0, 0])


@pytest.mark.parametrize(
    ("saved", "message", "hint"),
    [
        (
            {"model": {"w": torch.zeros(2)}, "teacher": {"w": torch.ones(2)}, "epoch": 1},
            "there are no weights under 'epoch' in a mapping with the keys 'model', 'teacher', 'epoch'",
            "there are some under 'model', 'teacher'",
        ),
        ({"w": torch.ones(2)}, "there are no weights under 'epoch' in a mapping with the keys 'w'", "leave key out"),
        ({"a": 1}, "there are no weights under 'epoch' in a mapping with the keys 'a'", ""),
    ],
    ids=["other keys", "a state_dict", "no weights"],
)
def test_a_key_without_weights_is_told(saved: object, message: str, hint: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "x.pt")
    with pytest.raises(WeightsError) as caught:
        open_weights(tmp_path / "x.pt", "epoch")
    problem = caught.value.problems[0]
    assert (problem.message, problem.hint) == (f"{tmp_path / 'x.pt'}: {message}", hint)


def test_weights_under_an_unusual_key_are_pointed_at(tmp_path: Path) -> None:
    torch.save({"teacher": {"w": torch.ones(2)}}, tmp_path / "x.pt")
    with pytest.raises(WeightsError) as caught:
        open_weights(tmp_path / "x.pt")
    assert caught.value.problems[0].hint.endswith("; there are some under 'teacher', which key can choose")


def test_a_safetensors_file_has_no_keys(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", {"w": torch.ones(1)})
    with pytest.raises(WeightsError, match="w: this is no checkpoint of torch, so it has no key 'model'"):
        open_weights(tmp_path / "w", "model")


NESTED = {"w": torch.full((1,), 2.0)}
PLAIN = {"w": torch.full((1,), 1.0)}


@pytest.mark.parametrize(
    ("saved", "key", "taken_from", "value"),
    [
        ({"a": {"b": NESTED}}, "a.b", "a.b", 2),
        ({"a": {"b": NESTED}, "a.b": PLAIN}, "a.b", "a.b", 1),
        ({"a.b": {"c": NESTED}}, "a.b.c", "a.b.c", 2),
        ({"model": PLAIN, "ema": {"state_dict": NESTED}}, None, "ema.state_dict", 2),
        ({"model": {"state_dict": NESTED, "epoch": 3}}, None, "model.state_dict", 2),
        ({"model": PLAIN, "ema": None}, None, "model", 1),
    ],
)
def test_a_key_may_be_within_another(
    saved: object, key: str | None, taken_from: str, value: float, tmp_path: Path
) -> None:
    torch.save(saved, tmp_path / "x.pt")
    contents = open_weights(tmp_path / "x.pt", key)
    assert (contents.taken_from, contents.load()["w"].item()) == (taken_from, value)


def test_averaged_weights_under_an_unusual_key_are_not_passed_over(tmp_path: Path) -> None:
    torch.save({"model": PLAIN, "ema": {"decay": 0.9, "shadow": NESTED}}, tmp_path / "x.pt")
    with pytest.raises(WeightsError) as caught:
        open_weights(tmp_path / "x.pt")
    message = "there are weights under 'model', 'ema.shadow', and 'ema.shadow' may be the averaged ones"
    assert caught.value.problems[0].message == f"{tmp_path / 'x.pt'}: {message}"
    assert caught.value.problems[0].hint == (
        "choose one: --key model, or in a recipe weights: {file: ..., key: model} "
        "(from Python: key='model' in StoredWeights or import_weights)"
    )
    assert open_weights(tmp_path / "x.pt", "ema.shadow").load()["w"].item() == 2


def test_the_other_keys_of_a_checkpoint_are_known(tmp_path: Path) -> None:
    torch.save({"model": PLAIN, "ema": NESTED, "epoch": 3, "best": {"net": PLAIN}}, tmp_path / "x.pt")
    assert open_weights(tmp_path / "x.pt").other_keys() == ("model", "best.net")
    assert open_weights(tmp_path / "x.pt", "model").other_keys() == ("ema", "best.net")


def test_a_buffer_that_is_not_persistent_is_left_out(tmp_path: Path) -> None:
    model = network()
    model.register_buffer("scratch", torch.ones(3), persistent=False)
    torch.save(model, tmp_path / "x.pt")
    assert list(read_weights(tmp_path / "x.pt")) == list(model.state_dict())


DTYPES = [torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]


@pytest.mark.parametrize("save", [torch.save, lambda w, p: save_weights(p, w)], ids=["torch", "safetensors"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_of_number_is_read(dtype: torch.dtype, save: Callable[..., None], tmp_path: Path) -> None:
    weights = {"w": torch.tensor([[0, 1], [2, 3]]).to(dtype), "empty": torch.empty(0, 3, dtype=dtype)}
    save(weights, tmp_path / "x")
    contents = open_weights(tmp_path / "x")
    assert {str(dtype)} == {f"torch.{info.dtype}" for info in contents.tensors.values()}
    assert contents.tensors["w"].bytes == weights["w"].nbytes
    assert contents.tensors["empty"].shape == (0, 3)
    assert_same({name: contents.load()[name] for name in weights}, weights)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_views_and_shared_tensors_are_read(zipped: bool, tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    weights = {"base": base, "transposed": base.T, "row": base[1], "column": base[:, 2], "again": base}
    torch.save(weights, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    assert_same(read_weights(tmp_path / "x.pt"), weights)


def test_what_was_read_shares_no_memory(tmp_path: Path) -> None:
    tied = torch.zeros(3)
    torch.save({"a": tied, "b": tied}, tmp_path / "x.pt")
    weights = read_weights(tmp_path / "x.pt")
    weights["a"][0] = 1
    assert weights["b"].tolist() == [0, 0, 0]


def test_an_ordered_dict_with_metadata_is_read(tmp_path: Path) -> None:
    weights = OrderedDict(w=torch.ones(2))
    weights._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    torch.save(weights, tmp_path / "x.pt")
    assert list(read_weights(tmp_path / "x.pt")) == ["w"]


NOT_WEIGHTS: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "this is no file of weights", "it is empty"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "this is no file of weights",
        "it is a placeholder of Git LFS; `git lfs pull` fetches the weights",
    ),
    "web page": (b"<!DOCTYPE html>", "this is no file of weights", "it is a web page; did the download fail?"),
    "tar": (
        b"storages".ljust(257, b"\0") + b"ustar",
        "this is no file of weights",
        "it is a tar archive, as torch before 0.1.10 wrote; load and save it in an old torch",
    ),
    "plain pickle": (
        b"\x80\x04N.",
        "this is no file of weights",
        "it is a pickle that torch.save did not write; save the state_dict with torch.save or as safetensors",
    ),
    "text": (
        b"hello, world",
        "this is no file of weights",
        "weights are read from safetensors and from what torch.save writes",
    ),
    "safetensors cut off": (
        b"\x40\0\0\0\0\0\0\0{}",
        "the safetensors file is damaged: Error while deserializing header: invalid header length",
        "fetch the file again",
    ),
    "other zip": (
        b"PK\x05\x06".join([b"PK\x03\x04", bytes(18)]),
        "this zip archive was not written by torch.save: it has no data.pkl",
        "",
    ),
}


@pytest.mark.parametrize(("raw", "message", "hint"), NOT_WEIGHTS.values(), ids=NOT_WEIGHTS)
def test_what_is_no_file_of_weights_is_told_apart(raw: bytes, message: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(raw)
    with pytest.raises(WeightsError) as caught:
        open_weights(path)
    assert (caught.value.problems[0].message, caught.value.problems[0].hint) == (f"{path}: {message}", hint)


@pytest.mark.parametrize(
    ("saved", "what"),
    [
        ({"epoch": 1, "names": ["a"]}, "a mapping with the keys 'epoch', 'names'"),
        ([torch.ones(1)], "an object of the type list"),
        ({}, "an object of the type dict"),
        (torch.ones(1), "a single tensor"),
    ],
    ids=["other keys", "a list", "empty", "a tensor"],
)
def test_a_checkpoint_without_weights_says_what_it_holds(saved: object, what: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "x.pt")
    with pytest.raises(WeightsError) as caught:
        open_weights(tmp_path / "x.pt")
    assert caught.value.problems[0].message == f"{tmp_path / 'x.pt'}: there are no weights in {what}"
    assert caught.value.problems[0].hint.startswith("looked for a state_dict, a module, and under the keys ema, ")


def test_no_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing: there is no such file$"):
        open_weights(tmp_path / "nothing")
    with pytest.raises(WeightsError, match="this is a folder, not a file$"):
        open_weights(tmp_path)


@pytest.mark.parametrize("cut", [1, 40, 150, 400])
def test_a_truncated_legacy_file_is_refused(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(network().state_dict(), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(WeightsError, match="the file ends within the storage"):
        open_weights(path)


class Named(nn.Module):
    """A network that keeps the names of its classes, as YOLOv5's do."""

    def __init__(self, names: object) -> None:
        super().__init__()
        self.layer, self.names = nn.Linear(1, 2), names


@pytest.mark.parametrize("names", [["cat", "dog"], {0: "cat", 1: "dog"}])
def test_names_of_classes_in_a_checkpoint_are_found(names: object, tmp_path: Path) -> None:
    weights = {"layer.weight": torch.ones(2, 1)}
    for saved in ({"epoch": 3, "model": Named(names)}, Named(names), {"state_dict": weights, "names": names}):
        torch.save(saved, tmp_path / "x.pt")
        assert json.loads(open_weights(tmp_path / "x.pt").metadata["names"]) == ["cat", "dog"]


@pytest.mark.parametrize("names", [["0", "1"], [], {1: "cat"}, ["cat", 3], "cat", ["a\x1b[2J"]])
def test_what_are_no_names_of_classes_is_left_alone(names: object, tmp_path: Path) -> None:
    torch.save({"model": Named(names)}, tmp_path / "x.pt")
    assert open_weights(tmp_path / "x.pt").metadata == {}


def test_facts_are_written_and_read(tmp_path: Path) -> None:
    facts = Facts(("cat", "dog"), (3, 8, 8), (16, 16))
    save_weights(tmp_path / "w.safetensors", {"w": torch.ones(1)}, facts.texts())
    assert Facts.of(tmp_path / "w.safetensors") == facts


@pytest.mark.parametrize("text", ["5", "[1]", "{}", "[", "[" * 10_000])
def test_facts_that_spdbuild_does_not_write_are_refused(text: str, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", {"w": torch.ones(1)}, {"classes": text})
    with pytest.raises(WeightsError, match="w.safetensors: 'classes' in the metadata is no list of the kind"):
        Facts.of(tmp_path / "w.safetensors")


def test_metadata_is_written_and_read(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", {"w": torch.ones(2)}, {"architecture": "resnet50"})
    metadata = open_weights(tmp_path / "w.safetensors").metadata
    assert metadata["architecture"] == "resnet50"
    assert set(metadata) == {"architecture", "format", "spdbuild"}


def test_a_path_with_bytes_that_are_no_text_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "b\udcff"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system takes only names that are text")
    save_weights(folder / "w.safetensors", {"a": torch.arange(3.0)})
    assert read_weights(folder / "w.safetensors")["a"].tolist() == [0, 1, 2]


def test_weights_are_written_where_spdbuild_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    save_weights(tmp_path / "w.safetensors", {"w": torch.ones(1)})
    assert open_weights(tmp_path / "w.safetensors").metadata["spdbuild"] == spdbuild.__version__


def test_tied_and_strided_tensors_are_written(tmp_path: Path) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    weights = {"a": tied, "b": tied, "c": tied.T}
    save_weights(tmp_path / "w", weights)
    assert_same({name: read_weights(tmp_path / "w")[name] for name in weights}, weights)


def test_what_is_written_shares_no_memory_with_other_tensors(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    weights = {"whole": whole, "part": whole[2:4], "empty": torch.zeros(0), "none": torch.zeros(0)}
    save_weights(tmp_path / "w", weights)
    assert_same({name: read_weights(tmp_path / "w")[name] for name in weights}, weights)


@pytest.mark.parametrize("texts", [{}, {"classes": '["ä", "\\u0001", "\U0001f600", "\x7f/<"]', "a": "", "é": "\t"}])
def test_the_same_weights_make_the_same_file(texts: dict[str, str], tmp_path: Path) -> None:
    weights = {"w": torch.arange(3.0), "v": torch.ones(2, dtype=torch.int64)}
    # The library puts metadata in another order in each call.
    facts = {**texts, **{name: name for name in "ijklmnop"}}
    for number in range(4):
        save_weights(tmp_path / str(number), weights, facts)
    assert len({(tmp_path / str(number)).read_bytes() for number in range(4)}) == 1
    assert_same({name: read_weights(tmp_path / "0")[name] for name in weights}, weights)
    metadata = open_weights(tmp_path / "0").metadata
    assert {name: metadata[name] for name in facts} == facts


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"w": torch.ones(2)})
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFullError, match="w.safetensors cannot be written: No space left on device"):
        save_weights(path, {"w": torch.zeros(2)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be written: there is no folder"):
        save_weights(tmp_path / "nowhere" / "w", {"w": torch.ones(1)})


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_module_gets_the_weights_of_a_file(device: str, tmp_path: Path) -> None:
    model = network()
    save_weights(tmp_path / "w", model.state_dict())
    with torch.device(device):
        other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.ReLU(), nn.Linear(2, 5)))
    report = load_into(other, tmp_path / "w")
    assert report.counts["loaded"] == 9
    assert_same(dict(other.state_dict()), dict(model.state_dict()))


def test_a_module_does_not_get_the_weights_of_another(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", network().state_dict())
    with pytest.raises(WeightsError) as caught:
        load_into(nn.Sequential(nn.Conv2d(3, 4, 5)), tmp_path / "w")
    assert [problem.message for problem in caught.value.problems] == [
        f"{tmp_path / 'w'}: 7 weights of the file are not used: 1.num_batches_tracked, 1.bias, 1.running_mean, "
        "1.running_var, 1.weight, 2.1.bias, 2.1.weight",
        f"{tmp_path / 'w'}: '0.weight' needs 4x3x5x5, has 4x3x3x3",
    ]
