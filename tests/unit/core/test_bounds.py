"""What comes to the driver is bounded, and says by what."""

import re
from pathlib import Path

JOBS = Path(__file__).resolve().parents[3] / "jobs"
TO_DRIVER = re.compile(r"\.(collect|toPandas|toArrow|toLocalIterator|tail)\(")
BOUND = re.compile(r"# bounded: \S+")


def unbounded(text: str) -> list[str]:
    """Return the lines that bring rows to the driver without saying what bounds them."""
    return [line.strip() for line in text.splitlines() if TO_DRIVER.search(line) and not BOUND.search(line)]


def test_the_rule_sees_a_collect_that_says_nothing():
    assert unbounded("rows = df.collect()\nfew = df.limit(3).collect()  # bounded: three") == ["rows = df.collect()"]


def test_every_collect_says_what_bounds_it():
    offenders = {str(file.relative_to(JOBS)): unbounded(file.read_text()) for file in JOBS.rglob("*.py")}
    assert len(offenders) > 100
    assert {file: lines for file, lines in offenders.items() if lines} == {}
