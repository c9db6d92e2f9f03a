"""One value, one text: any two ways to write a value give one key and one row of the ledger, two values give two."""

import base64
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling.parquet import _written
from jobs.ingest.tidb.rows.canonical import in_key
from jobs.ingest.tidb.rows.ledger_rows import RowSpec, key_texts
from jobs.ingest.tidb.rows.values import from_canal, from_dump, from_feed_csv

ZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu")
MEMBERS = ("red", "Blue", "1", "a b")


def texts(value, column, zone="UTC"):
    """Return a value's text in the ledger and in the key, from canal-json's text."""
    made, faults = from_canal(column, [value], zone, is_key=True)
    assert faults == {}, faults
    return made[0].as_py(), in_key(column, made)[0].as_py()


def decimals():
    return st.decimals(min_value=-(10**15), max_value=10**15, places=10, allow_nan=False)


def spelt_decimal(value, draw):
    plain = format(value, "f")
    whole, _, fraction = plain.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    trimmed = fraction.rstrip("0")
    forms = [plain, str(value), f"{value:E}", f"{sign}000{digits}.{fraction}", f"{whole}.{trimmed}0"]
    forms += [f"{whole}.{trimmed}" if trimmed else whole] + ([f"+{plain}"] if not sign else [])
    forms += [f"-{plain}"] if not value and not sign else []
    return draw(st.sampled_from(forms))


def spelt_float(value, draw, precision):
    number = precision(value)
    short = str(number)
    forms = [short, short.upper(), format(Decimal(short), "f"), f"{Decimal(short):E}", f"{Decimal(short):.30e}"]
    forms += ["-0", "0", "-0.0", "0e5"] if number == 0 else [f"+{short}"] if number > 0 else []
    return draw(st.sampled_from(forms))


@st.composite
def two_spellings(draw):
    """Return a column, and two values of it, the first of them in two spellings."""
    kind = draw(st.sampled_from(["DECIMAL", "DOUBLE", "FLOAT", "INT", "TIME", "DATETIME", "SET", "YEAR", "BINARY"]))
    if kind == "DECIMAL":
        a, b = draw(decimals()), draw(decimals())
        return SourceColumn("k", kind, length=30, scale=10), a, b, spelt_decimal(a, draw), spelt_decimal(a, draw)
    if kind in {"DOUBLE", "FLOAT"}:
        width, precision = (64, np.float64) if kind == "DOUBLE" else (32, np.float32)
        numbers = st.floats(allow_nan=False, allow_infinity=False, width=width)
        a, b = draw(numbers), draw(numbers)
        return SourceColumn("k", kind), a, b, spelt_float(a, draw, precision), spelt_float(a, draw, precision)
    if kind in {"TIME", "DATETIME"}:
        return two_times(draw, kind)
    return two_others(draw, kind)


def two_others(draw, kind):
    if kind == "INT":
        a, b = draw(st.integers(-(2**63), 2**63 - 1)), draw(st.integers(-(2**63), 2**63 - 1))
        forms = [
            str(a),
            f"{'-' if a < 0 else ''}000{abs(a)}",
            *([f"+{a}"] if a >= 0 else []),
            *(["-0"] if not a else []),
        ]
        return SourceColumn("k", "BIGINT"), a, b, draw(st.sampled_from(forms)), draw(st.sampled_from(forms))
    if kind == "SET":
        a, b = (frozenset(draw(st.sets(st.sampled_from(MEMBERS)))) for _ in "ab")
        mask = str(sum(1 << at for at, name in enumerate(MEMBERS) if name in a))
        return SourceColumn("k", kind, members=MEMBERS), a, b, mask, f"0{mask}"
    if kind == "YEAR":
        a, b = draw(st.integers(1970, 2069)), draw(st.integers(1970, 2069))
        forms = [str(a), f"{a % 100:02}"] if a != 2000 else [str(a)]
        return SourceColumn("k", kind), a, b, draw(st.sampled_from(forms)), draw(st.sampled_from(forms))
    a, b = (draw(st.binary(max_size=6)).ljust(6, b"\0") for _ in "ab")
    return SourceColumn("k", "BINARY", length=6), a, b, a.decode("latin-1"), a.rstrip(b"\0").decode("latin-1")


def two_times(draw, kind):
    digits = draw(st.integers(0, 6))
    micros = draw(st.integers(0, 10**digits - 1)) * 10 ** (6 - digits)
    other = draw(st.integers(0, 10**digits - 1)) * 10 ** (6 - digits)
    if kind == "TIME":
        whole = timedelta(seconds=draw(st.integers(0, 838 * 3600)), microseconds=micros)
        seconds = int(whole.total_seconds())
        head = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        a, b = (seconds, micros), (seconds, other)
        heads = [head, f"0{head}"] if seconds < 360000 else [head]
    else:
        start = draw(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31))).replace(microsecond=0)
        a, b = (start, micros), (start, other)
        heads = [start.isoformat(" "), start.isoformat()]
    fraction = f"{micros:06}"
    forms = [f".{fraction[:digits]}" if digits else "", f".{fraction}", f".{fraction}000"]
    forms += [f".{fraction.rstrip('0')}"] if micros else [""]
    column = SourceColumn("k", kind, scale=digits or None)
    return column, a, b, *(draw(st.sampled_from(heads)) + draw(st.sampled_from(forms)) for _ in "ab")


