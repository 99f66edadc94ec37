"""Weights in several safetensors files with an index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from spdbuild.errors import WeightsError
from spdbuild.weights import load_into, open_weights, read_weights

INDEX = "model.safetensors.index.json"


def write(folder: Path, weights: dict[str, Tensor], weight_map: Any = None) -> Path:
    """An index and its two files, each with every second tensor."""
    names = list(weights)
    homes = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(names)}
    for home in set(homes.values()):
        save_file({name: weights[name] for name in names if homes[name] == home}, folder / home)
    index = {"metadata": {"total_size": 1}, "weight_map": homes if weight_map is None else weight_map}
    (folder / INDEX).write_text(json.dumps(index))
    return folder / INDEX


def test_the_files_of_an_index_are_read_as_one(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(2, 5))
    path = write(tmp_path, model.state_dict())
    assert list(open_weights(path).tensors) == list(model.state_dict())
    for name, tensor in read_weights(path).items():
        assert torch.equal(tensor, model.state_dict()[name])
    assert load_into(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(2, 5)), path).fits


def test_a_folder_with_an_index_is_refused_by_the_name_of_the_index(tmp_path: Path) -> None:
    path = write(tmp_path, {"a": torch.zeros(2)})
    with pytest.raises(WeightsError, match="this is a folder") as caught:
        open_weights(tmp_path)
    assert f"give {path}" in str(caught.value)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"b": "model-0.safetensors"}, "'b' is not in model-0.safetensors"),
        ({"a": "other.safetensors"}, "the file other.safetensors, in which 'a' lies, is not there"),
        ({"a": "../model-0.safetensors"}, "no safetensors file beside the index"),
        ({"a": 1}, "no safetensors file beside the index"),
        ([], "this is no index of weights"),
    ],
    ids=str,
)
def test_an_index_that_does_not_hold_is_refused(tmp_path: Path, weight_map: Any, message: str) -> None:
    path = write(tmp_path, {"a": torch.zeros(2)}, weight_map)
    with pytest.raises(WeightsError, match=message):
        open_weights(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "\udcff"], ids=str)
def test_a_text_that_is_no_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WeightsError, match="this is no index of weights"):
        open_weights(tmp_path / INDEX)
