"""TiCDC's CSV to ledger rows: every dialect, both parsers alike, damage kept to the records it hits."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.loading.stream import BAD, CHANGE, FILE, RejectedRows, Task
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.csv_rows import quotes_match
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.ticdc import feed_csv
from jobs.ingest.tidb.ticdc.csv_records import Dialect, records
from jobs.ingest.tidb.ticdc.feed_csv import CsvSpec, _fast, _slow, read_feed_csv

COLUMNS = (
    SourceColumn("id", "BIGINT", True, nullable=False),
    SourceColumn("name", "VARCHAR", length=200),
    SourceColumn("kind", "ENUM", members=("red", "blue")),
    SourceColumn("raw", "VARBINARY"),
    SourceColumn("bits", "BIT", length=10),
)
ROWS = RowSpec("app", "t", 7, COLUMNS, ("id",))
TSO = 470650142710824961
DIALECTS = [
    Dialect(),
    Dialect(terminator="\n"),
    Dialect(delimiter="\t", quote="'", null="NULL"),
    Dialect(delimiter="[*]", terminator="\r\n"),
    Dialect(delimiter="!", quote=""),
    Dialect(delimiter="***", quote="", null="\\0"),
]


def spec(dialect=DIALECTS[0], old_value=False, binary="base64"):
    return CsvSpec(ROWS, dialect, old_value, binary)


def text(value, dialect):
    """Write one string as TiCDC does (ticdc, csv_message.go: formatWithQuotes, formatWithEscapes)."""
    if dialect.quote:
        return dialect.quote + value.replace(dialect.quote, dialect.quote * 2) + dialect.quote
    written = value.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")
    for char in sorted(set(dialect.delimiter)):
        written = written.replace(dialect.delimiter, "".join("\\" + c for c in dialect.delimiter)) if char else written
    return written


def record(dialect, op="I", name="x", key=1, tso=TSO, update=None):
    named = dialect.null if name is None else text(name, dialect)
    told = [text(op, dialect), text("t", dialect), text("app", dialect), str(tso)]
    told += [] if update is None else [update]
    return dialect.delimiter.join([*told, str(key), named, text("blue", dialect), text("vwA=", dialect), "683"])


def read(content, spec_):
    rows = [
        row for batch in read_feed_csv(Task("ticdc", "/", "f", 1, "app.t", spec_), content) for row in batch.to_pylist()
    ]
    (end,) = [row for row in rows if row["kind"] == FILE]
    good, bad = ([row for row in rows if row["kind"] == kind] for kind in (CHANGE, BAD))
    assert end["rows"] == len(good) + len(bad), "every record is one or the other"
    return good, bad


@pytest.mark.parametrize("dialect", DIALECTS, ids=repr)
@pytest.mark.parametrize("ended", [True, False])
def test_every_dialect_says_the_same(dialect, ended):
    odd = "a,b!c\t\"d\"'e'[*]***\r\n\\N\\ü"
    end = dialect.terminator or "\r\n"
    names = [odd, None, "", dialect.null, "nil", "\\"]
    lines = [record(dialect, "DIU"[number % 3], name, number) for number, name in enumerate(names, 1)]
    good, bad = read((end.join(lines) + end * ended).encode(), spec(dialect))
    assert bad == []
    assert [dict(row["before"] or row["after"])["name"] for row in good] == names
    assert [(row["op"], row["_op_rank"], row["row_no"]) for row in good] == [
        ("I", 1, 1), ("U", 1, 2), ("D", 0, 3), ("I", 1, 4), ("U", 1, 5), ("D", 0, 6)
    ]  # fmt: skip
    assert dict(good[0]["after"]) == {"id": "1", "name": odd, "kind": "blue", "raw": "bf00", "bits": "683"}
    assert good[0]["before"] is None
    assert good[2]["after"] is None
    assert {row["_commit_ts"] for row in good} == {TSO}


def test_an_update_with_its_old_row_is_a_delete_and_an_insert_and_a_header_is_no_row():
    head = (
        "ticdc-meta$operation,ticdc-meta$table,ticdc-meta$schema,ticdc-meta$commit-ts,ticdc-meta$is-update,id,name\r\n"
    )
    pair = [record(DIALECTS[0], "D", "old", update="true"), record(DIALECTS[0], "I", "new", update="true")]
    good, bad = read((head + "\r\n".join(pair)).encode(), spec(old_value=True))
    assert bad == []
    assert [(row["op"], row["row_no"]) for row in good] == [("D", 1), ("I", 2)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (record(DIALECTS[0], "X"), "unknown_type"),
        (record(DIALECTS[0]).replace('"t"', '"other"'), "wrong_table"),
        (record(DIALECTS[0], tso="abc"), "missing_commit_ts"),
        (record(DIALECTS[0], tso=-5), "missing_commit_ts"),
        (record(DIALECTS[0]) + ",1", "field_count"),
        (record(DIALECTS[0], key="1.5"), "bad_value"),
        (record(DIALECTS[0], key="\\N"), "null_key"),
        (record(DIALECTS[0]).replace("blue", "green"), "unknown_member"),
        (record(DIALECTS[0]).replace("vwA=", "v"), "bad_value"),
        (record(DIALECTS[0]).replace('"x"', '"x'), "bad_csv"),
        (record(DIALECTS[0]).replace('"x"', 'x"'), "bad_csv"),
        (record(DIALECTS[0]).replace('"x"', '"x"y'), "bad_csv"),
    ],
)
def test_a_record_that_cannot_be_used_says_why_and_its_neighbours_stay(line, reason):
    content = "\r\n".join([record(DIALECTS[0], key=5), line, record(DIALECTS[0], key=6)]).encode()
    good, bad = read(content, spec())
    assert [row["key"] for row in good] == ['["5"]', '["6"]']
    assert [(row["reason"], row["row_no"]) for row in bad] == [(reason, 2)]
    assert bad[0]["raw"] == line.encode()


def test_bytes_that_are_no_text_are_quarantined():
    content = record(DIALECTS[0], name="Q").encode().replace(b"Q", b"\xff\xfe") + b"\n" + record(DIALECTS[0]).encode()
    good, bad = read(content, spec())
    assert ([row["row_no"] for row in good], [row["reason"] for row in bad]) == ([2], ["bad_value"])


TEXTS = st.text(st.sampled_from("ab,\"\r\n\\N'ü"), max_size=6) | st.none()


@given(st.lists(TEXTS, min_size=1, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_both_parsers_read_alike(names, end):
    dialect = Dialect()
    body = end.join(record(dialect, name=name) for name in names).encode()
    assert quotes_match(body, dialect.delimiter, dialect.quote)
    tables = [_fast(spec(), body), _slow(spec(), body, RejectedRows())]
    assert tables[0].table.to_pylist() == tables[1].table.to_pylist()
    assert tables[0].is_quoted.tolist() == tables[1].is_quoted.tolist()
    assert tables[0].found == tables[1].found == len(names)


@pytest.mark.parametrize("block", [150, 170, 400])
def test_records_across_the_parser_s_blocks_are_read_as_one(monkeypatch, block):
    """Quoted line ends and a record longer than a block, wherever a block ends."""
    names = [f'a{"x" * (n % 40)}\n"{n}",\r\nb' for n in range(30)] + ["y" * 199]
    content = "\n".join(record(DIALECTS[0], name=name, key=n) for n, name in enumerate(names)).encode()
    whole = read(content, spec())
    monkeypatch.setattr(feed_csv, "_BLOCK_BYTES", block)
    assert read(content, spec()) == whole
    assert _fast(spec(), content).found == len(names)


@pytest.mark.parametrize("count", [150, pytest.param(1500, marks=pytest.mark.long)])
def test_mutated_files_lose_no_record_and_invent_none(count):
    """Damage anywhere: no crash, and what is kept is a record that stands in the file."""
    choice = random.Random(1)
    whole = [record(DIALECTS[0], name=f'n{number},"\r\n', key=number) for number in range(1, 21)]
    content = "\r\n".join(whole).encode()
    for _ in range(count):
        mutated = bytearray(content)
        for _ in range(choice.randint(1, 3)):
            place = choice.randrange(len(mutated))
            what = choice.randrange(3)
            if what == 0:
                mutated[place] ^= 1 << choice.randrange(8)
            elif what == 1:
                del mutated[place : place + choice.randint(1, 40)]
            else:
                mutated[place:place] = bytes(choice.choice(b'",\r\n\\x') for _ in range(choice.randint(1, 3)))
        good, _ = read(bytes(mutated), spec())
        assert len(good) >= 20 - 3 * 4
        for row in good:
            after = dict(row["before"] or row["after"])
            if after["name"] is not None:
                assert after["name"].replace('"', '""').encode() in bytes(mutated)


def test_golden_records_of_the_source(shared):
    cases = [json.loads(line) for line in (shared / "fixtures/ticdc/csv/encode_cases.jsonl").read_text().splitlines()]
    seen = 0
    for case in cases:
        if case["src"] != "TestCSVMessageEncode":
            continue
        config = case["config"]
        dialect = Dialect(config["delimiter"], config["quote"], config["null"], config["terminator"])
        (found,) = records(case["encoded"].encode(), dialect)
        fixed = 3 + config["include_commit_ts"] + config["output_old_value"]
        values = [None if field is None else field.decode() for field in found.fields]
        assert values[:3] == [case["op"], case["table"], case["schema"]]
        assert values[fixed:] == [None if value is None else str(value) for value in case["columns"]]
        seen += 1
    assert seen >= 8
