"""`pinlake ingest` as a person calls it: a process, its exit code, what it leaves in the lake it was told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.lake.delta import Lake
from tests.realfeed import assert_state, feed_at

pytestmark = [pytest.mark.spark, pytest.mark.slow]

PINLAKE = Path(sys.executable).with_name("pinlake")


def ingest(*arguments):
    return subprocess.run(
        [PINLAKE, "ingest", *arguments], capture_output=True, text=True, timeout=300, env=os.environ, check=False
    )


@pytest.mark.long
def test_the_real_feed_at_mark_mid_comes_into_the_lake_named(spark, shared, tmp_path):
    sources, lake = feed_at(shared, tmp_path / "feed", "mid"), tmp_path / "lake"
    done = ingest("--ticdc", sources["ticdc"], "--dumpling", sources["dumpling"], "--lake", str(lake))
    assert done.returncode == 0, done.stderr
    assert "ingest.cdc" in done.stdout
    assert_state(Lake(spark, str(lake)), shared, "mid")


def test_a_folder_that_is_not_there_is_one_sentence_and_an_exit_code(tmp_path):
    done = ingest("--ticdc", str(tmp_path / "gone"), "--lake", str(tmp_path / "lake"))
    assert done.returncode == 3, done.stderr
    assert str(tmp_path / "gone") in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
