"""The same flow on a standalone cluster gives the same tables and the same generation as one process does."""

import pytest

from tests.cluster import standalone_cluster
from tests.commands import GOLD, Place, small_world

pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(1800)]


def test_a_cluster_makes_the_same_tables(tmp_path):
    world = small_world(tmp_path)
    alone = Place(tmp_path / "alone", world)
    alone.run("flow")
    with standalone_cluster(tmp_path / "cluster") as url:
        more = {"ENV": "cluster", "PLATFORM__SPARK__MASTER": url, "PLATFORM__SPARK__DRIVER_MEMORY": "1g"}
        spread = Place(tmp_path / "spread", world, more)
        spread.run("flow")
        assert len(list((tmp_path / "cluster").glob("worker-*/app-*/*"))) >= 2, "each worker ran an executor"
    for name in GOLD:
        assert spread.table(name) == alone.table(name), name
    assert spread.served() == alone.served() is not None
