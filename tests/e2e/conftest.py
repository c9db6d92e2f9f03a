"""Two simulated worlds, each run through the whole flow once a session: a small one, and the demo's own."""

from contextlib import contextmanager

import pytest

from tests.flows import simulate_and_run

PARTITIONS = {"spark.sql.adaptive.enabled": "true", "spark.sql.shuffle.partitions": "4"}
"""How `pinlake` spreads rows over tasks; the other tests' settings are for single jobs on a handful of rows."""

COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}


@contextmanager
def session_conf(spark, conf):
    """Set properties of the session for a while."""
    before = {key: spark.conf.get(key) for key in conf}
    for key, value in conf.items():
        spark.conf.set(key, value)
    yield
    for key, value in before.items():
        spark.conf.set(key, value)


@pytest.fixture(scope="module")
def small_flow(spark, tmp_path_factory):
    """A world of 120 users: large enough for every rule that must hold always."""
    with session_conf(spark, PARTITIONS):
        yield simulate_and_run(spark, tmp_path_factory.mktemp("small"), users=120, pins=1200)


@pytest.fixture(scope="module")
def demo_flow(spark, tmp_path_factory):
    """The demo's world, with compiled plans as users run them: large enough for what holds in the mean."""
    with session_conf(spark, PARTITIONS | COMPILED):
        yield simulate_and_run(spark, tmp_path_factory.mktemp("demo"))
