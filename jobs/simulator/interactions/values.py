"""Converts a column of any type to the numbers that its role needs; an error names the first invalid value."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.simulator.interactions.times import is_date

_WHOLE = r"^[0-9]{1,18}(\.0*)?$"
_EMPTY = frozenset({"", "null", "nan", "none", "na", "n/a", "\\n"})


class Unreadable(Exception):
    """A value that breaks the rule of its column."""

    def __init__(self, row: int, value: Any, rule: str) -> None:
        """Set the row in the block, its value and the rule."""
        super().__init__(rule)
        self.row, self.value, self.rule = row, value, rule


def whole_numbers(column: Any) -> NDArray[np.int64]:
    """Return ids: whole numbers, 4.0 included.

    Raises:
        Unreadable: one is not a whole number.
    """
    rule = "must be a whole number"
    if pa.types.is_integer(column.type) and not column.null_count:
        found = column.to_numpy(zero_copy_only=False)
        _require(found >= 0, found, rule)
        return np.asarray(found, np.int64)
    if pa.types.is_floating(column.type):
        values = column.to_numpy(zero_copy_only=False)
        _require((values >= 0) & (values == np.floor(values)) & (values < 2**53), values, rule)
        return np.asarray(values, np.int64)
    text = _texts(column)
    try:
        found = pc.cast(text, pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        good = pc.fill_null(pc.match_substring_regex(text, _WHOLE), False).to_numpy(zero_copy_only=False)
        _require(good, text, rule)
        found = pc.cast(pc.replace_substring_regex(text, r"\.0*$", ""), pa.int64()).to_numpy(zero_copy_only=False)
    _require(found >= 0, found, rule)
    return np.asarray(found, np.int64)


def floats(column: Any, rule: str, decimal_comma: bool, empty: bool) -> NDArray[np.float64]:
    """Return numbers, NaN for empty ones if they are allowed.

    Args:
        column: of texts or numbers.
        rule: rule of the column, for the message.
        decimal_comma: whether 3,5 means 3.5.
        empty: whether empty texts, null and NaN are allowed.

    Raises:
        Unreadable: one is not a number.
    """
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            column = pc.cast(column, pa.string())
        else:
            values = np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
            _require(np.isfinite(values) | (np.isnan(values) & empty), values, rule)
            return values
    text = _texts(column)
    if decimal_comma:
        text = pc.replace_substring(text, ",", ".")
    blank = pc.is_in(pc.utf8_lower(text), pa.array(sorted(_EMPTY))).to_numpy(zero_copy_only=False)
    kept = pc.if_else(pa.array(blank), pa.scalar(None, pa.string()), text)
    try:
        found = pc.cast(kept, pa.float64())
    except pa.ArrowInvalid:
        _require(np.array([blank[at] or _is_number(one.as_py()) for at, one in enumerate(text)]), text, rule)
        raise
    values = found.to_numpy(zero_copy_only=False)
    _require(np.isfinite(values) | (blank & empty), text, rule)
    return np.asarray(values, np.float64)


def integers(column: Any) -> NDArray[np.int64] | None:
    """Return whole numbers exactly, which floats could not; None if there are other values."""
    try:
        if pa.types.is_integer(column.type) and not column.null_count:
            return np.asarray(column.to_numpy(zero_copy_only=False), np.int64)
        text = pc.cast(_texts(column), pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return None if text.null_count else np.asarray(text.to_numpy(zero_copy_only=False), np.int64)


def iso_milliseconds(column: Any) -> NDArray[np.int64]:
    """Return dates and instants as milliseconds since 1970; those without a zone are UTC.

    Raises:
        Unreadable: one is not a date.
    """
    import pandas as pd

    rule = "must be a date such as 2026-09-21 or 2026-09-21T14:15:00Z"
    if pa.types.is_temporal(column.type):
        values = pc.cast(column, pa.timestamp("ms", "UTC" if getattr(column.type, "tz", None) else None), safe=False)
        _require(~pc.is_null(values).to_numpy(zero_copy_only=False), column, rule)
        return np.asarray(pc.cast(values, pa.int64()).to_numpy(zero_copy_only=False), np.int64)
    text = _texts(column)
    try:
        parsed = pd.to_datetime(text.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    except (ValueError, OverflowError):
        parsed = pd.Series(pd.NaT, index=range(len(text)))
    _require(parsed.notna().to_numpy(), text, rule)
    return parsed.to_numpy("datetime64[ms]").astype(np.int64)


def looks_like_dates(column: Any) -> bool:
    """Return whether a column holds dates, by its type or its first text."""
    if pa.types.is_temporal(column.type):
        return True
    return bool(len(column)) and is_date(str(column[0].as_py()))


def _texts(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return pc.utf8_trim_whitespace(pc.cast(column, pa.string()))


def _is_number(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None


def _require(good: NDArray[np.bool_], values: Any, rule: str) -> None:
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        value = values[row]
        raise Unreadable(row, value.as_py() if isinstance(value, pa.Scalar) else value.item(), rule)
