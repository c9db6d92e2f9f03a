from datetime import date

import pytest

from jobs.benchmarks.growth import REASONS, Cost, Size, as_rows, exponent, table
from jobs.common.errors import ConfigError

CUT = date(2026, 11, 1)
SIZES = [Size.parse("100x300"), Size.parse("400x1200")]


def test_a_size_is_users_by_pins():
    assert Size.parse("25000x75000") == Size(25_000, 75_000)
    assert Size.parse("25000x75000").label == "25,000 x 75,000"


@pytest.mark.parametrize("text", ["25000", "x", "10x", "ax3", "10 x 30"])
def test_what_is_no_size_is_said(text):
    with pytest.raises(ConfigError, match="USERSxPINS"):
        Size.parse(text)


@pytest.mark.parametrize(("seconds", "grown"), [(80.0, 1.0), (320.0, 2.0), (40.0, 0.5)])
def test_growth_is_the_exponent_of_the_ratio(seconds, grown):
    assert exponent(Cost(1, 20.0, 1.0), Cost(4, seconds, 1.0), 4.0) == pytest.approx(grown)


def test_a_short_job_has_no_growth():
    assert exponent(Cost(1, 1.0, 1.0), Cost(4, 9.9, 1.0), 4.0) is None


def test_a_table_shows_what_grows_too_fast_and_why(monkeypatch):
    monkeypatch.setitem(REASONS, "a.slow", "sorts")
    small = {("a.slow", CUT): Cost(10, 20.0, 1000.0), ("a.even", None): Cost(10, 20.0, 1000.0)}
    large = {("a.slow", CUT): Cost(40, 160.0, 1500.0), ("a.even", None): Cost(40, 80.0, 1500.0)}
    lines = table(SIZES, [small, large], {"a.even": 0.456})
    assert lines[2] == "| `a.slow` | 2026-11-01 | 10 | 20.0 | 1,000 | 40 | 160.0 | 1,500 | **1.50** sorts |  |"
    assert lines[3].endswith("| 1.00 | 0.46 |")
    assert lines[-1] == "| all | |  | 40 |  |  | 240 |  | | |"
    assert [line.count("|") for line in lines] == [11] * 5


def test_a_job_that_one_world_lacks_leaves_its_place_empty():
    lines = table(SIZES, [{}, {("a.new", CUT): Cost(40, 80.0, 1500.0)}])
    assert lines[2] == "| `a.new` | 2026-11-01 |  |  |  | 40 | 80.0 | 1,500 |  |  |"


def test_figures_come_as_plain_rows():
    (row,) = as_rows(SIZES[:1], [{("a.b", CUT): Cost(3, 1.5, 9.0)}])
    assert row == {
        "users": 100,
        "pins": 300,
        "job": "a.b",
        "as_of": "2026-11-01",
        "rows": 3,
        "seconds": 1.5,
        "peak_mb": 9.0,
    }
