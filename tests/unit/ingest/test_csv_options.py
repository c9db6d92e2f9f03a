"""What a feed's own CSV records show of its settings: taken where it is certain, asked for where it is not."""

import base64
import json

import pytest

from jobs.common.errors import SourceError
from jobs.ingest.loading.stream import BAD, CHANGE
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.ticdc.changefeed import Changefeed
from jobs.ingest.tidb.ticdc.feed_csv import read_feed_csv
from jobs.ingest.tidb.ticdc.infer_options import Named
from jobs.ingest.tidb.ticdc.schema_files import checksum
from jobs.ingest.tidb.ticdc.sink_listing import read_feed
from jobs.settings.ingest import Ingest

TSO = 460000000001000000
COLUMNS = [("id", "BIGINT"), ("name", "VARCHAR"), ("raw", "VARBINARY"), ("day", "DATE"), ("n", "INT")]
HEADER = ["ticdc-meta$" + name for name in ("operation", "table", "schema", "commit-ts")] + [
    name for name, _ in COLUMNS
]


def write(root, tables, end="\r\n", folder="2026-08-01"):
    """Write a feed: table -> lines of CSV, or several files of lines."""
    (root / "metadata").write_text('{"checkpoint-ts":470000000000000000}')
    for table, files in tables.items():
        entries = [{"ColumnName": n, "ColumnType": t, "ColumnPrecision": "90"} for n, t in COLUMNS]
        entries[0] |= {"ColumnIsPk": "true", "ColumnNullable": "false"}
        body = {"Table": table, "Schema": "app", "Version": 1, "TableVersion": TSO, "Query": "", "Type": 0,
                "TableColumns": entries, "TableColumnsTotal": len(entries)}  # fmt: skip
        meta = root / f"app/{table}/meta"
        meta.mkdir(parents=True)
        (meta / f"schema_{TSO}_{checksum(body):010d}.json").write_text(json.dumps(body))
        data = root / f"app/{table}/{TSO}/{folder}"
        (data / "meta").mkdir(parents=True)
        some = files if isinstance(files[0], list) else [files]
        for number, lines in enumerate(some, 1):
            (data / f"CDC{number:06}.csv").write_bytes("".join(line + end for line in lines).encode())
        (data / "meta/CDC.index").write_text(f"CDC{len(some):06}.csv\n")
    return str(root)


def line(number, name='"x"', raw='""', day='"2026-01-02"', n="5", table="t"):
    return f'"I","{table}","app",{TSO + number},{number},{name},{raw},{day},{n}'


def named(**sink):
    csv = {"include-commit-ts": True} | sink.pop("csv", {})
    return Named("--changefeed feed.toml", Changefeed.model_validate({"sink": {"protocol": "csv", "csv": csv} | sink}))


def rows(root, told=None):
    sources = join(read_feed(root, told), None, Ingest())
    good, bad = [], []
    for item in sources.items:
        content = open(f"{root}/{item.file.path}", "rb").read()  # noqa: PTH123, SIM115
        found = [row for batch in read_feed_csv(item.task, content) for row in batch.to_pylist()]
        good += [dict(row["after"]) for row in found if row["kind"] == CHANGE]
        bad += [(row["reason"], row["row_no"]) for row in found if row["kind"] == BAD]
    return good, bad


@pytest.mark.parametrize("token", ["NULL", "null", "", "nil", "\\0"])
@pytest.mark.parametrize("where", ["name", "n", "day"])
def test_the_text_for_null_is_taken_where_only_one_can_be(tmp_path, token, where):
    lines = [line(1), line(2, **{where: token}), line(3, '"NULL"'), line(4, '""')]
    good, bad = rows(write(tmp_path, {"t": lines}))
    assert bad == []
    assert [row[where] for row in good][1] is None
    assert [row["name"] for row in good][2:] == ["NULL", ""]


def test_two_texts_without_quotes_are_asked_for_and_a_damaged_record_is_not(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    root = write(tmp_path / "a", {"t": [line(1, "NULL"), line(2, "\\N"), line(3)]})
    with pytest.raises(SourceError, match=r"'NULL' stands there without quotes.*sink\.csv\.null.*--changefeed"):
        read_feed(root)
    root = write(tmp_path / "b", {"t": [line(n, "oops" if n == 7 else '"x"') for n in range(1, 30)]})
    good, bad = rows(root)
    assert (len(good), bad) == (28, [("wrong_dialect", 7)])


def test_a_file_named_that_says_another_null_or_encoding_is_contradicted(tmp_path):
    root = write(tmp_path, {"t": [line(1, "NULL"), line(2, raw='"68656c6c6f20776f726c6421"')]})
    with pytest.raises(SourceError, match=r"feed\.toml says sink\.csv\.null"):
        read_feed(root, named())
    with pytest.raises(SourceError, match=r"feed\.toml says sink\.csv\.binary-encoding-method = 'base64'"):
        read_feed(root, named(csv={"null": "NULL"}))
    good, bad = rows(root, named(csv={"null": "NULL", "binary-encoding-method": "hex"}))
    assert (bad, good[0]["name"], good[1]["raw"]) == ([], None, b"hello world!".hex())


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([b"hello world!", b"abcd"], "hex"), ([b"abc"], "hex"), ([b"hello world!", b"abcd", b""], "base64"),
        ([], "base64"), ([b"\0" * 16], "base64"), ([b"\0" * 16], "hex"),
    ],
)  # fmt: skip
def test_hexadecimal_is_told_from_base64(tmp_path, values, wanted):
    coded = [v.hex() if wanted == "hex" else base64.b64encode(v).decode() for v in values]
    lines = [line(n, raw=f'"{text}"') for n, text in enumerate(coded, 1)] + [line(90, raw="\\N")]
    good, bad = rows(write(tmp_path, {"t": lines}))
    assert (bad, [row["raw"] for row in good]) == ([], [*[v.hex() for v in values], None])


