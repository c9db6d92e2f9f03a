"""Reading canal-json data files: one JSON object a line, LF or CRLF, the last line maybe unterminated.

In: a file's bytes and the row layout of its version. Out: ledger batches. Lines are read many at once
(canal_columns.py); where some have a flaw or are out of the ordinary, in halves, and a few one by one. An update that
changes its key is two changes, the delete of the old key and the insert of the new one; TiCDC sends it so itself unless
told otherwise. Without `_tidb.commitTs` a change has no place in order and is quarantined.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.loading.stream import BATCH_ROWS, CHANGE, RejectedRows, Task, batch, ending
from jobs.ingest.tidb.rows.csv_rows import SCHEMA, without_faults
from jobs.ingest.tidb.rows.keyless import append_only_faults
from jobs.ingest.tidb.rows.ledger_rows import NULL_KEY, RowSpec, Side, clean_side, key_texts, side_map
from jobs.ingest.tidb.rows.values import Faults
from jobs.ingest.tidb.ticdc.canal_columns import read_columns
from jobs.ingest.tidb.ticdc.canal_lines import Change, Fault, LineReader

_BLOCK_BYTES = 8 << 20
"""Bytes of lines read at once, up to BATCH_ROWS lines."""
_FEW = 256
"""So many lines are read one by one rather than halved again."""
_PATIENCE = 16
"""How much oftener than not lines may fail to be read at once before a file is read line by line."""


@dataclass(frozen=True)
class _Changes:
    """Changes of a block, not yet judged."""

    op: pa.Array
    commit: pa.Array
    row_no: Any
    """Line of each, from 1."""
    before: Side
    after: Side


def read_canal(task: Task, content: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the batches of one data file.

    Args:
        task: the file; its spec is a `RowSpec`.
        content: its bytes.
    """
    reader = _File(task, content)
    for first, last in reader.blocks():
        for changes in reader.changes(first, last):
            yield from _put_out(task, changes, reader.line, reader.bad)
    yield from ending(SCHEMA, task, reader.found, reader.bad)


class _File:
    """A file being read. Lines are counted from 0, as Python does."""

    def __init__(self, task: Task, content: bytes) -> None:
        self.spec: RowSpec = task.spec
        self.content = content
        self.ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n")) + 1
        if content and not content.endswith(b"\n"):
            self.ends = np.append(self.ends, len(content))
        self.reader = LineReader(self.spec)
        self.bad = RejectedRows()
        self.found = 0
        """Changes and bad lines so far."""
        self.failures = 0
        """How much oftener lines could not be read at once than they could."""

    def line(self, number: int) -> bytes:
        """Return a line without its end."""
        return self.content[self._start(number) : self._start(number + 1)].removesuffix(b"\n").removesuffix(b"\r")

    def _start(self, number: int) -> int:
        """Return where a line begins, which is where the one before it ends."""
        return int(self.ends[number - 1]) if number else 0

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield from which line to before which others are read at once."""
        first = 0
        while first < len(self.ends):
            fit = int(np.searchsorted(self.ends, self._start(first) + _BLOCK_BYTES, "right"))
            last = min(max(fit, first + 1), first + BATCH_ROWS)
            yield first, last
            first = last

    def changes(self, first: int, last: int) -> Iterator[_Changes]:
        """Yield the changes of lines `first` to before `last`."""
        if last - first > _FEW and self.failures < _PATIENCE:
            start = self._start(first)
            starts = np.append(start, self.ends[first : last - 1]) - start
            read = read_columns(self.spec, self.content[start : self._start(last)], starts)
            if read is not None:
                self.failures = max(0, self.failures - 1)
                self.found += last - first
                yield _Changes(read.op, read.commit, np.arange(first + 1, last + 1), read.before, read.after)
                return
            self.failures += 1
            middle = (first + last) // 2
            yield from self.changes(first, middle)
            yield from self.changes(middle, last)
            return
        yield self._one_by_one(first, last)

    def _one_by_one(self, first: int, last: int) -> _Changes:
        changes: list[Change] = []
        row_no: list[int] = []
        for number in range(first, last):
            line = self.line(number)
            if not line.strip():
                continue
            try:
                parsed = self.reader.changes(line)
            except Fault as fault:
                self.found += 1
                self.bad.add(number + 1, fault.reason, str(fault), line)
                continue
            self.found += len(parsed)
            changes += parsed
            row_no += [number + 1] * len(parsed)
        return _Changes(
            pa.array([change.op for change in changes], pa.string()),
            pa.array([change.commit for change in changes], pa.int64()),
            np.array(row_no, np.int64),
            self._side([change.before for change in changes]),
            self._side([change.after for change in changes]),
        )

    def _side(self, rows: list[dict[str, Any] | None]) -> Side:
        return Side.of(
            self.spec, [at for at, row in enumerate(rows) if row is not None], [r for r in rows if r is not None]
        )


def _put_out(
    task: Task, changes: _Changes, line: Callable[[int], bytes], bad: RejectedRows
) -> Iterator[pa.RecordBatch]:
    total = len(changes.op)
    if not total:
        return
    spec: RowSpec = task.spec
    befores, faults = clean_side(spec, changes.before)
    afters, more = clean_side(spec, changes.after)
    faults |= more | append_only_faults(spec, changes.op)
    keys = _keys(spec, changes, befores, afters)
    for at in np.flatnonzero(keys.is_null()):
        faults.setdefault(int(at), NULL_KEY)
    columns = {
        "op": changes.op,
        "_commit_ts": changes.commit,
        "_op_rank": pc.cast(pc.not_equal(changes.op, "D"), pa.int32()),
        "key": keys,
        "before": side_map(spec, changes.before, befores, total),
        "after": side_map(spec, changes.after, afters, total),
        "table_version": pa.repeat(pa.scalar(spec.version, pa.int64()), total),
        "row_no": pa.array(changes.row_no, pa.int64()),
    }
    made = batch(SCHEMA, task, CHANGE, total, columns)
    faults = _whole_lines(changes, faults)
    if faults:
        numbers = {int(changes.row_no[place]) for place in faults}
        made = without_faults(made, faults, {number: line(number - 1) for number in numbers}, bad)
    yield made


def _whole_lines(changes: _Changes, faults: Faults) -> Faults:
    """Return the faults with those of a line's other changes: a line is used whole or not at all."""
    lines = {int(changes.row_no[place]): fault for place, fault in faults.items()}
    told = enumerate(changes.row_no.tolist())
    return {place: lines[row_no] for place, row_no in told if row_no in lines} if lines else {}


def _keys(spec: RowSpec, changes: _Changes, befores: dict[str, pa.Array], afters: dict[str, pa.Array]) -> pa.Array:
    """Return each change's key: from the row after, for a delete from the row before."""
    old, new = key_texts(spec, befores), key_texts(spec, afters)
    if len(new) == len(changes.op):
        return new
    order = np.full(len(changes.op), -1, np.int64)
    order[changes.before.where] = np.arange(len(old))
    order[changes.after.where] = len(old) + np.arange(len(new))
    return pc.take(pa.concat_arrays([old, new]), pa.array(order))
