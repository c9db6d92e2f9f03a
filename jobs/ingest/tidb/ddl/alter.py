"""What ALTER TABLE and RENAME TABLE say: columns renamed, added, dropped; tables renamed.

In: the `Query` of a schema file, as TiCDC rewrote it or as a user typed it. Schema files list the columns that are
there after it, so types are not read here.
"""

from dataclasses import dataclass, field

from jobs.ingest.tidb.ddl.indexes import NOT_COLUMNS
from jobs.ingest.tidb.ddl.sql_tokens import TableName, Token, alter_parts, parts, qualified, statement

_NOT_COLUMNS = NOT_COLUMNS | {"PARTITION", "STATS_EXTENDED"}


@dataclass
class Alter:
    """Columns that a statement touches by name, in lower case."""

    renames: dict[str, str] = field(default_factory=dict)
    """New name -> old name."""
    added: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    modified: set[str] = field(default_factory=set)
    """Defined anew by MODIFY or CHANGE, by their new names."""
    perhaps: set[str] = field(default_factory=set)
    """Those of `added` that are added IF NOT EXISTS."""


def alterations(sql: str) -> Alter:
    """Return what an ALTER TABLE does to columns; nothing for any other statement."""
    found = Alter()
    for spec in alter_parts(statement(sql)):
        _note(found, spec)
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


def _note(found: Alter, spec: list[Token]) -> None:
    said = [str(token) for token in spec]
    verb, rest = said[0], 1
    if verb not in {"RENAME", "CHANGE", "MODIFY", "ADD", "DROP"}:
        return
    column = said[1:2] == ["COLUMN"]
    rest += column
    perhaps = said[rest : rest + 1] == ["IF"]
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
        found.perhaps |= fresh if perhaps else set()
