r"""How an export's CSV was written, told by the files themselves: Dumpling's options are not in its metadata.

In: the beginning of some files and the columns of their tables. Out: a `Dialect`. Each hypothesis (quote, separator,
escapes) is held against the records: the one under which most records have as many fields as their table has columns
is taken, Dumpling's defaults first among equals. Binary values are hex or base64 only where raw bytes are impossible:
by the length of BIT(n) and BINARY(n), or by values longer than their column.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

from jobs.config.ingest import Dumpling
from jobs.ingest.dumpling.csv import Dialect
from jobs.ingest.tables.mysql import SourceColumn

_RECORDS = 200
"""Records looked at in one file."""
_SEPARATORS = (",", "|", "\t", ";", "\x01")
_NUMBER = re.compile(rb"[-+]?[0-9.]+([eE][-+]?\d+)?")
Field = tuple[bool, bytes]
"""Whether it is quoted, and what stands there."""


@dataclass(frozen=True)
class Sample:
    """The beginning of one file."""

    columns: tuple[SourceColumn, ...]
    """Of its table, without generated ones."""
    head: bytes


def detect(samples: Sequence[Sample], told: Dumpling) -> Dialect:
    """Return how the files were written.

    Args:
        samples: of files of one export.
        told: what is known of it already.
    """
    base = replace(Dialect(), **{name: value for name, value in told.model_dump().items() if value is not None})
    quotes = [base.quote] if told.quote else ['"', "'"]
    separators = [base.separator] if told.separator else list(_SEPARATORS)
    escapes = [base.escape_backslash] if told.escape_backslash is not None else [True, False]
    choices = [
        replace(base, quote=q, separator=s, escape_backslash=e) for q, s, e in product(quotes, separators, escapes)
    ]
    best = max(choices, key=lambda dialect: sum(_fit(dialect, sample) for sample in samples))
    read = [(sample, list(_records(best, sample))) for sample in samples]
    if told.header is None:
        first = [(sample, records[0]) for sample, records in read if records]
        best = replace(best, header=any(_is_header(sample, record) for sample, record in first) or not first)
    rows = [(sample, records[int(best.header) :]) for sample, records in read]
    if told.null is None:
        best = replace(best, null=_null(rows, best.null))
    if told.binary is None:
        best = replace(best, binary=_binary(rows, best))
    return best


def _fit(dialect: Dialect, sample: Sample) -> int:
    """Return the records with the right number of fields, none of them quoted in another way, less twice the others."""

    def is_right(record: list[Field]) -> bool:
        odd = any(not quoted and value[:1] in {b'"', b"'"} for quoted, value in record)
        return len(record) == len(sample.columns) and not odd

    right = [is_right(record) for record in _records(dialect, sample)]
    return 3 * sum(right) - 2 * len(right)


def _records(dialect: Dialect, sample: Sample) -> Iterable[list[Field]]:
    """Yield the first whole records."""
    quote, separator = re.escape(dialect.quote.encode()), re.escape(dialect.separator.encode())
    field = re.compile(
        rb"(?:%s(%s)%s|([^%s%s\r\n]*))(%s|\r?\n|\Z)" % (quote, dialect.inner, quote, quote, separator, separator),
        re.DOTALL,
    )
    return islice(_walk(field, dialect.separator.encode(), sample.head), _RECORDS)


def _walk(field: "re.Pattern[bytes]", separator: bytes, head: bytes) -> Iterable[list[Field]]:
    at, record = 0, list[Field]()
    while at < len(head):
        found = field.match(head, at)
        if found is None:  # no field under this hypothesis: the record is broken, the next line may be whole
            line = head.find(b"\n", at)
            if line < 0:
                return  # or it is where the sample was cut
            yield [(False, b'"')]
            at, record = line + 1, []
            continue
        record.append((found[1] is not None, found[1] if found[1] is not None else found[2]))
        at = found.end()
        if found[3] == b"" and at < len(head):
            return
        if found[3] != separator:
            if found[3]:  # the last record of the sample may be cut
                yield record
            record = []


def _is_header(sample: Sample, record: list[Field]) -> bool:
    names = {column.name.encode() for column in sample.columns}
    return {value for _, value in record} == names and len(record) == len(names)


def _null(rows: Iterable[tuple[Sample, list[list[Field]]]], default: str) -> str:
    """Return the unquoted text that is no number and stands most often."""
    texts = Counter(
        value
        for _, records in rows
        for record in records
        for quoted, value in record
        if not quoted and not _NUMBER.fullmatch(value)
    )
    if not texts or default.encode() in texts:
        return default
    return texts.most_common(1)[0][0].decode("utf-8", "replace")


def _binary(rows: Iterable[tuple[Sample, list[list[Field]]]], dialect: Dialect) -> str:
    """Return how binary values are written; raw unless some value cannot be raw and all fit another way."""
    fits = {"raw": True, "hex": True, "base64": True}
    for sample, records in rows:
        for place, column in enumerate(sample.columns):
            if column.kind not in {"bit", "binary"}:
                continue
            values = [record[place] for record in records if len(record) > place]
            for value in {dialect.plain(value) for quoted, value in values if quoted or value != dialect.null.encode()}:
                for way in [way for way, fit in fits.items() if fit]:
                    fits[way] = _fits(column, _decoded(way, value))
    return next((way for way, fit in fits.items() if fit), "raw")


def _decoded(way: str, value: bytes) -> bytes | None:
    """Return the bytes that a text means, None if it means none."""
    try:
        if way == "hex":
            return bytes.fromhex(value.decode("ascii"))
        return base64.b64decode(value, validate=True) if way == "base64" else value
    except ValueError:
        return None


def _fits(column: SourceColumn, value: bytes | None) -> bool:
    """Return whether the column can hold these bytes: BIT(n) and BINARY(n) have one length, VARBINARY(n) at most."""
    if value is None:
        return False
    if column.kind == "bit":
        return len(value) == ((column.length or 1) + 7) // 8
    if column.type == "BINARY":
        return len(value) == (column.length or 1)
    return column.length is None or len(value) <= column.length
