"""Conversion of values when a statement changes the type of their column: TiDB's rules, from text to text.

TiDB rewrites the rows that are there and sends no row event for them, so the ledger keeps their text as it was. Each
rule here returns what TiDB has after the statement, in the ledger's form, or None where the value does not fit the new
type or the conversion is ambiguous. jobs/ingest/tidb/ddl/type_changes.py chooses the rules of a change of type;
the metadata of a silver table holds those of each column. After TiDB's `Datum.ConvertTo` (pkg/types/datum.go).
"""

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, cast

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F

Step = tuple[Any, ...]
"""Name of a rule and its arguments: plain values that JSON keeps as they are."""

_WIDE = Context(prec=400)
_WHOLE = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_REAL = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,6}))?")
_TIME = re.compile(r"(-?)(\d{2,3}):([0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?")
_LONGEST = 839 * 3600 * 1_000_000
"""Microseconds that a TIME is below."""


def convert(text: str, steps: Iterable[Sequence[Any]]) -> str | None:
    """Return a value's text after the steps of one change of type, None where TiDB's result is not known.

    Args:
        text: in the ledger's form, of the old type.
        steps: rules and their arguments, in order.
    """
    found: str | None = text
    for name, *arguments in steps:
        if found is None:
            return None
        try:
            found = _RULES[name](found, *arguments)
        except (ValueError, OverflowError, InvalidOperation):
            return None
    return found


def keeps_text(steps: Iterable[Sequence[Any]]) -> bool:
    """Return whether the steps only check values: those that fit are unchanged."""
    return all(step[0] in _CHECKS for step in steps)


def converted(text: Column, steps: Sequence[Sequence[Any]]) -> Column:
    """Return a column of texts after the steps, NULL where a text is NULL or its result is not known."""
    told = [tuple(step) for step in steps]

    def change(values: pa.Array) -> pa.Array:
        # values repeat: each is worked out once
        coded = values.dictionary_encode()
        found = [None if one is None else convert(one, told) for one in coded.dictionary.to_pylist()]
        return pa.array(found, pa.string()).take(coded.indices)

    return cast("Column", cast("Any", F.arrow_udf)(change, "string")(text))


def _whole(text: str, low: int, high: int) -> str | None:
    """Check an integer's range."""
    return text if low <= int(text) <= high else None


def _chars(text: str, most: int) -> str | None:
    """Check the number of characters."""
    return text if len(text) <= most else None


def _bytes(text: str, most: int) -> str | None:
    """Check the number of bytes in UTF-8."""
    return text if len(text.encode()) <= most else None


def _hex(text: str, most: int) -> str | None:
    """Check the number of bytes of hexadecimal text."""
    return text if len(text) <= 2 * most else None


def _members(text: str, *names: str) -> str | None:
    """Check that an ENUM has the name; the empty name, MySQL's invalid value, is not a name."""
    return text if text in names else None


def _strip(text: str) -> str:
    """CHAR keeps no spaces at its end."""
    return text.rstrip(" ")


def _parsed(text: str) -> str | None:
    """Return the canonical text of a whole number in a text column."""
    return str(int(text)) if _WHOLE.fullmatch(text) and len(text) <= 70 and text.isascii() else None


def _rounded(text: str, places: int = 0) -> str | None:
    """Round a decimal number half away from zero, and write it with `places` decimals."""
    if not _NUMBER.fullmatch(text) or not text.isascii():
        return None
    found = Decimal(text).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _WIDE)
    return format(found or found.copy_abs(), "f")


def _decimal(text: str, length: int, scale: int, unsigned: bool = False) -> str | None:
    """Return a number as DECIMAL(length, scale) has it."""
    found = _rounded(text, scale)
    if found is None or (unsigned and found.startswith("-")):
        return None
    return found if Decimal(found).copy_abs() < Decimal(10) ** (length - scale) else None


def _double(text: str) -> str | None:
    """Return the shortest text of the DOUBLE that a number becomes, without an exponent."""
    if not _REAL.fullmatch(text) or not text.isascii():
        return None
    found = float(text)
    return None if found in {float("inf"), float("-inf")} else _plain(repr(found))


def _float(text: str) -> str | None:
    """Return the shortest text of the FLOAT that a number becomes, without an exponent."""
    import numpy as np

    if not _REAL.fullmatch(text) or not text.isascii():
        return None
    single = struct.unpack("<f", struct.pack("<f", float(text)))[0]
    return _plain(str(np.format_float_scientific(np.float32(single), unique=True)))


def _widened(text: str) -> str | None:
    """Return the text of the DOUBLE that a FLOAT becomes."""
    single = _single(text)
    return single and _plain(repr(struct.unpack("<f", struct.pack("<f", float(single)))[0]))


def _single(text: str) -> str | None:
    """Return a FLOAT's text without an exponent; exports write it with six digits where it is very large or small."""
    value = float(text)
    return None if value and not 1e-15 < abs(value) < 1e15 else _float(text)


def _unscaled(text: str) -> str:
    """Return a DOUBLE's text without an exponent."""
    return _plain(repr(float(text)))


def _plain(number: str) -> str:
    found = format(Decimal(number), "f")
    return found.rstrip("0").rstrip(".") if "." in found else found


def _even(text: str) -> str:
    """Round a DOUBLE half to even, as it becomes an integer."""
    found = Decimal(float(text)).quantize(Decimal(1), ROUND_HALF_EVEN, _WIDE)
    return format(found or found.copy_abs(), "f")


def _positive(text: str) -> str | None:
    """Check that a number is not negative."""
    return None if text.startswith("-") and float(text) else text


