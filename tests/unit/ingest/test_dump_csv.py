"""Dumpling's CSV: the escapes of its own tests, NULLs, bad records."""

import json

from jobs.ingest.loading.stream import BAD, CHANGE, FILE, Task
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling.csv_records import Dialect
from jobs.ingest.tidb.dumpling.reader import DumpSpec, read_dump
from jobs.ingest.tidb.rows.ledger_rows import RowSpec


def read(content, spec):
    task = Task("dumpling", "/", "f.csv", 1, "app.t", spec)
    rows = [row for batch in read_dump(task, content) for row in batch.to_pylist()]
    (end,) = [row for row in rows if row["kind"] == FILE]
    good, bad = ([row for row in rows if row["kind"] == kind] for kind in (CHANGE, BAD))
    assert end["rows"] == len(good) + len(bad)
    return good, bad


def _spec(columns, key, **dialect):
    return DumpSpec(RowSpec("app", "t", 5, columns, key), 5, Dialect(**dialect))


def test_the_escapes_of_dumplings_own_tests_are_undone(shared):
    cases = (shared / "fixtures/ticdc/dumpling/cases.jsonl").read_text().splitlines()
    tried = 0
    for case in map(json.loads, cases):
        if "encoded" not in case or case.get("quote") == "" or "kinds" in case or "header" in case:
            continue
        spec = _spec((SourceColumn("a", "VARCHAR"), SourceColumn("id", "INT")), ("id",), header=False,
                     escape_backslash=case.get("escape_backslash", True))  # fmt: skip
        good, bad = read(case["encoded"].encode().removesuffix(b"\n") + b",1\n", spec)
        assert bad == []
        assert dict(good[0]["after"])["a"] == case["value"]
        tried += 1
    assert tried >= 2


COLUMNS = (SourceColumn("id", "INT", nullable=False), SourceColumn("name", "VARCHAR"), SourceColumn("raw", "BLOB"))


def test_null_quoted_null_text_and_empty_text_are_three_things():
    content = b'"id","name","raw"\r\n1,\\N,\\N\r\n2,"\\\\N",""\r\n3,"","\\0\xff\\""\r\n'
    good, bad = read(content, _spec(COLUMNS, ("id",)))
    assert bad == []
    assert [dict(row["after"])["name"] for row in good] == [None, "\\N", ""]
    assert [dict(row["after"])["raw"] for row in good] == [None, "", "00ff22"]


def test_a_bad_record_is_kept_with_its_bytes_and_the_others_keep_their_numbers():
    content = b'"id","name","raw"\r\n1,"a\nb",\\N\r\n2,"x"\r\nx,"c",\\N\r\n4,"\xff",\\N\r\n5,"e",\\N'
    good, bad = read(content, _spec(COLUMNS, ("id",)))
    assert [(row["row_no"], row["key"]) for row in good] == [(1, '["1"]'), (5, '["5"]')]
    assert sorted((row["row_no"], row["reason"], row["raw"]) for row in bad) == [
        (2, "field_count", b'2,"x"'),
        (3, "bad_value", b'x,"c",\\N'),
        (4, "bad_value", b'4,"\xff",\\N'),
    ]


def test_columns_may_stand_in_another_order_and_a_wrong_header_refuses_the_file():
    good, _ = read(b'"name","raw","id"\r\n"n",\\N,7\r\n', _spec(COLUMNS, ("id",)))
    assert good[0]["key"] == '["7"]'
    good, bad = read(b'"id","name"\r\n1,"n"\r\n', _spec(COLUMNS, ("id",)))
    assert (good, [row["reason"] for row in bad], bad[0]["row_no"]) == ([], ["bad_csv"], None)


def test_generated_columns_are_not_in_the_file():
    columns = (*COLUMNS, SourceColumn("g", "INT", generated=True))
    good, bad = read(b'"id","name","raw"\r\n1,"n",\\N\r\n', _spec(columns, ("id",)))
    assert bad == []
    assert set(dict(good[0]["after"])) == {"id", "name", "raw"}


def test_an_empty_file_holds_no_rows():
    assert read(b"", _spec(COLUMNS, ("id",))) == ([], [])
    assert read(b'"id","name","raw"\r\n', _spec(COLUMNS, ("id",))) == ([], [])
