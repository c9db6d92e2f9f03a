"""What the features share: when a save was, how much an old event counts, sums that do not depend on order."""

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_MICROS_A_DAY = 86_400_000_000
_UNITS = 1e9


def saves(board_pins: DataFrame) -> DataFrame:
    """Return (user_id, pin_id, board_id, ts) of the saves; ts falls back to the commit's time where unknown."""
    committed = F.timestamp_millis(F.shiftright("_commit_ts", 18))
    return board_pins.where(F.col("user_id").isNotNull()).select(
        "user_id", "pin_id", "board_id", F.coalesce("saved_at", committed).alias("ts")
    )


def within(ts: str, instant: datetime, days: float) -> Column:
    """Return whether `ts` lies in the days before the cut."""
    return days_ago(F.col(ts), instant) <= F.lit(float(days))


def recent_events(events: DataFrame, instant: datetime, days: float) -> DataFrame:
    """Return the events of the days before the cut; `ds` lets Delta skip the files of other days."""
    start = F.date_sub(F.lit(instant.date()), int(days) + 1)
    return events.where((F.col("ds") >= start) & within("ts", instant, days))


def days_ago(ts: Column, instant: datetime) -> Column:
    """Return days from `ts` to the cut, at least 0: a client's clock may run ahead."""
    cut = F.lit(int(instant.timestamp()) * 1_000_000)
    return F.greatest((cut - F.unix_micros(ts)) / F.lit(_MICROS_A_DAY), F.lit(0.0))


def decay(ts: Column, instant: datetime, half_life_days: float) -> Column:
    """Return what an event counts for: 1 at the cut, half as much every half-life before it."""
    return F.pow(F.lit(0.5), days_ago(ts, instant) / F.lit(half_life_days))


def exact_sum(values: Column) -> Column:
    """Return the sum in steps of 1e-9, the same whatever the order: whole numbers add up exactly, floats do not."""
    return F.coalesce(F.sum(F.round(values * F.lit(_UNITS)).cast("bigint")), F.lit(0)) / F.lit(_UNITS)
