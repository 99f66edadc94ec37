"""`spdbuild weights`: whole outputs, and what is left on the disk."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from click.testing import CliRunner, Result

import spdbuild
from spdbuild.cli import spdbuild as cli
from spdbuild.weights import file_sha256, open_weights, save_weights

SMALL = """
model: small
inputs: {image: [3, 8, 8]}
layers:
  - stem: conv2d(4, 3, bias=true)
  - head: linear(2)
rename:
  theirs:
    stem: conv1
    head: fc
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["weights", *map(str, arguments)])


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small architecture and a checkpoint of it under other names; the current one."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SMALL.replace("  - head", "  - global_avg_pool()\n  - head"))
    state = {"conv1.weight": torch.ones(4, 3, 3, 3), "conv1.bias": torch.ones(4)}
    state |= {"fc.weight": torch.ones(2, 4).half(), "fc.bias": torch.ones(2)}
    torch.save({"state_dict": state}, "x.pt")
    return tmp_path


def test_import_reports_every_tensor(small: Path) -> None:
    result = run("import", "x.pt", "--arch", "small.yaml", "-o", "w.safetensors")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert (
        result.stderr
        == """\
ours         theirs        shape    status  note
stem.weight  conv1.weight  4x3x3x3  loaded
stem.bias    conv1.bias    4        loaded
head.weight  fc.weight     2x4      cast    float16 -> float32
head.bias    fc.bias       2        loaded
w.safetensors: 3 loaded, 1 cast; names of the table 'theirs', under 'state_dict'
"""
    )


def test_the_written_file_says_where_it_came_from(small: Path) -> None:
    run("import", "x.pt", "--arch", "small.yaml", "-o", "w.safetensors")
    assert open_weights("w.safetensors").metadata == {
        "format": "pt",
        "spdbuild": spdbuild.__version__,
        "architecture": "small",
        "table": "theirs",
        "source": "x.pt",
        "source_sha256": file_sha256("x.pt"),
        "source_key": "state_dict",
    }
    assert spdbuild.build("small.yaml", weights="w.safetensors").head.weight.dtype == torch.float32


def test_json_is_alone_on_stdout(small: Path) -> None:
    result = run("import", "x.pt", "--arch", "small.yaml", "-o", "w.safetensors", "--json")
    document = json.loads(result.stdout)
    assert set(document) == {"file", "output", "taken_from", "table", "prefix", "counts", "tensors"}
    assert [tensor["status"] for tensor in document["tensors"]] == ["loaded", "loaded", "cast", "loaded"]


def test_show_lists_the_contents(small: Path) -> None:
    result = run("show", "x.pt")
    assert result.exit_code == 0
    assert (
        result.stdout
        == """\
tensor        shape    type     bytes
conv1.weight  4x3x3x3  float32    432
conv1.bias    4        float32     16
fc.weight     2x4      float16     16
fc.bias       2        float32      8

torch zip, under 'state_dict', 4 tensors, 472 bytes
"""
    )
    assert json.loads(run("show", "x.pt", "--json").stdout)["tensors"][2] == {
        "name": "fc.weight",
        "shape": [2, 4],
        "dtype": "float16",
        "bytes": 16,
    }


def test_weights_that_do_not_fit_write_nothing(small: Path) -> None:
    torch.save(
        {"conv1.weight": torch.ones(4, 3, 5, 5), "fc.weight": torch.ones(2, 4), "fb.bias": torch.ones(2)}, "y.pt"
    )
    result = run("import", "y.pt", "--arch", "small.yaml", "-o", "w.safetensors")
    assert result.exit_code == 2
    assert (
        result.stderr
        == """\
error: y.pt: 2 of 4 weights are not in the file: conv1.bias, fc.bias
      = hint: the file has 'fb.bias' and no 'fc.bias'

error: y.pt: 1 weights of the file are not used: fb.bias
      = hint: `spdbuild weights import --partial` takes only what fits

error: y.pt: 'stem.weight' ('conv1.weight') needs 4x3x3x3, has 4x3x5x5
"""
    )
    assert not Path("w.safetensors").exists()


