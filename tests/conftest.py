"""What tests share: one tuned Spark session, a fresh lake, the reference data where there is any."""

import gc
import logging
import os
import shutil
from datetime import date
from pathlib import Path

import hypothesis
import pytest

from jobs.settings import Settings

pytest_plugins = ["tests.servers", "tests.inprocess", "tests.broker", "tests.costs"]

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
# threads of xgboost, FAISS and implicit wait for each other asleep: on busy cores spinning costs more than the work
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# No deadline: a slow machine is not a failure. `make test-long` repeats property tests with more examples.
hypothesis.settings.register_profile("short", deadline=None, max_examples=30)
hypothesis.settings.register_profile("long", deadline=None, max_examples=300)
hypothesis.settings.load_profile("short")

ROOT = Path(__file__).resolve().parents[1]

# Small data: start-up and per-query costs dominate. About 2.4 times faster than the defaults. Expressions are
# interpreted: each task writes the code of its projections again, even where what it compiles to is kept.
TUNED = {
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.shuffle.compress": "false",
    "spark.databricks.delta.snapshotPartitions": "1",
}

# Each plan runs a few times on a few rows: what the second JIT compiler makes of it is never used.
JAVA = "-XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m -Xmn700m -XX:MetaspaceSize=400m -XX:TieredStopAtLevel=1"


NEEDS_JVM = (ROOT / "tests" / "spark", ROOT / "tests" / "e2e")


def pytest_ignore_collect(collection_path, config):
    """Leave unread what a JVM runs where `-m` leaves it out: half of what there is, and reading it takes seconds."""
    chosen = config.getoption("markexpr")
    left_out = "not spark" in chosen.split(" and ") and " or " not in chosen
    return True if left_out and collection_path in NEEDS_JVM else None


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for no garbage while modules are imported, nor among them later: there is none, and it takes seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure():
    """Let py4j close its connections in silence: it logs at the very end, to a stream that pytest has closed."""
    logging.raiseExceptions = False


@pytest.fixture(scope="session")
def spark():
    """One session for all tests; skipped with a word where Java is missing."""
    if shutil.which("java") is None:
        pytest.skip("needs Java 17: apt-get install openjdk-17-jre-headless")
    from jobs.settings.load import load
    from jobs.spark.session import start_session

    local = load(ROOT / "conf", "local").settings.platform.spark
    tests = local.model_copy(update={"master": "local[2]", "java_options": JAVA})
    session = start_session(tests, ROOT / ".pinlake", local.conf | TUNED)
    yield session
    session.stop()


@pytest.fixture
def lake(spark, tmp_path):
    """An empty lake in a temporary folder."""
    from jobs.lake.delta import Lake

    return Lake(spark, str(tmp_path / "lake"), Settings().platform.cache_mb, Settings().platform.collect_mb)


@pytest.fixture
def settings():
    """The settings as the models default them."""
    return Settings()


@pytest.fixture
def ctx(settings):
    """A cut at 2026-11-01."""
    from jobs.engine.context import Context

    return Context(settings, date(2026, 11, 1))


@pytest.fixture(scope="session")
def shared():
    """Folder with real files and data sets, named by PINLAKE_SHARED or beside the checkout; skipped if absent."""
    folder = Path(os.environ.get("PINLAKE_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("no reference data: set PINLAKE_SHARED to the folder that holds fixtures/ and data/")
    return folder
