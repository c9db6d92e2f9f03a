"""The contract of a store that keeps and serves generations. registry.py lists the implementations.

A generation goes through four steps and is invisible to readers until the last:

1. `begin`: an empty load; whatever an interrupted load left under its name is removed;
2. `load`: sorted pairs, part by part, from any process that reaches the store (Spark's executors);
3. `stage`: the parts become readable through `open`, for verification; `commit`: with its manifest it is complete;
4. `promote`: the pointer moves to it, by compare-and-set.

A store must be picklable: executors get a copy of it. tests/contracts/test_store_contract.py holds every store to
this.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar, Self

from jobs.common.errors import StoreError
from jobs.serving.models import Pointer

Pair = tuple[bytes, bytes]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Valid names of a generation: they are used as folder names and in keys."""


@dataclass(frozen=True)
class Part:
    """Receipt for pairs loaded in one go."""

    name: str
    """The store's own name of the part; empty where nothing was written."""
    keys: int
    bytes: int
    """Of values."""
    checksum: int
    """Sum of crc32(key + value), modulo 2^64."""


class GenerationHandle(ABC):
    """One generation, open for reading. Safe to use from several threads."""

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, None if there is none; StoreError if the store cannot be read."""

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of `keys`, in order."""

    @abstractmethod
    def node_for(self, key: bytes) -> str:
        """Return the folder or server that has `key`."""

    @abstractmethod
    def scan(self, prefix: bytes) -> Iterator[Pair]:
        """Yield pairs whose key starts with `prefix`, keys ascending bytewise."""

    @abstractmethod
    def close(self) -> None:
        """Close the generation."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class Store(ABC):
    """Where generations are kept and served from."""

    kind: ClassVar[str]
    """Name in the setting publish.store."""
    where: str
    """Folder or servers, as `open_store` takes them."""

    @abstractmethod
    def lease(self) -> AbstractContextManager[None]:
        """Hold the publishers' lock; ConcurrentRunError if another publisher holds it."""

    @abstractmethod
    def begin(self, generation: str) -> None:
        """Start loading a generation; StoreError if it is already committed."""

    @abstractmethod
    def load(self, generation: str, pairs: Iterable[Pair]) -> Part:
        """Write pairs with strictly ascending keys as one part, and return its receipt.

        Parts hold disjoint ranges of keys. A part may be written twice (a task that Spark runs again): only those
        given to `stage` count.
        """

    @abstractmethod
    def stage(self, generation: str, parts: Sequence[Part]) -> None:
        """Make the parts readable through `open`, for verification. Readers still cannot see them."""

    @abstractmethod
    def commit(self, generation: str, manifest: bytes) -> None:
        """Store the manifest under `m:`; from here on the generation is complete."""

    @abstractmethod
    def open(self, generation: str) -> GenerationHandle:
        """Open a committed or staged generation; StoreError if it is not there."""

    @abstractmethod
    def count(self, generation: str) -> int:
        """Return the keys of a generation, its manifest excluded."""

    @abstractmethod
    def hint(self, nodes: Sequence[str]) -> str:
        """Return what to check, and what to change, where these nodes lost values."""

    @abstractmethod
    def read_pointer(self) -> Pointer | None:
        """Return the pointer, None before the first promotion; StoreError if it is damaged."""

    @abstractmethod
    def promote(self, expected: Pointer | None, generation: str) -> Pointer:
        """Move the pointer to a committed generation, unless it changed since the caller read `expected`.

        Raises:
            ConcurrentRunError: another publisher moved it meanwhile.
            StoreError: the generation is not committed.
        """

    @abstractmethod
    def generations(self) -> list[str]:
        """Return the committed generations, names ascending."""

    @abstractmethod
    def drop(self, generation: str) -> None:
        """Remove a generation, loading or committed; StoreError if it is the served one."""

    @abstractmethod
    def gc(self) -> list[str]:
        """Remove what interrupted loads left and what was dropped; return the names. Call it under the lease."""


@dataclass(frozen=True)
class Access:
    """How to reach servers, and how long to hold them; the embedded store needs none of it."""

    password: str = field(default="", repr=False)
    timeout_seconds: float = 1.0
    lease_seconds: int = 30
    grace_seconds: float = 60.0
    user: str = ""
    """Redis ACL user; empty uses the default user."""
    database: int = 0
    """Redis database number."""
    tls: bool = False
    """Whether to connect to Redis by TLS."""
    tls_ca: str = ""
    """File of the CA certificate for Redis; empty uses the system's."""


def checked_name(generation: str) -> str:
    """Return a generation's name; StoreError if it is not a valid one."""
    if not NAME.fullmatch(generation):
        raise StoreError(f"A generation is named by letters, digits, - and _, at most 64; got {generation!r}.")
    return generation
