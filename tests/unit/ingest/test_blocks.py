"""A file read in blocks says what it says whole, wherever it is cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.loading.stream import FILE, Task
from jobs.ingest.tidb.blocks import read_in_blocks, splitter_for
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling.csv_records import Dialect as DumpDialect
from jobs.ingest.tidb.dumpling.reader import DumpSpec, read_dump
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.ticdc.canal import read_canal
from jobs.ingest.tidb.ticdc.csv_records import Dialect
from jobs.ingest.tidb.ticdc.feed_csv import CsvSpec, read_feed_csv

SPEC = RowSpec("app", "t", 7, (SourceColumn("id", "BIGINT", nullable=False), SourceColumn("v", "TEXT")), ("id",))
TEXTS = ["x", "", 'a "b", c', "line\nend\r\n", "it's; (1,2),\n('", "\\", "é", "null", 'I","t","app"']


def canal(values):
    lines = [
        json.dumps({"database": "app", "table": "t", "type": "INSERT", "data": [{"id": str(n), "v": v}],
                    "_tidb": {"commitTs": n + 1}})
        for n, v in enumerate(values)
    ]  # fmt: skip
    return "\r\n".join([*lines[:1], "", "{broken", *lines[1:]]).encode()


def feed(values):
    quoted = ['"' + v.replace('"', '""') + '"' for v in values]
    return ("\r\n".join(f'"I","t","app",{n + 1},{n},{v}' for n, v in enumerate(quoted)) + "\r\n").encode()


def dumped(values):
    """Write backslash escapes as Dumpling does."""
    pairs = (("\\", "\\\\"), ("\r", "\\r"), ("\n", "\\n"), ('"', '\\"'))
    lines = ['"id","v"']
    for number, value in enumerate(values):
        text = value
        for char, code in pairs:
            text = text.replace(char, code)
        lines.append(f'{number},"{text}"')
    return "\r\n".join(lines).encode()


def doubled(values):
    quoted = ['"' + v.replace('"', '""') + '"' for v in values]
    return "\r\n".join(['"id","v"', *(f"{n},{v}" for n, v in enumerate(quoted))]).encode()


def sql(values):
    pairs = (("\\", "\\\\"), ("\r", "\\r"), ("\n", "\\n"), ("'", "\\'"))
    head, tuples = "/*!40101 SET NAMES binary*/;\nINSERT INTO `t` (`id`,`v`) VALUES\n", []
    for number, value in enumerate(values):
        text = value
        for char, code in pairs:
            text = text.replace(char, code)
        tuples.append(f"({number},'{text}')")
    half = len(tuples) // 2 + 1
    parts = [",\n".join(some) + ";\n" for some in (tuples[:half], tuples[half:]) if some]
    return "".join(head + part for part in parts).encode()


KINDS = {
    "canal": (canal, read_canal, SPEC),
    "feed": (feed, read_feed_csv, CsvSpec(SPEC, Dialect(), False, "base64")),
    "dump": (dumped, read_dump, DumpSpec(SPEC, 5, DumpDialect())),
    "doubled": (doubled, read_dump, DumpSpec(SPEC, 5, DumpDialect(escape_backslash=False))),
    "sql": (sql, read_dump, DumpSpec(SPEC, 5, DumpDialect(), "sql")),
}


@pytest.mark.parametrize("kind", KINDS)
@given(values=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=12), size=st.integers(1, 120))
def test_blocks_of_any_size_say_what_the_file_says(tmp_path_factory, kind, values, size):
    write, reader, spec = KINDS[kind]
    folder = tmp_path_factory.mktemp("blocks")
    (folder / "f").write_bytes(write(values))
    task = Task("ticdc", str(folder), "f", 1, "app.t", spec)
    whole = list(reader(task, (folder / "f").read_bytes()))
    cut = list(read_in_blocks(task, reader, splitter_for(spec), size))
    assert said(cut) == said(whole)
    assert sum(rows(cut)) == sum(rows(whole))


def said(batches):
    rows = [row for batch in batches for row in batch.to_pylist() if row["kind"] != FILE]
    return sorted(rows, key=lambda row: (row["row_no"], row["kind"]))


def rows(batches):
    return [row["rows"] for batch in batches for row in batch.to_pylist() if row["kind"] == FILE]


def test_a_format_that_cannot_be_split_is_read_whole():
    assert splitter_for(DumpSpec(SPEC, 5, DumpDialect(), "parquet")) is None
    assert splitter_for(DumpSpec(SPEC, 5, DumpDialect(escape_backslash=False), "sql")) is None
    assert splitter_for(None) is None
