"""Log lines that name run, job and as-of date: JSON in a file a process, readable on stderr.

Executors log by Spark's own means (jobs/spark/log4j2.properties); what fails there comes back in the error of the run.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from pathlib import Path

from jobs.common.redaction import redacted

KEPT = 50
"""Log files kept, the newest."""
_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 - never changed in place


@contextmanager
def about(run: str, job: str, as_of: date | None) -> Iterator[None]:
    """Have the lines of the body, in this thread, carry run, job and as-of date."""
    token = _about.set({"run": run, "job": job, "as_of": str(as_of) if as_of else ""})
    try:
        yield
    finally:
        _about.reset(token)


class Lines(logging.Formatter):
    """One JSON object a line: time, level, logger, run, job, as_of, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a trace stands in `trace`."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            **(_about.get() or {"run": "", "job": "", "as_of": ""}),
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            line["trace"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class Readable(logging.Formatter):
    """For a person: level, job, as-of date, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told = _about.get()
        where = f"{told['job']} {told['as_of']}".strip() + ": " if told else ""
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return redacted(f"{record.levelname} {where}{record.getMessage()}{trace}")


def start(folder: Path, level: str) -> Path:
    """Log from INFO on to a new file in `folder`, from `level` on to stderr; return the file.

    Other libraries' lines come from WARNING on. Of the files there the newest KEPT stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("pinlake-*.jsonl"))[: -KEPT + 1 or None]:
        old.unlink(missing_ok=True)
    file = folder / f"pinlake-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.jsonl"
    lines, shown = logging.FileHandler(file, delay=True), logging.StreamHandler(sys.stderr)
    lines.setFormatter(Lines())
    shown.setFormatter(Readable())
    shown.setLevel(level)
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one.formatter, Lines | Readable)]:
        root.removeHandler(handler)
        handler.close()
    root.addHandler(lines)
    root.addHandler(shown)
    root.setLevel(logging.WARNING)
    logging.getLogger("jobs").setLevel(min(logging.INFO, logging.getLevelName(level)))
    return file
