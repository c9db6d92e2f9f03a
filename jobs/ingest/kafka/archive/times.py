"""Which time a message's `ts` is: seconds, milliseconds, microseconds or nanoseconds since 1970, or ISO 8601.

The unit of a number is known by its magnitude: from 2001-09-09 to 2100 the four ranges do not touch. A number outside
of all four is refused, so that a wrong unit never becomes a day of 1970. A topic with older events names its unit.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Unit = Literal["auto", "s", "ms", "us", "ns"]

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EARLIEST, _LATEST = 1_000_000_000, 4_102_444_800
"""Seconds of 2001-09-09 and 2100-01-01, the first and last time that a number without a unit can be."""
_MICROS = 1_000_000
_RANGES = [(n * _EARLIEST, n * _LATEST, n) for n in _PER_SECOND.values()]
_MILLIS = (1_000 * _EARLIEST, 1_000 * _LATEST)
_ISO = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?\s?(?P<zone>[Zz]|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(value: Any, unit: Unit = "auto") -> int:
    """Return a time in microseconds since 1970; finer digits are cut.

    Args:
        value: number or text.
        unit: what a number counts; auto goes by its magnitude.

    Raises:
        ValueError: it is no time that can be told, with the reason.
    """
    if type(value) is int or type(value) is float:
        return _number(value, unit)
    if type(value) is str:
        return _text(value)
    raise ValueError("neither a number nor a text")


def _number(value: int | float, unit: Unit) -> int:
    if unit == "auto":
        if type(value) is int and _MILLIS[0] <= value <= _MILLIS[1]:  # nearly all are
            return value * 1000
        per_second = next((n for low, high, n in _RANGES if low <= value <= high), 0)
        if not per_second:
            raise ValueError(
                "not between 2001-09-09 and 2100 in seconds, milliseconds, microseconds or nanoseconds since 1970; if "
                "it is right, ts_unit of the topic in ingest.topics names its unit"
            )
    else:
        per_second = _PER_SECOND[unit]
        if not 0 < value <= _LATEST * per_second:
            raise ValueError(f"not between 1970 and 2100 in the topic's ts_unit, {unit}")
    return value * _MICROS // per_second if isinstance(value, int) else round(value * (_MICROS / per_second))


def _text(value: str) -> int:
    match = _ISO.fullmatch(value)
    if match is None:
        raise ValueError("a text, but not of the form 2026-05-28T20:26:40.123Z")
    if match["zone"] is None:
        raise ValueError("a text without a time zone, such as Z or +02:00")
    plain = value.replace(",", ".").replace(" ", "T", 1).replace(" ", "").upper()
    try:
        found = (datetime.fromisoformat(plain) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"no such time: {error}") from error
    if not 0 < found <= _LATEST * _MICROS:
        raise ValueError("not between 1970 and 2100")
    return found
