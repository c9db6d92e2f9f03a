"""Lines read many at once say what they say one by one; where that is not certain, they are not read at once."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.ingest.intake.rows import RowSpec
from jobs.ingest.intake.stream import Task
from jobs.ingest.tables.mysql import SourceColumn
from jobs.ingest.ticdc import canal
from jobs.ingest.ticdc.canal_columns import read_columns

SPEC = RowSpec(
    "app",
    "t",
    7,
    (
        SourceColumn("id", "BIGINT", nullable=False),
        SourceColumn("a", "VARCHAR", length=40),
        SourceColumn("b", "VARCHAR", length=40),
        SourceColumn("old", "VARCHAR", length=40),
    ),
    ("id",),
)
TYPES = {"sqlType": {"id": -5, "a": 12, "b": 12}, "mysqlType": {"id": "bigint", "a": "varchar", "b": "varchar"}}


def row(key, a="x", b=None, old="y"):
    return {"id": str(key), "a": a, "b": b, "old": old}


def line(kind, data, old=None, tso=5, **more):
    head = {"id": 0, "database": "app", "table": "t", "pkNames": ["id"], "type": kind, "sql": ""} | TYPES
    body = head | {"old": old and [old], "data": [data], "_tidb": {"commitTs": tso}} | more
    return json.dumps(body, separators=(",", ":")).encode()


def ordinary(count):
    kinds = [("INSERT", None), ("UPDATE", "was"), ("DELETE", None)]
    return [
        line(kinds[at % 3][0], row(at, a=f'"quoted": {at}\\'), row(at, kinds[at % 3][1]) if at % 3 == 1 else None)
        for at in range(count)
    ]


def rows(content, spec=SPEC):
    task = Task("ticdc", "/", "f", len(content), "app.t", spec)
    return [found for batch in canal.read_canal(task, content) for found in batch.to_pylist()]


def one_by_one(content, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(canal, "_PATIENCE", 0)
        return rows(content)


def in_order(found):
    return sorted(found, key=lambda r: (r["kind"], r["row_no"] or 0, r["_op_rank"] or 0))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_ordinary_lines_are_read_at_once(end, monkeypatch):
    content = end.join(ordinary(900)) + end
    assert read_columns(SPEC, content) is not None
    assert rows(content) == one_by_one(content, monkeypatch)


def test_a_column_that_no_row_has_since_it_is_virtual(monkeypatch):
    columns = (*SPEC.columns, SourceColumn("v", "INT", generated=True))
    spec = RowSpec("app", "t", 7, columns, ("id",))
    content = b"\n".join(ordinary(600))
    assert read_columns(spec, content) is not None
    (first, *_) = rows(content, spec)
    assert dict(first["after"]) == {"id": "0", "a": '"quoted": 0\\', "b": None, "old": "y"}


odd = {
    "one column lacks, another is too many, both NULL": line("INSERT", {"id": "1", "a": "x", "c": None, "old": "y"}),
    "a column too many": line("INSERT", row(1) | {"c": "z"}),
    "a column lacks": line("INSERT", {"id": "1", "a": "x", "b": None}),
    "a number": line("INSERT", row(1) | {"a": 5}),
    "a key that changes": line("UPDATE", row(1), row(2)),
    "a key that is NULL": line("INSERT", row(1) | {"id": None}),
    "an update without its old row": line("UPDATE", row(1)),
    "an old row with what changed only": line("UPDATE", row(1), {"a": "was"}),
    "a delete with its key only": line("DELETE", {"id": "1"}),
    "no time": line("INSERT", row(1), _tidb=None),
    "another table": line("INSERT", row(1), table="u"),
    "another type": line("QUERY", row(1)),
    "two rows": line("INSERT", row(1)).replace(b'"data":[', b'"data":[' + json.dumps(row(2)).encode() + b","),
    "two objects in a line": line("INSERT", row(1)) + line("INSERT", row(2)),
    "no line": b"",
    "half a line": line("INSERT", row(1))[:80],
    "not UTF-8": line("INSERT", row(1, a="@")).replace(b"@", b"\xff"),
    "half a character": line("INSERT", row(1, a="@")).replace(b"@", b"\\udc00"),
    "a name twice": line("INSERT", row(1)).replace(b'"a":"x"', b'"a":"x","a":"z"'),
    "a space": line("INSERT", row(1)).replace(b'"a":', b'"a" :'),
}


@pytest.mark.parametrize("what", odd)
def test_a_line_out_of_the_ordinary_is_read_by_itself(what, monkeypatch):
    lines = ordinary(700)
    content = b"\n".join([*lines[:300], odd[what], *lines[300:]])
    assert read_columns(SPEC, content) is None
    assert in_order(rows(content)) == in_order(one_by_one(content, monkeypatch))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_happens_to_the_bytes_both_ways_agree(data):
    content = bytearray(b"\n".join(ordinary(400)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del content[at : at + data.draw(st.integers(1, 400))]
    with pytest.MonkeyPatch.context() as patched:
        assert in_order(rows(bytes(content))) == in_order(one_by_one(bytes(content), patched))


def test_a_file_of_odd_lines_is_not_halved_for_ever(monkeypatch):
    tried = []
    monkeypatch.setattr(canal, "read_columns", lambda *_: tried.append(1))
    assert len(rows(b"\n".join(ordinary(20_000)))) == 20_001
    assert len(tried) <= 20
