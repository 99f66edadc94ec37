"""index.html: a report as one page that needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape

from spdbuild.reporting.parts import Part
from spdbuild.tables import Table
from spdbuild.training.charts.chart import Chart

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#222;max-width:100em;margin:2em auto;padding:0 1.5em}
h2{margin:1.8em 0 .6em;border-bottom:1px solid #ddd;padding-bottom:.2em}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:1em 0;display:block;overflow:auto}
th,td{padding:3px 12px;text-align:left;border-bottom:1px solid #eee}th{color:#555;font-weight:600}
.number{text-align:right;white-space:nowrap}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(38em,100%),1fr));gap:1em}
img{max-width:100%;height:auto;border:1px solid #eee;border-radius:4px}
"""


def html(title: str, parts: Iterable[Part]) -> str:
    """The page, with its pictures in it."""
    body = "".join(map(_part, parts))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{body}</body></html>\n"
    )


def _part(part: Part) -> str:
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in part.sentences)
    pictures = "".join(map(_picture, part.charts))
    return (
        f"<h2>{escape(part.title)}</h2>\n{''.join(map(_table, part.tables))}"
        + (f"<ul>{sentences}</ul>\n" if sentences else "")
        + (f'<div class="grid">{pictures}</div>\n' if pictures else "")
    )


def _table(table: Table) -> str:
    kinds = [' class="number"' if column in table.numbers else "" for column in table.columns]
    rows = [("th", table.columns), *(("td", row) for row in table.rows)]
    return "<table>{}</table>\n".format(
        "".join(
            "<tr>"
            + "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))
            + "</tr>"
            for tag, row in rows
        )
    )


def _picture(chart: Chart) -> str:
    from spdbuild.training.charts.lines import draw_chart

    drawn = io.BytesIO()
    draw_chart(chart).save(drawn, "PNG")
    content = base64.b64encode(drawn.getvalue()).decode()
    return f'<img alt="{escape(chart.title)}" src="data:image/png;base64,{content}">'
