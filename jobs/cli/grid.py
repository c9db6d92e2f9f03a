"""Data on a terminal, in a pipe and as JSON: shown as it is, never taken for markup, never cut where a program reads.

JSON: an object a row; numbers that are no numbers (NaN, infinite) are null, bytes are base64, decimals and times are
text (ISO 8601, instants at UTC), structs are objects, maps are objects where their keys are plain values, else lists of
`key` and `value`.
"""

import base64
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from rich import box as boxes
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

_CONTROLS = {code: f"\\x{code:02x}" for code in [*range(32), 127, *range(0x80, 0xA0)] if chr(code) not in "\n\t"}
"""Characters that a terminal obeys instead of showing them."""


def as_json(value: Any) -> Any:
    """Return a value as JSON can hold it, and nothing else of it changed."""
    for kinds, change in _CHANGES:
        if isinstance(value, kinds):
            return change(value)
    return value if value is None or isinstance(value, str | int) else str(value)


def _of_sequence(value: Any) -> Any:
    fields = getattr(value, "__fields__", None)  # a Row of Spark's: its fields have names
    if fields:
        return {name: as_json(one) for name, one in zip(fields, value, strict=True)}
    return [as_json(one) for one in value]


def _of_map(value: Mapping[Any, Any]) -> Any:
    if all(isinstance(key, _PLAIN) for key in value):
        return {_key(key): as_json(one) for key, one in value.items()}
    return [{"key": as_json(key), "value": as_json(one)} for key, one in value.items()]


def _key(value: Any) -> str:
    plain = as_json(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def iso(value: datetime | date | time) -> str:
    """Return a day or time as ISO 8601; an instant is told at UTC."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat()


_PLAIN = (str, int, float, Decimal, date, bytes, bytearray, type(None))
"""Keys of a map that are the names of an object's fields."""
_CHANGES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (float, lambda value: value if math.isfinite(value) else None),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(bytes(value)).decode()),
    ((datetime, date, time), iso),
    (Mapping, _of_map),
    ((list, tuple, set, frozenset), _of_sequence),
)
"""Types that JSON does not have -> what stands for their values."""


def write_json(value: Any) -> None:
    """Write a value for a program to read."""
    text = json.dumps(as_json(value), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # half a character of UTF-16, or an output that is not UTF-8
        text = json.dumps(as_json(value), indent=2, allow_nan=False)
    sys.stdout.write(text + "\n")


def shown(value: Any) -> Text:
    """Return a value as a cell of a table: its text, whatever signs are in it."""
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, bytes | bytearray):
        return Text(f"{len(value)} bytes")
    if isinstance(value, datetime | date | time):
        return Text(iso(value).replace("T", " "))
    if isinstance(value, list | tuple | Mapping):
        return Text(json.dumps(as_json(value), ensure_ascii=False).translate(_CONTROLS))
    return as_is(value)


def as_is(text: object) -> Text:
    """Return a text that holds data, a path or a name, as it is to be seen: brackets are brackets."""
    return Text(str(text).translate(_CONTROLS))


def print_grid(
    out: Console, columns: Sequence[str], rows: Iterable[Sequence[Any]], box: boxes.Box | None = boxes.HEAVY_HEAD
) -> None:
    """Print rows as a table; where nobody looks at it, in a pipe or a file, as wide as its values.

    Args:
        out: where to.
        columns: their headers; two may be the same.
        rows: a value for each column, or a Text of one's own.
        box: the lines around cells; None for none.
    """
    grid = Grid(box=box, header_style="bold", pad_edge=box is not None)
    for name in columns:
        grid.add_column(as_is(name), overflow="fold", no_wrap=not out.is_terminal)
    for row in rows:
        grid.add_row(*[value if isinstance(value, Text) else shown(value) for value in row])
    print_whole(out, grid)


def print_whole(out: Console, grid: Grid) -> None:
    """Print a table, where nobody looks at it as wide as its values: a terminal folds or cuts them, a file must not."""
    if out.is_terminal:
        out.print(grid)
        return
    wide = grid.__rich_measure__(out, out.options.update(max_width=1 << 20)).maximum
    Console(file=out.file, width=max(wide, out.width), color_system=None).print(grid)
