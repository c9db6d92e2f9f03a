"""Schema evolution of a table: which column is which after a DDL, what its older rows have, what is unsupported.

In: silver's columns so far and the columns of a new schema file, with its statement. Out: silver's columns after it, or
the reason why the values of older rows cannot be derived. A column is followed by ColumnId where the feed has it, else
by the statement: RENAME and CHANGE keep it, DROP ends it, ADD begins another one even under an old name. A change of
type that rewrites rows gives a column another ColumnId: an unknown id is a new column only where the statement adds
one.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace

from jobs.history.conversions import Step, keeps_text
from jobs.ingest.tidb.ddl.alter_table import ColumnChanges, column_changes
from jobs.ingest.tidb.ddl.defaults import ComputedDefault, default_of_older_rows
from jobs.ingest.tidb.ddl.source_column import Column, SourceColumn, UnsupportedDdl
from jobs.ingest.tidb.ddl.type_changes import conversion_steps


def columns_in_rows(columns: Iterable[SourceColumn]) -> tuple[SourceColumn, ...]:
    """Return the columns of silver: virtual generated ones, which rows lack, are left to whoever reads."""
    return tuple(column for column in columns if not column.virtual and not column.left_out)


@dataclass(frozen=True)
class Statement:
    """One DDL of a table."""

    query: str
    """Empty where the schema file was written without one."""
    version: int
    """Its commit_ts."""
    action: int = 0
    """TiDB's code of it."""


MODIFIES, MAY_ADD = 12, {0, 5, 37, 61}
"""TiDB's codes: changes a column; may add one, which 0 stands for where no statement is known."""


def evolve_columns(
    before: tuple[Column, ...],
    after: Iterable[SourceColumn],
    statement: Statement,
    key: Container[str] = (),
    hashed: Container[str] = (),
) -> tuple[Column, ...]:
    """Return silver's columns after one DDL.

    Args:
        before: silver's columns so far.
        after: columns of the new schema file, virtual generated ones left out.
        statement: what was done.
        key: names of the key's columns so far.
        hashed: names of columns of which the ledger has hashes.

    Raises:
        UnsupportedDdl: a column changed in a way that cannot be followed, or has a computed default.
    """
    columns, said = tuple(after), column_changes(statement.query)
    ids = {column.id: column for column in columns if column.id}
    known = {column.now.id: column for column in before if column.now.id in ids}
    # those that no id finds again are told apart by name
    rest = [column for column in before if column.now.id not in known]
    found = []
    for column in columns:
        old = known.get(column.id) or _named(rest, column, said, statement)
        if old is None:
            _require_added(rest, columns, column, said, statement)
            found.append(_added(column, statement))
        else:
            found.append(_changed(old, column, statement.version, old.name in key, old.name in hashed))
    return tuple(found)


def _added(now: SourceColumn, statement: Statement) -> Column:
    try:
        return Column(now, ((0, now.name),), statement.version, default_of_older_rows(now, statement.query))
    except ComputedDefault as error:
        raise UnsupportedDdl(str(error)) from error


def _changed(old: Column, now: SourceColumn, version: int, of_key: bool, hashed: bool) -> Column:
    steps = _steps(old, now, of_key, hashed)
    names = old.names if old.name == now.name else (*old.names, (version, now.name))
    casts = (*old.casts, (version, steps)) if steps else old.casts
    return replace(old, now=now, names=names, casts=casts)


def _named(before: list[Column], now: SourceColumn, said: ColumnChanges, statement: Statement) -> Column | None:
    """Return the column that `now` was by its name, None where it is a new one."""
    name = now.name.lower()
    origin = said.renames.get(name, name)
    renamed_away = origin in said.renames.values() and name not in said.renames
    # a column that is there already stays the same one where ADD COLUMN IF NOT EXISTS names it
    added = name in said.added and (name not in said.if_not_exists or name in said.dropped)
    old = None if added or renamed_away else next((c for c in before if c.name.lower() == origin), None)
    if old is None or not now.id or not old.now.id:
        return old
    if name in said.modified or name in said.renames or (statement.action == MODIFIES and not statement.query):
        return old  # its rows were rewritten
    raise UnsupportedDdl(
        f"gives column {now.name} another ColumnId ({old.now.id}, now {now.id}) and does not modify it"
    )


def _require_added(
    before: list[Column], after: tuple[SourceColumn, ...], now: SourceColumn, said: ColumnChanges, statement: Statement
) -> None:
    """Raise UnsupportedDdl unless the statement proves that a column is new."""
    name = now.name.lower()
    if name in said.added:
        return
    kept = {column.name.lower() for column in after if column is not now} | said.dropped | set(said.renames.values())
    lost = [column.name for column in before if column.name.lower() not in kept]
    if lost:
        raise UnsupportedDdl(f"removes {', '.join(lost)}, adds {now.name}, and does not state whether that is a rename")
    if name in said.renames:
        raise UnsupportedDdl(f"renames column {said.renames[name]}, which is not known, to {now.name}")
    if statement.action not in MAY_ADD:
        raise UnsupportedDdl(f"does not add column {now.name}, which is new in the schema file")


def _steps(old: Column, now: SourceColumn, of_key: bool, hashed: bool) -> tuple[Step, ...]:
    """Return the conversion steps of a column's older values."""
    before = old.now
    what = f"column {now.name}" if before.name == now.name else f"column {before.name}, now {now.name},"
    change = f"changes {what} from {before.sql} to {now.sql}"
    steps = conversion_steps(before, now)
    if steps is None:
        raise UnsupportedDdl(f"{change}: this conversion is not supported")
    if steps and hashed:
        raise UnsupportedDdl(f"{change}: the ledger has only hashes of its values, so they cannot be checked")
    if of_key and not keeps_text(steps):
        raise UnsupportedDdl(f"{change}: the text of the key changes, so newer rows would not match older ones")
    return steps
