"""Pins get the vectors of the images they carry: silver.pin_embeddings from silver.image_embeddings."""

from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from jobs.engine.context import ActionContext
from jobs.ingest.images.reading import pinned
from jobs.schema.bronze_silver import PIN_EMBEDDINGS
from jobs.schema.images import IMAGE_EMBEDDINGS

_FILE = 1_000_000
"""Rows of a day that one task writes."""


def add_pins(work: ActionContext, version: str) -> int:
    """Add a row for each live pin whose newest vector of the model is not its image's; return how many.

    So a pin whose image was replaced gets another row, and one that has its row gets none: what was killed half-way
    goes on. A row holds from the pin's last change on, as its image does. Beside another model's rows, it holds from
    this model's first run on: cuts before it go by one model, as they did. Where the pin has a newer row: from now on.

    Args:
        work: the lake.
        version: name of the model.
    """
    work.lake.ensure(PIN_EMBEDDINGS.name)
    rows = _rows(work, version).persist(StorageLevel.DISK_ONLY)
    try:
        count = rows.count()
        if count:
            work.validate_table(PIN_EMBEDDINGS.name, rows)
            place = F.pmod(F.col("pin_id"), F.lit(1 + count // _FILE))
            work.lake.append(PIN_EMBEDDINGS.name, rows.repartition("ds", place))
        return count
    finally:
        rows.unpersist()


def _rows(work: ActionContext, version: str) -> DataFrame:
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
