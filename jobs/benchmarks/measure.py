"""What the benchmarks share: CPU-seconds of a piece of work, and a page whose parts they write one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass
class Spent:
    """CPU-seconds of the measured work; set when it ends."""

    seconds: float = 0.0


@contextmanager
def cpu_seconds() -> Iterator[Spent]:
    """Measure the body in this process, the JVM and the Python workers.

    Workers that end within the body are not counted: keep them (spark.python.worker.reuse).
    """
    spent, before = Spent(), _cpu_by_process()
    yield spent
    after = _cpu_by_process()
    spent.seconds = sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def _cpu_by_process() -> dict[int, float]:
    this = psutil.Process()
    seconds = {}
    for process in [this, *this.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:  # ended between listing and reading
            continue
        seconds[process.pid] = times.user + times.system
    return seconds


def put(page: Path, part: str, text: str) -> None:
    """Write one part of a Markdown page and leave the others; a new part comes last.

    Args:
        page: Markdown file; created if it does not exist.
        part: name of the part, marked by comments around it.
        text: its Markdown.
    """
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    content = page.read_text() if page.exists() else ""
    block = f"{begin}\n{text.strip()}\n{end}\n"
    before, marker, rest = content.partition(begin)
    if marker:
        page.write_text(before + block + rest.partition(end + "\n")[2])
    else:
        page.write_text((content.rstrip() + "\n\n" if content.strip() else "") + block)