def test_partial_writes_what_fits(small: Path) -> None:
    torch.save({"conv1.weight": torch.ones(4, 3, 5, 5), "fc.weight": torch.ones(2, 4)}, "y.pt")
    result = run("import", "y.pt", "--arch", "small.yaml", "-o", "w.safetensors", "--partial")
    assert result.stderr.splitlines()[-1] == (
        "w.safetensors: 1 loaded, 1 mismatch, 2 missing; names of the table 'theirs'"
    )
    assert list(open_weights("w.safetensors").tensors) == ["head.weight"]


def test_a_file_of_which_nothing_fits_writes_nothing(small: Path) -> None:
    counted = {"bn.num_batches_tracked": torch.tensor(3)}
    torch.save({f"left.{name}": torch.ones(1) for name in "abcde"} | {"right.a": torch.ones(1)} | counted, "y.pt")
    result = run("import", "y.pt", "--arch", "small.yaml", "-o", "w.safetensors", "--partial")
    assert result.exit_code == 2
    assert (
        result.stderr
        == """\
error: y.pt: no weight of the file fits small
      = hint: the file has left.a, left.b, left.c and 4 more, and small needs stem.weight, stem.bias, head.weight and \
1 more
"""
    )
    torch.save({"conv1.weight": torch.ones(4, 3, 5, 5)}, "y.pt")
    result = run("import", "y.pt", "--arch", "small.yaml", "-o", "w.safetensors", "--partial")
    assert result.stderr.endswith("      = hint: 'stem.weight' needs 4x3x3x3, has 4x3x5x5\n")
    assert not Path("w.safetensors").exists()


def test_counters_alone_are_no_weights(small: Path) -> None:
    Path("normed.yaml").write_text(SMALL.replace("  - head", "  - norm: batch_norm()\n  - global_avg_pool()\n  - head"))
    torch.save({"norm.num_batches_tracked": torch.tensor(3), "x": torch.ones(1)}, "y.pt")
    result = run("import", "y.pt", "--arch", "normed.yaml", "-o", "w.safetensors", "--partial")
    assert result.exit_code == 2
    assert "the file has norm.num_batches_tracked, x, and small needs stem.weight, " in result.stderr
    assert not Path("w.safetensors").exists()


def test_the_last_line_says_which_weights_were_taken(small: Path) -> None:
    plain = torch.load("x.pt")["state_dict"]
    averaged = {f"module.{name}": 2 * tensor for name, tensor in plain.items()} | {"n_averaged": torch.tensor(3)}
    torch.save({"model": plain, "model_ema": averaged}, "y.pt")
    words = ("import", "y.pt", "--arch", "small.yaml", "-o", "w.safetensors")
    for key, behind, under, value in (([], " behind 'module.'", "model_ema", 2), (["--key", "model"], "", "model", 1)):
        result = run(*words, *key)
        last = f"w.safetensors: 3 loaded, 1 cast; names of the table 'theirs'{behind}, under '{under}'"
        assert result.stderr.splitlines()[-1] == last
        assert open_weights("w.safetensors").load()["stem.bias"].tolist() == [value] * 4
    assert run("show", "y.pt", "--key", "model").stdout.splitlines()[-1].startswith("torch zip, under 'model', 4 ")


def test_weights_that_lack_some_are_not_taken_where_others_lie_beside_them(small: Path) -> None:
    plain = torch.load("x.pt")["state_dict"]
    lacking = {name: tensor for name, tensor in plain.items() if not name.endswith("bias")}
    torch.save({"model": plain, "ema": lacking}, "y.pt")
    words = ("import", "y.pt", "--arch", "small.yaml", "-o", "w.safetensors")
    refused = run(*words)
    assert refused.stderr == (
        "error: y.pt: 2 of 4 weights are not in the file: conv1.bias, fc.bias\n      = hint: there are also weights "
        "under 'model': --key model, or in a recipe weights: {file: ..., key: model} "
        "(from Python: key='model' in StoredWeights or import_weights)\n"
    )
    assert "there are also weights under 'model': " in run(*words, "--partial").stderr
    assert run(*words, "--key", "model").exit_code == 0


