"""Files that survive a kill: written beside, synced, renamed; and locks that the kernel releases with their holder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import ConcurrentRun


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file so that a reader finds the old content or the new, and a power cut leaves one of them."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames within a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold an exclusive lock on a file, made if absent.

    Args:
        path: the lock file; it stays when the lock is gone.
        busy: message of the ConcurrentRun raised where another process holds the lock; None waits for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise ConcurrentRun(busy) from None
        yield
