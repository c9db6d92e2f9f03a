"""Older values after a change of type: as TiDB has them, or none where they do not fit or nobody can tell."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.history.conversions import convert, keeps_text
from jobs.ingest.tidb.ddl.type_changes import conversion_steps
from jobs.ingest.tidb.rows.values import from_canal
from tests.conversions import KNOWN
from tests.statements import column

UNKNOWN = [
    ("VARCHAR(9)", "JSON"), ("INT", "JSON"), ("VARCHAR(9)", "VECTOR(3)"), ("VECTOR(3)", "TEXT"),
    ("TIMESTAMP", "DATETIME"),
    ("DATETIME", "TIMESTAMP"), ("TIMESTAMP", "VARCHAR(30)"), ("VARCHAR(30)", "TIMESTAMP"), ("TIME", "DATETIME"),
    ("INT", "DATE"), ("BIT(8)", "VARCHAR(8)"), ("VARCHAR(8)", "BIT(8)"), ("DOUBLE", "ENUM('a')"),
    ("ENUM('a')", "SET('a')"),
    ("DOUBLE", "DOUBLE(10,2)"), ("INT", "FLOAT(5,1)"), ("BLOB", "INT"),
]  # fmt: skip
SAME = [
    ("TINYINT", "BIGINT"), ("TINYINT UNSIGNED", "SMALLINT"), ("INT", "DECIMAL(10,0)"),
    ("DECIMAL(10,2)", "DECIMAL(12,4)"),
    ("VARCHAR(20)", "VARCHAR(30)"), ("CHAR(5)", "VARCHAR(5)"), ("CHAR(5)", "CHAR(9)"), ("VARCHAR(20)", "TEXT"),
    ("TEXT", "LONGTEXT"), ("JSON", "JSON"), ("VECTOR(3)", "VECTOR"), ("VARBINARY(4)", "BLOB"),
    ("BINARY(4)", "VARBINARY(4)"),
    ("BIT(1)", "BIT(8)"), ("ENUM('a')", "ENUM('a','b')"), ("SET('a')", "SET('a','b')"), ("DATETIME", "DATETIME(3)"),
    ("DOUBLE(10,2)", "DOUBLE"), ("FLOAT", "FLOAT"), ("INT", "TEXT"), ("INT", "VARCHAR(20)"), ("DATE", "CHAR(10)"),
    ("YEAR", "YEAR"), ("TIMESTAMP", "TIMESTAMP(6)"), ("TIME", "TIME"), ("BINARY(4)", "BINARY(4)"),
]  # fmt: skip


def between(old, now):
    return conversion_steps(column(f"a {old}"), column(f"a {now}"))


@pytest.mark.parametrize(("old", "now", "values"), KNOWN, ids=[f"{old} to {now}" for old, now, _ in KNOWN])
def test_each_value_becomes_what_tidb_makes_of_it(old, now, values):
    steps = between(old, now)
    assert {text: convert(text, steps) for text in values} == values
    if keeps_text(steps):
        assert all(found in {text, None} for text, found in values.items())


@pytest.mark.parametrize(("old", "now"), UNKNOWN, ids=[f"{old} to {now}" for old, now in UNKNOWN])
def test_where_nobody_can_tell_there_are_no_steps(old, now):
    assert between(old, now) is None


@pytest.mark.parametrize(("old", "now"), SAME, ids=[f"{old} to {now}" for old, now in SAME])
def test_where_every_value_stays_as_it_is_nothing_is_done(old, now):
    assert between(old, now) == ()


@pytest.mark.parametrize(("old", "now", "values"), KNOWN, ids=[f"{old} to {now}" for old, now, _ in KNOWN])
def test_what_comes_out_is_a_value_of_the_new_type(old, now, values):
    wanted = column(f"a {now}")
    found = [text for text in values.values() if text is not None]
    if wanted.kind in {"enum", "set", "binary"}:
        return  # the feed writes those in another form than the ledger
    texts, faults = from_canal(wanted, pa.array(found, pa.string()), "UTC")
    assert (faults, texts.to_pylist()) == ({}, found)


@given(st.text(max_size=30), st.sampled_from([(old, now) for old, now, _ in KNOWN]))
def test_no_text_is_an_error(text, pair):
    convert(text, between(*pair))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_reads_the_same_whichever_way_it_is_written(value):
    (step,) = between("DOUBLE", "LONGTEXT")[:1]
    text = convert(repr(value), [step])
    assert (float(text), "e" in text) == (value, False)
    assert convert(text, [step]) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-9999, max_value=9999))
def test_rounding_a_decimal_is_off_by_half_a_unit_at_most(value):
    found = convert(str(value), between("DECIMAL(9,3)", "DECIMAL(9,2)"))
    assert abs(type(value)(found) - value) <= type(value)("0.005")
