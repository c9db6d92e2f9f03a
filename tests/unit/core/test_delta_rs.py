"""Small tables by delta-rs: commits that Spark's readers understand, and the log read without a JVM."""

import json
import time
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from jobs.lake import delta_rs
from jobs.schema.tables import table

NAME = "gold.home_feed"
NOTE = json.dumps({"job": "ranking.home_feed", "write_id": "abc"})
TYPES = {"int": "integer", "bigint": "long"}
SCHEMA = {
    "type": "struct",
    "fields": [
        {"name": c.name, "type": TYPES.get(c.type, c.type), "nullable": c.nullable, "metadata": {"comment": c.comment}}
        for c in table(NAME).columns
    ],
}
TXN = ("pinlake:gold.home_feed:2026-10-01", 1)


@pytest.fixture
def path(tmp_path):
    """An empty gold.home_feed."""
    folder = str(tmp_path / "home_feed")
    delta_rs.create(folder, table(NAME), json.dumps(SCHEMA))
    return folder


def rows(path, day, pins):
    schema = pa.schema(DeltaTable(path).schema().to_arrow())
    values = {"as_of": date(2026, 10, day), "user_id": 9, "position": 1, "score": 0.5, "reason": "x", "arm": "control"}
    filled = {
        f.name: values.get(f.name, None if f.nullable else "" if pa.types.is_string(f.type) else 0) for f in schema
    }
    return pa.Table.from_pylist([filled | {"pin_id": pin} for pin in pins], schema=schema)


def test_a_partition_is_appended_with_its_note_and_its_transaction_in_one_commit(path):
    delta_rs.append_table(path, rows(path, 1, [1, 2]), NOTE, TXN)
    version, count, size = delta_rs.commit_of(path, "abc", 50)
    assert (version, count) == (1, 2)
    assert size == delta_rs.table_bytes(path) > 0
    log = Path(path, "_delta_log", f"{version:020}.json").read_text(encoding="utf-8").splitlines()
    actions = [json.loads(line) for line in log]
    (info,) = [action["commitInfo"] for action in actions if "commitInfo" in action]
    (txn,) = [action["txn"] for action in actions if "txn" in action]
    assert info["userMetadata"] == NOTE, "where Delta's own writer puts it, and `DESCRIBE HISTORY` shows it"
    assert (txn["appId"], txn["version"]) == TXN
    assert json.loads(delta_rs.newest_note(path)) == json.loads(NOTE)
    assert delta_rs.has_partition(path, {"as_of": date(2026, 10, 1)})
    assert not delta_rs.has_partition(path, {"as_of": date(2026, 10, 2)})
    assert DeltaTable(path).protocol().min_reader_version == 1


def test_a_commit_is_found_behind_later_ones_and_one_that_was_not_made_is_not(path):
    delta_rs.append_table(path, rows(path, 1, [1]), NOTE, TXN)
    delta_rs.append_table(path, rows(path, 2, [2, 3]), json.dumps({"write_id": "later"}), (TXN[0] + "b", 1))
    assert delta_rs.commit_of(path, "abc", 50)[:2] == (1, 1)
    assert delta_rs.commit_of(path, "abc", 1) is None
    assert delta_rs.commit_of(path, "never", 50) is None


def test_version_and_schema_are_those_of_the_log(path, tmp_path):
    assert delta_rs.version(path) == 0
    assert delta_rs.version(str(tmp_path / "none")) == -1
    (tmp_path / "unfinished/_delta_log").mkdir(parents=True)
    (tmp_path / "unfinished/_delta_log/.00000000000000000000.json.tmp").touch()
    assert delta_rs.version(str(tmp_path / "unfinished")) == -1
    assert json.loads(delta_rs.schema_json(path)) == SCHEMA


