"""Validation by Great Expectations: results, severities and Data Docs. No Spark session, but an import of seconds."""

import logging
import time
from pathlib import Path

import pytest

from jobs.common.errors import ConfigError, ValidationFailedError
from jobs.settings import Settings
from jobs.validate.checks import Validator
from jobs.validate.gx import ExpectationRunner, warm_up
from jobs.validate.suites import load_suite, parse_suite, suite_names

pytestmark = pytest.mark.spark

EXPECTATIONS = Path(__file__).resolve().parents[3] / "expectations"
MAX, VALUES = "expect_column_max_to_be_between", "expect_column_values_to_be_between"
GENERATION = {
    "rule_violations": 0,
    "fallback_pins": 100,
    "coverage": 0.99,
    "short_feeds": 0.01,
    "related_coverage": 0.9,
    "churn": None,
    "popularity_shift": None,
    "ndcg_ratio_lower": None,
}


def item(metric, severity="critical", kind=MAX, notes="", **bounds):
    return {
        "type": kind,
        "kwargs": {"column": metric, **bounds},
        "severity": severity,
        "meta": {"notes": notes} if notes else {},
    }


def suite_of(*items, name="gold.x"):
    return parse_suite({"name": name, "expectations": list(items)}, name, "x.json")


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    warm_up().join()
    return ExpectationRunner(tmp_path_factory.mktemp("gx"))


def run(runner, suite, measured, **parameters):
    # a suite's definition is made once per runner: each test has names of its own
    return runner.validate(suite, measured, parameters=parameters)


def test_the_verdict_is_great_expectations_own(runner):
    from great_expectations.core import ExpectationSuiteValidationResult

    report = run(runner, suite_of(item("row_count", min_value=3), name="gold.own"), {"row_count": 2})
    assert isinstance(report.result, ExpectationSuiteValidationResult)
    assert report.result.suite_name == "gold.own"
    assert report.worst == report.result.get_max_severity_failure().value == "critical"
    assert not report.result.success


JUDGED = [
    (MAX, {"max_value": 0}, 0, True),
    (MAX, {"max_value": 0}, 1, False),
    (MAX, {"min_value": 1}, 0, False),
    (MAX, {"min_value": 1, "strict_min": True}, 1, False),
    (VALUES, {"min_value": -1, "max_value": 1}, 1.5, False),
    (VALUES, {"min_value": -1, "max_value": 1}, -0.5, True),
    # nothing to measure: a metric that must be there fails, one that may be absent passes
    (MAX, {"max_value": 0}, None, False),
    (VALUES, {"max_value": 0}, None, True),
]


@pytest.mark.parametrize("case", range(len(JUDGED)))
def test_each_type_of_expectation_holds_and_fails_where_it_should(runner, case):
    kind, bounds, value, holds = JUDGED[case]
    report = run(runner, suite_of(item("f.max", kind=kind, **bounds), name=f"gold.j{case}"), {"f.max": value})
    assert [check.success for check in report.checks] == [holds]


def test_a_critical_failure_raises_and_says_table_metric_value_bound_and_reason(runner):
    suite = suite_of(
        item("row_count", min_value=1),
        item("score.not_finite_count", notes="NaN sorts first.", max_value=0),
        item("pin_id.null_count", max_value=0),
        name="gold.loud",
    )
    report = run(runner, suite, {"row_count": 9, "score.not_finite_count": 3, "pin_id.null_count": 1})
    assert [check.column for check in report.critical_failures] == ["score.not_finite_count", "pin_id.null_count"]
    with pytest.raises(ValidationFailedError) as failed:
        report.raise_if_critical()
    said = str(failed.value)
    assert said.startswith("gold.loud: expect_column_max_to_be_between: score.not_finite_count is 3, expected ")
    for part in ('{"max_value": 0.0}', "NaN sorts first", "Nothing was committed", "2 critical", "gold/loud.json"):
        assert part in said


@pytest.mark.parametrize("severity", ["warning", "info"])
def test_a_lesser_failure_is_reported_but_does_not_raise(runner, severity):
    suite = suite_of(item("row_count", severity, min_value=1), name=f"gold.{severity}")
    report = run(runner, suite, {"row_count": 0})
    report.raise_if_critical()
    assert report.worst == severity
    assert len(report.warnings) == (severity == "warning")
    assert not report.critical_failures


def test_rows_have_the_columns_of_ops_checks_that_the_runner_does_not_add(runner):
    from jobs.schema.ops import CHECKS

    suite = suite_of(item("row_count", min_value={"$PARAMETER": "least"}), name="gold.rows")
    report = run(runner, suite, {"row_count": 12_000_000_000}, least=7)
    assert report.rows() == [
        {
            "suite": "gold.rows",
            "expectation": MAX,
            "column": "row_count",
            "severity": "critical",
            "success": True,
            "observed": "12000000000",
            "expected": '{"min_value": 7.0}',
        }
    ]
    added = {"run_id", "as_of", "at"}
    assert set(report.rows()[0]) | added == {column.name for column in CHECKS.columns}


def test_the_same_suite_is_validated_again_with_other_metrics_and_parameters(runner):
    suite = suite_of(item("row_count", min_value={"$PARAMETER": "least"}), name="gold.again")
    verdicts = [run(runner, suite, {"row_count": 5}, least=least).worst for least in (5, 6, 5)]
    assert verdicts == [None, "critical", None]


