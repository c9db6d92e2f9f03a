"""Layout of a generation on a key-value server: names of its keys, lists of keys, and a handle for reading.

Every key starts with the generation's prefix, ``<generation>.<load>``. Each part has a list of its keys in blocks, so
that a generation can be scanned, counted and deleted on a server that cannot list its keys.
"""

from collections.abc import Iterator, Sequence

import zstandard

from jobs.serving.codec import FALLBACK_PREFIX, MANIFEST_KEY
from jobs.serving.servers import Server
from jobs.serving.stores import GenerationHandle, Pair

PARTS, INDEX = b"parts", b"index"
_SHARED = (FALLBACK_PREFIX, MANIFEST_KEY)


class KeyValueHandle(GenerationHandle):
    """Reads one generation by its prefix."""

    def __init__(self, server: Server, prefix: str, parts: Sequence[tuple[str, int, int]]) -> None:
        self._server = server
        self._prefix = prefix
        self._parts = parts

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`; None also where the server lost it."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of `keys`, in order, in one round trip."""
        return self._server.get_many([full_key(self._prefix, key) for key in keys]) if keys else []

    def node_for(self, key: bytes) -> str:
        """Return the server that has `key`."""
        return self._server.node_for(full_key(self._prefix, key))

    def scan(self, prefix: bytes) -> Iterator[Pair]:
        """Yield pairs whose key starts with `prefix`, ascending; values that the server lost are left out."""
        for part, blocks, _ in self._parts:
            for block in range(blocks):
                keys = [
                    key for key in read_keys(self._server, self._prefix, part, block) or [] if key.startswith(prefix)
                ]
                for key, value in zip(keys, self.get_many(keys), strict=True):
                    if value is not None:
                        yield key, value

    def close(self) -> None:
        """Do nothing: connections belong to the store."""


def full_key(prefix: str, key: bytes) -> bytes:
    """Return a key of the generation as the server has it."""
    return prefix.encode() + b":" + key


def is_shared(name: bytes) -> bool:
    """Return whether any user may need a key: fallbacks and the manifest, which are few and small."""
    return name.partition(b":")[2].startswith(_SHARED)


def list_key(prefix: str, part: str, block: int) -> bytes:
    """Return the key of a block of a part's list."""
    return full_key(prefix, f"keys:{part}:{block}".encode())


def read_keys(server: Server, prefix: str, part: str, block: int) -> list[bytes] | None:
    """Return the keys of a block, None where there is no such block or the server lost it."""
    (packed,) = server.get_many([list_key(prefix, part, block)])
    return None if packed is None else zstandard.decompress(packed).split(b"\0")


def pack_keys(keys: Sequence[bytes]) -> bytes:
    """Return a block of keys as it is stored."""
    return zstandard.compress(b"\0".join(keys))
