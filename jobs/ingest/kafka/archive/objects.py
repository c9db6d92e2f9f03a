"""What lies below the roots of Kafka archives: files of messages, files that are refused, roots with nothing for us."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from jobs.common.errors import SourceError
from jobs.ingest.kafka.archive.layouts import Archived, Refused, Topics, classify, side_files
from jobs.ingest.loading.manifest import Item
from jobs.ingest.loading.storage import StoredFile, listing
from jobs.ingest.loading.stream import Task
from jobs.settings.ingest import Ingest, TopicRules


@dataclass
class Objects:
    """What was found."""

    items: dict[str, Item] = field(default_factory=dict)
    """Files of messages, by path."""
    refused: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """Path -> size, reason, detail."""
    without_topic: list[str] = field(default_factory=list)
    """Roots that have files, none of them of a topic that has a table."""


def archive_objects(roots: Iterable[str], settings: Ingest, tables: Collection[str]) -> Objects:
    """Return what lies below the roots.

    Args:
        roots: folders or URIs of archives.
        settings: rules of topics, and which folder of Secor's paths is the topic.
        tables: topics that have a table.

    Raises:
        SourceError: a folder is missing, or two archives hold a file of the same path.
    """
    found = Objects()
    known = frozenset([*tables, *settings.topics])
    for root in roots:
        topics = Topics(known, settings.topic_folder, root.rstrip("/").rpartition("/")[2])
        files = listing(root, "Kafka archive")
        if not _add(found, root, files, topics, settings) & set(tables) and files:
            found.without_topic.append(root)
    return found


def topic_of(path: str, settings: Ingest, tables: Collection[str]) -> str | None:
    """Return the topic of a file that may be gone, by its path alone; None where that does not tell."""
    what = classify(path, Topics(frozenset([*tables, *settings.topics]), settings.topic_folder))
    return what.topic if isinstance(what, Archived) else None


def _add(found: Objects, root: str, files: list[StoredFile], topics: Topics, settings: Ingest) -> set[str]:
    """Add the files of a root; return their topics."""
    paths = {file.path for file in files}
    seen = set()
    for file in files:
        what = _beside(classify(file.path, topics), file.path, paths, settings)
        if isinstance(what, Refused):
            found.refused[file.path] = (file.size, what.reason, what.detail)
        elif isinstance(what, Archived):
            if file.path in found.items:
                raise SourceError(
                    f"{file.path} is in {found.items[file.path].task.root} and in {root}: archives ingested together "
                    "must not share paths. Ingest them into different lakes, or leave one out."
                )
            found.items[file.path] = Item(file, Task("kafka", root, file.path, file.size, what.topic, what))
            seen.add(what.topic)
    return seen


def _beside(what: Archived | Refused | None, path: str, paths: set[str], settings: Ingest) -> Archived | Refused | None:
    """Return what a file is, with the files and fields that have its messages' keys, headers and offsets."""
    if not isinstance(what, Archived) or what.layout != "connect":
        return what
    keys, headers = (side if side in paths else None for side in side_files(path))
    inserted = settings.topics.get(what.topic, TopicRules()).insert_field
    return replace(what, keys=keys, headers=headers, inserted=inserted if any(vars(inserted).values()) else None)
