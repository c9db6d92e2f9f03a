"""Validates measured metrics by Great Expectations. The only module that imports it, in a function: it takes 8-18 s.

In: a suite and the metrics of one table. Great Expectations sees one row of pandas, a column a metric; so every result,
severity and page of Data Docs is its own, while the pass over the table was Spark's.

How the two expectation types used in `expectations/` treat a metric that is null (nothing to measure):
`expect_column_max_to_be_between` fails, `expect_column_values_to_be_between` passes. The first is for metrics that must
be there; on one row the maximum is the metric. It is also 2.5 times as fast, and Data Docs show what was observed.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from jobs.common.errors import ConfigError
from jobs.validate.report import Check, Report
from jobs.validate.suites import Suite

RESULTS = "validation_results_store"
_IN_MEMORY = {
    "expectations_store": "ExpectationsStore",
    "checkpoint_store": "CheckpointStore",
    "validation_definition_store": "ValidationDefinitionStore",
}

_ONE_AT_A_TIME = threading.Lock()
"""Great Expectations keeps its current context per process."""


def warm_up() -> threading.Thread:
    """Import Great Expectations in the background, so that it costs nothing while Spark starts; may be called twice."""
    thread = threading.Thread(target=_import, name="import-great-expectations", daemon=True)
    thread.start()
    return thread


class ExpectationRunner:
    """One Great Expectations context: suites and definitions in memory, results and Data Docs in a folder."""

    def __init__(self, folder: Path, keep: int = 8) -> None:
        """Set the folder; nothing is imported or written before the first validation.

        Args:
            folder: for results/ and docs/.
            keep: newest results kept per suite.
        """
        self.folder = folder
        self.keep = keep
        self._context: Any = None
        self._definitions: dict[str, Any] = {}

    def validate(
        self, suite: Suite, measured: Mapping[str, float | None], *, parameters: Mapping[str, float], label: str = ""
    ) -> Report:
        """Validate metrics by a suite.

        Args:
            suite: what is expected.
            measured: metric -> number; every metric the suite names, None where there was nothing to measure.
            parameters: values for the suite's $PARAMETERs; others are ignored.
            label: of the result, such as the as-of; names the page in Data Docs.

        Raises:
            ConfigError: a metric or parameter is missing, or Great Expectations does not know an expectation.
        """
        filled = _filled(suite, measured, parameters)
        gx = _import()
        with _ONE_AT_A_TIME:
            definition = self._definition(gx, suite)
            run = gx.core.run_identifier.RunIdentifier(_file_name(label) or "newest", datetime.now(UTC))
            result = definition.run(
                batch_parameters={"dataframe": _one_row(suite, measured)},
                expectation_parameters=filled,
                result_format="BASIC",
                run_id=run,
            )
            checks = tuple(_check(suite.name, one, measured) for one in result.results)
            self._keep_newest(suite.name, result, checks)
        worst = result.get_max_severity_failure()
        return Report(suite.name, checks, worst.value if worst else None, result)

    def build_docs(self) -> Path:
        """Write Data Docs of the newest results and return their first page."""
        gx = _import()
        with _ONE_AT_A_TIME:
            context = self._open(gx)
            for stale in ("validations", "expectations"):
                shutil.rmtree(self.folder / "docs" / stale, ignore_errors=True)
            context.build_data_docs()
        return self.folder / "docs" / "index.html"

    def add_suites(self, suites: Iterable[Suite]) -> None:
        """Register suites, so that Data Docs have a page of each even before its first validation."""
        gx = _import()
        with _ONE_AT_A_TIME:
            for suite in suites:
                self._definition(gx, suite)

    def _open(self, gx: ModuleType) -> Any:
        """Return the context, made the process's current one."""
        if self._context is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            stores: dict[str, Any] = {name: {"class_name": kind} for name, kind in _IN_MEMORY.items()}
            stores[RESULTS] = {"class_name": "ValidationResultsStore", "store_backend": _files(self.folder / "results")}
            site = {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": _files(self.folder / "docs"),
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
            names = {f"{name}_name": name for name in ("expectations_store", RESULTS, "checkpoint_store")}
            config = gx.data_context.types.base.DataContextConfig(
                stores=stores,
                data_docs_sites={"local": site},
                progress_bars={"globally": False},
                analytics_enabled=False,
                **names,
            )
            self._context = gx.get_context(mode="ephemeral", project_config=config)
            self._context.data_sources.add_pandas("measured")
        gx.data_context.set_context(self._context)
        return self._context

    def _definition(self, gx: ModuleType, suite: Suite) -> Any:
        context = self._open(gx)
        if suite.name not in self._definitions:
            registered = context.suites.add(_gx_suite(gx, suite))
            asset = context.data_sources.get("measured").add_dataframe_asset(suite.name)
            rows = asset.add_batch_definition_whole_dataframe("metrics")
            definition = gx.ValidationDefinition(name=suite.name, data=rows, suite=registered)
            self._definitions[suite.name] = context.validation_definitions.add(definition)
        return self._definitions[suite.name]

    def _keep_newest(self, name: str, result: Any, checks: Iterable[Check]) -> None:
        """Store the result again with a sentence per expectation, which Data Docs show; drop the oldest."""
        for one, check in zip(result.results, checks, strict=True):
            one.expectation_config.description = f"{check}."
        store = self._context.stores[RESULTS]
        mine = [key for key in store.list_keys() if key.expectation_suite_identifier.name == name]
        mine.sort(key=lambda key: key.run_id.run_time, reverse=True)
        store.set(mine[0], result)
        labels: set[str] = set()
        for key in mine:
            if len(labels) >= self.keep or key.run_id.run_name in labels:
                store.remove_key(key)
                self._remove_empty(self.folder / "results" / Path(*key.to_tuple()[:-1]))
            labels.add(key.run_id.run_name)

    def _remove_empty(self, folder: Path) -> None:
        # GX's own clean-up of empty folders never removes one: it tests an iterator for truth
        with contextlib.suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()


def _import() -> ModuleType:
    os.environ["GX_ANALYTICS_ENABLED"] = "False"  # no telemetry
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)  # failures are reported, not logged
    import great_expectations
    import great_expectations.core.run_identifier
    import great_expectations.data_context.types.base
    import great_expectations.expectations.expectation_configuration

    return great_expectations


