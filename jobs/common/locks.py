"""Locks between processes of one machine, which the kernel releases with their holder, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.common.errors import ConcurrentRunError


@contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold an exclusive lock on a file, made if absent.

    Args:
        path: the lock file; it stays when the lock is gone.
        busy: message of the ConcurrentRunError raised where another process holds the lock; None waits for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise ConcurrentRunError(busy) from None
        yield