def test_of_two_networks_one_is_chosen_by_its_prefix(small: Path) -> None:
    plain = torch.load("x.pt")["state_dict"]
    online, target = ({f"{side}.{name}": tensor for name, tensor in plain.items()} for side in ("online", "target"))
    torch.save(online | {name: 2 * tensor for name, tensor in target.items()}, "y.pt")
    words = ("import", "y.pt", "--arch", "small.yaml", "-o", "w.safetensors")
    refused = run(*words, "--partial")
    assert refused.exit_code == 2
    assert "--prefix online., or in a recipe weights: {file: ..., prefix: online.}" in refused.stderr
    taken = run(*words, "--prefix", "target.")
    last = "w.safetensors: 3 loaded, 1 cast; names of the table 'theirs' behind 'target.'"
    assert taken.stderr.splitlines()[-1] == last
    assert open_weights("w.safetensors").load()["stem.bias"].tolist() == [2] * 4


class Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch pwned",)


def test_a_file_that_would_run_code_is_refused_by_name(small: Path) -> None:
    torch.save({"model": Attack()}, "evil.pt", pickle_module=pickle)
    result = run("import", "evil.pt", "--arch", "small.yaml", "-o", "w.safetensors")
    assert result.exit_code == 2
    assert (
        result.stderr
        == """\
error: evil.pt: the pickle wants to call posix.system('touch pwned')
      = hint: nothing of it was run; ask for the weights as safetensors or as a plain state_dict
"""
    )
    assert {path.name for path in small.iterdir()} == {"small.yaml", "x.pt", "evil.pt"}


def test_a_wrong_table_is_told(small: Path) -> None:
    result = run("import", "x.pt", "--arch", "small.yaml", "-o", "w.safetensors", "--table", "their")
    assert result.exit_code == 2
    assert result.stderr == "error: there is no rename table 'their'\n      = hint: did you mean 'theirs'?\n"


