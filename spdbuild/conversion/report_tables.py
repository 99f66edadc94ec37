"""A conversion's report as tables, to be shown or written as Markdown; an arrow stands between before and after."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from spdbuild.analysis.receptive import Fields
from spdbuild.conversion.report import ConversionReport
from spdbuild.graph.totals import totals_table
from spdbuild.ops import Op
from spdbuild.ops.spd import SpdConv2d, SpdPool
from spdbuild.passes import Change
from spdbuild.shape import Size, pair
from spdbuild.wording.quantities import change as counts
from spdbuild.wording.quantities import scaled
from spdbuild.wording.tables import Table

_NUMBERS = ("params", "MACs")
_COLUMNS = ("replaced", "op", "becomes", "kernel", "taps", "placement", *_NUMBERS, "exact", "field", "stride", "note")


def markdown(report: ConversionReport) -> str:
    """What was replaced, what was kept, and the totals."""
    tables = (replaced_table(report), kept_table(report), totals_table(report.before, report.after))
    texts = (table.markdown() for table in tables if table.rows)
    return "\n".join([f"# {report.before.name}: {report.options}\n", *texts])


def replaced_table(report: ConversionReport) -> Table:
    """The replaced layers. In pixels of the input: field, what one output sees; stride, from one output to the next."""
    return Table(_COLUMNS, _NUMBERS, [_row(report, change) for change in report.replaced])


def kept_table(report: ConversionReport) -> Table:
    return Table(("kept", "op", "why"), rows=[(entry.name, str(entry.before), entry.why) for entry in report.kept])


def window_text(kernel: Size, stride: Size, *, of_blocks: bool = False) -> str:
    """Kernel and stride, `3x3/2`; of an SPD op its kernel over blocks of `stride` pixels, `2x2 of 2x2 pixels`."""
    down, right = pair(stride)
    if of_blocks:
        return f"{_sizes(pair(kernel))} of {down}x{right} pixels"
    return f"{_sizes(pair(kernel))}/{down if down == right else f'{down}x{right}'}"


def arrow(before: str, after: str) -> str:
    """Both texts, or one where they are equal."""
    return before if before == after else f"{before} -> {after}"


def _row(report: ConversionReport, change: Change) -> tuple[str, ...]:
    before, after = report.before[change.name], report.after[change.name]
    seen = report.fields_before[change.name], report.fields_after[change.name]
    return (
        change.name,
        before.op.name,
        ", ".join([after.op.name, *(report.after[name].op.name for name in change.inserted)]),
        arrow(_kernel(before.op), _kernel(after.op)),
        str(report.taps(change) or ""),
        change.placement,
        counts(before.parameters, after.parameters),
        arrow(scaled(before.macs), scaled(after.macs)),
        _exactness(report, change),
        arrow(*(_sizes(axis.size for axis in fields) for fields in seen)),
        arrow(*map(_strides, seen)),
        change.why,
    )


def _exactness(report: ConversionReport, change: Change) -> str:
    if change.name in report.residuals:
        return f"residual {report.residuals[change.name]:.3g}"
    return "yes" if change.exact else "no"


def _kernel(op: Op) -> str:
    stride = getattr(op, "stride", 1)
    if isinstance(op, SpdConv2d | SpdPool):
        rows, columns = op.blocks()
        return window_text((rows.kernel, columns.kernel), stride, of_blocks=True)
    return window_text(getattr(op, "kernel", 1), stride)


def _strides(fields: Fields) -> str:
    rows, columns = (axis.stride for axis in fields)
    return _number(rows) if rows == columns else _sizes((rows, columns))


def _sizes(sizes: Iterable[Fraction | int]) -> str:
    return "x".join(map(_number, sizes))


def _number(number: Fraction | int) -> str:
    return f"{float(number):g}"
