"""Arithmetic in YAML: the syntax tree of a Python expression, in which only harmless kinds of node are accepted."""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spdbuild.errors import SourceError, nearest
from spdbuild.wording.phrases import cut

ALLOWED = (
    "numbers, texts, true, false, lists, names, + - * / //, comparisons, and/or/not, x if y else z, list[index], "
    "round, max, min, round_up"
)

#: Results beyond this are mistakes; the bound keeps a chain of multiplications from growing without end.
MAX_NUMBER = 1e15
MAX_LENGTH = 2_000
MAX_DEPTH = 100

_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
CONSTANTS = {"true": True, "false": False}


def round_up(number: float, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `number`."""
    return math.ceil(number / multiple) * multiple


_FUNCTIONS: dict[str, Callable[..., Any]] = {"round": round, "max": max, "min": min, "round_up": round_up}


class ExpressionError(SourceError):
    """A mistake in an expression; `node` is the part that is wrong."""

    def __init__(self, message: str, node: ast.AST | None = None, hint: str = "", offset: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.offset = getattr(node, "col_offset", offset)


def parse_expression(text: str) -> ast.expr:
    """The syntax tree of `text`; its columns are positions in `text`."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression of {len(text):,} characters is too long")
    if not text.isascii():
        # ast counts columns in bytes; names and operators of the language are ASCII anyway.
        offset = next(i for i, c in enumerate(text) if not c.isascii())
        raise ExpressionError(f"the character '{text[offset]}' is not allowed in a call", offset=offset)
    stripped = text.lstrip()
    shift = len(text) - len(stripped)
    # ast counts columns from the start of each line, and a YAML block text (| or >) has several lines.
    starts = [shift, *(shift + match.end() for match in re.finditer("\n", stripped))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's warnings about its literals do not concern this language.
            tree: ast.expr | None = ast.parse(stripped.rstrip(), mode="eval").body
    except SyntaxError as error:
        message = re.split(r"[.,:;] ?(?=Perhaps|Maybe|[a-z]+ you)", error.msg or "invalid syntax")[0].rstrip(".")
        offset = starts[(error.lineno or 1) - 1] + max(0, (error.offset or 1) - 1)
        raise ExpressionError(f"this cannot be read: {message}", offset=offset) from None
    except (RecursionError, MemoryError, ValueError):
        tree = None
    if tree is None or _is_deep(tree):
        raise ExpressionError("this expression is nested too deeply or holds a number that is too long")
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.keyword):
            node.col_offset += starts[node.lineno - 1]
            node.end_col_offset = (node.end_col_offset or 0) + starts[(node.end_lineno or 1) - 1]
    return tree


def _is_deep(tree: ast.expr) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return bool(level)


def names(tree: ast.expr) -> Iterator[ast.Name]:
    """The names that `tree` reads, without functions and constants."""
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in functions and node.id not in CONSTANTS:
            yield node


def check_expression(tree: ast.expr, known: Mapping[str, Any] | set[str], text: str) -> Iterator[ExpressionError]:
    """The mistakes in `tree` that can be found without evaluating it."""
    try:
        _check_kinds(tree, text)
    except ExpressionError as error:
        yield error
        return
    for name in names(tree):
        if name.id not in known:
            yield _unknown(name, known)


def evaluate(tree: ast.expr, scope: Mapping[str, Any], text: str) -> Any:
    """The value of `tree` with the names of `scope`; `text` is quoted in messages."""
    if isinstance(tree, ast.Constant):
        return _constant(tree, text)
    if isinstance(tree, ast.Name):
        if tree.id in CONSTANTS:
            return CONSTANTS[tree.id]
        if tree.id not in scope:
            raise _unknown(tree, scope)
        return scope[tree.id]
    if isinstance(tree, ast.List | ast.Tuple):
        return tuple(evaluate(item, scope, text) for item in tree.elts)
    if isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATORS:
        left, right = evaluate(tree.left, scope, text), evaluate(tree.right, scope, text)
        return _compute(tree, _OPERATORS[type(tree.op)], (_number(left, tree.left), _number(right, tree.right)))
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub | ast.UAdd):
        value = _number(evaluate(tree.operand, scope, text), tree.operand)
        return -value if isinstance(tree.op, ast.USub) else value
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
        return not _truth(evaluate(tree.operand, scope, text), tree.operand)
    if isinstance(tree, ast.BoolOp):
        stop = isinstance(tree.op, ast.Or)
        for item in tree.values:
            if _truth(evaluate(item, scope, text), item) is stop:
                return stop
        return not stop
    if isinstance(tree, ast.Compare):
        return _compare(tree, scope, text)
    if isinstance(tree, ast.IfExp):
        chosen = tree.body if _truth(evaluate(tree.test, scope, text), tree.test) else tree.orelse
        return evaluate(chosen, scope, text)
    if isinstance(tree, ast.Subscript) and not isinstance(tree.slice, ast.Slice):
        return _entry(evaluate(tree.value, scope, text), evaluate(tree.slice, scope, text), tree)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in _FUNCTIONS:
        if tree.keywords:
            raise ExpressionError(f"{tree.func.id}() takes no named arguments", tree)
        values = tuple(_number(evaluate(item, scope, text), item) for item in tree.args)
        return _compute(tree, _FUNCTIONS[tree.func.id], values)
    raise _forbidden(tree, text)


