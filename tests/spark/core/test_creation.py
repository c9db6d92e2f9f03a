"""Ops tables on a lake that is not a local folder: whoever creates a table second finds it there."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from jobs.lake.delta import Lake
from jobs.schema.ops import CHECKS, QUARANTINE, RUNS

pytestmark = pytest.mark.spark


@pytest.fixture
def remote(spark, tmp_path):
    """A lake at a URI that Hadoop serves from a local folder: no file locks, no delta-rs."""
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    (tmp_path / "bucket").mkdir()
    conf.set(f"fs.viewfs.mounttable.{tmp_path.name}.link./bucket", (tmp_path / "bucket").as_uri())
    return Lake(spark, f"viewfs://{tmp_path.name}/bucket/lake")


@pytest.mark.parametrize("known", [RUNS, CHECKS, QUARANTINE], ids=lambda known: known.name)
def test_threads_that_create_one_table_at_once_all_find_it(remote, known):
    start = Barrier(4)

    def create(_):
        start.wait()
        Lake(remote.spark, remote.root).ensure(known.name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, range(4)))
    assert remote.schema(known.name).names == [column.name for column in known.columns]
    assert remote.version(known.name) == 0
