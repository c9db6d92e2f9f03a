"""What each object of a Kafka archive is, told by its path alone: Secor's, Kafka Connect's or Kafka's own segments.

In: a path below the archive's root. Out: an `Archived` (topic, partition, offset, format, layout), None for side files
that hold no message of their own, or `Refused` with the reason. Formats that hold messages and cannot be read are
refused by name, never skipped.
"""

import re
from dataclasses import dataclass

from jobs.config.ingest import Inserted
from jobs.ingest.intake.storage import plain_name

EPOCH = "1970-01-01"
"""Day of the directory that Secor puts messages into whose time it could not tell."""

_SIDE = re.compile(
    r"(^|/)(_SUCCESS|offset\.wm|\.[^/]+\.crc|[^/]*\.tmp(\.[^/]*)?|[^/]+\.(keys|headers)\.[^/]+)$|(^|/)tombstone/"
)
_SEGMENT_SIDE = re.compile(r"\d{20}\.(index|timeindex|txnindex|snapshot)|leader-epoch-checkpoint|partition\.metadata")
_CONNECT = re.compile(r"(?P<topic>[^/+]+)\+(?P<partition>\d+)\+(?P<offset>\d+)\.(?P<format>[A-Za-z0-9.]+)")
_SECOR = re.compile(r"(?P<generation>\d+)_(?P<partition>\d+)_(?P<offset>\d{20})(?:\.(?P<format>[A-Za-z0-9.]+))?")
_SECOR_MERGED = re.compile(r"\d+_\d+-\d+_[A-Za-z0-9_=-]+?(?:\.(?P<format>[A-Za-z0-9.]+))?")
_SEGMENT = re.compile(r"(?P<offset>\d{20})\.log")
_SEGMENT_FOLDER = re.compile(r"(?P<topic>[A-Za-z0-9._-]+)-(?P<partition>\d+)")
_DEFAULT_PARTITIONER = re.compile(r"partition=\d+")
_FORMATS = {"": "lines", "txt": "lines", "json": "lines", "seq": "sequence", "avro": "avro", "parquet": "parquet"}
"""Last part of a name -> how its messages are written."""


@dataclass(frozen=True)
class Archived:
    """A file of messages."""

    layout: str
    """secor, connect or segment."""
    topic: str
    partition: int | None
    first_offset: int | None
    """Offset of the first message where the following ones have the following offsets; else None."""
    epoch: bool = False
    """Whether it lies in the directory of messages without a time."""
    format: str = "lines"
    """lines, sequence, avro, parquet or segment."""
    keys: str | None = None
    """Path of the side file that has the messages' keys, in the same order."""
    headers: str | None = None
    """Path of the side file that has their headers."""
    inserted: Inserted | None = None
    """Fields of the messages that have their offset, partition and time."""


@dataclass(frozen=True)
class Refused:
    """A file that cannot be read."""

    reason: str
    detail: str


def classify(path: str) -> Archived | Refused | None:
    """Return what the object at `path`, relative to the archive's root, is."""
    *folders, name = path.split("/")
    if _SIDE.search(path) or _SEGMENT_SIDE.fullmatch(name):
        return None
    segment = _SEGMENT.fullmatch(name)
    if segment is not None:
        return _segment(segment, folders)
    plain = plain_name(name)
    connect = _CONNECT.fullmatch(plain)
    if connect is not None:
        return _readable(connect["format"], path) or _connect(connect, folders)
    secor = _SECOR.fullmatch(plain) or _SECOR_MERGED.fullmatch(plain)
    if secor is None or not folders:
        return Refused("unknown_path", "neither Secor nor Kafka Connect nor Kafka itself names files so")
    return _readable(secor["format"] or "", path) or _secor(secor, folders)


def side_files(path: str) -> tuple[str, str]:
    """Return where Kafka Connect puts the keys and the headers of a file's messages, if it keeps them."""
    folder, slash, name = path.rpartition("/")
    base, _, rest = name.partition(".")
    return f"{folder}{slash}{base}.keys.{rest}", f"{folder}{slash}{base}.headers.{rest}"


def _connect(match: re.Match[str], folders: list[str]) -> Archived:
    # only the default partitioner writes every offset of a Kafka partition into one directory
    whole = bool(folders) and _DEFAULT_PARTITIONER.fullmatch(folders[-1]) is not None
    first = int(match["offset"]) if whole else None
    return Archived("connect", match["topic"], int(match["partition"]), first, format=_format(match["format"]))


def _secor(match: re.Match[str], folders: list[str]) -> Archived:
    dated = next((place for place, part in enumerate(folders) if "=" in part), len(folders))
    groups = match.groupdict()
    partition = int(groups["partition"]) if groups.get("partition") else None
    # the offset in the name is that of a batch and may be smaller than the first message's
    topic, epoch = folders[max(dated - 1, 0)], f"dt={EPOCH}" in folders
    return Archived("secor", topic, partition, None, epoch, _format(match["format"] or ""))


def _segment(match: re.Match[str], folders: list[str]) -> Archived | Refused:
    folder = _SEGMENT_FOLDER.fullmatch(folders[-1]) if folders else None
    if folder is None:
        return Refused("unknown_path", "a segment of Kafka's log lies in a folder TOPIC-PARTITION")
    return Archived("segment", folder["topic"], int(folder["partition"]), int(match["offset"]), format="segment")


def _format(extension: str) -> str:
    """Return how messages are written; a codec may stand before it: snappy.parquet."""
    return _FORMATS[extension.rsplit(".", 1)[-1]]


def _readable(extension: str, path: str) -> Refused | None:
    if extension.rsplit(".", 1)[-1] in _FORMATS:
        return None
    known = ", ".join(f".{name}" for name in _FORMATS if name)
    return Refused("unsupported_format", f"{path}: messages as .{extension} cannot be read; {known} can")