def test_torchvisions_resnet_computes_the_same_after_import(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "r.pth")
    assert run("import", tmp_path / "r.pth", "--arch", "resnet18", "-o", tmp_path / "w").exit_code == 0
    ours = spdbuild.build("resnet18", weights=tmp_path / "w").double().eval()
    x = torch.randn(1, 3, 64, 65, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs.double()(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["references", "backbone", "lightning"])
def test_checkpoints_of_training_programs_are_imported(form: str, tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18().state_dict()
    averaged = {"n_averaged": torch.tensor(3), **{f"module.{name}": tensor for name, tensor in theirs.items()}}
    forms = {
        "references": {"model": theirs, "model_ema": averaged, "epoch": 3},
        "backbone": {"state_dict": {f"backbone.{name}": tensor for name, tensor in theirs.items()}},
        "lightning": {"state_dict": {f"net.model.{name}": tensor for name, tensor in theirs.items()}, "epoch": 3},
    }
    torch.save(forms[form], tmp_path / "r.pth")
    state, report = spdbuild.import_weights(tmp_path / "r.pth", "resnet18")
    assert report.counts["loaded"] == 122
    assert torch.equal(state["stem.conv.weight"], theirs["conv1.weight"])


def test_a_backbone_is_taken_out_of_a_larger_network(tmp_path: Path) -> None:
    """As mmpretrain and torchvision's detectors name them."""
    theirs = torchvision.models.resnet18().state_dict()
    named = {f"{'head' if name.startswith('fc.') else 'backbone'}.{name}": tensor for name, tensor in theirs.items()}
    torch.save({"state_dict": named}, tmp_path / "r.pth")
    words = ("import", tmp_path / "r.pth", "--arch", "resnet18", "-o", tmp_path / "w")
    refused = run(*words)
    assert refused.exit_code == 2
    assert "2 of 122 weights are not in the file: backbone.fc.weight, backbone.fc.bias" in refused.stderr
    taken = run(*words, "--partial")
    assert taken.stderr.splitlines()[-1].endswith(
        "w: 120 loaded, 2 missing, 2 unused; names of the table 'torchvision' behind 'backbone.', under 'state_dict'"
    )


@pytest.mark.parametrize("sections", [("backbone.",), ("backbone.", "neck.", "head.")])
def test_the_backbone_of_yolov5_keeps_its_name(sections: tuple[str, ...], tmp_path: Path) -> None:
    yolov5 = spdbuild.load("yolov5", variant="n")
    own = spdbuild.build(yolov5, device="meta").state_dict()
    kept = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in own.items()}
    kept = {name: tensor for name, tensor in kept.items() if name.startswith(sections)}
    save_weights(tmp_path / "w", kept)
    _, report = spdbuild.import_weights(tmp_path / "w", yolov5, partial=True)
    loaded = {entry.name for entry in report.having("loaded")}
    assert (report.table, report.prefix, loaded) == ("", "", set(kept))


def test_the_published_checkpoint_is_imported_whole(golden: Path, tmp_path: Path) -> None:
    file = golden / "yolov5_spd_n.reference.pt"
    result = run("import", file, "--arch", "yolov5_spd", "--variant", "n", "-o", tmp_path / "w", "--json")
    document = json.loads(result.stdout)
    assert document["table"] == "spd_conv"
    assert sum(document["counts"][status] for status in ("loaded", "cast")) == 349
    assert len(document["tensors"]) == 349


def test_weights_of_our_own_are_the_same_whatever_the_order_of_the_channels(small: Path) -> None:
    text = (
        SMALL.split("layers:")[0]
        + """layers:
  - space_to_depth(2, order="row_column_channel")
  - stem: conv2d(16, 3)
"""
    )
    Path("s2d.yaml").write_text(text)
    own = spdbuild.build("s2d.yaml").state_dict()
    save_weights(Path("own.safetensors"), own)
    result = run("import", "own.safetensors", "--arch", "s2d.yaml", "-o", "back.safetensors")
    assert result.stderr.splitlines()[-1] == "back.safetensors: 1 loaded; our own names"
    assert torch.equal(
        spdbuild.build("s2d.yaml", weights="back.safetensors").state_dict()["stem.weight"], own["stem.weight"]
    )


def test_importing_is_one_call_from_python(small: Path) -> None:
    state, report = spdbuild.import_weights("x.pt", "small.yaml", "w.safetensors")
    assert report.table == "theirs"
    assert torch.equal(spdbuild.build("small.yaml", weights="w.safetensors").head.weight, state["head.weight"])


def test_a_channel_shuffle_does_not_permute_weights_under_other_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 12, 3, padding=1, bias=False),
        torch.nn.ChannelShuffle(3),
        torch.nn.Conv2d(12, 5, 1, bias=False),
    )
    torch.save(theirs.state_dict(), tmp_path / "shuffle.pth")
    text = """
model: shuffled
inputs: {image: [3, 8, 8]}
layers:
  - a: conv2d(12, 3)
  - depth_to_space([1, 3], order="column_row_channel")
  - space_to_depth([1, 3], order="channel_row_column")
  - b: conv2d(5)
rename: {torch: {a: "0", b: "2"}}
"""
    state, report = spdbuild.import_weights(tmp_path / "shuffle.pth", spdbuild.load(text))
    assert (report.table, report.counts["loaded"]) == ("torch", 2)
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(spdbuild.build(text, state)(x), theirs(x))


def test_export_undoes_import(small: Path) -> None:
    run("import", "x.pt", "--arch", "small.yaml", "-o", "w.st")
    words = ("export", "small.yaml", "--weights", "w.st", "--like", "x.pt", "-o", "theirs.st")
    result = run(*words)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "theirs.st: names of the table 'theirs'\n"
    assert set(open_weights("theirs.st").tensors) == {"conv1.weight", "conv1.bias", "fc.weight", "fc.bias"}
    document = json.loads(run(*words, "--json").stdout)
    assert (document["like"], document["output"], document["counts"]["loaded"]) == ("x.pt", "theirs.st", 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("w.pt", "weights are written as safetensors; use w.safetensors"),
        ("w.onnx", "weights are written as safetensors; use w.safetensors"),
        ("-", "weights are written into a file, not to the standard output"),
    ],
)
def test_weights_are_not_written_under_names_of_other_formats(small: Path, name: str, message: str) -> None:
    result = run("import", "x.pt", "--arch", "small.yaml", "-o", name)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not Path(name).exists()
