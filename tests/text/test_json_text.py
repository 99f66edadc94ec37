"""JSON that every program reads."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from spdbuild.text.json_text import finite, json_text


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float64("nan")], ids=str)
def test_what_is_not_finite_is_null_wherever_it_stands(number: float) -> None:
    document = {"a": number, "b": [1.5, (number, {"c": number})]}
    assert json_text(document) == '{"a": null, "b": [1.5, [null, {"c": null}]]}'


def test_everything_else_is_as_python_writes_it() -> None:
    document = {"a": [1, 0.1, 1e300, "é", True, None], "b": {}, "c": []}
    assert json_text(document, indent=2) == json.dumps(document, indent=2)


def test_a_document_is_left_as_it_is() -> None:
    document = {"a": [math.inf]}
    assert finite(document) == {"a": [None]}
    assert document == {"a": [math.inf]}
