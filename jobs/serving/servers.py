"""The contract of a key-value server; memcached.py and redis.py implement it.

A record is a small value with a revision, changed by compare-and-set: revision 1 where there was none, one more at each
change. It is stored as the revision, eight bytes, most significant first, and the content.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from jobs.common.errors import ConcurrentRunError, StoreError

PREFIX = b"pinlake:"
"""Prefix of every key on a server: the server may have other users."""
_REVISION = 8


class Server(ABC):
    """One server, or several that share the keys. Picklable: executors get a copy. Safe for several threads."""

    @abstractmethod
    def __str__(self) -> str:
        """Return kind and addresses, never a password."""

    @abstractmethod
    def node_for(self, key: bytes) -> str:
        """Return the address of the server that has `key`."""

    @abstractmethod
    def hint(self, nodes: Sequence[str]) -> str:
        """Return memory and evictions of the servers at these addresses, which lost values, and what to change."""

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of `keys`, in order; None also for what cannot be read at the moment."""

    @abstractmethod
    def put_many(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Write all pairs; StoreError, naming server and key, unless every one was stored."""

    @abstractmethod
    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Delete those of `keys` that exist."""

    @abstractmethod
    def append(self, key: bytes, value: bytes) -> None:
        """Append to a value, created if absent; concurrent appends are all kept."""

    @abstractmethod
    def record(self, name: str) -> tuple[int, bytes] | None:
        """Return revision and content of a record, None if there is none; StoreError if no server answers."""

    @abstractmethod
    def swap(self, name: str, revision: int, content: bytes) -> bool:
        """Replace a record that is at `revision` (0: absent); return False if it is at another."""

    @abstractmethod
    def lock(self, name: str, seconds: int) -> AbstractContextManager[None]:
        """Hold a lock; ConcurrentRunError if it is held. It expires `seconds` after its owner died."""


def busy(server: Server, seconds: int) -> ConcurrentRunError:
    """Return the error for a lock that another publisher holds."""
    return ConcurrentRunError(
        f"Another publisher is running on {server}: wait until it is done, then run again. If it was killed, its lease "
        f"ends {seconds} seconds later."
    )


def packed(revision: int, content: bytes) -> bytes:
    """Return a record's stored form."""
    return revision.to_bytes(_REVISION, "big") + content


def unpacked(stored: bytes | None) -> tuple[int, bytes] | None:
    """Return revision and content of a stored record."""
    return None if stored is None else (int.from_bytes(stored[:_REVISION], "big"), stored[_REVISION:])


@contextmanager
def renewed(renew: Callable[[], object], every: float) -> Iterator[None]:
    """Call `renew` every `every` seconds from a thread while the body runs.

    After a StoreError it is called again at the next interval: a server may be slow for a moment. If the lock expires
    anyway, the pointer's compare-and-set still keeps two publishers apart.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            with suppress(StoreError):
                renew()

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
