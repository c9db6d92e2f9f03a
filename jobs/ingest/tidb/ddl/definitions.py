"""What statements define beside types: generated columns, members of ENUM and SET, indexes.

In: the text of a CREATE TABLE, ALTER TABLE, CREATE INDEX or DROP INDEX. Out: definitions by column, and indexes. Each
column definition is parsed on its own: words inside texts, quoted names and parentheses decide nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jobs.ingest.tidb.ddl.indexes import NOT_COLUMNS, Index, all_named, index_at_column, index_in
from jobs.ingest.tidb.ddl.sql_tokens import TableName, Token, alter_parts, group, parts, qualified, statement

_OPEN = Token("sign", "(")
_STORED = {"STORED", "PERSISTENT"}


@dataclass(frozen=True)
class Generation:
    """How a generated column gets its values."""

    stored: bool
    """Whether its values are stored, and are in rows; a virtual column is not."""
    expression: str
    """Its expression: words in lower case, between single spaces."""


@dataclass(frozen=True)
class Definition:
    """What the definition of a column says beside its type."""

    name: str
    generation: Generation | None = None
    members: tuple[str, ...] = ()
    """Names of an ENUM or SET."""
    words: tuple[Token, ...] = ()
    """The whole of it, from the column's name on."""


@dataclass(frozen=True)
class Created:
    """What a CREATE TABLE defines."""

    columns: tuple[Definition, ...] = ()
    indexes: tuple[Index, ...] = ()
    """In the order in which TiDB numbers them."""
    like: TableName | None = None
    """The model of CREATE TABLE LIKE."""


@dataclass
class Edits:
    """What an ALTER TABLE, CREATE INDEX or DROP INDEX does to definitions and indexes, in lower case."""

    defined: dict[str, Definition] = field(default_factory=dict)
    """Columns added or redefined, by the name they have afterwards."""
    dropped: set[str] = field(default_factory=set)
    """Columns."""
    added_indexes: list[Index] = field(default_factory=list)
    dropped_indexes: dict[str, bool] = field(default_factory=dict)
    """Name -> whether such an index must be there."""
    renamed_indexes: dict[str, str] = field(default_factory=dict)
    """Old name -> new name."""


def column_definition(words: Sequence[Token]) -> Definition:
    """Return what a column definition, which begins with the column's name, says beside the type."""
    kind = str(words[1]) if len(words) > 1 else ""
    members = group(list(words), 2) if kind in {"ENUM", "SET"} and words[2:3] == [_OPEN] else []
    names = tuple(word.value for word in members if word.kind == "text")
    return Definition(words[0].value, _generation(list(words)), names, tuple(words))


def created(sql: str, schema: str = "") -> Created | None:
    """Return what a CREATE TABLE defines, None for any other statement.

    Args:
        sql: the statement.
        schema: of a model named without one.
    """
    words = statement(sql)
    said = [str(word) for word in words]
    at = 1 + sum(word in {"GLOBAL", "TEMPORARY"} for word in said[1:3])
    if said[:1] != ["CREATE"] or said[at : at + 1] != ["TABLE"]:
        return None
    at += 1
    while said[at : at + 1] and said[at] in {"IF", "NOT", "EXISTS"}:
        at += 1
    if at >= len(words):
        return None
    _, at = qualified(words, at, schema)
    rest = group(words, at) if words[at : at + 1] == [_OPEN] else words[at:]
    if [str(word) for word in rest[:1]] == ["LIKE"] and len(rest) > 1:
        return Created(like=qualified(rest, 1, schema)[0])
    return definitions(list(parts(rest))) if words[at : at + 1] == [_OPEN] else Created()


def definitions(items: Sequence[Sequence[Token]]) -> Created:
    """Return what the parts between the parentheses of a CREATE TABLE define."""
    columns = [item for item in items if item and str(item[0]) not in NOT_COLUMNS]
    found = [index for index in map(index_in, items) if index is not None]
    # TiDB numbers the constraints of the table before those that stand at their columns
    found += [index for index in map(index_at_column, columns) if index is not None]
    return Created(tuple(column_definition(column) for column in columns), tuple(all_named(found)))


def edits(sql: str) -> Edits:
    """Return what a statement does to columns' definitions and to indexes; nothing for a CREATE TABLE."""
    found = Edits()
    words = statement(sql)
    said = [str(word) for word in words]
    for spec in alter_parts(words):
        _note(found, spec)
    if said[:2] == ["DROP", "INDEX"]:
        _drop_index(found, words[2:])
    elif said[:1] == ["CREATE"] and "INDEX" in said[1:3] and "ON" in said:
        on = said.index("ON")
        index = index_in([*words[1:on], *words[qualified(words, on + 1, "")[1] :]])
        found.added_indexes += [index] if index is not None else []
    return found


def _note(found: Edits, spec: Sequence[Token]) -> None:
    """Note one part of an ALTER TABLE."""
    verb, *rest = spec
    said = str(verb)
    if said not in {"ADD", "DROP", "MODIFY", "CHANGE", "RENAME"} or not rest:
        return
    index = index_in(rest) if said == "ADD" else None
    if index is not None:
        found.added_indexes.append(index)
    elif said == "RENAME" and str(rest[0]) in {"INDEX", "KEY"} and len(rest) > 3:
        found.renamed_indexes[rest[1].value.lower()] = rest[3].value.lower()
    elif said == "DROP" and str(rest[0]) in {"INDEX", "KEY", "CONSTRAINT"}:
        _drop_index(found, rest[1:], required=str(rest[0]) != "CONSTRAINT")
    elif str(rest[0]) not in NOT_COLUMNS | {"PARTITION", "STATS_EXTENDED", "PRIMARY", "TO", "AS"}:
        _note_column(found, said, rest)


def _note_column(found: Edits, verb: str, rest: list[Token]) -> None:
    if str(rest[0]) == "COLUMN":
        rest = rest[1:]
    while rest and str(rest[0]) in {"IF", "NOT", "EXISTS"}:
        rest = rest[1:]
    if not rest or verb == "RENAME":
        return
    if verb == "DROP":
        found.dropped.add(rest[0].value.lower())
        return
    several = verb == "ADD" and rest[0] == _OPEN
    for words in parts(group(rest)) if several else [rest[1:] if verb == "CHANGE" else rest]:
        if not words:
            continue
        index = index_in(words) or index_at_column(words)
        found.added_indexes += [index] if index is not None else []
        if str(words[0]) not in NOT_COLUMNS:
            found.defined[words[0].value.lower()] = column_definition(words)


def _drop_index(found: Edits, words: Sequence[Token], required: bool = True) -> None:
    after = [word for word in words if str(word) not in {"IF", "EXISTS"}]
    if after:
        found.dropped_indexes[after[0].value.lower()] = required and len(after) == len(words)


def _generation(words: list[Token]) -> Generation | None:
    """Return what stands behind AS, outside parentheses, in a column definition."""
    depth = 0
    for at, word in enumerate(words):
        if depth == 0 and at and str(word) == "AS" and words[at + 1 : at + 2] == [_OPEN]:
            inside = group(words, at)
            after = words[at + len(inside) + 3 :]
            return Generation(bool(after) and str(after[0]) in _STORED, _expression(inside))
        depth += (word == _OPEN) - (word == Token("sign", ")"))
    return None


def _expression(words: Iterable[Token]) -> str:
    quoted = {"text": "'", "name": "`"}
    return " ".join(f"{quoted.get(word.kind, '')}{word.value}{quoted.get(word.kind, '')}".lower() for word in words)
