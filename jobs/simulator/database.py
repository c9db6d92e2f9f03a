"""Source tables over time, written as TiDB's tools write them: snapshot by Dumpling, later changes by TiCDC.

The feed has what real ones have: several versions of a table, files out of order, a writer that restarted and sent rows
again, lines that are broken, a last line without its end, and changes above the checkpoint.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.simulator.clock import Clock, day_name, tso
from jobs.simulator.dumpling import Export
from jobs.simulator.history import Ddl, Source
from jobs.simulator.rng import DAY, SECOND, Array, mix
from jobs.simulator.schema import SqlTable
from jobs.simulator.text import content
from jobs.simulator.ticdc import StorageSink, canal_lines, unterminated

PIECE = 200_000
"""Rows made at once; also the rows of one export file."""
FILE_ROWS = 20_000
"""Most rows of a feed file."""
_FLUSH = 20 * SECOND
"""A row lies in the directory of the day on which its file is flushed."""
_RESTARTS = (4, 11)
"""Days of the feed on which its writer restarts and sends its newest file again."""
BROKEN = b'{"id":0,"database":"app","table":"%s","pkNames":["board_id","pin_id"],"isDdl":false,"type":"INS\r\n'

Progress = Callable[[str, int, int], None]


def write_export(folder: Path, tables: Iterable[Source], when: Clock, progress: Progress) -> dict[str, int]:
    """Write the state at the snapshot; return rows by table."""
    export = Export(folder, tso(when.snapshot))
    counts: dict[str, int] = {}
    groups = [list(g) for _, g in groupby(tables, lambda s: s.table.name)]
    for number, group in enumerate(groups):
        progress("snapshot", number, len(groups))
        counts[group[0].table.name] = export.table(group[0].table, _pieces(group, when.snapshot - 1))
    export.finish()
    progress("snapshot", len(groups), len(groups))
    return counts


def _pieces(group: list[Source], at: int) -> Iterator[Any]:
    for source in group:
        places = source.alive(at)
        for low in range(0, len(places), PIECE):
            some = places[low : low + PIECE]
            yield source.rows(some, np.full(len(some), at))


def write_feed(root: Path, tables: Iterable[Source], when: Clock, bad_rows: int, progress: Progress) -> dict[str, int]:
    """Write the changes after the snapshot, some above the checkpoint, and the checkpoint; return rows by table."""
    sink = StorageSink(root)
    counts: dict[str, int] = {}
    groups = [list(g) for _, g in groupby(tables, lambda s: s.table.name)]
    for number, group in enumerate(groups):
        progress("change feed", number, len(groups))
        name = group[0].table.name
        feed = _Feed(sink, group, when, bad_rows if name == "board_pins" else 0)
        counts[name] = feed.write()
    sink.checkpoint(tso(when.end))
    progress("change feed", len(groups), len(groups))
    return counts


class _Feed:
    """The changes of one table, which may come from several sources with one definition."""

    def __init__(self, sink: StorageSink, group: list[Source], when: Clock, bad_rows: int) -> None:
        self._sink, self._group, self._when = sink, group, when
        self._bad, self._bad_each = bad_rows, -(-bad_rows // 3)

    def write(self) -> int:
        first = self._group[0]
        stages = [Ddl(self._when.snapshot, "", 0, first.table), *first.ddl]
        ends = [*(d.at for d in first.ddl), self._when.last]
        rows = 0
        for ddl, end in zip(stages, ends, strict=True):
            start = ddl.at
            parts = [source.between(start, end) for source in self._group]
            if ddl.query or any(len(op) for op, _, _ in parts):
                self._sink.schema(ddl.table, tso(ddl.at), ddl.query, ddl.action)
            rows += self._stage(ddl.table, tso(ddl.at), parts)
        return rows

    def _stage(self, table: SqlTable, version: int, parts: list[tuple[Array, Array, Array]]) -> int:
        """Write the changes made under one definition, day by day."""
        op, place, at = (np.concatenate([p[i] for p in parts]) for i in range(3))
        origin = np.concatenate([np.full(len(p[0]), i) for i, p in enumerate(parts)])
        order = np.lexsort((op, at))
        op, place, at, origin = op[order], place[order], at[order], origin[order]
        commit = commits(at)
        day = (at + _FLUSH) // DAY
        for low, high in _runs(day):
            lines = [
                self._lines(table, op[s], place[s], at[s], commit[s], origin[s])
                for s in (slice(a, min(a + PIECE, high)) for a in range(low, high, PIECE))
            ]
            self._day(table, version, int(day[low]), lines)
        return len(op)

    def _lines(self, table: SqlTable, op: Array, place: Array, at: Array, commit: Array, origin: Array) -> Any:
        def read(instants: Array) -> Any:
            tables = [s.rows(place[origin == i], instants[origin == i]) for i, s in enumerate(self._group)]
            where = np.argsort(np.concatenate([np.flatnonzero(origin == i) for i in range(len(tables))]), kind="stable")
            return pa.concat_tables(tables).take(pa.array(where)).select(table.names)

        return canal_lines(table, op, commit, read(at), read(at - 1))

    def _day(self, table: SqlTable, version: int, day: int, pieces: list[Any]) -> None:
        """Write one day's changes: several files, some days out of order, some sent again."""
        files = [f for lines in pieces for f in _files(lines)]
        number = day - self._when.snapshot // DAY
        if number in _RESTARTS:
            files.append(files[-1])
        elif number % 3 == 1:
            files.reverse()
        name = day_name(day * DAY)
        for i, lines in enumerate(files):
            last = i == len(files) - 1
            body: bytes | memoryview = unterminated(lines) if last else content(lines)
            broken = min(self._bad, self._bad_each)
            self._bad -= broken
            body = BROKEN % table.name.encode() * broken + bytes(body) if broken else body
            self._sink.append(table.name, version, name, body)


def commits(at: Array) -> Array:
    """Return a commit TSO for each change made at an instant; changes of one millisecond are one transaction.

    So the delete and the insert of a row that got another key share their TSO, as TiDB's do.
    """
    return (at << 18) + 1 + (mix(at, 11) % np.uint64(9)).astype(np.int64)


def _runs(values: Array) -> list[tuple[int, int]]:
    """Return (from, to) of each run of equal values."""
    marks = np.flatnonzero(np.diff(values)) + 1
    edges = [0, *marks.tolist(), len(values)]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def _files(lines: Any) -> list[Any]:
    count = max(-(-len(lines) // FILE_ROWS), 2 if len(lines) > 100 else 1)
    size = -(-len(lines) // count)
    return [lines.slice(low, size) for low in range(0, len(lines), size)]
