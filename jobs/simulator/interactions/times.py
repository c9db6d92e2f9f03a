"""Units of times: seconds, milliseconds, microseconds or nanoseconds since 1970, digits of a date, or ISO 8601.

The unit is the one in which all values of a file lie between 1980 and 2038, the end of MySQL's TIMESTAMP. The ranges
of the units do not overlap, so that at most one fits.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FIRST, LAST = 315_532_800, 2_147_483_647
"""Seconds since 1970 that a time may be."""
_TICKS = 7 * 10**17
"""Nanoseconds begin with 1992: below lie .NET's ticks since the year 1."""
_STEPS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_DAY, _SECOND = "yyyymmdd", "yyyymmddhhmmss"
_DIGITS = {_DAY: (19_800_101, 20_380_118), _SECOND: (19_800_101_000_000, 20_380_118_235_959)}
ISO = "ISO 8601"
UNITS = ", ".join([*_STEPS, *_DIGITS, ISO])
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?\s*(Z|UTC|[+-]\d{2}(:?\d{2})?)?")

Numbers = NDArray[np.float64] | NDArray[np.int64]


def numbers(texts: Sequence[str]) -> NDArray[np.float64] | None:
    """Return texts as numbers, None if one of them is not a number."""
    if any("_" in text for text in texts):  # Python's own spelling of numbers
        return None
    try:
        values = np.array([float(text) for text in texts])
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def is_date(text: str) -> bool:
    """Return whether a text is a date of ISO 8601."""
    return _DATE.fullmatch(text.strip()) is not None


def unit_of(values: Numbers) -> str | None:
    """Return the unit that fits all values, None if there is none."""
    if not len(values):
        return None
    for unit, step in _STEPS.items():
        if values.min() >= _first(unit) and values.max() < (LAST + 1) * step:
            return unit
    for unit, (least, most) in _DIGITS.items():
        if values.min() >= least and values.max() <= most and _is_calendar(values, unit):
            return unit
    return None


def _first(unit: str) -> int:
    return max(FIRST * _STEPS[unit], _TICKS if unit == "nanoseconds" else 0)


def in_unit(values: Numbers, unit: str) -> NDArray[np.bool_]:
    """Return for each value whether it fits a unit."""
    if unit in _STEPS:
        return np.asarray((values >= _first(unit)) & (values < (LAST + 1) * _STEPS[unit]))
    least, most = _DIGITS[unit]
    return np.asarray((values >= least) & (values <= most) & ~np.isnat(_calendar(values, unit)))


def milliseconds(values: Numbers, unit: str) -> NDArray[np.int64]:
    """Return values of a unit as milliseconds since 1970."""
    if unit in _DIGITS:
        return _calendar(values, unit).astype("datetime64[ms]").astype(np.int64)
    step = _STEPS[unit]
    if step >= 1000:
        return (values // (step // 1000)).astype(np.int64)
    return np.floor(values * 1000).astype(np.int64)


def _is_calendar(values: Numbers, unit: str) -> bool:
    return bool((values == np.floor(values)).all()) and not np.isnat(_calendar(values, unit)).any()


def _calendar(values: Numbers, unit: str) -> NDArray[np.datetime64]:
    import pandas as pd

    form = "%Y%m%d" if unit == _DAY else "%Y%m%d%H%M%S"
    days, place = np.unique(np.asarray(values).astype(np.int64), return_inverse=True)
    parsed = pd.to_datetime(pd.Series(days.astype(str)), format=form, errors="coerce").to_numpy("datetime64[ns]")
    return np.asarray(parsed[place])
