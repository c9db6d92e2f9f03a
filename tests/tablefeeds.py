"""Small feeds of single tables on disk, and what comes of them without Spark: rows of the ledger, silver by key."""

import json

from jobs.ingest.loading.storage import read
from jobs.ingest.loading.stream import BAD, CHANGE
from jobs.ingest.tidb.dumpling.export import read_export
from jobs.ingest.tidb.job import _read
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.ticdc.schema_files import checksum
from jobs.ingest.tidb.ticdc.sink_listing import read_feed
from jobs.settings.ingest import Ingest

BASE = 10**17
"""What is added to versions and commit_ts: TiCDC's have that many digits."""


def entry(text):
    """Return a column as a schema file has it, from `name TYPE [!|pk]`: `!` is NOT NULL."""
    name, kind, *more = text.split()
    made = {"ColumnName": name, "ColumnType": kind.upper()}
    made |= {"ColumnPrecision": "50"} if kind.upper() == "VARCHAR" else {}
    made |= {"ColumnNullable": "false"} if more else {}
    return made | ({"ColumnIsPk": "true"} if more == ["pk"] else {})


class TableFeed:
    """A feed's folder: `ddl` writes a schema file, `rows` a data file below it."""

    def __init__(self, root, protocol="json", header=False, old_value=False):
        self.root, self.protocol, self.header, self.old_value = root, protocol, header, old_value
        self.checkpoint = 10_000
        root.mkdir(parents=True, exist_ok=True)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def ddl(self, version, table, query, columns, action=3):
        """Write a schema file; columns are written `name TYPE`, `name TYPE !` or `name TYPE pk`."""
        version, (schema, _, name) = BASE + version, table.partition(".")
        body = {"Table": name, "Schema": schema, "Version": 1, "TableVersion": version, "Query": query, "Type": action}
        body |= {"TableColumns": [entry(column) for column in columns], "TableColumnsTotal": len(columns)}
        self.write(f"{schema}/{name}/meta/schema_{version}_{checksum(body):010d}.json", json.dumps(body))

    def rows(self, version, table, changes, number=1):
        """Write a data file; each change is (op, commit_ts, row) or (op, commit_ts, row, old)."""
        schema, _, name = table.partition(".")
        form = self._json if self.protocol == "json" else self._csv
        lines = [form(schema, name, *change) for change in changes]
        if self.header and self.protocol == "csv":
            lines.insert(0, "ticdc-meta$operation,ticdc-meta$table,ticdc-meta$schema,ticdc-meta$commit-ts,and,more")
        folder = f"{schema}/{name}/{BASE + version}"
        self.write(f"{folder}/CDC{number:06d}.{self.protocol}", "".join(line + "\r\n" for line in lines))
        self.write(f"{folder}/meta/CDC.index", f"CDC{number:06d}.{self.protocol}\n")

    def _json(self, schema, name, op, ts, row, old=None):
        def texts(values):
            return {key: None if value is None else str(value) for key, value in values.items()}

        kind = {"I": "INSERT", "U": "UPDATE", "D": "DELETE"}[op]
        body = {"id": 0, "database": schema, "table": name, "pkNames": [], "isDdl": False, "type": kind, "es": ts}
        body |= {"data": [texts(row)], "old": [texts(old)] if old else None, "_tidb": {"commitTs": BASE + ts}}
        return json.dumps(body)

    def _csv(self, schema, name, op, ts, row, *_):
        values = [f'"{v}"' if isinstance(v, str) else r"\N" if v is None else str(v) for v in row.values()]
        meta = [f'"{op}"', f'"{name}"', f'"{schema}"', str(BASE + ts)]
        return ",".join([*meta, *(["false"] if self.old_value else []), *values])


def write_export(root, tso, tables):
    """Write an export; tables: schema.table -> (CREATE TABLE, header, lines of CSV)."""
    root.mkdir(parents=True, exist_ok=True)
    told = f"Started dump at: 2026-01-01 00:00:00\nSHOW MASTER STATUS:\n\tLog: tidb-binlog\n\tPos: {BASE + tso}\n\n"
    (root / "metadata").write_text(told + "Finished dump at: 2026-01-01 00:00:01\n")
    for name, (create, header, lines) in tables.items():
        (root / f"{name}-schema.sql").write_text(create + ";\n")
        if lines:
            (root / f"{name}.000000000.csv").write_text("\r\n".join([header, *lines]) + "\r\n")
    return root


def sources_of(feed, export=None, **settings):
    """Return what one run makes of a feed, its changefeed's file included where there is one."""
    (feed.root / "metadata").write_text(f'{{"checkpoint-ts":{BASE + feed.checkpoint}}}')
    return join(read_feed(str(feed.root)), read_export(str(export)) if export else None, Ingest(**settings))


def ledger_of(sources):
    """Return the good rows and the bad ones, as `op`, `key`, `before`, `after`, and so on, by table."""
    good, bad = {}, {}
    for item in sources.items:
        task = item.task
        for batch in _read(task, read(task.root, task.path)):
            for row in batch.to_pylist():
                if row["kind"] in (CHANGE, BAD):
                    (good if row["kind"] == CHANGE else bad).setdefault(task.table, []).append(row)
    return good, bad


def silver_of(sources, table):
    """Return the rows of a table as silver has them: the newest per key, columns of silver alone."""
    told = sources.tables[table]
    rows = ledger_of(sources)[0].get(table, [])
    rows = [row for row in rows if told.blocked_from_ts is None or row["_commit_ts"] < told.blocked_from_ts]
    newest = {}
    for row in sorted(rows, key=lambda row: (row["_commit_ts"], row["_op_rank"])):
        newest[row["key"]] = row
    names = [column.name for column in told.columns]
    live = [dict(row["after"]) for row in newest.values() if row["op"] != "D"]
    return sorted((tuple(row.get(name) for name in names) for row in live), key=repr)
