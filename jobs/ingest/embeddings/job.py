"""Action `ingest.embeddings`: embeddings of the images of pins, for a lake without upstream embeddings.

In: silver.app_pins, which reference images by their signature; the files; an ONNX model. Out: silver.image_embeddings,
one row per image file and model; silver.pin_embeddings, one row per pin and image; ops.quarantine. Executors read,
decode and embed, each Python worker with one session; the driver receives counts. An image is embedded once per model
version (name, SHA-256 and preprocessing). The action is idempotent: a killed run can be repeated without duplicates.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from jobs.common.errors import ConfigError
from jobs.engine.context import ActionContext, ActionResult
from jobs.ingest.embeddings.distribute_model import DistributedModel, distribute, local_path
from jobs.ingest.embeddings.embed import FAULTS as MODEL_FAULTS
from jobs.ingest.embeddings.embed import embedded, same_vector_warning
from jobs.ingest.embeddings.model import Model
from jobs.ingest.images.reading import (
    FAULTS,
    FAULTS_DDL,
    MISSING,
    fault_of,
    image_bytes,
    object_of,
    pending_images,
    pinned,
    quarantine_images,
    repartition_images,
)
from jobs.schema.bronze_silver import PIN_EMBEDDINGS, PINS
from jobs.schema.images import IMAGE_EMBEDDINGS
from jobs.settings.ingest import Images

_FILE = 1_000_000
"""Rows of a day that one task writes."""


def add_pins(work: ActionContext, version: str) -> int:
    """Add a row for each live pin whose newest vector of the model is not its image's; return how many.

    So a pin whose image was replaced gets another row, and one that has its row gets none: what was killed half-way
    goes on. A row holds from the pin's last change on, as its image does. Beside another model's rows, it holds from
    this model's first run on: earlier as-of dates use one model, as before. Where the pin has a newer row: from now on.

    Args:
        work: the lake.
        version: name of the model.
    """
    work.lake.ensure(PIN_EMBEDDINGS.name)
    rows = _pin_rows(work, version).persist(StorageLevel.DISK_ONLY)
    try:
        count = rows.count()
        if count:
            work.validate_table(PIN_EMBEDDINGS.name, rows)
            place = F.pmod(F.col("pin_id"), F.lit(1 + count // _FILE))
            work.lake.append(PIN_EMBEDDINGS.name, rows.repartition("ds", place))
        return count
    finally:
        rows.unpersist()


def _pin_rows(work: ActionContext, version: str) -> DataFrame:
    made = work.lake.scan(IMAGE_EMBEDDINGS.name).where((F.col("model") == version) & F.col("fault").isNull())
    begin = F.timestamp_millis(F.shiftright("_commit_ts", 18))
    if not work.lake.scan(PIN_EMBEDDINGS.name).where(F.col("model") != version).isEmpty():
        first = made.agg(F.unix_millis(F.min("at")).alias("at")).collect()[0]["at"]  # bounded: one row
        begin = F.greatest(begin, F.timestamp_millis(F.lit(first)))
    pins = pinned(work).select(F.col("id").alias("pin_id"), "image_signature", begin.alias("begin"))
    vectors = made.select("image_signature", "model", "dim", "embedding")
    known = pins.join(vectors, "image_signature").join(_newest(work, version), "pin_id", "left")
    other = known.where(~F.col("own").eqNullSafe(F.xxhash64("embedding")))
    later = F.col("newest").isNull() | (F.col("newest") < F.col("begin"))
    now = F.timestamp_millis(F.lit(int(datetime.now(UTC).timestamp() * 1000)))
    since = F.when(later, F.col("begin")).otherwise(now)
    dated = other.withColumn("ts", since).withColumn("ds", F.to_date("ts"))
    return dated.select(*[column.name for column in PIN_EMBEDDINGS.columns])


def _newest(work: ActionContext, version: str) -> DataFrame:
    """Return pin_id, newest: ts of its newest row of any model, own: hash of its newest vector of this one."""
    rows = work.lake.scan(PIN_EMBEDDINGS.name).withColumn("hash", F.xxhash64("embedding"))
    mine = F.when(F.col("model") == version, F.struct("ts", "hash"))
    return rows.groupBy("pin_id").agg(F.max("ts").alias("newest"), F.max(mine)["hash"].alias("own"))


log = logging.getLogger(__name__)

COUNTS = ("embedded", "missing", "quarantined", "on_gpu", "pins")
_FOUND = pa.schema(
    [("image_signature", pa.string()), ("path", pa.string()), ("embedding", pa.binary()), ("device", pa.string()),
     *FAULTS]
)  # fmt: skip
_DDL = f"image_signature string, path string, embedding binary, device string, {FAULTS_DDL}"
_SUSPECT = 10
"""Images from which on a model that makes no vector of any, or one of all, is itself at fault."""
_COMPARED = 256
"""Vectors of a run that are compared with its first one."""


def run(work: ActionContext) -> ActionResult:
    """Embed the images that the model has not seen, then give pins the vectors of their images.

    Returns:
        counts: images embedded (on_gpu of them), missing, quarantined, waiting for a later run; rows of pins added.

    Raises:
        SourceError: the model's file is not there.
        ConfigError: it is not the one wanted, or makes no vectors of images.
        MissingDependencyError: no onnxruntime, or no GPU where one is required.
    """
    settings = work.context.settings.ingest
    file, root = work.options.get("model"), work.options.get("images")
    if not file or not root or not work.lake.exists(PINS.name):
        work.progress("no model, no images or no pins: nothing to do")
        return ActionResult()
    sent = distribute(work, str(file), settings.embeddings)
    work.lake.ensure(IMAGE_EMBEDDINGS.name)
    known = work.lake.scan(IMAGE_EMBEDDINGS.name).where(F.col("model") == sent.version)
    left = pending_images(work, known, settings.images).persist(StorageLevel.DISK_ONLY)
    counts, most = dict.fromkeys(COUNTS, 0), settings.embeddings.max_images
    try:
        total = left.count()
        work.progress(f"{total:,} images to embed by {sent.version}")
        if total:
            some = repartition_images(work, left.limit(most), min(total, most))
            counts |= _embed(work, some, partial(_rows, str(root), settings.images, sent), sent)
    finally:
        left.unpersist()
    counts |= {"pins": add_pins(work, sent.version), "waiting": max(0, total - most)}
    return ActionResult(counts["embedded"], counts, detail={"model": sent.version})


def _embed(work: ActionContext, signatures: DataFrame, rows: Any, sent: DistributedModel) -> dict[str, int]:
    found = signatures.mapInArrow(rows, _DDL).persist(StorageLevel.DISK_ONLY)
    try:
        kinds = found.groupBy("fault", "device").count().collect()  # bounded: a row a class of fault and device
        counts: dict[str | None, int] = {}
        for row in kinds:
            counts[row["fault"]] = counts.get(row["fault"], 0) + row["count"]
        _refuse_broken(counts, sent)
        told = {"model": F.lit(sent.version), "dim": F.when(F.col("fault").isNull(), F.lit(sent.dim))}
        whole = found.withColumns(told | {"run_id": F.lit(work.run_id), "at": F.lit(datetime.now(UTC))})
        bad = sum(count for fault, count in counts.items() if fault not in {None, MISSING})
        if bad:
            quarantine_images(work, whole)
        _warn_of_one_vector(work, found, sent)
        kept = whole.select(*[column.name for column in IMAGE_EMBEDDINGS.columns])
        work.validate_table(IMAGE_EMBEDDINGS.name, kept)
        work.lake.append(IMAGE_EMBEDDINGS.name, kept.coalesce(max(1, sum(counts.values()) // 200_000)))
    finally:
        found.unpersist()
    gpu = sum(row["count"] for row in kinds if row["device"] == "gpu")
    done = {"embedded": counts.get(None, 0), "missing": counts.get(MISSING, 0)}
    return done | {"quarantined": bad, "on_gpu": gpu}


def _refuse_broken(counts: dict[str | None, int], sent: DistributedModel) -> None:
    none = {fault: counts[fault] for fault in MODEL_FAULTS if fault in counts}
    if not counts.get(None) and sum(none.values()) >= _SUSPECT:
        told = ", ".join(f"{count:,} {fault}" for fault, count in none.items())
        raise ConfigError(
            f"Model {sent.version} must make vectors of images, and made none of any: {told}. Nothing was kept: "
            "check ingest.embeddings.mean, std and output, and how it was exported."
        )


def _warn_of_one_vector(work: ActionContext, found: DataFrame, sent: DistributedModel) -> None:
    good = found.where(F.col("fault").isNull()).select("embedding").limit(_COMPARED)
    vectors = np.frombuffer(b"".join(r[0] for r in good.collect()), "<f2").reshape(-1, sent.dim)  # bounded: _COMPARED
    if len(vectors) >= _SUSPECT and (warning := same_vector_warning(vectors)):
        log.warning("Model %s: %s.", sent.version, warning)
        work.progress(f"Warning: {warning}.")


def _rows(
    root: str, limits: Images, sent: DistributedModel, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the images that `batches` name; runs on an executor."""
    for batch in batches:
        names = batch.column(0).to_pylist()
        for start in range(0, len(names), sent.settings.batch):
            yield embedded_rows(root, names[start : start + sent.settings.batch], limits, opened(sent))


@lru_cache(maxsize=1)
def opened(sent: DistributedModel) -> Model:
    """Return the model, opened once for all tasks of a Python worker."""
    return Model(Path(local_path(sent)), sent.settings, sent.shown)


def embedded_rows(root: str, signatures: list[str], limits: Images, model: Model) -> pa.RecordBatch:
    """Return the rows of some images.

    Args:
        root: path or URI of the sources.
        signatures: the images.
        limits: where they lie below the root, and how large they may be.
        model: opened.
    """
    objects = [object_of(limits, signature) for signature in signatures]
    most = limits.max_file_mb << 20
    reads: list[Callable[[], bytes]] = [partial(image_bytes, root, name, most) for name in objects]
    rows: list[dict[str, Any]] = []
    for signature, name, one in zip(signatures, objects, embedded(reads, model, limits), strict=True):
        row: dict[str, Any] = {"image_signature": signature, "path": name}
        if one.vector is not None:
            row |= {"embedding": one.vector.astype("<f2").tobytes(), "device": model.device.name}
        if one.fault is not None:
            row |= fault_of(one.fault, one.raw)
        rows.append(row)
    return pa.RecordBatch.from_pylist(rows, _FOUND)
