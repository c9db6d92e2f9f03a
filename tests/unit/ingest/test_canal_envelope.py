"""Heads of canal-json lines are cut off only where nothing is lost by it: with them and without, rows are the same."""

import json
import re

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.ingest.loading.stream import CHANGE
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.ticdc import canal, canal_columns
from jobs.ingest.tidb.ticdc.canal_envelope import OPS, strip_envelopes
from tests.canal import canal_line, in_order, rows_of, rows_one_by_one, starts_of

NAMES = ("id", "naïve", "type", "data", "b", "c")
COLUMNS = tuple(SourceColumn(name, "VARCHAR", length=99) for name in NAMES[1:])
SPEC = RowSpec("app", "t", 7, (SourceColumn("id", "BIGINT", nullable=False), *COLUMNS), ("id",))
KINDS = ("INSERT", "UPDATE", "DELETE")
TEXTS = [
    "",
    "x",
    "é\u2028😀",
    '},"old":',
    '"sqlType":{',
    '","data":[{"id":"9"}],"_tidb":{"commitTs":1},"x":"',
    "\\",
    "}",
]


def row(number, text="x"):
    return dict(zip(NAMES, (str(number), text, "INSERT", text, text[::-1], None), strict=True))


def genuine(number, text="x", **more):
    kind = KINDS[number % 3]
    old = row(number, "was") if kind == "UPDATE" else None
    return canal_line(SPEC, kind, row(number, text), old, tso=1000 + number, order=number, **more)


def cut(lines, spec=SPEC, end=b"\r\n"):
    content = end.join([*lines, b""])
    try:
        return strip_envelopes(spec, content, starts_of(content))
    except ValueError:
        return None


def test_what_is_left_begins_with_the_rows():
    lines = [genuine(number, text) for number, text in enumerate(TEXTS * 3)]
    for end in (b"\n", b"\r\n"):
        left = cut(lines, end=end)
        wanted = [{name: json.loads(line)[name] for name in ("old", "data", "_tidb")} for line in lines]
        assert [json.loads(line) for line in left.text.splitlines()] == wanted
        assert left.text.count(end) == len(lines)
        assert [list(OPS)[place] for place in left.ops] == [KINDS[at % 3] for at in range(len(lines))]
        assert left.first == wanted[0]


def test_lines_of_a_genuine_changefeed_are_cut(shared):
    seen = 0
    for path in sorted((shared / "fixtures/ticdc-real/canal-json").rglob("CDC*.json")):
        lines = path.read_bytes().splitlines()
        first = orjson.loads(lines[0])
        left = cut(lines, RowSpec(first["database"], first["table"], 1, (), ()))
        assert left is not None, path
        assert [orjson.loads(line)["data"] for line in left.text.splitlines()] == [
            orjson.loads(line)["data"] for line in lines
        ]
        assert [list(OPS)[place] for place in left.ops] == [orjson.loads(line)["type"] for line in lines]
        seen += len(lines)
    assert seen > 1000


def test_rows_may_come_before_old_ones_as_they_did_until_version_6():
    lines = [re.sub(rb'("old":.*),("data":\[.*),("_tidb")', rb"\2,\1,\3", genuine(at, TEXTS[at])) for at in range(8)]
    assert [json.loads(line)["data"] for line in cut(lines).text.splitlines()] == [json.loads(x)["data"] for x in lines]
    content = b"\n".join(lines)
    new = b"\n".join(genuine(at, TEXTS[at]) for at in range(8))
    assert rows_of(content, SPEC) == rows_of(new, SPEC)


def test_maps_may_differ_in_length_since_an_unsigned_value_decides_its_type():
    lines = [genuine(number, sqlType={"id": 3 if number % 5 else -5, "b": 2005}) for number in range(40)]
    assert cut(lines) is not None
    assert [json.loads(line)["data"] for line in cut(lines).text.splitlines()] == [json.loads(x)["data"] for x in lines]
    many = [genuine(number, mysqlType={"id": "x" * number}) for number in range(90)]
    assert cut(many) is None, "each line of another length: looking on would be searching"
    assert len(rows_of(b"\n".join(many), SPEC)) == 91


