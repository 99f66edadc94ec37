"""The parts of a docstring."""

from __future__ import annotations

from spdbuild.declaring.docstrings import documentation


class Base:
    """Something.

    size: in pixels.
    order: of the base.
    """


class Derived(Base):
    """Do one thing
    and no other.

    In words: this is no argument, because it has a space.

    order, mode: of the derived
        class.

    Source: somebody
    2022.
    """


def test_a_docstring_has_four_parts():
    told = documentation(Derived)
    assert told.summary == "Do one thing and no other."
    assert told.body == "In words: this is no argument, because it has a space."
    assert told.source == "somebody 2022."


def test_arguments_are_looked_up_in_bases_too():
    assert documentation(Derived).arguments == {
        "size": "in pixels.",
        "order": "of the derived class.",
        "mode": "of the derived class.",
    }


def test_a_class_without_a_docstring_says_nothing():
    assert documentation(type("Silent", (), {})).summary == ""
