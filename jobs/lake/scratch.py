"""Finished parts of a long job, kept until its table is committed: a killed run continues from them.

Spark writes each unit as Parquet files of a folder and, once all of them are there, `_SUCCESS`: a folder without that
is written again. The folder's name holds a digest of the job's inputs, settings and code, so that nothing of another
run is taken for this one's.
"""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Protocol

from pyspark.sql import DataFrame, SparkSession

FOLDER = "_scratch"


class Scratch:
    """The folder of one job and as-of date."""

    def __init__(self, spark: SparkSession, root: str, job: str, as_of: str, digest: str) -> None:
        """Nothing is written yet.

        Args:
            spark: the session.
            root: of the lake.
            job: its name.
            as_of: its as-of date.
            digest: of all that its result follows from.
        """
        self.spark = spark
        self._above = f"{root.rstrip('/')}/{FOLDER}/{job}/{as_of}"
        self._folder = f"{self._above}/{digest}"

    def done(self, unit: str) -> bool:
        """Return whether a unit is there whole."""
        path, system = self._opened(f"{self._folder}/{unit}/_SUCCESS")
        return bool(system.exists(path))

    def unit(self, unit: str, make: Callable[[], DataFrame]) -> DataFrame:
        """Return a unit of work as it was written, made and written first unless it is there; safe from threads."""
        if not self.done(unit):
            make().write.mode("overwrite").parquet(f"{self._folder}/{unit}")
        return self.read([unit])

    def read(self, units: Iterable[str]) -> DataFrame:
        """Return the rows of units that are there."""
        return self.spark.read.parquet(*[f"{self._folder}/{unit}" for unit in units])

    def keep_only_this(self) -> None:
        """Remove what runs with other inputs, settings or code have left for the job and as-of date."""
        above, system = self._opened(self._above)
        for status in system.listStatus(above) if system.exists(above) else ():
            if status.getPath().getName() != self._folder.rsplit("/", 1)[1]:
                system.delete(status.getPath(), True)

    def clear(self) -> None:
        """Remove all parts of the job and as-of date: its table is committed."""
        path, system = self._opened(self._above)
        system.delete(path, True)

    def _opened(self, uri: str) -> tuple[Any, Any]:
        path = self.spark._jvm.org.apache.hadoop.fs.Path(uri)  # type: ignore[union-attr]
        return path, path.getFileSystem(self.spark._jsparkSession.sessionState().newHadoopConf())


class ScratchSpace(Protocol):
    """Where finished work is kept: Scratch, or InMemory."""

    def done(self, unit: str) -> bool:
        """Return whether a unit is there whole."""

    def unit(self, unit: str, make: Callable[[], DataFrame]) -> DataFrame:
        """Return a unit of work, made first unless it is there; safe from threads."""

    def read(self, units: Iterable[str]) -> DataFrame:
        """Return the rows of units that are there."""


class InMemory:
    """Keeps work on the executors, as long as the session lasts."""

    def __init__(self) -> None:
        self._units: dict[str, DataFrame] = {}

    def done(self, unit: str) -> bool:
        """Return whether a unit is there whole."""
        return unit in self._units

    def unit(self, unit: str, make: Callable[[], DataFrame]) -> DataFrame:
        """Return a unit of work, made first unless it is there."""
        if unit not in self._units:
            self._units[unit] = make().localCheckpoint()
        return self._units[unit]

    def read(self, units: Iterable[str]) -> DataFrame:
        """Return the rows of units that are there."""
        return reduce(DataFrame.unionByName, [self._units[unit] for unit in units])
