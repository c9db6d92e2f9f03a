"""Reads the head of a table from its first lines: delimiter, header, roles of the columns."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from jobs.common.errors import SourceError
from jobs.simulator.interactions.roles import (
    NONE,
    TIME,
    Roles,
    counts_up,
    is_header,
    roles_by_header,
    roles_by_position,
    stated_roles,
)
from jobs.simulator.interactions.rows import BLANKS, Form, odd_line, plain, single
from jobs.simulator.interactions.times import numbers

SAMPLE, SAMPLE_BYTES = 2_000, 4 << 20
"""Lines sampled before reading, and their bytes at most."""
ODD = 0.1
"""Largest share of lines of another length that are taken for damaged; above it the file holds lists."""
_DELIMITERS = {"::": "two colons", "\t": "tabs", "|": "bars", ";": "semicolons", ",": "commas", BLANKS: "blanks"}
_COMMENT = (b"#", b"%", b"//")


class Layout(StrEnum):
    """Content of a line."""

    AUTO = "auto"
    """Detected from the first lines."""
    PAIRS = "pairs"
    """A user, an item, optionally a rating and a time."""
    LISTS = "lists"
    """`user item item item …`, as LightGCN's data sets have it."""


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading a file."""

    columns: str = ""
    """user, item, rating, time and - in the order of the columns; empty: detected."""
    min_rating: float | None = None
    """Least rating of a save; None: above 0."""


@dataclass(frozen=True)
class Head:
    """How to read a table."""

    roles: Roles | None
    """None: lists."""
    delimiter: str = ""
    names: tuple[str, ...] = ()
    """Of the columns; empty without a header."""
    skip: int = 0
    """Bytes before the first row."""
    line: int = 1
    """Number of the first row's line."""
    notes: tuple[str, ...] = ()
    """Further notes for the user."""

    @property
    def used(self) -> list[int]:
        """Return the indexes of the columns with a role."""
        return [at for at, role in enumerate(self.roles.of) if role != NONE] if self.roles else []

    @property
    def form(self) -> Form:
        """Return the form of the rows."""
        return Form(self.delimiter, len(self.roles.of) if self.roles else 0, self.used)

    def shown(self, at: int) -> str:
        """Return a column's name for messages."""
        return f"column {at + 1}" + (f" {self.names[at]!r}" if self.names else "")

    def describe(self, unit: str) -> str:
        """Return how the table is read, for the user."""
        assert self.roles is not None  # noqa: S101 - lists have none
        parts = [f"{self.shown(at)} is the {self.roles.of[at]}" for at in self.used]
        if TIME in self.roles.of:
            place = self.used.index(self.roles.of.index(TIME))
            parts[place] += " but holds a single value that is not a time" if unit == NONE else f", in {unit}"
        unused = [self.shown(at) for at, role in enumerate(self.roles.of) if role == NONE]
        parted = f"fields separated by {_DELIMITERS[self.delimiter]}, " if self.delimiter else ""
        more = f"; not used: {', '.join(unused)}" if unused else ""
        return f"{parted}{', '.join(parts)} (by {self.roles.by}){more}"


def head_of(file: Path, block: bytes, layout: Layout, options: ReadOptions) -> Head:
    """Return how to read a text, by its first block.

    Raises:
        SourceError: it cannot be read, or is ambiguous.
    """
    lines = _sampled(block)
    comments = 0
    while comments < len(lines) and lines[comments][1].startswith(_COMMENT):
        comments += 1
    skip = _offset(block, lines, comments)
    notes = (f"{comments:,} lines of comments before the first row",) if comments else ()
    data = lines[comments:]
    if not data:
        return Head(Roles(("user", "item"), "position"), ",", skip=len(block), notes=notes)
    delimiter = _delimiter([raw.decode(errors="replace") for _, raw in data])
    rows = [_fields(raw, delimiter) for _, raw in data]
    named = is_header(rows[0], rows[1:])
    header = tuple(rows[0]) if named else ()
    if not named and comments:
        last = _fields(lines[comments - 1][1].lstrip(b"#%/ "), delimiter)
        header = tuple(last) if is_header(last, rows) and len(last) == len(rows[0]) else ()
    if named:
        skip, data, rows = _offset(block, lines, comments + 1), data[1:], rows[1:]
    line = data[0][0] if data else 1
    made = {"delimiter": delimiter, "skip": skip, "line": line, "notes": notes}
    if layout is Layout.LISTS or (layout is Layout.AUTO and not header and not options.columns and _are_lists(rows)):
        return Head(None, **made)  # type: ignore[arg-type]
    if not rows:
        return Head(Roles(("user", "item"), "position"), ",", skip=len(block), notes=notes)
    width = Counter(map(len, rows)).most_common(1)[0][0]
    for (at, _), row in zip(data, rows, strict=True):
        if len(row) != width:
            raise SourceError(odd_line(file, at, len(row), width))
    roles, header = _roles(file, header, rows, options, layout)
    return Head(roles, names=header, **made)  # type: ignore[arg-type]