TYPES = rb'"sqlType":\{.*\},"mysqlType":\{.*?\}'
whole = {
    "no maps": lambda line: re.sub(TYPES + b",", b"", line),
    "one map only": lambda line: re.sub(rb'"mysqlType":\{.*?\},', b"", line),
    "maps that are null": lambda line: re.sub(TYPES, b'"sqlType":null,"mysqlType":null', line),
    "empty maps": lambda line: re.sub(TYPES, b'"sqlType":{},"mysqlType":{}', line),
    "a map in a map": lambda line: line.replace(b'"id":-5', b'"id":{"a":-5}'),
    "a fraction": lambda line: line.replace(b'"id":-5', b'"id":-5.5'),
    "a space": lambda line: line.replace(b'"id":-5', b'"id": -5'),
    "an escape in a name": lambda line: line.replace(b'"b":12', b'"\\u0062":12'),
    "a third map": lambda line: line.replace(b'},"mysql', b'},"x":{"a":1},"mysql'),
    "a list of maps": lambda line: line.replace(b'"sql":""', b'"sql":[{"a":1}]'),
    "times first": lambda line: re.sub(rb'("type":.*?),("es":.*?),("ts")', rb"\2,\1,\3", line),
    "more of TiDB": lambda line: line.replace(b'"commitTs":', b'"watermarkTs":1,"commitTs":'),
    "a later year": lambda line: line.replace(b'"es":179', b'"es":1179'),
}
broken = {
    "a number with a zero before it": lambda line: line.replace(b'"id":-5', b'"id":-05'),
    "a minus alone": lambda line: line.replace(b'"id":-5', b'"id":-'),
    "two commas": lambda line: line.replace(b',"mysql', b',,"mysql'),
    "no comma in a map": lambda line: re.sub(rb'(?<=[0-9]),(?=")', b"", line),
    "two colons": lambda line: line.replace(b'"b":12', b'"b"::12'),
    "a quote too many": lambda line: line.replace(b'"bigint"', b'"big"int"'),
    "a quote lacks": lambda line: line.replace(b'"bigint"', b'"bigint'),
    "a name alone": lambda line: line.replace(b'"b":12', b'"b"'),
    "a control character": lambda line: line.replace(b"varchar", b"var\tchar"),
    "letters for a time": lambda line: line.replace(b'"es":179', b'"es":17x'),
    "an operation there is not": lambda line: line.replace(b'"type":"', b'"type":"X'),
    "an operation of the same length": lambda line: re.sub(b'"type":"[IUD].....","es', b'"type":"UPSERT","es', line),
    "a time with a zero before it": lambda line: line.replace(b'"ts":1', b'"ts":0'),
    "another table": lambda line: line.replace(b'"table":"t"', b'"table":"u"'),
    "another operation behind": lambda line: line[:-1] + b',"type":"TRUNCATE"}',
    "no operation behind": lambda line: line[:-1] + b',"type":null}',
    "an operation in the middle": lambda line: line.replace(b'"data":[{"', b'"type":"X","data":[{"'),
    "the types within a row": lambda line: re.sub(b"(" + TYPES + b'),(.*"data":.."id":"[0-9]*",)', rb"\2\1,", line),
}


@pytest.mark.parametrize("what", whole | broken)
@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_line_that_begins_otherwise_is_read_as_it_is_by_itself(what, place, monkeypatch):
    monkeypatch.setattr(canal, "_FEW", 3)
    lines = [genuine(number) for number in range(12)]
    odd = (whole | broken)[what](lines[place])
    assert odd != lines[place]
    lines[place] = odd
    content = b"\r\n".join(lines)
    found = in_order(rows_of(content, SPEC))
    assert found == in_order(rows_one_by_one(content, SPEC, monkeypatch))
    assert sum(found_["kind"] == CHANGE for found_ in found) == 12 - (what in broken)
    behind = what.endswith(("behind", "in the middle", "of TiDB")) and place
    assert behind or cut(lines) is None


@pytest.mark.parametrize("what", [name for name in whole if name != "a list of maps"])
def test_a_file_of_such_lines_is_read_at_once_all_the_same(what):
    lines = [whole[what](genuine(number)) for number in range(9)]
    content = b"\n".join(lines)
    assert canal_columns.read_columns(SPEC, content, starts_of(content)) is not None


PIECES = [
    *(b'"', b"\\", b"{", b"}", b"[", b",", b":", b"0", b"-", b" ", b"\t", b"\n", b"\xff", b"null", b"\\u0022", b'""'),
    *(b'},"old":', b'},"mysqlType":{', b'"sqlType":{', b'"data":[{', b'"type":"DELETE",', b'"old":null,', b'"b":"z",'),
    *(b'"type":"UPDATE","es":1,"ts":2,', b'"_tidb":{"commitTs":7},', b'"database":"x",', b'"b":12,', b'"x":{', b"},"),
]


def mutated(data, content):
    """Return the content with one damage, more often where types are told than elsewhere."""
    size, begin = len(content), content.find(b'"sqlType"', data.draw(st.integers(0, len(content))))
    near = st.integers(0, 320).map(lambda far: min(max(begin, 0) + far, size - 1))
    at = data.draw(st.one_of(near, st.integers(0, size - 1)))
    other = data.draw(st.one_of(near, st.integers(0, size - 1)))
    at, other = min(at, other), max(at, other)
    head, middle, tail = content[:at], content[at:other], content[other:]
    piece = data.draw(st.sampled_from(PIECES))
    ways = [
        head + piece + middle + tail,
        head + piece + content[at + len(piece) :],
        head + content[at + 1 :],
        head + bytes([content[at] ^ 1 << data.draw(st.integers(0, 7))]) + content[at + 1 :],
        head + content[other : other + 1] + content[at + 1 : other] + content[at : at + 1] + content[other + 1 :],
        head + tail,
        head + middle + middle + tail,
        head + tail[:40] + middle + tail[40:],
    ]
    return data.draw(st.sampled_from(ways))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_happens_to_lines_rows_are_those_of_lines_read_one_by_one(data):
    texts = data.draw(st.lists(st.sampled_from(TEXTS), min_size=2, max_size=6))
    begin = data.draw(st.integers(0, 99))
    end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    content = end.join(genuine(begin + at, text) for at, text in enumerate(texts))
    for _ in range(data.draw(st.integers(0, 3))):
        content = mutated(data, content) or b"{"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(canal, "_FEW", 1)
        patched.setattr(canal, "_PATIENCE", 99)
        at_once = in_order(rows_of(content, SPEC))
        assert at_once == in_order(rows_one_by_one(content, SPEC, patched))
