"""What a file is for, by its keys and by what it extends."""

from __future__ import annotations

from pathlib import Path

import pytest

from spdbuild.cli.content import is_recipe
from spdbuild.text.source import Source, read_source

EXTENDING_A_RECIPE = "extends: recipe.yaml\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("architecture: resnet18\n", True),
        ("data: {name: digits}\n", True),
        ("model: small\nlayers: []\n", False),
        (f"{EXTENDING_A_RECIPE}epochs: 3\n", True),
        ("extends: network.yaml\n", False),
        ("extends: quickstart\n", True),
        ("extends: missing.yaml\n", False),
        ("extends: [recipe.yaml]\n", False),
        ("epochs: 3\n", False),
        # Its own keys come before those that it extends.
        (f"{EXTENDING_A_RECIPE}layers:\n  - relu()\n", False),
        (f"{EXTENDING_A_RECIPE}blocks: {{}}\n", False),
    ],
)
def test_a_recipe_has_the_keys_of_one_or_extends_one(text: str, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("data: {name: digits}\n")
    (tmp_path / "network.yaml").write_text("layers: []\n")
    assert is_recipe(Source(str(tmp_path / "own.yaml"), text)) is expected


def test_files_that_extend_each_other_are_no_recipes(tmp_path: Path) -> None:
    for name, other in (("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")):
        (tmp_path / name).write_text(f"extends: {other}\nepochs: 3\n")
    assert not is_recipe(read_source(tmp_path / "a.yaml"))
