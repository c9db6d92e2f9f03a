r"""Records of TiCDC's CSV one by one: any delimiter of one to three characters, quotes or none, damage kept apart.

With a quote character text is quoted, an inner quote doubled, nothing else escaped. Without one, text escapes CR, LF,
backslash and each character of the delimiter by a backslash (ticdc, pkg/sink/codec/csv/csv_message.go). NULL is the
unquoted null text, decided before escapes are undone. A record that breaks these rules ends where the next one begins
that looks like one: its first fields are an operation and the names of its table.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobs.ingest.tidb.ticdc.changefeed import Changefeed

META = "ticdc-meta$"
"""What the names of TiCDC's own fields begin with in a header."""
Field = tuple[bool, bytes | None]
"""Whether it is quoted, and what it means."""


@dataclass(frozen=True)
class Dialect:
    """How records are written."""

    delimiter: str = ","
    quote: str = '"'
    """Empty: nothing is quoted, and text escapes by backslash."""
    null: str = "\\N"
    terminator: str = ""
    """What ends a record; empty: LF or CRLF."""

    @cached_property
    def line_end(self) -> "re.Pattern[bytes]":
        """Return what ends a record."""
        return re.compile(self._end)

    @cached_property
    def field(self) -> "re.Pattern[bytes]":
        """Return one field and what follows it: groups quoted, plain, after."""
        quote, after = re.escape(self.quote.encode()), rb"(%s|%s|\Z)" % (re.escape(self.delimiter.encode()), self._end)
        if not self.quote:
            return re.compile(rb"(?P<quoted>(?!))?(?P<plain>(?:\\.|[^\\])*?)" + after, re.DOTALL)
        quoted = rb"%s(?P<quoted>(?:[^%s]|%s%s)*)%s" % (quote, quote, quote, quote, quote)
        return re.compile(rb"(?:%s|(?P<plain>[^%s]*?))%s" % (quoted, quote, after), re.DOTALL)

    @cached_property
    def beginning(self) -> "re.Pattern[bytes]":
        """Return how a record begins after the end of another."""
        quote, delimiter = re.escape(self.quote.encode()), re.escape(self.delimiter.encode())
        if not self.quote:
            return self.line_end
        return re.compile(rb"(?:%s)(?=%s[IUD]%s%s%s)" % (self._end, quote, quote, delimiter, quote))

    @property
    def _end(self) -> bytes:
        return rb"\r?\n" if self.ends_lines else re.escape(self.terminator.encode())

    @property
    def ends_lines(self) -> bool:
        """Return whether a record ends where a line does."""
        return self.terminator in {"", "\n", "\r\n"}


def dialect_of_feed(changefeed: Changefeed) -> Dialect:
    """Return how a changefeed writes CSV."""
    csv = changefeed.sink.csv
    return Dialect(csv.delimiter, csv.quote, csv.null, changefeed.sink.terminator)


@dataclass(frozen=True)
class Record:
    """One record."""

    raw: bytes
    fields: tuple[bytes | None, ...] | None
    """None where the record breaks the rules."""
    fault: str = ""
    is_quoted: tuple[bool, ...] = ()
    """Of each field."""


def records(body: bytes, dialect: Dialect) -> Iterator[Record]:
    """Yield every record, in order; empty lines are none."""
    place = 0
    while place < len(body):
        start = place
        blank = dialect.line_end.match(body, place)
        if blank and blank.end() > place:
            place = blank.end()
            continue
        fields, stop, place = _record(body, place, dialect)
        if fields is not None:
            yield Record(body[start:stop], tuple(v for _, v in fields), is_quoted=tuple(q for q, _ in fields))
            continue
        end = dialect.beginning.search(body, start)
        place = end.end() if end else len(body)
        yield Record(body[start : end.start() if end else len(body)], None, "a quote is missing or out of place")


def _record(body: bytes, place: int, dialect: Dialect) -> tuple[list[Field] | None, int, int]:
    """Return the record's fields, where it stops, where the next begins; no fields where it breaks the rules."""
    fields: list[Field] = []
    delimiter = dialect.delimiter.encode()
    while True:
        match = dialect.field.match(body, place)
        if match is None:
            return None, place, place
        fields.append((match["quoted"] is not None, _value(match, dialect)))
        place = match.end()
        if match[3] != delimiter:
            return fields, match.start(3), place


def _value(match: Any, dialect: Dialect) -> bytes | None:
    quoted, plain = match["quoted"], match["plain"]
    if quoted is not None:
        quote = dialect.quote.encode()
        return bytes(quoted.replace(quote + quote, quote))
    if plain == dialect.null.encode():
        return None
    return plain if dialect.quote else _ESCAPE.sub(lambda m: _MEANING.get(m[1], m[1]), plain)


_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_MEANING = {b"r": b"\r", b"n": b"\n"}
