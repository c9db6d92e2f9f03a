"""Blocks of text as columns: rows of a table as texts, every line accounted for, and lists `user item item …` as pairs.

LightGCN's data sets are such lists, a line of its own length per user.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.common.errors import SourceError
from jobs.simulator.rng import Array

_SPACES = bytes.maketrans(b",;|\t\r", b"     ")
BLANKS, DOUBLE = " ", "\x1f"
"""What runs of blanks, and two colons, are replaced by."""


@dataclass(frozen=True)
class Form:
    """Form of the rows."""

    delimiter: str
    width: int
    used: Sequence[int]
    """Indexes of the columns to read."""


def rows_of(file: Path, block: bytes, line: int, form: Form) -> tuple[Any, Callable[[int], str]]:
    """Return a block's rows as texts, and a function from row to its place for messages.

    Args:
        file: for messages.
        block: whole lines.
        line: number of the first.
        form: of the rows.

    Raises:
        SourceError: a line has another number of fields, or a quote that is not closed in it.
    """
    import pyarrow.csv as pc

    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    names = [str(at) for at in range(form.width)]
    text = plain(_valid(block), form.delimiter)
    lines = text.split(b"\n")
    parse = pc.ParseOptions(delimiter=single(form.delimiter), invalid_row_handler=refuse)
    convert = pc.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False,
        include_columns=[str(at) for at in form.used],
    )  # fmt: skip
    read = pc.ReadOptions(column_names=names, block_size=max(len(text) + 1, 1 << 16), use_threads=False)
    try:
        table = pc.read_csv(io.BytesIO(text), read, parse, convert)
    except pa.ArrowInvalid as error:
        if not wrong:
            raise SourceError(f"{file}, lines from {line} on, cannot be read: {str(error)[:200]}.") from error
        at = line + text[: max(0, text.find(wrong[0].text.encode()))].count(b"\n")
        raise SourceError(odd_line(file, at, wrong[0].actual_columns, wrong[0].expected_columns)) from None
    if len(table) != sum(map(bool, lines)):
        odd = (at for at, one in enumerate(lines) if one.count(b'"') % 2)
        raise SourceError(
            f"{file} line {line + next(odd, 0)} has a quote that is not closed in it: fields that hold line ends are "
            "not read. Leave such a column out, or write it without quotes."
        )
    return table, lambda row: f"line {_line_of(lines, row) + line}"


def _valid(block: bytes) -> bytes:
    """Return a block as UTF-8; other bytes, never part of a number, become printable."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="replace").encode()
    return block


def _line_of(lines: list[bytes], row: int) -> int:
    full = (at for at, one in enumerate(lines) if one)
    return next(at for place, at in enumerate(full) if place == row)


def odd_line(file: Path, line: int, got: int, usual: int) -> str:
    """Return the message about a line with another number of fields."""
    return (
        f"{file} line {line} has {got} fields, others have {usual}: correct it, or add --layout lists if a line is "
        "a user and the items saved."
    )


def single(delimiter: str) -> str:
    """Return the single character that separates fields in the text from `plain`."""
    return DOUBLE if delimiter == "::" else delimiter


def plain(block: bytes, delimiter: str) -> bytes:
    """Return lines whose fields are separated by one byte."""
    if delimiter == "::":
        return block.replace(b"::", DOUBLE.encode())
    if delimiter == BLANKS:
        return re.sub(rb"(?m)^ +| +$", b"", re.sub(rb"[ \t]+", b" ", block))
    return block


def lists_of(file: Path, blocks: Iterator[bytes], line: int) -> tuple[Array, Array, int]:
    """Return user and item of each pair, and how many users have no items.

    Args:
        file: for messages.
        blocks: whole lines.
        line: number of the first.

    Raises:
        SourceError: a field is not a whole number.
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
