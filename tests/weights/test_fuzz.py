"""Files with changed bytes are read, or refused with a WeightsError; nothing else comes out."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from spdbuild.errors import WeightsError
from spdbuild.weights import read_weights

from .torch_files import write_zip

CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6)
EXAMPLES = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@functools.cache
def saved(zipped: bool) -> bytes:
    """What torch.save writes for a small module."""
    file = io.BytesIO()
    torch.save(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def changed(raw: bytes, changes: list[tuple[float, int]]) -> bytes:
    result = bytearray(raw)
    for place, value in changes:
        result[int(place * len(raw))] = value
    return bytes(result)


def read_or_refuse(path: Path) -> None:
    try:
        weights = read_weights(path)
    except WeightsError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in weights.values())


@EXAMPLES
@given(changes=CHANGES)
def test_changed_pickles(changes: list[tuple[float, int]], tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved(zipped=True))) as archive:
        pickled = archive.read("archive/data.pkl")
        storages = {name.split("/")[-1]: archive.read(name) for name in archive.namelist() if "/data/" in name}
    read_or_refuse(write_zip(tmp_path / "x.pt", changed(pickled, changes), storages))


@EXAMPLES
@given(changes=CHANGES, zipped=st.booleans())
def test_changed_files(changes: list[tuple[float, int]], zipped: bool, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(changed(saved(zipped), changes))
    read_or_refuse(tmp_path / "x.pt")


@EXAMPLES
@given(length=st.floats(0, 1), zipped=st.booleans())
def test_truncated_files(length: float, zipped: bool, tmp_path: Path) -> None:
    raw = saved(zipped)
    (tmp_path / "x.pt").write_bytes(raw[: int(length * (len(raw) - 1))])
    with pytest.raises(WeightsError):
        read_weights(tmp_path / "x.pt")