def _index(text: str, *names: str) -> str | None:
    """Return the number of an ENUM's name, 0 for its invalid value."""
    return str(names.index(text) + 1) if text in names else ("0" if not text else None)


def _named(text: str, *names: str) -> str | None:
    """Return the name that a number stands for in an ENUM."""
    return names[int(text) - 1] if 1 <= int(text) <= len(names) else None


def _mask(text: str, *names: str) -> str | None:
    """Return the number of a SET's names."""
    mine = text.split(",") if text else []
    return str(sum(1 << names.index(one) for one in set(mine))) if set(mine) <= set(names) else None


def _set(text: str, *names: str) -> str | None:
    """Return a SET's names in the order of its definition."""
    mine = set(text.split(",")) if text else set()
    return ",".join(name for name in names if name in mine) if mine <= set(names) else None


def _year(text: str) -> str | None:
    """Check a year; 0 and those of two digits mean others."""
    return text if re.fullmatch(r"\d{4}", text) and 1901 <= int(text) <= 2155 else None


def _date(text: str) -> str | None:
    """Return the day of a DATETIME, or of a text that is a day of the calendar."""
    found = _MOMENT.fullmatch(text)
    whole = text if found is None else found[1]
    day = whole[:10]
    if found is not None and found[2] and whole.endswith("23:59:59") and found[2][0] >= "5":
        return None  # TiDB rounds before it cuts
    return day if _is_day(day) else None


def _midnight(text: str, digits: int) -> str | None:
    """Return the DATETIME that a DATE becomes."""
    return f"{text} 00:00:00{'.' * bool(digits)}{'0' * digits}" if _is_day(text) else None


def _moment(text: str, digits: int) -> str | None:
    """Return a DATETIME or TIMESTAMP with `digits` fractional digits, rounded half up."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    kept, carry = _cut(found[2] or "", digits)
    if not carry:
        return f"{found[1]}{'.' * bool(digits)}{kept}"
    at = datetime.fromisoformat(found[1]) + timedelta(microseconds=(int(kept or 0) + 1) * 10 ** (6 - digits))
    return f"{at.isoformat(' ')[:19]}{'.' * bool(digits)}{f'{at.microsecond:06d}'[:digits]}"


def _real_moment(text: str, digits: int) -> str | None:
    """Return the DATETIME that a text becomes, where it is one of the calendar."""
    found = text if not _DATE.fullmatch(text) else f"{text} 00:00:00"
    datetime.fromisoformat(found)
    return _moment(found, digits)


def _clock(text: str, digits: int) -> str | None:
    """Return a TIME with `digits` fractional digits, rounded half up."""
    found = _TIME.fullmatch(text)
    if found is None or int(found[2]) > 838:
        return None
    kept, carry = _cut(found[5] or "", digits)
    if not carry:
        return f"{text.partition('.')[0]}{'.' * bool(digits)}{kept}"
    if found[1] and (found[5] or "")[digits:].rstrip("0") == "5":
        return None  # which way half of a negative time goes depends on TiDB's version
    hours, minutes, seconds = int(found[2]), int(found[3]), int(found[4])
    whole = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + (int(kept or 0) + 1) * 10 ** (6 - digits)
    if whole >= _LONGEST:
        return None
    seconds, rest = divmod(whole, 1_000_000)
    text = f"{found[1]}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}{'.' * bool(digits)}{f'{rest:06d}'[:digits]}"


def _daytime(text: str) -> str | None:
    """Return the time of day of a DATETIME."""
    found = _MOMENT.fullmatch(text)
    return text[11:] if found is not None and _is_day(text[:10]) else None


def _stamp(text: str) -> str | None:
    """Return the number that a date or time reads as: 2026-08-01 is 20260801."""
    whole, _, fraction = text.partition(".")
    if fraction.strip("0") or (_DATE.fullmatch(whole[:10]) and not _is_day(whole[:10])):
        return None
    sign = "-" if whole.startswith("-") else ""
    return str(int(sign + re.sub(r"\D", "", whole)))


def _to_bytes(text: str) -> str | None:
    """Return the bytes of a text as hexadecimal; beyond ASCII they depend on the column's character set."""
    return text.encode().hex() if text.isascii() else None


def _to_text(text: str) -> str | None:
    """Return the text of bytes, where every character set reads them the same."""
    found = bytes.fromhex(text)
    return found.decode() if found.isascii() else None


def _padded(text: str, length: int) -> str | None:
    """Check that bytes fill a BINARY: whether shorter ones are padded depends on TiDB's version."""
    return text if len(text) == 2 * length else None


def _is_day(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _cut(fraction: str, digits: int) -> tuple[str, bool]:
    """Return `digits` digits of a fraction, and whether the rest rounds them up."""
    return fraction[:digits].ljust(digits, "0"), fraction[digits : digits + 1] >= "5"


_CHECKS = {"whole", "chars", "bytes", "hex", "members", "padded", "year", "positive"}
_RULES: dict[str, Callable[..., str | None]] = {
    "whole": _whole, "chars": _chars, "bytes": _bytes, "hex": _hex, "members": _members, "padded": _padded,
    "year": _year, "positive": _positive, "strip": _strip, "parsed": _parsed, "rounded": _rounded,
    "decimal": _decimal, "double": _double, "float": _float, "widened": _widened, "single": _single,
    "unscaled": _unscaled, "even": _even, "index": _index, "named": _named, "mask": _mask, "set": _set, "date": _date,
    "midnight": _midnight, "moment": _moment, "real_moment": _real_moment, "clock": _clock, "daytime": _daytime,
    "stamp": _stamp, "to_bytes": _to_bytes, "to_text": _to_text,
}  # fmt: skip
