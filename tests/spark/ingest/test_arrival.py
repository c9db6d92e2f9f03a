"""The genuine feeds, their files arriving in any order and portions, some of them twice."""

import random
import shutil
from pathlib import Path

import pytest

from jobs.ingest.tidb import job as cdc
from tests.realfeed import assert_state, feed_at
from tests.spark.ingest.test_cdc import adds_up

pytestmark = [pytest.mark.spark, pytest.mark.long]

PORTIONS = 6


@pytest.mark.parametrize("feed", ["canal-json", "csv"])
def test_files_in_any_order_and_portions_end_in_the_expected_state(lake, work, shared, tmp_path, feed):
    told = {"changefeed": str(shared / f"fixtures/ticdc-real/{feed}.changefeed.toml")}
    whole, arrived = tmp_path / "whole", tmp_path / "arrived"
    dumpling = feed_at(shared, whole, "checkpoint", feed=feed)["dumpling"]
    chance = random.Random(feed)
    # a file is told by its index, and read by its schema file: those come in any order too
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file() and path.name != "metadata")
    chance.shuffle(files)
    arrived.mkdir()
    (arrived / "metadata").write_text('{"checkpoint-ts":470650142688280576}')
    for portion in range(PORTIONS):
        for path in files[portion::PORTIONS] + chance.choices(files[: portion + 1], k=2):
            copy(whole / path, arrived / path)
        adds_up(cdc.run(work(ticdc=str(arrived), dumpling=dumpling, **told)))
    copy(whole / "metadata", arrived / "metadata")
    counts = adds_up(cdc.run(work(ticdc=str(arrived), dumpling=dumpling, **told)))
    assert_state(lake, shared, "checkpoint")
    assert (counts["blocked"], counts["quarantined"]) == (0, 0)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
