"""The suites on tables: Spark accepts all of them; a good table passes, a bad one fails where it is bad."""

import json
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.common.errors import ValidationFailedError
from jobs.lake.table_frames import struct_of
from jobs.schema.bronze_silver import SILVER
from jobs.schema.gold import GOLD
from jobs.schema.tables import table
from jobs.settings import Settings
from jobs.validate.checks import Validator
from jobs.validate.measure import aggregation, metrics_of, missing_columns

pytestmark = pytest.mark.spark

EXPECTATIONS = Path(__file__).resolve().parents[3] / "expectations"
FEED = "user_id bigint, position int, pin_id bigint, score float, source string, reason string, arm string"
GOOD = [(user, place, place, 1.0 / place, "content", "save", "control") for user in (1, 2) for place in (1, 2, 3)]
BAD = [
    (1, 1, 7, 0.9, "content", "save", "control"),
    (1, 1, 8, float("nan"), "guess", "save", "control"),
    (1, 500, 8, 0.1, "fresh", "whim", None),
    (None, 0, None, 0.1, "fresh", None, "control"),
]
FAULTS = {
    "user_id.null_count": "critical",
    "user_id,position.duplicate_count": "critical",
    "pin_id.null_count": "critical",
    "user_id,pin_id.duplicate_count": "critical",
    "position.min": "critical",
    "position.max": "critical",
    "score.not_finite_count": "critical",
    "source.not_in_set_count": "critical",
    "reason.not_in_set_count": "warning",
    "reason.null_count": "warning",
    "arm.null_count": "warning",
}


@pytest.fixture(scope="module")
def validator(tmp_path_factory):
    return Validator(EXPECTATIONS, Settings(), tmp_path_factory.mktemp("work"))


def feed(spark, rows):
    df = spark.createDataFrame(rows, FEED)
    return df.withColumn("reason_id", F.lit(1)).withColumn("as_of", F.lit(date(2026, 11, 1)))


def test_spark_accepts_every_suite_on_the_columns_of_its_table(spark, validator):
    for known in (*SILVER, *GOLD):
        empty = spark.createDataFrame([], struct_of(table(known.name)))
        suite = validator.suite(known.name)
        metrics = metrics_of(suite)
        _, names = aggregation(empty, metrics, known.name)
        assert missing_columns(empty, metrics) == []
        assert len(names) == len(metrics) - 1, "all but missing_column_count"


def test_a_good_feed_passes_and_its_report_is_complete(spark, validator):
    report = validator.check("gold.home_feed", feed(spark, GOOD), label="2026-11-01")
    assert [check for check in report.checks if not check.success] == []
    assert len(report.rows()) == len(validator.suite("gold.home_feed").expectations)
    report.raise_if_critical()


def test_each_fault_of_a_bad_feed_fails_its_own_expectation_at_its_severity(spark, validator):
    report = validator.check("gold.home_feed", feed(spark, BAD))
    assert {check.column: check.severity for check in report.checks if not check.success} == FAULTS
    with pytest.raises(ValidationFailedError, match=r"gold.home_feed: .*Nothing was committed. 8 critical"):
        report.raise_if_critical()


def test_an_empty_feed_stops_the_job_but_an_empty_silver_batch_does_not(spark, validator):
    report = validator.check("gold.home_feed", feed(spark, GOOD).where("false"))
    assert [check.column for check in report.critical_failures] == ["row_count"]
    batch = spark.createDataFrame([], struct_of(table("silver.app_users")))
    assert validator.check("silver.app_users", batch).worst is None


def test_a_source_table_of_another_shape_is_warned_of_not_stopped(spark, validator):
    batch = spark.createDataFrame([(1, 5, 1, False)], "id bigint, _commit_ts bigint, _op_rank int, _deleted boolean")
    report = validator.check("silver.app_users", batch)
    assert {check.column: check.observed for check in report.warnings} == {
        "missing_column_count": "3",
        "status.not_in_set_count": None,
        "country.not_match_count": None,
    }
    assert report.worst == "warning"


def test_what_was_not_seen_before_the_cut_is_leakage(spark, validator):
    suite = validator.suite("gold.interactions")
    metric = "last_ts,as_of.violation_count"
    rows = spark.sql(
        "select timestamp'2026-10-31 23:59:59' last_ts, date'2026-11-01' as_of union all "
        "select timestamp'2026-11-01 00:00:00', date'2026-11-01'"
    )
    row, _ = aggregation(rows, [one for one in metrics_of(suite) if one.name == metric], suite.name)
    assert row.first()[0] == 1


def test_min_rows_is_a_setting_per_table(spark, tmp_path):
    settings = Settings(validation={"parameters": {"gold.home_feed": {"min_rows": 100}}})
    report = Validator(EXPECTATIONS, settings, tmp_path).check("gold.home_feed", feed(spark, GOOD))
    (failed,) = report.critical_failures
    assert (failed.column, failed.observed, json.loads(failed.expected)) == ("row_count", "6", {"min_value": 100})
