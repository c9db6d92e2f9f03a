"""CPU-seconds of a piece of work: this process, the JVM and the Python workers together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass
class Spent:
    """CPU-seconds, known when the work is done."""

    seconds: float = 0.0


@contextmanager
def cpu_seconds() -> Iterator[Spent]:
    """Measure the body. Workers that end within it take their seconds along: keep them (spark.python.worker.reuse)."""
    spent, before = Spent(), _used()
    yield spent
    after = _used()
    spent.seconds = sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def _used() -> dict[int, float]:
    me = psutil.Process()
    found = {}
    for one in [me, *me.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.Error:  # gone between listing and asking
            continue
        found[one.pid] = times.user + times.system
    return found
