"""Every table of the lake under its SQL name, for analysts in a session."""

from pathlib import Path

from jobs.lake.delta import Lake
from jobs.lake.direct import exists, local_path
from jobs.lake.tables import TABLES


def present(lake: Lake) -> list[str]:
    """Return the names of the tables there are; on a local lake those outside the registry too."""
    root = local_path(lake.root)
    if root is None:
        return [name for name in TABLES if lake.exists(name)]
    folders = [log.parent for log in Path(root).glob("*/*/_delta_log") if exists(str(log.parent))]
    return sorted(f"{folder.parent.name}.{folder.name}" for folder in folders)


def register(lake: Lake) -> list[str]:
    """Make `layer.name` of every table known to the session's SQL; return the names."""
    names = present(lake)
    for layer in sorted({name.split(".")[0] for name in names}):
        lake.spark.sql(f"CREATE DATABASE IF NOT EXISTS {layer}")
    for name in names:
        layer, _, short = name.partition(".")
        lake.spark.sql(f"CREATE TABLE IF NOT EXISTS {layer}.`{short}` USING delta LOCATION '{lake.path(name)}'")
    return names
