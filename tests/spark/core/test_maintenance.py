from datetime import date, timedelta

import pytest
from deltalake import DeltaTable

from jobs.engine.maintenance import maintain
from jobs.schema.tables import table
from jobs.settings.platform import Maintenance
from tests.builders import store

pytestmark = pytest.mark.spark

LAST = date(2026, 11, 1)


def feed(lake, day, user):
    row = {"user_id": user, "position": 1, "pin_id": user, "score": 1.0}
    store(lake, "gold.home_feed", [row], day, append=True, source="content", reason="taste", arm="control")


def opened(lake, version=None):
    return DeltaTable(lake.path("gold.home_feed"), version=version)


def test_small_files_are_joined_old_partitions_go_and_readers_keep_what_they_had(lake):
    known = table("gold.home_feed")
    old = LAST - timedelta(days=known.retention_days + 1)
    kept = LAST - timedelta(days=known.retention_days)
    for user, day in enumerate([LAST, LAST, LAST, kept, old]):
        feed(lake, day, user)
    before = lake.version("gold.home_feed")
    done = maintain(lake, Maintenance())["gold.home_feed"]
    assert (done["removed"], done["joined"]) == (1, 2)
    assert len(opened(lake).file_uris()) == 2
    assert sorted(opened(lake).to_pyarrow_table()["user_id"].to_pylist()) == [0, 1, 2, 3]
    # versions of the last week stay readable: pinned inputs and change feeds reach back so far
    assert opened(lake, before).to_pyarrow_table().num_rows == 5
    again = maintain(lake, Maintenance())["gold.home_feed"]
    # a table with nothing to do keeps its version: jobs that read it stay fresh
    assert again == {"removed": 0, "joined": 0, "ordered": False, "tombstones": 0, "version": done["version"]}