@given(two_spellings())
def test_two_spellings_of_a_value_are_one_text(case):
    column, _, _, one, other = case
    assert texts(one, column) == texts(other, column)


@given(st.data())
def test_two_values_are_two_texts(data):
    kind = data.draw(st.sampled_from(["DECIMAL", "DOUBLE", "FLOAT", "BIT", "DATETIME", "BINARY"]))
    values = {
        "DECIMAL": decimals().map(lambda d: format(d, "f")),
        "DOUBLE": st.floats(allow_nan=False, allow_infinity=False).map(repr),
        "FLOAT": st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda f: str(np.float32(f))),
        "BIT": st.integers(0, 2**64 - 1).map(str),
        "DATETIME": st.datetimes(datetime(1000, 1, 1)).map(lambda at: at.isoformat(" ", "microseconds")),
        "BINARY": st.binary(min_size=3, max_size=3).map(lambda b: b.decode("latin-1")),
    }[kind]
    one, other = data.draw(values), data.draw(values)
    column = SourceColumn(
        "k", kind, length={"DECIMAL": 30, "BINARY": 3}.get(kind), scale={"DECIMAL": 10, "DATETIME": 6}.get(kind)
    )
    same = float(one) == float(other) if kind in {"DOUBLE", "FLOAT", "DECIMAL"} else one == other
    if kind == "DECIMAL":
        same = Decimal(one) == Decimal(other)
    assert (texts(one, column)[1] == texts(other, column)[1]) == same


@given(st.integers(0, 2**33), st.sampled_from(ZONES), st.sampled_from(ZONES), st.integers(0, 6))
def test_a_timestamp_is_one_moment_whatever_zone_it_was_written_in(seconds, one, other, digits):
    column, found = SourceColumn("k", "TIMESTAMP", scale=digits or None), set()
    for zone in (one, other):
        local = datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone))
        written = local.replace(tzinfo=None).isoformat(" ", "seconds") + ("." + "250000"[:digits] if digits else "")
        made, faults = from_canal(column, [written], zone, is_key=True)
        if faults:  # the clocks went back: the text means two moments
            assert local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
            return
        found.add(in_key(column, made)[0].as_py())
    assert len(found) == 1
    assert found.pop()[:19] == datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")[:19]


def test_a_time_that_clocks_say_twice_is_refused_in_a_key_and_one_they_leave_out_is_not():
    column = SourceColumn("k", "TIMESTAMP")
    twice, never = "2026-11-01 01:30:00", "2026-03-08 02:30:00"
    _, faults = from_canal(column, [twice, never], "America/New_York", is_key=True)
    assert list(faults) == [0]
    assert "go back" in faults[0][1]
    made, faults = from_canal(column, [twice], "America/New_York")
    assert (faults, made.to_pylist()) == ({}, ["2026-11-01 05:30:00"])


