"""canal-json to ledger rows: values, order, and a reason for every line that cannot be used."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.loading.stream import BAD, CHANGE, FILE, Task
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.ticdc.canal import read_canal

COLUMNS = (
    SourceColumn("id", "BIGINT", True, nullable=False),
    SourceColumn("name", "VARCHAR", length=20),
    SourceColumn("kind", "ENUM", members=("red", "blue")),
    SourceColumn("tags", "SET", members=("a", "b", "c")),
    SourceColumn("raw", "VARBINARY"),
    SourceColumn("at", "TIMESTAMP", scale=6),
    SourceColumn("day", "DATE"),
    SourceColumn("price", "DECIMAL", length=6, scale=2),
)
SPEC = RowSpec("app", "t", 7, COLUMNS, ("id",))
TSO = 470650142710824961
FULL = {
    "id": "18446744073709551615", "name": "é\u2028", "kind": "2", "tags": "5", "raw": "\u00bf\u0000",
    "at": "2026-01-02 03:04:05.060000", "day": "0000-00-00", "price": "-12.50",
}  # fmt: skip


def message(kind="INSERT", data=None, old=None, tso=TSO, **more):
    body = {"database": "app", "table": "t", "type": kind, "old": old and [old], "data": [data or FULL]}
    return body | {"_tidb": {"commitTs": tso}} | more


def read(content, spec=SPEC):
    if not isinstance(content, bytes):
        content = b"\r\n".join(json.dumps(m).encode() for m in content)
    rows = [
        row for batch in read_canal(Task("ticdc", "/", "f", 1, "app.t", spec), content) for row in batch.to_pylist()
    ]
    (end,) = [row for row in rows if row["kind"] == FILE]
    good, bad = ([row for row in rows if row["kind"] == kind] for kind in (CHANGE, BAD))
    assert end["rows"] == len(good) + len(bad), "every row is one or the other"
    return good, bad


def test_values_become_canonical_text():
    (row,), bad = read([message()])
    assert bad == []
    after = dict(row["after"])
    assert after == FULL | {"kind": "blue", "tags": "a,c", "raw": "bf00"}
    assert (row["op"], row["_commit_ts"], row["_op_rank"]) == ("I", TSO, 1)
    assert (row["key"], row["table"], row["table_version"], row["row_no"]) == (f'["{FULL["id"]}"]', "app.t", 7, 1)
    assert row["before"] is None


def test_a_delete_ranks_below_an_insert_and_keeps_the_old_row():
    (row,), _ = read([message("DELETE")])
    assert (row["op"], row["_op_rank"], row["after"]) == ("D", 0, None)
    assert dict(row["before"])["price"] == "-12.50"


def test_an_update_keeps_just_what_was_sent_of_the_old_row():
    (row,), _ = read([message("UPDATE", old={"name": None})])
    assert dict(row["before"]) == {"name": None}
    assert row["op"] == "U"


def test_an_update_of_the_key_is_a_delete_and_an_insert():
    good, bad = read([message("UPDATE", old=FULL | {"id": "3"})])
    assert bad == []
    assert [(r["op"], r["key"], r["_op_rank"]) for r in good] == [("D", '["3"]', 0), ("I", f'["{FULL["id"]}"]', 1)]
    assert {r["_commit_ts"] for r in good} == {TSO}


def test_line_ends_may_be_lf_crlf_or_missing_and_blank_lines_are_no_rows():
    lines = [json.dumps(message(tso=TSO + i)).encode() for i in range(3)]
    good, bad = read(lines[0] + b"\n\r\n" + lines[1] + b"\r\n" + lines[2])
    assert bad == []
    assert [row["row_no"] for row in good] == [1, 3, 4]


def test_a_text_key_is_told_apart_from_every_other():
    spec = RowSpec("app", "t", 7, COLUMNS, ("id", "name"))
    good, _ = read([message(data=FULL | {"id": "1", "name": name}) for name in ('a","b', "a", "\\", "é")], spec)
    assert [json.loads(row["key"]) for row in good] == [["1", 'a","b'], ["1", "a"], ["1", "\\"], ["1", "é"]]


def test_timestamps_are_taken_to_utc_and_other_times_left_alone():
    spec = RowSpec("app", "t", 7, (*COLUMNS, SourceColumn("dt", "DATETIME")), ("id",), "Asia/Shanghai")
    (row,), _ = read([message(data=FULL | {"dt": "2026-01-02 03:04:05"})], spec)
    assert dict(row["after"])["at"] == "2026-01-01 19:04:05.060000"
    assert dict(row["after"])["dt"] == "2026-01-02 03:04:05"


def test_a_generated_column_may_be_missing():
    spec = RowSpec("app", "t", 7, (*COLUMNS, SourceColumn("g", "INT", generated=True)), ("id",))
    (row,), bad = read([message()], spec)
    assert bad == []
    assert "g" not in dict(row["after"])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{nonsense", "bad_json"),
        (b"[1]", "bad_json"),
        (b'"text"', "bad_json"),
        (b'{"type": "INSERT", "name": "\xff"}', "bad_json"),
        (json.dumps(message("QUERY")).encode(), "unknown_type"),
        (json.dumps(message(type=[1])).encode(), "unknown_type"),
        (json.dumps(message(table="other")).encode(), "wrong_table"),
        (json.dumps(message(_tidb=None)).encode(), "missing_commit_ts"),
        (json.dumps(message(tso="7")).encode(), "missing_commit_ts"),
        (json.dumps(message(tso=4.7e17)).encode(), "missing_commit_ts"),
        (json.dumps(message(data=FULL | {"id": None})).encode(), "null_key"),
        (json.dumps(message("UPDATE", old=FULL | {"id": None})).encode(), "null_key"),
        (json.dumps(message(data=FULL | {"extra": "1"})).encode(), "unknown_column"),
        (json.dumps(message(data={"id": "1"})).encode(), "missing_column"),
        (json.dumps(message(data=FULL | {"kind": "3"})).encode(), "unknown_member"),
        (json.dumps(message(data=FULL | {"tags": "8"})).encode(), "unknown_member"),
        (json.dumps(message(data=FULL | {"id": "18446744073709551616"})).encode(), "bad_value"),
        (json.dumps(message(data=FULL | {"name": 5.5})).encode(), "bad_value"),
        (json.dumps(message(data=FULL | {"raw": "\u20ac"})).encode(), "bad_value"),
        (json.dumps(message(data=FULL | {"day": "2026-02-32"})).encode(), "bad_value"),
        (json.dumps(message(data=FULL | {"price": "1.234"})).encode(), "bad_value"),
        (json.dumps(message(data=FULL | {"at": "now"})).encode(), "bad_value"),
        (json.dumps(message("UPDATE")).encode(), "missing_row"),
        (json.dumps(message() | {"data": []}).encode(), "missing_row"),
        (json.dumps(message() | {"data": {}}).encode(), "bad_json"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_kept_with_its_bytes_and_reason(line, reason):
    good, bad = read(line + b"\r\n" + json.dumps(message()).encode())
    assert len(good) == 1, "the line after it is not harmed"
    (row,) = bad
    assert (row["reason"], row["raw"], row["row_no"], row["path"]) == (reason, line, 1, "f")
    assert row["detail"]


def test_fixtures_without_order_or_with_a_broken_line_are_set_aside(shared):
    folder = shared / "fixtures/ticdc/canal_json"
    names = ("id", "first_name", "last_name", "_tidb_origin_ts", "_tidb_softdelete_time")
    kinds = ("INT", "VARCHAR", "VARCHAR", "BIGINT", "TIMESTAMP")
    columns = tuple(SourceColumn(n, k) for n, k in zip(names, kinds, strict=True))
    spec = RowSpec("test_active", "message", 1, columns, ("id",))
    good, bad = read((folder / "active_active_message_crlf.json").read_bytes(), spec)
    assert (len(good), len(bad)) == (8, 0)
    spec = RowSpec("test_active", "message2", 1, columns, ("id", "first_name"))
    good, bad = read((folder / "invalid_first_line_crlf.json").read_bytes(), spec)
    assert [row["reason"] for row in bad] == ["bad_json"]
    assert [row["key"] for row in good] == ['["100","a"]']
    employee = ("id", "LastName", "FirstName", "HireDate", "OfficeLocation")
    spec = RowSpec("test", "employee", 1, tuple(SourceColumn(n, "VARCHAR") for n in employee), ("id",))
    good, bad = read((folder / "CDC000001_employee_lf_no_tidb.json").read_bytes(), spec)
    assert (good, {row["reason"] for row in bad}, len(bad)) == ([], {"missing_commit_ts"}, 3)


@given(st.data())
def test_whatever_happens_to_the_bytes_every_line_is_accounted_for(data):
    lines = [json.dumps(message(tso=TSO + i)).encode() for i in range(3)]
    content = bytearray(b"\n".join(lines))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    good, bad = read(bytes(content))
    held = [line for line in bytes(content).split(b"\n") if line.strip()]
    assert {row["row_no"] for row in good + bad} == {
        n for n, line in enumerate(bytes(content).split(b"\n"), 1) if line.removesuffix(b"\r").strip()
    }
    assert len(good) + len(bad) >= len(held)