def test_a_few_characters_that_are_hexadecimal_and_base64_are_asked_for(tmp_path):
    root = write(tmp_path, {"t": [line(1, raw='"61626364"')]})
    with pytest.raises(SourceError, match=r"binary-encoding-method.*--changefeed"):
        read_feed(root)
    assert rows(root, named(csv={"binary-encoding-method": "hex"}))[0][0]["raw"] == b"abcd".hex()
    assert rows(root, named())[0][0]["raw"] == base64.b64decode("61626364").hex()


def test_a_file_beyond_those_looked_at_is_set_aside_whole_where_its_values_are_hexadecimal(tmp_path):
    many = [line(n, raw='"AAAA"') for n in range(1, 700)] + [line(n, raw='"AAAA"') for n in range(700, 1500)]
    other = [line(n, raw=f'"{b"another value".hex()}"') for n in range(5)]
    root = write(tmp_path, {"t": [many, [many[0] for _ in range(2000)], other]})
    found = read_feed(root)
    found.changefeed = found.changefeed.model_copy(
        update={"sink": found.changefeed.sink.model_copy(update={"csv": named().says.sink.csv})}
    )
    (item,) = [i for i in join(found, None, Ingest()).items if i.file.path.endswith("3.csv")]
    content = (tmp_path / item.file.path).read_bytes()
    (bad,) = [row for b in read_feed_csv(item.task, content) for row in b.to_pylist() if row["kind"] == BAD]
    assert (bad["reason"], bad["row_no"]) == ("wrong_dialect", None)
    assert "hexadecimal" in bad["detail"]


@pytest.mark.parametrize("end", ["@@", "\n", "\r\n", "|\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", "|+|", "\t"])
def test_a_header_and_any_terminator_are_read(tmp_path, end, delimiter):
    lines = [delimiter.join(HEADER)] + [line(n).replace(",", delimiter) for n in (1, 2)]
    told = named(terminator=end, csv={"output-field-header": True, "delimiter": delimiter})
    good, bad = rows(write(tmp_path, {"t": lines}, end), told)
    assert (bad, [row["id"] for row in good]) == ([], ["1", "2"])
    if end == "@@":
        with pytest.raises(SourceError, match=r"sink\.terminator"):
            read_feed(str(tmp_path))
    if end in {"\n", "\r\n"}:
        assert rows(str(tmp_path)) == (good, bad), "the header shows the delimiter"


def test_files_that_differ_in_their_settings_are_no_one_feed(tmp_path):
    plain, old = [line(1)], [line(2).replace(f"{TSO + 2},", f"{TSO + 2},false,")]
    with pytest.raises(SourceError, match="output-old-value"):
        read_feed(write(tmp_path, {"t": plain, "u": [one.replace('"t"', '"u"') for one in old]}))


@pytest.mark.parametrize("separator", [None, "none"])
def test_a_partition_whose_id_looks_like_a_year_is_one(tmp_path, separator):
    root = write(tmp_path, {"t": [line(1)]}, folder="2024")
    (tmp_path / f"app/t/{TSO}/2026/meta").mkdir(parents=True)
    (tmp_path / f"app/t/{TSO}/2026/CDC000001.csv").write_text(line(2))
    (tmp_path / f"app/t/{TSO}/2026/meta/CDC.index").write_text("CDC000001.csv\n")
    told = named(**{"date-separator": separator}) if separator else None
    assert sorted((what.folder.partition, what.folder.date) for _, what in read_feed(root, told).data) == [
        (2024, ""), (2026, "")
    ]  # fmt: skip
    with pytest.raises(SourceError, match=r"sink\.date-separator = 'day'"):
        read_feed(root, named())


def test_a_year_is_one_where_all_folders_end_in_one_that_can_be(tmp_path):
    root = write(tmp_path, {"t": [line(1)]}, folder="2026")
    for told in (None, named(**{"date-separator": "year"})):
        assert [(what.folder.partition, what.folder.date) for _, what in read_feed(root, told).data] == [(0, "2026")]
