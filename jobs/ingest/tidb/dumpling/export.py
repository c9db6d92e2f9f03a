"""A Dumpling export as one run sees it: the TSO it was taken at, the CREATE TABLE of each table, the data files.

In: the export's folder. Out: an `Export`, which holds every commit up to its TSO; a changefeed created at that TSO
continues it. The TSO is in `metadata`, or a person names it: Dumpling writes it only where its user may see it
(REPLICATION CLIENT); on MySQL it is a binlog position, not a TSO.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import unquote

from jobs.common.errors import SourceError
from jobs.ingest.loading.storage import StoredFile, listing, plain_name, read, read_head, read_raw
from jobs.ingest.tidb.ddl.create_table import CreateTable, parse_create
from jobs.ingest.tidb.dumpling.csv_records import Dialect
from jobs.ingest.tidb.dumpling.options import Sample, detect, fitting
from jobs.settings.ingest import Dumpling

WHAT = "Dumpling export"
_POSITION = re.compile(r"^\s*Pos:[ \t]*(\d+)\s*$", re.MULTILINE)
_LOG = re.compile(r"^\s*Log:[ \t]*(\S+)", re.MULTILINE)
_LEAST_TSO = 1 << 40
"""Places in a binlog are smaller, moments of TiDB are larger."""
_NAME_IT = (
    "Or name the TSO it was taken at: `pinlake ingest --snapshot-ts TSO`, or ingest.dump.snapshot_ts; it is the one "
    "that `dumpling --snapshot` was given, or that the changefeed starts at."
)


def position(root: str, told: int | None = None) -> int:
    """Return the TSO that the export at `root` was taken at.

    Args:
        root: folder of the export.
        told: the TSO named by a person, None where the export must contain it.

    Raises:
        SourceError: `metadata` is missing, incomplete, has no position, or another than `told`.
    """
    try:
        text = read_raw(root, "metadata").decode("utf-8", "replace")
    except OSError as error:
        raise SourceError(f"{WHAT}: no file `metadata` in {root}; Dumpling writes it last. Export again.") from error
    if "Finished dump at" not in text:
        raise SourceError(
            f"{WHAT}: {root}/metadata must hold `Finished dump at`, Dumpling's last line; the export is not complete. "
            "Export again."
        )
    found, log = _POSITION.search(text), _LOG.search(text)
    is_tso = found is not None and (int(found[1]) >= _LEAST_TSO or log is None or log[1] == "tidb-binlog")
    if told is not None:
        if found is not None and is_tso and int(found[1]) != told:
            raise SourceError(
                f"{WHAT}: {root}/metadata has the TSO {found[1]}, --snapshot-ts "
                f"(ingest.dump.snapshot_ts) is {told}. Remove the setting."
            )
        return told
    if found is None:
        raise SourceError(
            f"{WHAT}: {root}/metadata holds no `Pos:`, the TSO that the export was taken at. Dumpling writes it where "
            f"its user has the privilege REPLICATION CLIENT: grant it and export again. {_NAME_IT}"
        )
    if not is_tso:
        raise SourceError(
            f"{WHAT}: {root}/metadata says Pos: {found[1]} of {log[1] if log else 'its log'}, a place in MySQL's "
            f"binlog and no TSO of TiDB. {_NAME_IT}"
        )
    return int(found[1])


_DATA = re.compile(r"([^.]+)\.([^.]+)\.(\d+)\.(?:(?:csv|sql)|(?:[a-z0-9]+\.)?parquet)")
_SCHEMA = re.compile(r"([^.]+)\.([^.]+)-schema\.sql")
_VIEW = re.compile(r"([^.]+)\.([^.]+)-schema-view\.sql")
_NO_TABLE = re.compile(r".+-schema-(create|view|sequence|post|triggers)\.sql")
_LIKE_DATA = re.compile(r".+\.(?:csv|sql|parquet)")
_LOOKED_AT, _HEAD = 20, 1 << 18
"""Files, and bytes of each, that are looked at to find out how an export's text was written."""
TableName = tuple[str, str]


@dataclass
class Export:
    """What the export holds."""

    root: str
    tso: int
    creates: dict[TableName, CreateTable] = field(default_factory=dict)
    data: list[tuple[StoredFile, TableName]] = field(default_factory=list)
    unknown: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    paths: dict[TableName, str] = field(default_factory=dict)
    """Files that the CREATE TABLEs stand in."""
    blocked: dict[TableName, str] = field(default_factory=dict)
    """Tables that cannot be begun with this export, and why."""
    begun: set[TableName] = field(default_factory=set)
    """Tables that are in the lake with this very snapshot: they are not blocked, its files may be gone since."""
    notes: list[str] = field(default_factory=list)
    """What a person should look at."""


def read_export(
    root: str, snapshot_ts: int | None = None, is_excluded: Callable[[TableName], bool] = lambda _: False
) -> Export:
    """Return what the export at `root` holds. What is wrong with one table blocks that table alone.

    Args:
        root: its folder.
        snapshot_ts: the TSO it was taken at, where its metadata lacks it.
        is_excluded: whether a table is excluded; nothing of it is read.

    Raises:
        SourceError: the folder or its `metadata` is missing, the export is incomplete, or its TSO is not known.
    """
    files = listing(root, WHAT)
    export = Export(root, position(root, snapshot_ts))
    # a view has a CREATE TABLE of its own in the export, which stands for it until all tables are there
    views = {_table(found) for file in files if (found := _VIEW.fullmatch(plain_name(file.path)))}
    for file in files:
        _sort(export, file, lambda name: name in views or is_excluded(name))
    _block_incomplete(export)
    return export


