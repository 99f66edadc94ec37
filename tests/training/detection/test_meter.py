"""Perfect predictions, as a network would give them, score 1 all the way through evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.loader import DetectionLoader
from spdbuild.data.detection.table import NO_CLASS, DetectionSet, ImageRecord, Pixels, Table
from spdbuild.data.detection.tiles import TileOptions
from spdbuild.metrics.by_image.matches import Matches
from spdbuild.metrics.nms import NmsOptions
from spdbuild.metrics.reference_ap import average_precision
from spdbuild.nn.detection import Detect
from spdbuild.training.detection.images import DetectionImages
from spdbuild.training.detection.meter import DetectionMeter
from spdbuild.training.detection.options import JudgingOptions
from spdbuild.training.detection.tiled_meter import TiledMeter
from spdbuild.training.task import Evaluation

#: By image: class, left, top, right, bottom in pixels of an image of SIZES.
SIZES = [(96, 64), (64, 96), (128, 128), (50, 31)]
OBJECTS = [
    [(0, 10, 10, 26, 30), (1, 50, 20, 70, 60)],
    [(2, 5, 40, 45, 90)],
    [(0, 2, 2, 40, 42), (1, 64, 64, 120, 100), (2, 90, 8, 120, 30)],
    [(2, 12, 6, 32, 26)],
]


def objects(ids: tuple[int, ...] = (1, 2, 3, 4)) -> DetectionSet:
    table = Table(("a", "b", "c"), (7, 3, 5))
    for number, ((width, height), boxes) in enumerate(zip(SIZES, OBJECTS, strict=True)):
        table.images.append(ImageRecord(ids[number], f"{number}.png", None, width, height))
        for class_, left, top, right, bottom in boxes:
            table.add(number, (left, top, right, bottom), class_)
    return replace(table.build(), draw=grey)


def grey(image: ImageRecord) -> Pixels:
    return np.full((image.height, image.width, 3), 114, np.uint8)


def head() -> Detect:
    return Detect([1], 3, [[[24, 24]]], [8])


def logit(share: Tensor) -> Tensor:
    return torch.log(share / (1 - share))


def boxes_that_see(batch: DetectionBatch) -> Tensor:
    """Boxes of maps as a head must give them for each target: the published decoding, solved for the predictions."""
    count, _, height, width = batch.images.shape
    level = torch.full((count, 1, height // 8, width // 8, 8), -20.0)
    for image, class_, *box in batch.targets.double().tolist():
        centre = torch.tensor(box[:2]) * torch.tensor([width, height]) / 8
        size = torch.tensor(box[2:]) * torch.tensor([width, height])
        cell = centre.long()
        row = torch.cat((logit((centre - cell + 0.5) / 2), logit((size / 24).sqrt() / 2), torch.full((4,), -20.0)))
        row[[4, 5 + int(class_)]] = 20.0
        level[int(image), 0, cell[1], cell[0]] = row
    return head().decode([level])


def judged(dataset: DetectionSet, options: JudgingOptions | None = None) -> Evaluation:
    options = options or JudgingOptions()
    images = DetectionImages(dataset, 96)
    meter = DetectionMeter(images, options)
    for batch in DetectionLoader(dataset, 2, 96, rectangular=options.rectangular, pad=options.pad):
        meter.update(boxes_that_see(batch), batch)
    meter.merge([meter.state()])
    return meter.evaluation()


@pytest.mark.parametrize("options", [JudgingOptions(), JudgingOptions(pad=0), JudgingOptions(rectangular=False)])
def test_perfect_predictions_score_1_whatever_the_batches(options: JudgingOptions) -> None:
    evaluation = judged(objects(), options)
    assert {evaluation.scalars[name] for name in ("AP", "AP50", "AP75", "precision", "recall")} == {1.0}
    # The published curve falls to 0 at recall 1, and loses half of its last hundredth.
    assert evaluation.scalars["fitness"] == pytest.approx(0.995)
    assert evaluation.counts == {
        "images": 4,
        "objects": 7,
        "objects_S": 4,
        "objects_M": 3,
        "objects_L": 0,
        "detections": 7,
    }


def test_sizes_without_objects_are_undefined_and_own_sizes_are_measured() -> None:
    assert {"AP_L", "AR_L"} <= set(judged(objects()).undefined)
    evaluation = judged(objects(), JudgingOptions(sizes={"tiny": (0, 21), "rest": (21, 1000)}))
    assert (evaluation.counts["objects_tiny"], evaluation.counts["objects_rest"]) == (2, 5)
    assert evaluation.scalars["AP_tiny"] == 1.0


def test_image_ids_in_another_order_change_nothing() -> None:
    assert judged(objects((40, 2, 33, 1))).scalars == judged(objects()).scalars


def test_classes_come_in_the_order_of_the_data_and_not_of_their_ids() -> None:
    evaluation = judged(objects())
    assert evaluation.classes == ("a", "b", "c")
    assert [row["objects"] for row in evaluation.rows] == [2, 2, 3]
    assert [(row["precision"], row["recall"]) for row in evaluation.rows] == [(1.0, 1.0)] * 3
    assert evaluation.confusion is not None
    assert evaluation.confusion.tolist() == [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0]]
    assert evaluation.outcomes == ("a", "b", "c", "background")


def test_each_image_has_its_own_name_whatever_the_order_of_the_ids() -> None:
    dataset = objects()
    ids = np.random.default_rng(0).permutation(len(dataset)) + 10
    images = tuple(replace(image, id=int(number)) for image, number in zip(dataset.images, ids, strict=True))
    evaluation = judged(replace(dataset, images=images))
    matches = evaluation.by_image
    assert isinstance(matches, Matches)
    found = dict.fromkeys(evaluation.images, 0)
    for image, count in zip(matches.object_image, matches.objects[:, 0], strict=True):
        found[evaluation.images[image]] += int(count)
    expected = {image.name: len(dataset.of_image(index)) for index, image in enumerate(dataset.images)}
    assert found == expected
    assert len(set(expected.values())) > 1


def test_the_files_give_pycocotools_the_same_metrics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = objects()
    meter, random = DetectionMeter(DetectionImages(dataset, 96), JudgingOptions()), torch.Generator()
    for index in range(len(dataset)):
        own = dataset.of_image(index)
        boxes = torch.from_numpy(own.boxes_xyxy).repeat(8, 1)
        boxes += 3 * torch.randn(boxes.shape, generator=random, dtype=torch.float64)
        classes = torch.from_numpy(own.classes).repeat(8)[:, None]
        # Scores that differ in the seventh decimal.
        scores = 0.5 + 1e-6 * torch.rand(len(boxes), 1, generator=random, dtype=torch.float64)
        found = torch.cat((boxes, scores, classes), dim=1)
        meter.add(index, found[found[:, 4].argsort(descending=True)])
    evaluation = meter.evaluation()
    for name in ("ground_truth.json", "predictions.json"):
        (tmp_path / name).write_text(evaluation.files[name]())
    truth = COCO(tmp_path / "ground_truth.json")
    judge = COCOeval(truth, truth.loadRes(str(tmp_path / "predictions.json")), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    capsys.readouterr()
    ap, ap50, ap75 = judge.stats[:3]
    assert 0.1 < ap < 0.9
    assert [evaluation.scalars[name] for name in ("AP", "AP50", "AP75")] == pytest.approx([ap, ap50, ap75], abs=1e-9)


def test_meters_of_two_processes_make_that_of_one() -> None:
    dataset = objects()
    meters = []
    for rank in range(2):
        meter = DetectionMeter(DetectionImages(dataset, 96), JudgingOptions())
        for batch in DetectionLoader(dataset, 3, 96, rectangular=True, rank=rank, world=2):
            if len(batch):
                meter.update(boxes_that_see(batch), batch)
        meters.append(meter)
    states = [meter.state() for meter in meters]
    for meter in meters:
        meter.merge(states)
    single = judged(dataset)
    for meter in meters:
        evaluation = meter.evaluation()
        assert evaluation.scalars == single.scalars
        ours, theirs = (json.loads(one.files["predictions.json"]()) for one in (evaluation, single))
        # Batches of another size are letterboxed elsewhere, which rounds differently.
        assert [found.pop("bbox") for found in ours] == [pytest.approx(found.pop("bbox"), abs=1e-4) for found in theirs]
        assert ours == theirs


def test_a_detection_on_an_ignored_region_counts_neither_way() -> None:
    dataset = objects()
    first = np.arange(len(dataset.objects)) == 0
    classes = np.where(first, NO_CLASS, dataset.objects.classes)
    ignoring = replace(dataset, objects=replace(dataset.objects, classes=classes, ignored=first))
    meter = DetectionMeter(DetectionImages(ignoring, 96), JudgingOptions())
    for batch in DetectionLoader(dataset, 2, 96):
        meter.update(boxes_that_see(batch), batch)
    evaluation = meter.evaluation()
    assert {evaluation.scalars[name] for name in ("AP", "precision", "recall")} == {1.0}
    assert evaluation.scalars["fitness"] == pytest.approx(0.995)
    assert evaluation.counts["objects"] == 6
    assert evaluation.confusion is not None
    assert evaluation.confusion[-1].sum() == 0


@pytest.mark.parametrize(
    ("crowd_class", "class_agnostic", "forgiven"),
    [(1, False, True), (2, False, False), (NO_CLASS, False, True), (2, True, True)],
)
def test_a_crowd_forgives_in_all_metrics_the_same_detections(
    crowd_class: int, class_agnostic: bool, forgiven: bool
) -> None:
    # The object of the first row becomes a crowd; a detection of class 1 lies on it, with the highest score of all.
    dataset, first = objects(), np.arange(7) == 0
    classes = np.where(first, crowd_class, 1)
    crowded = replace(dataset, objects=replace(dataset.objects, classes=classes, crowd=first))
    options = JudgingOptions(class_agnostic=class_agnostic)
    meters = [DetectionMeter(DetectionImages(crowded, 96), options) for _ in range(2)]
    for index in range(len(dataset)):
        boxes = torch.from_numpy(dataset.of_image(index).boxes_xyxy)
        scores = torch.linspace(0.9, 0.5, len(boxes))[:, None] - index / 100
        meters[index % 2].add(index, torch.cat((boxes, scores, torch.ones(len(boxes), 1)), dim=1))
    meters[0].merge([meter.state() for meter in meters])
    scores = meters[0].evaluation().scalars
    assert (scores["AP50"] == 1, scores["precision"] == 1, scores["fitness"] > 0.99) == (forgiven,) * 3


def of_the_wrong_class(options: JudgingOptions) -> Evaluation:
    """What every object scores if it is found as the class behind its own."""
    dataset = objects()
    meter = DetectionMeter(DetectionImages(dataset, 96), options)
    for index in range(len(dataset)):
        own = dataset.of_image(index)
        boxes, classes = torch.from_numpy(own.boxes_xyxy), torch.from_numpy(own.classes)
        meter.add(index, torch.cat((boxes, torch.full((len(own), 1), 0.9), ((classes + 1) % 3)[:, None]), dim=1))
    return meter.evaluation()


def test_suppression_across_classes_does_not_forgive_a_wrong_class() -> None:
    scores = of_the_wrong_class(JudgingOptions(nms=NmsOptions(class_agnostic=True))).scalars
    assert (scores["AP"], scores["fitness"]) == (0.0, 0.0)


def test_precision_and_recall_are_those_of_a_class() -> None:
    # Nothing of the first class is found; its objects are taken for others.
    evaluation = of_the_wrong_class(JudgingOptions())
    assert {(row["precision"], row["recall"]) for row in evaluation.rows} <= {(0.0, 0.0), (None, 0.0)}


def test_classes_count_only_where_they_are_judged() -> None:
    evaluation = of_the_wrong_class(JudgingOptions(class_agnostic=True))
    scores = evaluation.scalars
    assert (scores["AP"], scores["recall"]) == (1.0, 1.0)
    assert evaluation.protocol.startswith("COCO's AP of all classes as one by pycocotools: ")
    assert evaluation.rows == ()
    assert scores["fitness"] == pytest.approx(0.995)


def test_fitness_is_that_of_the_published_metric_over_the_whole_data() -> None:
    # Every second object is found a fifth to the right; REFERENCE.md 5.1, from one call for all of the data.
    dataset = objects()
    meters = [DetectionMeter(DetectionImages(dataset, 96), JudgingOptions()) for _ in range(2)]
    correct, scores, classes = [], [], []
    for index in range(len(dataset)):
        own = dataset.of_image(index)
        boxes = torch.from_numpy(own.boxes_xyxy.copy())
        boxes[::2, [0, 2]] += (boxes[::2, 2:3] - boxes[::2, 0:1]) / 5
        score = torch.linspace(0.9, 0.1, len(own) + index)[: len(own), None].double()
        found = torch.cat((boxes, score, torch.from_numpy(own.classes)[:, None]), dim=1)
        meters[index % 2].add(index, found)
        # Shifted by a fifth the overlap is 4 / 6, which counts at 0.50 to 0.65.
        correct += [[True] * 4 + [row % 2 == 1] * 6 for row in range(len(own))]
        scores += score[:, 0].tolist()
        classes += own.classes.tolist()
    whole = average_precision(*map(np.array, (correct, scores, classes, classes)))
    states = [meter.state() for meter in meters]
    meters[0].merge(states)
    assert meters[0].evaluation().scalars["fitness"] == pytest.approx(whole.scalars()["fitness"])


def test_no_detections_score_0() -> None:
    evaluation = DetectionMeter(DetectionImages(objects(), 96), JudgingOptions()).evaluation()
    assert (evaluation.scalars["AP"], evaluation.scalars["recall"]) == (0.0, 0.0)
    assert evaluation.files["predictions.json"]() == "[]"


def judged_in_windows(size: int, world: int = 1, whole: bool = False) -> Evaluation:
    """Of a network that sees every object, or what a window shows of it, where it is."""
    images = DetectionImages(objects(), 96, TileOptions(size, overlap=0.7, whole=whole, min_visible=0.2))
    assert images.tiles is not None
    options = JudgingOptions()
    meters = [TiledMeter(DetectionMeter(images, options), images.tiles, options.nms) for _ in range(world)]
    for rank, meter in enumerate(meters):
        for batch in DetectionLoader(images.seen, 4, 96, rectangular=True, rank=rank, world=world):
            if len(batch):
                meter.update(boxes_that_see(batch), batch)
    meters[0].merge([meter.state() for meter in meters])
    return meters[0].evaluation()


def test_objects_that_are_whole_in_some_window_are_all_found_once() -> None:
    # No object is larger than 0.7 of a window, so each is whole somewhere; what others show of it must go.
    evaluation = judged_in_windows(80)
    assert evaluation.scalars["AP"] == pytest.approx(1, abs=1e-6)
    assert evaluation.counts["images"] == 4
    assert evaluation.counts["objects"] == evaluation.counts["detections"] == 7


def test_objects_larger_than_windows_are_found_in_the_whole_image() -> None:
    parts, found = judged_in_windows(32), judged_in_windows(32, whole=True)
    assert found.scalars["AP"] == pytest.approx(1, abs=1e-6)
    assert found.counts["detections"] == 7
    assert parts.scalars["AP"] < 0.8


def test_several_processes_see_the_same_as_one() -> None:
    one, three = judged_in_windows(48), judged_in_windows(48, world=3)
    assert one.metrics == three.metrics
    assert one.counts == three.counts
    assert one.files["predictions.json"]() == three.files["predictions.json"]()


def test_an_image_in_windows_may_have_more_detections_than_nms_keeps_of_each() -> None:
    images = DetectionImages(objects().subset([2]), 96, TileOptions(64, overlap=0.5))
    assert images.tiles is not None
    options = JudgingOptions(nms=NmsOptions(max_detections=1))
    meter = TiledMeter(DetectionMeter(images, options), images.tiles, options.nms)
    for batch in DetectionLoader(images.seen, 4, 96, rectangular=True):
        meter.update(boxes_that_see(batch), batch)
    meter.merge([meter.state()])
    # Each of the three objects is alone in a window.
    assert meter.evaluation().scalars["recall"] == 1


def test_windows_that_hold_every_image_change_nothing() -> None:
    images = DetectionImages(objects(), 96, TileOptions(128))
    assert images.tiles is None
    assert images.seen is images.dataset
    assert images.to_learn() is images


def test_the_protocol_says_that_there_were_windows() -> None:
    assert "rectangular batches of tiles of 80," in judged_in_windows(80).protocol


def test_a_crowd_region_is_no_object_of_the_published_metric() -> None:
    table = Table(("a",), (1,))
    table.images.append(ImageRecord(1, "0.png", None, 96, 64))
    table.add(0, (10, 10, 26, 30), 0)
    table.add(0, (40, 10, 90, 50), 0, crowd=True)
    meter = DetectionMeter(DetectionImages(table.build(), 96), JudgingOptions())
    meter.add(0, torch.tensor([[10, 10, 26, 30, 0.9, 0], [40, 10, 90, 50, 0.8, 0]], dtype=torch.float64))
    assert meter.state()["hits"].all(axis=1).tolist() == [True, False]
    assert meter.evaluation().scalars["recall"] == 1