def _roles(
    file: Path, header: tuple[str, ...], rows: list[list[str]], options: ReadOptions, layout: Layout
) -> tuple[Roles | None, tuple[str, ...]]:
    """Return the roles, None for lists, and the header as long as the rows."""
    width = len(rows[0])
    header = _as_wide(header, rows)
    if header and len(header) != width:
        raise SourceError(f"{file}: its header names {len(header)} columns, its lines have {width}: correct it.")
    if options.columns:
        return stated_roles(file, options.columns, width), header
    found = roles_by_header(file, header) if header else None
    if found is None:
        while len(rows[0]) > 2 and not any(row[-1] for row in rows):
            rows = [row[:-1] for row in rows]
        found = roles_by_position(file, rows)
        if found is None and (header or layout is Layout.PAIRS):
            raise SourceError(
                f"{file}: {width} columns, and neither header nor values determine their roles: add --columns, such as "
                "--columns user,item,rating,time with - for others."
            )
        if found is not None:
            found = Roles((*found.of, *[NONE] * (width - len(found.of))), found.by)
    return found, header


def _as_wide(header: tuple[str, ...], rows: list[list[str]]) -> tuple[str, ...]:
    """Return the header with a name for each column of the rows, as far as it can be determined."""
    width = len(rows[0])
    while len(header) > width and not header[-1]:
        header = header[:-1]
    if len(header) == width - 1 and not any(row[-1] for row in rows):
        return (*header, "")  # every line but the header ends with a delimiter
    if len(header) == width - 1 and counts_up([row[0] for row in rows]):
        return ("", *header)  # as R writes it: row names have no header
    return header


def _are_lists(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether lines are lists: their lengths differ, or a field holds several items."""
    counts = Counter(map(len, rows))
    if not rows or any(numbers([field for field in row if field]) is None for row in rows[:100]):
        packed = [re.fullmatch(r"\d+([ ,]+\d+)+", row[1]) for row in rows if len(row) == 2]
        return len(packed) == len(rows) > 0 and all(packed)
    width, usual = counts.most_common(1)[0]
    return len(counts) > 1 and (usual < (1 - ODD) * len(rows) or width > 5)


def _sampled(block: bytes) -> list[tuple[int, bytes]]:
    """Return number and text of the first lines that are not empty."""
    some = block[:SAMPLE_BYTES]
    if len(some) < len(block):
        some = some[: some.rfind(b"\n") + 1]
    found = [(number, raw) for number, raw in enumerate(some.split(b"\n"), 1) if raw.strip()]
    return found[:SAMPLE]


def _offset(block: bytes, lines: list[tuple[int, bytes]], count: int) -> int:
    """Return the bytes before the line after the first `count` of `lines`."""
    if count == 0:
        return 0
    number, at = lines[count - 1][0], 0
    for _ in range(number):
        at = block.find(b"\n", at) + 1
    return at


def _delimiter(lines: list[str]) -> str:
    """Return the delimiter of most lines; the first may be a header with another one."""
    body = lines[1:] or lines
    for one in _DELIMITERS:
        if sum(one in line for line in body) > len(body) / 2:
            return one
    return BLANKS


def _fields(raw: bytes, delimiter: str) -> list[str]:
    text = plain(raw, delimiter).decode(errors="replace")
    row = next(csv.reader([text], delimiter=single(delimiter), skipinitialspace=True), [])
    return [field.strip() for field in row]


def head_of_parquet(file: Path, opened: Any, options: ReadOptions) -> Head:
    """Return how to read a Parquet file: its column names are the header."""
    names = tuple(opened.schema_arrow.names)
    batch = next(opened.iter_batches(SAMPLE), None)
    if batch is None or not len(batch):
        raise SourceError(f"{file} has no pair; name a file of `user item [timestamp]` lines.")
    rows = [[str(value) for value in row.values()] for row in batch.to_pylist()]
    if options.columns:
        return Head(stated_roles(file, options.columns, len(names)), names=names)
    roles = roles_by_header(file, names) or roles_by_position(file, rows)
    if roles is None:
        raise SourceError(f"{file}: its columns {', '.join(names)} do not determine their roles: add --columns.")
    return Head(roles, names=names)
