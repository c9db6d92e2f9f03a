"""The runner: judged before the commit, committed once, remembered, not repeated without need."""

import json
from dataclasses import replace
from datetime import date

import pytest

from jobs.common.errors import ConfigError, MissingDependencyError, TableError, ValidationFailedError
from jobs.engine.run_history import RunHistory
from jobs.engine.runner import Runner
from jobs.schema.job import Job
from jobs.validate.checks import Validator

pytestmark = pytest.mark.spark

DAY = date(2026, 10, 20)
SUITE = {
    "name": "gold.trending",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "rank.min", "min_value": 1},
            "severity": "critical",
            "meta": {"notes": "Ranks start at one."},
        }
    ],
}
MODULE = """
from datetime import date

CALLS = []
RANK = [1]


def rise(tables, context):
    CALLS.append(context.as_of)
    spark = next(iter(tables.values())).sparkSession
    rows = [("garden", 5, RANK[0], 2.0, 9.0, float(context.settings.features.trend_days))]
    types = "category string, pin_id bigint, rank int, score float, observed double, expected double"
    return spark.createDataFrame(rows, types)
"""
JOB = Job(
    name="candidates.trending_pins",
    summary="Rises.",
    function="fake_rise:rise",
    reads=("silver.pin_events",),
    writes="gold.trending",
)


@pytest.fixture
def expectations(tmp_path):
    folder = tmp_path / "expectations" / "gold"
    folder.mkdir(parents=True)
    (folder / "trending.json").write_text(json.dumps(SUITE))
    return tmp_path / "expectations"


