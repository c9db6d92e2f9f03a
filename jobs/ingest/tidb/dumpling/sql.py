r"""Dumpling's SQL: `INSERT INTO t VALUES` and one tuple a line, text in single quotes, binary values as x'…'.

In: a file's bytes and the columns of its table. Out: the tuples as binary columns. Read by a pattern, never
run.
"""

import re
from collections.abc import Iterator, Set

import numpy as np
import pyarrow as pa

from jobs.ingest.loading.stream import RejectedRows
from jobs.ingest.tidb.dumpling.csv import Parsed
from jobs.ingest.tidb.dumpling.csv_records import MEANING, Dialect
from jobs.ingest.tidb.rows.ledger_rows import RowSpec

_INSERT = re.compile(rb"\s*INSERT\s+INTO\s+`(?:[^`]|``)+`\s*(\((?P<names>[^)]*)\))?\s*VALUES\s*", re.IGNORECASE)
_SKIP = re.compile(rb"(?:\s|/\*.*?\*/|--[^\n]*\n|;)*", re.DOTALL)
_AFTER = rb"\s*(?P<after>[,)])"
_OTHERS = rb"(?P<null>NULL)|[xX]'(?P<hex>[0-9A-Fa-f]*)'|(?P<number>[-+0-9.eE]+)"
_VALUE = {
    True: re.compile(rb"\s*(?:%s|(?:_binary\s*)?'(?P<text>(?:[^'\\]|\\.|'')*)')%s" % (_OTHERS, _AFTER), re.DOTALL),
    False: re.compile(rb"\s*(?:%s|(?:_binary\s*)?'(?P<text>(?:[^']|'')*)')%s" % (_OTHERS, _AFTER), re.DOTALL),
}
_ESCAPE = re.compile(rb"\\(.)|''", re.DOTALL)
_NEXT = re.compile(rb"[,;][ \t]*\r?\n|\Z")
"""Where a tuple that cannot be read is taken to end."""

Row = list[bytes | None]


def parse(spec: RowSpec, dialect: Dialect, content: bytes, bad: RejectedRows) -> Parsed:
    """Return the tuples of an SQL file.

    Args:
        spec: columns of the table.
        dialect: whether text escapes by backslash.
        content: the file.
        bad: takes tuples that cannot be read.

    Raises:
        ValueError: a statement is not an INSERT, or names columns that the table lacks.
    """
    names = [column.name for column in spec.columns if not column.generated]
    rows: list[Row] = []
    numbers: list[int] = []
    places: list[tuple[int, int]] = []
    for number, (start, end, row) in enumerate(_tuples(content, names, dialect.escape_backslash), 1):
        places.append((start, end))
        if row is None or len(row) != len(names):
            detail = "no tuple of values" if row is None else f"{len(row)} fields, not {len(names)}"
            bad.add(number, "bad_sql" if row is None else "field_count", detail, content[start:end])
            continue
        rows.append(row)
        numbers.append(number)
    arrays = [pa.array([row[at] for row in rows], pa.binary()) for at in range(len(names))]

    def raw(wanted: Set[int]) -> dict[int, bytes]:
        return {number: content[slice(*places[number - 1])] for number in wanted}

    return Parsed(pa.table(arrays, names=names), np.array(numbers, np.int64), len(places), raw)


def _tuples(content: bytes, names: list[str], escapes: bool) -> Iterator[tuple[int, int, Row | None]]:
    """Yield the place of each tuple and its values in the table's order, None where it cannot be read."""
    at, order = 0, list(range(len(names)))
    while (at := _end(_SKIP.match(content, at))) < len(content):
        insert = _INSERT.match(content, at)
        if insert is None:
            shown = content[at : at + 80].decode("utf-8", "replace")
            raise ValueError(f"a dump has INSERT statements and comments only, at byte {at} stands {shown!r}")
        order, at, more = _order(insert["names"], names), insert.end(), True
        while more:
            start = at
            row, at = _tuple(content, at, escapes)
            if row is None:
                broken = _NEXT.search(content, start)
                at = _end(broken)
                more = content[start:at].rstrip()[-1:] == b"," and at < len(content)
                yield start, at, None
                continue
            yield start, at, [row[place] for place in order] if len(row) == len(order) else row
            more = content[at : at + 1] == b","
            at = _end(_SKIP.match(content, at + 1))


def _end(found: "re.Match[bytes] | None") -> int:
    return found.end() if found else 0


def _order(told: bytes | None, names: list[str]) -> list[int]:
    """Return where each column of the table stands in the statement's list."""
    if told is None:
        return list(range(len(names)))
    listed = [part.strip().strip(b"`").replace(b"``", b"`").decode("utf-8", "replace") for part in told.split(b",")]
    if set(listed) != set(names):
        raise ValueError(f"INSERT names {', '.join(listed)}, the table has {', '.join(names)}")
    return [listed.index(name) for name in names]


def _tuple(content: bytes, at: int, escapes: bool) -> tuple[Row | None, int]:
    """Return the values of the tuple at `at` and where it ends; None where it is none."""
    if content[at : at + 1] != b"(":
        return None, at
    row: Row = []
    at += 1
    while (found := _VALUE[escapes].match(content, at)) is not None:
        row.append(_value(found, escapes))
        at = found.end()
        if found["after"] == b")":
            return row, at
    return None, at


def _value(found: "re.Match[bytes]", escapes: bool) -> bytes | None:
    if found["null"] is not None:
        return None
    if found["hex"] is not None:
        return bytes.fromhex(found["hex"].decode())
    if found["number"] is not None:
        return bytes(found["number"])
    text = bytes(found["text"])
    if not escapes:
        return text.replace(b"''", b"'")
    return _ESCAPE.sub(lambda m: b"'" if m[1] is None else MEANING.get(m[1], m[1]), text)
