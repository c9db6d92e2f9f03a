"""Generations on key-value servers: the part that memcached and Redis share.

Every key of a generation starts with its prefix, ``<generation>.<load>``, new for each load, so that
values of an interrupted load are never read. Two records refer to it, both changed by compare-and-set: the pointer (the
generation that is served) and the directory (prefixes of committed, loading and dropped generations). Lists of keys are
written before the values they name, so everything that a killed load leaves can be found and removed (layout.py).

A dropped generation stays readable for `grace_seconds`, for requests that began with it; `gc` then removes it.
Layout in docs/store-format.md, reasons in docs/adr/0010.
"""

import json
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any
from uuid import uuid4

import zstandard

from jobs.common.errors import ConcurrentRunError, StoreError
from jobs.serving.codec import MANIFEST_KEY, decode_pointer, encode_pointer
from jobs.serving.layout import INDEX, PARTS, KeyValueHandle, full_key, list_key, pack_keys, read_keys
from jobs.serving.models import Pointer
from jobs.serving.servers import Server
from jobs.serving.stores import Access, GenerationHandle, Pair, Part, Store, checked_name

BLOCK = 512
"""Pairs per round trip, and keys per block of a part's list: 512 keys of 250 bytes fit any item limit."""
_TRIES = 100
"""Attempts to change the directory while other publishers change it."""
Directory = dict[str, dict[str, Any]]


