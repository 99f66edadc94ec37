"""What holds for every registered data set for classification."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from spdbuild.data import DATASETS, ArrayImages, Loader
from spdbuild.declaring.arguments import type_hints

NAMES = [name for name, cls in DATASETS.items() if cls.task == "classification"]


def test_all_are_found() -> None:
    assert {"cifar10", "cifar100", "csv", "digits", "folder", "generated", "tiny_imagenet"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_its_sample_is_a_small_image_set(name: str) -> None:
    sample = DATASETS[name].sample()
    assert isinstance(sample, ArrayImages)
    assert (sample.images.dtype, sample.labels.dtype) == (torch.uint8, torch.int64)
    assert sample.images.shape == (len(sample), 3, *sample.size)
    assert 2 <= len(sample) <= 16
    assert set(sample.labels.tolist()) <= set(range(len(sample.classes)))
    assert len(set(sample.classes)) == len(sample.classes) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_its_sample_is_the_same_every_time(name: str) -> None:
    assert torch.equal(DATASETS[name].sample().images, DATASETS[name].sample().images)


@pytest.mark.parametrize("name", NAMES)
def test_its_sample_can_be_loaded(name: str) -> None:
    images, labels = next(iter(Loader(DATASETS[name].sample(), 2, shuffle=True)))
    assert images.shape[:2] == (2, 3)
    assert labels.shape == (2,)


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_has_its_fields_and_its_source(name: str) -> None:
    cls = DATASETS[name]
    doc = cls.__doc__ or ""
    assert dataclasses.is_dataclass(cls)
    assert all(field.name in doc for field in dataclasses.fields(cls))
    assert set(type_hints(cls)) >= {field.name for field in dataclasses.fields(cls)}
    assert "Source: " in doc or name in ("csv", "folder", "generated")
