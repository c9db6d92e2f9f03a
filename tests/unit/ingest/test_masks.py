"""Columns that must not be written, from every kind of file."""

import json

import pyarrow as pa
import pytest

from jobs.common.errors import ConfigError
from jobs.ingest.loading.stream import BAD, CHANGE, Task
from jobs.ingest.tidb.ddl.source_column import Column, SourceColumn
from jobs.ingest.tidb.dumpling.csv import Dialect as DumpDialect
from jobs.ingest.tidb.dumpling.reader import DumpSpec, read_dump
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.rows.masks import Masks, masks_of
from jobs.ingest.tidb.tables.source_table import SourceTable, masked_table
from jobs.ingest.tidb.ticdc.canal import read_canal
from jobs.ingest.tidb.ticdc.csv_records import Dialect
from jobs.ingest.tidb.ticdc.feed_csv import CsvSpec, read_feed_csv
from jobs.settings.ingest import Ingest, TableRules

COLUMNS = (
    SourceColumn("email", "VARCHAR", length=30, nullable=False),
    SourceColumn("born", "DATE"),
    SourceColumn("n", "INT"),
)
MASKS = Masks({"email": "hash", "born": "null"}, b"s3cret")
SPEC = RowSpec("app", "t", 7, COLUMNS, ("email",), masks=MASKS)
CANAL = json.dumps(
    {
        "database": "app", "table": "t", "type": "UPDATE", "_tidb": {"commitTs": 9},
        "data": [{"email": "a@b.c", "born": "1990-01-02", "n": "1"}], "old": [{"n": "0"}],
    }
).encode()  # fmt: skip
FILES = {
    "canal": (read_canal, SPEC, CANAL),
    "csv": (read_feed_csv, CsvSpec(SPEC, Dialect(), False, "base64"), b'"U","t","app",9,"a@b.c","1990-01-02",1\r\n'),
    "dump": (read_dump, DumpSpec(SPEC, 9, DumpDialect()), b'"email","born","n"\r\n"a@b.c","1990-01-02",1\r\n'),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_masked_value_is_the_same_hash_in_every_file_and_in_the_key(kind):
    reader, spec, content = FILES[kind]
    task = Task("ticdc", "/", "f", 1, "app.t", spec, personal=True)
    rows = [row for batch in reader(task, content) for row in batch.to_pylist()]
    (row,) = [row for row in rows if row["kind"] == CHANGE]
    assert dict(row["after"]) == {"email": MASKS.digest("a@b.c"), "born": None, "n": "1"}
    assert json.loads(row["key"]) == [MASKS.digest("a@b.c")]
    assert "a@b.c" not in repr(rows)
    assert "1990" not in repr(rows)


@pytest.mark.parametrize("kind", FILES)
def test_a_bad_row_of_a_masked_table_keeps_its_place_and_not_its_bytes(kind):
    reader, spec, content = FILES[kind]
    task = Task("ticdc", "/", "f", 1, "app.t", spec, personal=True)
    rows = [row for b in reader(task, content.replace(b"1990-01-02", b"1990-99-02")) for row in b.to_pylist()]
    (bad,) = [row for row in rows if row["kind"] == BAD]
    assert (bad["row_no"], bad["reason"], bad["raw"]) == (1, "bad_value", None)
    assert "1990" not in repr(rows)


def test_hashed_columns_are_text_and_their_default_is_hashed():
    born = Column(SourceColumn("email", "INT", True), ((0, "email"),), 20, "7")
    table = masked_table(SourceTable("app", "t", columns=(born,)), MASKS)
    assert (table.columns[0].now.spark, table.columns[0].default) == ("string", MASKS.digest("7"))


def test_rules_come_from_the_settings_and_the_secret_from_the_environment(monkeypatch):
    tables = {"app.t": TableRules(mask={"email": "hash", "born": "null"})}
    made = masks_of(Ingest(tables=tables, mask_secret="s3cret"), "app.t", ("email",))
    assert made == MASKS
    assert "s3cret" not in repr(made)
    assert masks_of(Ingest(), "app.t") == Masks()
    with pytest.raises(ConfigError, match="PINLAKE_INGEST__MASK_SECRET"):
        masks_of(Ingest(tables=tables), "app.t")
    with pytest.raises(ConfigError, match="born is part of the key"):
        masks_of(Ingest(tables=tables, mask_secret="x"), "app.t", ("born",))


def test_nulls_stay_null():
    assert MASKS.covered("email", pa.array([None, "x", "x"], pa.string())).to_pylist() == [
        None, MASKS.digest("x"), MASKS.digest("x"),
    ]  # fmt: skip
