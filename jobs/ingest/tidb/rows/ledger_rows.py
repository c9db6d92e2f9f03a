"""From parsed rows to ledger batches: values made canonical by column, keys and maps built by Arrow.

In: rows as dictionaries (canal-json line by line) or as Arrow columns. Out: columns of the ledger, and the faults
by place.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.canonical import in_key
from jobs.ingest.tidb.rows.masks import Masks
from jobs.ingest.tidb.rows.values import Faults, from_canal

MAP = pa.map_(pa.string(), pa.string())
NULL_KEY = ("null_key", "a key column is NULL, or a date that the calendar lacks, which silver holds as NULL")
"""Reason and detail of a row whose key does not identify it."""
_PLAIN_KEYS = {"int", "bit", "year", "decimal", "float", "date", "datetime", "timestamp", "time", "binary"}


@dataclass(frozen=True)
class RowSpec:
    """How the rows of one table version are read."""

    schema: str
    table: str
    version: int
    columns: tuple[SourceColumn, ...]
    """Columns a row may have."""
    key: tuple[str, ...]
    """Key columns in column order."""
    zone: str = "UTC"
    masks: Masks = field(default_factory=Masks)
    """Columns that are covered."""
    append: bool = False
    """Whether the table has no key and is taken append-only: `key` is empty then."""

    @property
    def required(self) -> frozenset[str]:
        """Return the columns every full row has: virtual generated ones may be missing."""
        return frozenset(column.name for column in self.columns if not column.virtual) | frozenset(self.key)

    @property
    def allowed(self) -> frozenset[str]:
        """Return all columns a row may have."""
        return frozenset(column.name for column in self.columns)


@dataclass(frozen=True)
class Side:
    """The rows before, or after, of one batch of changes, in columns, as their source wrote them."""

    where: Any
    """Which change each row belongs to: r places, ascending."""
    columns: Mapping[str, Any]
    """r strings or None by column: a list, or an Arrow array."""
    present: Any = None
    """r by columns booleans, which values a row has; None where each row has all."""

    @classmethod
    def of(cls, spec: RowSpec, where: list[int], rows: list[dict[str, Any]]) -> "Side":
        """Return the side made of rows parsed one by one."""
        names = [column.name for column in spec.columns]
        present = None
        if not all(len(row) == len(names) for row in rows):
            present = np.array([[name in row for name in names] for row in rows])
        return cls(np.asarray(where, np.int64), {name: [row.get(name) for row in rows] for name in names}, present)


def clean_side(spec: RowSpec, side: Side) -> tuple[dict[str, pa.Array], Faults]:
    """Return a side's columns as canonical text, and faults by place of the change."""
    columns: dict[str, pa.Array] = {}
    faults: Faults = {}
    for column in spec.columns:
        cleaned, found = from_canal(column, side.columns[column.name], spec.zone, column.name in spec.key)
        columns[column.name] = spec.masks.covered(column.name, cleaned)
        faults |= {int(side.where[at]): fault for at, fault in found.items()}
    return columns, faults


def side_map(spec: RowSpec, side: Side, columns: dict[str, pa.Array], total: int) -> pa.Array:
    """Return the map column of one side for `total` changes; null where the side has no row.

    A row's map holds just the columns that the row had: a column that is missing is not NULL.
    """
    names = [column.name for column in spec.columns]
    rows = len(side.where)
    if not rows or not names:
        return pa.nulls(total, MAP)
    return text_map(names, [columns[name] for name in names], side.present, side.where, total)


def text_map(names: list[str], columns: list[pa.Array], present: Any, where: Any, total: int) -> pa.Array:
    """Return a map<string,string> array of `total` rows from columns.

    Args:
        names: keys of the map.
        columns: one string array per name, of equal length r.
        present: r by len(names) booleans, a False leaves the key out; None where every row has all.
        where: r places in the result, ascending; other places are null.
        total: length of the result.
    """
    rows, width = len(where), len(names)
    lengths = np.zeros(total, np.int64)
    if present is None:
        keys = _repeated(names, rows)
        places = np.arange(rows)[:, None] + np.arange(width) * rows
        lengths[where] = width
    else:
        flat = np.flatnonzero(present.ravel())
        keys = pa.array(names, pa.string()).take(pa.array(flat % width))
        places = (flat % width) * rows + flat // width
        lengths[where] = present.sum(axis=1)
    items = pa.concat_arrays(columns).take(pa.array(places.ravel()))
    offsets = np.zeros(total + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    absent = np.ones(total, bool)
    absent[where] = False
    return pa.MapArray.from_arrays(pa.array(offsets), keys, items, type=MAP, mask=pa.array(absent))


def _repeated(texts: list[str], times: int) -> pa.Array:
    """Return all texts repeated `times` times, at a tenth of the cost of taking them one by one."""
    each = [text.encode() for text in texts]
    ends = np.cumsum([len(text) for text in each], dtype=np.int32)
    offsets = np.append(np.int32(0), (np.arange(times, dtype=np.int32)[:, None] * ends[-1] + ends).ravel())
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(each) * times)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


def key_texts(spec: RowSpec, columns: dict[str, pa.Array]) -> pa.Array:
    """Return each row's key as `key_text` writes it; null where a key column is NULL, in the source or in silver."""
    if spec.append:  # rows get ids of their own later
        return pa.repeat(pa.scalar("[]"), len(next(iter(columns.values()))))
    known = {column.name: column for column in spec.columns}
    parts = [columns[n] if n in spec.masks.columns else in_key(known[n], columns[n]) for n in spec.key]
    if not all(known[name].kind in _PLAIN_KEYS or name in spec.masks.columns for name in spec.key):
        rows = zip(*(part.to_pylist() for part in parts), strict=True)
        return pa.array([None if None in row else key_text(row) for row in rows], pa.string())
    pieces: list[Any] = ['["']
    for number, part in enumerate(parts):
        pieces += ['","', part] if number else [part]
    return pc.binary_join_element_wise(*pieces, '"]', "")


def key_text(values: Sequence[str | None]) -> str:
    """Return a key as the ledger writes it: a JSON array of strings."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
