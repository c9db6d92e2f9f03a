"""Any history, in files of any cut and order, some of them twice, with crashes: one state, that of a plain model."""

import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.history.ledger import newest, typed
from jobs.ingest.loading.storage import read
from jobs.ingest.loading.stream import CHANGE, FILE
from jobs.ingest.tidb import job as cdc
from jobs.ingest.tidb.silver import silver_schema
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.ticdc.canal import read_canal
from jobs.ingest.tidb.ticdc.sink_listing import read_feed
from jobs.lake.delta import Lake
from jobs.settings.ingest import Ingest
from tests.histories import KINDS, STEPS, History
from tests.historytrees import checkpoint, write
from tests.spark.ingest.test_cdc import adds_up

pytestmark = pytest.mark.spark

FEEDS, IN_ONE_FEED = 20, 25
LISTS = st.lists(STEPS, min_size=IN_ONE_FEED, max_size=IN_ONE_FEED)
COLUMNS = ("table", "op", "_commit_ts", "_op_rank", "key", "before", "after", "table_version", "path", "row_no")
OWN = {"_commit_ts", "_op_rank", "_deleted"}
UNHURRIED = settings(
    max_examples=FEEDS, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True
)


def made(steps):
    return [History.of(number, some) for number, some in enumerate(steps)]


def ledger(spark, items):
    """Return the ledger rows of a feed's files, read as a task reads them."""
    found = pa.Table.from_batches(
        [batch for item in items for batch in read_canal(item.task, read(item.task.root, item.task.path))]
    )
    assert set(found["kind"].to_pylist()) <= {CHANGE, FILE}, "no row of a history is bad"
    rows = found.filter(pc.equal(found["kind"], CHANGE)).select(COLUMNS)
    return spark.createDataFrame(rows.append_column("run_id", pa.nulls(rows.num_rows, pa.string())))


def rows_of(frame):
    rows = frame.where(~F.col("_deleted")).collect()
    return {row["id"]: {name: value for name, value in row.asDict().items() if name not in OWN} for row in rows}


@pytest.mark.long
@UNHURRIED
@given(steps=LISTS, seed=st.integers(0, 99), part=st.integers(1, 4))
def test_five_hundred_histories_end_in_the_state_of_a_plain_model(spark, tmp_path_factory, steps, seed, part):
    root = tmp_path_factory.mktemp("feed")
    histories = made(steps)
    at = max(history.ts for history in histories) * part // 4
    checkpoint(root, at)
    write(root, histories, seed)
    sources = join(read_feed(str(root)), None, Ingest())
    changes = ledger(spark, sources.items)
    for history in histories:
        wanted = history.state_at(at) or {}
        there = {t.name: t for t in sources.tables.values() if t.schema == history.schema and t.exists_at(at)}
        assert set(there) == set(wanted), history.schema
        for name, table in there.items():
            assert table.blocked_reason is None
            mine = changes.where(table.lineage.rows() & (F.col("_commit_ts") <= at))
            assert rows_of(typed(newest(mine), silver_schema(table))) == wanted[name], (history.schema, name)


class Crash(BaseException):
    """The process dies."""


def crashing(monkeypatch, after):
    """Let the lake die right before its `after`th commit."""
    left = [after]

    def counted(method):
        def commit(self, *args, **more):
            left[0] -= 1
            if not left[0]:
                raise Crash
            return method(self, *args, **more)

        return commit

    for name in ("append", "append_rows", "rewrite", "create", "commit_lock"):
        monkeypatch.setattr(Lake, name, counted(getattr(Lake, name)))


@pytest.mark.long
def test_histories_ingested_in_parts_with_crashes_end_in_the_same_state(lake, work, tmp_path, monkeypatch):
    chance = random.Random(7)
    histories = made([[step(chance) for _ in range(20)] for _ in range(8)])
    root, end, before, crashes = tmp_path / "feed", max(history.ts for history in histories), 0, 0
    for part in range(1, 5):
        at = end * part // 4
        checkpoint(root, at)
        # every second time the feed is ahead of its checkpoint
        until = at + 300 * (part % 2)
        write(root, histories, 0, before, until)
        before = until
        with monkeypatch.context() as patch:
            crashing(patch, chance.randrange(1, 30))
            try:
                cdc.run(work(ticdc=str(root)))
            except Crash:
                crashes += 1
        adds_up(cdc.run(work(ticdc=str(root))))
        for history in histories:
            for name, rows in (history.state_at(at) or {}).items():
                found = rows_of(lake.read(f"silver.{history.schema}_{name}"))
                assert found == rows, (at, history.schema, name)
    assert crashes >= 2, "a run that has little to do may end before it dies, most do not"


def step(chance):
    return chance.choice(KINDS), chance.randrange(3), chance.randrange(6), chance.randrange(10)
