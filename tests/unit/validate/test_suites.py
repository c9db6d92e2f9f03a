"""Suites: their shape, and those in `expectations/` against the registry."""

import copy
import json
from pathlib import Path

import pytest

from jobs.common.errors import ConfigError
from jobs.schema.bronze_silver import SILVER
from jobs.schema.gold import GOLD
from jobs.schema.tables import table
from jobs.settings import Settings
from jobs.validate.checks import Validator
from jobs.validate.measure import metrics_of
from jobs.validate.suites import load_suite, parse_suite, suite_names

EXPECTATIONS = Path(__file__).resolve().parents[3] / "expectations"
TABLES = [known.name for known in (*SILVER, *GOLD)]
TYPES = {"expect_column_max_to_be_between", "expect_column_values_to_be_between"}
GOOD = {
    "name": "gold.x",
    "expectations": [
        {
            "type": "expect_column_max_to_be_between",
            "kwargs": {"column": "row_count", "min_value": {"$PARAMETER": "min_rows"}},
            "severity": "critical",
        }
    ],
}


def test_every_silver_and_gold_table_has_a_suite_about_its_own_columns():
    for name in TABLES:
        suite = load_suite(EXPECTATIONS, name)
        named = {column for metric in metrics_of(suite) for column in metric.columns}
        assert named <= {column.name for column in table(name).columns}, name
        assert {item.type for item in suite.expectations} <= TYPES, name
        assert all(item.meta["notes"].endswith(".") for item in suite.expectations), name


def test_every_suite_stops_the_job_on_a_key_that_is_null_or_not_unique():
    for name in TABLES:
        suite = load_suite(EXPECTATIONS, name)
        critical = {item.metric for item in suite.expectations if item.severity == "critical"}
        keys = [key for key in table(name).keys if key != "as_of"]
        assert {f"{key}.null_count" for key in keys} <= critical, name
        one_row = name in {"gold.ranker", "gold.neighbour_recall"}
        assert one_row or f"{','.join(keys)}.duplicate_count" in critical, name


def test_there_is_no_suite_without_a_table_besides_the_gate():
    assert set(suite_names(EXPECTATIONS)) == {*TABLES, "generation"}


def test_only_gold_suites_ask_for_rows_because_a_silver_batch_may_be_empty():
    asking = {name for name in TABLES if "row_count" in load_suite(EXPECTATIONS, name).metrics}
    assert asking == {known.name for known in GOLD}


def test_every_parameter_of_a_suite_has_a_value_in_the_settings(tmp_path):
    validator = Validator(EXPECTATIONS, Settings(), tmp_path)
    for name in (*TABLES, "generation"):
        assert set(validator.suite(name).parameters) <= set(validator.parameters(name)), name


def test_a_suites_own_parameter_wins_over_the_default_and_over_other_sections(tmp_path):
    given = {"default": {"min_rows": 5, "feed_length": 7}, "gold.x": {"min_rows": 9}}
    validator = Validator(EXPECTATIONS, Settings(validation={"parameters": given}), tmp_path)
    assert validator.parameters("gold.x")["min_rows"] == 9
    assert validator.parameters("gold.y")["min_rows"] == 5
    assert validator.parameters("gold.y")["feed_length"] == 7


def test_the_gate_blocks_on_rule_violations_low_coverage_and_a_missing_fallback_only():
    suite = load_suite(EXPECTATIONS, "generation")
    critical = {item.metric for item in suite.expectations if item.severity == "critical"}
    assert critical == {"rule_violations", "coverage", "fallback_pins"}
    assert {"churn", "popularity_shift", "short_feeds", "related_coverage", "ndcg_ratio_lower"} < set(suite.metrics)


def test_a_suite_says_which_metrics_and_parameters_it_needs():
    suite = parse_suite(GOOD, "gold.x", "x.json")
    assert list(suite.metrics) == ["row_count"]
    assert suite.parameters == ("min_rows",)
    assert suite.of_table


def _broken(change):
    content = copy.deepcopy(GOOD)
    change(content)
    return content


