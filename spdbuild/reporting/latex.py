"""report.tex: tables of a report for a LaTeX document."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spdbuild.reporting.parts import Part
from spdbuild.wording.phrases import printable
from spdbuild.wording.tables import Table

_HEAD = "% {title}: tables to \\input; they need \\usepackage{{booktabs}}.\n"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # With some languages of babel the character itself begins a command.
    '"': r"{\char34}",
    "±": r"$\pm$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
#: A number, or a mean with its deviation, as tables show them: `12,345`, `+0.0200`, `x1.50`, `1.2e-05`.
_NUMBER = r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]\d+)?"
_NUMBERS = re.compile(rf"(?<![\w.])(x?){_NUMBER}(?: ± {_NUMBER})?(?![\w.])")


def latex(title: str, parts: Iterable[Part]) -> str:
    """The tables of the parts, each below a comment with its title."""
    blocks = [_HEAD.format(title=_comment(title))]
    for part in parts:
        blocks += [f"% {_comment(part.title)}\n{_tabular(table)}" for table in part.tables]
    return "\n".join(blocks)


def escaped(text: str) -> str:
    """A text in which every character stands for itself."""
    found = "".join(_SPECIAL.get(character, character) for character in printable(text))
    # At the beginning of a row these would belong to the \\ before it.
    return f"{{}}{found}" if found.startswith(("[", "*")) else found


def _tabular(table: Table) -> str:
    numeric = [column in table.numbers for column in table.columns]
    rows = [
        " & ".join(_numbers(cell) if number else escaped(cell) for cell, number in zip(row, numeric, strict=True))
        for row in table.rows
    ]
    lines = [
        f"\\begin{{tabular}}{{{''.join('r' if number else 'l' for number in numeric)}}}",
        "\\toprule",
        f"{' & '.join(map(escaped, table.columns))} \\\\",
        "\\midrule",
        *(f"{row} \\\\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _numbers(text: str) -> str:
    """A cell with its numbers in math mode, where a minus has its width and a comma no space after it."""
    found, end = "", 0
    for match in _NUMBERS.finditer(text):
        found += f"{escaped(text[end : match.start()])}${_math(match.group())}$"
        end = match.end()
    return found + escaped(text[end:])


def _math(number: str) -> str:
    factor = r"\times " if number.startswith("x") else ""
    plain = number.removeprefix("x").replace(",", "{,}").replace("±", r"\pm")
    return factor + re.sub(r"e([-+])0*(\d+)", lambda power: rf"\cdot 10^{{{power[1].strip('+')}{power[2]}}}", plain)


def _comment(text: str) -> str:
    return printable(text)