class KeyValueStore(Store):
    """Generations on a `Server`."""

    def __init__(self, server: Server, access: Access) -> None:
        self.server = server
        self.lease_seconds = access.lease_seconds
        self.grace_seconds = access.grace_seconds

    def lease(self) -> AbstractContextManager[None]:
        """Hold a lock on the server: renewed while this process runs, expired `lease_seconds` after it died."""
        return self.server.lock("lease", self.lease_seconds)

    def begin(self, generation: str) -> None:
        """Give the load a new prefix; remove what an interrupted load left."""
        directory = self._directory()
        if checked_name(generation) in directory["committed"]:
            raise StoreError(f"Generation {generation} is already in {self.server}: drop it first, or serve it.")
        self._restart(generation)
        prefix = f"{generation}.{uuid4().hex[:8]}"
        self._change(lambda now: now["loading"].update({generation: prefix}))

    def load(self, generation: str, pairs: Iterable[Pair]) -> Part:
        """Write pairs block by block, the list of a block's keys before its values."""
        prefix = self._directory()["loading"].get(generation)
        if prefix is None:
            raise StoreError(f"Cannot load: {self.server} has no load of {generation}. Call `begin` first.")
        part, rest = uuid4().hex[:12], iter(pairs)
        self.server.append(full_key(prefix, PARTS), part.encode() + b"\n")
        blocks, keys, size, checksum, last = 0, 0, 0, 0, b""
        while block := list(islice(rest, BLOCK)):
            last = _ascending(last, [key for key, _ in block])
            self.server.put_many([(list_key(prefix, part, blocks), pack_keys([key for key, _ in block]))])
            self.server.put_many([(full_key(prefix, key), value) for key, value in block])
            blocks, keys = blocks + 1, keys + len(block)
            size += sum(len(value) for _, value in block)
            checksum += sum(zlib.crc32(value, zlib.crc32(key)) for key, value in block)
        return Part(f"{part}:{blocks}" if keys else "", keys, size, checksum % 2**64)

    def stage(self, generation: str, parts: Sequence[Part]) -> None:
        """Write the index: the parts named by the receipts, ordered by their first key."""
        prefix = self._directory()["loading"].get(generation)
        if prefix is None:
            raise StoreError(f"Cannot stage: {self.server} has no load of {generation}. Call `begin` first.")
        entries = []
        for part in parts:
            if part.name:
                name, blocks = part.name.split(":")
                keys = read_keys(self.server, prefix, name, 0)
                if keys is None:
                    raise StoreError(f"{self.server} lost the keys of part {name} of {generation}: {_MEMORY}")
                entries.append((keys[0], name, int(blocks), part.keys))
        index = json.dumps([entry[1:] for entry in sorted(entries)]).encode()
        self.server.put_many([(full_key(prefix, INDEX), zstandard.compress(index))])

    def commit(self, generation: str, manifest: bytes) -> None:
        """Store the manifest, then enter the generation in the directory as committed."""
        prefix = self._directory()["loading"].get(generation)
        if prefix is None or self._parts(prefix) is None:
            raise StoreError(f"Generation {generation} cannot be committed: nothing of it was staged in {self.server}.")
        self.server.put_many([(full_key(prefix, MANIFEST_KEY), manifest)])

        def committed(now: Directory) -> None:
            if now["loading"].pop(generation, None) != prefix:
                raise StoreError(
                    f"Generation {generation} cannot be committed: another publisher removed it from {self.server}, as "
                    f"this one's lease ran out (publish.lease_seconds = {self.lease_seconds}). Run again."
                )
            now["committed"][generation] = prefix

        self._change(committed)

    def open(self, generation: str) -> GenerationHandle:
        """Open a committed generation, or a staged one."""
        prefix, parts = self._found(generation)
        return KeyValueHandle(self.server, prefix, parts)

    def count(self, generation: str) -> int:
        """Return the number of keys in the index. Whether their values are there is checked by reading back."""
        return sum(keys for _, _, keys in self._found(generation)[1])

    def hint(self, nodes: Sequence[str]) -> str:
        """Return the servers' memory and evictions, and what to change."""
        return self.server.hint(nodes)

    def read_pointer(self) -> Pointer | None:
        """Return the pointer."""
        record = self.server.record("pointer")
        return decode_pointer(record[1]) if record else None

    def promote(self, expected: Pointer | None, generation: str) -> Pointer:
        """Compare and set on the server: the pointer's epoch is its revision."""
        now = self.read_pointer()
        if now == expected and generation not in self._directory()["committed"]:
            raise StoreError(f"Generation {generation} is not complete in {self.server}. There are: {self._there()}.")
        epoch, previous = (expected.epoch, expected.current) if expected else (0, "")
        moved = Pointer(epoch + 1, generation, previous, time.time_ns() // 1_000_000)
        if now != expected or not self.server.swap("pointer", epoch, encode_pointer(moved)):
            at = self.read_pointer()
            raise ConcurrentRunError(
                f"The pointer of {self.server} moved meanwhile: expected {expected or 'none'}, it is at "
                f"{at or 'none'}. Nothing was changed; run again."
            )
        return moved

    def generations(self) -> list[str]:
        """Return the committed generations."""
        return sorted(self._directory()["committed"])

    def drop(self, generation: str) -> None:
        """Take a generation out of the directory; its values stay for `grace_seconds`, until the next gc."""
        served = self.read_pointer()
        if served and served.current == generation:
            raise StoreError(f"Generation {generation} is being served and cannot be dropped: promote another first.")
        self._restart(generation)

        def dropped(now: Directory) -> None:
            prefix = now["committed"].pop(generation, None)
            if prefix:
                now["dropped"][prefix] = time.time()

        if generation in self._directory()["committed"]:
            self._change(dropped)

    def gc(self) -> list[str]:
        """Remove what interrupted loads left, and generations dropped longer ago than `grace_seconds`."""
        self._forget_loads(self._directory()["loading"])
        old = [p for p, at in self._directory()["dropped"].items() if time.time() - at >= self.grace_seconds]
        for prefix in old:
            self._remove(prefix)
        return sorted(old)

    def _forget_loads(self, loads: Mapping[str, str]) -> None:
        """Take loads out of the directory before a value goes: nobody can commit what is being removed."""

        def forgotten(now: Directory) -> None:
            for generation, prefix in loads.items():
                if now["loading"].get(generation) == prefix:
                    del now["loading"][generation]
                    now["dropped"][prefix] = 0.0  # long ago: nobody reads it

        if loads:
            self._change(forgotten)

    def _restart(self, generation: str) -> None:
        """Remove an interrupted load of this generation."""
        prefix = self._directory()["loading"].get(generation)
        if prefix:
            self._forget_loads({generation: prefix})
            self._remove(prefix)

    def _remove(self, prefix: str) -> None:
        self._erase(prefix)
        self._change(lambda now: now["dropped"].pop(prefix, None))

    def _erase(self, prefix: str) -> None:
        """Delete a prefix's values by the lists of its parts; the lists last, so that a killed gc can resume."""
        (named,) = self.server.get_many([full_key(prefix, PARTS)])
        for part in (named or b"").decode().split():
            block = 0
            while (keys := read_keys(self.server, prefix, part, block)) is not None:
                self.server.delete_many([full_key(prefix, key) for key in keys])
                block += 1
            self.server.delete_many([list_key(prefix, part, number) for number in reversed(range(block))])
        self.server.delete_many([full_key(prefix, key) for key in (INDEX, MANIFEST_KEY, PARTS)])

    def _found(self, generation: str) -> tuple[str, list[tuple[str, int, int]]]:
        directory = self._directory()
        prefix = directory["committed"].get(generation) or directory["loading"].get(generation)
        if not prefix:
            raise StoreError(f"No generation {generation} in {self.server}. There are: {self._there()}.")
        # without its index a generation cannot be scanned; values are still found
        return prefix, self._parts(prefix) or []

    def _parts(self, prefix: str) -> list[tuple[str, int, int]] | None:
        (index,) = self.server.get_many([full_key(prefix, INDEX)])
        return None if index is None else [tuple(entry) for entry in json.loads(zstandard.decompress(index))]

    def _directory(self) -> Directory:
        return _decoded(self.server.record("directory"))[1]

    def _change(self, change: Callable[[Directory], object]) -> None:
        for _ in range(_TRIES):
            revision, directory = _decoded(self.server.record("directory"))
            change(directory)
            if self.server.swap("directory", revision, json.dumps(directory).encode()):
                return
        raise ConcurrentRunError(f"The directory of {self.server} kept changing under this run: run again.")

    def _there(self) -> str:
        return ", ".join(self.generations()) or "none"


_MEMORY = "it evicted them or restarted. Give it more memory (memcached -m, Redis maxmemory), then run again."


def _decoded(record: tuple[int, bytes] | None) -> tuple[int, Directory]:
    empty: Directory = {"committed": {}, "loading": {}, "dropped": {}}
    return (record[0], empty | json.loads(record[1])) if record else (0, empty)


def _ascending(last: bytes, keys: Sequence[bytes]) -> bytes:
    for key in keys:
        if key <= last:
            raise StoreError(f"Keys of a part must be strictly ascending: {key!r} came after {last!r}.")
        last = key
    return last
