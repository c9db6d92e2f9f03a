"""Which data files of a folder are there, by number: which are missing, and which no index names.

Numbers begin at 1 in every folder, for each dispatcher by itself. The classic writer writes the index before the file
that it names and takes a number up again after a crash, so an empty file is like one that is not there.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from jobs.ingest.loading.storage import StoredFile
from jobs.ingest.tidb.ticdc.object_paths import Folder

_NUMBER = re.compile(r"\d+(?=\.[a-z]+$)")
_LOOKED_FOR = 1000
"""Files of one folder that are looked for again after the listing."""


@dataclass
class Numbered:
    """The data files of one folder and dispatcher."""

    folder: Folder
    limit: int = 0
    """Greatest number that the index names; 0 without an index."""
    named_at: str = ""
    """When the index was written, in ISO form; empty where the store does not tell."""
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
