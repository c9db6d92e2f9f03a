"""The action that computes embeddings from pins' pictures, for a lake that gets none from upstream.

In: silver.app_pins, which name pictures by their signature; the files; an ONNX model. Out: silver.image_embeddings, a
row an image file and model; silver.pin_embeddings, a row a pin and image; ops.quarantine. Executors read, decode and
embed, each Python worker with one session; the driver learns counts. An image is embedded once by a model (its name,
SHA-256 and preparation): other pictures, another model. Killed anywhere, run again: nothing stands twice.
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
from jobs.ingest.embeddings.alike import warning_of
from jobs.ingest.embeddings.distribute_model import Shipped, local_path, shipped
from jobs.ingest.embeddings.images import FAULTS as MODEL_FAULTS
from jobs.ingest.embeddings.images import embedded
from jobs.ingest.embeddings.model import Model
from jobs.ingest.embeddings.pins import add_pins
from jobs.ingest.images.reading import (
    FAULTS,
    FAULTS_DDL,
    MISSING,
    fault_of,
    image_bytes,
    object_of,
    set_aside,
    spread,
    wanted,
)
from jobs.schema.bronze_silver import PINS
from jobs.schema.images import IMAGE_EMBEDDINGS
from jobs.settings.ingest import Images

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
    """Embed the pictures that the model has not seen, then give pins the vectors of their pictures.

    Returns:
        counts: pictures embedded (on_gpu of them), missing, quarantined, waiting for a later run; rows of pins added.

    Raises:
        SourceError: the model's file is not there.
        ConfigError: it is not the one wanted, or makes no vectors of pictures.
        MissingDependencyError: no onnxruntime, or no GPU where one is required.
    """
    settings = work.context.settings.ingest
    file, root = work.options.get("model"), work.options.get("images")
    if not file or not root or not work.lake.exists(PINS.name):
        work.progress("no model, no pictures or no pins: nothing to do")
        return ActionResult()
    sent = shipped(work, str(file), settings.embeddings)
    work.lake.ensure(IMAGE_EMBEDDINGS.name)
    known = work.lake.scan(IMAGE_EMBEDDINGS.name).where(F.col("model") == sent.version)
    left = wanted(work, known, settings.images).persist(StorageLevel.DISK_ONLY)
    counts, most = dict.fromkeys(COUNTS, 0), settings.embeddings.max_images
    try:
        total = left.count()
        work.progress(f"{total:,} pictures to embed by {sent.version}")
        if total:
            counts |= _embed(work, left.limit(most), partial(_rows, str(root), settings.images, sent), sent)
    finally:
        left.unpersist()
    counts |= {"pins": add_pins(work, sent.version), "waiting": max(0, total - most)}
    return ActionResult(counts["embedded"], counts, detail={"model": sent.version})


def _embed(work: ActionContext, signatures: DataFrame, rows: Any, sent: Shipped) -> dict[str, int]:
    found = spread(work, signatures).mapInArrow(rows, _DDL).persist(StorageLevel.DISK_ONLY)
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
            set_aside(work, whole)
        _warn_of_one_vector(work, found, sent)
        kept = whole.select(*[column.name for column in IMAGE_EMBEDDINGS.columns])
        work.validate_table(IMAGE_EMBEDDINGS.name, kept)
        work.lake.append(IMAGE_EMBEDDINGS.name, kept.coalesce(max(1, sum(counts.values()) // 200_000)))
    finally:
        found.unpersist()
    gpu = sum(row["count"] for row in kinds if row["device"] == "gpu")
    done = {"embedded": counts.get(None, 0), "missing": counts.get(MISSING, 0)}
    return done | {"quarantined": bad, "on_gpu": gpu}


def _refuse_broken(counts: dict[str | None, int], sent: Shipped) -> None:
    none = {fault: counts[fault] for fault in MODEL_FAULTS if fault in counts}
    if not counts.get(None) and sum(none.values()) >= _SUSPECT:
        told = ", ".join(f"{count:,} {fault}" for fault, count in none.items())
        raise ConfigError(
            f"Model {sent.version} must make vectors of pictures, and made none of any: {told}. Nothing was kept: "
            "check ingest.embeddings.mean, std and output, and how it was exported."
        )


def _warn_of_one_vector(work: ActionContext, found: DataFrame, sent: Shipped) -> None:
    good = found.where(F.col("fault").isNull()).select("embedding").limit(_COMPARED)
    vectors = np.frombuffer(b"".join(r[0] for r in good.collect()), "<f2").reshape(-1, sent.dim)  # bounded: _COMPARED
    if len(vectors) >= _SUSPECT and (warning := warning_of(vectors)):
        log.warning("Model %s: %s.", sent.version, warning)
        work.progress(f"Warning: {warning}.")


def _rows(root: str, limits: Images, sent: Shipped, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the pictures that `batches` name; runs on an executor."""
    for batch in batches:
        names = batch.column(0).to_pylist()
        for start in range(0, len(names), sent.wish.batch):
            yield embedded_rows(root, names[start : start + sent.wish.batch], limits, opened(sent))


@lru_cache(maxsize=1)
def opened(sent: Shipped) -> Model:
    """Return the model, opened once for all tasks of a Python worker."""
    return Model(Path(local_path(sent)), sent.wish, sent.shown)


def embedded_rows(root: str, signatures: list[str], limits: Images, model: Model) -> pa.RecordBatch:
    """Return the rows of some pictures.

    Args:
        root: path or URI of the sources.
        signatures: the pictures.
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
