"""One process at a time makes a job's cut, and a dead one holds nobody up."""

import subprocess
import sys
from contextlib import contextmanager
from datetime import date

import pytest

from jobs.common.errors import ConcurrentRunError
from jobs.lake.delta import Lake

pytestmark = pytest.mark.spark

HOLD = """
import sys, time
from pathlib import Path
from jobs.common.locks import locked
with locked(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def held_elsewhere(lake, name):
    """Have another process hold a lock of the lake."""
    path = f"{lake.root}/_locks/{name}"
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_second_run_is_told_at_once(lake):
    with held_elsewhere(lake, "run.a.job.2026-11-01"):
        with pytest.raises(ConcurrentRunError, match="busy here"), lake.lease("a.job.2026-11-01", "busy here"):
            pass
        with lake.lease("a.job.2026-11-02", "another cut is free"):
            pass


def test_the_dead_hold_no_lease(lake):
    with held_elsewhere(lake, "run.a.job.2026-11-01") as process:
        process.kill()
        process.wait()
        with lake.lease("a.job.2026-11-01", "busy"):
            pass


def test_a_lake_on_an_object_store_leaves_it_to_delta(spark):
    lake = Lake(spark, "s3a://bucket/lake")
    with lake.lease("x", "busy"), lake.lease("x", "busy"), lake.commit_lock("gold.home_feed"):
        pass


def test_a_run_of_a_job_that_another_process_runs_changes_nothing_and_says_so(lake, settings, spark, tmp_path):
    from jobs.engine.runner import Runner
    from jobs.flow import job
    from jobs.validate.checks import Validator
    from tests.flows import ROOT

    runner = Runner(lake, settings, Validator(ROOT / "expectations", settings, tmp_path))
    said = r"ranking\.home_feed for 2026-11-01 is being run.*gold\.home_feed"
    with held_elsewhere(lake, "run.ranking.home_feed.2026-11-01"), pytest.raises(ConcurrentRunError, match=said):
        runner.run(job("ranking.home_feed"), date(2026, 11, 1))
    (row,) = lake.rows("ops.runs", "job", "status", "error")
    assert (row["job"], row["status"]) == ("ranking.home_feed", "failed")
    assert "another process" in row["error"]
    assert not lake.exists("gold.home_feed")
