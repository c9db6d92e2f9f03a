"""Python workers: what they are started with."""

import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from jobs.spark.python_daemon import without_archives

pytestmark = pytest.mark.spark


def test_no_worker_has_an_archive_on_its_path(spark: SparkSession) -> None:
    """Each of them would be read whole at the start of every task."""

    def paths(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"path": [*sys.path, *sys.path_importer_cache]})

    found = {row["path"] for row in spark.range(0, 2, 1, 2).mapInArrow(paths, "path string").collect()}
    assert found
    assert not [path for path in found if Path(path).is_file() and zipfile.is_zipfile(path)]


def test_archives_stay_where_pyspark_is_nowhere_else() -> None:
    """A worker without an installed pyspark needs Spark's own archive."""
    assert without_archives(["/nowhere/pyspark.zip", "/nowhere"]) == ["/nowhere/pyspark.zip", "/nowhere"]
    assert without_archives(["/nowhere/pyspark.zip", *sys.path]) == [p for p in sys.path if not p.endswith(".zip")]
