"""What each object of a Kafka archive is, told by its path alone: Secor's delimited text or Kafka Connect's JSON.

In: a path below the archive's root. Out: an `Archived` (topic, partition, offset, layout), None for side files
that hold no message, or `Refused` with the reason. Formats that hold messages and cannot be read yet are refused by
name, never skipped.
"""

import re
from dataclasses import dataclass

from jobs.ingest.storage import plain_name

EPOCH = "1970-01-01"
"""Day of the directory that Secor puts messages into whose time it could not tell."""

_SIDE = re.compile(r"(^|/)(_SUCCESS|\.[^/]+\.crc|[^/]*\.tmp(\.[^/]*)?|[^/]+\.(keys|headers)\.[^/]+)$|(^|/)tombstone/")
_CONNECT = re.compile(r"(?P<topic>[^/+]+)\+(?P<partition>\d+)\+(?P<offset>\d+)\.(?P<format>[A-Za-z.]+)")
_SECOR = re.compile(r"(?P<generation>\d+)_(?P<partition>\d+)_(?P<offset>\d{20})(?:\.(?P<format>[A-Za-z.]+))?")
_SECOR_MERGED = re.compile(r"\d+_\d+-\d+_[A-Za-z0-9_=-]+(?:\.(?P<format>[A-Za-z.]+))?")
_DEFAULT_PARTITIONER = re.compile(r"partition=\d+")


@dataclass(frozen=True)
class Archived:
    """A file of messages."""

    layout: str
    """secor or connect."""
    topic: str
    partition: int | None
    first_offset: int | None
    """Offset of the first message where the following ones have the following offsets; else None."""
    epoch: bool = False
    """Whether it lies in the directory of messages without a time."""


@dataclass(frozen=True)
class Refused:
    """A file that cannot be read."""

    reason: str
    detail: str


def classify(path: str) -> Archived | Refused | None:
    """Return what the object at `path`, relative to the archive's root, is."""
    if _SIDE.search(path):
        return None
    *folders, name = path.split("/")
    plain = plain_name(name)
    connect = _CONNECT.fullmatch(plain)
    if connect is not None:
        return _readable(connect["format"], "json", path) or _connect(connect, folders)
    secor = _SECOR.fullmatch(plain) or _SECOR_MERGED.fullmatch(plain)
    if secor is None or not folders:
        return Refused("unknown_path", "neither Secor nor Kafka Connect names files so")
    return _readable(secor["format"] or "", "", path) or _secor(secor, folders)


def _connect(match: re.Match[str], folders: list[str]) -> Archived:
    # only the default partitioner writes every offset of a Kafka partition into one directory
    whole = bool(folders) and _DEFAULT_PARTITIONER.fullmatch(folders[-1]) is not None
    return Archived("connect", match["topic"], int(match["partition"]), int(match["offset"]) if whole else None)


def _secor(match: re.Match[str], folders: list[str]) -> Archived:
    dated = next((place for place, part in enumerate(folders) if "=" in part), len(folders))
    groups = match.groupdict()
    partition = int(groups["partition"]) if groups.get("partition") else None
    # the offset in the name is that of a batch and may be smaller than the first message's
    return Archived("secor", folders[max(dated - 1, 0)], partition, None, f"dt={EPOCH}" in folders)


def _readable(found: str, wanted: str, path: str) -> Refused | None:
    if found == wanted:
        return None
    return Refused(
        "unsupported_format", f"{path}: messages as .{found} cannot be read yet; write delimited text or JSON"
    )
