"""A Dumpling export as one run sees it: the TSO it was taken at, each table's CREATE TABLE, the data files.

In: the export's folder. Out: an `Export`. The export holds every commit up to its TSO; a changefeed
begun there gives the rest.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

from jobs.config.ingest import Dumpling
from jobs.errors import SourceError
from jobs.ingest.dumpling.csv import Dialect
from jobs.ingest.dumpling.options import Sample, detect
from jobs.ingest.intake.storage import StoredFile, listing, plain_name, read, read_head, read_raw
from jobs.ingest.tables.ddl import CreateTable, parse_create

WHAT = "Dumpling export"
_DATA = re.compile(r"([^.]+)\.([^.]+)\.(\d+)\.(?:(?:csv|sql)|(?:[a-z0-9]+\.)?parquet)")
_SCHEMA = re.compile(r"([^.]+)\.([^.]+)-schema\.sql")
_NO_TABLE = re.compile(r".+-schema-(create|view|sequence|post|triggers)\.sql")
_POSITION = re.compile(r"^\s+Pos:\s*(\d+)", re.MULTILINE)
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


def read_export(root: str) -> Export:
    """Return what the export at `root` holds.

    Raises:
        SourceError: the folder or its `metadata` is missing, the export is incomplete, or a CREATE TABLE cannot be
            read.
    """
    files = listing(root, WHAT)
    export = Export(root, _position(root))
    for file in files:
        _sort(export, file)
    for file, name in export.data:
        if name not in export.creates:
            raise SourceError(f"{file.path}: no {'.'.join(name)}-schema.sql beside it. Export the table again.")
    return export


def _position(root: str) -> int:
    try:
        text = read_raw(root, "metadata").decode("utf-8", "replace")
    except OSError as error:
        raise SourceError(f"{WHAT}: no file `metadata` in {root}; Dumpling writes it last. Export again.") from error
    found = _POSITION.search(text)
    if found is None or "Finished dump at" not in text:
        raise SourceError(
            f"{WHAT}: {root}/metadata must hold `Pos:` and `Finished dump at`; the export is not complete. "
            "Export again."
        )
    return int(found[1])


def _sort(export: Export, file: StoredFile) -> None:
    name = plain_name(file.path)
    data, schema = _DATA.fullmatch(name), _SCHEMA.fullmatch(name)
    if data is not None:
        export.data.append((file, (unquote(data[1]), unquote(data[2]))))
    elif schema is not None:
        text = read(export.root, file.path).decode("utf-8", "replace")
        table = (unquote(schema[1]), unquote(schema[2]))
        export.creates[table], export.paths[table] = parse_create(text, file.path), file.path
    elif name != "metadata" and not _NO_TABLE.fullmatch(name):
        export.unknown[file.path] = (file.size, "unknown_path", "no rule of Dumpling's file names fits")


def table_of(path: str) -> TableName | None:
    """Return the table whose data a file of an export holds, by its name; None where that tells none."""
    match = _DATA.fullmatch(plain_name(path))
    return None if match is None else (unquote(match[1]), unquote(match[2]))


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
    """Return how the export's text was written: as told, else as a look into some of its files shows."""
    files = [(file, name) for file, name in export.data if format_of(file.path) == "csv" and file.size]
    samples = []
    for file, name in sorted(files, key=lambda one: -one[0].size)[:_LOOKED_AT]:
        columns = tuple(column for column in export.creates[name].columns if not column.generated)
        with suppress(OSError):  # a file that cannot be read is set aside by whoever reads it whole
            samples.append(Sample(columns, read_head(export.root, file.path, _HEAD)))
    return detect(samples, told)
