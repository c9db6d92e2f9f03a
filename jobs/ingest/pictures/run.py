"""The action that turns pins' pictures into numbers: silver.image_features, a row a picture file.

In: silver.app_pins, which name pictures by their signature; the files, at `ingest.pictures.path` below the sources'
root. Out: silver.image_features, ops.quarantine. A picture is read once: what has a row is not read again, except
where its file was missing, which is tried again on a later day. Executors read, decode and measure; the driver learns
counts. A file that is no picture has a row that says so, and lies in quarantine with its bytes. Killed anywhere, run
again: quarantine is written first and not twice.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from jobs.config.ingest import Pictures
from jobs.ingest.intake.storage import read_head
from jobs.ingest.pictures.decode import Picture, Unusable, decode
from jobs.ingest.pictures.features import features
from jobs.lake.job import Outcome, Work
from jobs.lake.ops import QUARANTINE
from jobs.lake.sources import IMAGE_FEATURES, PINS

MISSING = "missing_image"
SOURCE = "pictures"
_KEEP = 1 << 20
"""Bytes of a bad file that quarantine keeps."""
_TOGETHER = 256
"""Pictures measured at once: some 4 MB of small arrays."""
_FOUND = pa.schema(
    [
        ("image_signature", pa.string()), ("object", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
        ("phash", pa.int64()), ("histogram", pa.binary()), ("colours", pa.list_(pa.string())), ("style", pa.string()),
        ("fault", pa.string()), ("detail", pa.string()), ("raw", pa.binary()),
    ]
)  # fmt: skip
_DDL = (
    "image_signature string, object string, width int, height int, phash bigint, histogram binary, "
    "colours array<string>, style string, fault string, detail string, raw binary"
)


def run(work: Work) -> Outcome:
    """Measure the pictures that have not been.

    Returns:
        counts: pictures measured, missing, quarantined, and waiting for a later run.
    """
    settings, root = work.context.settings.ingest.pictures, work.options.get("pictures")
    if not root or not work.lake.exists(PINS.name):
        work.progress("no pictures named, or no pins yet: nothing to do")
        return Outcome()
    work.lake.ensure(IMAGE_FEATURES.name)
    wanted = _wanted(work, settings).persist(StorageLevel.DISK_ONLY)
    try:
        left = wanted.count()
        if not left:
            return Outcome(0, {"measured": 0, "missing": 0, "quarantined": 0, "waiting": 0})
        work.progress(f"{left:,} pictures to measure")
        counts = _measure(work, wanted.limit(settings.most), str(root), settings)
    finally:
        wanted.unpersist()
    counts["waiting"] = max(0, left - settings.most)
    return Outcome(counts["measured"], counts)


def _wanted(work: Work, settings: Pictures) -> DataFrame:
    """Return the signatures of live pins without a row; of those that were missing, not tried since retry_hours."""
    pins = work.lake.scan(PINS.name).where(~F.col("_deleted") & (F.length("image_signature") > 0))
    again = F.current_timestamp() - F.make_dt_interval(hours=F.lit(settings.retry_hours))
    known = work.lake.scan(IMAGE_FEATURES.name)
    known = known.where(F.col("fault").isNull() | (F.col("fault") != MISSING) | (F.col("at") > again))
    return pins.select("image_signature").distinct().join(known, "image_signature", "left_anti")


def _measure(work: Work, wanted: DataFrame, root: str, settings: Pictures) -> dict[str, int]:
    tasks = 4 * work.spark.sparkContext.defaultParallelism
    path = settings.path
    placed = wanted.repartition(tasks, "image_signature").select("image_signature")
    found = placed.mapInArrow(_reader(root, path, settings), _DDL).persist(StorageLevel.DISK_ONLY)
    try:
        kinds = found.groupBy("fault").count().collect()  # bounded: a row a class of fault
        counts = {row["fault"]: row["count"] for row in kinds}
        bad = sum(count for fault, count in counts.items() if fault not in {None, MISSING})
        rows = found.withColumns({"run_id": F.lit(work.run_id), "at": F.lit(datetime.now(UTC))})
        rows = rows.select(*[column.name for column in IMAGE_FEATURES.columns], "detail", "raw", "object")
        if bad:
            _quarantine(work, rows.where(F.col("fault") != MISSING))
        kept = rows.select(*[column.name for column in IMAGE_FEATURES.columns])
        work.judge_table(IMAGE_FEATURES.name, kept)
        work.lake.append(IMAGE_FEATURES.name, kept.coalesce(max(1, sum(counts.values()) // 1_000_000)))
    finally:
        found.unpersist()
    return {"measured": counts.get(None, 0), "missing": counts.get(MISSING, 0), "quarantined": bad}


def _quarantine(work: Work, bad: DataFrame) -> None:
    """Set bad files aside, once each: a run that was killed may have done so before."""
    none = F.lit(None).cast("bigint")
    rows = bad.select(
        F.lit(SOURCE).alias("source"), F.lit(PINS.source).alias("table"), "object", none.alias("row_no"),
        F.col("fault").alias("reason"), "detail", "raw", "run_id", "at",
    )  # fmt: skip
    if work.lake.exists(QUARANTINE.name):
        there = work.lake.scan(QUARANTINE.name).where(F.col("source") == SOURCE).select("object")
        rows = rows.join(there, "object", "left_anti")
    work.lake.append(QUARANTINE.name, rows.select(*[c.name for c in QUARANTINE.columns]).coalesce(1))


def _reader(root: str, path: str, settings: Pictures) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    most_bytes, most_pixels = settings.most_mb << 20, settings.most_megapixels * 1_000_000

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            names = batch.column(0).to_pylist()
            for start in range(0, len(names), _TOGETHER):
                yield measured(root, path, names[start : start + _TOGETHER], most_bytes, most_pixels)

    return run


def measured(root: str, path: str, signatures: list[str], most_bytes: int, most_pixels: int) -> pa.RecordBatch:
    """Return the rows of some pictures; runs on an executor.

    Args:
        root: path or URI of the sources.
        path: of a picture below it, with {signature} and {start}, its first two characters.
        signatures: the pictures.
        most_bytes: of a file.
        most_pixels: of a picture.
    """
    good: list[tuple[dict[str, Any], Picture]] = []
    rows: list[dict[str, Any]] = []
    for signature in signatures:
        row: dict[str, Any] = {"image_signature": signature}
        row["object"] = path.format(signature=signature, start=signature[:2])
        raw = b""
        try:
            raw = _bytes(root, row["object"], most_bytes)
            good.append((row, decode(raw, most_pixels)))
        except Unusable as fault:
            row |= {"fault": fault.reason, "detail": str(fault), "raw": raw[:_KEEP] or None}
        rows.append(row)
    if good:
        _add(features([picture for _, picture in good]), good)
    return pa.RecordBatch.from_pylist(rows, _FOUND)


def _bytes(root: str, name: str, most: int) -> bytes:
    try:
        raw = read_head(root, name, most + 1)
    except FileNotFoundError as error:
        raise Unusable(MISSING, f"no file {name}") from error
    except OSError as error:
        raise Unusable("unreadable_file", str(error)[:300]) from error
    if len(raw) > most:
        raise Unusable("file_too_large", f"more than {most:,} bytes")
    return raw


def _add(found: Any, good: list[tuple[dict[str, Any], Picture]]) -> None:
    hashes = found.phash.view(np.int64)
    for at, (row, picture) in enumerate(good):
        row |= {"width": picture.width, "height": picture.height, "phash": int(hashes[at]), "style": found.style[at]}
        row |= {"histogram": found.histogram[at].astype("<f2").tobytes(), "colours": found.colours[at]}
