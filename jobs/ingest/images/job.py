"""Action `ingest.images`: features of the images of pins, silver.image_features, one row per image file.

In: silver.app_pins, which reference images by their signature; the files, at `ingest.images.path` below the sources'
root. Out: silver.image_features, ops.quarantine. An image is read once: a file that has a row is not read again, unless
it was missing, which is retried later. Executors read, decode and measure; the driver receives counts. A file that is
not an image has a row with its fault, and its bytes are in quarantine. The action is idempotent: quarantine is written
first and not twice.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from jobs.engine.context import ActionContext, ActionResult
from jobs.ingest.images.decode import DecodedImage, Unusable, decode
from jobs.ingest.images.features import features
from jobs.ingest.images.reading import (
    FAULTS,
    FAULTS_DDL,
    MISSING,
    fault_of,
    image_bytes,
    object_of,
    pending_images,
    quarantine_images,
    repartition_images,
)
from jobs.schema.bronze_silver import PINS
from jobs.schema.images import IMAGE_FEATURES
from jobs.settings.ingest import Images

NOTHING = ActionResult(0, {"measured": 0, "missing": 0, "quarantined": 0, "waiting": 0})
COMPLETE_TO = "complete_to_pins"
"""Key of a commit's note: version of silver.app_pins all of whose images have a row, none of them missing."""
_TOGETHER = 256
"""Images measured at once: some 4 MB of small arrays."""
_FOUND = pa.schema(
    [
        ("image_signature", pa.string()), ("path", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
        ("phash", pa.int64()), ("histogram", pa.binary()), ("colors", pa.list_(pa.string())), ("style", pa.string()),
        *FAULTS,
    ]
)  # fmt: skip
_DDL = (
    "image_signature string, path string, width int, height int, phash bigint, histogram binary, "
    f"colors array<string>, style string, {FAULTS_DDL}"
)


def run(work: ActionContext) -> ActionResult:
    """Measure the images that have not been.

    Returns:
        counts: images measured, missing, quarantined, and waiting for a later run.
    """
    settings, root = work.context.settings.ingest.images, work.options.get("images")
    if not root or not work.lake.exists(PINS.name):
        work.progress("no images named, or no pins yet: nothing to do")
        return ActionResult()
    work.lake.ensure(IMAGE_FEATURES.name)
    pins = work.lake.version(PINS.name)
    if work.lake.newest_note(IMAGE_FEATURES.name).get(COMPLETE_TO) == pins:
        work.progress("every image was measured, and the pins are the same: nothing to do")
        return NOTHING
    # not persisted: a commit to a table makes Spark plan all that is persisted of it again
    missing = pending_images(work, work.lake.scan(IMAGE_FEATURES.name), settings).localCheckpoint()
    left = missing.count()
    if not left:
        return NOTHING
    work.progress(f"{left:,} images to measure")
    complete_to = pins if left <= settings.max_images else None
    some = repartition_images(work, missing.limit(settings.max_images), min(left, settings.max_images))
    counts = _measure(work, some, str(root), complete_to)
    counts["waiting"] = max(0, left - settings.max_images)
    return ActionResult(counts["measured"], counts)


def _measure(work: ActionContext, signatures: DataFrame, root: str, complete_to: int | None) -> dict[str, int]:
    settings = work.context.settings.ingest.images
    found = signatures.mapInArrow(_reader(root, settings), _DDL).persist(StorageLevel.DISK_ONLY)
    try:
        kinds = found.groupBy("fault").count().collect()  # bounded: a row a class of fault
        counts = {row["fault"]: row["count"] for row in kinds}
        bad = sum(count for fault, count in counts.items() if fault not in {None, MISSING})
        rows = found.withColumns({"run_id": F.lit(work.run_id), "at": F.lit(datetime.now(UTC))})
        rows = rows.select(*[column.name for column in IMAGE_FEATURES.columns], "detail", "raw", "path")
        if bad:
            quarantine_images(work, rows)
        kept = rows.select(*[column.name for column in IMAGE_FEATURES.columns])
        work.validate_table(IMAGE_FEATURES.name, kept)
        note = None if complete_to is None or counts.get(MISSING) else {COMPLETE_TO: complete_to}
        work.lake.append(IMAGE_FEATURES.name, kept.coalesce(max(1, sum(counts.values()) // 1_000_000)), note=note)
    finally:
        found.unpersist()
    return {"measured": counts.get(None, 0), "missing": counts.get(MISSING, 0), "quarantined": bad}


def _reader(root: str, settings: Images) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            names = batch.column(0).to_pylist()
            for start in range(0, len(names), _TOGETHER):
                yield measured(root, names[start : start + _TOGETHER], settings)

    return run


def measured(root: str, signatures: list[str], settings: Images) -> pa.RecordBatch:
    """Return the rows of some images; runs on an executor.

    Args:
        root: path or URI of the sources.
        signatures: the images.
        settings: where they lie below the root, and how large they may be.
    """
    good: list[tuple[dict[str, Any], DecodedImage]] = []
    rows: list[dict[str, Any]] = []
    for signature in signatures:
        row: dict[str, Any] = {"image_signature": signature, "path": object_of(settings, signature)}
        raw = b""
        try:
            raw = image_bytes(root, row["path"], settings.max_file_mb << 20)
            good.append((row, decode(raw, settings.max_megapixels * 1_000_000)))
        except Unusable as fault:
            row |= fault_of(fault, raw)
        rows.append(row)
    if good:
        _add(features([image for _, image in good]), good)
    return pa.RecordBatch.from_pylist(rows, _FOUND)


def _add(found: Any, good: list[tuple[dict[str, Any], DecodedImage]]) -> None:
    hashes = found.phash.view(np.int64)
    for at, (row, image) in enumerate(good):
        row |= {"width": image.width, "height": image.height, "phash": int(hashes[at]), "style": found.style[at]}
        row |= {"histogram": found.histogram[at].astype("<f2").tobytes(), "colors": found.colors[at]}
