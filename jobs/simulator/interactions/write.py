"""Writes source files from a file of saves, so that a real data set goes through the same ingest.

Users, items and pairs become users, boards (one public board a user), pins and board_pins: the first 80 % by time are
in the snapshot, the rest in the change feed. Ids stay as in the file; a board has its user's id. The makers of the
items are unknown: each item gets one of its own, numbered after the largest user. No events, no embeddings.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.common.errors import SourceError
from jobs.settings import Settings
from jobs.simulator.clock import Clock, clock, tso
from jobs.simulator.database import Progress, write_export, write_feed
from jobs.simulator.history import Change, Source, time_column
from jobs.simulator.interactions.read import Interactions, Layout, ReadOptions, read_interactions
from jobs.simulator.output import Output, WorldSummary
from jobs.simulator.rng import DAY, SECOND, Array, mix, ranges, unit
from jobs.simulator.schema import BLOCKS, BOARD_FOLLOWS, BOARD_PINS, BOARDS, PINS, USER_FOLLOWS, USERS
from jobs.simulator.text import hexed, join, string
from jobs.simulator.ticdc import INSERT

SNAPSHOT_SHARE = 0.8
"""Share of the saves, by time, that the snapshot holds."""
_TOPICS = ("secor/pin_events", "connect/topics/searches", "connect/topics/pin_embeddings")
_READER = 2
"""Version of the reader: increased when the same file is read differently, so that older output is written again."""
_LARGEST = 2**31
"""Ids below this can be paired in one 64-bit key."""


@dataclass(frozen=True)
class _Pairs:
    """Distinct pairs by time, as places in the sorted ids."""

    users: Array
    items: Array
    user: Array
    item: Array
    at: Array


def write_interactions(
    file: Path,
    settings: Settings,
    out: Path,
    progress: Progress | None = None,
    layout: str = "auto",
    options: ReadOptions | None = None,
) -> WorldSummary:
    """Write the saves of `file` as source files below `out`; an output of the same file is left unchanged.

    Without times each user's saves are spread evenly over `simulator.days`, in the order of the file. A repeated pair
    is one save, the first. The summary states how the file was read.

    Args:
        file: of interactions, as `read_interactions` reads it.
        settings: simulator.days.
        out: folder.
        progress: called at each step.
        layout: pairs, lists or auto.
        options: roles of the columns and the least rating of a save; None: detected.

    Raises:
        SourceError: the file cannot be read; nothing is written.
        ConfigError: `out` holds something else.
    """
    show, options = progress or _silent, options or ReadOptions()
    if not file.is_file():
        raise SourceError(f"{file} is not a file; name a file of `user item [timestamp]` lines.")
    config = settings.simulator
    parameters = {"interactions": _digest(file), "layout": layout, "days": config.days, "end": clock(config).end}
    parameters |= {"reader": _READER, "columns": options.columns, "min_rating": options.min_rating}
    output = Output(out, parameters)
    existing = output.found()
    if existing:
        return existing
    show("reading", 0, 1)
    read = read_interactions(file, Layout(layout), options)
    when, at = _times(read, settings)
    pairs = _distinct(file, read, at)
    when = Clock(when.era, when.start, _snapshot_ms(pairs.at, when), when.end, when.end)
    with output.writing():
        summary = _written(out, pairs, when, _notes(read, pairs), show)
        output.finish(summary)
    return summary


def _written(out: Path, pairs: "_Pairs", when: Clock, notes: tuple[str, ...], show: Progress) -> WorldSummary:
    for topic in _TOPICS:
        (out / "kafka" / topic).mkdir(parents=True)
    tables = _sources(pairs, when.start)
    write_export(out / "dumpling", tables, when, show)
    write_feed(out / "ticdc", tables, when, 0, show)
    accounts = len(pairs.users) + len(pairs.items)
    return WorldSummary(
        users=accounts,
        boards=accounts,
        pins=len(pairs.items),
        saves=len(pairs.at),
        events=0,
        searches=0,
        images=0,
        snapshot_tso=tso(when.snapshot),
        checkpoint_tso=tso(when.end),
        as_of=when.as_of,
        told=notes,
    )


def _notes(read: Interactions, pairs: "_Pairs") -> tuple[str, ...]:
    """Return how the file was read, a sentence each."""
    saves = f"{len(pairs.at):,} saves of {len(pairs.users):,} users and {len(pairs.items):,} items"
    repeated = len(read.user) - len(pairs.at)
    more = (f"{repeated:,} pairs are repeated: each is one save, the first",) if repeated else ()
    if not _timed(read):
        return (*read.notes, saves, *more, "no times: each user's saves are spread evenly over simulator.days")
    first, last = (np.datetime64(int(at), "ms").astype("datetime64[s]") for at in (pairs.at.min(), pairs.at.max()))
    return (*read.notes, saves, *more, f"from {first} to {last} UTC")


def _silent(what: str, done: int, total: int) -> None:
    """Show nothing."""


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _times(read: Interactions, settings: Settings) -> tuple[Clock, Array]:
    """Return the clock and each pair's time, in ms: the file's, or spread where the file has none."""
    if not _timed(read):
        when = clock(settings.simulator)
        return when, when.start + _spread(read.user, when.end - when.start)
    at = read.ts
    end = int(at.max() // DAY + 1) * DAY
    start = int(at.min() // DAY) * DAY
    return Clock(start, start, start, end, end), at


def _timed(read: Interactions) -> bool:
    return bool(read.ts.min() != read.ts.max())


def _spread(user: Array, span: int) -> Array:
    """Return times that part each user's rows evenly over `span` ms, in their order; users begin at different times.

    Every user then has a past and a last day, as in a real feed, whatever the order of the file.
    """
    order = np.argsort(user, kind="stable")
    _, place, counts = np.unique(user[order], return_inverse=True, return_counts=True)
    step = span // counts
    begin = (unit(np.arange(len(counts)), 12) * step).astype(np.int64)
    out = np.empty(len(user), np.int64)
    out[order] = begin[place] + ranges(counts) * step[place]
    return out


def _distinct(file: Path, read: Interactions, at: Array) -> _Pairs:
    largest = max(int(read.user.max()), int(read.item.max()))
    if largest >= _LARGEST:
        raise SourceError(f"{file}: ids must be below 2^31; the largest is {largest}; renumber users and items.")
    order = np.argsort(at, kind="stable")
    first = np.unique(read.user[order] << 32 | read.item[order], return_index=True)[1]
    kept = order[np.sort(first)]
    users, user = np.unique(read.user[kept], return_inverse=True)
    items, item = np.unique(read.item[kept], return_inverse=True)
    return _Pairs(users, items, user.astype(np.int32), item.astype(np.int32), at[kept])


def _snapshot_ms(at: Array, when: Clock) -> int:
    """Return the snapshot's instant: just above the time of the last save it holds."""
    last = int(at[max(int(len(at) * SNAPSHOT_SHARE) - 1, 0)])
    return min(last + 1, when.end - 1)


