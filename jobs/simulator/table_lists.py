"""Lists `user item item …`, a line each of its own length, as LightGCN's data sets have them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jobs.common.errors import SourceError
from jobs.simulator.rng import Array

_SPACES = bytes.maketrans(b",;|\t\r", b"     ")


def lists_of(file: Path, blocks: Iterator[bytes], line: int) -> tuple[Array, Array, int]:
    """Return user and item of each pair, and how many users have no items.

    Args:
        file: for messages.
        blocks: whole lines.
        line: number of the first.

    Raises:
        SourceError: a field is no whole number.
    """
    parts, alone = [(np.zeros(0, np.int64), np.zeros(0, np.int64))], 0
    for block in blocks:
        numbers, counts = _numbers(file, block, line)
        line += block.count(b"\n")
        alone += int((counts == 1).sum())
        first = np.cumsum(counts) - counts
        parts.append((np.repeat(numbers[first], counts - 1), np.delete(numbers, first)))
    user, item = (np.concatenate(column) for column in zip(*parts, strict=True))
    return user, item, alone


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
            f"{file} line {at}: fields of a list must be whole numbers; it reads {shown!r}; number users and items "
            "first."
        )
    ends = np.flatnonzero(raw == 10)
    counts = np.diff(np.concatenate([[0], np.cumsum(starts)[ends]]))
    numbers = np.fromstring(text, dtype=np.int64, sep=" ") if starts.any() else np.zeros(0, np.int64)
    return numbers, counts[counts > 0]