@pytest.fixture
def rise(tmp_path, monkeypatch):
    import importlib

    (tmp_path / "fake_rise.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.reload(importlib.import_module("fake_rise"))


@pytest.fixture
def run(lake, settings, expectations, tmp_path):
    def new(force=False, settings=settings):
        return Runner(lake, settings, Validator(expectations, settings, tmp_path)).run(JOB, DAY, force)

    return new


def test_a_good_run_is_committed_and_remembered(run, rise, lake):
    assert run().rows == 1
    assert written(lake, "gold.trending", "as_of", "pin_id") == [(DAY, 5)]
    told = "job", "status", "as_of", "rows", "output_version", "run_id", "peak_mb", "bytes"
    ((*row, run_id, peak, size),) = written(lake, "ops.runs", *told)
    assert row == ["candidates.trending_pins", "ok", DAY, 1, lake.version("gold.trending")]
    assert peak > 50
    assert size > 0
    assert written(lake, "ops.checks", "suite", "success", "run_id") == [("gold.trending", True, run_id)]
    assert lake.newest_note("gold.trending")["run_id"] == run_id


def written(lake, name, *columns):
    """Return the values of a small table's columns."""
    return [tuple(row[column] for column in columns) for row in lake.rows(name, *columns)]


def test_a_run_with_nothing_changed_is_up_to_date(run, rise, settings, lake):
    assert run().status == "ok"
    assert run().status == "up_to_date"
    assert len(rise.CALLS) == 1
    assert run(force=True).status == "ok"
    unread = settings.model_copy(update={"features": settings.features.model_copy(update={"window_days": 31})})
    assert run(settings=unread).status == "up_to_date", "the job does not read it"
    other = settings.model_copy(update={"features": settings.features.model_copy(update={"trend_days": 4})})
    assert run(settings=other).status == "ok", "the job reads it"
    assert len(rise.CALLS) == 3
    assert dict(max(written(lake, "ops.runs", "started_at", "settings"))[1]) == {"features.trend_days": "4"}


def test_another_suite_validates_the_table_again(run, rise, expectations):
    assert run().status == "ok"
    stricter = SUITE["expectations"][0] | {"kwargs": {"column": "rank.min", "min_value": 1, "max_value": 1}}
    (expectations / "gold" / "trending.json").write_text(json.dumps(SUITE | {"expectations": [stricter]}))
    assert run().status == "ok"
    assert run().status == "up_to_date"


def test_a_warning_commits_and_is_told(run, rise, lake, expectations):
    warned = SUITE["expectations"][0] | {"severity": "warning", "kwargs": {"column": "rank.min", "min_value": 2}}
    (expectations / "gold" / "trending.json").write_text(json.dumps(SUITE | {"expectations": [warned]}))
    (said,) = run().warnings
    assert said.startswith("gold.trending: rank.min is 1")
    assert written(lake, "gold.trending", "pin_id") == [(5,)]


def test_a_critical_failure_commits_nothing_and_is_remembered(run, rise, lake):
    rise.RANK[0] = 0
    with pytest.raises(ValidationFailedError, match=r"gold\.trending.*rank\.min"):
        run()
    assert written(lake, "gold.trending", "pin_id") == []
    ((status, error),) = written(lake, "ops.runs", "status", "error")
    assert status == "failed"
    assert "gold.trending" in error
    assert written(lake, "ops.checks", "success") == [(False,)]


def test_a_failure_is_told_even_where_it_cannot_be_written_down(
    rise, lake, settings, expectations, tmp_path, monkeypatch
):
    rise.RANK[0] = 0
    runner = Runner(lake, settings, Validator(expectations, settings, tmp_path))

    def full(row):
        raise MissingDependencyError("ops.runs: no space left on the disk of the lake")

    monkeypatch.setattr(runner.history, "add_run", full)
    with pytest.raises(ValidationFailedError, match=r"rank\.min"):
        runner.run(JOB, DAY)


def test_a_cut_outside_the_data_names_the_range(lake, settings, expectations, tmp_path):
    runner = Runner(lake, settings, Validator(expectations, settings, tmp_path))
    with pytest.raises(ConfigError, match="pinlake ingest"):
        runner.resolve_as_of(None)
    at = {
        "table": "app.pins",
        "start_ts": 469699972300800000,
        "checkpoint_ts": 470152957132800000,
        "run_id": "r",
        "status": "live",
    }
    from datetime import UTC, datetime

    lake.append_rows("ops.checkpoints", [at | {"at": datetime.now(UTC), "keys": ["id"]}])
    assert RunHistory(lake).checkpoint() == (469699972300800000, 470152957132800000)
    assert runner.resolve_as_of(None)[1] == date(2026, 11, 1)
    with pytest.raises(ConfigError, match=r"2026-11-02.*from 2026-10-13 to 2026-11-01"):
        runner.resolve_as_of(date(2026, 11, 2))


def test_an_input_that_no_run_has_made_is_named_with_the_command_that_makes_it(lake, settings, expectations, tmp_path):
    runner = Runner(lake, settings, Validator(expectations, settings, tmp_path))
    with pytest.raises(TableError, match=r"gold\.pin_stats as of 2026-10-20.*pinlake flow --as-of 2026-10-20"):
        runner.run(replace(JOB, reads=("gold.pin_stats",)), DAY)


LONG = """
from pyspark.sql import Row

FAILS = [True]
MADE = []


def rise(tables, context):
    spark = next(iter(tables.values())).sparkSession

    def one(number):
        MADE.append(number)
        rows = [("garden", number, 1, 2.0, 9.0, float(context.settings.features.trend_days))]
        types = "category string, pin_id bigint, rank int, score float, observed double, expected double"
        return spark.createDataFrame(rows, types)

    first = context.scratch.unit("first", lambda: one(5))
    if FAILS[0]:
        raise OSError("the machine was taken away")
    return first.unionByName(context.scratch.unit("second", lambda: one(6)))
"""


def test_a_long_job_that_was_killed_goes_on_with_what_it_kept_and_leaves_nothing(
    run, lake, tmp_path, monkeypatch, settings
):
    import importlib

    (tmp_path / "fake_rise.py").write_text(LONG)
    monkeypatch.syspath_prepend(str(tmp_path))
    job = importlib.reload(importlib.import_module("fake_rise"))
    with pytest.raises(OSError, match="taken away"):
        run()
    kept = tmp_path / "lake" / "_scratch"
    assert len(list(kept.rglob("_SUCCESS"))) == 1
    job.FAILS[0] = False
    assert run().rows == 2
    assert job.MADE == [5, 6]
    assert not list(kept.rglob("*.parquet"))
    job.FAILS[0] = True
    with pytest.raises(OSError, match="taken away"):
        run(force=True)
    job.FAILS[0] = False
    other = settings.model_copy(update={"features": settings.features.model_copy(update={"trend_days": 4})})
    assert run(settings=other).rows == 2
    assert job.MADE == [5, 6, 5, 5, 6], "other settings find nothing of it"
