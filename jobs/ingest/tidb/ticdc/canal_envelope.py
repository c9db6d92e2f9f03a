r"""Strips the envelope of canal-json lines before they are parsed: it is most of a line, and redundant.

A line begins with its table, its operation and two times, then the type of every column twice:
`{"id":0,"database":"app", … "type":"INSERT","es":…,"ts":…,"sql":"","sqlType":{…},"mysqlType":{…},"old":`. Types come
from the schema file, so of all this only the operation is wanted. What follows the maps is what is left to parse.

In: whole lines. Out: what is left of them, as JSON lines of their own, and their operations; or None, where the first
begins otherwise, and lines must be parsed whole. Nothing is cut unseen: up to the maps a line must have the bytes of
the first, whose head a JSON parser has read, but for operation and digits; the maps, which come in any order and may
differ in length (an unsigned value decides its own `sqlType`), must be flat objects to the last byte. So a line with
its head is JSON just if it is without. What is left of the first names nothing but rows and commit-ts; the caller sees
to it that all are so, and nothing of the head is said again.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.tidb.rows.ledger_rows import RowSpec

OPS = {"INSERT": "I", "UPDATE": "U", "DELETE": "D"}
_LETTERS = np.array([list(name.encode()) for name in OPS], np.uint8)
"""Letters of each operation: all have six."""
_PLACES = np.zeros(256, np.int64)
"""First letter -> place in OPS, 0 for a letter of none."""
_PLACES[_LETTERS[:, 0]] = np.arange(len(OPS))

_TYPES = b'"sqlType":{'
_ROWS = (b'},"old":', b'},"data":')
"""What follows the maps: since version 7 `old`, before it `data`."""
_VARIES = re.compile(rb'"type":"(INSERT|UPDATE|DELETE)","es":([1-9]\d{0,17}),"ts":([1-9]\d{0,17}),')
_STRING, _NUMBER = r'"[^"\\\x00-\x1f]*"', r"-?[1-9][0-9]{0,9}"
_FLAT = f"({_STRING}:({_STRING}|{_NUMBER}),)*{_STRING}:({_STRING}|{_NUMBER})}}"
"""A JSON object from behind its opening brace, of strings and whole numbers."""
_MAPS = f'^{_FLAT},"mysqlType":{{{_FLAT}$'
"""Both maps, from behind the first brace to the last."""
_LENGTHS = 64
"""So many lengths of the maps are looked for: they grow or shrink with each unsigned column."""


@dataclass(frozen=True)
class Lines:
    """What is to be parsed of lines."""

    text: bytes
    """One JSON object a line."""
    first: dict[str, Any]
    """The first of them."""
    ops: Any = None
    """Place in OPS of each line's operation; None where the text itself has it."""


@dataclass(frozen=True)
class _Head:
    """How lines begin, as the first of them shows."""

    text: Any
    """Bytes up to and with the opening brace of `sqlType`."""
    op: slice
    """Where the operation stands in it."""
    times: tuple[slice, slice]
    """Where the digits of `es` and `ts` stand."""
    rows: bytes
    """What follows the maps."""


def strip_envelopes(spec: RowSpec, text: bytes, starts: Any) -> Lines | None:
    """Return what is left of lines, None where the first does not begin as TiCDC writes it.

    Args:
        spec: whose schema and table every line must name.
        text: lines, each from a brace to a brace; valid UTF-8, less than 2 GiB.
        starts: where each line begins.

    Raises:
        ValueError: the first does, but some other does not, or is not JSON.
    """
    line = text[: text.find(b"\n")] if len(starts) > 1 else text
    head = _head_of(spec, line)
    only = None if head is None else _cut(head, line, starts[:1])
    if head is None or only is None:
        return None
    first = orjson.loads(only[0])
    if first.keys() != {"old", "data", "_tidb"} or set(first["_tidb"]) != {"commitTs"}:
        return None
    cut = _cut(head, text, starts)
    if cut is None:
        raise ValueError("lines begin in different ways")
    return Lines(cut[0], first, cut[1])


def _cut(head: _Head, text: bytes, starts: Any) -> tuple[bytes, Any] | None:
    """Return lines without their heads, and their operations; None if one begins in another way or its maps do."""
    ops = _ops(head, text, starts)
    bounds = None if ops is None else _bounds(head, text, starts)
    if bounds is None:
        return None
    maps = _pieces(text, bounds, [False, False, True, False, False])
    if not pc.all(pc.match_substring_regex(maps, _MAPS)).as_py():
        return None
    left = _pieces(text, bounds, [True, False, False, False, True])
    return left.buffers()[2].to_pybytes(), ops


