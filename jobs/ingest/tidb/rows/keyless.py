"""Rows of tables without a key that conf takes append-only: each inserted row gets an id of its own.

In: batches of one file. Out: the same with ids as keys, and as a column. An id is the commit_ts, a digest of the row
and a number among equal rows of one commit_ts in the file: a change that TiCDC sends again, in another file, has the
same id. The limit: equal rows that one transaction inserts, and that TiCDC writes to two files, are taken for such a
repetition. Rows of an export come once; their id is their place. Deletes and updates name no row: they go to
quarantine.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.ingest.loading.stream import CHANGE
from jobs.ingest.tidb.ddl.indexes import ROW_ID
from jobs.ingest.tidb.rows.ledger_rows import MAP, RowSpec
from jobs.ingest.tidb.rows.values import Faults


def append_only_faults(spec: RowSpec, op: Any, updates: Any = None) -> Faults:
    """Return the changes of an append-only table that insert nothing.

    Args:
        spec: layout of the rows.
        op: I, U, D or S of each change.
        updates: whether each change is half of an update; None where changes do not state it.
    """
    if not spec.append:
        return {}
    wrong = np.isin(np.asarray(op), ["U", "D"])
    if updates is not None:
        wrong = wrong | np.asarray(updates)
    detail = "an update or delete of a table without a key names no row; it is taken append-only (ingest.tables)"
    return {int(place): ("append_only", detail) for place in np.flatnonzero(wrong)}


def with_row_ids(batches: Iterable[pa.RecordBatch], place: str) -> Iterator[pa.RecordBatch]:
    """Yield the batches of one file of an append-only table with ids.

    Args:
        batches: of the file.
        place: its path.
    """
    seen: Counter[str] = Counter()
    for batch in batches:
        if batch.num_rows and batch.column("kind")[0].as_py() == CHANGE:
            yield _identified(batch, place, seen)
        else:
            yield batch


def _identified(batch: pa.RecordBatch, place: str, seen: Counter[str]) -> pa.RecordBatch:
    ids, rows, file = [], batch.column("after").to_pylist(), _digest(place)
    told = zip(*(batch.column(name).to_pylist() for name in ("op", "_commit_ts", "row_no")), rows, strict=True)
    for op, commit, row_no, row in told:
        if op == "S":
            ids.append(f"{commit}-{file}-{row_no}")
            continue
        event = f"{commit}-{_digest(sorted(row))}"
        ids.append(f"{event}-{seen[event]}")
        seen[event] += 1
    after = [[*row, (ROW_ID, number)] for row, number in zip(rows, ids, strict=True)]
    keys = [json.dumps([number]) for number in ids]
    for name, values in (("key", pa.array(keys, pa.string())), ("after", pa.array(after, MAP))):
        batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), values)
    return batch


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()[:32]
