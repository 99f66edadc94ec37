"""The documentation says what is true: generated pages are up to date, and every example runs."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from click.testing import CliRunner
from PIL import Image

from spdbuild.api import build
from spdbuild.cli import spdbuild
from spdbuild.loading import load
from spdbuild.ops import OPS
from spdbuild.training.task import TASKS
from spdbuild.weights.rename import compile_rules, rename

DOCS = Path(__file__).parents[1] / "docs"
README = (DOCS.parent / "README.md").read_text()
OUTPUTS = (DOCS / "outputs.md").read_text()
GENERATED = runpy.run_path(str(DOCS / "generate.py"))["pages"]()
LANGUAGE = (DOCS / "language.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", LANGUAGE, re.MULTILINE | re.DOTALL)
FILES = {text.split("\n")[0].removeprefix("# "): text for kind, text in BLOCKS if kind in ("yaml", "python")}
CONSOLES = [text for kind, text in BLOCKS if kind == "console"]


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name: str):
    assert (DOCS / name).read_text() == GENERATED[name], "run python docs/generate.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the guide."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    # An op of the guide would be among those that the messages of other tests list.
    monkeypatch.setattr(OPS, "_classes", dict(OPS.items()))
    # Nor does code run again that has run in this process.
    for name in [name for name in sys.modules if name.startswith("spdbuild_imported_")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def test_the_guide_has_examples():
    assert len(FILES) >= 8
    assert len(CONSOLES) >= 6


@pytest.mark.parametrize(
    "name",
    [name for name in FILES if name.endswith(".yaml") and name not in ("wrong.yaml", "misfits.yaml", "doubtful.yaml")],
)
def test_a_file_of_the_guide_is_right(folder: Path, name: str):
    result = CliRunner().invoke(spdbuild, ["check", name, "--allow-imports"])
    assert result.stderr == ""
    assert result.exit_code == 0


@pytest.mark.parametrize("console", CONSOLES, ids=lambda text: text.split("\n")[0])
def test_a_command_of_the_guide_prints_what_stands_there(folder: Path, console: str):
    line, expected = console.split("\n", 1)
    command, *last = line.removeprefix("$ spdbuild ").split(" | tail -1")
    output = CliRunner().invoke(spdbuild, shlex.split(command)).output
    assert (output.splitlines()[-1] + "\n" if last else output) == expected


def test_the_rename_table_of_the_guide_does_what_the_guide_says(folder: Path):
    rules = compile_rules(load("renamed.yaml").renames["theirs"])
    ours, theirs = re.search(r"Here `(.+?)` is `(.+?)` in the checkpoint", LANGUAGE).groups()
    assert rename(ours, rules) == theirs


def test_the_shuffle_of_the_guide_is_torchs(folder: Path):
    image = torch.randn(1, 6, 8, 8)
    assert torch.equal(build("shuffle.yaml")(image), torch.nn.ChannelShuffle(3)(image))


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipes of the README, and data in the folders that it shows."""
    for text in re.findall(r"^```yaml\n(# \w+\.yaml\n.*?)^```", README, re.MULTILINE | re.DOTALL):
        (tmp_path / text.split("\n")[0].removeprefix("# ")).write_text(text)
    for number, name in enumerate(("train/cat/a", "train/dog/a", "test/cat/a", "test/dog/a")):
        file = tmp_path / "pets" / f"{name}.jpg"
        file.parent.mkdir(parents=True)
        Image.new("RGB", (40, 30), (40 * number, 90, 200)).save(file)
    monkeypatch.chdir(tmp_path)
    command = "data convert tiny_objects images=8 size=64 objects=4 smallest=8 --to yolo -o drone"
    assert CliRunner().invoke(spdbuild, command.split()).exit_code == 0
    return tmp_path


@pytest.mark.parametrize("recipe", ["pets.yaml", "drone.yaml"])
def test_a_recipe_of_the_readme_fits_the_data_that_the_readme_shows(own_data: Path, recipe: str):
    for command in (["check", recipe], ["data", "check", recipe]):
        result = CliRunner().invoke(spdbuild, command)
        assert (result.exit_code, result.stderr) == (0, ""), command


def test_the_example_in_python_runs_and_its_files_and_columns_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"^```python\n(.*?)^```", OUTPUTS, re.MULTILINE | re.DOTALL)
    exec(example, {})
    assert "runs/quickstart" in capsys.readouterr().out
    run = tmp_path / "runs" / "quickstart"
    rows = (run / "metrics.jsonl").read_text().splitlines()
    names = {name.removeprefix("test/") for name in json.loads(rows[0])}
    for file in run.glob("report/*.csv"):
        names |= set(file.read_text().splitlines()[0].split(",")) if file.stem != "confusion" else set()
    over_epochs = {"top1.png", "top5.png", "mean_class_top1.png", "mean_class_f1.png", "loss.png"}
    over_epochs |= {"learning_rate.png", "speed.png"}
    files = {path.name for path in run.rglob("*") if path.is_file() and not path.name.startswith("events")}
    names |= files - over_epochs - {"state.pt"}
    assert [name for name in sorted(names) if f"`{name}`" not in OUTPUTS and f"/{name}`" not in OUTPUTS] == []


@pytest.mark.slow
def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    exec(example, {})
    assert "runs/from_python" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"spd.yaml", "runs"}


def test_all_metrics_of_both_tasks_are_told():
    metrics = {name for _, task in TASKS.items() for name in task().metrics()}
    assert [name for name in sorted(metrics) if f"`{name}`" not in OUTPUTS] == []


def test_the_files_of_the_map_exist():
    named = re.findall(r"`((?:spdbuild|tests)/[^`]*)`", (DOCS / "map.md").read_text())
    assert len(named) > 20
    assert [name for name in named if not (DOCS.parent / name).is_file()] == []


def test_torchvisions_weights_are_fine_tuned_as_the_readme_says(own_data: Path):
    torch.save(torchvision.models.resnet18().state_dict(), "resnet18.pth")
    convert, train = re.findall(
        r"^    spdbuild (convert resnet18 .*|train pets.yaml architecture=.*)", README, re.MULTILINE
    )
    less = " batch=2 max_steps=1 workers=0 data.size=32"
    for command in (convert, train + less):
        result = CliRunner().invoke(spdbuild, shlex.split(command))
        assert result.exit_code == 0, result.output
    assert "120 weights from spd.safetensors; fresh: head" in next(Path("runs").rglob("log.txt")).read_text()


@pytest.mark.parametrize("page", [*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
