"""Small tables without Spark: delta-rs appends to one in milliseconds, where a Spark job takes a second.

Only for tables on the low protocol (ops, gold) of a lake in a local folder: on other storage Spark has the credentials,
and does the same (docs/adr/0009).
"""

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.schema.table import Table

if TYPE_CHECKING:
    import pyarrow as pa


_VERSION = re.compile(r"\d{20}\.")
"""How a committed version's file, or a checkpoint's, begins (Delta protocol, "Delta Log Entries")."""


def local_path(uri: str) -> Path | None:
    """Return the path of a local folder, None for an object store's."""
    if "://" in uri and not uri.startswith("file://"):
        return None
    return Path(uri.removeprefix("file://"))


def exists(path: str) -> bool:
    """Return whether the folder holds a Delta table: a version that was committed.

    delta-rs' own answer takes what a writer killed during its first commit left behind for a table.
    """
    log = Path(path.removeprefix("file://")) / "_delta_log"
    return log.is_dir() and any(_VERSION.match(entry.name) for entry in os.scandir(log))


def clear_unfinished(path: str) -> None:
    """Remove the log of a table whose first commit was killed: Spark finds a table there and cannot open it.

    Call while nobody else may commit to the table.
    """
    if not exists(path):
        shutil.rmtree(Path(path.removeprefix("file://")) / "_delta_log", ignore_errors=True)


def create(path: str, known: Table, schema_json: str) -> None:
    """Create an empty table as registered; no-op if it is there.

    Args:
        path: folder of the table.
        known: its entry in the registry.
        schema_json: its schema as Spark and Delta write it.
    """
    from deltalake import DeltaTable, Schema

    DeltaTable.create(
        path,
        Schema.from_json(schema_json),
        mode="ignore",
        partition_by=list(known.partition),
        description=known.comment,
        # said although it is the default: an engine that has another default must not turn it on
        configuration={"delta.enableDeletionVectors": "false"},
    )


def append(path: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows in one commit; a column that a row lacks is null."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    table = DeltaTable(path)
    schema = pa.schema(table.schema().to_arrow())
    full = [{name: row.get(name) for name in schema.names} for row in rows]
    write_deltalake(table, pa.Table.from_pylist(full, schema=schema), mode="append")


def read(path: str, columns: Iterable[str]) -> "pa.Table":
    """Return all rows of a table that has none of the features that only some readers support."""
    from deltalake import DeltaTable

    return DeltaTable(path).to_pyarrow_table(columns=list(columns))


def has_partition(path: str, values: Mapping[str, Any]) -> bool:
    """Return whether any file of the table belongs to the partition with these values."""
    from deltalake import DeltaTable

    return bool(DeltaTable(path).partitions([(name, "=", str(value)) for name, value in values.items()]))
