"""What each object of a Kafka archive is, by its path: Secor's, Kafka Connect's, Aiven's or Kafka's own segments.

In: a path below the archive's root, the topics known. Out: an `Archived` (topic, partition, offset, format, layout),
None for side files that hold no message of their own, or `Refused` with the reason. Formats that hold messages and
cannot be read are refused by name, never skipped; so are files whose topic cannot be told.
"""

import re
from dataclasses import dataclass
from itertools import takewhile

from jobs.ingest.loading.codecs import UNREAD, plain_name
from jobs.settings.ingest import InsertField

_SIDE = re.compile(r"(^|/)(_SUCCESS|offset\.wm|\.[^/]+\.crc|[^/]*\.tmp(\.[^/]*)?|[^/]+\.(keys|headers)\.[^/]+)$")
_SEGMENT_SIDE = re.compile(r"\d{20}\.(index|timeindex|txnindex|snapshot)|leader-epoch-checkpoint|partition\.metadata")
_CONNECT = re.compile(r"(?P<topic>[^/+]+)\+(?P<partition>\d+)\+(?P<offset>\d+)\.(?P<format>[A-Za-z0-9.]+)")
_SECOR = re.compile(r"(?P<generation>\d+)_(?P<partition>\d+)_(?P<offset>\d{20})(?:\.(?P<format>[A-Za-z0-9.]+))?")
_SECOR_MERGED = re.compile(r"\d+_\d+-\d+_[A-Za-z0-9_=-]+?(?:\.(?P<format>[A-Za-z0-9.]+))?")
_SEGMENT = re.compile(r"(?P<offset>\d{20})\.log")
_SEGMENT_FOLDER = re.compile(r"(?P<topic>[A-Za-z0-9._-]+)-(?P<partition>\d+)")
_AIVEN = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]+)-(?P<partition>\d{1,10})-(?P<offset>\d{1,20})(?:\.(?P<format>[A-Za-z0-9.]+))?"
)
"""Default of file.name.template: {{topic}}-{{partition}}-{{start_offset}}."""
_DATE = re.compile(r"[A-Za-z_]*\d{4}([-_.]?\d\d){0,4}|\d{1,2}")
"""Folder of a year, month, day, hour or minute, whatever it begins with."""
_HASH = re.compile("[0-9a-f]{4}")
"""First folder where Secor spreads topics (secor.s3.prefix.md5hash)."""
_REPLAY = ", then run `pinlake quarantine replay --reason unknown_topic`"
_NAMED = r"(?:[A-Za-z_]*[=_-])?"
_EPOCH = re.compile(
    rf"(?:^|/){_NAMED}(?:1970[-_./]?{_NAMED}0?1[-_./]?{_NAMED}0?1|1969[-_./]?{_NAMED}12[-_./]?{_NAMED}31)"
    r"(?:\d{2}|\d{4})?(?:\D|$)"
    rf"|(?:^|/){_NAMED}(?:01[-_.]01[-_.]1970|31[-_.]12[-_.]1969)(?:\D|$)"
)
"""Folders of the day, in whatever format and zone, that Secor puts messages into whose time it could not tell."""
_TOMBSTONES = "tombstone"
"""Folder of the keys of messages without a value (behavior.on.null.values: write)."""
_DEFAULT_PARTITIONER = re.compile(r"partition=\d+")
_FORMATS = {
    "": "lines", "txt": "lines", "json": "lines", "jsonl": "lines",
    "seq": "sequence", "avro": "avro", "parquet": "parquet",
}  # fmt: skip
"""Last part of a name -> how its messages are written."""


@dataclass(frozen=True)
class Archived:
    """A file of messages."""

    layout: str
    """secor, connect, aiven or segment."""
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
    inserted: InsertField | None = None
    """Fields of the messages that have their offset, partition and time."""


@dataclass(frozen=True)
class Refused:
    """A file that cannot be read."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Topics:
    """How the topic of a file is known where its name does not say it."""

    known: frozenset[str] = frozenset()
    """Topics that have a table, or rules."""
    folder: int | None = None
    """Which folder of Secor's path is the topic, from 1; None: found by name."""
    root: str = ""
    """Last folder of the archive's root, which may be the topic."""


