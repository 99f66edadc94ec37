"""`spdbuild convert --weights`: the converted network computes what the old one does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image
from safetensors import safe_open

import spdbuild
from spdbuild.weights import save_weights


@pytest.fixture
def weights(tiny: Path) -> Path:
    """Random weights of tiny.yaml."""
    torch.manual_seed(0)
    save_weights(Path("w.safetensors"), spdbuild.build(tiny).state_dict())
    return Path("w.safetensors")


def outputs(architecture: str, weights: str) -> torch.Tensor:
    model = spdbuild.build(architecture, weights).eval()
    torch.manual_seed(1)
    return model(torch.randn(2, 3, 8, 8)).detach()


def test_the_function_stays(run, tiny: Path, weights: Path):
    result = run("convert", tiny, "--weights", weights, "--pool", "keep", "-o", "new.yaml", "--weights-out", "new.st")
    assert result.exit_code == 0, result.stderr
    assert "wrote new.st" in result.stderr
    torch.testing.assert_close(outputs("new.yaml", "new.st"), outputs("tiny.yaml", "w.safetensors"))


def test_weights_of_torchvision_are_found_by_the_rename_table(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    theirs = torchvision.models.resnet18().eval()
    torch.save(theirs.state_dict(), "tv18.pth")
    files = ("--weights", "tv18.pth", "-o", "new.yaml", "--weights-out", "new.st")
    result = run("convert", "resnet18", "--pool", "keep", *files)
    assert result.exit_code == 0, result.stderr
    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(spdbuild.build("new.yaml", "new.st").eval()(image), theirs(image), rtol=1e-3, atol=1e-4)
    assert run("verify", "resnet18", "new.yaml", "--weights-a", "tv18.pth", "--weights-b", "new.st").exit_code == 0


@pytest.mark.parametrize("network", ["tiny.yaml", "torchvision:resnet18"])
def test_the_key_of_a_checkpoint_is_printed(run, tiny: Path, network: str):
    module = torchvision.models.resnet18() if "18" in network else spdbuild.build(tiny)
    torch.save({"model": module.state_dict(), "ema": module.state_dict()}, "two.pt")
    result = run("convert", network, "--weights", "two.pt", "--pool", "keep", "-o", "new.yaml", "--weights-out", "n.st")
    assert result.exit_code == 0, result.stderr
    assert "two.pt, under 'ema'\n" in result.stderr


def test_the_file_says_where_its_weights_are_from(run, tiny: Path, weights: Path):
    run("convert", tiny, "--weights", weights, "-o", "new.yaml", "--weights-out", "new.st")
    with safe_open("new.st", "pt") as file:
        found = file.metadata()
    assert (found["architecture"], found["source"]) == ("tiny_spd", "w.safetensors")


def test_max_pools_are_fitted_on_the_images_of_a_folder(run, tiny: Path, weights: Path):
    Path("images").mkdir()
    torch.manual_seed(2)
    for number in range(3):
        pixels = torch.randint(0, 256, (9, 12, 3), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(f"images/{number}.png")
    arguments = ("--calibrate", "images", "-o", "new.yaml", "--weights-out", "new.st")
    result = run("convert", tiny, "--weights", weights, *arguments)
    assert result.exit_code == 0, result.stderr
    assert "pool is fitted: 0." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "w.safetensors"], "--weights-out is missing"),
        (["--weights-out", "new.st"], "--weights is missing"),
        (["--calibrate", "images"], "--calibrate and --lossy need --weights"),
        (["--weights", "no.st", "--weights-out", "new.st"], "no.st: there is no such file"),
        (["--weights", "w.safetensors", "--weights-out", "n.st", "--kernel", "1"], "have no place for every tap"),
        (["--weights", "w.safetensors", "--weights-out", "n.st", "--calibrate", "none"], "there is no folder none"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(run, tiny: Path, weights: Path, arguments: list[str], message: str):
    result = run("convert", tiny, "-o", "new.yaml", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("new.yaml").exists()
    assert not Path("new.st").exists()


def test_a_lossy_transfer_is_done_on_request(run, tiny: Path, weights: Path):
    arguments = ("--kernel", "1", "--lossy", "--weights-out", "new.st", "-o", "new.yaml")
    assert run("convert", tiny, "--weights", weights, *arguments).exit_code == 0


def test_markdown(run, tiny: Path):
    result = run("convert", tiny, "--markdown", "-o", "new.yaml")
    assert result.stdout.startswith("# tiny: strided_to_spd()\n")
