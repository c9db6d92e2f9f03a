"""Real Pinterest saves by way of the whole platform, beside `implicit` run directly on the same pairs."""

import pytest

from jobs.benchmarks.quality import plain, run_quality, settings_for
from jobs.cli.bench import searched, sources_of
from jobs.settings import Settings
from tests.flows import opened

pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(1800)]


def test_the_platform_ranks_as_well_as_implicit_alone(spark, shared, tmp_path):
    settings = settings_for(Settings(), factors=64)

    def platform(train):
        options = sources_of(train, settings, tmp_path)
        with opened(spark, settings, tmp_path / "lake", options, tmp_path) as on:
            return searched(on)

    found = run_quality(shared / "data" / "pinterest-37k", settings, platform)
    ratio = plain(found)["ratio"]
    assert found[0].recall > 0.13, "implicit itself is off"
    assert ratio["recall"] > 0.98, found
    assert ratio["ndcg"] > 0.98, found
