"""Tables of the lake under their SQL names, for analysts in a session."""

import re
import uuid
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.common.errors import ConfigError
from jobs.lake.delta import Lake
from jobs.lake.delta_rs import exists, local_path
from jobs.schema.names import quoted
from jobs.schema.tables import TABLES


@dataclass(frozen=True)
class Names:
    """The tables that a query is about."""

    parts: frozenset[tuple[str, ...]] = frozenset()
    """Each name, in its parts: layer and table, maybe a catalog before them."""
    every: bool = False
    """Whether it asks which tables there are."""


def present(lake: Lake) -> list[str]:
    """Return the names of the tables there are; on a local lake those outside the registry too."""
    root = local_path(lake.root)
    if root is None:
        return [name for name in TABLES if lake.exists(name)]
    folders = [log.parent for log in Path(root).glob("*/*/_delta_log") if exists(str(log.parent))]
    return sorted(f"{folder.parent.name}.{folder.name}" for folder in folders)


def register_named(lake: Lake, names: Names) -> list[str]:
    """Make the tables that a query names known to the session's SQL; return their names in the lake.

    Opening a table reads its log: a query opens those it is about, and no others. Names that the lake does not have are
    left to Spark, which says so.

    Raises:
        ConfigError: two tables that differ in case only are named: SQL cannot tell them apart.
    """
    wanted = {(parts[-2].lower(), parts[-1]) for parts in names.parts if len(parts) in {2, 3}}
    found = {table for layer, short in sorted(wanted) if (table := _found(lake, layer, short)) is not None}
    if names.every:
        found |= set(present(lake))
    by_lower: dict[str, str] = {}
    for table in sorted(found):
        other = by_lower.setdefault(table.lower(), table)
        if other != table and not names.every:
            raise ConfigError(f"{other} and {table} differ in case only: SQL cannot tell them apart. Ask for one.")
    for layer in sorted({name.split(".")[0] for name in by_lower.values()}):
        lake.spark.sql(f"CREATE DATABASE IF NOT EXISTS {quoted(layer)}")
    for name in by_lower.values():
        # a table that cannot be opened is no reason to show none; whoever names it is told why
        with suppress(Exception) if names.every else nullcontext():
            _create(lake, name)
    return sorted(by_lower.values())


def _create(lake: Lake, name: str) -> None:
    layer, _, short = name.partition(".")
    known: Any = lake.spark._jsparkSession
    catalog = known.sessionState().catalog().externalCatalog()
    if catalog.tableExists(layer, short.lower()):
        return
    # CREATE TABLE takes names of letters, digits and _; the catalog below it finds any
    made = short if re.fullmatch(r"\w+", short, re.ASCII) else f"made_{uuid.uuid4().hex}"
    path = lake.path(name).replace("\\", "\\\\").replace("'", "\\'")
    lake.spark.sql(f"CREATE TABLE {quoted(layer)}.{quoted(made)} USING delta LOCATION '{path}'")
    if made != short:
        catalog.renameTable(layer, made, short.lower())


def _found(lake: Lake, layer: str, short: str) -> str | None:
    """Return the table of that name, else the one whose name differs in case only; None if there is none."""
    name = f"{layer}.{short}"
    if "/" in short:
        return None
    if lake.exists(name):
        return name
    return next((one for one in present(lake) if one.lower() == name.lower()), None)
