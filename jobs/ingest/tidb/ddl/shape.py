"""What the rows of a data file have, against the columns that the schema file lists: which ones are virtual.

In: a row's column names (canal-json) or its number of fields (CSV). Out: the virtual columns, or why they cannot be
told.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jobs.ingest.tidb.ddl.mysql import SourceColumn


@dataclass(frozen=True)
class RowShape:
    """What one whole row of a data file has."""

    path: str
    """The file, for messages."""
    names: frozenset[str] | None
    """Its columns, in lower case; None where rows do not name them."""
    fields: int
    """How many columns it has."""


def by_rows(
    shape: RowShape,
    columns: Iterable[SourceColumn],
    key: Iterable[str],
    virtual: Iterable[str],
    generated: Iterable[str] | None,
    optional: Iterable[str] = (),
) -> set[str] | str:
    """Return the columns that rows lack, in lower case; a sentence where nobody can tell which those are.

    Args:
        shape: of a row.
        columns: those of the schema file.
        key: of the primary key, which every row has.
        virtual: columns that are taken for virtual so far, in lower case.
        generated: all generated columns, in lower case; None where they are not known.
        optional: those that conf names, whatever kind of generated column they are.
    """
    listed = {column.name.lower(): column for column in columns}
    missing = {name for name in virtual if name in listed}
    if shape.names is None:
        return _by_count(shape, len(listed), missing, set(optional) & set(listed))
    if shape.names - set(listed):  # not of this version
        return missing
    absent = set(listed) - shape.names - {name.lower() for name in key}
    if generated is not None:  # a column that is plain by its definition is missing, not virtual
        return absent & (set(generated) | set(optional))
    # rows of the key alone leave everything out; a generated column has no default
    known = {name for name in absent if listed[name].default is None}
    return missing & absent if len(shape.names) <= len(set(key)) else known | (missing & absent)


def _by_count(shape: RowShape, listed: int, missing: set[str], told: set[str]) -> set[str] | str:
    """Return the columns that rows lack, as far as their number tells."""
    for guess in (missing, missing - told, missing | told):
        if listed - shape.fields == len(guess):
            return guess
    return (
        f"rows in {shape.path} have {shape.fields} fields, and the schema file lists {listed} columns, of which "
        f"{len(missing)} are known to be virtual generated columns, which rows lack. Name the generated columns in conf"
    )
