"""Dumpling's SQL and Parquet, hand-worked; and how the options of a CSV are found out."""

import io
from datetime import datetime
from decimal import Decimal

import cramjam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.common.errors import SourceError
from jobs.ingest.loading.storage import read, read_head
from jobs.ingest.loading.stream import BAD, CHANGE, FILE, Task
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling.csv_records import Dialect
from jobs.ingest.tidb.dumpling.options import Sample, detect
from jobs.ingest.tidb.dumpling.reader import DumpSpec, read_dump
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.settings.ingest import Dumpling

COLUMNS = (
    SourceColumn("id", "BIGINT", unsigned=True, nullable=False),
    SourceColumn("name", "VARCHAR", length=50),
    SourceColumn("raw", "BLOB"),
    SourceColumn("flag", "BIT", length=1),
)


def rows(content, form, columns=COLUMNS, **dialect):
    spec = DumpSpec(RowSpec("app", "t", 5, columns, ("id",)), 5, Dialect(**dialect), form)
    found = [row for b in read_dump(Task("dumpling", "/", "f", 1, "app.t", spec), content) for row in b.to_pylist()]
    (end,) = [row for row in found if row["kind"] == FILE]
    good, bad = ([row for row in found if row["kind"] == kind] for kind in (CHANGE, BAD))
    assert end["rows"] == len(good) + len(bad)
    return [dict(row["after"]) for row in good], sorted(bad, key=lambda row: row["row_no"] or 0)


SQL = rb"""/*!40014 SET FOREIGN_KEY_CHECKS=0*/;
/*!40101 SET NAMES binary*/;
INSERT INTO `t` VALUES
(18446744073709551615,'it\'s ''a'' \"b\" \\ \n (1,2),',x'00ff',x'01'),
(2,NULL,NULL,NULL);
INSERT INTO `t` (`name`,`flag`,`id`,`raw`) VALUES
('caf\xc3\xa9',x'00',3,_binary 'a\0b');
""".replace(rb"\xc3\xa9", "é".encode())


def test_sql_values_of_every_kind_are_read_in_the_tables_order():
    good, bad = rows(SQL, "sql")
    assert bad == []
    assert good == [
        {"id": "18446744073709551615", "name": "it's 'a' \"b\" \\ \n (1,2),", "raw": "00ff", "flag": "1"},
        {"id": "2", "name": None, "raw": None, "flag": None},
        {"id": "3", "name": "café", "raw": "610062", "flag": "0"},
    ]
    content = b"INSERT INTO `t` VALUES (1,'a\\','x',x'01'),\n(2,'''',NULL,NULL);"
    good, _ = rows(content, "sql", escape_backslash=False)
    assert [row["name"] for row in good] == ["a\\", "'"]


def test_a_broken_tuple_is_set_aside_and_the_others_keep_their_numbers():
    tuples = b"(1,'a',NULL,NULL),\n(2,'b' NULL),\n(3,'c'),\n(4,nope,NULL,NULL),\n(5,'e',NULL,NULL);\n"
    good, bad = rows(b"INSERT INTO `t` VALUES\n" + tuples, "sql")
    assert [row["id"] for row in good] == ["1", "5"]
    assert [(row["row_no"], row["reason"], row["raw"].strip()) for row in bad] == [
        (2, "bad_sql", b"(2,'b' NULL),"),
        (3, "field_count", b"(3,'c')"),
        (4, "bad_sql", b"(4,nope,NULL,NULL),"),
    ]
    good, bad = rows(b"DROP TABLE t;", "sql")
    assert (good, bad[0]["reason"], bad[0]["row_no"]) == ([], "bad_sql", None)


