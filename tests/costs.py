"""Pytest plugin: what each test costs in CPU-seconds of all its processes, and an order that starts with the dearest.

`--costs FILE` appends one JSON line per test: the CPU time that the test process and its children (JVM, servers,
`pinlake` processes) spent. `python -m tests.costs FILE...` adds them up by test file and rewrites `tests/costs.json`,
by which every run is ordered: the workers of `pytest -n` then end at about the same time.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

TABLE = Path(__file__).with_name("costs.json")
ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser):
    """Add `--costs`."""
    parser.addoption("--costs", metavar="FILE", help="append the CPU-seconds of each test to FILE, as JSON lines")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Start with the dearest files; a file without a record runs first, tests keep their order within a file."""
    if not TABLE.is_file():
        return
    costs = json.loads(TABLE.read_text())
    items.sort(key=lambda item: -costs.get(_file(item), float("inf")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Record the CPU time of a test together with the fixtures that it sets up and tears down."""
    file = item.config.getoption("--costs")
    if not file:
        return (yield)
    before = _cpu_seconds()
    result = yield
    line = {"file": _file(item), "test": item.name, "cpu": round(_cpu_seconds() - before, 3)}
    with Path(file).open("a") as out:
        out.write(json.dumps(line) + "\n")
    return result


def _file(item) -> str:
    return item.path.relative_to(ROOT).as_posix()


def _cpu_seconds() -> float:
    """Return the CPU time of this process and its descendants, those that have ended included."""
    import psutil

    total = 0.0
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def by_file(files: Iterable[Path]) -> dict[str, float]:
    """Return the CPU-seconds of each test file, the dearest first."""
    costs: Counter[str] = Counter()
    for file in files:
        for line in file.read_text().splitlines():
            record = json.loads(line)
            costs[record["file"]] += record["cpu"]
    return {name: round(cpu, 1) for name, cpu in costs.most_common()}


if __name__ == "__main__":
    measured = by_file(map(Path, sys.argv[1:]))
    known = json.loads(TABLE.read_text()) if TABLE.is_file() else {}
    merged = {name: cpu for name, cpu in (known | measured).items() if (ROOT / name).is_file()}
    TABLE.write_text(json.dumps(dict(sorted(merged.items(), key=lambda pair: -pair[1])), indent=0) + "\n")
