"""Entry point of the runner and the gate: finds the suite of a table, measures, validates, reports.

In: `expectations/`, the settings, a work folder. Out: a Report per table; Data Docs in `<work>/gx/docs`. Nothing is
written to the lake: the runner puts `Report.rows()` into ops.checks.
"""

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.settings import Settings
from jobs.validate.gx import ExpectationRunner, warm_up
from jobs.validate.report import Report
from jobs.validate.suites import Suite, load_suite, suite_names, suite_path

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Validator:
    """Validates tables by the suites of one folder. Suites are read once."""

    def __init__(self, expectations: Path, settings: Settings, work: Path) -> None:
        """Nothing is read, imported or written until it is needed.

        Args:
            expectations: folder of the suites.
            settings: where the values of $PARAMETERs come from.
            work: scratch folder of the platform; results and Data Docs go to its `gx`.
        """
        self.expectations = expectations
        self.settings = settings
        self.runner = ExpectationRunner(work / "gx", settings.validation.docs_results)
        self._suite = cache(lambda name: load_suite(expectations, name))

    def warm_up(self) -> None:
        """Import Great Expectations in the background: call it before Spark is started."""
        warm_up()

    def has_suite(self, name: str) -> bool:
        """Return whether the table (gold.home_feed) or gate (generation) has a suite."""
        return suite_path(self.expectations, name).is_file()

    def suite(self, name: str) -> Suite:
        """Return the suite called `name`; ConfigError if there is none or it is malformed."""
        return self._suite(name)

    def check(self, name: str, df: "DataFrame", label: str = "") -> Report | None:
        """Measure a table in one pass and validate it; None if it has no suite.

        Args:
            name: table, such as gold.home_feed.
            df: its rows, best persisted: they are committed right after.
            label: what the rows are of, such as the as-of and slice; names the page in Data Docs.

        Raises:
            ConfigError: the suite is malformed or asks for what cannot be measured.
        """
        if not self.has_suite(name):
            return None
        from jobs.validate.measure import measure

        suite = self.suite(name)
        return self.runner.validate(suite, measure(df, suite), parameters=self.parameters(name), label=label)

    def check_numbers(self, suite: str, numbers: Mapping[str, float | None], label: str = "") -> Report:
        """Validate numbers that were measured elsewhere, such as the gate's.

        Args:
            suite: name of the suite, such as generation.
            numbers: every metric the suite names; None where there was nothing to measure.
            label: as in `check`.

        Raises:
            ConfigError: there is no such suite, or a metric or parameter is missing.
        """
        return self.runner.validate(self.suite(suite), numbers, parameters=self.parameters(suite), label=label)

    def digest(self, name: str) -> str:
        """Return a digest of a table's suite and of the parameters that it uses; empty where it has no suite."""
        if not self.has_suite(name):
            return ""
        # read again: Great Expectations changes the content of a suite that it has validated by
        suite, values = load_suite(self.expectations, name), self.parameters(name)
        used = {parameter: values.get(parameter) for parameter in suite.parameters}
        return sha256(json.dumps([suite.content, used], sort_keys=True).encode()).hexdigest()[:16]

    def build_docs(self) -> Path:
        """Write Data Docs: a page per suite and one per result kept. Return the first page."""
        self.runner.add_suites(self.suite(name) for name in suite_names(self.expectations))
        return self.runner.build_docs()

    def parameters(self, suite: str) -> dict[str, float]:
        """Return the values for the $PARAMETERs of a suite: validation.parameters over those of other sections."""
        parameters = self.settings.validation.parameters
        return bounds_in_settings(self.settings) | parameters.get("default", {}) | parameters.get(suite, {})


def bounds_in_settings(settings: Settings) -> dict[str, float]:
    """Return bounds that other sections of the settings state, under the names used by suites."""
    candidates = settings.candidates
    sources = (candidates.collaborative, candidates.content, candidates.trending, candidates.fresh)
    return {
        "feed_length": settings.ranking.feed_length,
        "drops_per_user": settings.ranking.drops_per_user,
        "per_user": max(source.per_user for source in sources),
        "trending_per_category": candidates.trending.per_category,
        "recent_saves": settings.features.recent_saves,
        "neighbours": settings.neighbours.k,
        "related_length": settings.related.length,
    }
