"""The flow as the command line runs it, in the tests' session."""

from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


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
    """Run the flow to the latest cut; return the lake and the cut."""
    with opened(spark, settings, root, options, work) as on:
        return on.runner.lake, on.flow(None, force)
