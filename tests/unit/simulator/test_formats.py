"""The writers alone: text, schema files, arms, Kafka file names."""

import base64
import gzip
import json

import numpy as np
import pyarrow as pa
import pytest

from jobs.common.errors import ConfigError
from jobs.settings.ranking import Ranking
from jobs.simulator.arms import arm_of, xxhash_bytes, xxhash_long
from jobs.simulator.kafka import Connect, Secor
from jobs.simulator.names import ODD_TITLES
from jobs.simulator.schema import BOARDS, TABLES, checksum
from jobs.simulator.text import base64_rows, csv_text, hexed, json_text


@pytest.mark.parametrize("width", [1, 2, 3, 512])
def test_base64_agrees_with_the_standard_library(width):
    data = np.random.default_rng(1).integers(0, 256, (5, width), dtype=np.uint8)
    assert base64_rows(data).to_pylist() == [base64.b64encode(row.tobytes()).decode() for row in data]


def test_hex_digits_are_those_of_the_number():
    assert hexed(np.array([0, 255, 2**63 + 10], np.uint64)).to_pylist() == [
        "0" * 16,
        "00000000000000ff",
        "800000000000000a",
    ]


@pytest.mark.parametrize("go", [False, True])
def test_json_text_reads_back_as_it_was(go):
    values = [*ODD_TITLES, None, "<&>"]
    assert [json.loads(v) for v in json_text(pa.array(values), go=go).to_pylist()] == values


def test_go_escapes_angle_brackets_and_ampersands():
    assert json_text(pa.array(["<&>"]), go=True).to_pylist() == ['"\\u003c\\u0026\\u003e"']


def test_csv_text_escapes_by_backslash_and_tells_null_from_its_spelling():
    texts = csv_text(pa.array(['a"b', "c\\d", "e\nf", "\\N", None])).to_pylist()
    assert texts == ['"a\\"b"', '"c\\\\d"', '"e\\nf"', '"\\\\N"', "\\N"]


def test_the_checksum_is_ticdcs(shared):
    files = sorted((shared / "fixtures/ticdc/storage").glob("*/*/meta/schema_*.json"))
    files += sorted((shared / "fixtures/ticdc-real/canal-json").glob("app/*/meta/schema_*.json"))
    assert len(files) > 5
    for file in files:
        definition = json.loads(file.read_text())
        found = checksum(definition["Table"], definition["Schema"], definition["TableColumns"])
        assert f"{found:010d}" == file.stem.split("_")[2], file


def test_a_schema_file_is_laid_out_as_a_real_one(shared):
    real = next((shared / "fixtures/ticdc-real/canal-json/app/boards/meta").glob("schema_*_0354946358.json"))
    name, body = BOARDS.schema_file(470650142688280576)
    assert name.startswith("schema_470650142688280576_")
    mine, theirs = json.loads(body), json.loads(real.read_text())
    assert list(mine) == list(theirs)
    wanted = {c["ColumnName"]: c for c in theirs["TableColumns"]}
    mine_by_name = {c["ColumnName"]: c for c in mine["TableColumns"]}
    assert list(mine_by_name["privacy"].items()) == list(wanted["privacy"].items())
    assert list(mine_by_name["id"].items()) == list(wanted["id"].items())
    assert body.decode().splitlines()[:4] == real.read_text().splitlines()[:1] + body.decode().splitlines()[1:4]


def test_every_table_states_its_key_and_its_enum_values():
    ddl = {t.name: t.create_sql() for t in TABLES}
    assert "PRIMARY KEY (`board_id`,`pin_id`)" in ddl["board_pins"]
    assert "`privacy` enum('public','protected','secret') NOT NULL DEFAULT 'public'" in ddl["boards"]


@pytest.mark.parametrize(
    ("salt", "hashes"),
    [
        ("arms", [2920383150617488005, 5645906814637317395, -2466624712526688018]),
        ("a salt of 22 bytes ok!", [534537634359980189, 6027338011543790596, -5825003117051985186]),
        ("x", [-7029016486253711561, 1807235054019575381, -1099664900231276233]),
    ],
)
def test_arms_hash_as_spark_hashes(salt, hashes):
    """The numbers are Spark 4.1's `xxhash64(salt, id)` for ids 1, 2 and 3."""
    assert xxhash_long(np.arange(1, 4), xxhash_bytes(salt.encode(), 42)).astype(np.int64).tolist() == hashes


def test_arms_get_their_shares_and_a_long_salt_is_refused():
    shares = np.bincount(arm_of(20_000, Ranking(arms={"a": 0.7, "diverse": 0.3}))) / 20_000
    assert shares == pytest.approx([0.7, 0.3], abs=0.01)
    with pytest.raises(ConfigError, match="under 32 bytes; it has 40"):
        arm_of(10, Ranking(arm_salt="s" * 40))


def test_secor_names_files_by_first_offset_and_repeats_the_end_in_a_file_that_overlaps(tmp_path):
    secor = Secor(tmp_path, "t")
    secor.write("2026-10-01", 1, pa.array(["a\n", "b\n", "c\n"]), again=2)
    secor.write("2026-10-02", 1, pa.array(["d\n"]))
    found = {str(p.relative_to(tmp_path)): gzip.decompress(p.read_bytes()) for p in tmp_path.rglob("*.gz")}
    assert found == {
        "secor/t/dt=2026-10-01/1_1_00000000000000000000.gz": b"a\nb\nc\n",
        "secor/t/dt=2026-10-01/1_1_00000000000000000001.gz": b"b\nc\n",
        "secor/t/dt=2026-10-02/1_1_00000000000000000003.gz": b"d\n",
    }


def test_connect_cuts_files_at_the_flush_size_and_names_them_by_first_offset(tmp_path):
    connect = Connect(tmp_path, "t", flush_size=2)
    connect.write(0, pa.array(["a\n"]))
    connect.write(0, pa.array(["b\n", "c\n", "d\n", "e\n"]))
    connect.finish()
    found = {p.name: p.read_bytes() for p in (tmp_path / "connect/topics/t/partition=0").iterdir()}
    wanted = {"t+0+0000000000.json": b"a\nb\n", "t+0+0000000002.json": b"c\nd\n", "t+0+0000000004.json": b"e\n"}
    assert found == wanted
