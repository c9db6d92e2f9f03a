"""A table's schema files in short, replayed: for tests of what DDL makes of it."""

from dataclasses import replace

from jobs.ingest.tidb.ddl.create_table import parse_create
from jobs.ingest.tidb.ddl.source_column import SourceColumn, base_type
from jobs.ingest.tidb.tables.ddl_replay import DdlReplay
from jobs.ingest.tidb.ticdc.schema_files import SchemaFile
from jobs.settings.ingest import TableRules

ID = SourceColumn("id", "BIGINT", nullable=False)


def column(told, number=""):
    """Return a column from its definition: `a DECIMAL(10,2) NOT NULL`; `number` is its ColumnId."""
    (made,) = parse_create(f"CREATE TABLE t ({told})", "test").columns
    base_type(made.type, told)
    return replace(made, id=str(number), default=None)


def schema(version, query, *columns, table="t", action=None, key=("id",), database="app"):
    """Return the schema file of a statement; the columns are definitions, or made ones."""
    made = [column(one) if isinstance(one, str) else one for one in columns]
    words = query.split()
    found = {"CREATE": 3, "DROP": 4, "TRUNCATE": 11, "RENAME": 14, "FLASHBACK": 25, "RECOVER": 25, "": 0}
    code = found.get(words[0] if words else "", 12) if action is None else action
    path = f"{database}/{table}/meta/schema_{version}_0.json"
    return SchemaFile(path, database, table, version, query, code, tuple(made), key)


def replayed(*files, checkpoint=1000, snapshots=None, unfit=None, rules=None):
    """Return all tables, by name, as of the checkpoint."""
    return DdlReplay(snapshots or {}, lambda _: rules or TableRules(), unfit).replay(files, checkpoint)


def spans(table):
    """Return the names that a table had, and when."""
    return [(segment.table, segment.start, segment.end) for segment in table.segments]
