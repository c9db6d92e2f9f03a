"""Reads files of interactions: text in many forms or Parquet, by the header, else by the values.

`user item [rating] [time]` in any order that a header names, or lists `user item item …`. The notes of the result
state how the file was read; an ambiguous file is an error that names the options to decide it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.common.errors import SourceError
from jobs.simulator.interactions.head import Head, Layout, ReadOptions, head_of, head_of_parquet
from jobs.simulator.interactions.roles import HEAVIEST, ITEM, NONE, RATING, TIME, USER, Roles
from jobs.simulator.interactions.rows import lists_of, rows_of
from jobs.simulator.interactions.text import is_parquet, text_blocks
from jobs.simulator.interactions.times import ISO, UNITS, in_unit, milliseconds, unit_of
from jobs.simulator.interactions.values import (
    Unreadable,
    floats,
    integers,
    iso_milliseconds,
    looks_like_dates,
    whole_numbers,
)
from jobs.simulator.rng import Array

__all__ = ["Interactions", "Layout", "ReadOptions", "read_interactions"]


@dataclass(frozen=True)
class Interactions:
    """Saves in the order of the file; ids as in the file; `ts` in milliseconds since 1970, 0 without one."""

    user: Array
    item: Array
    ts: Array
    layout: Layout = Layout.PAIRS
    notes: tuple[str, ...] = ()
    """How the file was read, a sentence each."""


def read_interactions(file: Path, layout: Layout = Layout.AUTO, options: ReadOptions | None = None) -> Interactions:
    """Return all saves of a file: rows without a rating or with one above 0.

    Args:
        file: text, plain or compressed, or Parquet.
        layout: pairs, lists, or auto to detect it.
        options: roles of the columns and the least rating of a save; None: detected.

    Raises:
        SourceError: it is missing, empty, not a table of interactions, damaged or ambiguous.
    """
    if not file.is_file():
        raise SourceError(f"{file} is not a file; name a file of `user item [timestamp]` lines.")
    options = options or ReadOptions()
    if layout is not Layout.LISTS and is_parquet(file):
        return _of_parquet(file, options)
    blocks = text_blocks(file)
    first = next(blocks, b"")
    head = head_of(file, first, layout, options)
    rest = chain([first[head.skip :]], blocks)
    if head.roles is None and options.min_rating is not None:
        raise SourceError(f"{file} holds lists, which have no ratings: leave --min-rating out.")
    return _of_lists(file, head, rest) if head.roles is None else _of_text(file, head, rest, options)


def _of_lists(file: Path, head: Head, blocks: Iterator[bytes]) -> Interactions:
    user, item, alone = lists_of(file, blocks, head.line)
    _require_some(file, len(user), 0, "no pair")
    notes = [f"lists of a user and the items saved: {len(user):,} pairs", *head.notes]
    notes += [f"{alone:,} users have no items: they are left out"] if alone else []
    return Interactions(user, item, np.zeros(len(user), np.int64), Layout.LISTS, tuple(notes))


def _of_text(file: Path, head: Head, blocks: Iterator[bytes], options: ReadOptions) -> Interactions:
    columns, line = _Columns(file, head, options), head.line
    for block in blocks:
        if block.strip():
            columns.add(*rows_of(file, block, line, head.form))
        line += block.count(b"\n")
    return columns.all()


def _of_parquet(file: Path, options: ReadOptions) -> Interactions:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            head = head_of_parquet(file, opened, options)
            columns, row = _Columns(file, head, options), 0
            for batch in opened.iter_batches(columns=[head.names[at] for at in head.used]):
                columns.add(batch, lambda at, row=row: f"row {row + at + 1}")  # type: ignore[misc]
                row += len(batch)
            return columns.all()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise SourceError(f"{file} is not a complete Parquet file of plain columns: {str(error)[:200]}.") from error


def _require_some(file: Path, kept: int, dropped: int, what: str) -> None:
    if not kept:
        why = f": all {dropped:,} rows have a rating too low for a save" if dropped else ""
        raise SourceError(f"{file} holds {what}{why}; name a file of `user item [timestamp]` lines.")


@dataclass
class _Columns:
    """The columns read so far."""

    file: Path
    head: Head
    options: ReadOptions
    parts: list[tuple[Array, Array, Array]] = field(default_factory=list)
    rows: int = 0
    refused: int = 0
    unit: str = ""
    """Unit of the times: empty before the first block, `-` if the column holds one value that is not a time."""
    constant: float | None = None

    def __post_init__(self) -> None:
        """Refuse a limit on ratings if no column is a rating."""
        if self.options.min_rating is not None and RATING not in self.roles.of:
            raise SourceError(
                f"{self.file}: --min-rating needs a rating, and no column is one ({self.head.describe('')}): add "
                "--columns."
            )

    @property
    def roles(self) -> Roles:
        assert self.head.roles is not None  # noqa: S101 - lists have none
        return self.head.roles

    def add(self, table: Any, line_of: Callable[[int], str]) -> None:
        """Add a block's rows.

        Args:
            table: the columns with a role, in their order.
            line_of: returns the place of a row of the block.
        """
        if not len(table):
            return
        by_role = {self.roles.of[at]: _whole(table.column(i)) for i, at in enumerate(self.head.used)}
        role = USER
        try:
            user = whole_numbers(by_role[USER])
            role = ITEM
            item = whole_numbers(by_role[ITEM])
            role = RATING
            kept = self._saves(by_role[RATING]) if RATING in by_role else np.ones(len(user), bool)
            role = TIME
            ts = self._times(by_role[TIME]) if TIME in by_role else np.zeros(len(user), np.int64)
        except Unreadable as fault:
            raise SourceError(self._fault(fault, role, line_of)) from None
        self.rows += len(user)
        self.refused += int((~kept).sum())
        self.parts.append((user[kept], item[kept], ts[kept]))

    def _fault(self, fault: Unreadable, role: str, line_of: Callable[[int], str]) -> str:
        at = self.roles.of.index(role)
        hint = {
            USER: "number users and items first", ITEM: "number users and items first",
            RATING: "correct it, or leave the column out: --columns with - in its place",
            TIME: "correct it, or leave the times out: --columns with - in its place",
        }[role]  # fmt: skip
        return (
            f"{self.file} {line_of(fault.row)}: {self.head.shown(at)}, taken for the {role} (by {self.roles.by}), "
            f"{fault.rule}, got {fault.value!r}: {hint}."
        )

    def _saves(self, column: Any) -> Any:
        comma = self.head.delimiter != ","
        rating = floats(column, "must be a number", comma, empty=True)
        if self.roles.by == "position" and (abs(rating) > HEAVIEST).any():
            at = int(np.flatnonzero(abs(rating) > HEAVIEST)[0])
            raise Unreadable(at, float(rating[at]), f"must be a rating or count up to {HEAVIEST:,}")
        least = self.options.min_rating
        return ~(rating <= 0) if least is None else rating >= least

    def _times(self, column: Any) -> Array:
        if self.unit == ISO or (not self.unit and looks_like_dates(column)):
            self.unit = ISO
            return iso_milliseconds(column)
        values: Any = integers(column)
        if values is None:
            values = floats(column, f"must be a time ({UNITS})", self.head.delimiter != ",", empty=False)
        if not self.unit:
            self.unit = self._unit_of(values)
        if self.unit == NONE:
            _require(values == self.constant, values, f"must be {self.constant:g}, as all before: no time")
            return np.zeros(len(values), np.int64)
        _require(in_unit(values, self.unit), values, f"must be a time between 1980 and 2038 in {self.unit} like others")
        return milliseconds(values, self.unit)

    def _unit_of(self, values: Any) -> str:
        unit = unit_of(values) or unit_of(np.sort(values)[[len(values) // 2]])
        if unit:
            return unit
        if values.min() == values.max():
            self.constant = float(values[0])
            return NONE
        raise Unreadable(0, values[0].item(), f"must be a time between 1980 and 2038 ({UNITS})")

    def all(self) -> Interactions:
        """Return all saves and the notes."""
        kept = sum(len(user) for user, _, _ in self.parts)
        _require_some(self.file, kept, self.refused, "no save" if self.rows else "no pair")
        user, item, ts = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        notes = [self.head.describe(self.unit), f"{self.rows:,} rows"]
        if self.refused:
            least = self.options.min_rating
            what = "of 0 or less" if least is None else f"below {least:g} or none"
            notes.append(f"{self.refused:,} rows with a rating {what} are no saves")
        elif RATING in self.roles.of and self.options.min_rating is None:
            notes.append("all ratings are above 0, so each row is a save (--min-rating takes the higher ones)")
        return Interactions(user, item, ts, Layout.PAIRS, (*notes, *self.head.notes))


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _require(good: Any, values: Any, rule: str) -> None:
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        raise Unreadable(at, values[at].item(), rule)
