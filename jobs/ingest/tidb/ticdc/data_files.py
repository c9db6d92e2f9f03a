"""Data files of one folder: missing numbers, files that no index names, first and last commit_ts of a file.

Numbers begin at 1 in every folder, for each dispatcher by itself. The classic writer writes the index before the file
that it names and takes a number up again after a crash, so an empty file counts as missing. The commit_ts of the files
around a missing one bound what it can hold.
"""

import json
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from jobs.ingest.loading.storage import StoredFile, read_head, read_raw
from jobs.ingest.tidb.ticdc.changefeed import Changefeed
from jobs.ingest.tidb.ticdc.csv_records import META, dialect_of_feed, records
from jobs.ingest.tidb.ticdc.object_paths import Folder

_NUMBER = re.compile(r"\d+(?=\.[a-z]+$)")
_LOOKED_FOR = 1000
"""Files of one folder that are looked for again after the listing."""


@dataclass
class DataFolder:
    """The data files of one folder and dispatcher."""

    folder: Folder
    limit: int = 0
    """Greatest number that the index names; 0 without an index."""
    named_at: str = ""
    """When the index was written, in ISO form; empty where the store does not provide it."""
    sample: str = ""
    """Path of one of the files: those of the others are made after it."""
    files: dict[int, StoredFile] = field(default_factory=dict)

    def add(self, number: int, file: StoredFile) -> None:
        """Take a file of the folder; of two with one number, in other widths, the one with content counts."""
        if number not in self.files or file.size:
            self.files[number] = file
        self.sample = self.sample or file.path

    def path(self, number: int) -> str:
        """Return the path of the file with a number, there or not."""
        return _NUMBER.sub(lambda match: f"{number:0{len(match[0])}d}", self.sample)

    @property
    def whole(self) -> list[int]:
        """Return the numbers of files that have content."""
        return sorted(number for number, file in self.files.items() if file.size)

    def unnamed(self) -> list[int]:
        """Return the numbers of files that no index names yet."""
        return [number for number in self.whole if number > self.limit]

    def gaps(self, known: Container[str] = ()) -> Iterator[range]:
        """Yield the numbers, up to the index's, that lie together and have no content.

        Args:
            known: paths of files that were taken in before: they may have been deleted since.
        """
        start = 1
        for there in [*[number for number in self.whole if number <= self.limit], self.limit + 1]:
            first = next((number for number in range(start, there) if self.path(number) not in known), None)
            if first is not None:
                yield range(first, there)
            start = there + 1

    def is_passed(self, checkpoint: int) -> bool:
        """Return whether the checkpoint has passed all that the index names: it was committed before it was named."""
        # a TSO is milliseconds since 1970, shifted by 18 bits
        at = datetime.fromtimestamp((checkpoint >> 18) / 1000, UTC)
        return bool(self.named_at) and datetime.fromisoformat(self.named_at) < at

    def newest_absent(self) -> list[str]:
        """Return the paths of files that the index names and that come after all that were listed."""
        last = max((number for number in self.whole if number <= self.limit), default=0)
        return [self.path(number) for number in range(max(last, self.limit - _LOOKED_FOR) + 1, self.limit + 1)]

    def neighbours(self, number: int) -> tuple[StoredFile | None, StoredFile | None]:
        """Return the files with content that stand before and after a number."""
        before = max((other for other in self.whole if other < number), default=None)
        after = min((other for other in self.whole if other > number), default=None)
        return (None if before is None else self.files[before], None if after is None else self.files[after])


_HEAD = 1 << 16


def first_commit_ts(root: str, path: str, changefeed: Changefeed) -> int | None:
    """Return the commit_ts of a file's first row; None where it cannot be read."""
    try:
        found = next(_commits(path, read_head(root, path, _HEAD), changefeed), None)
        # a row may be longer than the head
        return found or next(_commits(path, read_raw(root, path), changefeed), None)
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
    for found in _commits(path, content, changefeed):  # noqa: B007 - the last one is wanted
        pass
    return found


def _commits(path: str, content: bytes, changefeed: Changefeed) -> Iterator[int | None]:
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
