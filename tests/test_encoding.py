"""Text files are written and read in UTF-8 on every system, and not in the encoding of its language."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[1] / "spdbuild").rglob("*.py"))
#: Where methods of paths take an encoding, counted from 0, if it has no name.
PLACES = {"read_text": 0, "write_text": 1, "open": 2}


def lacks_encoding(node: ast.AST) -> bool:
    """Whether a piece of code is a call that writes or reads text and names no encoding."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in PLACES:
        return False
    if len(node.args) > PLACES[node.func.attr] or any(keyword.arg == "encoding" for keyword in node.keywords):
        return False
    modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    # Splits, runs and archives are opened, too: of `open` the mode tells what it is.
    return node.func.attr != "open" or modes in (["r"], ["w"], ["a"], ["x"])


def found(code: str) -> list[int]:
    return [node.lineno for node in ast.walk(ast.parse(code)) if lacks_encoding(node)]


@pytest.mark.parametrize("code", ["path.write_text(text)", "path.read_text()", "path.open('w', newline='')"])
def test_what_names_no_encoding_is_found(code: str) -> None:
    assert found(code) == [1]


@pytest.mark.parametrize("code", ["path.read_text(encoding='utf-8')", "path.open('rb')", "splits.open('train')"])
def test_what_names_it_or_is_no_text_is_left_alone(code: str) -> None:
    assert not found(code)


def test_every_text_has_an_encoding() -> None:
    texts = {file: file.read_text(encoding="utf-8") for file in FILES}
    # Only those are worth parsing.
    likely = {file: text for file, text in texts.items() if any(f".{name}(" in text for name in PLACES)}
    assert {f"{file}:{line}" for file, text in likely.items() for line in found(text)} == set()
