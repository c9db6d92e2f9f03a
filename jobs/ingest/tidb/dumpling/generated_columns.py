"""STORED generated columns of an export's rows, which it lacks: computed where that gives exactly TiDB's value.

In: the column's expression and the rows. Out: its values. Sums, differences and products of integer columns and
literals are computed; anything else is not, and whoever reads holds the table.
"""

import ast
import re
from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.values import Faults, from_canal

_WORD = re.compile(r"`(?P<name>\w+)`|(?P<word>[a-z_]\w*)|(?P<number>\d{1,18})|(?P<sign>[-+*()])|\s+")
_SUMS: dict[type[ast.operator], Callable[[pa.Array, pa.Array], pa.Array]] = {
    ast.Add: pc.add_checked,
    ast.Sub: pc.subtract_checked,
    ast.Mult: pc.multiply_checked,
}


def computable(column: SourceColumn, columns: Iterable[SourceColumn]) -> bool:
    """Return whether the column's values can be computed from the others' of its row.

    Args:
        column: a generated column.
        columns: those that an export's rows have.
    """
    tree = _parsed(column.expression)
    # BIGINT UNSIGNED does not fit the arithmetic here
    fit = {c.name.lower() for c in columns if c.kind == "int" and not (c.unsigned and c.type == "BIGINT")}
    return tree is not None and column.kind == "int" and _names(tree) <= fit


def computed(column: SourceColumn, texts: Mapping[str, pa.Array]) -> tuple[pa.Array, Faults]:
    """Return the values of a computable column as canonical text, and faults by place.

    Args:
        column: a generated column.
        texts: canonical text by column.
    """
    tree = _parsed(column.expression)
    by_name = {name.lower(): values for name, values in texts.items()}
    total = len(next(iter(by_name.values())))
    if tree is None:
        return pa.nulls(total, pa.string()), {}
    try:
        values = _value(tree, {name: pc.cast(by_name[name], pa.int64()) for name in _names(tree)}, total)
    except pa.ArrowInvalid as error:  # beyond BIGINT: TiDB takes no such row
        fault = ("bad_value", f"column {column.name} cannot be computed: {error}")
        return pa.nulls(total, pa.string()), dict.fromkeys(range(total), fault)
    return from_canal(column, pc.cast(values, pa.string()), "UTC")


def _parsed(expression: str) -> ast.expr | None:
    """Return the expression as a tree of sums, differences, products, names and numbers; None if it is none."""
    place, words = 0, []
    while place < len(expression):
        match = _WORD.match(expression, place)
        if match is None:
            return None
        name = match["name"] or match["word"]
        words.append(f"c_{name}" if name else match["number"] or match["sign"] or " ")
        place = match.end()
    try:
        tree = ast.parse("".join(words).strip(), mode="eval").body
    except SyntaxError:
        return None
    return tree if all(_is_sum(node) for node in ast.walk(tree)) else None


def _is_sum(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return type(node.op) in _SUMS
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    return isinstance(node, ast.Name | ast.expr_context | ast.operator | ast.USub) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    )


def _names(tree: ast.expr) -> set[str]:
    return {node.id.removeprefix("c_") for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _value(node: ast.expr, columns: Mapping[str, pa.Array], total: int) -> pa.Array:
    if isinstance(node, ast.BinOp):
        return _SUMS[type(node.op)](_value(node.left, columns, total), _value(node.right, columns, total))
    if isinstance(node, ast.UnaryOp):
        return pc.negate_checked(_value(node.operand, columns, total))
    if isinstance(node, ast.Name):
        return columns[node.id.removeprefix("c_")]
    return pa.repeat(pa.scalar(ast.literal_eval(node), pa.int64()), total)
