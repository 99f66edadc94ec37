"""What the whole test-suite shares: where golden files and data are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of outputs of the published code."""
    folder = Path(os.environ.get("SPDBUILD_GOLDEN", SHARED / "golden"))
    if not folder.is_dir():
        pytest.skip("no golden files: set SPDBUILD_GOLDEN to their folder")
    return folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of unpacked real data sets: `SPDBUILD_DATA`, else the shared archives unpacked into a cache."""
    if "SPDBUILD_DATA" in os.environ:
        return Path(os.environ["SPDBUILD_DATA"])
    unpack = SHARED / "data" / "unpack"
    if not unpack.is_file():
        pytest.skip("no data sets: set SPDBUILD_DATA to the folder that holds them")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spdbuild-test-data"
    subprocess.run([str(unpack), str(cache)], check=True, capture_output=True, timeout=600)
    return cache
