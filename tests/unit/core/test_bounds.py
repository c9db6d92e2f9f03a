"""What comes to the driver is bounded, and says by what."""

import re
from pathlib import Path

import pytest

JOBS = Path(__file__).resolve().parents[3] / "jobs"
TO_DRIVER = re.compile(r"\.(collect|toPandas|toArrow|toLocalIterator|tail)\(")
SAID = re.compile(r"# bounded: \S+")


def unbounded(text: str) -> list[str]:
    """Return the lines that bring rows to the driver without saying what bounds them."""
    return [line.strip() for line in text.splitlines() if TO_DRIVER.search(line) and not SAID.search(line)]


def test_the_rule_sees_a_collect_that_says_nothing():
    assert unbounded("rows = df.collect()\nfew = df.limit(3).collect()  # bounded: three") == ["rows = df.collect()"]


@pytest.mark.parametrize("file", sorted(JOBS.rglob("*.py")), ids=lambda file: str(file.relative_to(JOBS)))
def test_every_collect_says_what_bounds_it(file):
    assert unbounded(file.read_text()) == []
