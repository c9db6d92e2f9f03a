"""Made-up histories, from files to the ledger's rows to silver, without a JVM: the state of a plain model."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.ingest.loading.storage import read
from jobs.ingest.loading.stream import CHANGE, FILE
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.ticdc.canal import read_canal
from jobs.ingest.tidb.ticdc.sink_listing import read_feed
from jobs.settings.ingest import Ingest
from tests.histories import KINDS, STEPS, History
from tests.historytrees import checkpoint, write
from tests.silver import rows_of

UNHURRIED = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True)


def ledger(sources):
    """Return all rows of a feed's files."""
    batches = [b for item in sources.items for b in read_canal(item.task, read(item.task.root, item.task.path))]
    found = [row for batch in batches for row in batch.to_pylist()]
    assert {row["kind"] for row in found} <= {CHANGE, FILE}, [row for row in found if row["kind"] not in {CHANGE, FILE}]
    return [row for row in found if row["kind"] == CHANGE]


def texts(state):
    """Return the model's rows as silver's texts, by key."""
    return {
        (str(key),): {name: None if value is None else str(value) for name, value in row.items()}
        for key, row in state.items()
    }


def assert_model(root, history, at):
    sources = join(read_feed(str(root)), None, Ingest())
    rows, wanted = ledger(sources), history.state_at(at) or {}
    there = {table.name: table for table in sources.tables.values() if table.exists_at(at)}
    assert {name: table.blocked_reason for name, table in there.items()} == dict.fromkeys(wanted)
    for name, table in there.items():
        assert rows_of(table, rows, at) == texts(wanted[name]), name


@UNHURRIED
@given(steps=STEPS, seed=st.integers(0, 99), part=st.integers(1, 4))
def test_a_history_ends_in_the_state_of_a_plain_model(tmp_path_factory, steps, seed, part):
    root = tmp_path_factory.mktemp("feed")
    history = History.of(seed % 2, steps)
    at = history.ts * part // 4
    checkpoint(root, at)
    write(root, [history], seed)
    assert_model(root, history, at)


@pytest.mark.parametrize("seed", range(8))
def test_long_histories_do_so_at_every_quarter(tmp_path, seed):
    chance = random.Random(seed)
    steps = [(chance.choice(KINDS), chance.randrange(3), chance.randrange(6), chance.randrange(10)) for _ in range(60)]
    history = History.of(seed % 2, steps)
    write(tmp_path, [history], seed)
    for part in range(1, 5):
        at = history.ts * part // 4
        checkpoint(tmp_path, at)
        assert_model(tmp_path, history, at)
