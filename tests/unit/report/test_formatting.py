"""Figures in words, and names for everything that the rest of the project names."""

import json

import pytest

from jobs.ranking.rules import LIST, SINGLE
from jobs.report import formatting as fmt
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("function", "value", "said"),
    [
        (fmt.size, 0, "0 B"), (fmt.size, 999, "999 B"), (fmt.size, 1_000, "1.0 kB"),
        (fmt.size, 999_600, "1.0 MB"), (fmt.size, 5_596_893, "5.6 MB"), (fmt.size, None, ""),
        (fmt.size, 2.5e15, "2,500.0 TB"),
        (fmt.seconds, 3.84, "3.8 s"), (fmt.seconds, 9.96, "10 s"), (fmt.seconds, 59.7, "1 min 0 s"),
        (fmt.seconds, 187, "3 min 7 s"), (fmt.seconds, 7500, "2 h 5 min"), (fmt.seconds, None, ""),
        (fmt.percent, 0.2518, "25 %"), (fmt.percent, 0.0283, "2.8 %"), (fmt.percent, 6 / 279_802, "0.002 %"),
        (fmt.percent, 0, "0 %"), (fmt.percent, 1, "100 %"),
        (fmt.short, 9_999_999, "9,999,999"), (fmt.short, 32_123_456, "32.1 M"),
        (fmt.measured, "9.061814", "9.062"), (fmt.measured, "1", "1"), (fmt.measured, "94701", "94,701"),
        (fmt.measured, None, "-"), (fmt.measured, "nan", "-"), (fmt.measured, "red", "red"),
        (fmt.bounds, '{"min_value": 0.5}', "at least 0.5"), (fmt.bounds, '{"max_value": 0}', "at most 0"),
        (fmt.bounds, '{"min_value": 1, "max_value": 100}', "from 1 to 100"),
        (fmt.bounds, '{"min_value": 1, "max_value": 1}', "1"),
        (fmt.bounds, '{"value_set": ["a"]}', '{"value_set": ["a"]}'),
        (fmt.bounds, "no JSON", "no JSON"), (fmt.bounds, None, ""),
    ],
)  # fmt: skip
def test_figures_read_as_people_write_them(function, value, said):
    assert function(value) == said


def test_every_rule_that_can_stop_a_pin_has_a_name_in_words():
    assert {rule.name for rule in (*SINGLE, *LIST)} | {"length"} == set(fmt.RULES)


def test_every_figure_of_the_gate_has_a_name_in_words():
    suite = json.loads((ROOT / "expectations" / "generation.json").read_text())
    assert {one["kwargs"]["column"] for one in suite["expectations"]} <= set(fmt.GATE)
