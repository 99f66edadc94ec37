"""Evaluations of runs beside the runs: what they store, and what a report makes of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spdbuild.errors import SpdbuildError
from spdbuild.metrics.by_image import FILE as BY_IMAGE
from spdbuild.reporting.conditions import conditions, differing
from spdbuild.reporting.report import Report, report
from spdbuild.reporting.run import read_run
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.recipe import load_recipe
from spdbuild.training.report.evaluation_file import FILE, add_speed, write_evaluation_file
from spdbuild.training.running.run import train
from spdbuild.training.trained.evaluate import evaluate
from spdbuild.training.trained.speed import Speed

pytestmark = pytest.mark.usefixtures("own_folder")

MakeRun = Callable[..., Path]
#: What a run says of its images.
DATA = {name: {"images": 9, "classes": 2, "digest": name} for name in ("trained_on", "evaluated_on")}
TEST = {"images": 7, "classes": 2, "digest": "held out"}


@pytest.fixture
def runs(make_run: MakeRun) -> list[Path]:
    """Two seeds of a converted network, each with its strided twin."""
    found = []
    for seed in (0, 1):
        own = make_run(f"runs/a_s{seed}", f"seed={seed}", metrics={"top1": 0.9}, macs=9, data=DATA)
        twin = make_run(own / "strided", f"seed={seed}", "passes=[]", metrics={"top1": 0.8}, macs=5, data=DATA)
        found += [own, twin]
    for run in found:
        for name in ("best", "last"):
            (run / "weights").mkdir(exist_ok=True)
            (run / "weights" / f"{name}.safetensors").touch()
    return found


def evaluated(run: Path, to: str, top1: float, split: str = "test", weights: str = "best", **others: Any) -> Path:
    """The folder of an evaluation without results by image."""
    images, precision = others.pop("images", TEST), others.pop("precision", "fp32")
    parameters, macs = others.pop("costs", (2, 30))
    files = RunFolder(run)
    stored: Any = SimpleNamespace(
        recipe=load_recipe(files.recipe, others.pop("overrides", ())),
        folder=files,
        weights=run / "weights" / f"{weights}.safetensors",
        weights_source=str(run / "weights" / f"{weights}.safetensors"),
        input=(3, 8, 8),
        parameters=parameters,
        macs=macs,
        device="cpu",
        precision=precision,
    )
    write_evaluation_file(Path(to), stored, split, images, _metrics(top1))
    return Path(to)


def _metrics(top1: float) -> Any:
    return SimpleNamespace(metrics={"top1": top1}, counts={})


def titles(found: Report) -> list[str]:
    return [section.title for section in found.sections]


def test_they_are_grouped_over_seeds_and_compared(runs: list[Path]) -> None:
    for run, top1 in zip(runs, (0.7, 0.5, 0.6, 0.5), strict=True):
        evaluated(run, f"held_out/{'-'.join(run.parts[1:])}", top1)
    found = report("held_out", quiet=True)
    (section,) = found.sections
    assert section.title == "digits test with best weights"
    assert {group.name: group.seeds for group in section.groups} == {"a/strided": (0, 1), "a": (0, 1)}
    ((pair,),) = found.comparisons
    assert list(pair.differences[0].values.values()) == pytest.approx([0.2, 0.1])
    assert pair.differing == ("passes",)
    document = found.to_dict()["sections"][0]
    assert (document["split"], document["weights"]) == ("test", "best")
    assert document["measured"]["evaluation images"] == "7 with digest held out"
    run = section.groups[1].runs[0]
    assert (run.summary.macs, run.summary.seconds, run.images_per_second) == (30, 10.0, 150.0)
    assert run.command.startswith("spdbuild train made_up.yaml seed=0; then ")
    assert found.parts[-1].sentences[0].startswith("A heading that names a split is of evaluations")


def test_runs_are_shown_as_they_were_and_have_the_same_names(runs: list[Path]) -> None:
    alone = report("runs", quiet=True)
    for number, run in enumerate(runs):
        evaluated(run, f"held_out/{number}", 0.5)
    found = report("runs", "held_out", quiet=True, against="a/strided", output="out")
    assert titles(found) == ["digits", "digits test with best weights"]
    assert found.sections[0] == alone.sections[0]
    assert [[pair.name for pair in pairs] for pairs in found.comparisons] == [["a - a/strided"]] * 2
    rows = Path("out/runs.csv").read_text().splitlines()
    assert rows[1].startswith("digits,,last,a/strided,,0,0.8,")
    assert rows[5].startswith("digits test with best weights,test,best,a/strided,,0,0.5,")
    # Curves are of the images of training.
    assert "test with" not in Path("out/curves.csv").read_text()


def speed(milliseconds: float, batch: int = 8) -> Speed:
    return Speed(batch, 1000 / milliseconds, {"p50": milliseconds, "p90": 9.0, "p99": 10.0}, 30)


def test_latency_is_shown_with_its_machine(runs: list[Path]) -> None:
    for number, (run, latency) in enumerate(zip(runs, (2.0, 1.0, 4.0, 1.0), strict=True)):
        add_speed(evaluated(run, f"held_out/{number}", 0.5), speed(latency))
    found = report("held_out", quiet=True, output="out")
    (table,) = [table for table in found.parts[0].tables if table.columns[0] == "inference of"]
    assert [row[:5] for row in table.rows] == [
        ("a/strided", "1.00", "10.00", "8", "1,000"),
        ("a", "3.00", "10.00", "8", "375"),
    ]
    # The machine of the evaluation, not that of the training.
    assert table.rows[0][5].startswith("cpu, ")
    assert "EPYC, 2 of 4 threads, torch 2.11.0" not in table.rows[0][5]
    first, *_ = csv.DictReader(Path("out/runs.csv").read_text().splitlines())
    assert (first["latency_ms"], first["latency_machine"]) == ("1.0", table.rows[0][5])
    timing = found.to_dict()["sections"][0]["groups"][0]["timings"][0]
    assert (timing["latency_ms"]["p50"], timing["batch"]) == (1.0, 8)
    assert not any("Latencies" in sentence for sentence in found.parts[0].sentences)


def test_latencies_of_different_machines_are_not_averaged(runs: list[Path]) -> None:
    for number, run in enumerate(runs[::2]):
        folder = evaluated(run, f"held_out/{number}", 0.5)
        add_speed(folder, speed(1.0 + number))
        facts = json.loads((folder / FILE).read_text())
        facts["environment"]["resumed"][-1]["threads"] = 60 + number
        (folder / FILE).write_text(json.dumps(facts))
    found = report("held_out", quiet=True)
    (table,) = [table for table in found.parts[0].tables if table.columns[0] == "inference of"]
    assert [row[1] for row in table.rows] == ["1.00", "2.00"]
    assert ["60 of" in row[5] for row in table.rows] == [True, False]
    told = "Latencies of the 2 machines are neither averaged nor to be compared with each other."
    assert told in found.parts[0].sentences


def test_an_evaluation_without_a_speed_has_no_latency(runs: list[Path]) -> None:
    evaluated(runs[0], "held_out/1", 0.5)
    found = report("held_out", quiet=True)
    assert "inference of" not in [table.columns[0] for table in found.parts[0].tables]
    file = Path("held_out/1", FILE)
    file.write_text(json.dumps({**json.loads(file.read_text()), "speed": {"batch": 8}}))
    with pytest.raises(SpdbuildError, match="there is no run to report") as refused:
        report("held_out", quiet=True)
    assert "'speed' is not as `spdbuild eval` writes it" in str(refused.value)


def test_neither_splits_nor_weights_nor_images_are_mixed(runs: list[Path]) -> None:
    run = runs[0]
    evaluated(run, "held_out/1", 0.5)
    evaluated(run, "held_out/2", 0.5, split="val", images=DATA["evaluated_on"])
    evaluated(run, "held_out/3", 0.5, weights="last")
    (run / "weights/averaged.safetensors").touch()
    evaluated(run, "held_out/4", 0.5, weights="averaged")
    evaluated(run, "held_out/5", 0.5, precision="bf16")
    evaluated(run, "held_out/6", 0.5, images={**TEST, "digest": "other"})
    assert titles(report("held_out", quiet=True)) == [
        "digits test with best weights (evaluation precision=fp32, evaluation images=7 with digest held out)",
        "digits val with best weights",
        "digits test with last weights",
        "digits test with averaged.safetensors",
        "digits test with best weights (evaluation precision=bf16, evaluation images=7 with digest held out)",
        "digits test with best weights (evaluation precision=fp32, evaluation images=7 with digest other)",
    ]


def test_the_images_that_the_best_epoch_was_chosen_by_are_told(runs: list[Path]) -> None:
    evaluated(runs[0], "held_out/val", 0.5, split="val", images=DATA["evaluated_on"])
    evaluated(runs[0], "held_out/last", 0.5, split="val", weights="last", images=DATA["evaluated_on"])
    evaluated(runs[0], "held_out/test", 0.5)
    told = {part.title: str(part.sentences) for part in report("held_out", quiet=True).parts}
    flattering = [title for title, sentences in told.items() if "was chosen by these very images" in sentences]
    assert flattering == ["digits val with best weights"]


def test_an_evaluation_has_the_conditions_of_its_run(runs: list[Path]) -> None:
    run = read_run(runs[0])
    same = {"split": "val", "images": DATA["evaluated_on"], "costs": (run.summary.parameters, run.summary.macs)}
    both = [run, read_run(evaluated(runs[0], "held_out", 0.5, **same))]
    assert differing(list(map(conditions, both))) == ["split", "evaluated weights", "evaluation precision"]


def test_it_outlives_its_run(runs: list[Path]) -> None:
    evaluated(runs[1], "held_out", 0.5)
    runs[0].rename("elsewhere")
    assert [group.name for group in report("held_out", quiet=True).sections[0].groups] == ["a/strided"]


def test_the_newer_evaluation_counts(runs: list[Path]) -> None:
    for name, top1 in (("old", 0.5), ("new", 0.6)):
        evaluated(runs[0], f"held_out/{name}", top1)
    found = report("held_out", quiet=True)
    assert [run.summary.metrics for run in found.sections[0].runs] == [{"top1": 0.6}]
    assert str(found.left_out[0]).startswith("held_out/old is left out: held_out/new is newer")


def test_a_run_on_its_way_is_not_reported_by_its_evaluation(runs: list[Path]) -> None:
    (runs[0] / "report/summary.json").unlink()
    with pytest.raises(SpdbuildError) as caught:
        read_run(evaluated(runs[0], "held_out", 0.5))
    assert str(caught.value) == (
        "error: runs/a_s0 had not come to its end when it was evaluated; afterwards `spdbuild eval runs/a_s0 --weights "
        "runs/a_s0/weights/best.safetensors --split test -o held_out`"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"split": 3}, "evaluation.json is damaged: it has no 'split'"),
        ({"titles": []}, "evaluation.json is damaged: it has no 'titles'"),
        ({"summary": {"title": "a"}}, "evaluation.json is damaged: it has no 'architecture'"),
        ({"recipe": {}}, "the recipe in evaluation.json has no 'seed' as `spdbuild train` writes it"),
        ({"environment": {"versions": {"torch": "2"}}}, "evaluation.json is damaged: it has no 'command'"),
        (
            {"environment": {"versions": {"torch": "2"}, "command": ["a"], "gpus": 3}},
            "evaluation.json is damaged: 'gpus' is no list of names",
        ),
    ],
)
def test_damage_is_told(runs: list[Path], change: dict[str, Any], told: str) -> None:
    file = evaluated(runs[0], "held_out", 0.5) / FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(SpdbuildError) as caught:
        read_run(file.parent)
    assert str(caught.value) == f"error: {told}"


def test_resampling_names_the_command_that_evaluates_again(runs: list[Path]) -> None:
    for run in runs[:2]:
        evaluated(run, f"held_out/{run.name}", 0.5)
    (note,) = (
        text for text in report("held_out", quiet=True, resamples=50).parts[0].sentences if "no interval" in text
    )
    assert (
        f"there is no held_out/a_s0/{BY_IMAGE}; `spdbuild eval runs/a_s0 precision=fp32 --weights "
        "runs/a_s0/weights/best.safetensors --split test -o held_out/a_s0` writes it"
    ) in note


def test_a_run_that_was_trained_is_reported_by_its_evaluation() -> None:
    pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    Path("small.yaml").write_text(
        "architecture: cifar_resnet20\nvars: {depth: 1}\ndata: {name: digits}\nepochs: 1\nmax_steps: 2\nworkers: 0\n"
        'device: cpu\npasses: ["strided_to_spd()"]\ncompare: {strided: {passes: []}}\n'
    )
    folder = train("small.yaml", quiet=True).folder
    metrics = [
        evaluate(run, split="test", speed=name == "own", output=Path("held_out", name)).evaluation.metrics
        for name, run in (("own", folder), ("strided", folder / "strided"))
    ]
    found = report("held_out", resamples=50, by_class=["top1"], quiet=True)
    (section,) = found.sections
    assert {group.name: group.runs[0].summary.metrics for group in section.groups} == {
        "small": metrics[0],
        "small/strided": metrics[1],
    }
    assert {group.name: len(group.timings) for group in section.groups} == {"small/strided": 0, "small": 1}
    ((pair,),) = found.comparisons
    assert (pair.differing, pair.unresampled) == (("passes",), ())
    # After two steps both networks may say the same class of all images, but their losses differ.
    assert next(entry.over_images for entry in pair.differences if entry.metric == "loss") is not None
    assert not found.classes[0].lacking
    both = [read_run(folder), read_run(Path("held_out/own"))]
    assert differing(list(map(conditions, both))) == ["split", "evaluated weights", "evaluation precision"]
    # With a recipe in place of a run there is nothing to group, and the file does not belong to these results.
    evaluate("small.yaml", weights=folder / "weights/last.safetensors", speed=False, output="held_out/own")
    assert not Path("held_out/own", FILE).exists()
