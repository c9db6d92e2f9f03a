"""The whole flow as the command line runs it, in the tests' session, on a simulated world."""

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from jobs.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class FinishedFlow:
    """A lake and a store that one run of the flow has filled."""

    lake: Any
    settings: Settings
    as_of: date
    options: dict[str, Any]
    truth: Path
    work: Path

    def gold(self, name, as_of=None):
        """Return the rows of a gold table at an as-of date, by default the flow's."""
        return self.lake.read(f"gold.{name}").where(f"as_of = DATE'{as_of or self.as_of}'").drop("as_of")

    def run_again(self):
        """Run every job once more."""
        run_flow(self.lake.spark, self.settings, self.work / "lake", self.options, self.work, force=True)

    def truth_table(self, name):
        """Return a table of the world's truth as Arrow."""
        import pyarrow.parquet as pq

        return pq.read_table(self.truth / f"{name}.parquet")


@contextmanager
def opened(spark, settings, root, options, work):
    """Give an engine on the lake at `root`; its records are written when it closes."""
    from jobs.engine.progress import Lines
    from jobs.engine.runner import Runner
    from jobs.engine.scheduler import Scheduler
    from jobs.lake.delta import Lake
    from jobs.validate.checks import Validator

    progress = Lines()
    validator = Validator(ROOT / "expectations", settings, work)
    lake = Lake(spark, str(root), settings.platform.cache_mb, settings.platform.collect_mb)
    runner = Runner(lake, settings, validator, options, progress.say)
    yield Scheduler(runner, progress)


def run_flow(spark, settings, root, options, work, force=False):
    """Run the flow at the latest as-of date; return the lake and that date."""
    with opened(spark, settings, root, options, work) as engine:
        return engine.runner.lake, engine.flow(None, force)


def simulate_and_run(spark, work, **simulator) -> FinishedFlow:
    """Write a world without images, with these settings of the simulator, and run every job to a served generation."""
    from jobs.simulator.write import write_world

    settings = Settings()
    changed = settings.simulator.model_copy(update={"images": False} | simulator)
    settings = settings.model_copy(update={"simulator": changed})
    sources = work / "world"
    write_world(settings, sources)
    options = {
        "ticdc": str(sources / "ticdc"),
        "dumpling": str(sources / "dumpling"),
        "kafka": [str(sources / "kafka/secor"), str(sources / "kafka/connect/topics")],
        "store": str(work / "store"),
    }
    lake, as_of = run_flow(spark, settings, work / "lake", options, work)
    return FinishedFlow(lake, settings, as_of, options, sources / "truth", work)
