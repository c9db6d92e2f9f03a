"""Lines read many at once say what they say one by one; where that is not certain, they are not read at once."""

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.ticdc import canal
from jobs.ingest.tidb.ticdc.canal_columns import read_columns
from tests.canal import canal_line, in_order, rows_of, rows_one_by_one, starts_of

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


def row(key, a="x", b=None, old="y"):
    return {"id": str(key), "a": a, "b": b, "old": old}


def line(kind, data, old=None, **more):
    return canal_line(SPEC, kind, data, old, **more)


@cache
def ordinary(count):
    """Return so many lines: the same each time, so that they are written once."""
    kinds = [("INSERT", None), ("UPDATE", "was"), ("DELETE", None)]
    return tuple(
        line(
            kinds[at % 3][0],
            row(at, a=f'"quoted": {at}\\'),
            row(at, kinds[at % 3][1]) if at % 3 == 1 else None,
            order=at,
        )
        for at in range(count)
    )


def rows(content, spec=SPEC):
    return rows_of(content, spec)


def one_by_one(content, monkeypatch):
    return rows_one_by_one(content, SPEC, monkeypatch)


def at_once(content, spec=SPEC):
    return read_columns(spec, content, starts_of(content))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_ordinary_lines_are_read_at_once(end, monkeypatch):
    content = end.join(ordinary(900)) + end
    assert at_once(content) is not None
    assert rows(content) == one_by_one(content, monkeypatch)


def test_a_column_that_no_row_has_since_it_is_virtual(monkeypatch):
    columns = (*SPEC.columns, SourceColumn("v", "INT", generated=True))
    spec = RowSpec("app", "t", 7, columns, ("id",))
    content = b"\n".join(ordinary(600))
    assert at_once(content, spec) is not None
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
    "a row that is none": line("INSERT", "text"),
    "half a line": line("INSERT", row(1))[:80],
    "not UTF-8": line("INSERT", row(1, a="@")).replace(b"@", b"\xff"),
    "half a character": line("INSERT", row(1, a="@")).replace(b"@", b"\\udc00"),
    "a name twice": line("INSERT", row(1)).replace(b'"a":"x"', b'"a":"x","a":"z"'),
    "a space": line("INSERT", row(1)).replace(b'"a":', b'"a" :'),
}


FEW = 20
"""So many lines are read one by one where the reader's own number would only make files longer."""


@pytest.mark.parametrize("what", odd)
def test_a_line_out_of_the_ordinary_is_read_by_itself(what, monkeypatch):
    monkeypatch.setattr(canal, "_FEW", FEW)
    lines = ordinary(55)
    content = b"\n".join([*lines[:24], odd[what], *lines[24:]])
    assert at_once(content) is None
    assert in_order(rows(content)) == in_order(one_by_one(content, monkeypatch))


@pytest.mark.parametrize("what", odd)
def test_a_line_out_of_the_ordinary_may_be_the_first_or_the_last(what, monkeypatch):
    monkeypatch.setattr(canal, "_FEW", FEW)
    lines = ordinary(24)
    for content in (b"\n".join([odd[what], *lines]), b"\r\n".join([*lines, odd[what], b""])):
        assert in_order(rows(content)) == in_order(one_by_one(content, monkeypatch))


@given(st.data())
def test_whatever_happens_to_the_bytes_both_ways_agree(data):
    content = bytearray(b"\n".join(ordinary(50)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del content[at : at + data.draw(st.integers(1, 400))]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(canal, "_FEW", FEW)
        assert in_order(rows(bytes(content))) == in_order(one_by_one(bytes(content), patched))


def test_a_file_of_odd_lines_is_not_halved_for_ever(monkeypatch):
    tried = []
    monkeypatch.setattr(canal, "read_columns", lambda *_: tried.append(1))
    assert len(rows(b"\n".join(ordinary(5000)))) == 5001
    assert len(tried) <= 20, "31 halves are larger than those read one by one"
