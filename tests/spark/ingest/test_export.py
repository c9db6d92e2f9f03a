"""Exports hold the live rows of the source's tables, in its columns and order, and nothing else."""

import csv
import json

import pyarrow.parquet as pq
import pytest

from jobs.common.errors import ConfigError, TableError
from jobs.ingest.export import export
from jobs.ingest.tidb import job as cdc
from tests.realfeed import expected, feed_at
from tests.scenes import lake_at, worker

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def ingested(spark, shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    lake = lake_at(spark, folder / "lake")
    cdc.run(worker(lake)(**feed_at(shared, folder / "feed", "checkpoint")))
    return lake


def test_every_table_of_the_source_is_one_file_with_its_rows_and_columns(ingested, shared, tmp_path):
    rows = export(ingested, (), tmp_path / "out", "parquet")
    wanted = expected(shared, "checkpoint")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{name.replace('_', '.', 1)}.parquet" for name in wanted
    )
    for name, (columns, _, records) in wanted.items():
        source = name.replace("_", ".", 1)
        table = pq.read_table(tmp_path / "out" / f"{source}.parquet")
        assert table.column_names == [column["name"] for column in columns], "in the source's order"
        assert table.num_rows == rows[source] == len(records)


def test_named_tables_come_as_lines_and_as_csv_and_replace_what_was_there(ingested, shared, tmp_path):
    _, _, wanted = expected(shared, "checkpoint")["app_boards"]
    for _ in range(2):
        assert set(export(ingested, ["app.boards"], tmp_path, "jsonl")) == {"app.boards"}
    lines = [json.loads(line) for line in (tmp_path / "app.boards.jsonl").read_text().split("\n") if line]
    assert {str(line["id"]) for line in lines} == {key[0] for key in wanted}
    export(ingested, ["app.boards"], tmp_path, "csv")
    with (tmp_path / "app.boards.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"]: row["topic"] for row in rows} == {k[0]: row["topic"] or "\\N" for k, row in wanted.items()}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["app.boards.csv", "app.boards.jsonl"]


def test_what_cannot_be_exported_is_named(ingested, tmp_path):
    with pytest.raises(ConfigError, match=r"No table app\.gone .*there are: app\.board_pins"):
        export(ingested, ["app.gone"], tmp_path, "parquet")


def test_an_empty_lake_says_what_to_run(lake, tmp_path):
    with pytest.raises(TableError, match="pinlake ingest"):
        export(lake, (), tmp_path, "parquet")
