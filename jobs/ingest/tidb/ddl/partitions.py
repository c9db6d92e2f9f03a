"""Follows the partitions of a table through its DDL, and determines which rows a dropped or truncated one held.

In: CREATE TABLE and ALTER TABLE. Out: a `PartitionLayout`, and for a statement that removes rows of partitions a
`PartitionDrop`. Supported are RANGE and LIST, with COLUMNS or without, on plain columns with literal bounds of types
whose values determine the partition exactly: integers, DATE and DATETIME. Other tables have no layout, and a statement
that removes rows of their partitions is unsupported.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from jobs.history.table_lineage import Bound, PartitionDrop
from jobs.ingest.tidb.ddl.source_column import Column, UnsupportedDdl
from jobs.ingest.tidb.ddl.sql_tokens import Token, group, parts, qualified, tokens

_OPEN = Token("sign", "(")
_HARMLESS = {"TRUNCATE", "EXCHANGE", "ANALYZE", "OPTIMIZE", "CHECK", "REBUILD", "REPAIR"}
"""Partition statements that do not change bounds."""


@dataclass(frozen=True)
class Partition:
    """One partition."""

    name: str
    """In lower case."""
    values: tuple[tuple[Token, ...], ...] | None
    """RANGE: the bound that its rows are below; LIST: what they are equal to. None where that is not a literal."""


@dataclass(frozen=True)
class PartitionLayout:
    """How a table is partitioned."""

    by: str
    """RANGE or LIST."""
    columns: tuple[str, ...]
    parts: tuple[Partition, ...]
    """RANGE: lowest first."""

    def place(self, name: str) -> int | None:
        """Return which of the partitions has that name."""
        return next((at for at, part in enumerate(self.parts) if part.name == name), None)


@dataclass(frozen=True)
class PartitionRemoval:
    """A statement that removes the rows of partitions."""

    names: tuple[str, ...]
    """In lower case."""
    all: bool = False
    """Whether it truncates every partition there is."""


def parse_layout(sql: str) -> PartitionLayout | None:
    """Return the layout that a CREATE TABLE or `PARTITION BY` defines; None where it is not supported."""
    # MySQL hides partitions from older servers in a comment that newer ones read
    words = list(tokens(re.sub(r"/\*!\d+(.*?)\*/", r"\1", sql, flags=re.DOTALL)))
    said = [str(word) for word in words]
    at = next((i for i in range(len(said) - 2) if said[i : i + 2] == ["PARTITION", "BY"]), None)
    if at is None or said[at + 2] not in {"RANGE", "LIST"}:
        return None
    by, after = said[at + 2], at + 3
    after += said[after : after + 1] == ["COLUMNS"]
    columns = [part[0].value for part in parts(group(words, after)) if len(part) == 1]
    if words[after : after + 1] != [_OPEN] or len(columns) != len(list(parts(group(words, after)))):
        return None
    after += len(group(words, after)) + 2
    after += 2 * (said[after : after + 1] == ["PARTITIONS"])
    if words[after : after + 1] != [_OPEN]:
        return None
    return PartitionLayout(by, tuple(columns), _defined(by, len(columns), group(words, after)))


def layout_after(layout: PartitionLayout | None, sql: str) -> PartitionLayout | None:
    """Return the layout after a statement; None where it is not known any more."""
    words = _altering(sql)
    said = [str(word) for word in _outside(words)]
    if "PARTITIONING" in said:
        return None
    if ["PARTITION", "BY"] in [said[at : at + 2] for at in range(len(said))]:
        return parse_layout(sql)
    if layout is None or "PARTITION" not in said or said[0] in {"PARTITION", *_HARMLESS}:
        return layout
    return _changed(layout, said[0], words[2:]) if said[1] == "PARTITION" else None


def partition_removal(sql: str) -> PartitionRemoval | None:
    """Return the partitions that a statement drops or truncates; None for any other statement."""
    words = _altering(sql)
    said = [str(word) for word in words]
    if said[:2] not in (["DROP", "PARTITION"], ["TRUNCATE", "PARTITION"]):
        return None
    return PartitionRemoval(_names(words[2:]), said == ["TRUNCATE", "PARTITION", "ALL"])


def partition_drop(
    layout: PartitionLayout | None, names: Iterable[str], columns: Iterable[Column], masked: Iterable[str], version: int
) -> PartitionDrop:
    """Return which rows are gone when partitions are.

    Args:
        layout: as it was before.
        names: of the partitions, in lower case.
        columns: of the table.
        masked: those whose values the ledger does not have.
        version: commit_ts of the statement.

    Raises:
        UnsupportedDdl: the values of rows do not determine which ones those are.
    """
    if layout is None:
        raise UnsupportedDdl(
            "removes rows of partitions, and the table's layout is not known: only RANGE and LIST "
            "partitions by plain columns are supported"
        )
    placed = [(name, layout.place(name)) for name in names]
    unknown = [name for name, at in placed if at is None]
    if unknown or not placed:
        raise UnsupportedDdl(f"removes rows of partitions that are not known ({', '.join(unknown)})")
    by = [_column(name, columns, set(masked)) for name in layout.columns]
    told = tuple((column.names[0][1], column.now.kind) for column in by)
    if layout.by == "LIST":
        members = [member for _, at in placed if at is not None for member in _values(layout.parts[at])]
        return PartitionDrop(version, told, (), tuple(_bound(by, member, "NULL") for member in members))
    ranges = tuple(_range(layout, at, by) for _, at in placed if at is not None)
    return PartitionDrop(version, told, ranges, ())


def _altering(sql: str) -> list[Token]:
    """Return the tokens of an ALTER TABLE after the table's name; none for any other statement."""
    words = [word for word in tokens(sql) if word.value != ";" or word.kind != "sign"]
    if [str(word) for word in words[:2]] != ["ALTER", "TABLE"] or len(words) < 4:
        return []
    return words[qualified(words, 2, "")[1] :]


