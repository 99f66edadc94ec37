"""index.html: a report as one self-contained page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape

from spdbuild.charts.chart import Chart
from spdbuild.reporting.parts import Part
from spdbuild.wording.html_page import html_page
from spdbuild.wording.tables import Table

_STYLE = """
body{max-width:100em}table{margin:1em 0;display:block;overflow:auto}
"""


def html(title: str, parts: Iterable[Part]) -> str:
    """The page, with its pictures in it."""
    return html_page(title, "".join(map(_part, parts)), _STYLE)


def _part(part: Part) -> str:
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in part.sentences)
    pictures = "".join(map(_picture, part.charts))
    return (
        f"<h2>{escape(part.title)}</h2>\n{''.join(map(Table.html, part.tables))}"
        + (f"<ul>{sentences}</ul>\n" if sentences else "")
        + (f'<div class="grid">{pictures}</div>\n' if pictures else "")
    )


def _picture(chart: Chart) -> str:
    from spdbuild.charts.lines import draw_chart

    drawn = io.BytesIO()
    draw_chart(chart).save(drawn, "PNG")
    content = base64.b64encode(drawn.getvalue()).decode()
    return f'<img alt="{escape(chart.title)}" src="data:image/png;base64,{content}">'
