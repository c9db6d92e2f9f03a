"""Figures in words, and names for everything that the rest of the project names."""

import json

import pytest

from jobs.ranking.rules import LIST, SINGLE
from jobs.report import formatting as words
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("function", "value", "said"),
    [
        (words.size, 0, "0 B"), (words.size, 999, "999 B"), (words.size, 1_000, "1.0 kB"),
        (words.size, 999_600, "1.0 MB"), (words.size, 5_596_893, "5.6 MB"), (words.size, None, ""),
        (words.size, 2.5e15, "2,500.0 TB"),
        (words.seconds, 3.84, "3.8 s"), (words.seconds, 9.96, "10 s"), (words.seconds, 59.7, "1 min 0 s"),
        (words.seconds, 187, "3 min 7 s"), (words.seconds, 7500, "2 h 5 min"), (words.seconds, None, ""),
        (words.percent, 0.2518, "25 %"), (words.percent, 0.0283, "2.8 %"), (words.percent, 6 / 279_802, "0.002 %"),
        (words.percent, 0, "0 %"), (words.percent, 1, "100 %"),
        (words.short, 9_999_999, "9,999,999"), (words.short, 32_123_456, "32.1 M"),
        (words.measured, "9.061814", "9.062"), (words.measured, "1", "1"), (words.measured, "94701", "94,701"),
        (words.measured, None, "-"), (words.measured, "nan", "-"), (words.measured, "red", "red"),
        (words.bounds, '{"min_value": 0.5}', "at least 0.5"), (words.bounds, '{"max_value": 0}', "at most 0"),
        (words.bounds, '{"min_value": 1, "max_value": 100}', "from 1 to 100"),
        (words.bounds, '{"min_value": 1, "max_value": 1}', "1"),
        (words.bounds, '{"value_set": ["a"]}', '{"value_set": ["a"]}'),
        (words.bounds, "no JSON", "no JSON"), (words.bounds, None, ""),
    ],
)  # fmt: skip
def test_figures_read_as_people_write_them(function, value, said):
    assert function(value) == said


def test_every_rule_that_can_stop_a_pin_has_a_name_in_words():
    assert {rule.name for rule in (*SINGLE, *LIST)} | {"length"} == set(words.RULES)


def test_every_figure_of_the_gate_has_a_name_in_words():
    suite = json.loads((ROOT / "expectations" / "generation.json").read_text())
    assert {one["kwargs"]["column"] for one in suite["expectations"]} <= set(words.GATE)
