"""A reader that breaks down on a file: the file is one bad row, and the files after it are read."""

import pyarrow as pa
import pytest

from jobs.ingest.loading import batches
from jobs.ingest.loading.stream import BAD, CHANGE, FILE, LEDGER_FIELDS, Task, arrow_schema, batch
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.ledger_rows import RowSpec

SCHEMA = arrow_schema(LEDGER_FIELDS)
SPEC = RowSpec("app", "t", 5, (SourceColumn("id", "BIGINT"),), ("id",))


def breaks(task, content):
    """Hand back two rows a file, and break down on the file called bad after them."""
    yield batch(SCHEMA, task, CHANGE, 2, {"op": ["I", "I"]})
    if task.path == "bad":
        raise KeyError("e")
    yield batch(SCHEMA, task, FILE, 1, {"rows": [2]})


@pytest.mark.parametrize("limit", [100, 1], ids=["whole", "in blocks"])
@pytest.mark.parametrize("personal", [False, True])
def test_a_breakdown_costs_its_file_alone_and_says_where_it_was(tmp_path, limit, personal):
    rows = []
    for name in ("good", "bad", "later"):
        (tmp_path / name).write_bytes(b"{}\n{}\n")
        task = Task("ticdc", str(tmp_path), name, 6, "app.t", SPEC, personal)
        found = list(batches._read(task, breaks, SCHEMA, limit))
        assert all(isinstance(one, pa.RecordBatch) for one in found)
        rows += [row for one in found for row in one.to_pylist()]
    assert {row["path"] for row in rows if row["kind"] == CHANGE} == {"good", "bad", "later"}
    (bad,) = [row for row in rows if row["kind"] == BAD]
    assert (bad["path"], bad["row_no"], bad["reason"]) == ("bad", None, "reader_error")
    if not personal:
        assert "KeyError: 'e' (test_reader_errors.py, line" in bad["detail"]
    assert [row["rows"] for row in rows if row["kind"] == FILE and row["path"] == "bad"] == [1]


def test_a_file_that_is_gone_is_unreadable_and_no_bug(tmp_path):
    found = list(batches._read(Task("ticdc", str(tmp_path), "gone", 6, "app.t", SPEC), breaks, SCHEMA, 100))
    assert [one.to_pylist()[0]["reason"] for one in found if one["kind"][0].as_py() == BAD] == ["unreadable_file"]
