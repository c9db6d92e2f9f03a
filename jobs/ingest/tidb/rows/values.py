"""Converts values of a source file to the ledger's text: one column at a time, on Arrow arrays, executor side.

Each writer's form is undone here: ENUM and SET by name, BIT as unsigned number, binary as lower-case hexadecimal. Then
every value is brought to its one canonical text (canonical.py), which checks it against its type, so that the cast in
the merge cannot fail.
"""

import base64
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.canonical import canonical

Faults = dict[int, tuple[str, str]]
"""Place in the array -> reason and detail."""

_FAILURES = (pa.ArrowException, ValueError, KeyError, IndexError, OverflowError, UnicodeError, TypeError)


def from_canal(
    column: SourceColumn, values: list[Any] | pa.Array, zone: str, is_key: bool = False
) -> tuple[pa.Array, Faults]:
    """Return one column of canal-json as canonical text.

    Args:
        column: its type.
        values: strings or None, as parsed; or an Arrow array of strings.
        zone: zone of TIMESTAMP values.
        is_key: whether the column is part of the key.

    Returns:
        Array of strings, null where the value is NULL or at fault; and the faults.
    """
    return _guarded(column, values, lambda some: canonical(column, _canal_text(column, some), zone, is_key))


def from_dump(
    column: SourceColumn, values: pa.Array, zone: str, binary: str, is_key: bool = False
) -> tuple[pa.Array, Faults]:
    """Return one column of a Dumpling CSV as canonical text.

    Args:
        column: its type.
        values: binary array, the bytes between the quotes.
        zone: zone of TIMESTAMP values.
        binary: how binary columns are written: raw, hex or base64.
        is_key: whether the column is part of the key.
    """
    return _guarded(column, values, lambda some: canonical(column, _dump_text(column, some, binary), zone, is_key))


def from_feed_csv(
    column: SourceColumn, values: pa.Array, zone: str, binary: str, is_key: bool = False
) -> tuple[pa.Array, Faults]:
    """Return one column of TiCDC's CSV as canonical text.

    Args:
        column: its type.
        values: binary array, the bytes between the quotes.
        zone: zone of TIMESTAMP values.
        binary: how binary columns are written: hex or base64.
        is_key: whether the column is part of the key.
    """
    return _guarded(column, values, lambda some: canonical(column, _feed_text(column, some, binary), zone, is_key))


def _guarded(column: SourceColumn, values: Any, clean: Callable[[Any], pa.Array]) -> tuple[pa.Array, Faults]:
    faults: Faults = {}
    kept: list[pa.Array] = []
    _cleaned(column, values, clean, 0, kept, faults)
    return (kept[0] if len(kept) == 1 else pa.concat_arrays(kept)), faults


def _cleaned(
    column: SourceColumn, values: Any, clean: Callable[[Any], pa.Array], at: int, kept: list[pa.Array], faults: Faults
) -> None:
    """Clean values that begin at place `at`; where some are bad, halve until they are found."""
    if not len(values):  # there is nothing to halve where a column cannot be read at all
        kept.append(pa.nulls(0, pa.string()))
        return
    try:
        kept.append(clean(values))
        return
    except _FAILURES as error:
        if len(values) == 1:
            reason = "unknown_member" if column.kind in {"enum", "set"} else "bad_value"
            shown = str(values[0])[:200]
            faults[at] = (reason, f"column {column.name}: {shown!r} is not a valid {column.sql} ({error})"[:500])
            kept.append(pa.nulls(1, pa.string()))
            return
    half = len(values) // 2
    _cleaned(column, values[:half], clean, at, kept, faults)
    _cleaned(column, values[half:], clean, at + half, kept, faults)


def _canal_text(column: SourceColumn, values: list[Any] | pa.Array) -> pa.Array:
    texts = values if isinstance(values, pa.Array) else pa.array([_said(column, v) for v in values], pa.string())
    if column.kind == "enum":
        names = pa.array(["", *_members(column)], pa.string())
        # a name that is a number means the member of that index: TiCDC writes indexes
        index = pc.index_in(texts, names.filter(pc.invert(pc.match_substring_regex(names, r"^\d+$"))))
        return texts if not index.null_count and len(texts) else names.take(pc.cast(texts, pa.int64()))
    if column.kind == "set":
        return _set_names(column, texts)
    if column.kind == "binary":
        return pa.array([None if v is None else v.encode("latin-1").hex() for v in texts.to_pylist()], pa.string())
    return texts


def _said(column: SourceColumn, value: Any) -> str | None:
    """Return a JSON value as text: TiCDC writes strings; a number is taken where reading it has not rounded it."""
    if value is None or isinstance(value, str):
        return value
    if type(value) is int or (type(value) is float and column.kind == "float"):
        return str(value)
    raise TypeError("no text, nor a number that is exact")


def _members(column: SourceColumn) -> tuple[str, ...]:
    if not column.members:
        raise ValueError("its members are not known: no schema file or CREATE TABLE lists them")
    return column.members


def _set_names(column: SourceColumn, texts: pa.Array) -> pa.Array:
    names = _members(column)
    coded = texts.dictionary_encode()
    decoded = []
    for text in coded.dictionary.to_pylist():
        mask = int(text)
        if mask < 0 or mask >> len(names):
            raise ValueError(f"bits beyond its {len(names)} members")
        decoded.append(",".join(name for place, name in enumerate(names) if mask >> place & 1))
    return pa.array(decoded, pa.string()).take(coded.indices)


def _feed_text(column: SourceColumn, values: pa.Array, binary: str) -> pa.Array:
    if column.kind == "binary":
        return pa.array([None if v is None else v.hex() for v in _decoded(values, binary)], pa.string())
    return pc.cast(values, pa.string())


def _decoded(values: pa.Array, binary: str) -> list[bytes | None]:
    decode: Callable[[bytes], bytes] = {
        "raw": bytes,
        "hex": lambda v: bytes.fromhex(v.decode()),
        "base64": lambda v: base64.b64decode(v, validate=True),
    }[binary]
    return [None if v is None else decode(v) for v in values.to_pylist()]


def _dump_text(column: SourceColumn, values: pa.Array, binary: str) -> pa.Array:
    if column.kind not in {"binary", "bit"}:
        return pc.cast(values, pa.string())
    raw = _decoded(values, binary)
    if column.kind == "bit":
        return pa.array([None if v is None else str(int.from_bytes(v, "big")) for v in raw], pa.string())
    return pa.array([None if v is None else v.hex() for v in raw], pa.string())
