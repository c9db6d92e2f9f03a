r"""Records of Dumpling's CSV one by one: separators and quotes of any length, or no quotes, damage kept apart.

With a quote, text is quoted; quotes in it are escaped by a backslash or doubled. Without one, text escapes NUL, CR, LF,
backslash and the separator's first character by a backslash (tidb, dumpling/export/sql_type.go). NULL is the unquoted
null text, decided before escapes are undone. A record that breaks these rules ends with its line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

MEANING = {b"0": b"\0", b"n": b"\n", b"r": b"\r", b"Z": b"\x1a", b"b": b"\b", b"t": b"\t"}
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_LINE = re.compile(rb"\r?\n|\Z")
Field = tuple[bool, bytes]
"""Whether it is quoted, and what stands there."""


@dataclass(frozen=True)
class Dialect:
    """How records are written; Dumpling's defaults."""

    escape_backslash: bool = True
    """Whether text escapes by backslash; false: quotes are doubled."""
    binary: str = "raw"
    """raw, hex or base64."""
    separator: str = ","
    null: str = "\\N"
    header: bool = True
    quote: str = '"'
    """Empty: nothing is quoted."""

    @cached_property
    def field(self) -> "re.Pattern[bytes]":
        """Return one field and what follows it: groups quoted, plain, after."""
        after = rb"(?P<after>%s|\r?\n|\Z)" % re.escape(self.separator.encode())
        if not self.quote:
            text = rb"(?:\\.|[^\\\r\n])*?" if self.escape_backslash else rb"[^\r\n]*?"
            return re.compile(rb"(?P<quoted>(?!))?(?P<plain>%s)%s" % (text, after), re.DOTALL)
        quote, separator = re.escape(self.quote.encode()), re.escape(self.separator.encode())
        inner = rb"(?:\\.|(?!%s)[^\\])*" % quote if self.escape_backslash else rb"(?:%s%s|(?!%s).)*" % ((quote,) * 3)
        quoted = rb"%s(?P<quoted>%s)%s" % (quote, inner, quote)
        return re.compile(rb"(?:%s|(?P<plain>(?:(?!%s|%s)[^\r\n])*))%s" % (quoted, quote, separator, after), re.DOTALL)

    @cached_property
    def escaped(self) -> frozenset[bytes]:
        """Return what may follow a backslash."""
        return frozenset([b"0", b"n", b"r", b"\\", (self.quote or self.separator)[:1].encode()])

    @property
    def is_plain(self) -> bool:
        """Return whether Arrow's parser reads it, once backslashes are undone."""
        return len(self.separator) == len(self.quote) == 1 and (self.separator + self.quote).isascii()

    def is_escaped_well(self, text: bytes) -> bool:
        """Return whether a backslash stands only where Dumpling writes one."""
        return not self.escape_backslash or all(found in self.escaped for found in _ESCAPE.findall(text))

    def value(self, field: Field) -> bytes | None:
        """Return what a field means."""
        is_quoted, text = field
        if not is_quoted and text == self.null.encode():
            return None
        if is_quoted and not self.escape_backslash:
            quote = self.quote.encode()
            return text.replace(quote * 2, quote)
        if self.escape_backslash and (is_quoted or not self.quote):
            return _ESCAPE.sub(lambda m: MEANING.get(m[1], m[1]), text)
        return text


@dataclass(frozen=True)
class Record:
    """One record."""

    raw: bytes
    fields: list[Field] | None
    """None where it breaks the rules."""
    is_whole: bool = True
    """Whether a line's end follows it: the last one of a sample may be cut."""


def records(content: bytes, dialect: Dialect) -> Iterator[Record]:
    """Yield every record, in order; empty lines are none."""
    place = 0
    while place < len(content):
        start = place
        fields, stop, place = _record(content, place, dialect)
        if fields is None:
            line = _LINE.search(content, start)
            stop, place = (line.start(), line.end()) if line else (len(content), len(content))
            yield Record(content[start:stop], None, place > stop)
        elif stop > start:
            yield Record(content[start:stop], fields, place > stop)


def _record(content: bytes, place: int, dialect: Dialect) -> tuple[list[Field] | None, int, int]:
    """Return the record's fields, where it stops, where the next begins; no fields where it breaks the rules."""
    fields: list[Field] = []
    separator = dialect.separator.encode()
    while True:
        found = dialect.field.match(content, place)
        if found is None:
            return None, place, place
        is_quoted = found["quoted"] is not None
        fields.append((is_quoted, found["quoted"] if is_quoted else found["plain"]))
        place = found.end()
        if found["after"] != separator:
            return fields, found.start("after"), place
