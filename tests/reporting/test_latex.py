"""Tables for LaTeX documents."""

from __future__ import annotations

import pytest

from spdbuild.reporting.latex import escaped, latex
from spdbuild.reporting.parts import Part
from spdbuild.wording.tables import Table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5 % of #1, $x$", r"a\_b \& 5 \% of \#1, \$x\$"),
        (r"C:\run{1}", r"C:\textbackslash{}run\{1\}"),
        ("a~b^2", r"a\textasciitilde{}b\textasciicircum{}2"),
        ('<b>|"', r"\textless{}b\textgreater{}\textbar{}{\char34}"),
        ("[0] of a row", "{}[0] of a row"),
        ("*", "{}*"),
        ("Straße ± 1", r"Straße $\pm$ 1"),
        ("two\nlines", r"two\textbackslash{}nlines"),
    ],
)
def test_every_character_stands_for_itself(text: str, expected: str) -> None:
    assert escaped(text) == expected


def test_a_table_is_a_tabular_with_its_numbers_in_math_mode() -> None:
    table = Table(
        ("group", "top1 %", "MACs", "95 % interval", "p", "cost"), ("top1 %", "MACs", "95 % interval", "p", "cost")
    )
    table.add("[a_1]", "0.9750 ± 0.0028", "2,551,424", "-0.0048 to +0.0448", "3.05e-05, 1", "x1.50")
    table.add("3 of 4", "n/a", "7", "none", "0.125", "x0.97")
    text = latex("6 runs\n%", [Part("digits", tables=(table,))])
    assert text == (
        "% 6 runs\\n%: tables to \\input; they need \\usepackage{booktabs}.\n"
        "\n"
        "% digits\n"
        "\\begin{tabular}{lrrrrr}\n"
        "\\toprule\n"
        "group & top1 \\% & MACs & 95 \\% interval & p & cost \\\\\n"
        "\\midrule\n"
        "{}[a\\_1] & $0.9750 \\pm 0.0028$ & $2{,}551{,}424$ & $-0.0048$ to $+0.0448$ & $3.05\\cdot 10^{-5}$, $1$ & "
        "$\\times 1.50$ \\\\\n"
        "3 of 4 & n/a & $7$ & none & $0.125$ & $\\times 0.97$ \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )
