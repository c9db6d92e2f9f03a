"""Functions shared by the features: time of a save, decay by age, sums that do not depend on the order of rows."""

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_MICROS_A_DAY = 86_400_000_000
_UNITS = 1e9


def saves(board_pins: DataFrame) -> DataFrame:
    """Return (user_id, pin_id, board_id, ts) of the saves; ts is the time of the commit where saved_at is null."""
    committed = F.timestamp_millis(F.shiftright("_commit_ts", 18))
    return board_pins.where(F.col("user_id").isNotNull()).select(
        "user_id", "pin_id", "board_id", F.coalesce("saved_at", committed).alias("ts")
    )


def within(ts: str, instant: datetime, days: float) -> Column:
    """Return whether `ts` is at most `days` before the as-of instant."""
    return days_ago(F.col(ts), instant) <= F.lit(float(days))


def recent_events(events: DataFrame, instant: datetime, days: float) -> DataFrame:
    """Return the events of the `days` before the as-of instant; the filter on `ds` lets Delta skip files."""
    start = F.date_sub(F.lit(instant.date()), int(days) + 1)
    return events.where((F.col("ds") >= start) & within("ts", instant, days))


def days_ago(ts: Column, instant: datetime) -> Column:
    """Return days from `ts` to the as-of instant, at least 0: a client's clock may run ahead."""
    as_of = F.lit(int(instant.timestamp()) * 1_000_000)
    return F.greatest((as_of - F.unix_micros(ts)) / F.lit(_MICROS_A_DAY), F.lit(0.0))


def decay(ts: Column, instant: datetime, half_life_days: float) -> Column:
    """Return the weight of an event by age: 1 at the as-of instant, halved every half-life before it."""
    return F.pow(F.lit(0.5), days_ago(ts, instant) / F.lit(half_life_days))


def exact_sum(values: Column) -> Column:
    """Return the sum in steps of 1e-9, equal for any order of rows: integers add up exactly, floats do not."""
    return F.coalesce(F.sum(F.round(values * F.lit(_UNITS)).cast("bigint")), F.lit(0)) / F.lit(_UNITS)