def test_parquet_values_read_as_the_text_of_the_other_formats():
    columns = (
        *COLUMNS,
        SourceColumn("price", "DECIMAL", length=10, scale=2),
        SourceColumn("at", "DATETIME", scale=3),
        SourceColumn("day", "DATE"),
        SourceColumn("f", "DOUBLE"),
        SourceColumn("kind", "ENUM", members=("a", "b")),
    )
    table = pa.table(
        {
            "id": pa.array([Decimal(18446744073709551615), Decimal(2)], pa.decimal128(20, 0)),
            "name": ["x", None],
            "raw": [b"\x00\xff", None],
            "flag": [b"\x01", None],
            "price": pa.array([Decimal("-1.50"), None], pa.decimal128(10, 2)),
            "at": pa.array([datetime(2026, 1, 2, 3, 4, 5, 678000), None], pa.timestamp("us")),
            "day": ["2026-01-02", None],
            "f": [0.1, None],
            "kind": ["b", None],
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    good, bad = rows(file.getvalue(), "parquet", columns)
    assert bad == []
    assert good[0] == {
        "id": "18446744073709551615", "name": "x", "raw": "00ff", "flag": "1", "price": "-1.50",
        "at": "2026-01-02 03:04:05.678", "day": "2026-01-02", "f": "0.1", "kind": "b",
    }  # fmt: skip
    assert set(good[1].values()) == {"2", None}
    good, bad = rows(file.getvalue()[:-9], "parquet", columns)
    assert (good, bad[0]["reason"]) == ([], "bad_parquet")


OPTIONS = [
    ({}, b'"id","name","raw","flag"\r\n1,"a\\"b","\xff\\0",\\N\r\n'),
    ({"escape_backslash": False}, b'"id","name","raw","flag"\r\n1,"a""b\\",\\N,"\x01"\r\n'),
    ({"header": False, "separator": "|", "null": ""}, b'1|"a"|"\xff"|\r\n2|"b"||"\x00"\r\n'),
    ({"separator": "\t", "binary": "hex"}, b'"id"\t"name"\t"raw"\t"flag"\n1\t"a"\t"00ff"\t"01"\n'),
    ({"binary": "base64", "escape_backslash": False}, b'"id","name","raw","flag"\n1,"say ""hi""","AP8=","AQ=="\n'),
    ({"quote": "'", "null": "NULL"}, b"'id','name','raw','flag'\n1,'a,\\'b',NULL,NULL\n"),
]


@pytest.mark.parametrize(("wanted", "head"), OPTIONS)
def test_options_are_found_out_from_the_files(wanted, head):
    assert detect([Sample(COLUMNS, head)], Dumpling()) == Dialect(**wanted)
    assert detect([Sample(COLUMNS, head + head[-9:-1]), Sample(COLUMNS, b"")], Dumpling()) == Dialect(**wanted)


def test_what_is_told_is_not_looked_for_and_nothing_to_see_means_dumplings_defaults():
    assert detect([], Dumpling()) == Dialect()
    told = Dumpling(escape_backslash=False, binary="hex", separator="|", null="-", header=False, quote="'")
    head = b"1|'it''s'|'00ff'|-\n"
    assert detect([Sample(COLUMNS, head)], told) == Dialect(False, "hex", "|", "-", False, "'")
    with pytest.raises(SourceError, match="fit no dialect"):
        detect([Sample(COLUMNS, OPTIONS[0][1])], told)
    # text that is hex by chance stays what it is: nothing says that it cannot be raw
    assert detect([Sample(COLUMNS[:3], b'"id","name","raw"\n1,"a","00ff"\n')], Dumpling()).binary == "raw"


def test_a_snappy_stream_is_decompressed_and_a_cut_one_is_said(tmp_path):
    stream = bytes(cramjam.snappy.compress(b"hello " * 1000 + b"end"))
    (tmp_path / "a.csv.snappy").write_bytes(stream)
    assert read(str(tmp_path), "a.csv.snappy") == b"hello " * 1000 + b"end"
    assert read_head(str(tmp_path), "a.csv.snappy", 8) == b"hello he"
    (tmp_path / "b.csv.snappy").write_bytes(stream[:-2])
    with pytest.raises(OSError, match="cannot be decompressed"):
        read(str(tmp_path), "b.csv.snappy")
