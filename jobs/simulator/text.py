"""Text of many rows at once: columns in, finished lines out, no loop over rows.

Arrow keeps a string column as one buffer of bytes; lines that carry their own terminator are therefore already the
content of a file.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.simulator.rng import Array

_JSON = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
_GO = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))
_CSV = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\0"))
_HEX = np.array([f"{i:02x}".encode() for i in range(256)], dtype="S2")
_BASE64 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", dtype=np.uint8)


def join(*parts: Any) -> Any:
    """Return one string per row: the parts (str, or string arrays of one length without nulls) put together."""
    return pc.binary_join_element_wise(*parts, "")


def content(lines: Any) -> memoryview:
    """Return the bytes of all strings of an array, one after the other, without copying."""
    if len(lines) == 0:
        return memoryview(b"")
    marks = np.frombuffer(lines.buffers()[1], dtype=np.int32)
    first, last = marks[lines.offset], marks[lines.offset + len(lines)]
    return memoryview(lines.buffers()[2])[first:last]


def string(values: Array | Any) -> Any:
    """Return numbers, times or strings as text: times `YYYY-MM-DD HH:MM:SS.mmm`; nulls stay null."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array if pa.types.is_string(array.type) else array.cast(pa.string())


def _replace(column: Any, pairs: tuple[tuple[str, str], ...]) -> Any:
    for old, new in pairs:
        column = pc.replace_substring(column, old, new)
    return column


def json_text(column: Any, go: bool = False) -> Any:
    """Return a JSON value per row: the text quoted and escaped, `null` for null; `go` escapes `<>&` as Go does."""
    escaped = _replace(column, _JSON + _GO if go else _JSON)
    return pc.fill_null(join('"', escaped, '"'), "null")


def csv_text(column: Any) -> Any:
    r"""Return a field of Dumpling's CSV per row: quoted, escaped by backslash, `\N` for null."""
    return pc.fill_null(join('"', _replace(column, _CSV), '"'), "\\N")


def pick(words: tuple[str, ...], places: Array) -> Any:
    """Return the words at the given places as a string array."""
    return pa.array(words, pa.string()).take(pa.array(places.astype(np.int32)))


def fixed(data: Array) -> Any:
    """Return the rows of a (rows, width) array of byte values as a string array."""
    rows, width = data.shape
    marks = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    flat = np.ascontiguousarray(data)
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(marks), pa.py_buffer(flat)])


def hexed(values: Array) -> Any:
    """Return 16 hex digits for each unsigned 64-bit number."""
    data = values.astype(">u8").view(np.uint8)
    return fixed(_HEX[data].view(np.uint8).reshape(len(values), 16))


def base64_rows(data: Array) -> Any:
    """Return the base64 text (RFC 4648, padded) of each row of a (rows, width) array of bytes."""
    rows, width = data.shape
    missing = -width % 3
    padded = np.concatenate([data, np.zeros((rows, missing), np.uint8)], axis=1).reshape(rows, -1, 3)
    three = padded.astype(np.uint32)
    word = (three[:, :, 0] << 16) | (three[:, :, 1] << 8) | three[:, :, 2]
    shifts = np.array([18, 12, 6, 0], dtype=np.uint32)
    text = _BASE64[(word[:, :, None] >> shifts) & np.uint32(63)].reshape(rows, -1)
    if missing:
        text[:, -missing:] = ord("=")
    return fixed(text)
