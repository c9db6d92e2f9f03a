"""One lake for a module's tests: actions run once, one after another, and many tests look at what they left."""

import itertools
from datetime import date

from jobs.engine.context import ActionContext, Context
from jobs.lake.delta import Lake
from jobs.settings import Settings


def nothing(*_):
    """Stand in for progress and checks that a test does not look at."""


def lake_at(spark, folder):
    """Return a lake in a folder, set up as the `lake` of single tests is."""
    platform = Settings().platform
    return Lake(spark, str(folder), platform.cache_mb, platform.collect_mb)


def worker(lake, ctx=None):
    """Return a maker of what an action is given; a second call is a later run."""
    ctx = ctx or Context(Settings(), date(2026, 11, 1))
    numbers = itertools.count(1)

    def make(judge=nothing, settings=None, **options):
        context = Context(settings, ctx.as_of) if settings else ctx
        return ActionContext(
            lake.spark, lake, context, f"run-{next(numbers)}", nothing, nothing, judge, options=options
        )

    return make