def _gx_suite(gx: ModuleType, suite: Suite) -> Any:
    """Build the suite expectation by expectation: built whole, what is not accepted is logged and left out."""
    configuration = gx.expectations.expectation_configuration.ExpectationConfiguration
    accepted = []
    for number, item in enumerate(suite.content["expectations"], 1):
        try:
            accepted.append(configuration(**item).to_domain_obj())
        except Exception as error:  # pydantic's or its own, by what is wrong
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"Suite {suite.name}, expectation {number}: Great Expectations does not accept {item['type']} "
                f"with {json.dumps(item['kwargs'])}: {reason}"
            ) from error
    return gx.ExpectationSuite(**{**suite.content, "expectations": accepted})


def _files(folder: Path) -> dict[str, str]:
    return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())}


def _file_name(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", label)


def _filled(suite: Suite, measured: Mapping[str, Any], parameters: Mapping[str, float]) -> dict[str, float]:
    if absent := sorted(set(suite.metrics) - set(measured)):
        raise ConfigError(
            f"Suite {suite.name} needs the metric {', '.join(absent)}, which was not measured; there are: "
            f"{', '.join(sorted(measured)) or 'none'}. Hand in None where there was nothing to measure."
        )
    if absent := sorted(set(suite.parameters) - set(parameters)):
        raise ConfigError(
            f"Suite {suite.name} needs a value for {', '.join(absent)}: set it in validation.parameters, under "
            f"{suite.name} or default."
        )
    return {name: parameters[name] for name in suite.parameters}


def _one_row(suite: Suite, measured: Mapping[str, float | None]) -> Any:
    import pandas as pd

    values = {name: measured[name] for name in suite.metrics}
    return pd.DataFrame([{name: float("nan") if value is None else value for name, value in values.items()}])


def _check(suite: str, one: Any, measured: Mapping[str, float | None]) -> Check:
    config = one.expectation_config
    if message := _exception(one.exception_info):
        raise ConfigError(
            f"Suite {suite}: {config.type} on {config.kwargs.get('column')} cannot be evaluated: {message}"
        )
    column = str(config.kwargs["column"])
    bounds = {key: value for key, value in config.kwargs.items() if key not in {"column", "batch_id"}}
    observed = measured[column]
    return Check(
        suite=suite,
        expectation=str(config.type),
        column=column,
        severity=str(config.severity.value),
        success=bool(one.success),
        observed=None if observed is None else f"{observed:.15g}",
        expected=json.dumps(bounds, sort_keys=True),
        notes=str((config.meta or {}).get("notes", "")).rstrip("."),
    )


def _exception(info: Mapping[str, Any] | None) -> str | None:
    """Return the message of what an expectation raised: Great Expectations gives one, or one per metric."""
    several = [info, *(info or {}).values()]
    raised = [one for one in several if isinstance(one, Mapping) and one.get("raised_exception")]
    return str(raised[0].get("exception_message")).split("\n", 1)[0] if raised else None