def _outside(words: list[Token]) -> list[Token]:
    """Return the words that stand in no parentheses."""
    found, depth = [], 0
    for word in words:
        depth -= word == Token("sign", ")")
        if depth == 0:
            found.append(word)
        depth += word == _OPEN
    return found


def _names(words: list[Token]) -> tuple[str, ...]:
    """Return names of partitions, without IF EXISTS before and INTO after them."""
    found: list[str] = []
    for word in words:
        if str(word) == "INTO":
            break
        if word.kind in {"name", "word"} and str(word) not in {"IF", "EXISTS"}:
            found.append(word.value.lower())
    return tuple(found)


def _changed(layout: PartitionLayout, verb: str, words: list[Token]) -> PartitionLayout | None:
    """Return the layout after `verb PARTITION …`, None for what is not known."""
    made = _defined(layout.by, len(layout.columns), group(words))
    if verb == "ADD":
        again = any(layout.place(part.name) is not None for part in made)
        return replace(layout, parts=(*layout.parts, *made)) if made and not again else None
    places = [layout.place(name) for name in _names(words)]
    known = [place for place in places if place is not None]
    if verb not in {"DROP", "REORGANIZE"} or not known or len(known) < len(places) or (verb == "DROP") == bool(made):
        return None
    first, last = min(known), max(known)
    if layout.by == "RANGE" and verb == "REORGANIZE" and last - first >= len(known):
        return None
    kept = [part for at, part in enumerate(layout.parts) if at not in known]
    return replace(layout, parts=(*kept[:first], *made, *kept[first:]))


def _defined(by: str, width: int, words: list[Token]) -> tuple[Partition, ...]:
    """Return the partitions of a list of definitions."""
    return tuple(
        Partition(spec[1].value.lower(), _bounds_in(by, width, spec[2:]))
        for spec in parts(words)
        if str(spec[0]) == "PARTITION" and len(spec) > 1
    )


