"""Metrics measured on tables whose answers are known."""

from datetime import UTC, date, datetime

import pytest

from jobs.common.errors import ConfigError
from jobs.validate.measure import aggregation, measure, metrics_of
from jobs.validate.suites import parse_suite
from tests.asserts import plan_of

pytestmark = pytest.mark.spark

NAN, INF = float("nan"), float("inf")
SCHEMA = """id bigint, board bigint, score double, kind string, country string, at timestamp, day date,
    hours array<float>, shares map<string,float>, vector binary, price decimal(10,2)"""


def at(day, hour=0):
    return datetime(2026, 10, day, hour, tzinfo=UTC)


ROWS = [
    (1, 10, 0.5, "save", "FR", at(1), date(2026, 10, 1), [0.0] * 24, {"a": 1.0}, b"1234", "1.50"),
    (2, None, NAN, "save", "fr", at(31, 23), date(2026, 10, 2), [], {}, b"12", "2.50"),
    (2, None, -INF, "nod", None, None, None, [1.0], None, None, None),
    (None, 11, -1.5, None, "DE", at(2), None, None, {"a": 0.5, "b": 0.5}, b"", "-1"),
]
KNOWN = {
    "row_count": (4, {}),
    "id.null_count": (1, {}),
    "id.distinct_count": (2, {}),
    "id.duplicate_count": (1, {}),
    "id,board.duplicate_count": (1, {}),
    "board.duplicate_count": (1, {}),
    "score.min": (-1.5, {}),
    "score.max": (0.5, {}),
    "score.mean": (-0.5, {}),
    "score.not_finite_count": (2, {}),
    "price.max": (2.5, {}),
    "id.max": (2, {}),
    "at.min_day": (20261001, {}),
    "at.max_day": (20261031, {}),
    "day.max_day": (20261002, {}),
    "kind.length_max": (4, {}),
    "hours.length_max": (24, {}),
    "hours.length_min": (0, {}),
    "shares.length_max": (2, {}),
    "vector.length_min": (0, {}),
    "kind.not_in_set_count": (1, {"set": ["save", "hide"]}),
    "country.not_match_count": (1, {"regex": "^[A-Z]{2}$"}),
    "hours.violation_count": (1, {"where": "size(hours) not in (0, 24)"}),
    "id,board.violation_count": (2, {"where": "board is null and id = 2"}),
    "missing_column_count": (0, {}),
}


def suite_of(metrics):
    items = [
        {"type": "t", "kwargs": {"column": name}, "severity": "critical", "meta": meta}
        for name, meta in metrics.items()
    ]
    return parse_suite({"name": "gold.x", "expectations": items}, "gold.x", "x.json")


@pytest.fixture(scope="module")
def df(spark):
    from pyspark.sql import functions as F

    columns = SCHEMA.replace("price decimal(10,2)", "price string")
    made = spark.createDataFrame(ROWS, columns).withColumn("price", F.col("price").cast("decimal(10,2)"))
    return made.repartition(3)


def test_every_kind_of_metric_has_its_known_value(df):
    suite = suite_of({name: meta for name, (_, meta) in KNOWN.items()})
    assert measure(df, suite) == {name: value for name, (value, _) in KNOWN.items()}


def test_an_empty_table_has_zero_in_every_count_and_null_elsewhere(df):
    suite = suite_of({name: meta for name, (_, meta) in KNOWN.items()})
    measured = measure(df.where("false"), suite)
    assert {name: value for name, value in measured.items() if value is not None} == {
        name: 0 for name in KNOWN if name.endswith("count")
    }


def test_all_metrics_together_are_one_job_and_one_scan(spark, tmp_path, df):
    spark.range(100).selectExpr("id", "id % 7 as board", "id / 3 as score").write.parquet(str(tmp_path / "t"))
    stored = spark.read.parquet(str(tmp_path / "t"))
    suite = suite_of({name: {} for name in ("row_count", "id.null_count", "id,board.duplicate_count", "score.max")})
    tracker, group = spark.sparkContext.statusTracker(), "measured-once"
    spark.sparkContext.setJobGroup(group, "measure")
    assert measure(stored, suite)["score.max"] == 33
    spark.sparkContext.setJobGroup("other", "other")
    assert len(tracker.getJobIdsForGroup(group)) == 1
    row, _ = aggregation(stored, metrics_of(suite), suite.name)
    assert plan_of(row).count("FileScan") == 1


def test_two_counts_of_different_keys_still_scan_once(spark, tmp_path):
    spark.range(10).selectExpr("id", "id % 7 as board").write.parquet(str(tmp_path / "t"))
    stored = spark.read.parquet(str(tmp_path / "t"))
    suite = suite_of({"id.duplicate_count": {}, "board.duplicate_count": {}, "board.max": {}})
    row, _ = aggregation(stored, metrics_of(suite), suite.name)
    assert plan_of(row).count("FileScan") == 1
    assert measure(stored, suite) == {"id.duplicate_count": 0, "board.duplicate_count": 3, "board.max": 6}


def test_absent_and_unfit_columns_are_counted_and_their_metrics_null(df):
    suite = suite_of({
        "id.null_count": {}, "gone.null_count": {}, "gone.max": {}, "kind.max": {}, "missing_column_count": {}
    })  # fmt: skip
    assert measure(df, suite) == {
        "id.null_count": 1,
        "gone.null_count": None,
        "gone.max": None,
        "kind.max": None,
        "missing_column_count": 2,
    }


def test_a_table_with_none_of_the_columns_is_not_even_read(df):
    assert measure(df, suite_of({"gone.max": {}})) == {"gone.max": None}


def test_a_condition_that_spark_refuses_names_suite_and_condition(df):
    suite = suite_of({"id.violation_count": {"where": "no_such_function(id)"}})
    with pytest.raises(ConfigError, match=r"Suite gold.x: Spark refuses .*id.violation_count: no_such_function\(id\)"):
        measure(df, suite)
