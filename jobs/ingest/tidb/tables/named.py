"""Tables and columns that the settings name, held against those of the sources before anything is read.

A table that is not there yet may be named ahead; a name that is nearly one that is there is a slip, and what it was to
cover would be written as it is.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping

from jobs.common.errors import ConfigError
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.tables.versions import Version
from jobs.settings.ingest import Ingest, TableRules
from jobs.settings.names import near, suggestion

LOG = logging.getLogger(__name__)


def check_names(settings: Ingest, there: Iterable[TableName], versions: Mapping[TableName, Iterable[Version]]) -> None:
    """Refuse names of ingest.tables that are slips of others, and say which name nothing.

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
    LOG.warning("%s What it says holds once there is one.", said)


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
        LOG.warning("%s What it says holds once there is one.", said)


def _named(rules: TableRules) -> Iterator[tuple[str, str]]:
    for setting in ("keys", "generated", "mask", "cluster"):
        for column in getattr(rules, setting):
            yield setting, column
