"""Makes the archive of loaded classes at set-up (jobs/spark/class_data_sharing.py says what for)."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.settings.platform import Spark
from jobs.spark.class_data_sharing import archive_path
from jobs.spark.session import start_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def make_archive(work: Path) -> Path:
    """Start a session, have it do a little of everything, and keep what it loaded."""
    path = archive_path(work)
    if path.exists():
        return path
    options = f"-XX:ArchiveClassesAtExit={path.resolve()} -Xlog:cds=off -Xlog:cds+dynamic=off"
    session = start_session(Spark(java_options=options), work)
    java = session.sparkContext._gateway.proc  # type: ignore[union-attr]  # there is one while it runs
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        _exercise(session, scratch)
    session.stop()
    java.stdin.close()  # the JVM ends when nobody talks to it any more, and writes the archive then
    java.wait(timeout=120)
    return path


def _exercise(spark: "SparkSession", scratch: str) -> None:
    """Load the classes of reading, joining, aggregating, Python functions, and every kind of Delta commit we use."""
    from delta.tables import DeltaTable
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    place = f"{scratch}/table"
    rows = spark.range(2000).withColumns({"day": F.expr("DATE'2026-01-01'"), "m": F.expr("map('a', string(id))")})
    newest = Window.partitionBy(F.col("id") % 7).orderBy(F.desc("id"))
    rows = rows.withColumn("place", F.row_number().over(newest)).localCheckpoint()
    rows.write.format("delta").partitionBy("day").option("delta.enableDeletionVectors", "true").save(place)
    rows.write.format("delta").mode("overwrite").option("replaceWhere", "day = DATE'2026-01-01'").save(place)
    changes = rows.where("id < 9").alias("s")
    merge = DeltaTable.forPath(spark, place).alias("t").merge(changes, "t.id = s.id")
    merge.whenMatchedUpdateAll("s.place > t.place").whenNotMatchedInsertAll().execute()
    read = spark.read.format("delta").option("versionAsOf", 1).load(place)
    joined = read.join(rows.groupBy("place").agg(F.count_distinct("id").alias("n")), "place", "left")
    joined.mapInArrow(lambda batches: batches, joined.schema).persist().count()
    ordered = joined.repartitionByRange("id").sortWithinPartitions("id")
    ordered.select(F.explode("m"), F.xxhash64("id")).toArrow()  # bounded: the rows made above


if __name__ == "__main__":
    sys.stdout.write(f"{make_archive(Path(sys.argv[1] if len(sys.argv) > 1 else '.pinlake'))}\n")
