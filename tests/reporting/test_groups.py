"""Which runs belong together, what they are called, and which can be compared at all."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from spdbuild.data.dataset import DATASETS
from spdbuild.declaring.roles import Role, role_of
from spdbuild.reporting.conditions import IGNORED, PLACES, differing
from spdbuild.reporting.finding import LeftOut
from spdbuild.reporting.groups import Section, make_sections
from spdbuild.reporting.run import read_run

pytestmark = pytest.mark.usefixtures("own_folder")

MakeRun = Callable[..., Path]


def sections(*folders: Path) -> list[Section]:
    return make_sections(map(read_run, folders))[0]


def data(trained: str, evaluated: str) -> dict[str, object]:
    """What an environment says of the images, by their digests."""
    digests = {"trained_on": trained, "evaluated_on": evaluated}
    return {name: {"images": 9, "classes": 2, "digest": digest} for name, digest in digests.items()}


def names(*folders: Path) -> list[str]:
    return [group.name for section in sections(*folders) for group in section.groups]


def test_a_detector_and_its_twin_are_measured_alike(make_run: MakeRun) -> None:
    detector = ("architecture=yolov5", "variant=n", "data={name: tiny_objects}", "task.evaluation.sizes.tiny=[0, 16]")
    own = make_run("runs/spd", *detector, metrics={"AP": 0.3})
    twin = make_run("runs/spd/strided", *detector, "passes=[]", metrics={"AP": 0.2})
    # A number is the same number as a whole one.
    text = (twin / "recipe.yaml").read_text()
    assert "[0.0, 16.0]" in text
    (twin / "recipe.yaml").write_text(text.replace("[0.0, 16.0]", "[0, 16]"))
    (section,) = sections(own, twin)
    assert [group.name for group in section.groups] == ["spd/strided", "spd"]


def test_runs_whose_networks_extend_other_files_are_others(make_run: MakeRun) -> None:
    folders = [make_run(f"runs/a_seed{seed}", f"seed={seed}", metrics={"top1": 0.5}) for seed in (0, 1, 2)]
    for folder, width in zip(folders, (4, 4, 8), strict=True):
        (folder / "sources").mkdir()
        (folder / "sources" / "base.yaml").write_text(f"vars: {{width: {width}}}\n")
    (section,) = sections(*folders)
    assert sorted(group.seeds for group in section.groups) == [(0, 1), (2,)]


def test_an_empty_key_says_no_more_than_an_absent_one(make_run: MakeRun) -> None:
    old, new = (make_run(f"runs/a_seed{seed}", f"seed={seed}", metrics={"top1": 0.5}) for seed in (0, 1))
    text = (old / "recipe.yaml").read_text()
    assert "class_weights: null" in text
    (old / "recipe.yaml").write_text(text.replace("  class_weights: null\n", ""))
    (section,) = sections(old, new)
    assert [(group.name, group.seeds) for group in section.groups] == [("a", (0, 1))]


def test_seeds_and_what_changes_no_result_are_one_group(make_run: MakeRun) -> None:
    (section,) = sections(
        make_run("runs/a", "seed=1", metrics={"top1": 0.9}),
        make_run("runs/b", "title=a", "seed=0", "workers=0", "test_batch=7", "save_every=5", metrics={"top1": 0.8}),
    )
    (group,) = section.groups
    assert (group.name, group.seeds) == ("a", (0, 1))
    spread = group.metric("top1")
    assert spread is not None
    assert spread.to_dict() == {
        "n": 2,
        "mean": pytest.approx(0.85),
        "deviation": pytest.approx(np.std([0.8, 0.9], ddof=1)),
        "lowest": 0.8,
        "highest": 0.9,
    }


@pytest.mark.parametrize("change", ["epochs=3", "optimizer.lr=0.2", "batch=64"])
def test_any_other_key_makes_another_group(make_run: MakeRun, change: str) -> None:
    found = names(make_run("runs/a", metrics={}), make_run("runs/b", "title=a", change, metrics={}))
    key, value = change.split("=")
    assert len(found) == 2
    assert f"a ({change})" in found
    assert any(name.startswith(f"a ({key}=") and name != f"a ({key}={value})" for name in found)


def test_the_order_of_patterns_makes_another_group(make_run: MakeRun) -> None:
    first = make_run("runs/a", "optimizer.scales={head: 10, '*': 0.1}", metrics={})
    swapped = make_run("runs/b", "title=a", "optimizer.scales={'*': 0.1, head: 10}", metrics={})
    assert names(first, swapped) == [
        "a (optimizer.scales order=[*, head])",
        "a (optimizer.scales order=[head, *])",
    ]
    other = make_run("runs/c", "title=a", "optimizer.scales={head: 10, stem: 0.1}", metrics={})
    assert not any("order" in name for name in names(first, other))


def test_no_more_keys_than_are_needed_tell_groups_apart(make_run: MakeRun) -> None:
    found = names(
        make_run("runs/a", "epochs=2", "batch=1", metrics={}),
        make_run("runs/b", "title=a", "epochs=3", "batch=2", metrics={}),
    )
    assert found == ["a (batch=1)", "a (batch=2)"]


def test_a_network_and_a_precision_that_the_recipe_does_not_tell(make_run: MakeRun) -> None:
    found = names(
        make_run("runs/a", metrics={}),
        make_run("runs/b", "title=a", macs=3_000_000, metrics={}),
        make_run("runs/c", "title=a", precision="bf16", metrics={}),
    )
    digests = [sha256(f"model: made_up   # {macs} MACs\n".encode()).hexdigest()[:10] for macs in (2_000_000, 3_000_000)]
    assert found == [
        f"a (architecture.yaml={digests[0]}, precision=bf16)",
        f"a (architecture.yaml={digests[0]}, precision=fp32)",
        f"a (architecture.yaml={digests[1]}, precision=fp32)",
    ]


def test_a_text_that_means_another_network_to_another_version_is_another_group(make_run: MakeRun) -> None:
    made = [
        make_run(f"runs/{number}", "title=a", f"seed={number}", macs=macs, metrics={})
        for number, macs in enumerate((2_000_000, 3_000_000))
    ]
    for run in made:
        (run / "architecture.yaml").write_text("model: the_same\n")
    assert names(*made) == ["a (parameters=200000)", "a (parameters=300000)"]


def test_runs_that_are_called_differently_have_the_name_of_the_lowest_seed(make_run: MakeRun) -> None:
    folders = [make_run(f"runs/{name}", f"seed={seed}", metrics={}) for name, seed in (("a", 1), ("b", 0), ("c", 2))]
    assert names(*folders) == ["b"]


def test_the_same_seed_counts_once(make_run: MakeRun) -> None:
    one, two = (make_run(f"runs/{name}", "title=a", metrics={"top1": 0.5}) for name in ("a", "a-2"))
    for older, newer in ((one, two), (two, one)):
        for ended, folder in enumerate((older, newer)):
            os.utime(folder / "report/summary.json", ns=(ended, ended))
        ((section,), left_out) = make_sections(map(read_run, (one, two)))
        assert [run.folder for run in section.runs] == [newer]
        why = f"{newer} is newer, of the same recipe and the same seed 0, which counts once"
        assert left_out == [LeftOut(older, f"{why}; whether both have the same images is not known")]


def test_it_is_said_that_runs_of_a_seed_have_the_same_images(make_run: MakeRun) -> None:
    folders = [make_run(f"runs/{name}", "title=a", metrics={}, data=data("aa", "bb")) for name in ("a", "a-2")]
    ((section,), (left_out,)) = make_sections(map(read_run, folders))
    assert len(section.runs) == 1
    assert left_out.why.endswith("which counts once; both have the same images")


def test_runs_on_other_images_have_no_mean(make_run: MakeRun) -> None:
    first, second = sections(
        make_run("runs/a_s0", metrics={}, data=data("aa", "bb")),
        make_run("runs/a_s1", "seed=1", metrics={}, data=data("aa", "cc")),
    )
    assert differing([first.measured, second.measured]) == ["evaluation images"]
    assert (first.runs[0].seed, second.runs[0].seed) == (0, 1)


def test_runs_that_learned_from_other_images_are_groups(make_run: MakeRun) -> None:
    found = names(
        make_run("runs/a", metrics={}, data=data("aa", "cc")),
        make_run("runs/b", "title=a", metrics={}, data=data("bb", "cc")),
    )
    assert found == ["a (training images=9 with digest aa)", "a (training images=9 with digest bb)"]


def test_images_are_the_same_wherever_they_are(make_run: MakeRun) -> None:
    places = ("root: two", "root: /elsewhere/two", "root: two, on_error: skip")
    (section,) = sections(
        *(
            make_run(f"runs/a_s{seed}", f"seed={seed}", f"data={{name: folder, {at}}}", metrics={}, data=data("a", "b"))
            for seed, at in enumerate(places)
        )
    )
    assert [group.seeds for group in section.groups] == [(0, 1, 2)]


def test_images_without_a_digest_are_told_by_the_keys_of_the_data(make_run: MakeRun) -> None:
    runs = (
        make_run(
            f"runs/a_s{seed}", f"seed={seed}", f"data={{name: folder, root: {root}}}", metrics={}, data=data("", "")
        )
        for seed, root in enumerate(("two", "three"))
    )
    assert len(sections(*runs)) == 2


def test_a_resumed_run_has_the_images_that_it_ended_with(make_run: MakeRun) -> None:
    again = [{"command": ["spdbuild"], "data": data("cc", "dd")}, {"command": ["spdbuild"]}]
    moved, back = (
        make_run(f"runs/{name}", metrics={}, data=data("aa", "bb"), resumed=resumed)
        for name, resumed in (("a", again[:1]), ("b", again))
    )
    assert read_run(moved).images == ("9 with digest cc", "9 with digest dd")
    assert read_run(back).images == ("9 with digest aa", "9 with digest bb")


def test_what_a_resumed_run_may_change_of_its_data_is_not_compared() -> None:
    for name, kind in DATASETS.items():
        resumed = {f"data.{field.name}" for field in dataclasses.fields(kind) if Role.RESUMED in role_of(field)}
        assert resumed <= IGNORED | PLACES, name


def test_other_data_and_another_evaluation_are_sections(make_run: MakeRun) -> None:
    detector = ("data={name: tiny_objects}", "architecture=yolov5", "variant=n")
    found = sections(
        make_run("runs/a", metrics={}),
        make_run("runs/b", *detector, metrics={}),
        make_run("runs/c", *detector, "task.evaluation.max_detections=50", metrics={}),
    )
    assert [section.title for section in found] == [
        "digits",
        "tiny_objects (task.evaluation.max_detections=100)",
        "tiny_objects (task.evaluation.max_detections=50)",
    ]
    assert differing([found[0].measured, found[1].measured]) == ["data.name", "task.name"]


def test_networks_as_they_were_come_first_and_then_the_cheap_ones(make_run: MakeRun) -> None:
    found = names(
        make_run("runs/dear", "epochs=3", metrics={}, macs=9),
        make_run("runs/cheap", metrics={}, macs=5),
        make_run("runs/strided", "passes=[]", metrics={}, macs=7),
    )
    assert found == ["strided", "cheap", "dear"]


def test_times_of_different_machines_have_no_mean(make_run: MakeRun) -> None:
    (section,) = sections(
        make_run("runs/a", metrics={}), make_run("runs/b", "title=a", "seed=1", metrics={}, processor="Xeon")
    )
    assert section.groups[0].seconds is None
    assert section.groups[0].images_per_second is None


def test_a_metric_that_one_run_has_not_measured_has_no_mean(make_run: MakeRun) -> None:
    (section,) = sections(
        make_run("runs/a", metrics={"top1": 0.5}), make_run("runs/b", "title=a", "seed=1", metrics={"top1": None})
    )
    assert section.groups[0].metric("top1") is None


def test_tables_show_the_precisions_of_detectors_unless_others_are_wanted(make_run: MakeRun) -> None:
    (section,) = sections(make_run("runs/a", metrics={"AP": 0.1, "AP_tiny": 0.2, "AR100": 0.3, "fitness": 0.4}))
    assert section.shown() == ("AP", "AP_tiny")
    assert section.shown(["fitness", "top1"]) == ("fitness",)
