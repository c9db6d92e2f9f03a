"""Which fields of a CSV text are quoted: that is where a dialect shows that it is not the one it is taken for.

Writers quote every text. A field of a text column that is not quoted, and is not the text for NULL, was written in
another dialect: with another text for NULL, another quote, another separator. Its value is not to be guessed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.ingest.tidb.ddl.mysql import SourceColumn
from jobs.ingest.tidb.rows.values import Faults

WRONG_DIALECT = "wrong_dialect"
"""Reason of rows that were written in another dialect than the one they are read by."""
TEXTS = frozenset({"text", "enum", "set", "date", "time", "datetime", "timestamp", "binary"})
"""Kinds of column whose values every writer quotes."""

_SAME, _SHARE, _ALL = 3, 0.01, 0.1
_HEX = re.compile(rb"(?:[0-9a-f]{2})*")
_BY_CHANCE = 12
"""Characters that bytes in base64 hardly have all of hexadecimal by chance: once in 16 million."""


def quoted(content: bytes, separator: str, quote: str) -> Any:
    """Return of each field of a text in good order whether it is quoted, at the speed of memory."""
    text = np.frombuffer(content, np.uint8)
    inside = np.cumsum(text == ord(quote), dtype=np.uint8) & 1
    ends = np.flatnonzero(((text == ord(separator)) | (text == ord("\n"))) & (inside == 0))
    starts = np.append(0, ends + 1)
    return text[starts[starts < len(text)]] == ord(quote)


def contradictions(columns: Iterable[SourceColumn], piece: pa.Table, is_quoted: Any, settings: str) -> Faults:
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


def of_another_dialect(faults: Mapping[int, tuple[str, str]], total: int) -> str | None:
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
