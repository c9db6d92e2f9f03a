"""Reading one canal-json line: what is wrong with it, or the changes it holds."""

from dataclasses import dataclass
from typing import Any

import orjson

from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.ticdc.canal_envelope import OPS

_MAX_TSO = (1 << 63) - 1


class Fault(Exception):
    """A line that cannot be used; carries the class of the reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Change:
    """One change: its rows as dictionaries of the line's values."""

    op: str
    commit: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class LineReader:
    """Turns one line into changes. Holds what is the same for all lines of a file."""

    def __init__(self, spec: RowSpec) -> None:
        self.spec = spec
        self.allowed, self.required = spec.allowed, spec.required
        self.key = spec.key

    def changes(self, line: bytes) -> list[Change]:
        """Return the changes of one line, in order; Fault if it cannot be used."""
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise Fault("bad_json", str(error)) from error
        if not isinstance(message, dict):
            raise Fault("bad_json", "the line is not a JSON object")
        op = OPS.get(str(message.get("type")))
        if op is None:
            raise Fault("unknown_type", f"type is {message.get('type')!r}, not INSERT, UPDATE or DELETE")
        if message.get("database") != self.spec.schema or message.get("table") != self.spec.table:
            raise Fault("wrong_table", f"row of {message.get('database')}.{message.get('table')} in this folder")
        commit = _commit_ts(message)
        data, old = _rows(message, "data"), _rows(message, "old")
        if not data or (op == "U" and len(old) != len(data)):
            raise Fault("missing_row", "an update needs data and old, an insert or delete needs data")
        changes: list[Change] = []
        for place, row in enumerate(data):
            changes += self._change(op, commit, row, old[place] if op == "U" else None)
        return changes

    def _change(self, op: str, commit: int, row: dict[str, Any], old: dict[str, Any] | None) -> list[Change]:
        if row.keys() != self.allowed:
            self._check(row, frozenset(self.key) if op == "D" else self.required)
        for name in self.key:
            if row[name] is None or (old is not None and old.get(name, "") is None):
                raise Fault("null_key", f"key column {name} is NULL")
        if op == "D":
            return [Change(op, commit, row, None)]
        if old is None:
            return [Change(op, commit, None, row)]
        if old.keys() != self.allowed:
            self._check(old, frozenset())
        if all(old.get(name, row[name]) == row[name] for name in self.key):
            return [Change(op, commit, old, row)]
        return [Change("D", commit, {**row, **old}, None), Change("I", commit, None, row)]

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
        raise Fault("bad_json", f"{name} is not an array of objects")
    return rows
