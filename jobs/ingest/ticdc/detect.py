"""What a changefeed's files show of its settings: taken where its own file is not there, an error where it differs.

In: the listed data files, the changefeed's file or nothing. Out: the `Changefeed` to read them by.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from jobs.errors import SourceError
from jobs.ingest.intake.storage import StoredFile, read_raw
from jobs.ingest.ticdc.changefeed import Changefeed, Csv
from jobs.ingest.ticdc.tree import Data

_DATES = {0: "none", 4: "year", 7: "month", 10: "day"}
"""Length of a date's directory -> sink.date-separator."""
_HEADER = b"ticdc-meta$"


@dataclass(frozen=True)
class Named:
    """A changefeed's file and what it says."""

    place: str
    says: Changefeed


def settled(root: str, data: Iterable[tuple[StoredFile, Data]], named: Named | None) -> Changefeed:
    """Return the changefeed's settings.

    Args:
        root: of the sink.
        data: its data files.
        named: its file; None where there is none: TiCDC's defaults, but for what the files show.

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
    if named is not None:
        for file, what in files:
            seen = _DATES[len(what.folder.date)]
            _agree(named, "sink.date-separator", changefeed.sink.date_separator, seen, file.path)
    if shown == "canal-json":
        return changefeed
    csv = _csv(root, [file for file, _ in files if file.size], named)
    return changefeed.model_copy(update={"sink": changefeed.sink.model_copy(update={"protocol": "csv", "csv": csv})})


def _csv(root: str, files: list[StoredFile], named: Named | None) -> Csv:
    """Return how CSV records are written, by the first of a small file."""
    csv = named.says.sink.csv if named else Csv(include_commit_ts=True)
    if not files:
        return csv
    file = min(files, key=lambda one: (one.size, one.path))
    content = read_raw(root, file.path)
    header = content.startswith(_HEADER)
    record = _first(csv).match(content.split(b"\n", 1)[-1] if header else content)
    if record is None:
        raise SourceError(
            f"{file.path}: no record of TiCDC's CSV with delimiter {csv.delimiter!r} and quote {csv.quote!r} begins "
            "it. Name the changefeed's file with --changefeed."
        )
    if record["commit"] is None:
        raise SourceError(
            f"{file.path}: its records carry no commit-ts (sink.csv.include-commit-ts is false), so they have no order "
            "and repetitions cannot be told. Create the changefeed with include-commit-ts = true."
        )
    old = record["update"] is not None
    _agree(named, "sink.csv.output-field-header", csv.output_field_header, header, file.path)
    _agree(named, "sink.csv.output-old-value", csv.output_old_value, old, file.path)
    return csv.model_copy(update={"output_field_header": header, "output_old_value": old})


def _first(csv: Csv) -> "re.Pattern[bytes]":
    """Return how a record begins: operation, table, schema, maybe commit-ts and is-update, which are never quoted."""
    quote, delimiter = re.escape(csv.quote.encode()), re.escape(csv.delimiter.encode())
    text = rb"%s(?:[^%s]|%s%s)*%s" % (quote, quote, quote, quote, quote) if csv.quote else rb"(?:\\.|[^\\])*?"
    end = rb"(?:%s|\r?\n|\Z)" % delimiter
    told = rb"(?P<commit>\d{15,19})%s(?:(?P<update>true|false)%s)?" % (end, end)
    operation = rb"%s[IUD]%s" % (quote, quote)
    return re.compile(rb"%s%s%s%s%s%s(?:%s)?" % (operation, delimiter, text, delimiter, text, end, told), re.DOTALL)


def _agree(named: Named | None, setting: str, said: object, seen: object, *places: str) -> None:
    if named is not None and said != seen:
        raise SourceError(
            f"{named.place} says {setting} = {said!r}, but {places[0]} shows {seen!r}. Give the file this "
            "changefeed was made with."
        )
