"""Reads the suites in `expectations/`: Great Expectations' own JSON, checked on reading.

In: `expectations/<layer>/<table>.json`, one suite a table, and `expectations/<name>.json` for numbers that are not
metrics of one table (generation). Out: `Suite`. Imports neither Spark nor Great Expectations, so that a typing error in
a suite is found in milliseconds.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jobs.common.errors import ConfigError

SEVERITIES = ("critical", "warning", "info")
SUITE_KEYS = frozenset({"name", "expectations", "meta", "notes"})
EXPECTATION_KEYS = frozenset({"type", "kwargs", "severity", "meta"})
PARAMETER = "$PARAMETER"


@dataclass(frozen=True)
class Expectation:
    """One expectation about one metric."""

    type: str
    """Great Expectations' snake_case name."""
    metric: str
    """Name of the metric, such as pin_id.null_count: a column of the one-row frame that is validated."""
    severity: str
    kwargs: Mapping[str, Any]
    """Arguments besides the column, parameters not yet filled."""
    meta: Mapping[str, Any]
    """`notes` says why; `set`, `regex` or `where` are arguments of the metric (jobs/validate/metrics.py)."""


@dataclass(frozen=True)
class Suite:
    """The expectations of one table, or of the gate's numbers."""

    name: str
    expectations: tuple[Expectation, ...]
    content: Mapping[str, Any]
    """The file's JSON, which Great Expectations loads as it is."""

    @property
    def of_table(self) -> bool:
        """Return whether the metrics are measured on a table; else the caller passes them."""
        return "." in self.name

    @cached_property
    def metrics(self) -> dict[str, Mapping[str, Any]]:
        """Return each metric's name with the meta of the expectation that names it first."""
        metas: dict[str, Mapping[str, Any]] = {}
        for item in self.expectations:
            metas.setdefault(item.metric, item.meta)
        return metas

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters to be filled, each once."""
        values = (value for item in self.expectations for value in item.kwargs.values())
        names = (str(value[PARAMETER]) for value in values if isinstance(value, Mapping))
        return tuple(dict.fromkeys(names))


def suite_path(folder: Path, name: str) -> Path:
    """Return the file of the suite `name`: gold.home_feed -> gold/home_feed.json."""
    return folder / f"{name.replace('.', '/', 1)}.json"


def suite_names(folder: Path) -> list[str]:
    """Return the names of all suites in `folder`, sorted."""
    files = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.json"))
    return sorted(str(path).replace("/", ".") for path in files)


def load_suite(folder: Path, name: str) -> Suite:
    """Read one suite.

    Raises:
        ConfigError: the file is missing, is not JSON, or is not of the shape of a suite.
    """
    path = suite_path(folder, name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"No suite {name!r} can be read at {path}: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}.") from error
    return parse_suite(content, name, str(path))


def parse_suite(content: Any, name: str, where: str) -> Suite:
    """Return the suite that `content`, the JSON of the file `where`, describes.

    Raises:
        ConfigError: it is not of the shape of a suite.
    """
    if not isinstance(content, Mapping) or not SUITE_KEYS >= set(content) >= {"name", "expectations"}:
        got = sorted(content) if isinstance(content, Mapping) else type(content).__name__
        raise ConfigError(f"{where}: a suite has name, expectations, meta and notes, got {got}.")
    if content["name"] != name:
        raise ConfigError(f"{where}: the suite of this file must be named {name!r}, got {content['name']!r}.")
    if not isinstance(content["expectations"], list) or not content["expectations"]:
        raise ConfigError(f"{where}: expectations must be a list of at least one, got {content['expectations']!r}.")
    items = [_expectation(item, f"{where}, expectation {n}") for n, item in enumerate(content["expectations"], 1)]
    suite = Suite(name, tuple(items), content)
    for item in items:
        if _arguments(item.meta) != _arguments(suite.metrics[item.metric]):
            raise ConfigError(
                f"{where}: {item.metric} has two different arguments, {_arguments(suite.metrics[item.metric])} and "
                f"{_arguments(item.meta)}; a metric is measured once: use the same argument in all of its expectations."
            )
    return suite


def _arguments(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {key: meta[key] for key in ("set", "regex", "where") if key in meta}


def _expectation(item: Any, where: str) -> Expectation:
    if not isinstance(item, Mapping) or not EXPECTATION_KEYS >= set(item) >= {"type", "kwargs", "severity"}:
        got = sorted(item) if isinstance(item, Mapping) else type(item).__name__
        raise ConfigError(f"{where}: an expectation has type, kwargs, severity and meta, got {got}.")
    if item["severity"] not in SEVERITIES:
        raise ConfigError(f"{where}: severity must be one of {', '.join(SEVERITIES)}, got {item['severity']!r}.")
    kwargs, meta = item["kwargs"], item.get("meta") or {}
    if not isinstance(kwargs, Mapping) or not isinstance(kwargs.get("column"), str):
        raise ConfigError(f"{where}: kwargs must name the metric to validate under `column`, got {kwargs!r}.")
    if not isinstance(meta, Mapping):
        raise ConfigError(f"{where}: meta must hold keys and values, got {meta!r}.")
    for bad in _bad_parameters(kwargs):
        raise ConfigError(f'{where}: a parameter is written {{"{PARAMETER}": "name"}}, got {bad!r}.')
    rest = {key: value for key, value in kwargs.items() if key != "column"}
    return Expectation(str(item["type"]), kwargs["column"], item["severity"], rest, meta)


def _bad_parameters(kwargs: Mapping[str, Any]) -> Iterator[Any]:
    for value in kwargs.values():
        if isinstance(value, Mapping) and not (set(value) == {PARAMETER} and isinstance(value[PARAMETER], str)):
            yield value