SHAPES = {
    "an unknown key": (lambda c: c.update(owner="me"), "name, expectations, meta and notes"),
    "another name": (lambda c: c.update(name="gold.y"), "must be named 'gold.x', got 'gold.y'"),
    "no expectations": (lambda c: c.update(expectations=[]), "at least one"),
    "an unknown severity": (lambda c: c["expectations"][0].update(severity="fatal"), "got 'fatal'"),
    "no severity": (lambda c: c["expectations"][0].pop("severity"), "type, kwargs, severity"),
    "an unknown key of an expectation": (lambda c: c["expectations"][0].update(level=1), "'level'"),
    "no column": (lambda c: c["expectations"][0].update(kwargs={}), "under `column`"),
    "a wrong parameter": (
        lambda c: c["expectations"][0]["kwargs"].update(min_value={"$PARAM": "x"}),
        "a parameter is written",
    ),
}


@pytest.mark.parametrize(("change", "said"), SHAPES.values(), ids=SHAPES)
def test_a_file_of_another_shape_is_refused_with_the_place_and_the_rule(change, said):
    with pytest.raises(ConfigError) as refused:
        parse_suite(_broken(change), "gold.x", "gold/x.json")
    assert str(refused.value).startswith("gold/x.json")
    assert said in str(refused.value)


def test_a_metric_cannot_have_two_arguments():
    one = {**GOOD["expectations"][0], "kwargs": {"column": "a.not_in_set_count", "max_value": 0}}
    content = {"name": "gold.x", "expectations": [one | {"meta": {"set": ["p"]}}, one | {"meta": {"set": ["q"]}}]}
    with pytest.raises(ConfigError, match=r"a.not_in_set_count has two different arguments.*measured once"):
        parse_suite(content, "gold.x", "gold/x.json")


def test_a_missing_and_an_unreadable_suite_are_one_clear_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"No suite 'gold.x' can be read at .*gold/x.json"):
        load_suite(tmp_path, "gold.x")
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold/x.json").write_text("{")
    with pytest.raises(ConfigError, match=r"gold/x.json is not valid JSON"):
        load_suite(tmp_path, "gold.x")


def _one(metric, **meta):
    item = {**GOOD["expectations"][0], "kwargs": {"column": metric}, "meta": meta}
    return parse_suite({"name": "gold.x", "expectations": [item]}, "gold.x", "x.json")


WRONG_METRICS = {
    "pin_id.nulls": r"there is no metric 'pin_id.nulls'. Kinds: distinct_count",
    "row_count.null_count.x": "there is no metric",
    "a,b.null_count": r"null_count is of 1 column\(s\), got 2",
    "duplicate_count": r"duplicate_count is of at least 1 column\(s\), got 0",
    "x.row_count": r"row_count is of 0 column\(s\), got 1",
    "a.not_in_set_count": "needs 'set' in its meta, got None",
    "a.not_match_count": "needs 'regex' in its meta",
    "a.violation_count": "needs 'where' in its meta",
}


@pytest.mark.parametrize(("metric", "said"), WRONG_METRICS.items())
def test_a_metric_outside_the_vocabulary_is_refused_with_suite_and_name(metric, said):
    with pytest.raises(ConfigError, match=said) as refused:
        metrics_of(_one(metric))
    assert str(refused.value).startswith("Suite gold.x: ")
    assert metric in str(refused.value)


def test_a_table_without_suite_is_not_validated_and_nothing_heavy_is_imported(tmp_path):
    validator = Validator(tmp_path, Settings(), tmp_path)
    assert not validator.has_suite("silver.app_guests")
    assert validator.check("silver.app_guests", None) is None
    assert not (tmp_path / "gx").exists()


def test_the_settings_file_states_every_setting_with_its_default():
    import yaml

    stated = yaml.safe_load((EXPECTATIONS.parent / "conf/base/validation.yaml").read_text())
    assert stated == json.loads(Settings().validation.model_dump_json())


def test_a_digest_is_that_of_the_file_after_the_suite_was_used_too(tmp_path):
    validator = Validator(EXPECTATIONS, Settings(), tmp_path)
    before = validator.digest("gold.candidates")
    validator.suite("gold.candidates").content["expectations"][0]["meta"] = {"changed": "while validating"}
    assert validator.digest("gold.candidates") == before
