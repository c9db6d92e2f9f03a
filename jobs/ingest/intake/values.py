"""From what a file says to the ledger's text: one column at a time, on Arrow arrays, executor side.

Canonical text: integers and decimals as MySQL writes them, ENUM and SET by name, BIT as unsigned number, binary as
lower-case hexadecimal, TIMESTAMP at UTC, YEAR as number. Every value is checked against its type here, so that the cast
in the merge cannot fail; a date with a month or day 00 passes and becomes NULL in silver.
"""

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.tables.mysql import SourceColumn

Faults = dict[int, tuple[str, str]]
"""Place in the array -> reason and detail."""

_FAILURES = (pa.ArrowException, ValueError, KeyError, IndexError, OverflowError, UnicodeError, TypeError)
_INTEGERS = {
    ("TINYINT", False): pa.int8(), ("TINYINT", True): pa.uint8(), ("SMALLINT", False): pa.int16(),
    ("SMALLINT", True): pa.uint16(), ("MEDIUMINT", False): pa.int32(), ("MEDIUMINT", True): pa.uint32(),
    ("INT", False): pa.int32(), ("INT", True): pa.uint32(), ("BIGINT", False): pa.int64(),
    ("BIGINT", True): pa.uint64(),
}  # fmt: skip
_TIME = r"^-?\d{2,3}:[0-5]\d:[0-5]\d(\.\d{1,6})?$"
_SIZED = {"CHAR", "VARCHAR", "BINARY", "VARBINARY"}
_ZERO_DATE = r"^\d{4}-(00-\d\d|\d\d-00)"


def from_canal(column: SourceColumn, values: list[Any] | pa.Array, zone: str) -> tuple[pa.Array, Faults]:
    """Return one column of canal-json as canonical text.

    Args:
        column: its type.
        values: strings or None, as parsed; or an Arrow array of strings.
        zone: zone of TIMESTAMP values.

    Returns:
        Array of strings, null where the value is NULL or at fault; and the faults.
    """
    return _guarded(column, values, lambda some: _checked(column, _canal_text(column, some), zone))


def from_dump(column: SourceColumn, values: pa.Array, zone: str, binary: str) -> tuple[pa.Array, Faults]:
    """Return one column of a Dumpling CSV as canonical text.

    Args:
        column: its type.
        values: binary array, the bytes between the quotes.
        zone: zone of TIMESTAMP values.
        binary: how binary columns are written: raw, hex or base64.
    """
    return _guarded(column, values, lambda some: _checked(column, _dump_text(column, some, binary), zone))


def from_feed_csv(column: SourceColumn, values: pa.Array, zone: str, binary: str) -> tuple[pa.Array, Faults]:
    """Return one column of TiCDC's CSV as canonical text.

    Args:
        column: its type.
        values: binary array, the bytes between the quotes.
        zone: zone of TIMESTAMP values.
        binary: how binary columns are written: hex or base64.
    """
    return _guarded(column, values, lambda some: _checked(column, _feed_text(column, some, binary), zone))


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
            faults[at] = (reason, f"column {column.name}: {shown!r} is no {column.sql} ({error})"[:500])
            kept.append(pa.nulls(1, pa.string()))
            return
    half = len(values) // 2
    _cleaned(column, values[:half], clean, at, kept, faults)
    _cleaned(column, values[half:], clean, at + half, kept, faults)


def _canal_text(column: SourceColumn, values: list[Any] | pa.Array) -> pa.Array:
    texts = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    if column.kind == "enum":
        numbers = pc.cast(texts, pa.int64())
        return pa.array(["", *_members(column)], pa.string()).take(numbers)
    if column.kind == "set":
        return _set_names(column, texts)
    if column.kind == "binary":
        return pa.array([None if v is None else v.encode("latin-1").hex() for v in texts.to_pylist()], pa.string())
    return texts


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
    texts = pc.cast(values, pa.string())
    if column.kind == "enum" and column.members:  # the empty name is MySQL's invalid value
        _require(pc.is_in(texts, pa.array(["", None, *column.members], pa.string())), "one of its members")
    return texts


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


def _checked(column: SourceColumn, texts: pa.Array, zone: str) -> pa.Array:
    """Return the texts in canonical form; raise if any is not of the column's type."""
    kind = column.kind
    if kind in {"int", "bit", "year"}:
        target = _INTEGERS[column.type, column.unsigned] if kind == "int" else pa.uint64()
        # back to text: Dumpling keeps the leading zeros of ZEROFILL and of YEAR 0000, the feed does not
        return pc.cast(pc.cast(texts, target), pa.string())
    if kind == "decimal":
        pc.cast(texts, pa.decimal256(max(column.length or 10, 1), column.scale or 0))
    elif kind == "float":
        _require(pc.is_finite(pc.cast(texts, pa.float64())), "a finite number")
    elif kind == "time":
        _require(pc.match_substring_regex(texts, _TIME), "hours, minutes, seconds")
    elif kind in {"date", "datetime", "timestamp"}:
        return _date(kind, texts, zone)
    elif column.type in _SIZED and column.length is not None:
        # binary is written in hexadecimal: two characters a byte
        width = column.length if kind == "text" else 2 * column.length
        _require(pc.less_equal(pc.utf8_length(texts), width), f"of at most {column.length} characters or bytes")
    return texts


def _date(kind: str, texts: pa.Array, zone: str) -> pa.Array:
    zero = pc.match_substring_regex(texts, _ZERO_DATE)
    real = pc.if_else(zero, pa.scalar(None, pa.string()), texts)
    pc.cast(real, pa.date32() if kind == "date" else pa.timestamp("us"))
    if kind != "timestamp" or zone == "UTC":
        return texts
    return pa.array([_to_utc(text, zone) for text in texts.to_pylist()], pa.string())


def _to_utc(text: str | None, zone: str) -> str | None:
    if text is None or text.startswith("0000-00-00"):
        return text
    # in the hour that a change of clocks repeats, the first one is meant: the text cannot say which
    at = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(ZoneInfo("UTC"))
    return at.replace(tzinfo=None).isoformat(" ", "microseconds" if "." in text else "seconds")


def _require(good: pa.Array, what: str) -> None:
    if pc.all(good, min_count=0).as_py() is False:
        raise ValueError(f"not {what}")