def test_a_small_table_is_told_by_its_files_a_larger_one_is_not(path, tmp_path, monkeypatch):
    assert delta_rs.plain_files(path, None, 1 << 20)[0] == []
    for day in (1, 2):
        delta_rs.append_table(path, rows(path, day, [day]), NOTE, (f"{day}", 1))
    files, schema = delta_rs.plain_files(path, None, 1 << 20)
    assert sorted(Path(file).parent.name for file in files) == ["as_of=2026-10-01", "as_of=2026-10-02"]
    assert all(Path(file).is_file() for file in files)
    assert json.loads(schema) == json.loads(delta_rs.schema_json(path))
    assert len(delta_rs.plain_files(path, 1, 1 << 20)[0]) == 1, "as it was at that version"
    assert delta_rs.plain_files(path, None, 10) is None
    monkeypatch.setattr(delta_rs, "MOST_FILES", 1)
    assert delta_rs.plain_files(path, None, 1 << 20) is None
    assert delta_rs.plain_files(str(tmp_path / "none"), None, 1 << 20) is None


def test_a_table_without_rows_and_a_part_of_a_table_are_written(path):
    delta_rs.append_table(path, rows(path, 1, [1, 2, 3]).slice(1, 1), NOTE, TXN)
    delta_rs.append_table(path, rows(path, 1, []), NOTE, ("pinlake:empty", 1))
    assert DeltaTable(path).to_pyarrow_table()["pin_id"].to_pylist() == [2]


def test_a_transaction_is_known_by_its_application_and_number(path):
    assert not delta_rs.is_committed(path, TXN)
    delta_rs.append_table(path, rows(path, 1, [1]), NOTE)
    assert not delta_rs.is_committed(path, TXN)
    delta_rs.append_table(path, rows(path, 1, [2]), NOTE, (TXN[0], 5))
    assert [delta_rs.is_committed(path, (TXN[0], number)) for number in (4, 5, 6)] == [True, True, False]
    assert not delta_rs.is_committed(path, (TXN[0] + "b", 5))


def test_rows_are_deleted_by_their_places_and_a_place_may_have_nulls(path):
    delta_rs.append_table(path, rows(path, 1, [1, 2, 3, 4]), NOTE)
    kept = rows(path, 2, [1, 5])
    arms = pa.array([None, "treatment"], kept.schema.field("arm").type)
    place = kept.schema.get_field_index("arm")
    delta_rs.append_table(path, kept.set_column(place, kept.schema.field("arm").with_nullable(True), arms), NOTE)
    key = ("as_of", "arm", "pin_id")
    day = date(2026, 10, 1)
    places = [(day, "control", 2), (day, "treatment", 3), (day, "control", 4), (date(2026, 10, 2), None, 1)]
    schema = pa.schema([kept.schema.field(name).with_nullable(True) for name in key])
    delta_rs.delete_rows(path, pa.Table.from_pylist([dict(zip(key, one, strict=True)) for one in places], schema), key)
    left = DeltaTable(path).to_pyarrow_table()
    found = sorted(zip(left["as_of"].to_pylist(), left["pin_id"].to_pylist(), strict=True))
    assert found == [(day, 1), (day, 3), (date(2026, 10, 2), 5)]


def test_only_a_table_of_several_files_has_any_to_join(path):
    assert delta_rs.is_one_file(path), "none"
    delta_rs.append_table(path, rows(path, 1, [1]), NOTE, TXN)
    assert delta_rs.is_one_file(path)
    delta_rs.append_table(path, rows(path, 1, [2]), NOTE, ("pinlake:second", 1))
    assert not delta_rs.is_one_file(path)
    assert not delta_rs.is_one_file(path + "/none"), "what cannot be told is left to Spark"


def test_a_file_that_is_old_and_of_no_use_is_found_however_deep_it_lies(path):
    delta_rs.append_table(path, rows(path, 1, [1]), NOTE, TXN)
    assert not delta_rs.has_unneeded(path, time.time() + 60), "the newest version needs all there are"
    for stray in ("part-0.parquet", "as_of=2026-10-01/part-0.parquet", "_change_data/cdc-0.parquet"):
        file = Path(path, stray)
        file.parent.mkdir(exist_ok=True)
        file.touch()
        assert delta_rs.has_unneeded(path, time.time() + 60), stray
        assert not delta_rs.has_unneeded(path, file.stat().st_mtime - 1), "too young to be deleted"
        file.unlink()
    DeltaTable(path).delete()
    assert delta_rs.has_unneeded(path, time.time() + 60), "an earlier version's"
    assert delta_rs.has_unneeded(path + "/none", time.time()) is False
