"""A conversion's report as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from spdbuild.conversion.report import ConversionReport
from spdbuild.ops import Op
from spdbuild.ops.spd import SpdConv2d, SpdPool
from spdbuild.passes import Change
from spdbuild.quantities import ratio
from spdbuild.receptive import Fields
from spdbuild.shape import pair
from spdbuild.tables import Table

_COLUMNS = ("layer", "op", "kernel", "taps", "exact", "parameters", "MACs", "receptive field", "stride")


def markdown(report: ConversionReport) -> str:
    """What was replaced, what was kept, and the totals; numbers before and after with an arrow between them."""
    title = f"# {report.before.name}: {report.options}\n"
    replaced = _table(_COLUMNS, (_row(report, change) for change in report.replaced))
    kept = _table(("kept", "op", "why"), ([c.name, f"`{c.before}`", c.why] for c in report.kept))
    return "\n".join(part for part in (title, replaced, kept, _totals(report)) if part)


def _row(report: ConversionReport, change: Change) -> list[str]:
    before, after = report.before[change.name], report.after[change.name]
    inserted = [report.after[name].op.name for name in change.inserted]
    seen = report.fields_before[change.name], report.fields_after[change.name]
    return [
        change.name,
        _arrow(before.op.name, " + ".join([after.op.name, *inserted])),
        _arrow(_kernel(before.op), _kernel(after.op)),
        str(report.taps(change) or ""),
        _exactness(report, change),
        _arrow(f"{before.parameters:,}", f"{after.parameters:,}"),
        _arrow(f"{before.macs:,}", f"{after.macs:,}"),
        _arrow(*(_sizes(axis.size for axis in fields) for fields in seen)),
        _arrow(*(_strides(fields) for fields in seen)),
    ]


def _exactness(report: ConversionReport, change: Change) -> str:
    if change.name in report.residuals:
        return f"residual {report.residuals[change.name]:.3g}"
    return "yes" if change.exact else "no"


def _totals(report: ConversionReport) -> str:
    before, after = report.before, report.after
    rows = [
        ["parameters", f"{before.parameters:,}", f"{after.parameters:,}", ratio(before.parameters, after.parameters)],
        ["MACs", f"{before.macs:,}", f"{after.macs:,}", ratio(before.macs, after.macs)],
    ]
    return _table(("total", "before", "after", "ratio"), rows)


def _kernel(op: Op) -> str:
    """Kernel and stride, `3x3/2`; of an SPD op its kernel over blocks, `2x2 of 2x2 pixels`."""
    stride = pair(getattr(op, "stride", 1))
    if isinstance(op, SpdConv2d | SpdPool):
        return f"{_sizes(axis.kernel for axis in op.blocks())} of {_sizes(stride)} pixels"
    step = str(stride[0]) if stride[0] == stride[1] else _sizes(stride)
    return f"{_sizes(pair(getattr(op, 'kernel', 1)))}/{step}"


def _strides(fields: Fields) -> str:
    rows, columns = (axis.stride for axis in fields)
    return _number(rows) if rows == columns else _sizes((rows, columns))


def _sizes(sizes: Iterable[Fraction | int]) -> str:
    return "x".join(map(_number, sizes))


def _number(number: Fraction | int) -> str:
    return f"{float(number):g}"


def _arrow(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, or nothing where there are no rows."""
    table = Table(columns, rows=list(rows))
    return table.markdown() if table.rows else ""
