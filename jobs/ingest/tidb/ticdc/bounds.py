"""The commit_ts that a data file begins and ends with: it bounds what a missing file beside it can hold."""

import json
from collections.abc import Iterator

from jobs.ingest.loading.storage import read_head, read_raw
from jobs.ingest.tidb.tables.shapes import dialect_of_feed
from jobs.ingest.tidb.ticdc.changefeed import Changefeed
from jobs.ingest.tidb.ticdc.csv_records import META, records

_HEAD = 1 << 16


def first_commit_ts(root: str, path: str, changefeed: Changefeed) -> int | None:
    """Return the commit_ts of a file's first row; None where it cannot be read."""
    try:
        found = next(_all(path, read_head(root, path, _HEAD), changefeed), None)
        # a row may be longer than the head
        return found or next(_all(path, read_raw(root, path), changefeed), None)
    except OSError:
        return None


def last_commit_ts(root: str, path: str, changefeed: Changefeed) -> int | None:
    """Return the commit_ts of a file's last row; None where that row cannot be read."""
    try:
        content = read_raw(root, path)
    except OSError:
        return None
    if path.endswith(".json"):
        return _canal(content.rstrip().rsplit(b"\n", 1)[-1])
    found = None
    for found in _all(path, content, changefeed):  # noqa: B007 - the last one is wanted
        pass
    return found


def _all(path: str, content: bytes, changefeed: Changefeed) -> Iterator[int | None]:
    if path.endswith(".json"):
        yield from (_canal(line) for line in content.split(b"\n") if line.strip())
        return
    for record in records(content, dialect_of_feed(changefeed)):
        if record.raw.startswith(META.encode()):
            continue
        text = record.fields[3] if record.fields and len(record.fields) > 3 else None
        yield int(text) if text and text.isdigit() else None


def _canal(line: bytes) -> int | None:
    try:
        return int(json.loads(line)["_tidb"]["commitTs"])
    except (ValueError, KeyError, TypeError):
        return None