def _bounds_in(by: str, width: int, words: list[Token]) -> tuple[tuple[Token, ...], ...] | None:
    """Return the values in a partition's definition, None unless all are literals."""
    said = [str(word) for word in words[:4]]
    if by == "RANGE" and said[:3] == ["VALUES", "LESS", "THAN"]:
        row = [[words[3]]] if said[3:] == ["MAXVALUE"] else list(parts(group(words[3:])))
        rows = [row] if words[3:4] == [_OPEN] or said[3:] == ["MAXVALUE"] else []
    elif by == "LIST" and said[:2] == ["VALUES", "IN"] and words[2:3] == [_OPEN]:
        whole = list(parts(group(words[2:])))
        rows = [list(parts(group(one))) if one[:1] == [_OPEN] else [one] for one in whole]
    else:
        return None
    found = [tuple(literal for literal in map(_literal, row) if literal is not None) for row in rows]
    return tuple(found) if found and all(len(row) == width for row in found) else None


def _literal(words: list[Token]) -> Token | None:
    """Return the one word of a literal, without the name of its character set."""
    if len(words) == 2 and words[0].kind == "word" and words[0].value.startswith("_"):
        words = words[1:]
    return words[0] if len(words) == 1 and words[0].kind in {"word", "text"} else None


def _column(name: str, columns: Iterable[Column], masked: set[str]) -> Column:
    """Return the column that partitions go by, if the ledger has its values just as the source had them."""
    found = next((column for column in columns if column.name.lower() == name.lower()), None)
    if found is None:
        raise UnsupportedDdl(f"removes rows of partitions by {name}, and rows have no column {name}")
    if found.since is not None or len(found.names) > 1 or found.casts or found.name in masked:
        raise UnsupportedDdl(
            f"removes rows of partitions by {name}, whose older values cannot be determined: the column was added, "
            "renamed, masked or changed its type"
        )
    if found.now.kind not in {"int", "date", "datetime"}:
        raise UnsupportedDdl(
            f"removes rows of partitions by {name} of type {found.now.sql}: only INT, DATE and DATETIME are supported"
        )
    return found


def _values(part: Partition) -> tuple[tuple[Token, ...], ...]:
    if part.values is None:
        raise UnsupportedDdl(
            f"cannot determine which rows partition {part.name} held: only literal INT, DATE and "
            "DATETIME bounds are supported"
        )
    return part.values


def _range(layout: PartitionLayout, at: int, by: list[Column]) -> tuple[Bound | None, Bound | None]:
    """Return where a partition begins, None for the lowest one, and what its rows are below."""
    (below,) = _values(layout.parts[at])
    begin = _values(layout.parts[at - 1])[0] if at else None
    return (None if begin is None else _bound(by, begin, "MAXVALUE")), _bound(by, below, "MAXVALUE")


def _bound(by: list[Column], words: tuple[Token, ...], special: str) -> Bound:
    """Return a bound as text in the form of the ledger; None stands for MAXVALUE in ranges, for NULL in lists."""
    return tuple(None if str(word) == special else _text(word, column) for word, column in zip(words, by, strict=True))


def _text(word: Token, column: Column) -> str:
    kind, digits = column.now.kind, column.now.scale or 0
    if kind == "int" and word.kind == "word" and re.fullmatch(r"[+-]?\d{1,20}", word.value):
        return word.value
    if kind == "date" and word.kind == "text" and re.fullmatch(r"\d{4}-\d\d-\d\d", word.value):
        return word.value
    if kind == "datetime" and word.kind == "text":
        found = re.fullmatch(r"(\d{4}-\d\d-\d\d)( \d\d:\d\d:\d\d)?(\.\d{1,6})?", word.value)
        if found is not None and len(found[3] or ".") - 1 <= digits:
            return f"{found[1]}{found[2] or ' 00:00:00'}{found[3] or '.':0<7}"
    raise UnsupportedDdl(
        f"cannot determine which rows the partition by {column.name} held: its bound {word.value!r} is not a literal "
        f"{column.now.sql}"
    )
