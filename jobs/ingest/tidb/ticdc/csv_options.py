r"""Infers how a changefeed writes CSV from its records; the changefeed's file is required where they do not show it.

In: the beginning of some data files of every table, and the columns of their tables. Out: TiCDC's [sink.csv]. With a
quote every text is quoted, so that an unquoted word can only be the text for NULL; and texts that are long enough are
not base64 and hexadecimal by chance. Where the records leave a setting open, the feed is refused with its name.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from jobs.common.errors import SourceError
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.csv_rows import TEXTS, is_hexadecimal
from jobs.ingest.tidb.ticdc.changefeed import Csv
from jobs.ingest.tidb.ticdc.csv_records import META, Dialect, Record, records

_RECORDS = 500
"""Records looked at in one file."""
_NULL = re.compile(rb"(?i)\\[n0]|n|null|nil|none|na|n/a|-|")
"""What a text for NULL looks like."""
_OFTEN = 3
_NUMBER = re.compile(rb"[-+]?[0-9.]+([eE][-+]?\d+)?|[-+]?(Inf|NaN)")
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_HEX = re.compile(rb"(?:[0-9a-f]{2})*")
_ASK = "Name the changefeed's file with --changefeed."


@dataclass(frozen=True)
class Head:
    """The beginning of one data file."""

    path: str
    content: bytes
    is_whole: bool
    columns: tuple[SourceColumn, ...] | None = None
    """Of its table, as far as they are known."""


@dataclass
class _Seen:
    """What the records of all files show."""

    header: dict[bool, str] = field(default_factory=dict)
    """Whether there is a header, and a file that shows it."""
    old: dict[bool, str] = field(default_factory=dict)
    words: Counter[bytes] = field(default_factory=Counter)
    """Unquoted texts that are not numbers."""
    nulls: int = 0
    """Fields that are NULL as told."""
    where: dict[bytes, str] = field(default_factory=dict)
    binary: set[bytes] = field(default_factory=set)
    """Values of binary columns."""
    binary_in: str = ""
    strange: list[str] = field(default_factory=list)
    """What is wrong with files whose first record is none: where other files have good ones, a damaged record."""


def csv_options(heads: Sequence[Head], csv: Csv, terminator: str, place: str | None) -> Csv:
    """Return how CSV records are written.

    Args:
        heads: of data files.
        csv: what is known of it; TiCDC's defaults.
        terminator: what ends a record.
        place: of the changefeed's file, where there is one: it must agree with the records.

    Raises:
        SourceError: the records contradict the file or each other, or do not show how they are to be read.
    """
    if place is None and heads:
        csv = csv.model_copy(update={"delimiter": _shown_delimiter(heads[0].content) or csv.delimiter})
    dialect = Dialect(csv.delimiter, csv.quote, csv.null, terminator)
    seen = _Seen()
    for head in heads:
        _look(seen, head, csv, dialect)
    if seen.strange and not seen.old:
        raise SourceError(seen.strange[0])
    for setting, said, shown in (
        ("sink.csv.output-field-header", csv.output_field_header, seen.header),
        ("sink.csv.output-old-value", csv.output_old_value, seen.old),
    ):
        _agree(place, setting, said, shown)
    update: dict[str, Any] = {"output_field_header": True in seen.header, "output_old_value": True in seen.old}
    update |= {"null": _null(seen, csv, place), "binary_encoding_method": _binary(seen, csv, place)}
    return csv.model_copy(update=update)


def _agree(place: str | None, setting: str, said: bool, shown: dict[bool, str]) -> None:
    if len(shown) > 1:
        raise SourceError(
            f"{shown[True]} shows {setting} = true and {shown[False]} shows false: name the root of one changefeed, "
            "whose files are all written alike."
        )
    if place is not None and shown and said not in shown:
        raise SourceError(
            f"{place} says {setting} = {said!r}, but {shown[not said]} shows {not said!r}. Give the file this "
            "changefeed was made with."
        )


def _shown_delimiter(content: bytes) -> str:
    """Return the delimiter that a header shows: its names are known, and never quoted."""
    found = re.match(rb"ticdc-meta\$operation(.{1,3}?)ticdc-meta\$table\1ticdc-meta\$schema", content)
    return found[1].decode("ascii", "replace") if found else ""


def _look(seen: _Seen, head: Head, csv: Csv, dialect: Dialect) -> None:
    header = head.content.startswith(META.encode())
    end = dialect.line_end.search(head.content) if header else None
    if header and end is None:
        seen.strange.append(
            f"{head.path}: nothing ends its header, as sink.terminator = {dialect.terminator or 'CRLF'!r} does. {_ASK}"
        )
        return
    body = head.content[end.end() :] if end else head.content
    if not body.strip():
        seen.header.setdefault(header, head.path)
        return
    found = _first(csv, dialect).match(body)
    if found is None:
        seen.strange.append(
            f"{head.path}: no record of TiCDC's CSV with delimiter {csv.delimiter!r} and quote {csv.quote!r} begins "
            f"it. {_ASK}"
        )
        return
    if found["commit"] is None:
        seen.strange.append(
            f"{head.path}: its records carry no commit-ts (sink.csv.include-commit-ts is false), so they have no order "
            "and repetitions cannot be recognised. Create the changefeed with include-commit-ts = true."
        )
        return
    seen.header.setdefault(header, head.path)
    seen.old.setdefault(found["update"] is not None, head.path)
    if csv.quote:
        _look_at_values(seen, head, _whole(records(body, dialect), head), 5 if found["update"] else 4)


def _whole(found: Iterator[Record], head: Head) -> list[Record]:
    """Return the first records, without the one at which the head was cut."""
    some = list(islice(found, _RECORDS))
    return some if head.is_whole or len(some) == _RECORDS else some[:-1]


def _look_at_values(seen: _Seen, head: Head, some: Iterable[Record], fixed: int) -> None:
    for record in some:
        fields = list(zip(record.is_quoted, record.fields or (), strict=False))[fixed:]
        known = head.columns if head.columns is not None and len(head.columns) == len(fields) else None
        for at, (is_quoted, value) in enumerate(fields):
            if value is None:
                seen.nulls += 1
            elif not is_quoted and not (_NUMBER.fullmatch(value) and (known is None or known[at].kind not in TEXTS)):
                seen.words[value] += 1
                seen.where.setdefault(value, head.path)
            elif is_quoted and known is not None and known[at].kind == "binary" and value:
                seen.binary.add(value)
                seen.binary_in = seen.binary_in or head.path


def _null(seen: _Seen, csv: Csv, place: str | None) -> str:
    """Return the text for NULL."""
    if not seen.words:
        return csv.null
    word, often = seen.words.most_common(1)[0]
    text, alone = word.decode("utf-8", "replace"), len(seen.words) == 1 and not seen.nulls
    is_sure = bool(_NULL.fullmatch(word)) or often >= _OFTEN
    if place is not None and is_sure:
        raise SourceError(
            f"{place} says sink.csv.null = {csv.null!r}, but in {seen.where[word]} stands {text!r} without quotes, "
            f"which is neither NULL nor a text that is quoted by {csv.quote!r}. Give the file this changefeed was made "
            "with."
        )
    if alone and _NULL.fullmatch(word):
        return text
    if is_sure:
        raise SourceError(
            f"{seen.where[word]}: {text!r} stands there without quotes, {often:,} times, where texts are quoted and "
            f"NULL is {csv.null!r}. The changefeed was told another sink.csv.null, quote or delimiter. {_ASK}"
        )
    return csv.null  # a damaged record or two: they go to quarantine


def _binary(seen: _Seen, csv: Csv, place: str | None) -> str:
    """Return how binary values are written."""
    said, many = csv.binary_encoding_method, len(seen.binary)
    base64 = sum(1 for value in seen.binary if _BASE64.fullmatch(value))
    hexadecimal = many > 0 and all(map(_HEX.fullmatch, seen.binary))
    is_hex = hexadecimal and (base64 < many or is_hexadecimal(seen.binary))
    is_base64 = many > 0 and not hexadecimal and base64 == many
    if place is None:
        if (hexadecimal and not is_hex) or (not hexadecimal and 2 * base64 < many):
            raise SourceError(
                f"{seen.binary_in}: its binary values may be "
                f"{'hexadecimal as well as base64' if hexadecimal else 'neither base64 nor hexadecimal'} "
                f"(sink.csv.binary-encoding-method). {_ASK}"
            )
        return "hex" if is_hex else said
    if (said == "base64" and is_hex) or (said == "hex" and is_base64):
        raise SourceError(
            f"{place} says sink.csv.binary-encoding-method = {said!r}, but the binary values of {seen.binary_in} are "
            f"{'hex' if is_hex else 'base64'}. Give the file this changefeed was made with."
        )
    return said


def _first(csv: Csv, dialect: Dialect) -> "re.Pattern[bytes]":
    """Return how a record begins: operation, table, schema, maybe commit-ts and is-update, which are never quoted."""
    quote, delimiter = re.escape(csv.quote.encode()), re.escape(csv.delimiter.encode())
    text = rb"%s(?:[^%s]|%s%s)*%s" % (quote, quote, quote, quote, quote) if csv.quote else rb"(?:\\.|[^\\])*?"
    end = rb"(?:%s|%s|\Z)" % (delimiter, dialect.line_end.pattern)
    told = rb"(?P<commit>\d{15,19})%s(?:(?P<update>true|false)%s)?" % (end, end)
    operation = rb"%s[IUD]%s" % (quote, quote)
    return re.compile(rb"%s%s%s%s%s%s(?:%s)?" % (operation, delimiter, text, delimiter, text, end, told), re.DOTALL)