def test_jobs_that_run_at_once_are_validated_each_by_its_own_suite_and_store(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    runners = [ExpectationRunner(tmp_path / str(number)) for number in range(2)]

    def one(number):
        suite = suite_of(item("row_count", min_value=number % 3), name=f"gold.at_once_{number}")
        return run(runners[number % 2], suite, {"row_count": 1}).worst

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(9))) == [None, None, "critical"] * 3
    assert [len(list((tmp_path / str(number)).glob("results/gold/*"))) for number in range(2)] == [5, 4]


def test_a_missing_metric_or_parameter_is_named_before_anything_is_validated(runner):
    suite = suite_of(item("row_count", min_value={"$PARAMETER": "least"}), name="gold.lacking")
    with pytest.raises(ConfigError, match="needs the metric row_count, which was not measured; there are: x"):
        run(runner, suite, {"x": 1}, least=1)
    with pytest.raises(ConfigError, match=r"gold.lacking needs a value for least: set it in validation.parameters"):
        run(runner, suite, {"row_count": 1})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (item("f.max", kind="expect_column_to_be_lovely"), "expect_column_to_be_lovely not found"),
        (item("f.max", max_valu=1), "extra fields not permitted"),
        (item("f.max", max_value="much"), "max_value"),
    ],
)
def test_an_expectation_great_expectations_would_leave_out_silently_is_an_error(runner, wrong, said):
    suite = suite_of(item("f.max", max_value=2), wrong, name="gold.odd")
    with pytest.raises(ConfigError, match=f"Suite gold.odd, expectation 2: .*{said}"):
        run(runner, suite, {"f.max": 1})


def test_an_expectation_that_cannot_be_computed_is_a_configuration_error_not_a_pass(runner):
    suite = suite_of(item("f.max", "warning", kind="expect_column_values_to_match_regex", regex="("), name="gold.bad")
    with pytest.raises(ConfigError, match=r"Suite gold.bad: expect_column_values_to_match_regex on f.max cannot be"):
        run(runner, suite, {"f.max": 1})


def test_the_gate_passes_a_good_generation_and_stops_a_leaking_or_thin_one(tmp_path):
    validator = Validator(EXPECTATIONS, Settings(), tmp_path)
    assert validator.check_numbers("generation", GENERATION).worst is None
    wrongs = [{"rule_violations": 1}, {"coverage": 0.4}, {"coverage": None}, {"rule_violations": None}]
    for wrong in [*wrongs, {"fallback_pins": 0}, {"fallback_pins": None}]:
        report = validator.check_numbers("generation", GENERATION | wrong)
        with pytest.raises(ValidationFailedError, match=next(iter(wrong))):
            report.raise_if_critical()
    assert validator.check_numbers("generation", GENERATION | {"churn": 0.95, "coverage": 0.9}).worst == "warning"


def test_every_suite_is_accepted_and_data_docs_have_a_page_per_table(tmp_path):
    validator = Validator(EXPECTATIONS, Settings(), tmp_path)
    for day in ("2026-10-25", "2026-11-01"):
        validator.check_numbers("generation", GENERATION, label=day)
    validator.check_numbers("generation", GENERATION | {"coverage": 0.25}, label="2026-11-01")
    index = validator.build_docs()
    docs = index.parent
    front = index.read_text()
    for name in suite_names(EXPECTATIONS):
        page = docs / "expectations" / f"{name.replace('.', '/')}.html"
        assert name in page.read_text()
    results = sorted(path.parents[1].name for path in docs.glob("validations/generation/*/*/*.html"))
    assert results == ["2026-10-25", "2026-11-01"], "the newest result of each label"
    assert "2026-11-01" in front
    page = next(docs.glob("validations/generation/2026-11-01/*/*.html")).read_text()
    assert "coverage is 0.25, expected" in page
    assert "Failed" in page


def test_only_the_newest_results_are_kept_also_over_processes(tmp_path):
    suite = suite_of(item("row_count", min_value=1))
    for day in range(5):  # a runner each, as in five processes
        ExpectationRunner(tmp_path, keep=3).validate(
            suite, {"row_count": day}, parameters={}, label=f"day {day}/content"
        )
    kept = sorted(path.name for path in (tmp_path / "results/gold/x").iterdir())
    assert kept == ["day-2-content", "day-3-content", "day-4-content"]


def test_a_warm_runner_takes_well_under_a_second_for_the_largest_suite(runner):
    suite = max((load_suite(EXPECTATIONS, name) for name in suite_names(EXPECTATIONS)), key=lambda s: len(s.metrics))
    measured, parameters = dict.fromkeys(suite.metrics, 0), dict.fromkeys(suite.parameters, 1)
    run(runner, suite, measured, **parameters)
    started = time.monotonic()
    run(runner, suite, measured, **parameters)
    assert time.monotonic() - started < 3, "0.3 s on a quiet machine"


def test_it_is_quiet_and_sends_nothing(runner, capfd, caplog):
    import os

    caplog.set_level(logging.WARNING)
    run(runner, suite_of(item("row_count", min_value=1), name="gold.quiet"), {"row_count": 0})
    runner.build_docs()
    assert os.environ["GX_ANALYTICS_ENABLED"] == "False"
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