def _head_of(spec: RowSpec, line: bytes) -> _Head | None:
    """Return how a line begins, None if it is not of this table or has its parts in another order."""
    end = line.find(_TYPES) + len(_TYPES)
    head = line[:end]
    varies = _VARIES.search(head)
    rows = [(line.find(rows, end), rows) for rows in _ROWS if line.find(rows, end) > 0]
    if end < len(_TYPES) or varies is None or not rows:
        return None
    op, *times = (slice(*varies.span(number)) for number in (1, 2, 3))
    for name in OPS:  # with each operation it must be what it looks like: two objects begun, none of the rows in them
        told = orjson.loads(head[: op.start] + name.encode() + head[op.stop :] + b"}}")
        ours = (told.get("database"), told.get("table"), told["type"]) == (spec.schema, spec.table, name)
        if not ours or told.keys() & {"data", "old", "_tidb"}:
            return None
    return _Head(np.frombuffer(head, np.uint8), op, (times[0], times[1]), min(rows)[1])


def _ops(head: _Head, text: bytes, starts: Any) -> Any:
    """Return each line's operation as a place in OPS; None if a line begins in another way than the first."""
    width = len(head.text)
    if starts[-1] + width > len(text):
        return None
    begun = np.ndarray(len(text) - width + 1, f"V{width}", text, strides=(1,))[starts].view(np.uint8)
    begun = begun.reshape(len(starts), width)
    same = (begun == head.text).all(axis=0)
    for time in head.times:
        digits = begun[:, time] - np.uint8(ord("0"))
        if not same[time].all() and not ((digits <= 9).all() and digits[:, 0].all()):
            return None
        same[time] = True
    letters = begun[:, head.op]
    ops = _PLACES[letters[:, 0]]
    if not same[head.op].all() and not np.array_equal(letters, _LETTERS[ops]):
        return None
    same[head.op] = True
    return ops if same.all() else None


def _bounds(head: _Head, text: bytes, starts: Any) -> Any:
    """Return n by 5 places: where each line's opening brace, head, maps, comma and rest begin; None if unknown.

    The maps begin behind the first one's opening brace and end with the last one's closing one.
    """
    maps = starts + len(head.text)
    end = _found(head.rows, text, maps)
    if end is None or (end[:-1] + len(head.rows) > starts[1:]).any():
        return None
    return np.stack([starts, starts + 1, maps, end + 1, end + 2], axis=1)


def _found(literal: bytes, text: bytes, starts: Any) -> Any:
    """Return where `literal` stands behind a place in each line; None where nowhere, or at too many distances.

    Lines are not searched but looked at where another line had it. It may be found in a later line: the caller checks.

    Args:
        literal: 8 to 16 bytes.
        text: the lines.
        starts: one place in each.
    """
    eights = np.ndarray(len(text) - 7, "<u8", text, strides=(1,))
    ends = [(at, int.from_bytes(literal[at : at + 8], "little")) for at in (0, len(literal) - 8)]
    places, left = np.empty(len(starts), np.int64), np.arange(len(starts))
    for _ in range(_LENGTHS):
        begin = starts[left]
        place = begin + (text.find(literal, begin[0]) - begin[0])
        if place[0] < 0:
            return None
        hit = np.ones(len(left), bool)
        for at, wanted in ends:
            hit &= eights[np.minimum(place + at, len(eights) - 1)] == wanted
        hit &= place + len(literal) <= len(text)
        places[left[hit]] = place[hit]
        left = left[~hit]
        if not len(left):
            return places
    return None


def _pieces(text: bytes, bounds: Any, kept: list[bool]) -> pa.Array:
    """Return pieces of lines as an array of binary values, one buffer with nothing between them.

    Args:
        text: the lines.
        bounds: n by p places, where each of a line's p pieces begins; ascending through all lines.
        kept: which of the p pieces to return.
    """
    offsets = np.append(bounds.ravel(), len(text)).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    pieces = pa.Array.from_buffers(pa.binary(), bounds.size, buffers)
    return pieces.filter(pa.array(np.tile(kept, len(bounds))))
