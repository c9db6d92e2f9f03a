"""What ALTER TABLE and RENAME TABLE say: columns renamed, added, dropped; tables renamed.

In: the `Query` of a schema file, as TiCDC rewrote it or as a user typed it. Schema files list the columns that are
there after it, so types are not read here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.ingest.tables.ddl import Token, tokens

TableName = tuple[str, str]

_NOT_COLUMNS = {
    "PRIMARY", "UNIQUE", "KEY", "INDEX", "CONSTRAINT", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "PARTITION",
    "STATS_EXTENDED",
}  # fmt: skip


@dataclass
class Alter:
    """Columns that a statement touches by name, in lower case."""

    renames: dict[str, str] = field(default_factory=dict)
    """New name -> old name."""
    added: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)


def alterations(sql: str) -> Alter:
    """Return what an ALTER TABLE does to columns; nothing for any other statement."""
    found = Alter()
    words = list(tokens(sql))
    if [str(token) for token in words[:2]] != ["ALTER", "TABLE"]:
        return found
    _, start = _qualified(words, 2, "")
    for spec in _split(words[start:]):
        _note(found, spec)
    return found


def renamed_tables(sql: str, schema: str) -> list[tuple[TableName, TableName]]:
    """Return (old, new) of each table that the statement renames.

    Args:
        sql: the statement.
        schema: of names without one.
    """
    words = list(tokens(sql))
    first = [str(token) for token in words[:2]]
    if first == ["RENAME", "TABLE"]:
        pairs = []
        for part in _split(words[2:]):
            old, after = _qualified(part, 0, schema)
            new, _ = _qualified(part, after + 1, schema)
            pairs.append((old, new))
        return pairs
    if first == ["ALTER", "TABLE"]:
        old, start = _qualified(words, 2, schema)
        for spec in _split(words[start:]):
            said = [str(token) for token in spec[:2]]
            if said[:1] == ["RENAME"] and said[1:] not in (["COLUMN"], ["INDEX"], ["KEY"]):
                skip = 2 if said[1:] in (["TO"], ["AS"]) or spec[1].value == "=" else 1
                return [(old, _qualified(spec, skip, schema)[0])]
    return []


def _qualified(words: list[Token], at: int, schema: str) -> tuple[TableName, int]:
    """Return the table named at `at`, and the place after it."""
    while str(words[at]) in {"IF", "EXISTS"}:
        at += 1
    name = words[at].value
    if words[at].kind == "word" and "." in name.strip("."):
        owner, _, table = name.partition(".")
        return (owner, table), at + 1
    follow = words[at + 1].value if at + 1 < len(words) else ""
    if follow == ".":
        return (name, words[at + 2].value), at + 3
    if follow.startswith(".") and words[at + 1].kind == "word":
        return (name, follow[1:]), at + 2
    if name.endswith(".") and words[at].kind == "word":
        return (name[:-1], follow), at + 2
    return (schema, name), at + 1


def _split(words: list[Token]) -> Iterator[list[Token]]:
    """Yield the parts between commas outside parentheses."""
    part: list[Token] = []
    depth = 0
    for token in words:
        if token.kind == "sign":
            depth += (token.value == "(") - (token.value == ")")
            if token.value == ";":
                break
            if token.value == "," and depth == 0:
                yield part
                part = []
                continue
        part.append(token)
    if part:
        yield part


def _note(found: Alter, spec: list[Token]) -> None:
    said = [str(token) for token in spec]
    verb, rest = said[0], 1
    if verb not in {"RENAME", "CHANGE", "ADD", "DROP"}:
        return
    column = said[1:2] == ["COLUMN"]
    rest += column
    while said[rest : rest + 1] and said[rest] in {"IF", "NOT", "EXISTS"}:
        rest += 1
    if not column and said[rest] in _NOT_COLUMNS:
        return
    names = [token.value.lower() for token in spec[rest:]]
    if verb == "RENAME" and column:
        found.renames[names[2]] = names[0]
    elif verb == "CHANGE" and names[0] != names[1]:
        found.renames[names[1]] = names[0]
    elif verb == "DROP":
        found.dropped.add(names[0])
    elif verb == "ADD":
        found.added |= (
            {part[0].value.lower() for part in _split(spec[rest + 1 : -1])} if names[0] == "(" else {names[0]}
        )
