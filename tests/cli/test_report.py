"""`spdbuild report`."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

import spdbuild
from spdbuild.metrics import by_image
from spdbuild.metrics.by_image.answers import Answers
from spdbuild.reporting.conditions import IGNORED

Run = Callable[..., Result]
MakeRun = Callable[..., Path]

#: Run where `torch` cannot be imported.
WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None; sys.argv[0] = 'spdbuild'; from spdbuild.cli import main; main()"
)
# Tables are as wide as they are.
# ruff: noqa: E501
REPORT = """\
digits

group        runs             top1             loss  parameters       MACs  training s  images/s
fit/strided     3  0.8500 ± 0.0100  0.4000 ± 0.0000     200,000  2,000,000  10.0 ± 0.0   150 ± 0
fit             3  0.8700 ± 0.0100  0.3000 ± 0.1000     300,000  3,000,000  12.0 ± 0.0   150 ± 0

difference         metric  seeds                 seed by seed     mean       95 % interval  conclusion
fit - fit/strided  top1    0, 1, 2  +0.0200, +0.0300, +0.0100  +0.0200  -0.0048 to +0.0448  no difference shown (3 seeds)
fit - fit/strided  loss    0, 1, 2  -0.2000, -0.1000, +0.0000  -0.1000  -0.3484 to +0.1484  no difference shown (3 seeds)

cost               parameters   MACs  training time  images/s  recipes differ in
fit - fit/strided       x1.50  x1.50          x1.20     x1.00  passes

run of       seed    top1    loss  epochs  training s  images/s  folder
fit/strided     0  0.8400  0.4000       2        10.0       150  runs/fit_s0/strided
fit/strided     1  0.8500  0.4000       2        10.0       150  runs/fit_s1/strided
fit/strided     2  0.8600  0.4000       2        10.0       150  runs/fit_s2/strided
fit             0  0.8600  0.2000       2        12.0       150  runs/fit_s0
fit             1  0.8800  0.3000       2        12.0       150  runs/fit_s1
fit             2  0.8700  0.4000       2        12.0       150  runs/fit_s2

The 2 intervals are not corrected for their number: where nothing differs, one of twenty leaves 0 out by chance.

How to read this

Metrics are those of the weights that a run ended with, mean ± sample standard deviation (n - 1) over the seeds. The best epoch of a run is chosen by the images that it is measured on, so its metrics, in runs.csv, flatter.
Differences are taken seed by seed. Runs of one seed draw the same batches unless their batch size, augmentation, sampling, training images or number of processes differ, and the same first weights in every layer that has the same name, shape and initializer in both. The interval is Student's for their mean, with 95 % confidence; it takes them for draws from a normal distribution, which a few seeds cannot show. One seed gives no interval and no conclusion.
"""
ONE = """\
digits

group  runs    top1  parameters       MACs  training s  images/s
a         1  0.5000     200,000  2,000,000        10.0       150

run of  seed    top1  epochs  training s  images/s  folder
a          0  0.5000       2        10.0       150  runs/a


How to read this

