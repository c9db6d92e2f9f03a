"""Conversions between TiDB timestamps (TSO), instants and as-of dates.

A TSO holds milliseconds since 1970 in UTC in its upper bits and a logical counter in the lower 18 bits.
"""

from datetime import UTC, date, datetime

LOGICAL_BITS = 18


def as_of_instant(as_of: date) -> datetime:
    """Return 00:00 UTC of an as-of date: rows at or after it are not part of that state."""
    return datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC)


def tso_at(instant: datetime) -> int:
    """Return the first TSO of an instant: a change with a smaller commit_ts happened before it."""
    return int(instant.timestamp() * 1000) << LOGICAL_BITS


def instant_of(tso: int) -> datetime:
    """Return the instant of a TSO, UTC, to the millisecond."""
    return datetime.fromtimestamp((tso >> LOGICAL_BITS) / 1000, UTC)
