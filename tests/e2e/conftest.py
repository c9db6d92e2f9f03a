"""One world, made and run through the whole flow once; the tests of this folder look at what came of it."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.settings import Settings
from tests.flows import run_flow


@dataclass
class Flowed:
    """What a flow left behind."""

    lake: Any
    settings: Settings
    cut: date
    options: dict[str, Any]
    truth: Path
    work: Path

    def gold(self, name, cut=None):
        """Return the rows of a gold table at the cut."""
        return self.lake.read(f"gold.{name}").where(f"as_of = DATE'{cut or self.cut}'").drop("as_of")

    def again(self, force=True):
        """Run the whole flow once more."""
        run_flow(self.lake.spark, self.settings, self.work / "lake", self.options, self.work, force)

    def told(self, name):
        """Return a table of the world's truth as Arrow."""
        return pq.read_table(self.truth / f"{name}.parquet")


@pytest.fixture(scope="module", autouse=True)
def as_users_run_it(spark):
    """Let queries run as `pinlake` runs them; the other tests' settings are for tiny data."""
    users = {"spark.sql.adaptive.enabled": "true", "spark.sql.codegen.wholeStage": "true"}
    users |= {"spark.sql.shuffle.partitions": "4"}
    before = {key: spark.conf.get(key) for key in users}
    for key, value in users.items():
        spark.conf.set(key, value)
    yield
    for key, value in before.items():
        spark.conf.set(key, value)


@pytest.fixture(scope="module")
def flowed(spark, as_users_run_it, tmp_path_factory):
    """The demo's world without its images, through every job to a served generation."""
    from jobs.simulator.write import write_world

    work = tmp_path_factory.mktemp("flow")
    settings = Settings()
    settings = settings.model_copy(update={"simulator": settings.simulator.model_copy(update={"images": False})})
    write_world(settings, work / "world")
    sources = work / "world"
    options = {
        "ticdc": str(sources / "ticdc"),
        "dumpling": str(sources / "dumpling"),
        "kafka": [str(sources / "kafka/secor"), str(sources / "kafka/connect/topics")],
        "store": str(work / "store"),
    }
    lake, cut = run_flow(spark, settings, work / "lake", options, work)
    return Flowed(lake, settings, cut, options, sources / "truth", work)
