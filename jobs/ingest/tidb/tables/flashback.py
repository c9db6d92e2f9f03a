"""FLASHBACK TABLE, RECOVER TABLE and FLASHBACK DATABASE: the table returns with its rows, and no row event is sent.

In: the statement, and the tables dropped by then. Out: the table it recovers, or why that is ambiguous.
TiDB takes the one that was dropped or truncated last under the name in the statement.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jobs.ingest.tidb.ddl.sql_tokens import TableName, Token, qualified, tokens
from jobs.ingest.tidb.tables.tracked_table import TrackedTable

DROPPED, TRUNCATED, WITH_DATABASE = "dropped", "truncated", "dropped with its database"


@dataclass
class DroppedTable:
    """A dropped table, or the state of a table before it was truncated."""

    name: TableName
    """The last one it had."""
    version: int
    table: TrackedTable
    how: str = DROPPED
    back: bool = False
    """Whether it was recovered since."""


class AmbiguousRecovery(Exception):
    """Which table is recovered, or which rows it had, cannot be determined; the message states why."""


def recovered_table(query: str, schema: str) -> TableName | None:
    """Return the name that a FLASHBACK or RECOVER TABLE looks for, None where it names none (BY JOB).

    Args:
        query: the statement.
        schema: of a name without one.
    """
    words = list(tokens(query))
    said = [str(token) for token in words[:4]]
    if said[:2] not in (["FLASHBACK", "TABLE"], ["RECOVER", "TABLE"]) or len(words) < 3 or said[2:] == ["BY", "JOB"]:
        return None
    return qualified(words, 2, schema)[0]


def recovered_database(query: str, schema: str) -> tuple[str, str]:
    """Return the database that a FLASHBACK DATABASE recovers, and its new name.

    Args:
        query: the statement.
        schema: that the schema file is of.
    """
    words = [word for word in tokens(query) if word != Token("sign", ";")]
    if [str(token) for token in words[:2]] not in (["FLASHBACK", "DATABASE"], ["FLASHBACK", "SCHEMA"]):
        return schema, schema
    old = words[2].value if len(words) > 2 else schema
    return old, words[4].value if len(words) > 4 and str(words[3]) == "TO" else old


def find_dropped(
    gone: Iterable[DroppedTable], name: TableName, version: int, named: bool, with_database: bool = False
) -> DroppedTable:
    """Return the dropped table that a statement recovers.

    Args:
        gone: all that have ended.
        name: that it had last.
        version: commit_ts of the statement.
        named: whether the statement has that name, and so means the last table of it.
        with_database: whether it went and comes with its database.

    Raises:
        AmbiguousRecovery: none, or it may be another one.
    """
    mine = [one for one in gone if _same(one.name, name) and one.version < version]
    mine = [one for one in mine if (one.how == WITH_DATABASE) == with_database]
    if not named:
        mine = [one for one in mine if not one.back]
    if not mine:
        raise AmbiguousRecovery(f"recovers {'.'.join(name)}, of which no rows are known")
    last = max(mine, key=lambda one: one.version)
    if last.back or (len(mine) > 1 and not named):
        raise AmbiguousRecovery(f"recovers one of several tables named {'.'.join(name)}, and does not state which")
    return last


def find_dropped_database(
    gone: Iterable[DroppedTable], schema: str, drops: Iterable[int], version: int
) -> list[DroppedTable]:
    """Return the tables that are recovered with a database.

    Args:
        gone: all that have ended.
        schema: the database's name when it was dropped.
        drops: when databases of that name were dropped.
        version: commit_ts of the statement.

    Raises:
        AmbiguousRecovery: no drop of it is known, or it was recovered already.
    """
    last = max((at for at in drops if at < version), default=None)
    if last is None:
        raise AmbiguousRecovery(f"recovers database {schema}, of which no drop is known")
    mine = [one for one in gone if one.name[0] == schema and one.how == WITH_DATABASE and one.version == last]
    if any(one.back for one in mine):
        raise AmbiguousRecovery(f"recovers database {schema}, which was recovered before")
    return mine


def require_known_rows(one: DroppedTable, snapshot: bool) -> None:
    """Raise AmbiguousRecovery if a table had rows that never came to the lake.

    Args:
        one: the table.
        snapshot: whether the feed goes with a snapshot.
    """
    if snapshot and one.table.snapshot is None and one.table.segments[0].start == 0:
        raise AmbiguousRecovery(f"recovers {'.'.join(one.name)}, which is in no snapshot and had rows before the feed")


def _same(one: TableName, other: TableName) -> bool:
    return [part.lower() for part in one] == [part.lower() for part in other]
