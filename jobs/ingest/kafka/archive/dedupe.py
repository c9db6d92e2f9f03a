"""Messages that came twice: from an archive and from brokers, or from two archives, both with exact offsets.

The same topic, partition and offset with the same bytes is the same message. The bytes count because a topic that was
deleted and made again starts again at offset 0, and because archives of typed records do not have the producer's.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_SAME = ("partition", "offset", "digest")
_PLACE = ("path", "row_no", "batch")


def first_copies(fresh: DataFrame, before: DataFrame) -> DataFrame:
    """Return the messages of `fresh` that came first, or come once more from the place where they came first.

    The latter are those of a replay: what quarantine holds is read again.

    Args:
        fresh: rows of bronze.kafka of one topic.
        before: its rows of earlier batches.
    """
    told = _told(fresh)
    # only as far back as the new offsets go: files tell their offsets, so that the others are not opened
    reach = F.broadcast(told.groupBy("partition").agg(F.min("offset").alias("low"), F.max("offset").alias("high")))
    older = _told(before).join(reach, "partition").where(F.col("offset").between(F.col("low"), F.col("high")))
    every = told.withColumn("fresh", F.lit(True)).unionByName(
        older.drop("low", "high").withColumn("fresh", F.lit(False))
    )
    came = Window.partitionBy(*_SAME).orderBy("batch", "path", "row_no")
    again = Window.partitionBy(*_SAME, "path", "fresh").orderBy("batch", "row_no")
    every = every.withColumns({"first": F.first("path").over(came), "copy": F.row_number().over(again)})
    repeated = every.where(F.col("fresh") & ((F.col("path") != F.col("first")) | (F.col("copy") > 1)))
    return fresh.join(repeated.select(*_PLACE), list(_PLACE), "left_anti").select(*fresh.columns)


def _told(messages: DataFrame) -> DataFrame:
    exact = messages.where(F.col("offset_quality") == "exact")
    return exact.select("partition", "offset", F.xxhash64("value").alias("digest"), *_PLACE)