WRITERS = {
    # type: (column, canal-json, TiCDC's CSV, Dumpling's text, Parquet), each the same value
    "double": (SourceColumn("k", "DOUBLE"), "10000000000000000", b"1e+16", b"1e16", pa.array([1e16])),
    "float": (SourceColumn("k", "FLOAT"), "0.1", b"0.1", b"0.1", pa.array([np.float32(0.1)]).cast(pa.float64())),
    "decimal": (
        SourceColumn("k", "DECIMAL", length=20, scale=10), "0.0000001000", b"0.0000001000", b"0.0000001000",
        pa.array([Decimal("0.0000001")], pa.decimal128(20, 10)),
    ),
    "unsigned": (
        SourceColumn("k", "BIGINT", True), "18446744073709551615", b"18446744073709551615", b"18446744073709551615",
        pa.array([Decimal(2**64 - 1)], pa.decimal128(20, 0)),
    ),
    "zerofill": (SourceColumn("k", "INT", True), "7", b"7", b"0000000007", pa.array([7])),
    "year": (SourceColumn("k", "YEAR"), "0", b"0", b"0000", pa.array([0], pa.int32())),
    "time": (SourceColumn("k", "TIME", scale=3), "-01:02:03.250", b"-01:02:03.250", b"-01:02:03.250",
             pa.array(["-01:02:03.250"])),
    "datetime": (
        SourceColumn("k", "DATETIME", scale=3), "2026-01-01 00:00:00.250", b"2026-01-01 00:00:00.250",
        b"2026-01-01 00:00:00.250", pa.array([datetime(2026, 1, 1, 0, 0, 0, 250000)], pa.timestamp("us")),
    ),
    "bit": (SourceColumn("k", "BIT", length=10), "683", b"683", b"\x02\xab", pa.array([b"\x02\xab"])),
    "enum": (SourceColumn("k", "ENUM", members=MEMBERS), "2", b"Blue", b"Blue", pa.array(["Blue"])),
    "enum of numbers": (SourceColumn("k", "ENUM", members=MEMBERS), "3", b"1", b"1", pa.array(["1"])),
    "set": (SourceColumn("k", "SET", members=MEMBERS), "11", b"red,Blue,a b", b"red,Blue,a b",
            pa.array(["red,Blue,a b"])),
    "binary": (SourceColumn("k", "BINARY", length=3), "\u00bf\0\0", base64.b64encode(b"\xbf\0\0"), b"\xbf\0\0",
               pa.array([b"\xbf\0\0"])),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_says_a_value_in_its_own_way_and_the_key_is_one(name):
    column, canal, feed, dump, parquet = WRITERS[name]
    spec = RowSpec("app", "t", 1, (column,), ("k",))
    found = [
        from_canal(column, [canal], "UTC", is_key=True),
        from_feed_csv(column, pa.array([feed]), "UTC", "base64", is_key=True),
        from_dump(column, pa.array([dump]), "UTC", "raw", is_key=True),
        from_dump(column, _written(column, parquet), "UTC", "raw", is_key=True),
    ]
    assert [faults for _, faults in found] == [{}] * 4
    assert len({made[0].as_py() for made, _ in found}) == 1, [made[0].as_py() for made, _ in found]
    assert len({key_texts(spec, {"k": made})[0].as_py() for made, _ in found}) == 1


def test_a_key_keeps_its_text_when_its_type_gets_more_digits():
    for kind, one, other in (
        ("DATETIME", "2026-01-01 10:00:00", "2026-01-01 10:00:00.000"),
        ("DECIMAL", "1.50", "1.5000"),
    ):
        before = SourceColumn("k", kind, length=10, scale=len(one.partition(".")[2]) or None)
        after = SourceColumn("k", kind, length=12, scale=len(other.partition(".")[2]))
        assert texts(one, before)[1] == texts(other, after)[1]


IMPOSSIBLE = (
    "0000-00-00",
    "2026-00-10",
    "2026-01-00",
    "2026-02-30",
    "2026-02-31",
    "2026-04-31",
    "2025-02-29",
    "0000-01-01",
)


@pytest.mark.parametrize("day", IMPOSSIBLE)
@pytest.mark.parametrize(("kind", "more"), [("DATE", ""), ("DATETIME", " 10:00:00"), ("TIMESTAMP", " 00:00:00")])
def test_a_date_that_the_calendar_lacks_keeps_its_text_and_names_no_row(day, kind, more):
    column = SourceColumn("k", kind)
    for zone in ("UTC", "Asia/Shanghai"):
        made, faults = from_canal(column, [day + more, None], zone)
        assert (faults, made.to_pylist()) == ({}, [day + more, None])
        assert key_texts(RowSpec("app", "t", 1, (column,), ("k",)), {"k": made}).to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (SourceColumn("k", "DATE"), "2026-13-01"), (SourceColumn("k", "DATE"), "2026-01-32"),
        (SourceColumn("k", "DATE"), "2026-1-1"), (SourceColumn("k", "DATETIME"), "2026-01-01 24:00:00"),
        (SourceColumn("k", "DATETIME"), "2026-01-01"), (SourceColumn("k", "DATETIME"), "2026-01-01 10:00:00.1234567"),
        (SourceColumn("k", "DECIMAL", length=5, scale=2), "1.234"),
        (SourceColumn("k", "DECIMAL", length=5, scale=2), "NaN"),
        (SourceColumn("k", "DECIMAL", length=5, scale=2), "1000"), (SourceColumn("k", "DOUBLE"), "1e400"),
        (SourceColumn("k", "FLOAT"), "3.5e38"), (SourceColumn("k", "DOUBLE"), "nan"), (SourceColumn("k", "INT"), "1e3"),
        (SourceColumn("k", "INT"), "+-1"), (SourceColumn("k", "YEAR"), "1900"), (SourceColumn("k", "YEAR"), "2156"),
        (SourceColumn("k", "TIME"), "1:2:3"), (SourceColumn("k", "SET", members=("a",)), "b"),
        (SourceColumn("k", "ENUM", members=("a",)), "b"), (SourceColumn("k", "BINARY", length=1), "ab"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_value_is_at_fault(column, value):
    _, faults = from_canal(column, [value], "UTC")
    assert list(faults) == [0]
