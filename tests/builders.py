"""Small frames for tests, by table name: say only the columns that matter, the rest gets a plausible default.

``build(spark, "silver.app_pins", [dict(id=1), dict(id=2)], category="garden")`` has the columns a job sees, with the
registry's types. A timestamp may be a number: days before the cut (2026-11-01). A vector may be a list of numbers.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from jobs.schema.table import AsOf, Table
from jobs.schema.tables import table

CUT = datetime(2026, 11, 1, tzinfo=UTC)
_VECTORS = {"embedding": "<f2", "taste": "<f2", "factor": "<f4"}
_BEFORE = 100
"""Days before the cut at which things were made unless a test says otherwise."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "silver.app_users": {"country": "FR", "status": "active", "created_at": _BEFORE},
    "silver.app_boards": {"owner_id": 1, "name": "board", "privacy": "public", "created_at": _BEFORE},
    "silver.app_pins": {
        "creator_id": 1,
        "board_id": 1,
        "category": "garden",
        "color": "green",
        "style": "plain",
        "created_at": _BEFORE,
    },
    "silver.app_board_pins": {"board_id": 1, "saved_at": 1},
    "silver.app_board_follows": {"created_at": _BEFORE},
    "silver.app_user_follows": {"created_at": _BEFORE},
    "silver.app_blocks": {"created_at": _BEFORE},
    "silver.pin_events": {"kind": "closeup", "surface": "home_feed", "position": 1, "ts": 1},
    "silver.searches": {"ts": 1},
    "silver.pin_embeddings": {"model": "w1", "ts": _BEFORE},
    "gold.interactions": {"saves": 0, "closeups": 0, "clicks": 0, "hides": 0, "first_ts": 1, "last_ts": 1},
    "gold.pin_stats": {
        "creator_id": 0,
        "category": "garden",
        "color": "green",
        "style": "plain",
        "created_at": _BEFORE,
        "visibility": "public",
        "age_days": float(_BEFORE),
        "impressions": 0,
        "closeups": 0,
        "clicks": 0,
        "saves": 0,
        "recent_saves": 0,
        "hides": 0,
        "save_rate": 0.0,
        "popularity": 0.0,
    },
    "gold.user_profile": {
        "created_at": _BEFORE,
        "n_saves": 0,
        "n_events": 0,
        "last_active": 1,
        "is_active": True,
        "categories": {},
        "hours": [],
        "weekdays": [],
        "recent_saves": [],
    },
    "gold.candidates": {"score": 1.0, "rank": 1, "evidence_kind": "none"},
    "gold.pin_neighbours": {"rank": 1, "score": 1.0},
    "gold.trending": {"rank": 1, "score": 1.0, "observed": 5.0, "expected": 1.0},
}


def days_before(days: float) -> datetime:
    """Return the instant so many days before the cut."""
    return CUT - timedelta(days=days)


def build(spark: Any, name: str, rows: Iterable[Mapping[str, Any]] = (), **common: Any) -> Any:
    """Return table `name` as a job sees it, with these rows.

    `common` holds for every row that does not say otherwise. A column the table lacks is an error.
    """
    schema, arrow = _built(table(name), rows, common)
    return spark.createDataFrame(arrow, schema=schema) if len(arrow) else spark.createDataFrame([], schema)


def store(
    lake: Any,
    name: str,
    rows: Iterable[Mapping[str, Any]] = (),
    day: date | None = None,
    *,
    append: bool = False,
    **common: Any,
) -> None:
    """Write these rows (see `build`) into table `name` in one commit; a `day`'s replace what it has, or `append` to it.

    By delta-rs, in milliseconds: for tests to which it does not matter who wrote what they read.
    """
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    known, path = table(name), lake.path(name)
    arrow = _built(known, rows, common)[1]
    for column, value, kind in (("as_of", day, "date32"), ("_op_rank", 1, "int32"), ("_deleted", False, "bool_")):
        if column in {c.name for c in known.columns} - set(arrow.column_names):
            arrow = arrow.append_column(column, pa.array([value] * len(arrow), getattr(pa, kind)()))
    arrow = arrow.select([c.name for c in known.columns])
    if known.portable:
        lake.ensure(name)
        arrow = arrow.cast(pa.schema(DeltaTable(path).schema().to_arrow()))
    if day is None or append:
        write_deltalake(path, arrow, mode="append", partition_by=list(known.partition) or None)
    else:
        write_deltalake(path, arrow, mode="overwrite", predicate=f"as_of = '{day}'")


def filled(name: str, rows: Iterable[Mapping[str, Any]], **common: Any) -> list[dict[str, Any]]:
    """Return the rows of `build`, every column said."""
    known, defaults = table(name), DEFAULTS.get(name, {})
    return [_row(known, _columns(known), {**defaults, **common, **row}, place) for place, row in enumerate(rows)]


def interactions_of(saved: Mapping[int, Iterable[int]]) -> list[dict[str, Any]]:
    """Return rows for gold.interactions: each user saved these pins once."""
    return [{"user_id": user, "pin_id": pin, "saves": 1, "weight": 1.0} for user, pins in saved.items() for pin in pins]


def _built(known: Table, rows: Iterable[Mapping[str, Any]], common: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the schema of the columns that jobs see, and these rows as Arrow."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    columns = _columns(known)
    schema = StructType.fromDDL(", ".join(f"`{c}` {t}" for c, t in columns.items()))
    full = filled(known.name, rows, **common)
    return schema, pa.Table.from_pylist(full, schema=to_arrow_schema(schema, timestamp_utc=True))


def _columns(known: Table) -> dict[str, str]:
    hidden = {"_op_rank", "_deleted"} if known.time is AsOf.STATE else set()
    hidden |= {"as_of"} if known.time is AsOf.PARTITION else set()
    return {c.name: c.type for c in known.columns if c.name not in hidden}


def _row(known: Table, columns: Mapping[str, str], given: dict[str, Any], place: int) -> dict[str, Any]:
    extra = set(given) - set(columns)
    assert not extra, f"{known.name} has no column {', '.join(sorted(extra))}"
    row = {c: _value(c, t, given.get(c)) for c, t in columns.items()}
    if row.get("event_id", "") is None:
        row["event_id"] = f"e{place}"
    if "ds" in columns and row["ds"] is None:
        row["ds"] = row["ts"].date()
    if "dim" in columns and row["dim"] is None:
        row["dim"] = len(row["embedding"]) // 2
    if "_commit_ts" in columns and row["_commit_ts"] is None:
        row["_commit_ts"] = int(days_before(_BEFORE).timestamp() * 1000) << 18
    return row


def _value(column: str, kind: str, value: Any) -> Any:
    if column in _VECTORS and value is not None and not isinstance(value, bytes):
        return np.asarray(value, _VECTORS[column]).tobytes()
    if kind == "timestamp" and isinstance(value, int | float):
        return days_before(value)
    if kind in {"float", "double"} and value is not None:
        return float(value)
    if kind == "date" and isinstance(value, datetime):
        return date(value.year, value.month, value.day)
    return value