def _table(found: "re.Match[str]") -> TableName:
    return unquote(found[1]), unquote(found[2])


def _sort(export: Export, file: StoredFile, is_left_out: Callable[[TableName], bool]) -> None:
    name = plain_name(file.path)
    data, schema = _DATA.fullmatch(name), _SCHEMA.fullmatch(name)
    if data is not None or schema is not None:
        table = _table(data or schema)  # type: ignore[arg-type]
        if is_left_out(table):
            return
        if data is not None:
            export.data.append((file, table))
        else:
            _keep_create(export, file, table)
    elif name != "metadata" and not _NO_TABLE.fullmatch(name):
        export.unknown[file.path] = (file.size, "unknown_path", "no rule of Dumpling's file names fits")


def table_of(path: str) -> TableName | None:
    """Return the table whose data a file of an export holds, by its name; None where it has none."""
    match = _DATA.fullmatch(plain_name(path))
    return None if match is None else (unquote(match[1]), unquote(match[2]))


def _keep_create(export: Export, file: StoredFile, table: TableName) -> None:
    export.paths[table] = file.path
    try:
        text = read(export.root, file.path).decode("utf-8", "replace")
        export.creates[table] = parse_create(text, file.path)
    except (SourceError, OSError, ValueError, LookupError) as error:
        export.blocked[table] = f"{'.'.join(table)} is blocked: {error}"


def _block_incomplete(export: Export) -> None:
    """Block tables of which the definition or the rows are not there; note numbers that are missing among files."""
    numbers: dict[TableName, list[int]] = {}
    strange = [path for path in export.unknown if _LIKE_DATA.fullmatch(plain_name(path))]
    for file, table in export.data:
        full = ".".join(table)
        if table not in export.creates:
            reason = f"{full} is blocked: {file.path} has no {full}-schema.sql beside it. Export the table again."
            export.blocked.setdefault(table, reason)
            strange += [file.path] if table not in export.paths else []
        elif found := _DATA.fullmatch(plain_name(file.path)):
            numbers.setdefault(table, []).append(int(found[3]))
    for table in export.creates:
        full = ".".join(table)
        if strange and table not in numbers:
            export.blocked[table] = (
                f"{full} is blocked: the export has no file of its rows, but {len(strange)} that nobody can tell the "
                f"table of, such as {strange[0]}. Export without --output-filename-template."
            )
        gaps = _gaps(numbers.get(table, []))
        if gaps:
            export.notes.append(
                f"{full}: its export has {len(numbers[table])} files and lacks number {gaps[0]}, {len(gaps)} in all. "
                "That is right where it was split by rows (-r), which leaves out empty ranges; else a file is missing."
            )


def _gaps(numbers: list[int]) -> list[int]:
    """Return the first number after each run of numbers that follow one another, but for the last run."""
    ordered = sorted(numbers)
    return [one + 1 for one, other in pairwise(ordered) if other > one + 1]


def unblock_begun(export: Export, begun: Callable[[TableName], bool]) -> None:
    """Unblock tables that are in the lake with this very snapshot."""
    export.begun = {table for table in export.creates if begun(table)}
    for table in export.begun & set(export.blocked):
        del export.blocked[table]


def create_text(export: Export, name: TableName) -> str:
    """Return a table's CREATE TABLE as it stands in the export.

    Raises:
        SourceError: its file is gone.
    """
    path = export.paths[name]
    try:
        return read(export.root, path).decode("utf-8", "replace")
    except OSError as error:
        raise SourceError(f"{path}: {error}. Export the table again.") from error


def format_of(path: str) -> str:
    """Return the format of a data file: csv, sql or parquet."""
    return plain_name(path).rsplit(".", 1)[-1]


def dialect_of(export: Export, told: Dumpling) -> Dialect:
    """Return how the export's CSV was written: as told, else as a look into some of its files shows.

    Tables whose files do not fit are blocked; all that have CSV files, where no dialect does.
    """
    files = [(f, name) for f, name in export.data if format_of(f.path) == "csv" and f.size and name in export.creates]
    samples: list[tuple[TableName, Sample]] = []
    for file, name in _some_of_each(files):
        columns = tuple(column for column in export.creates[name].columns if not column.generated)
        with suppress(OSError):  # a file that cannot be read is set aside by whoever reads it whole
            samples.append((name, Sample(columns, read_head(export.root, file.path, _HEAD))))
    try:
        dialect = detect([sample for _, sample in samples], told)
    except SourceError as error:
        export.blocked |= {
            name: f"{'.'.join(name)} is blocked: {error}" for _, name in files if name not in export.begun
        }
        return Dialect()
    for name, sample in samples:
        if name not in export.begun and not fitting(dialect, sample):
            shown = f"separator {dialect.separator!r} and quote {dialect.quote!r}"
            export.blocked[name] = (
                f"{'.'.join(name)} is blocked: the records of its files do not have its {len(sample.columns)} columns "
                f"with {shown}, by which other tables' are read. Export the table again."
            )
    return dialect


def _some_of_each(files: list[tuple[StoredFile, TableName]]) -> list[tuple[StoredFile, TableName]]:
    """Return the files to be looked at: the largest of each table, then the others, the largest first."""
    ordered = sorted(files, key=lambda one: -one[0].size)
    first = {name: (file, name) for file, name in reversed(ordered)}
    others = [one for one in ordered if first[one[1]] != one]
    return [*sorted(first.values(), key=lambda one: -one[0].size), *others][:_LOOKED_AT]
