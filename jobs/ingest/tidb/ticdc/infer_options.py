"""Infers a changefeed's settings from its data files: used where its own file is missing, an error where they differ.

In: the listed data files, the changefeed's file or nothing. Out: the `Changefeed` to read them by.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from jobs.common.errors import SourceError
from jobs.ingest.loading.storage import StoredFile, read_head
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.ticdc.changefeed import Changefeed, Csv
from jobs.ingest.tidb.ticdc.csv_options import Head, csv_options
from jobs.ingest.tidb.ticdc.object_paths import Data, Folder, Unknown, classify

_DATES = {0: "none", 4: "year", 7: "month", 10: "day"}
"""Length of a date's directory -> sink.date-separator."""
_LOOKED_AT, _HEAD = 40, 1 << 16
"""Files, and bytes of each, that are looked at to find out how CSV is written."""


@dataclass(frozen=True)
class Named:
    """A changefeed's file and its content."""

    place: str
    says: Changefeed


def infer_options(
    root: str,
    data: Iterable[tuple[StoredFile, Data]],
    named: Named | None,
    columns_of: Callable[[Folder], tuple[SourceColumn, ...] | None] = lambda _: None,
) -> Changefeed:
    """Return the changefeed's settings.

    Args:
        root: of the sink.
        data: its data files.
        named: its file; None where there is none: TiCDC's defaults, but for what the files show.
        columns_of: returns what is known of the columns that a folder's rows have.

    Raises:
        SourceError: file and tree contradict each other, or the tree shows a feed that cannot be ingested safely.
    """
    files = list(data)
    changefeed = named.says if named else Changefeed()
    if not files:
        return changefeed
    first = {what.extension: file.path for file, what in files}
    if len(first) > 1:
        raise SourceError(
            f"{root} holds files of two protocols: {' and '.join(sorted(first.values()))}. Name the root of one feed."
        )
    shown = "csv" if "csv" in first else "canal-json"
    _agree(named, "protocol", changefeed.protocol or shown, shown, *first.values())
    if shown == "canal-json":
        return changefeed
    heads = [_head(root, file, columns_of(what.folder)) for file, what in _some(files)]
    place, sink = named.place if named else None, changefeed.sink
    known = sink.csv if named else Csv(include_commit_ts=True)
    csv = csv_options([head for head in heads if head is not None], known, sink.terminator, place)
    return changefeed.model_copy(update={"sink": sink.model_copy(update={"protocol": "csv", "csv": csv})})


def date_separator(paths: Iterable[str], named: Named | None) -> str:
    """Return which folders are dates: sink.date-separator, or what all paths show together.

    A partition's id may look like a year. It is one only where every folder of data ends in a year, none of them before
    the year of its version: TiCDC names the year in which it writes.

    Args:
        paths: of all objects.
        named: the changefeed's file.

    Raises:
        SourceError: the changefeed's file sets another one than the paths show.
    """
    if named is not None:
        said = named.says.sink.date_separator
        for path in paths:
            if not isinstance(classify(path, said), Unknown):
                continue
            what = classify(path)
            if isinstance(what, Data):
                _agree(named, "sink.date-separator", said, _DATES[len(what.folder.date)], path)
        return said
    dates = [(what.folder.date, what.folder.version) for path in paths if isinstance(what := classify(path), Data)]
    longest = _DATES[max((len(date) for date, _ in dates), default=0)]
    if longest == "year" and not all(date and int(date) >= _year(version) for date, version in dates):
        return "none"
    return "auto"


def _year(version: int) -> int:
    """Return the year of a TSO, less a day for servers in other zones; 0 for a small number."""
    return datetime.fromtimestamp(max(0, (version >> 18) / 1000 - 86400), UTC).year if version >> 40 else 0


def _some(files: list[tuple[StoredFile, Data]]) -> list[tuple[StoredFile, Data]]:
    """Return the largest files, one or two of each table first."""
    mine: dict[TableName, int] = {}
    ranked = []
    for file, what in sorted(files, key=lambda pair: (-pair[0].size, pair[0].path)):
        name = (what.folder.schema, what.folder.table)
        mine[name] = mine.get(name, 0) + 1
        if file.size:
            ranked.append((mine[name], file.path, file, what))
    return [(file, what) for _, _, file, what in sorted(ranked, key=lambda one: one[:2])[:_LOOKED_AT]]


def _head(root: str, file: StoredFile, columns: tuple[SourceColumn, ...] | None) -> Head | None:
    try:
        content = read_head(root, file.path, _HEAD)
    except OSError:  # it is set aside by whoever reads it whole
        return None
    return Head(file.path, content, file.size <= _HEAD, columns)


def _agree(named: Named | None, setting: str, said: object, seen: object, *places: str) -> None:
    if named is not None and said != seen:
        raise SourceError(
            f"{named.place} says {setting} = {said!r}, but {places[0]} shows {seen!r}. Give the file this "
            "changefeed was made with."
        )
