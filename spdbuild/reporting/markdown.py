"""A report in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from spdbuild.reporting.parts import Part


def markdown(title: str, parts: Iterable[Part]) -> str:
    """The title and the parts; charts are only on the page."""
    blocks = [f"# {title}\n"]
    for part in parts:
        blocks += [f"## {part.title}\n", *(table.markdown() for table in part.tables)]
        blocks += ["".join(f"- {sentence}\n" for sentence in part.sentences)] if part.sentences else []
    return "\n".join(blocks)
