"""What each image gave: the metrics of pycocotools from it, images that count more than once, and the file of it."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from spdbuild.boxes.size_bins import SizeBin
from spdbuild.errors import InputError
from spdbuild.metrics.by_image import ByImage, load, save
from spdbuild.metrics.by_image.answers import Answers
from spdbuild.metrics.by_image.matches import Matches
from spdbuild.metrics.detection import EvaluationOptions, evaluate_detections

IMAGES = 12
OWN_SIZES = EvaluationOptions(sizes=(SizeBin("tiny", 0, 16), SizeBin("huge", 900, 901)), max_detections=(2, 5))


@pytest.fixture
def scene() -> tuple[dict[str, Any], np.ndarray]:
    """Objects of two categories and a crowd, and detections of which some are right and some have equal scores."""
    random = np.random.default_rng(3)
    annotations, rows = [], []
    for number in range(90):
        image, category = int(random.integers(1, IMAGES)), int(random.integers(1, 3))
        box = [*random.uniform(0, 300, 2), *random.choice([10.0, 50.0, 120.0]) * random.uniform(0.7, 1.3, 2)]
        crowd = int(random.uniform() < 0.1)
        annotations.append({"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd})
        rows.append([image, *(box + random.normal(0, 3, 4)), round(random.uniform(), 1), category])
        rows.append([IMAGES - image, *random.uniform(20, 100, 4), round(random.uniform(), 1), category])
    categories = [{"id": number, "name": str(number)} for number in (1, 2, 9)]
    truth = {"images": [{"id": n} for n in range(IMAGES)], "categories": categories, "annotations": annotations}
    return truth, np.array(rows)


def matches(truth: dict[str, Any], rows: np.ndarray, options: EvaluationOptions | None = None) -> Matches:
    found = evaluate_detections(truth, rows, options).matches
    assert found is not None
    return found


def repeated(truth: dict[str, Any], rows: np.ndarray, weights: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    """A data set that has image i weights[i] times."""
    images, annotations, copies = [], [], []
    for image, times in enumerate(weights):
        for _ in range(times):
            number = len(images)
            images.append({"id": number})
            own = [a for a in truth["annotations"] if a["image_id"] == image]
            annotations += [{**a, "image_id": number, "id": len(annotations) + i} for i, a in enumerate(own)]
            copy = rows[rows[:, 0] == image].copy()
            copy[:, 0] = number
            copies.append(copy)
    return {**truth, "images": images, "annotations": annotations}, np.concatenate(copies)


@pytest.mark.parametrize("options", [None, OWN_SIZES, EvaluationOptions(class_agnostic=True)])
def test_matches_give_the_metrics_of_the_evaluation(
    scene: tuple[dict[str, Any], np.ndarray], options: EvaluationOptions | None
) -> None:
    row = evaluate_detections(*scene, options).row()
    metrics = matches(*scene, options).metrics()
    assert metrics == {name: row[name] for name in metrics}
    assert metrics.keys() >= {"AP", "AP50", "AP75"}
    assert 0 < (metrics["AP"] or 0) < 1


def test_without_detections_they_give_zero(scene: tuple[dict[str, Any], np.ndarray]) -> None:
    assert set(matches(scene[0], np.zeros((0, 7))).metrics().values()) == {0.0}


def test_without_objects_they_give_nothing(scene: tuple[dict[str, Any], np.ndarray]) -> None:
    truth, rows = scene
    assert set(matches({**truth, "annotations": []}, rows).metrics().values()) == {None}


@pytest.mark.parametrize("seed", range(5))
def test_an_image_that_counts_twice_is_two_images_of_pycocotools(
    scene: tuple[dict[str, Any], np.ndarray], seed: int
) -> None:
    random = np.random.default_rng(seed)
    weights = random.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES))
    # Which of equal scores in one image comes first is chance, and copies of the image would change it.
    scene[1][:, 5] = random.permutation(len(scene[1])) / len(scene[1])
    truth, rows = repeated(*scene, weights)
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        areas = [{**a, "area": a["bbox"][2] * a["bbox"][3], "id": a["id"] + 1} for a in truth["annotations"]]
        known.dataset = {**truth, "annotations": areas}
        known.createIndex()
        job = COCOeval(known, known.loadRes(rows.copy()), "bbox")
        job.evaluate()
        job.accumulate()
        job.summarize()
    metrics = matches(*scene).metrics(weights.astype(float))
    names = ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L", None, None, "AR100", "AR_S", "AR_M", "AR_L")
    expected = {name: value for name, value in zip(names, job.stats, strict=True) if name}
    assert {name: -1 if value is None else value for name, value in metrics.items()} == pytest.approx(
        expected, abs=1e-9
    )


def answers(labels: list[int]) -> Answers:
    count = len(labels)
    predicted, places = np.array([0, 1, 2, 0][:count]), np.array([0, 1, 5, 0][:count])
    return Answers(np.array(labels), predicted, places, np.array([0.5, 1.5, 2.25, 0.125][:count]), 3, 4)


@pytest.fixture(params=["answers", "matches"])
def found(request: pytest.FixtureRequest, scene: tuple[dict[str, Any], np.ndarray]) -> ByImage:
    return answers([0, 2, 1, 0]) if request.param == "answers" else matches(*scene, OWN_SIZES)


def test_a_file_gives_the_same_again(found: ByImage, tmp_path: Path) -> None:
    names = tuple(f"film_{number // 2}/ä{number}.png" for number in range(len(found)))
    save(tmp_path / "found.npz", found, names)
    again, read = load(tmp_path / "found.npz")
    assert read == names
    weights = np.arange(len(found)) % 3.0
    assert type(again) is type(found)
    assert len(again) == len(found)
    assert again.metrics() == found.metrics()
    assert again.metrics(weights) == found.metrics(weights)
    assert found.same_images(again)


def test_names_may_be_unknown_and_else_there_is_one_for_each_image(found: ByImage, tmp_path: Path) -> None:
    save(tmp_path / "found.npz", found)
    assert load(tmp_path / "found.npz")[1] == ()
    save(tmp_path / "found.npz", found, ["one", "two"])
    with pytest.raises(InputError, match="there is not one name for each image"):
        load(tmp_path / "found.npz")


def test_the_same_gives_the_same_file(found: ByImage, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save(tmp_path / name, found)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_other_images_are_known(scene: tuple[dict[str, Any], np.ndarray]) -> None:
    truth, rows = scene
    assert not answers([0, 2, 1, 0]).same_images(answers([0, 2, 1, 1]))
    assert not answers([0, 2, 1, 0]).same_images(answers([0, 2, 1]))
    fewer = {**truth, "annotations": truth["annotations"][1:]}
    assert not matches(truth, rows).same_images(matches(fewer, rows))
    found = matches(truth, rows)
    assert found.same_images(matches(truth, rows[:5]))
    assert not found.same_images(replace(found, images=found.images + 1))
    assert not found.same_images(replace(found, sizes=("L", "M", "S")))


def test_a_file_with_a_wrong_byte_is_refused_or_harmless(found: ByImage, tmp_path: Path) -> None:
    path = tmp_path / "found.npz"
    save(path, found)
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            load(path)[0].metrics()
        except InputError:
            refused += 1
    assert refused > len(whole) / 10


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([0, 2, 1])},
        {"labels": np.array([0, 2, 1, -1])},
        {"predicted": np.array([0, 4, 1, 0])},
        {"losses": np.zeros((4, 1))},
        {"sizes": np.array([3])},
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, np.ndarray], tmp_path: Path) -> None:
    arrays = answers([0, 2, 1, 0]).to_arrays() | changes
    np.savez(tmp_path / "found.npz", kind=np.array("answers"), **arrays)
    with pytest.raises(InputError, match="is damaged"):
        load(tmp_path / "found.npz")


@pytest.mark.parametrize("name", ["image", "category", "object_image", "object_category", "objects", "sizes"])
def test_matches_of_too_few_arrays_are_refused(
    name: str, scene: tuple[dict[str, Any], np.ndarray], tmp_path: Path
) -> None:
    arrays = matches(*scene).to_arrays()
    np.savez(tmp_path / "found.npz", kind=np.array("matches"), **{**arrays, name: arrays[name][:-1]})
    with pytest.raises(InputError, match="is damaged"):
        load(tmp_path / "found.npz")


def test_another_kind_is_told_by_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "found.npz", kind=np.array("poses"))
    with pytest.raises(InputError, match="holds results of the kind 'poses', which is not known here"):
        load(tmp_path / "found.npz")


def test_answers_differ_by_what_a_metric_counts() -> None:
    # Labels, answers, places of the labels, losses.
    one = Answers(np.array([0, 1, 2, 0]), np.array([0, 2, 1, 1]), np.array([0, 1, 5, 2]), np.arange(4.0), 3, 3)
    two = replace(one, predicted=np.array([0, 1, 0, 1]), places=np.array([0, 0, 1, 3]), losses=np.r_[0.0, 1, 2, 9])
    assert {name: np.flatnonzero(there).tolist() for name, there in one.differing(two).items()} == {
        "top1": [1],
        "top5": [2],
        "mean_class_top1": [1],
        "mean_class_f1": [1, 2],
        "loss": [3],
    }


def test_matches_differ_where_other_outcomes_change_a_metric(scene: tuple[dict[str, Any], np.ndarray]) -> None:
    found = matches(*scene)
    assert not any(there.any() for there in found.differing(found).values())
    assert found.differing(found).keys() == found.metrics().keys()
    whole = ~found.ignored[:, 0, :].any(axis=1)
    row = np.flatnonzero(found.matched[:, 0, :6].all(axis=1) & whole)[0]
    # No longer right at the lowest IoU: AP and AP50, and the average recall of all sizes.
    matched = found.matched.copy()
    matched[row, 0, 0] = False
    other = found.differing(replace(found, matched=matched))
    there = {name: np.flatnonzero(images).tolist() for name, images in other.items() if images.any()}
    assert there == dict.fromkeys(("AP", "AP50", "AR100"), [found.image[row]])


def test_two_detections_that_change_places_change_the_precision_alone(
    scene: tuple[dict[str, Any], np.ndarray],
) -> None:
    found = matches(*scene)
    flags = found.matched[:, 0, 0] & ~found.ignored[:, 0, 0]
    same = (found.image[:-1, None] == found.image[None, 1:]) & (found.category[:-1, None] == found.category[None, 1:])
    first, second = next(
        (i, j + 1) for i, j in zip(*np.nonzero(same), strict=True) if i < j + 1 and flags[i] < flags[j + 1]
    )
    order = np.arange(len(flags))
    order[[first, second]] = second, first
    other = found.differing(replace(found, matched=found.matched[order], ignored=found.ignored[order]))
    assert np.flatnonzero(other["AP50"]).tolist() == [found.image[first]]
    assert not other["AR100"].any()


def test_false_detections_behind_the_last_right_one_change_nothing(scene: tuple[dict[str, Any], np.ndarray]) -> None:
    truth, rows = scene
    worst = np.array([[image, 500.0, 500, 9, 9, -1, category] for image in range(5) for category in (1, 2)])
    found, more = (matches(truth, given) for given in (rows, np.concatenate((rows, worst))))
    assert len(more.image) > len(found.image)
    assert more.metrics() == found.metrics()
    assert not any(there.any() for there in found.differing(more).values())


def ranked(order: np.ndarray, right: np.ndarray) -> Matches:
    """One detection of one category in each image, highest score first, that is right or wrong at all thresholds."""
    count = len(right)
    flags = np.broadcast_to(right[order, None, None], (count, 1, 10))
    objects, none = np.ones((count, 1), np.int64), np.zeros(count, np.int64)
    return Matches(count, (), 100, order, none, flags, np.zeros((count, 1, 10), bool), np.arange(count), none, objects)


def test_the_order_across_images_decides_about_the_precision() -> None:
    right = np.arange(41) % 2 == 0
    best_first, worst_first = np.argsort(~right, kind="stable"), np.argsort(right, kind="stable")
    # The last is right in both.
    one, two = ranked(np.r_[best_first[best_first != 40], 40], right), ranked(worst_first, right)
    assert (one.metrics()["AP"] or 0) - (two.metrics()["AP"] or 0) > 0.2
    counts = {name: int(images.sum()) for name, images in one.differing(two).items()}
    # Without the 20 that are wrong, or the 20 that are right before the last, no difference is left.
    assert counts == {"AP": 20, "AP50": 20, "AP75": 20, "AR100": 0}


def test_an_image_whose_false_detection_alone_moves_decides_alone() -> None:
    right = np.arange(41) != 7
    order = np.arange(41)
    moved = np.r_[7, order[order != 7]]
    differing = ranked(order, right).differing(ranked(moved, right))
    assert np.flatnonzero(differing["AP"]).tolist() == [7]
    # Right ones alone have the same precision in any order.
    assert not ranked(order, right).differing(ranked(np.r_[order[:7][::-1], order[7:]], right))["AP"].any()


@pytest.mark.parametrize("seed", range(8))
def test_without_the_images_that_decide_nothing_differs(scene: tuple[dict[str, Any], np.ndarray], seed: int) -> None:
    truth, rows = scene
    random = np.random.default_rng(seed)
    changed = rows.copy()
    few = random.choice(len(rows), 6, replace=False)
    changed[few[:4], 5] = random.uniform(size=4)
    changed[few[4:], 1] += 12
    one, two = matches(truth, rows), matches(truth, changed)
    differing = one.differing(two)
    assert 0 < differing["AP"].sum() < IMAGES
    for name in ("AP", "AP_M", "AP75", "AR100"):
        for _ in range(4):
            counts = random.poisson(1.0, IMAGES) * ~differing[name]
            own, other = (each.metrics(counts.astype(float))[name] for each in (one, two))
            assert own == pytest.approx(other, abs=1e-9)


def test_carriers_are_the_images_of_the_rarest_class(scene: tuple[dict[str, Any], np.ndarray]) -> None:
    means = {"mean_class_top1": 1, "mean_class_f1": 1}
    assert answers([0, 2, 2, 2]).carriers() == {"top1": 4, "top5": 4, "loss": 4, **means}
    truth, rows = scene
    carriers = matches(truth, rows).carriers()
    assert carriers.keys() == matches(truth, rows).metrics().keys()
    counted = [a for a in truth["annotations"] if not a["iscrowd"]]
    by_class = [len({a["image_id"] for a in counted if a["category_id"] == number}) for number in (1, 2)]
    assert carriers["AP"] == carriers["AP50"] == carriers["AR100"] == min(by_class)
    small = [a for a in counted if a["bbox"][2] * a["bbox"][3] <= 1024]
    assert carriers["AP_S"] == min(len({a["image_id"] for a in small if a["category_id"] == n}) for n in (1, 2))


def test_of_groups_those_with_the_rarest_class_carry(scene: tuple[dict[str, Any], np.ndarray]) -> None:
    groups = np.array([0, 0, 1, 1])
    means = {"mean_class_top1": 1, "mean_class_f1": 1}
    assert answers([0, 2, 2, 2]).carriers(groups) == {"top1": 2, "top5": 2, "loss": 2, **means}
    truth, rows = scene
    films = np.arange(IMAGES) % 5
    counted = [a for a in truth["annotations"] if not a["iscrowd"]]
    large = [a for a in counted if a["bbox"][2] * a["bbox"][3] >= 9216]
    by_class = [len({films[a["image_id"]] for a in large if a["category_id"] == number}) for number in (1, 2)]
    carriers = matches(truth, rows).carriers(films)
    assert carriers["AP_L"] == min(by_class)
    assert carriers["AP"] <= 5


def test_a_data_set_without_images_gives_nothing() -> None:
    truth = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    found = matches(truth, np.zeros((0, 7)))
    assert len(found) == 0
    assert set(found.metrics().values()) == {None}


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"PK\x05\x06" + bytes(18)],
    ids=["empty", "text", "an archive of nothing"],
)
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "found.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"found\.npz is damaged, or not what an evaluation writes"):
        load(tmp_path / "found.npz")


def test_a_file_that_was_cut_off_is_refused(found: ByImage, tmp_path: Path) -> None:
    save(tmp_path / "found.npz", found)
    whole = (tmp_path / "found.npz").read_bytes()
    for kept in range(0, len(whole), max(len(whole) // 20, 1)):
        (tmp_path / "found.npz").write_bytes(whole[:kept])
        with pytest.raises(InputError):
            load(tmp_path / "found.npz")


def test_a_path_may_be_a_text(found: ByImage, tmp_path: Path) -> None:
    save(f"{tmp_path}/found.npz", found)
    assert load(f"{tmp_path}/found.npz")[0].metrics() == found.metrics()


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "found.npz", kind=np.array("answers"), labels=np.array([print], dtype=object))
    with pytest.raises(InputError, match="pickle"):
        load(tmp_path / "found.npz")


def test_torch_is_not_imported() -> None:
    code = "import sys, spdbuild.metrics.by_image; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
