"""A changefeed's own file: what it says, what it may not say, and what the files say against it."""

import pytest

from jobs.common.errors import ConfigError, SourceError
from jobs.ingest.tidb.ticdc.changefeed import read_changefeed
from jobs.ingest.tidb.ticdc.infer_options import Named
from jobs.ingest.tidb.ticdc.sink_listing import read_feed

CSV = 'sink-uri = "s3://cdc/app?protocol=csv"\n[sink.csv]\ninclude-commit-ts = true\n'
CANAL = 'sink-uri = "s3://cdc/app?protocol=canal-json&enable-tidb-extension=true"\n'
RECORD = '"I","t","app",470650142710824961,{}1,"x"\r\n'
HEADER = "ticdc-meta$operation,ticdc-meta$table,ticdc-meta$schema,ticdc-meta$commit-ts,id,v\r\n"


@pytest.fixture
def say(tmp_path):
    def write(text):
        (tmp_path / "feed.toml").write_text(text)
        return tmp_path / "feed.toml"

    return write


@pytest.fixture
def tree(tmp_path):
    def write(content, date="2026-11-22/", name="CDC000001.csv"):
        root = tmp_path / "feed"
        for path, text in {
            "metadata": '{"checkpoint-ts":470650143145721857}',
            f"app/t/7/{date}{name}": content,
            f"app/t/7/{date}meta/CDC.index": f"{name}\n",
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return str(root)

    return write


def test_what_is_left_out_is_ticdcs_default_and_other_keys_are_left_alone(say):
    found = read_changefeed(say(CSV + 'delimiter = "|"\n[scheduler]\nenable-table-across-nodes = true\n'))
    assert (found.protocol, found.server_timezone, found.sink.date_separator) == ("csv", "", "day")
    csv = found.sink.csv
    assert (csv.delimiter, csv.quote, csv.null, csv.binary_encoding_method) == ("|", '"', "\\N", "base64")
    assert read_changefeed(say('server-timezone = "Asia/Shanghai"\n' + CANAL)).server_timezone == "Asia/Shanghai"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('sink-uri = "s3://cdc/app?protocol=avro"', "only canal-json and csv"),
        ('sink-uri = "s3://cdc/app?protocol=csv"', "sink.csv.include-commit-ts is false"),
        ('sink-uri = "s3://cdc/app?protocol=canal-json"', "lacks enable-tidb-extension=true"),
        (CSV + "[sink.cloud-storage-config]\noutput-raw-change-event = true", "output-raw-change-event is true"),
        (CANAL + "[sink]\nenable-partition-separator = false", "sink.enable-partition-separator is false"),
        (CSV + 'quote = ""\nnull = "nil"', "cannot be distinguished from NULL"),
    ],
)
def test_a_feed_that_would_lose_rows_or_their_order_is_refused_with_the_way_to_mend_it(say, text, says):
    with pytest.raises(SourceError, match=says) as error:
        read_changefeed(say(text))
    assert "feed.toml" in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = ", "not valid TOML"),
        (CSV + 'delimiter = "abcd"', r"sink\.csv\.delimiter = 'abcd'"),
        ('server-timezone = "Mars/Base"', "not a time zone"),
    ],
)
def test_a_file_that_is_wrong_names_what_is(say, text, says):
    with pytest.raises(ConfigError, match=says):
        read_changefeed(say(text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.toml: no such file"):
        read_changefeed(tmp_path / "gone.toml")


@pytest.mark.parametrize(("header", "update"), [("", ""), (HEADER, ""), ("", "false,"), (HEADER, "true,")])
def test_without_a_file_the_records_show_how_they_are_written(tree, header, update):
    csv = read_feed(tree(header + RECORD.format(update))).changefeed.sink.csv
    assert (csv.output_field_header, csv.output_old_value) == (bool(header), bool(update))


@pytest.mark.parametrize(
    ("content", "says"), [('"I","t","app",1,"x"\r\n', "carry no commit-ts"), ("I|t|app|4706|1\n", "--changefeed")]
)
def test_records_without_an_order_or_in_another_dialect_are_refused(tree, content, says):
    with pytest.raises(SourceError, match=says):
        read_feed(tree(content))


@pytest.mark.parametrize(
    ("text", "content", "setting"),
    [
        (CANAL, RECORD.format(""), "protocol = 'canal-json'"),
        (CSV + "output-field-header = true", RECORD.format(""), "sink.csv.output-field-header = True"),
        (CSV + "output-old-value = true", RECORD.format(""), "sink.csv.output-old-value = True"),
        (CSV + "[sink]\ndate-separator = 'none'", RECORD.format(""), "sink.date-separator = 'none'"),
    ],
)
def test_a_file_that_contradicts_the_tree_is_an_error_that_names_both(say, tree, text, content, setting):
    named = Named("--changefeed feed.toml", read_changefeed(say(text)))
    with pytest.raises(SourceError) as error:
        read_feed(tree(content), named)
    assert f"--changefeed feed.toml says {setting}" in str(error.value)
    assert "CDC000001.csv" in str(error.value)
