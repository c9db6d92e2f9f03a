"""Writes ops.generations: one row per event of a generation; its newest row is its status."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.engine.context import ActionContext
from jobs.serving.manifest import Manifest, day_of
from jobs.serving.models import Pointer

TABLE = "ops.generations"


def published(work: ActionContext, kind: str, manifest: Manifest, *, new: bool, pruned: Sequence[str]) -> None:
    """Write that a generation was loaded (if `new`) and is served, and which were pruned for it, in one commit."""
    events = [(_event(manifest), "loaded")] if new else []
    dropped = [({"generation": name, "as_of": day_of(name)}, "pruned") for name in pruned]
    _append(work, kind, [*events, (_event(manifest), "served"), *dropped], datetime.now(UTC))


def refused(work: ActionContext, kind: str, manifest: Manifest) -> None:
    """Write that the gate refused a generation."""
    _append(work, kind, [(_event(manifest), "refused")], datetime.now(UTC))


def catch_up(work: ActionContext, kind: str, served: Pointer | None) -> None:
    """Write moves of the pointer that had no Spark to write them: a rollback, or a promotion whose run was killed."""
    if served is None:
        return
    rows = work.lake.rows(TABLE, "generation", "as_of", "status", "store", "manifest", "at")  # a few a run
    events = sorted((row for row in rows if row["store"] == kind), key=lambda row: row["at"])
    last = [row for row in events if row["status"] == "served"][-1:]
    if not last or last[0]["generation"] == served.current or served.previous != last[0]["generation"]:
        return
    earlier = [row for row in events if row["generation"] == served.current][:1]
    if earlier:
        at = datetime.fromtimestamp(served.moved_at_ms / 1000, UTC)
        _append(work, kind, [(last[0], "rolled_back"), (earlier[0], "served")], at)


def _event(manifest: Manifest) -> dict[str, Any]:
    return {"generation": manifest.generation, "as_of": manifest.as_of, "manifest": manifest.text()}


def _append(work: ActionContext, kind: str, rows: Sequence[tuple[dict[str, Any], str]], at: datetime) -> None:
    # a microsecond apart, so that "newest" is never a tie
    work.lake.append_rows(
        TABLE,
        [_row(work, kind, row, status, at + timedelta(microseconds=place)) for place, (row, status) in enumerate(rows)],
    )


def _row(work: ActionContext, kind: str, row: dict[str, Any], status: str, at: datetime) -> dict[str, Any]:
    return {
        "generation": row["generation"],
        "as_of": row["as_of"],
        "status": status,
        "store": kind,
        "manifest": row.get("manifest"),
        "run_id": work.run_id,
        "at": at,
    }
