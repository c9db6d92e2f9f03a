"""Reads ALTER TABLE, RENAME TABLE, CREATE INDEX and DROP INDEX: what they do to columns, definitions and indexes.

In: the `Query` of a schema file, as TiCDC rewrote it or as a user typed it. Schema files list the columns that are
there after it, so types are not read here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.ingest.tidb.ddl.create_table import ColumnDefinition, parse_column_definition
from jobs.ingest.tidb.ddl.indexes import NOT_COLUMNS, Index, parse_column_index, parse_index
from jobs.ingest.tidb.ddl.sql_tokens import TableName, Token, alter_parts, group, parts, qualified, statement

_OPEN = Token("sign", "(")


_NOT_COLUMNS = NOT_COLUMNS | {"PARTITION", "STATS_EXTENDED"}


@dataclass
class ColumnChanges:
    """Columns that a statement touches by name, in lower case."""

    renames: dict[str, str] = field(default_factory=dict)
    """New name -> old name."""
    added: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    modified: set[str] = field(default_factory=set)
    """Redefined by MODIFY or CHANGE, by their new names."""
    if_not_exists: set[str] = field(default_factory=set)
    """Those of `added` that are added IF NOT EXISTS."""


def column_changes(sql: str) -> ColumnChanges:
    """Return what an ALTER TABLE does to columns; nothing for any other statement."""
    found = ColumnChanges()
    for spec in alter_parts(statement(sql)):
        _note_columns(found, spec)
    return found


def renamed_tables(sql: str, schema: str) -> list[tuple[TableName, TableName]]:
    """Return (old, new) of each table that the statement renames.

    Args:
        sql: the statement.
        schema: of names without one.
    """
    words = statement(sql)
    first = [str(token) for token in words[:2]]
    if first == ["RENAME", "TABLE"]:
        pairs = []
        for part in parts(words[2:]):
            old, after = qualified(part, 0, schema)
            new, _ = qualified(part, after + 1, schema)
            pairs.append((old, new))
        return pairs
    if first == ["ALTER", "TABLE"]:
        old, start = qualified(words, 2, schema)
        for spec in parts(words[start:]):
            said = [str(token) for token in spec[:2]]
            if len(spec) > 1 and said[:1] == ["RENAME"] and said[1:] not in (["COLUMN"], ["INDEX"], ["KEY"]):
                skip = 2 if said[1:] in (["TO"], ["AS"]) or spec[1].value == "=" else 1
                return [(old, qualified(spec, skip, schema)[0])]
    return []


def _note_columns(found: ColumnChanges, spec: list[Token]) -> None:
    said = [str(token) for token in spec]
    verb, rest = said[0], 1
    if verb not in {"RENAME", "CHANGE", "MODIFY", "ADD", "DROP"}:
        return
    column = said[1:2] == ["COLUMN"]
    rest += column
    if_not_exists = said[rest : rest + 1] == ["IF"]
    while said[rest : rest + 1] and said[rest] in {"IF", "NOT", "EXISTS"}:
        rest += 1
    if len(spec) <= rest or (not column and said[rest] in _NOT_COLUMNS):
        return
    names = [token.value.lower() for token in spec[rest:]]
    if len(names) < {"RENAME": 3, "CHANGE": 2}.get(verb, 1):
        return
    if verb == "RENAME" and column:
        found.renames[names[2]] = names[0]
    elif verb in {"CHANGE", "MODIFY"}:
        found.modified.add(names[verb == "CHANGE"])
        if verb == "CHANGE" and names[0] != names[1]:
            found.renames[names[1]] = names[0]
    elif verb == "DROP":
        found.dropped.add(names[0])
    elif verb == "ADD":
        fresh = {part[0].value.lower() for part in parts(spec[rest + 1 : -1])} if names[0] == "(" else {names[0]}
        found.added |= fresh
        found.if_not_exists |= fresh if if_not_exists else set()


@dataclass
class DefinitionChanges:
    """What an ALTER TABLE, CREATE INDEX or DROP INDEX does to definitions and indexes, in lower case."""

    defined: dict[str, ColumnDefinition] = field(default_factory=dict)
    """Columns added or redefined, by the name they have afterwards."""
    dropped: set[str] = field(default_factory=set)
    """Columns."""
    added_indexes: list[Index] = field(default_factory=list)
    dropped_indexes: dict[str, bool] = field(default_factory=dict)
    """Name -> whether such an index must be there."""
    renamed_indexes: dict[str, str] = field(default_factory=dict)
    """Old name -> new name."""


def definition_changes(sql: str) -> DefinitionChanges:
    """Return what a statement does to columns' definitions and to indexes; nothing for a CREATE TABLE."""
    found = DefinitionChanges()
    words = statement(sql)
    said = [str(word) for word in words]
    for spec in alter_parts(words):
        _note_part(found, spec)
    if said[:2] == ["DROP", "INDEX"]:
        _drop_index(found, words[2:])
    elif said[:1] == ["CREATE"] and "INDEX" in said[1:3] and "ON" in said:
        on = said.index("ON")
        index = parse_index([*words[1:on], *words[qualified(words, on + 1, "")[1] :]])
        found.added_indexes += [index] if index is not None else []
    return found


def _note_part(found: DefinitionChanges, spec: Sequence[Token]) -> None:
    """Note one part of an ALTER TABLE."""
    verb, *rest = spec
    said = str(verb)
    if said not in {"ADD", "DROP", "MODIFY", "CHANGE", "RENAME"} or not rest:
        return
    index = parse_index(rest) if said == "ADD" else None
    if index is not None:
        found.added_indexes.append(index)
    elif said == "RENAME" and str(rest[0]) in {"INDEX", "KEY"} and len(rest) > 3:
        found.renamed_indexes[rest[1].value.lower()] = rest[3].value.lower()
    elif said == "DROP" and str(rest[0]) in {"INDEX", "KEY", "CONSTRAINT"}:
        _drop_index(found, rest[1:], required=str(rest[0]) != "CONSTRAINT")
    elif str(rest[0]) not in NOT_COLUMNS | {"PARTITION", "STATS_EXTENDED", "PRIMARY", "TO", "AS"}:
        _note_definition(found, said, rest)


def _note_definition(found: DefinitionChanges, verb: str, rest: list[Token]) -> None:
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
        index = parse_index(words) or parse_column_index(words)
        found.added_indexes += [index] if index is not None else []
        if str(words[0]) not in NOT_COLUMNS:
            found.defined[words[0].value.lower()] = parse_column_definition(words)


def _drop_index(found: DefinitionChanges, words: Sequence[Token], required: bool = True) -> None:
    after = [word for word in words if str(word) not in {"IF", "EXISTS"}]
    if after:
        found.dropped_indexes[after[0].value.lower()] = required and len(after) == len(words)
