"""Architectures to begin from."""

from __future__ import annotations

import pytest

import spdbuild
from spdbuild import builtin
from spdbuild.errors import InputError
from spdbuild.loading import read_document
from spdbuild.templates import new_text
from spdbuild.text.source import Source


def test_the_template_is_a_network_with_strides_to_convert() -> None:
    architecture = spdbuild.load(new_text("mine"))
    assert architecture.name == "mine"
    _, report = spdbuild.convert(architecture, strict=True)
    assert [change.name for change in report.replaced] == [
        f"{stage}.{layer}" for stage in ("stage2", "stage3") for layer in ("first.conv", "skip")
    ]


@pytest.mark.parametrize("base", builtin.listed("architectures"))
def test_a_copy_is_the_same_network_without_the_counts(base: str) -> None:
    text = new_text("mine", base)
    document = read_document(Source("mine.yaml", text))
    assert (document.model, document.plain("expect", None)) == ("mine", None)
    variant = next(iter(document.variants), None)
    assert spdbuild.load(text, variant=variant).graph == spdbuild.load(base, variant=variant).graph


def test_of_the_text_only_the_counts_the_name_and_the_schema_go() -> None:
    lines = builtin.listed("architectures")["resnet18"].read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("expect:", "# yaml-language-server:"))]
    assert new_text("mine", "resnet18").splitlines() == ["model: mine" if "model:" in line else line for line in kept]


def test_counts_over_several_lines_and_the_blank_lines_around_them_go(tmp_path) -> None:
    file = tmp_path / "one.yaml"
    one = "model: one\ninputs: {image: [3, 8, 8]}\nlayers:\n  - relu()\n"
    for expect, after in [("\nexpect:\n  parameters: 0\n\n", "vars: {a: 1}\n"), ("expect: {macs: 0}\n", "")]:
        file.write_text(one + expect + after)
        assert new_text("one", str(file)) == one + ("\n" if after else "") + after


@pytest.mark.parametrize("name", ["a b", "a: b", "", "1x", "ä"])
def test_a_name_that_no_architecture_can_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"an architecture cannot be called '{name}'"):
        new_text(name)


def test_what_is_copied_must_be_there() -> None:
    with pytest.raises(InputError, match="there is no architecture 'resnet19'"):
        new_text("mine", "resnet19")
