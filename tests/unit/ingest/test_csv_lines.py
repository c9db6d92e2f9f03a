"""A table's rows as CSV are read back byte for byte, by Python's csv and by our own reader of Dumpling's CSV."""

import csv
import io

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.csv_lines import csv_lines
from jobs.ingest.loading.stream import RejectedRows
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling.csv import parse
from jobs.ingest.tidb.dumpling.csv_records import Dialect
from jobs.ingest.tidb.rows.ledger_rows import RowSpec

COLUMNS = (SourceColumn("id", "INT"), SourceColumn('s "q"', "TEXT"), SourceColumn("n", "INT"))
SPEC = RowSpec("app", "t", 1, COLUMNS, ("id",))
TEXTS = [
    " lead", "trail ", "  ", "\t", "\\N", "", None, 'a"b', "back\\", 'a\\"b', '"', '""', "line\nbreak", "crlf\r\n",
    "\r", "\n", ",", "#x", "NULL", "é\u2028", "\0", "'",
]  # fmt: skip


def written(texts):
    columns = [[str(n) for n in range(len(texts))], texts, [None] * len(texts)]
    batch = pa.RecordBatch.from_arrays([pa.array(c, pa.string()) for c in columns], names=["id", 's "q"', "n"])
    lines = csv_lines(["id", 's "q"', "n"], [False, True, False], [batch.slice(0, 2), batch.slice(2)])
    return "".join(line + "\n" for one in lines for line in one.column(0).to_pylist())


def held(texts):
    content = written(texts)
    bad = RejectedRows()
    parsed = parse(SPEC, Dialect(escape_backslash=False), content.encode(), bad)
    assert len(bad) == 0
    assert parsed.table.column(1).to_pylist() == [None if text is None else text.encode() for text in texts]
    assert parsed.table.column(2).null_count == len(texts)
    rows = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    assert rows[0] == ["id", 's "q"', "n"]
    assert [row[1] for row in rows[1:]] == ["\\N" if text is None else text for text in texts]
    return content


def test_texts_are_written_byte_for_byte_and_null_is_no_text():
    content = held(TEXTS)
    assert '\n4,"\\N",\\N\n5,"",\\N\n6,\\N,\\N\n' in content


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=8), max_size=6))
def test_any_text_comes_back(texts):
    held(texts)


def test_a_table_without_rows_has_a_header():
    assert written([]) == '"id","s ""q""","n"\n'