def _check_kinds(tree: ast.expr, text: str) -> None:
    """Refuse what `evaluate` refuses whatever the values."""
    if isinstance(tree, ast.Constant):
        _constant(tree, text)
    else:
        allowed = (
            isinstance(tree, ast.Name | ast.List | ast.Tuple | ast.BoolOp | ast.IfExp)
            or (isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATORS)
            or (isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub | ast.UAdd | ast.Not))
            or (isinstance(tree, ast.Subscript) and not isinstance(tree.slice, ast.Slice))
            or (isinstance(tree, ast.Compare) and all(type(op) in _OPERATORS for op in tree.ops))
            or (
                isinstance(tree, ast.Call)
                and isinstance(tree.func, ast.Name)
                and tree.func.id in _FUNCTIONS
                and not tree.keywords
            )
        )
        if not allowed:
            raise _forbidden(tree, text)
        for child in ast.iter_child_nodes(tree):
            if isinstance(child, ast.expr) and not (isinstance(tree, ast.Call) and child is tree.func):
                _check_kinds(child, text)


def _constant(node: ast.Constant, text: str) -> Any:
    value = node.value
    if isinstance(value, bool) or value is None:
        hint = f"write {str(value).lower()}" if value is not None else "leave the argument out"
        raise ExpressionError(f"'{value}' is not a word of this language", node, hint)
    if not isinstance(value, int | float | str):
        raise _forbidden(node, text)
    if not isinstance(value, str) and not abs(value) <= MAX_NUMBER:
        raise ExpressionError("the number is too large", node)
    return value


def _compare(tree: ast.Compare, scope: Mapping[str, Any], text: str) -> bool:
    left = evaluate(tree.left, scope, text)
    for symbol, item in zip(tree.ops, tree.comparators, strict=True):
        right = evaluate(item, scope, text)
        if type(symbol) not in _OPERATORS:
            raise _forbidden(tree, text)
        if not isinstance(symbol, ast.Eq | ast.NotEq):
            _number(left, tree.left), _number(right, item)
        # Lists in lists can share their parts, and Python's comparison would never come to an end.
        if any(_is_list(entry) for side in (left, right) if _is_list(side) for entry in side):
            raise ExpressionError("a list of lists cannot be compared", tree, hint="compare its entries: sizes[0] == 3")
        if not _OPERATORS[type(symbol)](left, right):
            return False
        left = right
    return True


def _entry(items: Any, index: Any, tree: ast.Subscript) -> Any:
    if not _is_list(items):
        raise ExpressionError(f"only a list has entries, got {_shown(items)}", tree.value)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(items):
        message = f"the list has {len(items)} entries, counted from 0, got the index {_shown(index)}"
        raise ExpressionError(message, tree.slice)
    return items[index]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _compute(tree: ast.expr, function: Callable[..., Any], values: tuple[Any, ...]) -> Any:
    try:
        result = function(*values)
    except ZeroDivisionError:
        raise ExpressionError("division by zero", tree) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ExpressionError(f"this cannot be computed: {error}", tree) from None
    if isinstance(result, float) and not math.isfinite(result) or abs(result) > MAX_NUMBER:
        raise ExpressionError("the result is too large", tree)
    return result


def _number(value: Any, node: ast.AST) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(f"arithmetic needs numbers, got {_shown(value)}", node)
    return value


def _truth(value: Any, node: ast.AST) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"and, or, not, if need true or false, got {_shown(value)}", node)
    return value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text '{cut(value)}'"
    return "a list" if _is_list(value) else str(value)


def _unknown(name: ast.Name, known: Mapping[str, Any] | set[str]) -> ExpressionError:
    return ExpressionError(f"there is no number called '{cut(name.id)}' here", name, nearest(name.id, known))


def _forbidden(node: ast.expr, text: str) -> ExpressionError:
    part = text[node.col_offset : node.end_col_offset]
    return ExpressionError(f"'{cut(part)}' is not allowed here", node, ALLOWED)
