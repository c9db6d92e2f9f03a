"""Damaged input, a hundred thousand lines a protocol in `make test-long`: no crash, no wrong row, all accounted for.

What an accepted line says is read a second time, by Python's own json and csv, and must be the same.
"""

import csv
import io
import json
import random
from decimal import Decimal

import pytest

from jobs.ingest.loading.stream import BAD, CHANGE, FILE, Task
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.ticdc.canal import read_canal
from jobs.ingest.tidb.ticdc.csv_records import Dialect
from jobs.ingest.tidb.ticdc.feed_csv import CsvSpec, read_feed_csv

pytestmark = pytest.mark.slow

IN_A_FILE = 5_000
SOME_AND_MANY = pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.long)])
COLUMNS = (
    SourceColumn("id", "BIGINT", True, nullable=False),
    SourceColumn("name", "VARCHAR", length=40),
    SourceColumn("amount", "DECIMAL", length=8, scale=2),
    SourceColumn("at", "DATETIME"),
    SourceColumn("note", "TEXT"),
)
SPEC = RowSpec("app", "t", 7, COLUMNS, ("id",))
TSO = 470650142710824961
ODD = [b'"', b",", b"\\", b"{", b"null", b"\xff\xfe", b"\xc3(", b"\0"]


def values(number):
    return {
        "id": str(number), "name": f"naïve {number % 97}", "amount": f"{number % 999}.25",
        "at": "2026-01-02 03:04:05", "note": None if number % 5 == 0 else f'said "{number}", \\ and more',
    }  # fmt: skip


def damaged(line, chance):
    """Return a line with one damage: cut, flipped, another type or number of fields, a huge value, invalid UTF-8."""
    at = chance.randrange(len(line))
    return chance.choice(
        [
            lambda: line[:at],
            lambda: line[:at] + bytes([line[at] ^ 1 << chance.randrange(8)]) + line[at + 1 :],
            lambda: line[:at] + line[min(len(line), at + chance.randrange(9)) :],
            lambda: (
                line[:at] + chance.choice([b'"', b",", b"\\", b"{", b"null", b"\xff\xfe", b"\xc3(", b"\0"]) + line[at:]
            ),
            lambda: line.replace(b".25", b".2" + b"9" * chance.choice([1, 30, 3000])),
            lambda: line.replace(b"2026-01-02", chance.choice([b"2026-13-02", b"x", b"0000-00-00", b"9" * 400])),
            lambda: line + chance.choice([b",1", b"}", b',"x"', b" "]),
            lambda: line.replace(b"naive", b"n" * 100).replace("naïve".encode(), b"n" * 100),
        ]
    )()


def files(line_of, seed, count):
    """Yield files of lines, about a third of them damaged: number -> line, and the numbers of the whole ones."""
    chance = random.Random(seed)
    for start in range(0, count, IN_A_FILE):
        lines, whole = [], set()
        for number in range(start, min(count, start + IN_A_FILE)):
            line = line_of(number)
            if chance.random() < 1 / 3:
                line = damaged(line, chance).replace(b"\n", b"?").replace(b"\r", b"?") or b"?"
            if line == line_of(number):
                whole.add(len(lines))
            lines.append(line)
        yield start, lines, whole


def read(reader, content, spec):
    task = Task("ticdc", "/", "f", len(content), "app.t", spec)
    rows = [row for batch in reader(task, content) for row in batch.to_pylist()]
    good, bad = ([row for row in rows if row["kind"] == kind] for kind in (CHANGE, BAD))
    assert sum(row["rows"] for row in rows if row["kind"] == FILE) == len(good) + len(bad)
    assert all(row["raw"] and row["reason"] and row["detail"] for row in bad)
    return good, bad


def canal_line(number):
    body = {"database": "app", "table": "t", "type": "INSERT", "data": [values(number)], "_tidb": {"commitTs": TSO}}
    return json.dumps(body, ensure_ascii=False).encode()


@SOME_AND_MANY
def test_damaged_canal_json(count):
    tried = 0
    for start, lines, whole in files(canal_line, 1, count):
        good, bad = read(read_canal, b"\r\n".join(lines), SPEC)
        taken = {row["row_no"] - 1: row for row in good}
        refused = {row["row_no"] - 1: row for row in bad}
        assert len(taken) == len(good)
        blank = {number for number, line in enumerate(lines) if not line.strip()}
        assert set(taken) | set(refused) | blank == set(range(len(lines)))
        assert not set(taken) & set(refused)
        assert whole <= set(taken), start
        for number, row in refused.items():
            assert row["raw"] == lines[number]
        for number, row in taken.items():
            told = json.loads(lines[number])
            assert dict(row["before" if told["type"] == "DELETE" else "after"]) == canonical(told["data"][0])
            assert row["_commit_ts"] == told["_tidb"]["commitTs"]
        tried += len(lines)
    assert tried == count


def csv_line(number):
    told = io.StringIO()
    csv.writer(told, quoting=csv.QUOTE_NONNUMERIC, lineterminator="").writerow(["I", "t", "app"])
    fields = [told.getvalue(), str(TSO)]
    for name, value in values(number).items():
        quoted = name in {"name", "at", "note"} and value is not None
        fields.append("\\N" if value is None else '"' + value.replace('"', '""') + '"' if quoted else value)
    return ",".join(fields).encode()


@SOME_AND_MANY
def test_damaged_csv(count):
    tried = 0
    spec = CsvSpec(SPEC, Dialect(), False, "base64")
    for start, lines, whole in files(csv_line, 2, count):
        good, bad = read(read_feed_csv, b"\r\n".join(lines), spec)
        taken = {json.dumps(dict(row["before"] or row["after"]), sort_keys=True) for row in good}
        for number in whole:
            assert json.dumps(values(start + number), sort_keys=True) in taken, lines[number - 1 : number + 1]
        refused = b"\n".join(row["raw"] for row in bad)
        for number in set(range(len(lines))) - whole:
            assert lines[number] in refused or accepted(lines[number], taken), lines[number]
        tried += len(lines)
    assert tried == count


def accepted(line, taken):
    """Return whether a row that was taken is what Python's csv reads in the line."""
    (fields,) = csv.reader([line.decode()], strict=True)
    told = dict(zip([column.name for column in COLUMNS], fields[4:], strict=True))
    unquoted_null = line.endswith(b",\\N")
    told |= {"note": None} if unquoted_null else {}
    return json.dumps(canonical(told), sort_keys=True) in taken


def canonical(row):
    """Return a row as the ledger has it: integers without leading zeros, decimals with two digits after the point."""
    amount = row["amount"] and format(Decimal(row["amount"]).quantize(Decimal("0.01")), "f")
    return row | {"id": str(int(row["id"])), "amount": amount}
