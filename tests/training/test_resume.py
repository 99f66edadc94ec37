"""A run that was stopped and resumed is, bit for bit, the run that was not."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from spdbuild.errors import DataError, RecipeError, RunError, WeightsError
from spdbuild.training.checkpoint import VERSION, load_state
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running import loop as loop_module
from spdbuild.training.running.run import resume, train

Rows = Callable[[Path], list[dict[str, Any]]]
Same = Callable[[Path, Path], None]
Interrupt = Callable[[Path, list[str], Path, signal.Signals], tuple[int, str]]
Killed = Callable[[Path, list[str], list[int]], list[Path]]


def test_a_run_stopped_between_epochs_and_resumed_is_the_uninterrupted_run(
    recipe: Path, tmp_path: Path, assert_same_run: Same
) -> None:
    # The number of epochs sets the schedule, so the stop is one by max_steps at the end of an epoch.
    whole = train(recipe, quiet=True, runs=tmp_path / "whole")
    part = train(recipe, ["max_steps=12"], quiet=True, runs=tmp_path / "part")
    resume(part.folder, ["max_steps=null"], quiet=True)
    assert_same_run(part.folder, whole.folder)


#: Six steps in the first epoch, of 1, 1, 2, 2, 3 and 3 batches, and then three of 4.
GROWING = ["nominal_batch=512", "schedule={name: cosine, warmup_epochs: 1, warmup_accumulate: true}"]


@pytest.mark.parametrize(
    "extra",
    [
        [],
        ["accumulate=2"],
        GROWING,
        ["optimizer={name: adamw, lr: 0.01, scales: {head: 2}}"],
        ["precision=bf16"],
        ["sampling=balanced"],
    ],
)
def test_a_run_stopped_within_an_epoch_and_resumed_is_the_uninterrupted_run(
    recipe: Path, tmp_path: Path, extra: list[str], assert_same_run: Same
) -> None:
    whole = train(recipe, extra, quiet=True, runs=tmp_path / "whole")
    part = train(recipe, [*extra, "max_steps=8"], quiet=True, runs=tmp_path / "part")
    resume(part.folder, ["max_steps=null"], quiet=True)
    assert_same_run(part.folder, whole.folder)


def test_equal_seeds_give_equal_runs_and_other_seeds_others(recipe: Path, tmp_path: Path) -> None:
    runs = [train(recipe, [f"seed={seed}", "epochs=1"], quiet=True, runs=tmp_path) for seed in (0, 0, 1)]
    first, second, other = (load_file(run.folder / "weights" / "last.safetensors") for run in runs)
    assert torch.equal(first["stem.weight"], second["stem.weight"])
    assert not torch.equal(first["stem.weight"], other["stem.weight"])


def test_a_complete_run_is_only_evaluated_when_it_is_resumed(recipe: Path, tmp_path: Path, rows: Rows) -> None:
    done = train(recipe, ["epochs=1"], quiet=True, runs=tmp_path)
    again = resume(done.folder, quiet=True)
    assert again.metrics == done.metrics
    assert len(rows(done.folder)) == 1
    log = (done.folder / "log.txt").read_text().splitlines()
    assert log[-2] == "small: complete after 1 epochs; epochs=N goes further"
    assert log[-1].startswith("epoch 1/1  train/loss ")


def test_epochs_that_are_done_cannot_be_taken_back(recipe: Path, tmp_path: Path) -> None:
    folder = train(recipe, ["epochs=2", "max_steps=2"], runs=tmp_path, quiet=True).folder
    resume(folder, ["max_steps=null"], quiet=True)
    before = (folder / "recipe.yaml").read_text()
    with pytest.raises(RecipeError, match="the run has had 2 epochs, and epochs=1 cannot take them back") as caught:
        resume(folder, ["epochs=1"], quiet=True)
    assert caught.value.problems[0].hint == "epochs=2, or more"
    assert (folder / "recipe.yaml").read_text() == before


def test_a_resumed_run_cannot_become_another(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1"], quiet=True, runs=tmp_path)
    with pytest.raises(RecipeError, match="a resumed run stays what it was, so 'optimizer.lr' cannot change") as caught:
        resume(done.folder, ["epochs=2", "optimizer.lr=0.5"], quiet=True)
    location = caught.value.problems[0].location
    assert location is not None
    assert (location.file, location.text) == ("command line", "optimizer.lr=0.5")


def test_a_twin_of_a_run_that_was_made_longer_goes_on_alone(recipe: Path, tmp_path: Path, rows: Rows) -> None:
    options = ["epochs=1", "compare={other: {seed: 9}}"]
    folder = train(recipe, options, quiet=True, runs=tmp_path).folder
    resume(folder, ["epochs=3", "max_steps=20"], quiet=True)
    assert load_recipe(folder / "other" / "recipe.yaml").epochs == 3
    resume(folder / "other", ["max_steps=null"], quiet=True)
    assert [row["epoch"] for row in rows(folder / "other")] == [1, 2, 3]


def test_a_run_that_cannot_go_on_keeps_its_recipe(recipe: Path, tmp_path: Path) -> None:
    folder = train(recipe, ["epochs=1"], quiet=True, runs=tmp_path).folder
    before = (folder / "recipe.yaml").read_text()
    (folder / "state" / "state.pt").write_bytes(b"")
    with pytest.raises(WeightsError):
        resume(folder, ["epochs=5"], quiet=True)
    assert (folder / "recipe.yaml").read_text() == before


def test_an_epoch_that_was_trained_before_keeps_its_speed(recipe: Path, tmp_path: Path) -> None:
    part = train(recipe, ["epochs=1", "max_steps=12"], quiet=True, runs=tmp_path)
    table = part.folder / "metrics.jsonl"
    stopped = json.loads(table.read_text())
    assert resume(part.folder, ["max_steps=null"], quiet=True).images_per_second == part.images_per_second > 0
    ended = json.loads(table.read_text())
    assert [ended[name] for name in ("seconds", "images_per_second")] == [
        stopped[name] for name in ("seconds", "images_per_second")
    ]


def test_a_run_can_be_made_longer(recipe: Path, tmp_path: Path, rows: Rows) -> None:
    done = train(recipe, ["epochs=1"], quiet=True, runs=tmp_path)
    resume(done.folder, ["epochs=2"], quiet=True)
    assert [row["epoch"] for row in rows(done.folder)] == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no state of a run that can be read"), (b"PK\x03\x04 cut off", "no state of a run that can be read")],
    ids=["empty", "cut off"],
)
def test_a_damaged_state_is_named(recipe: Path, tmp_path: Path, content: bytes, message: str) -> None:
    done = train(recipe, ["epochs=1"], quiet=True, runs=tmp_path)
    (done.folder / "state" / "state.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        resume(done.folder, ["epochs=2"], quiet=True)


def test_a_state_with_code_in_it_is_refused(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, ("true",)

    torch.save({"position": Code()}, tmp_path / "state.pt")
    with pytest.raises(WeightsError, match="no state of a run that can be read"):
        load_state(tmp_path / "state.pt")


@pytest.mark.parametrize("part", ["version", "data", "a key"])
def test_a_state_of_lists_that_share_their_parts_is_refused(tmp_path: Path, part: str) -> None:
    nested: Any = (1,)
    for _ in range(60):
        nested = (nested, nested)
    state: dict[Any, Any] = {"position": {}, "version": VERSION}
    if part == "a key":
        # Python itself would never come to an end with its hash.
        path = tmp_path / "state" / "state.pt"
        path.parent.mkdir()
        key = b"K\x01\x85q\x00" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(60))
        pickled = b"\x80\x02}X\x08\x00\x00\x00position(" + key + b"ts" + b"h\x3cK\x01s."
        with ZipFile(path, "w") as archive:
            archive.writestr("state/data.pkl", pickled)
    else:
        path = tmp_path / "state.pt"
        torch.save({**state, part: nested}, path)
    with pytest.raises(WeightsError, match="no state of a run that can be read"):
        load_state(path)


def test_a_state_whose_version_is_no_number_is_refused(tmp_path: Path) -> None:
    torch.save({"position": {}, "version": [3]}, tmp_path / "state.pt")
    with pytest.raises(WeightsError, match="'version' is missing or damaged"):
        load_state(tmp_path / "state.pt")


def test_a_state_of_a_newer_version_goes_on_with_that(tmp_path: Path) -> None:
    torch.save({"position": {}, "version": VERSION + 1}, tmp_path / "state.pt")
    with pytest.raises(WeightsError) as caught:
        load_state(tmp_path / "state.pt")
    told = f"a newer spdbuild wrote the state: it has version {VERSION + 1}, and this one reads {VERSION}"
    assert told in str(caught.value)
    assert "hint: pip install --upgrade spdbuild" in str(caught.value)
    assert "environment.json" in str(caught.value)


def test_a_recipe_that_was_edited_by_hand_is_not_resumed_as_another_run(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1", "compare={twin: {seed: 1}}"], quiet=True, runs=tmp_path)
    files = {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file() and path.name != "log.txt"}
    stored = done.folder / "recipe.yaml"
    edited = re.sub(r"(?m)^  lr: .*$", "  lr: 0.777", stored.read_text())
    assert edited != stored.read_text()
    stored.write_text(edited)
    with pytest.raises(RecipeError, match=r"recipe\.yaml:\d+:\d+: .*'optimizer\.lr' cannot change"):
        resume(done.folder, ["epochs=2"], quiet=True)
    stored.write_bytes(files[stored])
    assert {path: path.read_bytes() for path in files} == files
    # Those of the network, too, though the network itself is stored.
    stored.write_text(re.sub(r"(?m)^passes: .*$", "passes: [strided_to_spd()]", stored.read_text()))
    with pytest.raises(RecipeError, match="'passes' cannot change"):
        resume(done.folder, ["epochs=2"], quiet=True)
    stored.write_bytes(files[stored])
    # Keys that a resumed run takes may be changed in the file as well.
    stored.write_text(stored.read_text().replace("epochs: 1\n", "epochs: 2\n"))
    assert resume(done.folder, quiet=True).metrics
    rows = (done.folder / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 2
    assert resume(done.folder, ["epochs=3"], quiet=True).metrics


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is not the folder of a run: it has no recipe.yaml"):
        resume(tmp_path, quiet=True)


@pytest.mark.parametrize("name", ["log.txt", "metrics.csv", "report", "twin/log.txt", "broken"])
def test_a_run_with_a_link_out_of_its_folder_is_not_resumed(recipe: Path, tmp_path: Path, name: str) -> None:
    folder, private = tmp_path / "run", tmp_path / "private"
    private.mkdir()
    (private / "file").write_text("mine")
    folder.mkdir()
    (folder / "recipe.yaml").write_text(recipe.read_text())
    (folder / "twin").mkdir()
    target = {"report": private, "broken": private / "new"}.get(name, private / "file")
    (folder / name).symlink_to(target)
    (tmp_path / "link").symlink_to(folder)
    for run in (folder, tmp_path / "link"):
        with pytest.raises(RecipeError, match=f"{run / name} is a link to {target}"):
            resume(run, quiet=True)
    assert [(path.name, path.read_text()) for path in private.iterdir()] == [("file", "mine")]


def test_links_within_a_run_and_to_it_are_followed(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1"], quiet=True, runs=tmp_path / "disk")
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    (done.folder / "best").symlink_to("weights/best.safetensors")
    (done.folder / "itself").symlink_to("itself")
    resume(tmp_path / "runs" / done.folder.name, ["epochs=2"], quiet=True)
    assert len(RunFolder(done.folder).metrics()) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.slow
def test_a_signal_saves_and_leaves_and_loses_nothing(
    recipe: Path, tmp_path: Path, number: signal.Signals, assert_same_run: Same, rows: Rows, interrupt: Interrupt
) -> None:
    options = ["epochs=30"]
    whole = train(recipe, options, quiet=True, runs=tmp_path / "whole")
    _, message = interrupt(recipe, options, tmp_path / "part", number)
    folder = tmp_path / "part" / "small"
    assert f"stopped by {number.name} after step" in message
    assert f"spdbuild train --resume {folder}" in message
    assert len(rows(folder)) < 30
    resume(folder, quiet=True)
    assert_same_run(folder, whole.folder)


@pytest.mark.slow
def test_thirty_kills_at_random_moments_lose_nothing(
    recipe: Path, tmp_path: Path, assert_same_run: Same, killed_runs: Killed
) -> None:
    options = ["save_every=2", "batch=256", "epochs=2"]
    whole = train(recipe, options, quiet=True, runs=tmp_path / "whole")
    folders = killed_runs(recipe, options, random.Random(0).sample(range(3, 65), 30))
    saved = [folder for folder in folders if (folder / "state" / "state.pt").is_file()]
    assert len(saved) > 20
    for folder in saved:
        resume(folder, quiet=True)
        assert_same_run(folder, whole.folder)


@pytest.fixture
def begun(recipe: Path, tmp_path: Path) -> Path:
    """The folder of a run on a folder of images that has not come to its end."""
    for split, count in {"train": 10, "test": 4}.items():
        for name in ("bee", "wasp"):
            (tmp_path / "insects" / split / name).mkdir(parents=True)
            for number in range(count // 2):
                pixels = np.full((8, 8, 3), number * 20, np.uint8)
                Image.fromarray(pixels).save(tmp_path / "insects" / split / name / f"{number}.png")
    text = recipe.read_text().replace("{name: digits}", f"{{name: folder, root: {tmp_path / 'insects'}}}")
    recipe.write_text(text)
    return train(recipe, ["batch=4", "max_steps=4"], runs=tmp_path / "runs", quiet=True).folder


def test_an_evaluation_that_fails_loses_no_epoch(recipe: Path, tmp_path: Path, assert_same_run: Same) -> None:
    whole = train(recipe, ["epochs=2"], quiet=True, runs=tmp_path / "whole")
    evaluate, calls = loop_module.evaluate_model, []

    def fails_at_first(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise DataError("a.png: is damaged")
        return evaluate(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_module, "evaluate_model", fails_at_first)
        with pytest.raises(DataError):
            train(recipe, ["epochs=2"], quiet=True, runs=tmp_path / "part")
        (folder,) = (tmp_path / "part").iterdir()
        assert load_state(folder / "state" / "state.pt").position["batch"] > 0
        resume(folder, quiet=True)
    assert_same_run(folder, whole.folder)


def test_a_run_does_not_go_on_with_other_data(begun: Path, tmp_path: Path) -> None:
    insects = tmp_path / "insects"
    (insects / "test" / "bee" / "0.png").rename(insects / "0.png")
    with pytest.raises(DataError) as caught:
        resume(begun, ["max_steps=8"], quiet=True)
    assert str(caught.value) == (
        "error: there are 3 images to evaluate on, and 4 when the run began\n"
        f"      = hint: bring back the data, or start a new run from weights={begun / 'weights' / 'last.safetensors'}"
    )
    (insects / "0.png").rename(insects / "test" / "bee" / "0.png")
    for split in ("train", "test"):
        (insects / split / "wasp").rename(insects / split / "hornet")
    with pytest.raises(DataError, match="the images to train on have other classes than when the run began"):
        resume(begun, ["max_steps=8"], quiet=True)
    for split in ("train", "test"):
        (insects / split / "hornet").rename(insects / split / "wasp")
    resume(begun, ["max_steps=8"], quiet=True)


def test_a_run_does_not_go_on_with_other_files_of_the_same_number(begun: Path, tmp_path: Path) -> None:
    image = tmp_path / "insects" / "train" / "bee" / "0.png"
    image.rename(image.with_name("other.png"))
    with pytest.raises(DataError, match="the images to train on have other names, labels or pixels than when"):
        resume(begun, ["max_steps=8"], quiet=True)


def test_a_run_goes_on_with_its_data_in_another_place(begun: Path, tmp_path: Path, assert_same_run: Same) -> None:
    whole = train(begun / "recipe.yaml", ["max_steps=8"], runs=tmp_path / "whole", quiet=True)
    (tmp_path / "insects").rename(tmp_path / "moved")
    with pytest.raises(DataError):
        resume(begun, ["max_steps=8"], quiet=True)
    resume(begun, ["max_steps=8", f"data.root={tmp_path / 'moved'}", "data.memory_gib=0"], quiet=True)
    assert_same_run(begun, whole.folder)
    assert load_recipe(begun / "recipe.yaml").data.root == str(tmp_path / "moved")


def test_a_run_whose_state_is_gone_does_not_begin_anew(begun: Path) -> None:
    (begun / "state" / "state.pt").unlink()
    before = (begun / "weights" / "last.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"state\.pt is missing, so the run cannot go on") as caught:
        resume(begun, ["max_steps=8"], quiet=True)
    assert caught.value.problems[0].hint == f"start a new run from weights={begun / 'weights' / 'last.safetensors'}"
    assert (begun / "weights" / "last.safetensors").read_bytes() == before


def test_the_environment_names_what_went_on_with_a_run(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = json.loads((begun / "environment.json").read_text())
    monkeypatch.setattr(sys, "argv", ["/bin/spdbuild", "train", "--resume", "runs/small", "max_steps=8"])
    resume(begun, ["max_steps=8"], quiet=True)
    facts = json.loads((begun / "environment.json").read_text())
    assert {name: fact for name, fact in facts.items() if name != "resumed"} == first
    assert facts["resumed"] == [{"command": sys.argv}]
    assert "; then spdbuild train --resume runs/small max_steps=8" in (begun / "report" / "index.html").read_text()
    (begun / "environment.json").unlink()
    resume(begun, ["max_steps=9"], quiet=True)
    assert json.loads((begun / "environment.json").read_text())["command"] == sys.argv
