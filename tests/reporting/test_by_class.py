"""Metrics of each class over the seeds."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spdbuild.errors import InputError, UnknownNameError
from spdbuild.reporting.report import Report, report

pytestmark = pytest.mark.usefixtures("own_folder")

MakeRun = Callable[..., Path]
#: The top1 of cats and dogs, of which there are 3 and 1, by seed.
CONVERTED, STRIDED = ((1.0, 0.0), (2 / 3, 1.0)), ((1 / 3, 0.0), (1 / 3, 1.0))


@pytest.fixture
def runs(make_run: MakeRun) -> list[Path]:
    found = []
    for name, macs, by_seed, *changes in (("spd", 9, CONVERTED), ("strided", 5, STRIDED, "passes=[]")):
        for seed, (cats, dogs) in enumerate(by_seed):
            metrics = {"top1": (3 * cats + dogs) / 4}
            folder = make_run(
                f"runs/{name}{seed}", f"title={name}", f"seed={seed}", *changes, metrics=metrics, macs=macs
            )
            table = f"class,images,top1,precision\ncat,3,{cats},0.5\ndog,1,{dogs},{'0.25' if seed else ''}\n"
            (folder / "report/classes.csv").write_text(table)
            found.append(folder)
    return found


def made(*metrics: str, **options: str) -> Report:
    return report("runs", quiet=True, by_class=metrics, **options)


def test_means_deviations_and_paired_differences_of_each_class(runs: list[Path]) -> None:
    document = made("top1").to_dict()
    cat, dog = document["sections"][0]["classes"]["top1"]
    assert (cat["class"], cat["count"], dog["class"], dog["count"]) == ("cat", 3, "dog", 1)
    own, other = np.array(CONVERTED), np.array(STRIDED)
    for place, row in enumerate((cat, dog)):
        for name, values in (("spd", own[:, place]), ("strided", other[:, place])):
            spread = row["groups"][name]
            assert (spread["mean"], spread["deviation"]) == pytest.approx((values.mean(), values.std(ddof=1)))
        apart = own[:, place] - other[:, place]
        (told,) = row["differences"]
        assert (told["group"], told["reference"], told["n"]) == ("spd", "strided", 2)
        assert (told["mean"], told["deviation"]) == pytest.approx((apart.mean(), apart.std(ddof=1)))


def test_the_tables(runs: list[Path]) -> None:
    part, reading = made("top1", "precision").parts
    tables = {table.columns[0]: table for table in part.tables}
    assert tables["top1 of class"].plain() == (
        "top1 of class  images          strided              spd\n"
        "cat                 3  0.3333 ± 0.0000  0.8333 ± 0.2357\n"
        "dog                 1  0.5000 ± 0.7071  0.5000 ± 0.7071\n"
    )
    assert tables["difference in top1"].plain() == (
        "difference in top1     spd - strided\n"
        "cat                 +0.5000 ± 0.2357\n"
        "dog                 +0.0000 ± 0.0000\n"
    )
    # One seed has no precision of dogs.
    assert [row[-1] for row in tables["precision of class"].rows] == ["0.5000 ± 0.0000", "n/a"]
    assert any("None of them is tested" in sentence for sentence in reading.sentences)
    assert "None of them is tested" not in str(made().parts)


def test_the_files_have_them(runs: list[Path]) -> None:
    made("top1", output="out")
    rows = list(csv.DictReader(Path("out/by_class.csv").read_text().splitlines()))
    assert [(row["class"], row["count"], row["group"], row["seeds"]) for row in rows] == [
        ("cat", "3", "strided", "0 1"),
        ("cat", "3", "spd", "0 1"),
        ("dog", "1", "strided", "0 1"),
        ("dog", "1", "spd", "0 1"),
    ]
    assert (rows[0]["reference"], rows[0]["difference"], rows[1]["reference"]) == ("", "", "strided")
    assert float(rows[1]["difference"]) == pytest.approx(0.5)
    for name in ("report.md", "report.tex", "index.html"):
        assert "top1 of class" in Path("out", name).read_text()
    made(output="out")
    assert not Path("out/by_class.csv").exists()


def test_a_run_without_them_is_told(runs: list[Path]) -> None:
    (runs[0] / "report/classes.csv").unlink()
    part, _ = made("top1").parts
    assert part.sentences[-1] == "runs/spd0 has no results by class: there is no runs/spd0/report/classes.csv"
    assert [row[3] for row in next(table for table in part.tables if "of class" in table.columns[0]).rows] == [
        "n/a"
    ] * 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "class,images,top1\ncat,3,1\ndog,1,1\n",
            "gives top1 1.000000 and the run says 0.750000: it is of other weights",
        ),
        ("class,images,top1\ncat,3,high\n", "is damaged: could not convert string to float: 'high'"),
        ("class,images,top1\ncat,nan,1\n", "is damaged: 'nan' is no finite number"),
        ("class,images,top1\ncat,3,nan\n", "is damaged: 'nan' is no finite number"),
        ("class,images,top1\ncat,1e999,1\n", "is damaged: '1e999' is no finite number"),
        ("images,top1\n3,1\n", "is damaged: 'class'"),
        ("class,images,top1\ncat,3,1,7\n", "is damaged: "),
    ],
)
def test_results_that_cannot_be_used_are_told(runs: list[Path], text: str, told: str) -> None:
    (runs[0] / "report/classes.csv").write_text(text)
    assert re.search(f"runs/spd0/report/classes.csv {re.escape(told)}", made("top1").parts[0].sentences[-1])


def test_a_detector_has_objects_and_its_mean_precision_is_checked(make_run: MakeRun) -> None:
    folder = make_run("runs/a", metrics={"AP": 0.25, "AP50": 0.5})
    (folder / "report/classes.csv").write_text("class,AP,objects\ncar,0.3,1200\nbus,0.2,3\nvan,,0\n")
    (table,) = (table for table in made("AP").parts[0].tables if table.columns[0] == "AP of class")
    assert list(map(list, table.rows)) == [["car", "1,200", "0.3000"], ["bus", "3", "0.2000"], ["van", "0", "n/a"]]
    (folder / "report/classes.csv").write_text("class,AP,objects\ncar,0.3,1200\nbus,0.3,3\n")
    with pytest.raises(InputError, match="no run has results by class") as caught:
        made("AP")
    assert "gives AP 0.300000 and the run says 0.250000" in str(caught.value)


def test_an_unknown_metric_is_refused(runs: list[Path]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        made("precisoin")
    assert str(caught.value) == "error: no run has 'precisoin' by class\n      = hint: did you mean 'precision'?"
