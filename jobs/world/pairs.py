"""Reads `user item [timestamp]` files into arrays, block by block, whatever separates the fields."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from jobs.errors import SourceError
from jobs.world.rng import Array

BLOCK = 16 << 20
"""Bytes read at once."""
_SPACES = bytes.maketrans(b",;\t\r", b"    ")


class Layout(StrEnum):
    """What a line holds."""

    AUTO = "auto"
    """Told by the first block: lines that differ in length and have more than three fields are lists."""
    PAIRS = "pairs"
    """`user item`, `user item timestamp` or, with four fields, `user item rating timestamp`."""
    LISTS = "lists"
    """`user item item item …`, as LightGCN's data sets have it."""


@dataclass(frozen=True)
class Interactions:
    """Pairs in the order of the file; ids as in the file; `ts` as in the file, 0 where there is none."""

    user: Array
    item: Array
    ts: Array


def read_interactions(file: Path, layout: Layout = Layout.AUTO) -> Interactions:
    """Return all pairs of a file, plain or gzip.

    Fields are separated by blanks, tabs, commas or semicolons; a first line of words is a header. SourceError if the
    file is missing, empty or has a field that is no whole number.
    """
    if not file.is_file():
        raise SourceError(f"{file} is no file; name a file of `user item [timestamp]` lines.")
    parts: list[tuple[Array, Array, Array]] = []
    with _opened(file) as stream:
        line = 1
        for block in _blocks(stream):
            numbers, counts = _numbers(file, block, line)
            line += block.count(b"\n")
            if layout is Layout.AUTO:
                layout = _guess(counts)
            parts.append(_lists(numbers, counts) if layout is Layout.LISTS else _pairs(file, numbers, counts))
    if not parts or not sum(len(user) for user, _, _ in parts):
        raise SourceError(f"{file} holds no pair; name a file of `user item [timestamp]` lines.")
    return Interactions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _opened(file: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb")


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield whole lines, about BLOCK bytes at a time, the header left out."""
    rest, first = b"", True
    while chunk := stream.read(BLOCK):
        head, mark, tail = (rest + chunk).rpartition(b"\n")
        rest = tail
        if mark:
            yield _headless(head + mark) if first else head + mark
            first = False
    if rest.strip():
        yield _headless(rest + b"\n") if first else rest + b"\n"


def _headless(block: bytes) -> bytes:
    line = block.partition(b"\n")[0]
    named = not line.translate(_SPACES).replace(b" ", b"").replace(b".", b"").isdigit()
    return b"\n" + block[len(line) + 1 :] if named and line.strip() else block


def _numbers(file: Path, block: bytes, line: int) -> tuple[Array, Array]:
    """Return all numbers of a block, and how many each of its non-empty lines has."""
    text = block.translate(_SPACES)
    raw = np.frombuffer(text, np.uint8)
    blank = raw <= 32
    starts = ~blank & np.concatenate([[True], blank[:-1]])
    bad = ~blank & ((raw < 48) | (raw > 57))
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        at = line + text.count(b"\n", 0, place)
        shown = block[block.rfind(b"\n", 0, place) + 1 : block.find(b"\n", place)][:60].decode(errors="replace")
        raise SourceError(
            f"{file} line {at}: fields must be whole numbers; it reads {shown!r}; map ids to numbers first."
        )
    ends = np.flatnonzero(raw == 10)
    counts = np.diff(np.concatenate([[0], np.cumsum(starts)[ends]]))
    numbers = np.fromstring(text, dtype=np.int64, sep=" ") if starts.any() else np.zeros(0, np.int64)
    return numbers, counts[counts > 0]


def _guess(counts: Array) -> Layout:
    differ = len(counts) > 0 and counts.min() != counts.max()
    lists = (differ and counts.max() > 3) or (len(counts) > 0 and counts.min() > 4)
    return Layout.LISTS if lists else Layout.PAIRS


def _lists(numbers: Array, counts: Array) -> tuple[Array, Array, Array]:
    first = np.cumsum(counts) - counts
    users = np.repeat(numbers[first], counts - 1)
    items = np.delete(numbers, first)
    return users, items, np.zeros(len(items), np.int64)


def _pairs(file: Path, numbers: Array, counts: Array) -> tuple[Array, Array, Array]:
    if len(counts) and (counts.min() < 2 or counts.max() > 4):
        odd = int(counts[(counts < 2) | (counts > 4)][0])
        raise SourceError(
            f"{file}: a line of pairs has 2 to 4 fields; one has {odd}; use layout `lists` if it is a list."
        )
    first = np.cumsum(counts) - counts
    stamp = np.where(counts > 2, numbers[np.minimum(first + counts - 1, max(len(numbers) - 1, 0))], 0)
    return numbers[first], numbers[first + 1], stamp
