"""Names of tables and columns: checks those in the settings, and blocks those that bronze or silver cannot have.

A table may be named in the settings before it exists; a name that nearly equals an existing one is a mistake, and the
column that it was to mask would be written as it is. Of two source tables with one silver table, the first keeps it in
later runs, until the source has it no more; the others are blocked.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from jobs.common.errors import ConfigError
from jobs.engine.checkpoints import Checkpoint, TableStatus
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.tables.schema_history import Version
from jobs.ingest.tidb.tables.source_table import SourceTable
from jobs.schema.bronze_silver import SILVER
from jobs.schema.names import alike, fits_partition, silver_table
from jobs.settings.ingest import Ingest, TableRules
from jobs.settings.names import near, suggestion

LOG = logging.getLogger(__name__)


def check_names(settings: Ingest, there: Iterable[TableName], versions: Mapping[TableName, Iterable[Version]]) -> None:
    """Reject misspelt names in ingest.tables, and log those that match nothing.

    Args:
        settings: of ingest.
        there: every table of the sources, those left out and those that are gone among them.
        versions: what is known of their columns.

    Raises:
        ConfigError: a mask or an exclusion is of a table that is nearly one of these; a column is nearly one of the
            table's. A key's column that is none of them holds the table later, and no other.
    """
    names = {".".join(name) for name in there}
    for name, rules in settings.tables.items():
        if name in names:
            _check_columns(name, rules, {c.name for one in versions.get(_parted(name), ()) for c in one.columns})
        elif names and "." in name and name not in settings.topics:
            _unknown(name, rules, names)


def _parted(name: str) -> TableName:
    schema, _, table = name.partition(".")
    return schema, table


def _unknown(name: str, rules: TableRules, names: Iterable[str]) -> None:
    schema = name.partition(".")[0].lower()
    mates = [one for one in names if one.partition(".")[0].lower() == schema]
    said = f"ingest.tables.{name}: the sources have no table of that name.{suggestion(name, mates)}"
    if (rules.mask or rules.exclude) and near(name, mates, 0.8):
        raise ConfigError(f"{said} Nothing was read: what it is to cover or to leave out would have come in.")
    LOG.warning("%s It applies once there is one.", said)


def _check_columns(name: str, rules: TableRules, columns: set[str]) -> None:
    if not columns:
        return
    for setting, column in _named(rules):
        # MySQL's names know no case; a mask is of the ledger's own, and must not miss
        if column in columns or (setting == "generated" and column.lower() in {one.lower() for one in columns}):
            continue
        said = f"ingest.tables.{name}.{setting}: the table has no column {column!r}.{suggestion(column, columns)}"
        if near(column, columns, 0.75):
            raise ConfigError(f"{said} There are: {', '.join(sorted(columns))}.")
        LOG.warning("%s It applies once there is one.", said)


def _named(rules: TableRules) -> Iterator[tuple[str, str]]:
    for setting in ("keys", "generated", "mask", "cluster"):
        for column in getattr(rules, setting):
            yield setting, column


Tables = dict[str, SourceTable]
Past = Mapping[str, Checkpoint]


def block_unwritable(tables: Tables, past: Past) -> None:
    """Hold the tables that silver cannot have, in place.

    Args:
        tables: those of this run, by full name; tables that have ended are left alone.
        past: newest row of ops.checkpoints by table.
    """
    live = {name: table for name, table in tables.items() if table.ended is None}
    for name, table in live.items():
        same = alike(column.name for column in table.columns)
        if same:
            tables[name] = table.block(
                0,
                f"{name} is blocked: its columns {', '.join(same)} differ in case only, which Spark cannot tell apart. "
                "Rename one at the source.",
            )
    for name, owner in _others(live, past).items():
        told = (
            f"{name} is blocked: silver table {live[name].silver} is that of {owner}, so it has no silver table of its "
            "own. Its changes wait in bronze. Rename it at the source, or ingest it into another lake; "
            f"ingest.tables.{name}.exclude: true leaves it out."
        )
        # whatever else it may be blocked for: that it has no silver is what exports and maintenance must know
        tables[name] = replace(tables[name], blocked_from_ts=0, blocked_reason=told, lacks_silver=True)


def _others(live: Tables, past: Past) -> dict[str, str]:
    """Return the tables whose silver table is another's, and whose it is."""
    registered = {table.name.lower(): table.source or "a Kafka topic" for table in SILVER}
    before = {
        silver_table(name).lower(): name
        for name, row in sorted(past.items())
        if not (name.startswith("kafka:") or row.status in {TableStatus.GONE, TableStatus.NO_SILVER})
    }
    wanted: dict[str, list[str]] = {}
    for name, table in live.items():
        wanted.setdefault(table.silver.lower(), []).append(name)
    found: dict[str, str] = {}
    for silver, names in wanted.items():
        kept = registered.get(silver)
        fit = [name for name in names if kept is None or name.lower() == kept.lower()]
        found |= {name: str(kept) for name in names if name not in fit}
        owner = _first(fit, live, before.get(silver)) if fit else None
        found |= {name: owner for name in fit if owner not in {None, name}}
    return found


def _first(names: list[str], live: Tables, before: str | None) -> str:
    """Return which table has the silver table.

    Args:
        names: tables that there are now.
        live: what is known of them.
        before: the table that had it after the last run.
    """
    if before is None or before in names:
        return before or min(names)
    # the same table under its new name, else one that this run may still have to empty
    return next((n for n in sorted(names) if before in {s.table for s in live[n].segments}), before)


def unwritable_names(names: Iterable[TableName]) -> dict[TableName, str]:
    """Return the tables whose rows bronze cannot keep apart from others', and why.

    Args:
        names: every (schema, table) that the sources hold.
    """
    by_text: dict[str, set[TableName]] = {}
    for name in names:
        by_text.setdefault(".".join(name), set()).add(name)
    found: dict[TableName, str] = {}
    for text, same in by_text.items():
        if len(same) > 1:
            which = " and ".join(f"table {table} of schema {schema}" for schema, table in sorted(same))
            why = f"{text} is blocked: {which} are both called so, so bronze could not separate their rows. Rename one."
            found |= dict.fromkeys(same, why)
        elif not fits_partition(text):
            why = (
                f"{text} is blocked: as the folder of a partition its name has more than the 255 bytes that file "
                "systems allow. Give the table or its schema a shorter name at the source."
            )
            found[next(iter(same))] = why
    return found
