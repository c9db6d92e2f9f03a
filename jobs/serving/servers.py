"""What a store needs of a server of keys and values; memcached.py and redis.py are such.

A record is a small value with a revision, changed by compare-and-set: revision 1 where there was none, one more at each
change. It is stored as the revision, eight bytes, most significant first, and the content.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from jobs.common.errors import ConcurrentRunError, StoreError

PREFIX = b"pinlake:"
"""What every key on a server starts with: the server may have other users."""
_REVISION = 8


class Server(ABC):
    """One server, or several that share the keys. Picklable: executors get a copy. Safe for several threads."""

    @abstractmethod
    def __str__(self) -> str:
        """Return what a person knows it by: kind and addresses, never a password."""

    @abstractmethod
    def node_for(self, key: bytes) -> str:
        """Return the address of the server that has `key`."""

    @abstractmethod
    def hint(self, holders: Sequence[str]) -> str:
        """Say how the servers at these addresses stand, which lost values, and what to change."""

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of `keys`, in order; None too for what cannot be had just now."""

    @abstractmethod
    def put_many(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Write all pairs; StoreError, naming server and key, unless every one was taken."""

    @abstractmethod
    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Delete what is there of `keys`."""

    @abstractmethod
    def append(self, key: bytes, value: bytes) -> None:
        """Add to the end of a value, which is made if absent; of several at once none is lost."""

    @abstractmethod
    def record(self, name: str) -> tuple[int, bytes] | None:
        """Return revision and content of a record, None if there is none; StoreError if nobody answers."""

    @abstractmethod
    def swap(self, name: str, revision: int, content: bytes) -> bool:
        """Replace a record that is at `revision` (0: absent); return False if it is at another."""

    @abstractmethod
    def lock(self, name: str, seconds: int) -> AbstractContextManager[None]:
        """Hold a lock; ConcurrentRunError if it is held. It is gone `seconds` after its holder died."""


def busy(server: Server, seconds: int) -> ConcurrentRunError:
    """Return the error of a publisher who finds the lock held."""
    return ConcurrentRunError(
        f"Another publisher is at work on {server}: wait until it is done, then run again. If it was killed, its lease "
        f"ends {seconds} seconds later."
    )


def packed(revision: int, content: bytes) -> bytes:
    """Return a record as it is stored."""
    return revision.to_bytes(_REVISION, "big") + content


def unpacked(stored: bytes | None) -> tuple[int, bytes] | None:
    """Return revision and content of what is stored."""
    return None if stored is None else (int.from_bytes(stored[:_REVISION], "big"), stored[_REVISION:])


@contextmanager
def renewed(renew: Callable[[], object], every: float) -> Iterator[None]:
    """Call `renew` again and again from a thread of its own while the body runs.

    After a StoreError it is tried again at the next beat: a server may be slow for a moment. If the lock does run out,
    the pointer's compare-and-set still keeps two publishers apart.
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
