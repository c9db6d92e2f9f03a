"""What a folder or a tar of images holds: each file to be read, or the reason why it cannot be.

Nothing is passed over without a count: what is hidden is counted, what is no file (a device, a link that leads nowhere)
stands among the files with its reason. Names are bytes to a system, and need not be UTF-8: strings here hold such bytes
as `surrogateescape` does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from jobs.ingest.embeddings.images import Read
from jobs.ingest.images.decode import Unusable
from jobs.ingest.images.names import text_of


@dataclass
class Listing:
    """The files, in the order of their vectors."""

    total: int
    """How many are told: files, links and what is no file."""
    hidden: int
    """Files and folders whose name begins with a dot: passed over."""
    files: Iterator[tuple[str, Read]]
    links: dict[str, list[str]] = field(default_factory=dict)
    """Names of a tar's links by the file they lead to, which is among `files`."""
    unlisted: frozenset[str] = frozenset()
    """Files that are read for the sake of links alone: hidden ones."""


def fault(reason: str, detail: str) -> Read:
    """Return what is read of a file that cannot be: its reason."""
    return partial(_unusable, reason, text_of(detail)[0])


def _unusable(reason: str, detail: str) -> NoReturn:
    raise Unusable(reason, detail)
