"""HTML pages in a common style."""

from __future__ import annotations

from html import escape

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#222;max-width:84em;margin:2em auto;padding:0 1.5em}
h1{margin-bottom:.2em}h2{margin:1.8em 0 .6em;border-bottom:1px solid #ddd;padding-bottom:.2em}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:3px 12px;text-align:left;border-bottom:1px solid #eee}th{color:#555;font-weight:600}
.number{text-align:right;white-space:nowrap}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(38em,100%),1fr));gap:1em}
img{max-width:100%;height:auto;border:1px solid #eee;border-radius:4px}
"""


def html_page(title: str, body: str, style: str = "") -> str:
    """A complete page. title: plain text. body: HTML below the title. style: CSS in addition to that of all pages."""
    title = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}{style.lstrip()}</style></head>\n'
        f"<body><h1>{title}</h1>\n{body}</body></html>\n"
    )
