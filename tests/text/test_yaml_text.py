"""Plain data written as YAML is read back as the same data."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spdbuild.text.source import Source, parse_yaml
from spdbuild.text.yaml_text import yaml_text

#: Texts of any characters, and such as may look like a number, a boolean or a mark of YAML.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.text(
    st.sampled_from("0123456789._+-eExoabnfyYNO:~# '\"\\/&*!%@`|>?,[]{}="), max_size=6
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4))
def test_what_is_written_is_read_back_here_and_by_other_readers(data: dict[str, Any]) -> None:
    text = yaml_text(data)
    assert parse_yaml(Source("test", text)).plain() == data
    assert yaml.safe_load(text) == data


def test_a_character_beyond_the_first_plane_that_does_not_print_is_read_back() -> None:
    data = {"\U00018d09": "a\U000e0001"}
    assert parse_yaml(Source("test", yaml_text(data))).plain() == yaml.safe_load(yaml_text(data)) == data


def test_a_section_is_a_block_and_a_list_of_numbers_a_line() -> None:
    data = {"schedule": {"name": "multi_step", "milestones": [60, 120]}, "augment": [{"name": "flip"}], "seed": 0}
    assert yaml_text(data) == (
        "schedule:\n  name: multi_step\n  milestones: [60, 120]\naugment:\n  - name: flip\nseed: 0\n"
    )


@pytest.mark.parametrize("number", [1e-08, -4e-06, 1.5e-07, 1e22, 5e-324, 0.1, 3.0, 10, True, None])
@pytest.mark.parametrize("text", ["no", "On", "y", "OFF", "null", "12:30", "1e-08", ".5_", "~", "north", "0x1f", ""])
def test_other_readers_of_yaml_read_the_same(number: float | bool | None, text: str) -> None:
    data = {"number": number, text: [text, number], "nested": {text: {"eps": number}}}
    assert yaml.safe_load(yaml_text(data)) == data
    assert parse_yaml(Source("test", yaml_text(data))).plain() == data
