"""Which file a name means."""

from __future__ import annotations

from pathlib import Path

import pytest

from spdbuild import builtin
from spdbuild.builtin import NoSuchFileError, find
from spdbuild.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "name", ["quickstart", "quickstart.yaml", "recipes/quickstart", "recipes/quickstart.yaml", "./recipes/quickstart"]
)
def test_what_a_clone_has_at_a_path_an_installation_finds_under_it(name: str) -> None:
    assert find(name, "recipes") == builtin.listed("recipes")["quickstart"]


def test_a_persons_own_file_at_that_path_comes_first() -> None:
    own = Path("recipes/quickstart.yaml")
    own.parent.mkdir()
    own.touch()
    assert find("recipes/quickstart.yaml", "recipes") == find("recipes/quickstart", "recipes") == own


@pytest.mark.parametrize("name", ["mine/quickstart.yaml", "recipes/quickstart.yml", "recipes/quickstar.yaml"])
def test_no_other_path_means_a_built_in_file(name: str) -> None:
    with pytest.raises(NoSuchFileError, match="neither a file nor a built-in name"):
        find(name, "recipes")


def test_the_path_of_another_kind_is_refused_as_before() -> None:
    with pytest.raises(InputError, match="quickstart is a recipe"):
        find("recipes/quickstart.yaml", "architectures")
    assert find("architectures/resnet18.yaml", "recipes", "architectures").stem == "resnet18"
