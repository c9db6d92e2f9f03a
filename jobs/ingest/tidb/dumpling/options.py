r"""Infers how an export's CSV was written from its files: Dumpling's options are not in its metadata.

In: the beginning of some files and the columns of their tables. Out: a `Dialect`. Each hypothesis (quote, separator,
escapes) is tested on the records: the one under which most records have as many fields as their table has columns,
and all texts their quotes, is taken, Dumpling's defaults first among equals. Binary values are hex or base64 only where
raw bytes are impossible: by the length of BIT(n) and BINARY(n), or by values longer than their column.
"""

import base64
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

from jobs.common.errors import SourceError
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling.csv_records import Dialect, Field, records
from jobs.ingest.tidb.rows.csv_rows import TEXTS
from jobs.settings.ingest import Dumpling

_RECORDS = 200
"""Records looked at in one file."""
_SEPARATORS = (",", "|", "\t", ";", "\x01", "|+|", "||", "^|^", "|^|", "|@|", "@|@", "~|~", "|~|", "\x1f", "\x02")
"""The usual ones; a header shows any other."""
_TWO = 2
_NUMBERS = {"int", "decimal", "float", "year"}
_SAID = "How the export's CSV was written cannot be found out from its files."
_TELL = "Name it in conf: ingest.dump.separator, quote, escape_backslash, header, null."
_NUMBER = re.compile(rb"[-+]?[0-9.]+([eE][-+]?\d+)?")


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

    Raises:
        SourceError: the records of no file fit any dialect, or the one they fit leaves open what a text is.
    """
    known = told.model_dump(include=set(Dialect.__dataclass_fields__))
    base = replace(Dialect(), **{name: value for name, value in known.items() if value is not None})
    best = _likeliest(_choices(samples, base, told), samples)
    read = [(sample, _records(best, sample)) for sample in samples]
    if any(records for _, records in read) and not any(fitting(best, sample) for sample in samples):
        raise SourceError(f"{_SAID} Its records fit no dialect that is known. {_TELL}")
    if told.header is None:
        first = [(sample, records[0]) for sample, records in read if records]
        best = replace(best, header=any(_is_header(sample, record) for sample, record in first) or not first)
    rows = [(sample, records[int(best.header) :]) for sample, records in read]
    if told.null is None:
        best = replace(best, null=_null(rows, best))
    if told.binary is None:
        best = replace(best, binary=_binary(rows, best))
    if len(best.quote) != 1 and not best.escape_backslash:
        raise SourceError(
            f"{_SAID} It has no backslashes (--escape-backslash=false), and no quote of one character "
            "(--csv-delimiter): where a text ends, and NULL, cannot be told. Export it with one of them."
        )
    return best


def fitting(dialect: Dialect, sample: Sample) -> bool:
    """Return whether any record of a file reads as one of its table, or the file has none."""
    records = _records(dialect, sample)
    return not records or any(_is_right(dialect, sample, record) for record in records)


def _choices(samples: Sequence[Sample], base: Dialect, told: Dumpling) -> list[Dialect]:
    """Return the dialects to be tried, the likeliest first: those that headers show come after the usual ones."""
    shown = [found for sample in samples for found in _shown(sample)]
    quotes = [base.quote] if told.quote is not None else ['"', "'", "", *[quote for quote, _ in shown]]
    separators = [base.separator] if told.separator else [*_SEPARATORS, *[separator for _, separator in shown]]
    separators = [one for one in separators if any(one.encode() in sample.head for sample in samples)] or separators[:1]
    quotes = [one for one in quotes if any(one.encode() in sample.head for sample in samples)] or quotes[:1]
    escapes = [base.escape_backslash] if told.escape_backslash is not None else [True, False]
    return [
        replace(base, quote=quote, separator=separator, escape_backslash=escape)
        for quote, separator, escape in product(dict.fromkeys(quotes), dict.fromkeys(separators), escapes)
        if not (quote and separator.startswith(quote))
        and (len(quote) == 1 or escape or told.escape_backslash is not None)
    ]


def _shown(sample: Sample) -> list[tuple[str, str]]:
    """Return the quote and separator that a header shows: what stands before the first name, and between two."""
    if len(sample.columns) < _TWO:
        return []
    one, two = (re.escape(column.name.encode()) for column in sample.columns[:_TWO])
    found = re.match(
        rb"(?P<quote>[^\r\n]{0,16}?)%s(?P=quote)(?P<between>[^\r\n]{1,16}?)(?P=quote)%s" % (one, two), sample.head
    )
    try:
        return [(found["quote"].decode(), found["between"].decode())] if found else []
    except UnicodeDecodeError:
        return []


def _likeliest(choices: Sequence[Dialect], samples: Sequence[Sample]) -> Dialect:
    """Return the dialect of the highest score, the first among equals."""
    best, highest = choices[0], -math.inf
    for dialect in choices:
        score = _score(dialect, samples, highest)
        if score > highest:
            best, highest = dialect, score
    return best


def _score(dialect: Dialect, samples: Sequence[Sample], above: float) -> float:
    """Return thrice the records that read as their table's, less twice all; less all where texts are not quoted.

    Args:
        dialect: a hypothesis.
        samples: of files of one export.
        above: a score that cannot be exceeded any more is not counted to its end, and is -inf.
    """
    right = total = 0
    left = sum(min(_RECORDS, sample.head.count(b"\n")) for sample in samples)  # none is of less than a line
    is_quoted, words = False, set[bytes]()
    for sample in samples:
        for record in _each_record(dialect, sample):
            total += 1
            right += _is_right(dialect, sample, record)
            if 3 * right - 2 * total + left - total <= above:
                return -math.inf
            is_quoted |= any(quoted for quoted, _ in record)
            words |= {
                v for c, (quoted, v) in zip(sample.columns, record, strict=False) if c.kind in TEXTS and not quoted
            }
    # one word may be the text for NULL, two are texts; and where nothing is quoted, there is no quote
    if dialect.quote and (len(words) > 1 or (words - {dialect.null.encode()} and not is_quoted)):
        right = 0
    return 3 * right - 2 * total


def _is_right(dialect: Dialect, sample: Sample, record: list[Field]) -> bool:
    """Return whether a record has the right number of fields, none of them quoted or escaped in another way."""
    if len(record) != len(sample.columns):
        return False
    null = dialect.null.encode()
    for quoted, value in record:
        if not quoted and value[:1] in {b'"', b"'"}:
            return False
        if (quoted or (not dialect.quote and value != null)) and not dialect.is_escaped_well(value):
            return False
    return True


def _records(dialect: Dialect, sample: Sample) -> list[list[Field]]:
    """Return the first whole records; a broken one has a single field."""
    return list(_each_record(dialect, sample))


def _each_record(dialect: Dialect, sample: Sample) -> Iterator[list[Field]]:
    found = islice(records(sample.head, dialect), _RECORDS)
    return (record.fields or [(False, b'"')] for record in found if record.is_whole)


def _is_header(sample: Sample, record: list[Field]) -> bool:
    names = {column.name.encode() for column in sample.columns}
    return {value for _, value in record} == names and len(record) == len(names)


def _null(rows: Iterable[tuple[Sample, list[list[Field]]]], dialect: Dialect) -> str:
    """Return the most frequent unquoted text that is not a number.

    Raises:
        SourceError: nothing is quoted, so that this text may be a value too.
    """
    texts = Counter(
        value
        for sample, records in rows
        for record in records
        for column, (quoted, value) in zip(sample.columns, record, strict=False)
        if not quoted and not _NUMBER.fullmatch(value) and (dialect.quote or column.kind in _NUMBERS)
    )
    if not texts or dialect.null.encode() in texts:
        return dialect.null
    found = texts.most_common(1)[0][0].decode("utf-8", "replace")
    if not dialect.quote:
        raise SourceError(
            f"{_SAID} Its texts are not quoted, and numbers read {found!r}: if that is NULL, a text that reads so "
            "cannot be told from it. Export it with --csv-delimiter '\"', or say so: ingest.dump.null."
        )
    return found


def _binary(rows: Iterable[tuple[Sample, list[list[Field]]]], dialect: Dialect) -> str:
    """Return how binary values are written; raw unless some value cannot be raw and all fit another way."""
    fits = {"raw": True, "hex": True, "base64": True}
    for sample, some in rows:
        for place, column in enumerate(sample.columns):
            if column.kind not in {"bit", "binary"}:
                continue
            values = [record[place] for record in some if len(record) > place]
            for value in {dialect.value(field) for field in values} - {None}:
                for way in [way for way, fit in fits.items() if fit]:
                    fits[way] = _fits(column, _decoded(way, value))
    return next((way for way, fit in fits.items() if fit), "raw")


def _decoded(way: str, value: bytes | None) -> bytes | None:
    """Return the bytes that a text means, None if it means none."""
    if value is None:
        return None
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
