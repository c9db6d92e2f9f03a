"""Ingest runs in the tests' session, and the genuine feeds."""

import itertools
import shutil
from pathlib import Path

import pytest

from tests.realfeed import feed_at


def nothing(*_):
    """Stand in for progress and checks that a test does not look at."""


@pytest.fixture
def work(lake, ctx):
    """Return a maker of Work; a second call is a later run."""
    from jobs.engine.context import ActionContext, Context

    numbers = itertools.count(1)

    def make(judge=nothing, settings=None, **options):
        run_id = f"run-{next(numbers)}"
        context = Context(settings, ctx.as_of) if settings else ctx
        return ActionContext(lake.spark, lake, context, run_id, nothing, nothing, judge, options=options)

    return make


@pytest.fixture
def alone(tmp_path):
    """Return a maker of a lake that has copies of some of a lake's tables: to maintain them all is dear."""
    from jobs.lake.delta import Lake

    def copied(lake, *names):
        for name in names:
            folder = name.replace(".", "/", 1)
            shutil.copytree(Path(lake.root, folder), tmp_path / "alone" / folder)
        return Lake(lake.spark, str(tmp_path / "alone"))

    return copied


@pytest.fixture
def real(shared, tmp_path):
    """Return a maker of the real feed as it stood at a mark."""
    return lambda mark, checkpoint=None, feed="canal-json": feed_at(shared, tmp_path / "feed", mark, checkpoint, feed)
