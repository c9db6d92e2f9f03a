"""Records of a CSV file as ledger batches: what the readers of the snapshot and of the feed share."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from jobs.ingest.loading.stream import CHANGE, LEDGER_FIELDS, RejectedRows, Task, arrow_schema, batch
from jobs.ingest.tidb.ddl.mysql import SourceColumn
from jobs.ingest.tidb.rows.rows import MAP, NULL_KEY, RowSpec, key_texts, text_map
from jobs.ingest.tidb.rows.values import Faults

SCHEMA = arrow_schema(LEDGER_FIELDS)


def cleaned(
    spec: RowSpec, piece: pa.Table, clean: Callable[[SourceColumn, pa.Array], tuple[pa.Array, Faults]]
) -> tuple[dict[str, pa.Array], pa.Array, Faults]:
    """Return a piece's columns as canonical text, each row's key, and the faults by place.

    Args:
        spec: the table's columns and key.
        piece: binary columns by name, one chunk each.
        clean: turns the values of one column into canonical text.
    """
    kinds = {column.name: column for column in spec.columns}
    columns: dict[str, pa.Array] = {}
    faults: Faults = {}
    for name in piece.column_names:
        values = pa.concat_arrays(piece.column(name).chunks) if piece.num_rows else pa.array([], pa.binary())
        cleaned_, found = clean(kinds[name], values)
        columns[name] = spec.masks.covered(name, cleaned_)
        faults |= found
    keys = key_texts(spec, columns)
    for place in np.flatnonzero(keys.is_null()):
        faults.setdefault(int(place), NULL_KEY)
    return columns, keys, faults


def ledger_batch(
    task: Task, spec: RowSpec, columns: dict[str, pa.Array], keys: pa.Array, op: Any, commit: Any, numbers: Any
) -> pa.RecordBatch:
    """Return the batch of `len(op)` changes that carry whole rows: before a delete, after anything else.

    Args:
        task: the file.
        spec: layout of the rows.
        columns: canonical text by column.
        keys: key of each row.
        op: S, I, U or D of each row.
        commit: commit_ts of each row.
        numbers: place of each row in its file.
    """
    total, deleted = len(op), np.asarray(op) == "D"
    sides = {side: _side(columns, np.flatnonzero(mask), total) for side, mask in _sides(deleted)}
    named = {
        "op": pa.array(op, pa.string()),
        "_commit_ts": pa.array(commit, pa.int64()),
        "_op_rank": pa.array(np.where(deleted, 0, 1), pa.int32()),
        "key": keys,
        "table_version": pa.repeat(pa.scalar(spec.version, pa.int64()), total),
        "row_no": pa.array(numbers, pa.int64()),
    }
    return batch(SCHEMA, task, CHANGE, total, named | sides)


def good_rows(made: pa.RecordBatch, faults: Faults, raw: Mapping[int, bytes], bad: RejectedRows) -> pa.RecordBatch:
    """Return the batch without the rows at fault, which are noted as bad.

    Args:
        made: a ledger batch.
        faults: by place in it.
        raw: bytes of a record by its number in the file.
        bad: takes them.
    """
    numbers = made.column("row_no").to_pylist()
    for at, (reason, detail) in sorted(faults.items()):
        bad.add(numbers[at], reason, detail, raw.get(numbers[at]))
    return made.filter(pa.array([at not in faults for at in range(made.num_rows)]))


def as_written(names: Iterable[str], null: str) -> pcsv.ConvertOptions:
    """Return how Arrow is to read fields: as bytes, NULL only where the null text is not quoted."""
    return pcsv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.binary()),
        null_values=[null],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )


def _sides(deleted: Any) -> tuple[tuple[str, Any], ...]:
    return ("before", deleted), ("after", ~deleted)


def _side(columns: dict[str, pa.Array], where: Any, total: int) -> pa.Array:
    if not len(where):
        return pa.nulls(total, MAP)
    some = [column if len(where) == total else column.take(pa.array(where)) for column in columns.values()]
    return text_map(list(columns), some, None, where, total)
