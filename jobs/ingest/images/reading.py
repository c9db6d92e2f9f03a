"""The images that a run has to read, their bytes, and the quarantine of unusable files.

In: silver.app_pins, which reference images by their signature; the files below the sources' root. An image without a
pin is never opened, and no bucket is listed.
"""

from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import ActionContext
from jobs.engine.quarantine import quarantine_frame
from jobs.ingest.images.decode import KEEP, Unusable
from jobs.ingest.loading.storage import read_head
from jobs.schema.bronze_silver import PINS
from jobs.schema.ops import QUARANTINE
from jobs.settings.ingest import Images

MISSING = "missing_image"
SOURCE = "images"
FAULTS = [("fault", pa.string()), ("detail", pa.string()), ("raw", pa.binary())]
FAULTS_DDL = "fault string, detail string, raw binary"


def pinned(work: ActionContext) -> DataFrame:
    """Return the live pins that have an image."""
    return work.lake.scan(PINS.name).where(~F.col("_deleted") & (F.length("image_signature") > 0))


def pending_images(work: ActionContext, known: DataFrame, settings: Images) -> DataFrame:
    """Return image_signature of the images of live pins that are not known.

    Args:
        work: the lake.
        known: image_signature, fault, at: what was made of images; one that was missing is wanted again after
            retry_hours.
        settings: of ingest.images.
    """
    again = F.current_timestamp() - F.make_dt_interval(hours=F.lit(settings.retry_hours))
    known = known.where(F.col("fault").isNull() | (F.col("fault") != MISSING) | (F.col("at") > again))
    return pinned(work).select("image_signature").distinct().join(known, "image_signature", "left_anti")


def repartition_images(work: ActionContext, signatures: DataFrame, count: int) -> DataFrame:
    """Return the signatures in several tasks a core, as how long images take differs; in no more than `count` tasks."""
    tasks = min(count, 4 * work.spark.sparkContext.defaultParallelism)
    return signatures.repartition(tasks, "image_signature").select("image_signature")


def object_of(settings: Images, signature: str) -> str:
    """Return the path of an image below the sources' root."""
    return settings.path.format(signature=signature, start=signature[:2])


def image_bytes(root: str, name: str, most: int) -> bytes:
    """Return an image file's bytes.

    Raises:
        Unusable: missing_image, unreadable_file or file_too_large.
    """
    try:
        raw = read_head(root, name, most + 1)
    except FileNotFoundError as error:
        raise Unusable(MISSING, f"no file {name}") from error
    except OSError as error:
        raise Unusable("unreadable_file", str(error)[:300]) from error
    if len(raw) > most:
        raise Unusable("file_too_large", f"more than {most:,} bytes")
    return raw


def fault_of(fault: Unusable, raw: bytes) -> dict[str, Any]:
    """Return what is told of an image that cannot be used."""
    return {"fault": fault.reason, "detail": str(fault), "raw": raw[:KEEP] or None}


def quarantine_images(work: ActionContext, bad: DataFrame) -> None:
    """Put bad files into quarantine, once for each reason: a run that was killed may have done so before.

    Args:
        work: the lake.
        bad: object, fault, detail, raw.
    """
    constants = {"source": F.lit(SOURCE), "table": F.lit(PINS.source), "row_no": F.lit(None).cast("bigint")}
    constants |= {"reason": F.col("fault")}
    rows = bad.where(F.col("fault") != MISSING).withColumns(constants)
    if work.lake.exists(QUARANTINE.name):
        there = work.lake.scan(QUARANTINE.name).where(F.col("source") == SOURCE).select("path", "reason")
        rows = rows.join(there, ["path", "reason"], "left_anti")
    quarantine_frame(work.lake, work.run_id, rows.coalesce(1))
