"""Reading canal-json data files: one JSON object a line, LF or CRLF, the last line maybe unterminated.

In: a file's bytes and the row layout of its version. Out: ledger batches. An update that changes its key is
two changes, the delete of the old key and the insert of the new one; TiCDC sends it so itself unless told otherwise.
Without `_tidb.commitTs` a change has no place in order and is quarantined.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.intake.rows import RowSpec, Side, clean_side, key_texts, side_map
from jobs.ingest.intake.stream import BATCH_ROWS, CHANGE, LEDGER_FIELDS, Bad, Task, arrow_schema, batch, ending
from jobs.ingest.intake.values import Faults

SCHEMA = arrow_schema(LEDGER_FIELDS)
_OPS = {"INSERT": "I", "UPDATE": "U", "DELETE": "D"}
_MAX_TSO = (1 << 63) - 1


class Fault(Exception):
    """A line that cannot be used; carries the class of the reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass
class _Changes:
    """Changes parsed and not yet put out."""

    op: list[str] = field(default_factory=list)
    commit: list[int] = field(default_factory=list)
    row_no: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    before: Side = field(default_factory=Side)
    after: Side = field(default_factory=Side)

    def add(self, change: "_Change", row_no: int, line: bytes) -> None:
        place = len(self.op)
        self.op.append(change.op)
        self.commit.append(change.commit)
        self.row_no.append(row_no)
        self.lines.append(line)
        if change.before is not None:
            self.before.add(place, change.before)
        if change.after is not None:
            self.after.add(place, change.after)


@dataclass(frozen=True)
class _Change:
    op: str
    commit: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def read_canal(task: Task, content: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the batches of one data file.

    Args:
        task: the file; its spec is a `RowSpec`.
        content: its bytes.
    """
    spec: RowSpec = task.spec
    reader = _Reader(spec)
    bad = Bad()
    found = 0
    changes = _Changes()
    for row_no, text in enumerate(content.split(b"\n"), 1):
        line = text.removesuffix(b"\r")
        if not line.strip():
            continue
        try:
            parsed = reader.changes(line)
        except Fault as fault:
            found += 1
            bad.add(row_no, fault.reason, str(fault), line)
            continue
        found += len(parsed)
        for change in parsed:
            changes.add(change, row_no, line)
        if len(changes.op) >= BATCH_ROWS:
            yield from _put_out(task, changes, bad)
            changes = _Changes()
    yield from _put_out(task, changes, bad)
    yield from ending(SCHEMA, task, found, bad)


class _Reader:
    """Turns one line into changes. Holds what is the same for all lines of a file."""

    def __init__(self, spec: RowSpec) -> None:
        self.spec = spec
        self.allowed, self.required = spec.allowed, spec.required
        self.key = spec.key

    def changes(self, line: bytes) -> list[_Change]:
        """Return the changes of one line, in order; Fault if it cannot be used."""
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise Fault("bad_json", str(error)) from error
        if not isinstance(message, dict):
            raise Fault("bad_json", "the line is no JSON object")
        op = _OPS.get(str(message.get("type")))
        if op is None:
            raise Fault("unknown_type", f"type is {message.get('type')!r}, not INSERT, UPDATE or DELETE")
        if message.get("database") != self.spec.schema or message.get("table") != self.spec.table:
            raise Fault("wrong_table", f"row of {message.get('database')}.{message.get('table')} in this folder")
        commit = _commit_ts(message)
        data, old = _rows(message, "data"), _rows(message, "old")
        if not data or (op == "U" and len(old) != len(data)):
            raise Fault("missing_row", "an update needs data and old, an insert or delete needs data")
        changes: list[_Change] = []
        for place, row in enumerate(data):
            changes += self._change(op, commit, row, old[place] if op == "U" else None)
        return changes

    def _change(self, op: str, commit: int, row: dict[str, Any], old: dict[str, Any] | None) -> list[_Change]:
        if row.keys() != self.allowed:
            self._check(row, frozenset(self.key) if op == "D" else self.required)
        for name in self.key:
            if row[name] is None or (old is not None and old.get(name, "") is None):
                raise Fault("null_key", f"key column {name} is NULL")
        if op == "D":
            return [_Change(op, commit, row, None)]
        if old is None:
            return [_Change(op, commit, None, row)]
        if old.keys() != self.allowed:
            self._check(old, frozenset())
        if all(old.get(name, row[name]) == row[name] for name in self.key):
            return [_Change(op, commit, old, row)]
        return [_Change("D", commit, {**row, **old}, None), _Change("I", commit, None, row)]

    def _check(self, row: dict[str, Any], required: frozenset[str]) -> None:
        unknown = row.keys() - self.allowed
        if unknown:
            raise Fault("unknown_column", f"columns not in the schema file: {', '.join(sorted(unknown))}")
        missing = required - row.keys()
        if missing:
            names = ", ".join(sorted(missing))
            raise Fault("missing_column", f"the row lacks {names}; a generated column is named in conf (ingest.tables)")


def _commit_ts(message: dict[str, Any]) -> int:
    extension = message.get("_tidb")
    commit = extension.get("commitTs") if isinstance(extension, dict) else None
    if type(commit) is not int or not 0 < commit <= _MAX_TSO:
        raise Fault("missing_commit_ts", "no _tidb.commitTs: create the changefeed with enable-tidb-extension=true")
    return commit


def _rows(message: dict[str, Any], name: str) -> list[dict[str, Any]]:
    rows = message.get(name)
    if rows is None:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Fault("bad_json", f"{name} is no array of objects")
    return rows


def _put_out(task: Task, changes: _Changes, bad: Bad) -> Iterator[pa.RecordBatch]:
    total = len(changes.op)
    if not total:
        return
    spec: RowSpec = task.spec
    befores, faults = clean_side(spec, changes.before)
    afters, more = clean_side(spec, changes.after)
    faults |= more
    keys = _keys(spec, changes, befores, afters)
    for at in np.flatnonzero(keys.is_null()):
        faults.setdefault(int(at), ("null_key", "a key column is NULL"))
    columns = {
        "op": changes.op,
        "_commit_ts": changes.commit,
        "_op_rank": [0 if op == "D" else 1 for op in changes.op],
        "key": keys,
        "before": side_map(spec, changes.before, befores, total),
        "after": side_map(spec, changes.after, afters, total),
        "table_version": [spec.version] * total,
        "row_no": changes.row_no,
    }
    made = batch(SCHEMA, task, CHANGE, total, columns)
    faults = _whole_lines(changes, faults)
    for place, (reason, detail) in sorted(faults.items()):
        bad.add(changes.row_no[place], reason, detail, changes.lines[place])
    if faults:
        made = made.filter(pa.array([place not in faults for place in range(total)]))
    yield made


def _whole_lines(changes: _Changes, faults: Faults) -> Faults:
    """Return the faults with those of a line's other changes: a line is used whole or not at all."""
    lines = {changes.row_no[place]: fault for place, fault in faults.items()}
    return {place: lines[row_no] for place, row_no in enumerate(changes.row_no) if row_no in lines} if lines else {}


def _keys(spec: RowSpec, changes: _Changes, befores: dict[str, pa.Array], afters: dict[str, pa.Array]) -> pa.Array:
    """Return each change's key: from the row after, for a delete from the row before."""
    old, new = key_texts(spec, befores), key_texts(spec, afters)
    both = pa.concat_arrays([old, new])
    order = [-1] * len(changes.op)
    for at, place in enumerate(changes.before.where):
        order[place] = at
    for at, place in enumerate(changes.after.where):
        order[place] = len(old) + at
    return pc.take(both, pa.array(order, pa.int64()))
