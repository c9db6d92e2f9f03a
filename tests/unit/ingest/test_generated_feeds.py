"""Any database, with the DDL that bug reports are about: silver is the model's state, every change accounted for.

The feed is read as a run reads it: listing, schema files, replay of DDL, the readers of the executors. What Spark does
afterwards, the newest change of each key in the columns of now, is done by tests/silver.py in Python over the same
metadata; tests/spark/ingest/test_histories.py holds Spark's own against a model.
"""

import random
import shutil
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.ingest.loading.storage import read
from jobs.ingest.loading.stream import BAD, CHANGE, FILE
from jobs.ingest.tidb.job import _read
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.ticdc.sink_listing import read_feed
from jobs.settings.ingest import Ingest
from tests.silver import is_mine, rows_of
from tests.sourcemodel import SCHEMA, SHAPES, STEPS, Database

HURRIED = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), print_blob=True
)
SOME_AND_MANY = pytest.mark.parametrize("feeds", [HURRIED.max_examples, pytest.param(20_000, marks=pytest.mark.long)])


def ingest(root):
    """Return the tables of a feed, and its rows by kind."""
    sources = join(read_feed(str(root)), None, Ingest())
    rows = {CHANGE: [], BAD: [], FILE: []}
    for item in sources.items:
        for batch in _read(item.task, read(item.task.root, item.task.path)):
            for row in batch.to_pylist():
                rows[row["kind"]].append(row)
    return sources, rows


def counted(rows):
    return Counter(tuple(sorted(row.items(), key=str)) for row in rows)


def tree(made, checkpoint, **more):
    """Return what ingest makes of the database's feed."""
    root = Path(mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        made.write(root, checkpoint, **more)
        return ingest(root)
    finally:
        shutil.rmtree(root)


def check(steps, part, csv, ids, twice):
    made = Database(steps, csv, ids, twice)
    at = made.states[len(made.states) * part // 4 - 1][0]
    sources, rows = tree(made, at)
    assert not rows[BAD], rows[BAD][0]["detail"]
    wanted = made.state_at(at)
    there = {t.name: t for t in sources.tables.values() if t.schema == SCHEMA and t.exists_at(at)}
    assert set(there) == set(wanted)
    assert accounted(sources, rows, at) == made.changes
    for name, table in there.items():
        # rows cannot be told by another key than they were written with: that table waits, and says why
        assert table.blocked_reason is None or "changes the key" in table.blocked_reason
        limit = table.limit(at)
        known = made.state_at(limit).get(name) if table.blocked_reason else wanted[name]
        assert known is None or counted(rows_of(table, rows[CHANGE], at).values()) == counted(known), name
    return sum(table.blocked_reason is not None for table in there.values()), len(there)


def accounted(sources, rows, checkpoint):
    """Return how many rows of the files are somewhere: of one table, pending, of a table that is gone, or refused."""
    assert sum(row["rows"] for row in rows[FILE]) == len(rows[CHANGE]) + len(rows[BAD])
    for row in rows[CHANGE]:
        claims = [name for name, table in sources.tables.items() if is_mine(table, row)]
        assert len(claims) <= 1 or row["_commit_ts"] > checkpoint, claims
    return len(rows[CHANGE]) + len(rows[BAD])


@SOME_AND_MANY
def test_silver_is_the_state_of_the_source(feeds):
    @settings(HURRIED, max_examples=feeds)
    @given(steps=STEPS, part=st.integers(1, 4), shape=SHAPES)
    def holds(steps, part, shape):
        for number, count in enumerate(check(steps, part, *shape)):
            tables[number] += count

    tables = [0, 0]
    holds()
    assert tables[0] < tables[1] / 50, "blocked, of all tables"


@SOME_AND_MANY
def test_damaged_lines_are_accounted_for_and_end_no_run(feeds):
    @settings(HURRIED, max_examples=feeds // 3)
    @given(steps=STEPS, shape=SHAPES, seed=st.integers(0, 99))
    def holds(steps, shape, seed):
        chance = random.Random(seed)

        first = [True]

        def damage(line):
            if first and first.pop():  # of a feed of which no record is whole nobody can tell the dialect
                return line
            at = chance.randrange(len(line))
            spoiled = [line[:at], line[:at] + b"\xff" + line[at:], line[:at] + b'"' + line[at + 1 :], line + b",1"]
            return chance.choice(spoiled) or b"?" if chance.random() < 0.2 else line

        made = Database([("insert", 0, 0, 1), *steps], *shape)
        sources, rows = tree(made, made.ts, damage=damage)
        accounted(sources, rows, made.ts)
        assert all(row["raw"] is not None and row["reason"] for row in rows[BAD])

    holds()
