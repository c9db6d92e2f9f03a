"""Rows of CSV files, of the snapshot and of the feed: checks of their quotes, and ledger batches made from them.

Writers quote every text. A field of a text column that is not quoted, and is not the text for NULL, was written in
another dialect: with another text for NULL, another quote, another separator. Its value is not guessed.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from jobs.ingest.loading.stream import CHANGE, LEDGER_FIELDS, RejectedRows, Task, arrow_schema, batch
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.ledger_rows import MAP, NULL_KEY, RowSpec, key_texts, text_map
from jobs.ingest.tidb.rows.values import Faults

WRONG_DIALECT = "wrong_dialect"
"""Reason of rows that were written in another dialect than the one they are read by."""
TEXTS = frozenset({"text", "enum", "set", "date", "time", "datetime", "timestamp", "binary"})
"""Kinds of column whose values every writer quotes."""

_SAME, _SHARE, _ALL = 3, 0.01, 0.1
_HEX = re.compile(rb"(?:[0-9a-f]{2})*")
_BY_CHANCE = 12
"""Characters that bytes in base64 hardly have all of hexadecimal by chance: once in 16 million."""


def quotes_match(body: bytes, delimiter: str, quote: str) -> bool:
    """Return whether Arrow's parser reads `body` as it was meant: every quote opens, closes or doubles.

    An opening quote follows a delimiter or a line's end, a closing one comes before one; a quote elsewhere would be
    taken for text. Runs at memory speed.
    """
    if len(delimiter) != 1 or len(quote) != 1 or not (delimiter + quote).isascii():
        return False
    text = np.frombuffer(body, np.uint8)
    quotes = np.flatnonzero(text == ord(quote))
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    # a doubled quote closes and opens again in the next place
    doubled = closing[:-1] + 1 == opening[1:]
    first, last = np.r_[True, ~doubled], np.r_[~doubled, True]
    before, after = opening[first & (opening > 0)] - 1, closing[last & (closing < len(text) - 1)] + 1
    around = [ord(delimiter), ord("\n")]
    return bool(np.isin(text[before], around).all() and np.isin(text[after], [*around, ord("\r")]).all())


def quoted(content: bytes, separator: str, quote: str) -> Any:
    """Return for each field of a well-formed text whether it is quoted; runs at memory speed."""
    text = np.frombuffer(content, np.uint8)
    inside = np.cumsum(text == ord(quote), dtype=np.uint8) & 1
    ends = np.flatnonzero(((text == ord(separator)) | (text == ord("\n"))) & (inside == 0))
    starts = np.append(0, ends + 1)
    return text[starts[starts < len(text)]] == ord(quote)


def unquoted_texts(columns: Iterable[SourceColumn], piece: pa.Table, is_quoted: Any, settings: str) -> Faults:
    """Return the rows with a text that should be quoted and is not.

    Args:
        columns: types of the piece's columns, in its order.
        piece: binary columns, null where the text for NULL stands.
        is_quoted: rows by columns booleans.
        settings: which settings a person is to look at.
    """
    faults: Faults = {}
    for place, column in enumerate(columns):
        if column.kind not in TEXTS:
            continue
        there = np.asarray(piece.column(place).is_valid())
        for row in np.flatnonzero(there & ~is_quoted[:, place]):
            value = piece.column(place)[int(row)].as_py()
            detail = (
                f"column {column.name}: {value[:80]!r} is not quoted, as texts are, nor the text for NULL. {settings}"
            )
            faults.setdefault(int(row), (WRONG_DIALECT, detail))
    return faults


def dialect_mismatch(faults: Mapping[int, tuple[str, str]], total: int) -> str | None:
    """Return what shows that a whole file was written in another dialect; None where single rows are damaged.

    Args:
        faults: what `contradictions` found.
        total: rows of the file.
    """
    if not faults:
        return None
    detail, often = Counter(detail for _, detail in faults.values()).most_common(1)[0]
    if often >= max(_SAME, _SHARE * total) or len(faults) >= _ALL * total:
        return f"{len(faults):,} of {total:,} rows are not written as was said: {detail}"
    return None


def is_hexadecimal(values: Iterable[bytes | None]) -> bool:
    """Return whether texts that are to be base64 must be hexadecimal: too long to be both by chance."""
    some: set[bytes] = set()
    for value in filter(None, values):
        if not _HEX.fullmatch(value):
            return False
        some.add(value)
    return sum(map(len, some)) >= _BY_CHANCE


SCHEMA = arrow_schema(LEDGER_FIELDS)


def clean_columns(
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


def without_faults(made: pa.RecordBatch, faults: Faults, raw: Mapping[int, bytes], bad: RejectedRows) -> pa.RecordBatch:
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


def csv_convert_options(names: Iterable[str], null: str) -> pcsv.ConvertOptions:
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
