"""Small tables without Spark: delta-rs appends to one in milliseconds, where a Spark job takes a second.

Only for tables on the low protocol (ops, gold) of a lake in a local folder: on other storage Spark has the credentials,
and does the same (docs/adr/0009).
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.schema.table import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable


_VERSION = re.compile(r"\d{20}\.")
"""How a committed version's file, or a checkpoint's, begins (Delta protocol, "Delta Log Entries")."""

_GLOB = re.compile(r"[*?\[\]{}\\]")
"""Characters that Spark takes for a pattern in a path."""
MOST_FILES = 100
"""Files up to which a table is read by their names: Spark then looks each of them up on the driver."""


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


def open_table(path: str) -> "DeltaTable":
    """Return delta-rs' handle of a table: its log, its files as an Arrow dataset."""
    from deltalake import DeltaTable

    return DeltaTable(path)


def version(path: str) -> int:
    """Return the newest version that was committed, -1 where there is no table: by the names of the log's files."""
    log = Path(path.removeprefix("file://")) / "_delta_log"
    names = [entry.name for entry in os.scandir(log)] if log.is_dir() else []
    return max((int(name[:20]) for name in names if _VERSION.match(name)), default=-1)


def schema_json(path: str) -> str:
    """Return a table's newest schema as Spark and Delta write it; its files are not looked at."""
    from deltalake import DeltaTable

    return str(DeltaTable(path, without_files=True).schema().to_json())


def newest_note(path: str) -> str | None:
    """Return the user metadata of the newest commit, None if it has none."""
    from deltalake import DeltaTable

    newest = DeltaTable(path, without_files=True).history(1)
    note = newest[0].get("userMetadata") if newest else None
    return None if note is None else str(note)


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


def table_bytes(path: str) -> int:
    """Return the size of the files of a table's newest version."""
    import pyarrow as pa
    from deltalake import DeltaTable

    sizes = pa.table(DeltaTable(path).get_add_actions(flatten=True))["size_bytes"]
    return sum(sizes.to_pylist())  # bounded: a number a file


def plain_files(path: str, at: int | None, most_bytes: int) -> tuple[list[str], str] | None:
    """Return the Parquet files of a small table and its schema, where the files alone hold the table's rows.

    None where they do not (deletion vectors, mapped columns), where there are more than MOST_FILES or `most_bytes`, and
    where delta-rs cannot tell.

    Args:
        path: folder of the table.
        at: version; None for the newest.
        most_bytes: what all files together may take.
    """
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(path, version=at)
        sizes = pa.table(table.get_add_actions(flatten=True))["size_bytes"].to_pylist()
        if len(sizes) > MOST_FILES or sum(sizes) > most_bytes:
            return None
        mapped = table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none"
        if mapped or any(batch.num_rows for batch in table.deletion_vectors()):
            return None
    except (DeltaError, OSError):
        return None
    files = table.file_uris()
    return None if any(_GLOB.search(file) for file in files) else (files, str(table.schema().to_json()))


def is_one_file(path: str) -> bool:
    """Return whether OPTIMIZE would leave the table as it is: one file at most, no row of it deleted, no clustering."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(path)
        if len(table.file_uris()) > 1 or any(batch.num_rows for batch in table.deletion_vectors()):
            return False
        return "clustering" not in (table.protocol().writer_features or ())
    except (DeltaError, OSError):
        return False


def has_unneeded(path: str, before: float) -> bool:
    """Return whether VACUUM may find a file to delete: older than a moment, and not named by the newest version.

    Args:
        path: folder of the table.
        before: seconds since 1970.
    """
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    root, old = Path(path.removeprefix("file://")), set()
    try:
        for folder, below, names in os.walk(root):
            below[:] = [name for name in below if name != "_delta_log"]
            files = [Path(folder, name) for name in names if not name.startswith(".")]
            old |= {str(file.relative_to(root)) for file in files if file.stat().st_mtime < before}
        if not old:
            return False
        return not old <= set(pa.table(DeltaTable(path).get_add_actions(flatten=True))["path"].to_pylist())
    except (DeltaError, OSError):
        return True


def append_table(path: str, rows: "pa.Table", note: str, txn: tuple[str, int] | None = None) -> None:
    """Append a table in one commit; fails where another commit meanwhile carried the same transaction.

    Args:
        path: folder of the table.
        rows: in the table's columns.
        note: user metadata of the commit, where Delta's own writer puts it.
        txn: application and version, if any.
    """
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

    table = DeltaTable(path)
    # copied: offsets of null texts are arbitrary in what Spark sends, and delta-rs follows them
    fit = rows.take(pa.array(range(rows.num_rows), pa.int64())).cast(pa.schema(table.schema().to_arrow()))
    made = [Transaction(*txn)] if txn else None
    commit = CommitProperties(custom_metadata={"userMetadata": note}, app_transactions=made)
    write_deltalake(table, fit, mode="append", commit_properties=commit)


def is_committed(path: str, txn: tuple[str, int]) -> bool:
    """Return whether a transaction, or a later one of its application, is in the table."""
    from deltalake import DeltaTable

    newest = DeltaTable(path).transaction_version(txn[0])
    return newest is not None and newest >= txn[1]


def delete_rows(path: str, places: "pa.Table", key: Iterable[str]) -> None:
    """Delete the rows whose key columns have the values of some place, nulls included."""
    from deltalake import DeltaTable

    table = DeltaTable(path)
    can_be_null = {field.name for field in table.schema().fields if field.nullable}
    # plain equality lets rows be found by their hash
    same = [f"(t.`{name}` {'IS NOT DISTINCT FROM' if name in can_be_null else '='} p.`{name}`)" for name in key]
    merge = table.merge(places, " AND ".join(same), source_alias="p", target_alias="t")
    merge.when_matched_delete().execute()


def commit_of(path: str, write_id: str, look_back: int) -> tuple[int, int, int] | None:
    """Return version, rows and bytes added by the commit whose note holds `write_id`; None if no recent one does."""
    newest = version(path)
    for number in range(newest, max(-1, newest - look_back), -1):
        file = Path(path.removeprefix("file://")) / "_delta_log" / f"{number:020}.json"
        actions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        notes = [str(action["commitInfo"].get("userMetadata")) for action in actions if "commitInfo" in action]
        if any(write_id in note for note in notes):
            added = [action["add"] for action in actions if "add" in action]
            counted = [json.loads(add.get("stats") or "{}").get("numRecords", 0) for add in added]
            return number, sum(counted), sum(add["size"] for add in added)
    return None


def read(path: str, columns: Iterable[str]) -> "pa.Table":
    """Return all rows of a table that has none of the features that only some readers support."""
    from deltalake import DeltaTable

    return DeltaTable(path).to_pyarrow_table(columns=list(columns))


def has_partition(path: str, values: Mapping[str, Any]) -> bool:
    """Return whether any file of the table belongs to the partition with these values."""
    from deltalake import DeltaTable

    return bool(DeltaTable(path).partitions([(name, "=", str(value)) for name, value in values.items()]))
