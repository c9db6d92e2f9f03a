"""The genuine exports, every format and option, against the state they were taken from; nothing is told of them."""

import json
import math

import numpy as np
import pytest

from jobs.ingest.loading.storage import read
from jobs.ingest.loading.stream import CHANGE, FILE, Task
from jobs.ingest.tidb.dumpling.csv_records import Dialect
from jobs.ingest.tidb.dumpling.export import dialect_of, format_of, read_export
from jobs.ingest.tidb.dumpling.reader import DumpSpec, read_dump
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.settings.ingest import Dumpling

DIALECTS = {
    "csv-start": Dialect(),
    "csv-start-noescape-gzip": Dialect(escape_backslash=False, binary="base64"),
    "csv-end": Dialect(),
    "csv-end-rows-noheader": Dialect(header=False, separator="|", null="NULL"),
    "sql-start": Dialect(),
    "sql-end-zstd": Dialect(),
}


def rows_of(export, dialect, file, name):
    """Return the rows of one file, all of which must be good."""
    create = export.creates[name]
    spec = RowSpec(*name, export.tso, create.columns, create.key)
    dump = DumpSpec(spec, export.tso, dialect, format_of(file.path))
    task = Task("dumpling", export.root, file.path, file.size, ".".join(name), dump)
    rows = [row for batch in read_dump(task, read(export.root, file.path)) for row in batch.to_pylist()]
    assert [row for row in rows if row["kind"] not in {CHANGE, FILE}] == []
    assert rows[-1]["rows"] == len(rows) - 1
    return rows[:-1]


def same(column, found, wanted):
    if found is None or wanted is None:
        return found is wanted
    if column.type == "FLOAT":  # Dumpling keeps six digits of large ones
        return math.isclose(np.float32(found), np.float32(wanted), rel_tol=1e-5)
    if column.kind == "float":
        return float(found) == float(wanted)
    return (found.zfill(4) if column.type == "YEAR" else found) == wanted


@pytest.mark.parametrize("folder", DIALECTS)
def test_a_real_export_equals_the_state_it_was_taken_from(shared, folder):
    export = read_export(str(shared / "fixtures/dumpling-real" / folder))
    dialect = dialect_of(export, Dumpling())
    assert dialect == DIALECTS[folder]
    mark, found = "start" if "start" in folder else "end", {name: {} for name in export.creates}
    for file, name in export.data:
        for row in rows_of(export, dialect, file, name):
            assert (row["op"], row["_commit_ts"], row["_op_rank"]) == ("S", export.tso, 1)
            found[name][row["key"]] = dict(row["after"])
    for name, create in export.creates.items():
        lines = (shared / f"fixtures/ticdc-real/expected/{mark}/{'.'.join(name)}.jsonl").read_text().split("\n")
        wanted = [json.loads(line) for line in lines if line]
        assert len(found[name]) == len(wanted), name
        for row in wanted:
            made = found[name][json.dumps([row[k] for k in create.key], ensure_ascii=False, separators=(",", ":"))]
            columns = [column for column in create.columns if not column.generated]
            wrong = [c.name for c in columns if not same(c, made[c.name], row[c.name])]
            assert wrong == [], (name, row, wrong)
