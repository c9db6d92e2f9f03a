"""Where two sides of one table differ: checksums of chunks first, differing chunks cut finer, at last rows.

In: two sides. Out: a `Found`. A chunk is a range of places; a row's place is its key where that is one integer, else a
number of 32 bits made of the key's digest, so that any key can be cut evenly.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from jobs.reconcile.texts import Field

PARTS = 1024
"""Chunks of the first round."""
CUT = 16
"""Chunks that a differing one is cut into."""
TOGETHER = 64
"""Differing chunks looked at by one question."""
FETCHED = 1000
"""Rows of a chunk that are brought over and compared one by one."""

T = TypeVar("T")
U = TypeVar("U")
Key = tuple[str | None, ...]
Row = tuple[str | None, ...]


class Range(NamedTuple):
    """Places from `low` on and below `high`."""

    low: int
    high: int

    def cut(self, parts: int) -> list["Range"]:
        """Return the range in at most so many equal pieces."""
        width = max(1, math.ceil((self.high - self.low) / parts))
        return [Range(low, min(low + width, self.high)) for low in range(self.low, self.high, width)]


class Sum(NamedTuple):
    """What a chunk holds."""

    rows: int
    checksum: int


class Side(Protocol):
    """One side of a comparison."""

    def spread(self) -> Range | None:
        """Return the places there are rows at, None where there are none."""

    def sums(self, ranges: Sequence[Range]) -> dict[Range, Sum]:
        """Return what each range holds; a range without rows may be left out."""

    def rows(self, ranges: Sequence[Range]) -> dict[Key, Row]:
        """Return the rows of ranges by key, every field as text."""


@dataclass
class Found:
    """What is not the same. Keys are text, in the order of the key's columns."""

    rows: int = 0
    """Rows of the source."""
    missing: list[Key] = field(default_factory=list)
    """Rows of the source that the other side lacks."""
    extra: list[Key] = field(default_factory=list)
    """Rows that the source has not."""
    differing: dict[Key, list[str]] = field(default_factory=dict)
    """Key -> columns that differ."""
    chunks: int = 0
    """Chunks whose checksums were compared."""
    fetched: int = 0
    """Rows brought over from the source to be compared one by one."""
    complete: bool = True
    """Whether all differences were looked for; false where there were too many."""

    @property
    def differences(self) -> int:
        """Return how many rows are not the same."""
        return len(self.missing) + len(self.extra) + len(self.differing)


def compare(
    source: Side,
    other: Side,
    fields: Sequence[Field],
    limit: int = 10_000,
    progress: Callable[[str], None] = lambda _: None,
) -> Found:
    """Return where two sides differ.

    Args:
        source: what is right.
        other: what is to be like it.
        fields: the columns, in the order of both sides' rows.
        limit: differing rows after which no more are looked for.
        progress: shows a person what is going on.
    """
    found = Found()
    spread = _around(source.spread(), other.spread())
    waiting = spread.cut(PARTS) if spread else []
    first = True
    while waiting and found.differences < limit:
        some, waiting = (waiting, []) if first else (waiting[: TOGETHER * CUT], waiting[TOGETHER * CUT :])
        ours, theirs = _both(source.sums, other.sums, some)
        found.chunks += len(some)
        if first:
            found.rows, first = sum(one.rows for one in ours.values()), False
        finer, whole = _sorted(some, ours, theirs)
        waiting += finer
        for at in range(0, len(whole), TOGETHER):
            if found.differences >= limit:
                found.complete = False
                return found
            _rows(source, other, whole[at : at + TOGETHER], fields, found)
        progress(f"{found.chunks:,} chunks compared, {len(waiting):,} to look into, {found.differences:,} rows differ")
    found.complete = not waiting
    return found


def _both(one: Callable[[T], U], two: Callable[[T], U], asked: T) -> tuple[U, U]:
    """Ask both sides at once: each is a machine of its own."""
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(one, asked)
        theirs = two(asked)
        return ours.result(), theirs


def _around(one: Range | None, two: Range | None) -> Range | None:
    there = [spread for spread in (one, two) if spread is not None]
    return Range(min(r.low for r in there), max(r.high for r in there)) if there else None


def _sorted(
    some: Sequence[Range], ours: Mapping[Range, Sum], theirs: Mapping[Range, Sum]
) -> tuple[list[Range], list[Range]]:
    """Return the differing chunks cut finer, and those that are small enough to be fetched."""
    finer: list[Range] = []
    whole: list[Range] = []
    nothing = Sum(0, 0)
    for chunk in some:
        one, two = ours.get(chunk, nothing), theirs.get(chunk, nothing)
        if one == two:
            continue
        if max(one.rows, two.rows) <= FETCHED or chunk.high - chunk.low == 1:
            whole.append(chunk)
        else:
            finer += chunk.cut(CUT)
    return finer, whole


def _rows(source: Side, other: Side, ranges: Sequence[Range], fields: Sequence[Field], found: Found) -> None:
    ours, theirs = _both(source.rows, other.rows, ranges)
    found.fetched += len(ours)
    hold_against(ours, theirs, fields, found)


def hold_against(ours: Mapping[Key, Row], theirs: Mapping[Key, Row], fields: Sequence[Field], found: Found) -> None:
    """Compare rows one by one.

    Args:
        ours: rows of the source.
        theirs: rows of the other side.
        fields: the columns, in the order of the rows.
        found: what is not the same is added to it.
    """
    found.missing += sorted(ours.keys() - theirs.keys(), key=str)
    found.extra += sorted(theirs.keys() - ours.keys(), key=str)
    for key in sorted(ours.keys() & theirs.keys(), key=str):
        pairs = zip(fields, ours[key], theirs[key], strict=True)
        names = [one.name for one, a, b in pairs if not _same(one, a, b)]
        if names:
            found.differing[key] = names


def _same(field_: Field, one: str | None, two: str | None) -> bool:
    if one == two:
        return True
    if field_.digits is None or one is None or two is None:
        return False
    # both sides round on their own: the last digit may be one off
    return math.isclose(float(one), float(two), rel_tol=3 * 10.0**-field_.digits)
