"""Lines of canal-json as TiCDC writes them, and reading them many at once or one by one."""

import json
import random

import numpy as np

from jobs.ingest.loading.stream import Task
from jobs.ingest.tidb.ticdc import canal

SQL_TYPES = {"BIGINT": -5, "VARCHAR": 12, "INT": 4}


def canal_line(spec, kind, data, old=None, tso=5, order=0, **more):
    """Return one line; `order` picks the order of both maps of types, `more` adds or replaces parts."""
    columns = random.Random(order).sample(spec.columns, len(spec.columns))
    body = {
        "id": 0, "database": spec.schema, "table": spec.table, "pkNames": list(spec.key), "isDdl": False, "type": kind,
        "es": 1790000000000 + order, "ts": 1790000000100 + 7 * order, "sql": "",
        "sqlType": {c.name: SQL_TYPES[c.type] for c in columns},
        "mysqlType": {c.name: c.type.lower() for c in reversed(columns)},
        "old": old and [old], "data": [data], "_tidb": {"commitTs": tso},
    } | more  # fmt: skip
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def starts_of(content):
    """Return where each line begins."""
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n")) + 1
    return np.concatenate([[0], ends[ends < len(content)]])


def rows_of(content, spec):
    """Return what the reader makes of a file."""
    task = Task("ticdc", "/", "f", len(content), "app.t", spec)
    return [found for batch in canal.read_canal(task, content) for found in batch.to_pylist()]


def rows_one_by_one(content, spec, monkeypatch):
    """Return the same with every line read by itself."""
    with monkeypatch.context() as patched:
        patched.setattr(canal, "_PATIENCE", 0)
        return rows_of(content, spec)


def in_order(found):
    """Return rows sorted by what they are and where they stand."""
    return sorted(found, key=lambda r: (r["kind"], r["row_no"] or 0, r["_op_rank"] or 0))