def _sources(pairs: _Pairs, start: int) -> tuple[Source, ...]:
    makers = int(pairs.users[-1]) + 1 + np.arange(len(pairs.items))
    accounts = np.concatenate([pairs.users, makers])
    born = np.full(len(accounts), max(start - DAY, SECOND))
    rows = _Rows(pairs, accounts, makers, born)
    empty = (Change(INSERT, np.zeros(0, np.int64)),)
    links = (Source(table, _none, empty) for table in (BOARD_FOLLOWS, USER_FOLLOWS, BLOCKS))
    return rows.users(), rows.boards(), rows.pins(), rows.board_pins(), *links


def _none(place: Array, _: Array) -> Any:
    raise AssertionError(f"a table without rows was options for {len(place)} of them")


@dataclass(frozen=True)
class _Rows:
    """Rows of the tables; all but the saves were there from the start."""

    pairs: _Pairs
    accounts: Array
    makers: Array
    born: Array

    def users(self) -> Source:
        def rows(place: Array, _: Array) -> Any:
            number = string(self.accounts[place])
            text = [join("user_", number), join("u", number, "@example.org"), *_same(len(place), "US", "active")]
            columns = [pa.array(self.accounts[place]), *text, time_column(self.born[place])]
            return pa.Table.from_arrays(columns, USERS.names)

        return Source(USERS, rows, (Change(INSERT, self.born),))

    def boards(self) -> Source:
        def rows(place: Array, _: Array) -> Any:
            ids = pa.array(self.accounts[place])
            text = [join("board of ", string(self.accounts[place])), *_same(len(place), "public", None, "[]")]
            return pa.Table.from_arrays([ids, ids, *text, time_column(self.born[place])], BOARDS.names)

        return Source(BOARDS, rows, (Change(INSERT, self.born),))

    def pins(self) -> Source:
        born = self.born[: len(self.pairs.items)]

        def rows(place: Array, _: Array) -> Any:
            item, maker = self.pairs.items[place], pa.array(self.makers[place])
            signature = join(hexed(mix(item, 71)), hexed(mix(item, 72)))
            text = [signature, join("item ", string(item)), *_same(len(place), None, None, None, None)]
            return pa.Table.from_arrays([pa.array(item), maker, maker, *text, time_column(born[place])], PINS.names)

        return Source(PINS, rows, (Change(INSERT, born),))

    def board_pins(self) -> Source:
        pairs = self.pairs

        def rows(place: Array, _: Array) -> Any:
            user = pa.array(pairs.users[pairs.user[place]])
            columns = [user, pa.array(pairs.items[pairs.item[place]]), user, time_column(pairs.at[place])]
            return pa.Table.from_arrays(columns, BOARD_PINS.names)

        return Source(BOARD_PINS, rows, (Change(INSERT, pairs.at),))


def _same(count: int, *values: str | None) -> list[Any]:
    return [pa.array([v], pa.string()).take(pa.array(np.zeros(count, np.int32))) for v in values]
