"""One text per value: whichever way a source writes a value, its text in the ledger, and in a key, is the same.

In: texts of one column. Out: the same values as canonical text, or ValueError. Integers have no leading zeros; decimals
have their type's scale and no exponent; FLOAT and DOUBLE have the shortest digits that mean the number, written out;
zero has no sign. YEAR has four digits, or is 0. DATETIME, TIMESTAMP and TIME have as many fractional digits as their
type, TIMESTAMP stands at UTC. SET names stand in the order of the definition. BINARY has its full length.

A date that the calendar lacks (month or day 00, 30 February, year 0000) keeps its text here and is NULL in silver. In a
key column it cannot be told from others of its kind, and such a row has no key.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.tidb.ddl.source_column import SourceColumn

_INTEGERS = {
    ("TINYINT", False): pa.int8(), ("TINYINT", True): pa.uint8(), ("SMALLINT", False): pa.int16(),
    ("SMALLINT", True): pa.uint16(), ("MEDIUMINT", False): pa.int32(), ("MEDIUMINT", True): pa.uint32(),
    ("INT", False): pa.int32(), ("INT", True): pa.uint32(), ("BIGINT", False): pa.int64(),
    ("BIGINT", True): pa.uint64(),
}  # fmt: skip
_SIZED = {"CHAR", "VARCHAR", "BINARY", "VARBINARY"}
_NEGATIVE_ZERO = r"^-[0:.]*$"
_DAY = r"\d{4}-(?:0\d|1[0-2])-(?:[0-2]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_MOMENT = re.compile(rf"({_DAY})[ T]({_CLOCK})(?:\.(\d+))?")
_TIME = re.compile(r"(-?)(\d{1,3}):([0-5]\d):([0-5]\d)(?:\.(\d+))?")
_ODD_DAY = r"^0000|^\d{4}-(00|\d\d-00|02-29|02-3|(04|06|09|11)-31)"
"""Dates that the calendar may lack; the others it has."""
_MICROSECONDS = 6


def canonical(column: SourceColumn, texts: pa.Array, zone: str, is_key: bool = False) -> pa.Array:
    """Return the texts in canonical form.

    Args:
        column: their type.
        texts: string array; ENUM and SET by name, BIT as a number, binary in lower-case hexadecimal.
        zone: zone of TIMESTAMP values.
        is_key: whether the column is part of the key, where a text must mean one value.

    Raises:
        ValueError: some text is not a value of the type (pa.ArrowInvalid is one).
    """
    known = _FORMS.get(column.kind)
    if known is not None:
        return known(column, texts)
    if column.kind in {"datetime", "timestamp"}:
        return _datetimes(column, texts, zone, is_key)
    if column.type in _SIZED and column.length is not None:
        # binary is written in hexadecimal: two characters a byte
        width = column.length if column.kind == "text" else 2 * column.length
        _require(pc.less_equal(pc.utf8_length(texts), width), f"of at most {column.length} characters or bytes")
        return pc.ascii_rpad(texts, width, "0") if column.type == "BINARY" else texts
    return texts


def in_key(column: SourceColumn, texts: pa.Array) -> pa.Array:
    """Return canonical texts as they stand in a key: null for a date that silver holds as NULL.

    A DECIMAL, DATETIME or TIMESTAMP that gets more digits keeps its older rows: trailing zeros are left out.
    """
    if column.kind in {"date", "datetime", "timestamp"}:
        texts = pc.if_else(_impossible(texts), pa.scalar(None, pa.string()), texts)
    if column.scale and (column.kind in {"datetime", "timestamp"} or column.spark.startswith("decimal")):
        return pc.replace_substring_regex(pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1"), r"\.$", "")
    return texts


def _impossible(texts: pa.Array) -> pa.Array:
    """Return which dates the calendar lacks."""
    odd = pc.fill_null(pc.match_substring_regex(texts, _ODD_DAY), False)
    places = np.flatnonzero(np.asarray(odd))
    wrong = np.zeros(len(texts), bool)
    wrong[places] = [not _in_calendar(text) for text in texts.take(pa.array(places)).to_pylist()]
    return pa.array(wrong)


def _in_calendar(text: str) -> bool:
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def _mended(texts: pa.Array, good: pa.Array, mend: Callable[[str], str]) -> pa.Array:
    """Return the texts, with `mend` applied to those that are not good: few, as writers write the canonical form."""
    wrong = ~np.asarray(pc.fill_null(good, True))
    if not wrong.any():
        return texts
    mask = pa.array(wrong)
    return pc.replace_with_mask(texts, mask, pa.array([mend(t) for t in texts.filter(mask).to_pylist()], pa.string()))


def _integers(column: SourceColumn, texts: pa.Array) -> pa.Array:
    target = _INTEGERS[column.type, column.unsigned] if column.kind == "int" else pa.uint64()
    try:
        numbers = pc.cast(texts, target)
    except pa.ArrowInvalid:  # a sign in front is all that may be undone
        numbers = pc.cast(pc.replace_substring_regex(texts, r"^\+(\d)|^-(0+)$", r"\1\2"), target)
    # back to text: Dumpling keeps the leading zeros of ZEROFILL and of YEAR 0000, the feed does not
    return pc.cast(numbers, pa.string())


def _years(column: SourceColumn, texts: pa.Array) -> pa.Array:
    """Return years of four digits: a number below 100 is a year of two, as YEAR holds 0 and 1901 to 2155 only."""
    numbers = pc.cast(_integers(column, texts), pa.int64())
    short = pc.and_(pc.greater(numbers, 0), pc.less(numbers, 100))
    century = pc.if_else(pc.less(numbers, 70), 2000, 1900)
    whole = pc.if_else(short, pc.add(numbers, century), numbers)
    good = pc.and_(pc.greater_equal(whole, 1901), pc.less_equal(whole, 2155))
    _require(pc.or_(good, pc.equal(whole, 0)), "0 or from 1901 to 2155")
    return pc.cast(whole, pa.string())


def _decimals(column: SourceColumn, texts: pa.Array) -> pa.Array:
    length, scale = max(column.length or 10, 1), column.scale or 0
    pc.cast(texts, pa.decimal256(length, scale))
    fraction = rf"\.\d{{{scale}}}" if scale else ""
    plain = pc.match_substring_regex(texts, rf"^-?(?:0|[1-9]\d*){fraction}$")
    good = pc.and_not(plain, pc.match_substring_regex(texts, _NEGATIVE_ZERO))

    def mend(text: str) -> str:
        with localcontext(prec=2 * length + scale + 10):
            number = Decimal(text).quantize(Decimal(1).scaleb(-scale))
        return format(number or abs(number), "f")

    return _mended(texts, good, mend)


def _floats(column: SourceColumn, texts: pa.Array) -> pa.Array:
    precision: Any = np.float32 if column.type == "FLOAT" else np.float64
    with np.errstate(over="ignore"):
        numbers = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False).astype(precision)
    values = pa.array(numbers, mask=np.asarray(texts.is_null()))
    _require(pc.is_finite(values), "a finite number")
    shortest = pc.cast(values, pa.string())
    good = pc.and_not(pc.equal(texts, shortest), pc.match_substring_regex(texts, r"[eE]|^-0$"))

    def mend(text: str) -> str:
        digits = format(Decimal(str(precision(text))), "f")
        digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
        return "0" if digits == "-0" else digits

    return _mended(texts, good, mend)


def _dates(column: SourceColumn, texts: pa.Array) -> pa.Array:  # noqa: ARG001 - as the others
    _require(pc.match_substring_regex(texts, f"^{_DAY}$"), "year-month-day")
    return texts


def _datetimes(column: SourceColumn, texts: pa.Array, zone: str, is_key: bool) -> pa.Array:
    digits = column.scale or 0
    if column.kind == "timestamp" and zone != "UTC":
        texts = pa.array([_to_utc(text, zone, is_key) for text in texts.to_pylist()], pa.string())
    fraction = rf"\.\d{{{digits}}}" if digits else ""
    return _mended(texts, pc.match_substring_regex(texts, f"^{_DAY} {_CLOCK}{fraction}$"), lambda t: _moment(t, digits))


def _moment(text: str, digits: int) -> str:
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError("not a date and a time")
    return f"{found[1]} {found[2]}{_fraction(found[3], digits)}"


def _fraction(told: str | None, digits: int) -> str:
    """Return fractional seconds with as many digits as the type has, or as the value needs."""
    needed = (told or "").rstrip("0")
    if len(needed) > _MICROSECONDS:
        raise ValueError("more precise than a microsecond")
    padded = needed.ljust(digits, "0")
    return f".{padded}" if padded else ""


def _to_utc(text: str | None, zone: str, is_key: bool) -> str | None:
    if text is None or not _in_calendar(text):
        return text
    at = datetime.fromisoformat(text[:19]).replace(tzinfo=ZoneInfo(zone))
    # in the hour that a change of clocks repeats, the first one is meant: the text is ambiguous
    if is_key and at.utcoffset() != at.replace(fold=1).utcoffset() and _is_repeated(at):
        raise ValueError(f"at that time the clocks of {zone} go back, so that it means two moments")
    return at.astimezone(ZoneInfo("UTC")).replace(tzinfo=None).isoformat(" ", "seconds") + text[19:]


def _is_repeated(at: datetime) -> bool:
    """Return whether a local time comes twice; one that clocks leave out differs by its fold too, and never comes."""
    utc = ZoneInfo("UTC")
    return at.astimezone(utc).astimezone(at.tzinfo).replace(tzinfo=None) == at.replace(tzinfo=None)


def _times(column: SourceColumn, texts: pa.Array) -> pa.Array:
    digits = column.scale or 0
    fraction = rf"\.\d{{{digits}}}" if digits else ""
    plain = pc.match_substring_regex(texts, rf"^-?(?:\d\d|[1-9]\d\d):[0-5]\d:[0-5]\d{fraction}$")
    good = pc.and_not(plain, pc.match_substring_regex(texts, _NEGATIVE_ZERO))

    def mend(text: str) -> str:
        found = _TIME.fullmatch(text)
        if found is None:
            raise ValueError("not hours, minutes, seconds")
        made = f"{int(found[2]):02}:{found[3]}:{found[4]}{_fraction(found[5], digits)}"
        return f"-{made}" if found[1] and made.strip("0:.") else made

    return _mended(texts, good, mend)


def _enums(column: SourceColumn, texts: pa.Array) -> pa.Array:
    if column.members:  # the empty name is MySQL's invalid value
        _require(pc.is_in(texts, pa.array(["", None, *column.members], pa.string())), "one of its members")
    return texts


def _sets(column: SourceColumn, texts: pa.Array) -> pa.Array:
    if not column.members:
        return texts
    coded = texts.dictionary_encode()
    ordered = []
    for text in coded.dictionary.to_pylist():
        names = set(text.split(",")) if text else set()
        if not names <= set(column.members):
            raise ValueError(f"not of its {len(column.members)} members")
        ordered.append(",".join(name for name in column.members if name in names))
    return pa.array(ordered, pa.string()).take(coded.indices)


def _require(good: pa.Array, what: str) -> None:
    if pc.all(good, min_count=0).as_py() is False:
        raise ValueError(f"not {what}")


_FORMS: dict[str, Callable[[SourceColumn, pa.Array], pa.Array]] = {
    "int": _integers, "bit": _integers, "year": _years, "decimal": _decimals, "float": _floats, "date": _dates,
    "time": _times, "enum": _enums, "set": _sets,
}  # fmt: skip