Metrics are those of the weights that a run ended with, mean ± sample standard deviation (n - 1) over the seeds. The best epoch of a run is chosen by the images that it is measured on, so its metrics, in runs.csv, flatter.
"""
#: Top-1 and loss of three seeds, converted and strided.
CONVERTED = ((0.86, 0.2), (0.88, 0.3), (0.87, 0.4))
STRIDED = ((0.84, 0.4), (0.85, 0.4), (0.86, 0.4))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("runs")


@pytest.fixture
def runs(make_run: MakeRun, folder: Path) -> Path:
    """Three seeds of a converted network, each with its strided twin."""
    for seed, (own, other) in enumerate(zip(CONVERTED, STRIDED, strict=True)):
        run = make_run(
            folder / f"fit_s{seed}",
            f"seed={seed}",
            "compare={strided: {passes: []}}",
            metrics=dict(zip(("top1", "loss"), own, strict=True)),
            macs=3_000_000,
            seconds=12.0,
        )
        make_run(run / "strided", f"seed={seed}", "passes=[]", metrics=dict(zip(("top1", "loss"), other, strict=True)))
    return folder


def test_the_whole_output(run: Run, runs: Path) -> None:
    result = run("report", runs)
    assert (result.exit_code, result.stdout, result.stderr) == (0, REPORT, "")


def test_one_run_has_nothing_to_be_compared_with(run: Run, make_run: MakeRun, folder: Path) -> None:
    make_run(folder / "a", metrics={"top1": 0.5})
    assert run("report", folder / "a").stdout == ONE


def test_torch_is_not_imported(runs: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "report", str(runs), "-o", "report"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, REPORT, "wrote report\n")


def test_json_has_every_metric_and_every_run(run: Run, runs: Path) -> None:
    result = run("report", runs, "--metric", "top1", "--json")
    (section,) = json.loads(result.stdout)["sections"]
    strided, own = section["groups"]
    assert (strided["name"], strided["seeds"]) == ("fit/strided", [0, 1, 2])
    assert own["metrics"]["top1"]["mean"] == pytest.approx(0.87)
    assert own["metrics"]["loss"]["lowest"] == 0.2
    assert [entry["metrics"]["top1"] for entry in own["runs"]] == [0.86, 0.88, 0.87]
    assert own["runs"][1]["command"] == "spdbuild train made_up.yaml seed=1"
    (pair,) = section["comparisons"]
    assert (pair["group"], pair["reference"]) == ("fit", "fit/strided")
    assert pair["differing"] == {"passes": ["[]", "[strided_to_spd()]"]}
    assert pair["differences"]["top1"]["verdict"] == "no difference shown (3 seeds)"
    assert json.loads(result.stdout)["left_out"] == []


def test_a_best_that_never_was_a_number_is_null(run: Run, make_run: MakeRun, folder: Path) -> None:
    file = make_run(folder / "a", metrics={"top1": 0.5}) / "report/summary.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "best": float("-inf"), "best_epoch": 0}))
    printed = run("report", folder / "a", "--json", "-o", "report").stdout
    assert json.loads(printed)["sections"][0]["groups"][0]["runs"][0]["best"] is None
    (row,) = csv.DictReader(Path("report/runs.csv").read_text().splitlines())
    assert (row["best"], row["best_epoch"]) == ("", "0")


def test_the_help_names_every_key_that_does_not_change_the_result(run: Run) -> None:
    told = " ".join(run("report", "--help").stdout.split())
    (named,) = re.findall(r"keys that do not change the result: (.+?)\. Runs on other", told)
    # Seeds are what a group is made of, and of the precision the one that was used is compared.
    assert {*re.split(", | and ", named), "seed", "precision"} == IGNORED


def test_images_are_resampled_when_that_is_wanted(run: Run, runs: Path) -> None:
    lacking = run("report", runs, "--resample", "60", "--metric", "top1")
    assert (
        "fit - fit/strided has no interval over images: there is no runs/fit_s0/report/by_image.npz;" in lacking.stdout
    )
    assert "over images  conclusion" not in lacking.stdout
    labels = np.arange(100) % 2
    for seed, pair in enumerate(zip(CONVERTED, STRIDED, strict=True)):
        for folder, (share, loss) in zip((f"fit_s{seed}", f"fit_s{seed}/strided"), pair, strict=True):
            wrong = (np.random.default_rng(seed).permutation(100) >= round(100 * share)).astype(np.int64)
            answers = Answers(labels, labels ^ wrong, wrong, np.full(100, loss), 2, 2)
            by_image.save(runs / folder / "report" / by_image.FILE, answers)
    result = run("report", runs, "--resample", "60", "--metric", "top1", "--json", "-o", "report")
    document = json.loads(result.stdout)
    (pair,) = document["sections"][0]["comparisons"]
    told = pair["differences"]["top1"]
    row, *_ = csv.DictReader(Path("report/differences.csv").read_text().splitlines())
    assert [row["over_images_low"], row["over_images_high"]] == list(map(str, told["interval_over_images"]))
    low, high = pair["differences"]["top1"]["interval_over_images"]
    assert low < pair["differences"]["top1"]["mean"] < high
    assert document["resamples"] == 60
    assert "wrote report" in result.stderr
    assert "over images" in Path("report/report.md").read_text()
    shown = run("report", runs, "--resample", "60", "--metric", "top1").stdout
    exact = ", ".join(f"{test['p']:.3g}" for test in told["mcnemar"].values())
    wider, widest = told["interval_over_images_and_seeds"]
    assert wider < low < high < widest
    intervals = " +".join(re.escape(f"{ends[0]:+.4f} to {ends[1]:+.4f}") for ends in ((low, high), (wider, widest)))
    assert re.search(rf"{intervals} +{exact}  no difference shown \(3 seeds\)", shown)
    assert row["mcnemar_p"] == " ".join(str(test["p"]) for test in told["mcnemar"].values())


def test_too_few_resamples_are_refused(run: Run, runs: Path) -> None:
    result = run("report", runs, "--resample", "5")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: 5 resamples tell too little\n      = hint: at least 50; 200 suffice\n",
    )


def test_python_gives_the_same_document(run: Run, runs: Path) -> None:
    assert spdbuild.report("runs").to_dict() == json.loads(run("report", runs, "--json").stdout)


def test_only_metrics_that_are_wanted(run: Run, runs: Path) -> None:
    lines = run("report", runs, "--metric", "loss").stdout.splitlines()
    assert lines[2].split() == ["group", "runs", "loss", "parameters", "MACs", "training", "s", "images/s"]
    assert "top1" not in "".join(lines)


def test_all_against_one(run: Run, runs: Path) -> None:
    document = json.loads(run("report", runs, "--against", "fit", "--json").stdout)
    (pair,) = document["sections"][0]["comparisons"]
    assert (pair["group"], pair["costs"]["macs"]) == ("fit/strided", pytest.approx(2 / 3))


def test_other_data_is_another_section(run: Run, make_run: MakeRun, folder: Path) -> None:
    make_run(folder / "a", metrics={"top1": 0.5})
    make_run(folder / "b", "data={name: cifar10, root: data}", metrics={"top1": 0.6})
    sections = json.loads(run("report", folder, "--json", "--against", "a").stdout)["sections"]
    assert [section["title"] for section in sections] == ["digits", "cifar10"]
    assert [section["notes"] for section in sections] == [
        ["Not compared with cifar10, whose runs were measured otherwise: data.name."],
        [
            "Not compared with digits, whose runs were measured otherwise: data.name.",
            "Nothing is compared here, for a was measured otherwise.",
        ],
    ]


def test_other_images_are_another_section(run: Run, make_run: MakeRun, folder: Path) -> None:
    for seed, (count, digest) in enumerate(((60, "aa"), (35, "bb"))):
        images = {"images": count, "classes": 2, "digest": digest}
        data = {"trained_on": {**images, "digest": "00"}, "evaluated_on": images}
        make_run(folder / f"a_s{seed}", f"seed={seed}", metrics={"top1": 0.5}, data=data)
    sections = json.loads(run("report", folder, "--json").stdout)["sections"]
    titles = [f"digits (evaluation images={told})" for told in ("60 with digest aa", "35 with digest bb")]
    assert [section["title"] for section in sections] == titles
    assert [section["notes"] for section in sections] == [
        [f"Not compared with {title}, whose runs were measured on other images."] for title in reversed(titles)
    ]


def test_what_else_one_must_know_is_said(run: Run, make_run: MakeRun, folder: Path) -> None:
    make_run(folder / "a", metrics={})
    make_run(folder / "b", "title=a", "seed=1", metrics={}, processor="Xeon", spdbuild_commit="f" * 40)
    make_run(folder / "c", "seed=2", "epochs=3", metrics={})
    (section,) = json.loads(run("report", folder, "--json").stdout)["sections"]
    assert section["notes"] == [
        "a is compared with nothing, for it shares no seed: seeds 0, 1.",
        "c is compared with nothing, for it shares no seed: seed 2.",
        "The runs were made by 2 states of the program: 0123456789, ffffffffff.",
        "a has no mean times, for its runs were made on different machines.",
    ]


def test_what_is_left_out_is_told(run: Run, runs: Path) -> None:
    (runs / "fit_s0/report/summary.json").write_text("{")
    (runs / "fit_s1/report/summary.json").unlink()
    shutil.rmtree(runs / "fit_s2/strided")
    (runs / "photos").mkdir()
    result = run("report", runs)
    assert result.exit_code == 0
    assert result.stderr == (
        "runs/photos is left out: it is no run, for it has no recipe.yaml, no evaluation of one, for it has no "
        "evaluation.json, nor holds any\n"
        "runs/fit_s0 is left out: report/summary.json is damaged in line 1, column 2: "
        "Expecting property name enclosed in double quotes\n"
        "runs/fit_s1 is left out: it has come to its end, but has no report/summary.json: it was cut off "
        "while it wrote its report: `spdbuild train --resume runs/fit_s1` writes it anew\n"
        "runs/fit_s2/strided is left out: it has not begun; go on with `spdbuild train --resume runs/fit_s2`\n"
    )
    assert "fit/strided     2  0.8450 ± 0.0071" in result.stdout


def test_a_run_that_was_cut_off_is_reported_as_such(run: Run, make_run: MakeRun, folder: Path) -> None:
    file = make_run(folder / "a", metrics={"top1": 0.5}) / "report/summary.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "epochs": 1}))
    text = run("report", folder).stdout
    assert "1 of 2" in text
    assert "\nEnded before their last epoch: runs/a.\n" in text


def test_nothing_to_report_is_an_error(run: Run, make_run: MakeRun, folder: Path) -> None:
    (make_run(folder / "a", metrics={}) / "environment.json").unlink()
    result = run("report", folder, "-o", "report")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: there is no run to report\n"
        "      = hint: name folders of runs that have ended, such as runs/quickstart\n"
        "      = runs/a is left out: it has no environment.json\n"
    )
    assert not Path("report").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rums"], "error: there is no folder rums\n      = hint: did you mean 'runs'?\n"),
        (["runs", "--metric", "top2"], "error: no run has a metric 'top2'\n      = hint: did you mean 'top1'?\n"),
        (
            ["runs", "--against", "fit/stride"],
            "error: there is no group of runs 'fit/stride'\n      = hint: did you mean 'fit/strided'?\n",
        ),
        (
            ["runs", "-o", "runs/fit_s0/report"],
            "error: runs/fit_s0/report holds 'summary.json', which is of no report\n"
            "      = hint: give a folder that is new, empty, or an earlier report\n",
        ),
    ],
    ids=["folder", "metric", "against", "output"],
)
def test_wrong_input(run: Run, runs: Path, arguments: list[str], message: str) -> None:
    result = run("report", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_the_files_say_where_the_numbers_are_from(run: Run, runs: Path) -> None:
    (runs / "photos").mkdir()
    result = run("report", runs, "-o", "out/report")
    assert result.stderr.endswith("\nwrote out/report\n")
    text = Path("out/report/report.md").read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert headings == ["6 runs of spdbuild", "digits", "How to read this", "How the runs were made", "Left out"]
    assert "| fit | 3 | 0.8700 ± 0.0100 | 0.3000 ± 0.1000 | 300,000 | 3,000,000 | 12.0 ± 0.0 | 150 ± 0 |\n" in text
    assert (
        "| runs/fit_s1/strided | 1 | spdbuild train made_up.yaml seed=1 | 0123456789 "
        "| cpu, EPYC, 2 of 4 threads, torch 2.11.0 |\n"
    ) in text
    with Path("out/report/runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["runs"], row["seed"], row["top1"]) for row in rows[:2]] == [
        ("fit/strided", "0", "0.84"),
        ("fit/strided", "1", "0.85"),
    ]
    assert (len(rows), rows[0]["commit"], rows[0]["folder"]) == (6, "0123456789", "runs/fit_s0/strided")


def test_differences_are_a_table_too(run: Run, runs: Path) -> None:
    document = json.loads(run("report", runs, "-o", "report", "--json").stdout)
    (pair,) = document["sections"][0]["comparisons"]
    rows = list(csv.DictReader(Path("report/differences.csv").read_text().splitlines()))
    assert [row["metric"] for row in rows] == list(pair["differences"])
    told = pair["differences"]["top1"]
    assert rows[0] == {
        "data": "digits",
        "group": "fit",
        "reference": "fit/strided",
        "metric": "top1",
        "folds": "",
        "seeds": "0 1 2",
        "mean": str(told["mean"]),
        "interval_low": str(told["interval"][0]),
        "interval_high": str(told["interval"][1]),
        "over_images_low": "",
        "over_images_high": "",
        "over_images_and_seeds_low": "",
        "over_images_and_seeds_high": "",
        "p": str(told["p"]),
        "p_holm": "",
        "deciding_images": "",
        "mcnemar_p": "",
        "mcnemar_p_holm": "",
        "verdict": "no difference shown (3 seeds)",
    }


def test_results_by_class_when_they_are_wanted(run: Run, runs: Path) -> None:
    for seed, pair in enumerate(zip(CONVERTED, STRIDED, strict=True)):
        for folder, (share, _) in zip((f"fit_s{seed}", f"fit_s{seed}/strided"), pair, strict=True):
            (runs / folder / "report/classes.csv").write_text(f"class,images,top1\ncat,50,{share}\n")
    result = run("report", runs, "--by-class", "top1", "-o", "report")
    lines = [line.split("  ") for line in result.stdout.splitlines() if line.startswith("cat")]
    assert [[cell.strip() for cell in line if cell] for line in lines] == [
        ["cat", "50", "0.8500 ± 0.0100", "0.8700 ± 0.0100"],
        ["cat", "+0.0200 ± 0.0100"],
    ]
    assert Path("report/by_class.csv").read_text().startswith("data,metric,class,count,group,seeds,mean,deviation,")
    document = json.loads(run("report", runs, "--by-class", "top1", "--json").stdout)
    (row,) = document["sections"][0]["classes"]["top1"]
    assert row["groups"]["fit"]["mean"] == pytest.approx(0.87)


def test_the_page_needs_no_other_file(run: Run, runs: Path) -> None:
    run("report", runs, "-o", "report")
    page = Path("report/index.html").read_text()
    assert page.count('src="data:image/png;base64,') == page.count("src=") == 2
    assert "href=" not in page
    assert "<td>fit - fit/strided</td>" in page


def test_names_cannot_become_tags(run: Run, make_run: MakeRun, folder: Path) -> None:
    make_run(folder / "a", "title='<b>'", metrics={"top1": 0.5})
    run("report", folder, "-o", "report")
    assert "<td>&lt;b&gt;</td>" in Path("report/index.html").read_text()


@pytest.mark.slow
def test_two_seeds_that_were_trained(run: Run, folder: Path) -> None:
    pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    Path("tiny.yaml").write_text(
        "model: tiny\ninputs: {image: [3, 8, 8]}\nlayers:\n  - stem: conv2d(4, 3, stride=2)\n  - relu()\n"
        "  - global_avg_pool()\n  - head: linear(10)\n"
    )
    Path("small.yaml").write_text(
        'architecture: tiny.yaml\npasses: ["strided_to_spd()"]\ndata: {name: digits}\nepochs: 2\nworkers: 0\n'
        "device: cpu\ncompare: {strided: {passes: []}}\n"
    )
    for seed in (0, 1):
        result = run("train", "small.yaml", f"seed={seed}", "--quiet")
        assert result.exit_code == 0, result.stderr
    (section,) = spdbuild.report("runs", output="report").to_dict()["sections"]
    assert {group["name"]: group["seeds"] for group in section["groups"]} == {
        "small/strided": [0, 1],
        "small": [0, 1],
    }
    last = [
        json.loads(Path("runs", name, "metrics.jsonl").read_text().splitlines()[-1]) for name in ("small", "small-2")
    ]
    assert section["groups"][1]["metrics"]["top1"]["mean"] == pytest.approx(sum(row["test/top1"] for row in last) / 2)
    assert section["comparisons"][0]["differing"] == {"passes": ["[]", "[strided_to_spd()]"]}
    assert {path.name for path in Path("report").iterdir()} == {
        "report.md",
        "report.tex",
        "index.html",
        "runs.csv",
        "differences.csv",
        "curves.csv",
    }
