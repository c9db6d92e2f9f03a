"""Writers of Kafka archives: Secor's delimited text (gzipped) and Kafka Connect's JSON with the default partitioner."""

import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.simulator.text import content


class Secor:
    """Archive of one topic below `<root>/secor`: `<topic>/dt=<day>/1_<partition>_<offset>.gz`, a message a line."""

    def __init__(self, root: Path, topic: str) -> None:
        """Begin with offset 0 in each Kafka partition."""
        self._root = root / "secor" / topic
        self._next: dict[int, int] = defaultdict(int)

    def write(self, day: str, partition: int, lines: Any, again: int = 0) -> None:
        """Write one file of the day's messages (a string array, newline included).

        With `again`, write the last so many of them a second time, as a file that overlaps the first one.
        """
        first = self._next[partition]
        self._next[partition] += len(lines)
        self._file(day, partition, first, lines)
        if again:
            self._file(day, partition, first + len(lines) - again, lines.slice(len(lines) - again))

    def stray(self, day: str, partition: int, body: bytes) -> None:
        """Write messages given as bytes into a file of their own, such as those without a usable time."""
        self._file(day, partition, self._next[partition], body)
        self._next[partition] += body.count(b"\n")

    def _file(self, day: str, partition: int, offset: int, lines: Any) -> None:
        folder = self._root / f"dt={day}"
        folder.mkdir(parents=True, exist_ok=True)
        body = lines if isinstance(lines, bytes) else content(lines)
        # mtime 0: the same settings must give the same bytes
        (folder / f"1_{partition}_{offset:020d}.gz").write_bytes(gzip.compress(body, compresslevel=1, mtime=0))


class Connect:
    """Archive of one topic below `<root>/connect/topics`: files of `flush_size` messages, named by first offset."""

    def __init__(self, root: Path, topic: str, flush_size: int) -> None:
        """Begin with offset 0 in each Kafka partition."""
        self._root, self._topic, self._size = root / "connect" / "topics" / topic, topic, flush_size
        self._waiting: dict[int, list[Any]] = defaultdict(list)
        self._next: dict[int, int] = defaultdict(int)

    def write(self, partition: int, lines: Any) -> None:
        """Add messages (a string array, newline included); full files are written at once."""
        self._waiting[partition].append(lines)
        if sum(map(len, self._waiting[partition])) >= self._size:
            self._flush(partition, self._size)

    def finish(self) -> None:
        """Write the remaining messages."""
        for partition in sorted(self._waiting):
            self._flush(partition, 1)

    def _flush(self, partition: int, at_least: int) -> None:
        lines = pa.concat_arrays(self._waiting[partition]) if self._waiting[partition] else pa.array([], pa.string())
        folder = self._root / f"partition={partition}"
        folder.mkdir(parents=True, exist_ok=True)
        while len(lines) >= at_least:
            piece, lines = lines.slice(0, self._size), lines.slice(self._size)
            name = f"{self._topic}+{partition}+{self._next[partition]:010d}.json"
            (folder / name).write_bytes(content(piece))
            self._next[partition] += len(piece)
        self._waiting[partition] = [lines]