def classify(path: str, topics: Topics = Topics()) -> Archived | Refused | None:
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
    if secor is not None and folders:
        return _readable(secor["format"] or "", path) or _secor(secor, folders, path, topics)
    aiven = _AIVEN.fullmatch(plain)
    if aiven is not None:
        return _readable(aiven["format"] or "", path) or _aiven(aiven, topics)
    return Refused("unknown_path", "neither Secor, Kafka Connect, Aiven's connectors nor Kafka itself name files so")


def is_epoch(path: str) -> bool:
    """Return whether a path of Secor's lies in the folder of messages without a time: 1970-01-01, in any format."""
    return _EPOCH.search(path.rpartition("/")[0]) is not None


def side_files(path: str) -> tuple[str, str]:
    """Return where Kafka Connect puts the keys and the headers of a file's messages, if it keeps them."""
    folder, slash, name = path.rpartition("/")
    base, _, rest = name.partition(".")
    return f"{folder}{slash}{base}.keys.{rest}", f"{folder}{slash}{base}.headers.{rest}"


def _connect(match: re.Match[str], folders: list[str]) -> Archived | None:
    if _TOMBSTONES in folders:
        return None
    # only the default partitioner writes every offset of a Kafka partition into one directory
    whole = bool(folders) and _DEFAULT_PARTITIONER.fullmatch(folders[-1]) is not None
    first = int(match["offset"]) if whole else None
    return Archived("connect", match["topic"], int(match["partition"]), first, format=_format(match["format"]))


def _secor(match: re.Match[str], folders: list[str], path: str, topics: Topics) -> Archived | Refused:
    groups = match.groupdict()
    partition = int(groups["partition"]) if groups.get("partition") else None
    topic = _topic(folders, topics)
    if isinstance(topic, Refused):
        return topic
    # the offset in the name is that of a batch and may be smaller than the first message's
    return Archived("secor", topic, partition, None, is_epoch(path), _format(match["format"] or ""))


def _topic(folders: list[str], topics: Topics) -> str | Refused:
    """Return the folder that is the topic; prefixes and values of a field (SplitByFieldMessageParser) are others."""
    if topics.folder is not None:
        if topics.folder <= len(folders) and "=" not in folders[topics.folder - 1]:
            return folders[topics.folder - 1]
        return Refused("unknown_topic", f"folder {topics.folder} of the path, ingest.topic_folder, is no topic")
    plain = list(takewhile(lambda folder: "=" not in folder, folders))
    named = topics.known & set(plain)
    if not named and topics.root in topics.known:
        named = frozenset({topics.root})
    if not named:
        while len(plain) > 1 and _DATE.fullmatch(plain[-1]):
            plain.pop()
        plain = plain[1:] if len(plain) > 1 and _HASH.fullmatch(plain[0]) else plain
        named = frozenset(plain)
    if len(named) == 1:
        return next(iter(named))
    return Refused(
        "unknown_topic",
        f"which folder is the topic cannot be told, it may be any of: {', '.join(sorted(named)) or 'none'}. Name the "
        f"topic in ingest.topics, or the folder's place below the root in ingest.topic_folder{_REPLAY}",
    )


def _aiven(match: re.Match[str], topics: Topics) -> Archived | Refused:
    if match["topic"] not in topics.known:
        return Refused(
            "unknown_topic",
            f"named as Aiven's connectors name files, but {match['topic']} is no known topic. Name it in ingest.topics"
            + _REPLAY,
        )
    partition, offset = int(match["partition"]), int(match["offset"])
    return Archived("aiven", match["topic"], partition, offset, format=_format(match["format"] or ""))


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
    codec = UNREAD.get(extension.rsplit(".", 1)[-1])
    if codec:
        return Refused("unsupported_format", f"{path}: compressed by {codec}, which cannot be read")
    known = ", ".join(f".{name}" for name in _FORMATS if name)
    return Refused("unsupported_format", f"{path}: messages as .{extension} cannot be read; {known} can")
