"""A table's transaction log as the JVM's Delta holds it: asked without a query over the history."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructType

from jobs.schema.names import quoted

LOOK_BACK = 50
"""Versions looked through for one's own commit: others may have committed since."""


@dataclass(frozen=True)
class Commit:
    """What one commit did."""

    version: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class Log:
    """The log of the table in folder `path`."""

    spark: SparkSession
    path: str

    def version(self) -> int:
        """Return the newest version; -1 where there is no table."""
        return int(self._newest().version())

    def bytes(self) -> int:
        """Return the size of the files of the version last looked at; without bound where the log does not say."""
        size = self._log.unsafeVolatileSnapshot().sizeInBytesIfKnown()
        return int(size.get()) if size.isDefined() else sys.maxsize

    def schema(self) -> StructType:
        """Return the columns of the newest version, with their comments and what else is noted beside them."""
        return StructType.fromJson(json.loads(self._newest().metadata().schemaString()))

    def files(self, column: str) -> DataFrame:
        """Return the files of the version last looked at: bytes, rows, and a column's least and greatest as text."""
        ends = StructType().add(column, StringType())
        stats = StructType().add("numRecords", LongType()).add("minValues", ends).add("maxValues", ends)
        found = DataFrame(self._log.unsafeVolatileSnapshot().allFiles().toDF(), self.spark)
        told = found.select("size", F.from_json("stats", stats).alias("stats"))
        return told.select(
            F.col("size").alias("bytes"), F.col("stats.numRecords").alias("rows"),
            F.col(f"stats.minValues.{quoted(column)}").alias("least"),
            F.col(f"stats.maxValues.{quoted(column)}").alias("greatest"),
        )  # fmt: skip

    def commit_of(self, write_id: str) -> Commit | None:
        """Return the commit that carries `write_id`, None if there is none: Delta skipped a repetition."""
        log, newest = self._log, self.version()
        names = self._delta.util.FileNames
        for version in range(newest, max(-1, newest - LOOK_BACK), -1):
            file = names.unsafeDeltaFile(log.logPath(), version)
            actions = log.store().read(file, log.newDeltaHadoopConf())
            found = next((json.loads(line) for line in _lines(actions) if line.startswith('{"commitInfo"')), None)
            info = (found or {}).get("commitInfo", {})
            if write_id in info.get("userMetadata", ""):
                metrics = info.get("operationMetrics", {})
                return Commit(version, int(metrics.get("numOutputRows", 0)), int(metrics.get("numOutputBytes", 0)))
        return None

    def changed(self, version: int, column: str) -> frozenset[str] | None:
        """Return the values of a partition column in whose partitions a version changed rows.

        None where that cannot be told: the version's file is gone, or it changed the table itself. Joining small files
        changes no rows.
        """
        log = self._log
        file = self._delta.util.FileNames.unsafeDeltaFile(log.logPath(), version)
        if not file.getFileSystem(log.newDeltaHadoopConf()).exists(file):
            return None
        found = set()
        for line in _lines(log.store().read(file, log.newDeltaHadoopConf())):
            action: dict[str, Any] = json.loads(line)
            if "metaData" in action or "protocol" in action:
                return None
            moved = action.get("add") or action.get("remove") or {}
            if moved.get("dataChange"):
                found.add(str((moved.get("partitionValues") or {}).get(column)))
        return frozenset(found)

    @property
    def _log(self) -> Any:
        return self._delta.DeltaLog.forTable(self.spark._jsparkSession, self.path)

    @property
    def _delta(self) -> Any:
        jvm: Any = self.spark._jvm
        return jvm.org.apache.spark.sql.delta

    def _newest(self) -> Any:
        log = self._log  # Scala's default arguments have to be asked for by name
        return log.update(False, getattr(log, "update$default$2")(), getattr(log, "update$default$3")())


def _lines(actions: Any) -> Iterator[str]:
    """Return the lines of a Scala sequence, one by one: the first is most often the one wanted."""
    each = actions.iterator()
    while each.hasNext():
        yield str(each.next())
