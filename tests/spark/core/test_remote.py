"""A lake that is not in a local folder: no file locks, and Spark in the place of delta-rs."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from uuid import uuid4

import pytest

from jobs.lake.delta import Lake
from jobs.schema.tables import table

pytestmark = pytest.mark.spark


@pytest.fixture
def remote(spark, tmp_path):
    """A lake at a URI that Hadoop serves from a local folder."""
    name = f"lake{uuid4().hex}"  # of a cached file system of its own; an underscore is not allowed there
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    (tmp_path / "bucket").mkdir()
    conf.set(f"fs.viewfs.mounttable.{name}.link./bucket", (tmp_path / "bucket").as_uri())
    return Lake(spark, f"viewfs://{name}/bucket/lake")


RUNS = [
    {"run_id": "a", "job": "x", "status": "ok", "started_at": datetime(2026, 10, 1, tzinfo=UTC), "rows": 3},
    {
        "run_id": "b",
        "job": "y",
        "status": "failed",
        "started_at": datetime(2026, 10, 2, tzinfo=UTC),
        "inputs": {"t": 7},
    },
]


@pytest.mark.parametrize("place", ["lake", "remote"])
def test_a_few_rows_are_kept_alike_with_and_without_spark(request, place):
    lake = request.getfixturevalue(place)
    assert lake.rows("ops.runs", "run_id") == []
    lake.append_rows("ops.runs", RUNS)
    found = sorted(lake.rows("ops.runs", "run_id", "started_at", "rows", "inputs"), key=lambda row: row["run_id"])
    told = [(row["run_id"], row["started_at"], row["rows"], dict(row["inputs"] or [])) for row in found]
    first, second = (row["started_at"] for row in RUNS)
    assert told == [("a", first, 3, {}), ("b", second, None, {"t": 7})]
    comments = {field.name: field.metadata.get("comment") for field in lake.read("ops.runs").schema.fields}
    assert comments == {column.name: column.comment for column in table("ops.runs").columns}


def test_threads_that_create_one_table_at_once_all_find_it(remote):
    known, start, lost = table("ops.checks"), Barrier(2), []

    class Racing(Lake):
        """Commits its first version when the other one does: Delta lets one of them through."""

        def commit_lock(self, name):
            start.wait(60)
            return super().commit_lock(name)

        def create(self, *args, **more):
            try:
                super().create(*args, **more)
            except Exception as error:
                lost.append(error)
                raise

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: Racing(remote.spark, remote.root).ensure(known.name), range(2)))
    assert len(lost) <= 1
    assert remote.schema(known.name).names == [column.name for column in known.columns]
    assert remote.version(known.name) == 0
