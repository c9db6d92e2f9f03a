"""The indexes that statements define: their names, columns, and whether they identify rows.

In: the words of a part of CREATE TABLE or ALTER TABLE. Out: an `Index`, named as TiDB names it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from jobs.ingest.tidb.ddl.sql_tokens import Token, group, outside, parts

NOT_COLUMNS = {"PRIMARY", "UNIQUE", "KEY", "INDEX", "CONSTRAINT", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "LIKE"}
"""Words that a part begins with that defines no column."""
_OPEN = Token("sign", "(")
_INDEX_WORDS = {"PRIMARY", "UNIQUE", "KEY", "INDEX", "FULLTEXT", "SPATIAL", "VECTOR", "COLUMNAR"}


@dataclass(frozen=True)
class Index:
    """An index; names are in lower case."""

    name: str
    columns: tuple[str, ...]
    """In the order of the index."""
    unique: bool = False
    whole: bool = True
    """Whether it covers whole columns of all rows: no prefix, no expression, no condition."""
    primary: bool = False


def named(index: Index, taken: Iterable[str]) -> Index:
    """Return an index with the name that TiDB gives to one without: that of its first column, numbered from 2 on."""
    if index.name:
        return index
    base = index.columns[0] if index.columns else "expression_index"
    names, number, name = set(taken), 2, base
    while name in names or name == "primary":
        name, number = f"{base}_{number}", number + 1
    return replace(index, name=name)


def all_named(indexes: Sequence[Index]) -> list[Index]:
    """Return indexes of one CREATE TABLE with their names."""
    taken = {index.name for index in indexes if index.name}
    made = []
    for index in indexes:
        made.append(named(index, taken))
        taken.add(made[-1].name)
    return made


def index_in(words: Sequence[Token]) -> Index | None:
    """Return the index that a part of CREATE or ALTER TABLE defines; None where it defines none."""
    said = [str(word) for word in words]
    at, symbol = 0, ""
    if said[:1] == ["CONSTRAINT"]:
        at = 1
        if said[1:2] and said[1] not in {"PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}:
            at, symbol = 2, words[1].value
    first = said[at : at + 2]
    # VECTOR and COLUMNAR are words like any other where INDEX or KEY does not follow
    if not first or first[0] not in _INDEX_WORDS or (first[0] in {"VECTOR", "COLUMNAR"} and first[1:] != ["INDEX"]):
        return None
    while said[at : at + 1] and said[at] in _INDEX_WORDS | {"IF", "NOT", "EXISTS"}:
        at += 1
    if at >= len(words):
        return None
    name = symbol or ("" if words[at] == _OPEN or said[at] in {"USING", "TYPE"} else words[at].value)
    covered = list(parts(group(list(words), at)))
    plain = [part for part in covered if [str(word) for word in part[1:]] in ([], ["ASC"], ["DESC"])]
    plain = [part for part in plain if part[0].kind in {"name", "word"}]
    condition = "WHERE" in [str(word) for word in outside(words)]
    # a prefix in a primary key names the column all the same, as ColumnIsPk does
    columns = [part[0].value.lower() for part in covered if part and part[0] != _OPEN]
    primary = "PRIMARY" in first
    whole = bool(plain) and len(plain) == len(covered) and not condition
    return Index(name.lower(), tuple(columns), "UNIQUE" in first or primary, whole, primary)


def index_at_column(words: Sequence[Token]) -> Index | None:
    """Return the index that a column definition asks for: PRIMARY KEY, KEY alone, which means the same, or UNIQUE."""
    if not words or str(words[0]) in NOT_COLUMNS:
        return None
    said = {str(word) for word in outside(words[1:])}
    if not said & {"PRIMARY", "UNIQUE", "KEY"}:
        return None
    primary = "PRIMARY" in said or "UNIQUE" not in said
    return Index("", (words[0].value.lower(),), True, True, primary)
