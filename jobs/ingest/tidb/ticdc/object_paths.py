"""What each object of a TiCDC storage sink is, told by its path alone (both writers).

In: a path below the changefeed's root. Out: one of the classes below. Nothing is unknown silently: a path that fits no
rule is `Unknown` with the reason, and layouts that cannot be read safely are refused by name.
"""

import re
from dataclasses import dataclass

from jobs.common.errors import SourceError


@dataclass(frozen=True)
class Metadata:
    """The file that holds the checkpoint."""


@dataclass(frozen=True)
class SchemaPath:
    """A schema file; `table` is empty for a database's DDL, and where `schema` is a table's id."""

    schema: str
    table: str
    version: int
    checksum: int


@dataclass(frozen=True)
class Folder:
    """A directory of data files, of one dispatcher."""

    schema: str
    """Empty where the path names the table by its id (use-table-id-as-path), as `table` is then."""
    table: str
    version: int
    partition: int = 0
    date: str = ""
    dispatcher: str | None = None
    table_id: int = 0


@dataclass(frozen=True)
class Index:
    """An index file: names the greatest data file of its folder."""

    folder: Folder


@dataclass(frozen=True)
class Data:
    """A data file, number `number` of its folder."""

    folder: Folder
    number: int
    extension: str


@dataclass(frozen=True)
class Temporary:
    """What an interrupted write left behind."""


@dataclass(frozen=True)
class Unknown:
    """Fits no rule."""

    reason: str


Object = Metadata | SchemaPath | Index | Data | Temporary | Unknown

_SCHEMA = re.compile(r"schema_(\d+)_(\d{10})\.json")
_DATA = re.compile(r"CDC(?:_(?P<dispatcher>[0-9A-Za-z-]+)_)?(?P<number>\d{6,})\.(?P<extension>json|csv)")
_INDEX = re.compile(r"CDC(?:_(?P<dispatcher>[0-9A-Za-z-]+))?\.index")
_TEMPORARY = re.compile(r"\.tmp\.[0-9A-Za-z-]+$")
_DATE = {"year": r"\d{4}", "month": r"\d{4}-\d\d", "day": r"\d{4}-\d\d-\d\d", "none": r"(?!)"}
_DATE["auto"] = r"(?:19|20)\d\d(?:-\d\d){0,2}"


def classify(path: str, date_separator: str = "auto") -> Object:
    """Return what the object at `path` is.

    Args:
        path: relative to the changefeed's root.
        date_separator: none, year, month, day, or auto for whichever fits.

    Raises:
        SourceError: the path shows a layout that cannot be read: from before v7.1.
    """
    if path == "metadata":
        return Metadata()
    if _TEMPORARY.search(path):
        return Temporary()
    *folders, name = path.split("/")
    if name == "schema.json":
        raise SourceError(
            f"{path}: the layout of TiCDC before v6.5.3/v7.1, whose schema files lie among the data, cannot be read. "
            "Upgrade TiCDC and create the changefeed again."
        )
    if folders[-1:] == ["meta"]:
        return _in_meta(folders[:-1], name, date_separator)
    match = _DATA.fullmatch(name)
    if match is None:
        return Unknown("unknown_path")
    folder = _folder(folders, match["dispatcher"], date_separator)
    return Data(folder, int(match["number"]), match["extension"]) if folder else Unknown("unknown_path")


def index_number(content: str) -> int | None:
    """Return the file number that an index file's content names, None if it names none."""
    match = _DATA.fullmatch(content.strip())
    return int(match["number"]) if match else None


def _in_meta(folders: list[str], name: str, date_separator: str) -> Object:
    schema = _SCHEMA.fullmatch(name)
    if schema is not None and len(folders) in {1, 2}:
        owner, table = (*folders, "")[:2]
        return SchemaPath(owner, table, int(schema[1]), int(schema[2]))
    index = _INDEX.fullmatch(name)
    if index is None:
        return Unknown("unknown_path")
    folder = _folder(folders, index["dispatcher"], date_separator)
    return Index(folder) if folder else Unknown("unknown_path")


def _folder(parts: list[str], dispatcher: str | None, date_separator: str) -> Folder | None:
    date = ""
    tail = list(parts)
    if len(tail) > 2 and re.fullmatch(_DATE[date_separator], tail[-1]) and (tail[-2].isdigit()):
        date = tail.pop()
    elif date_separator not in {"auto", "none"}:
        return None
    if len(tail) == 2 and all(part.isdigit() for part in tail):
        return Folder("", "", int(tail[1]), 0, date, dispatcher, int(tail[0]))
    if len(tail) not in {3, 4} or not all(part.isdigit() for part in tail[2:]):
        return None
    partition = int(tail[3]) if len(tail) == 4 else 0
    return Folder(tail[0], tail[1], int(tail[2]), partition, date, dispatcher)
