"""Generations on servers of keys and values: what memcached and Redis have in common.

Every key of a generation starts with its prefix, ``<generation>.<load>``, new for each load, so that nothing of an
interrupted load is ever read. Two records lead to it, changed by compare-and-set: the pointer (which generation is
served) and the directory (prefixes of sealed, loading and dropped generations). Lists of keys are written before the
values they name, so whatever a kill leaves can be found and removed (layout.py).

A dropped generation stays readable for `grace_seconds`, for requests that began with it; `sweep` then removes it.
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
from jobs.serving.layout import INDEX, PARTS, KeyValueOpened, full, list_key, listed, pack
from jobs.serving.models import Pointer
from jobs.serving.servers import Server
from jobs.serving.stores import Access, GenerationHandle, Pair, Part, Store, checked_name

BLOCK = 512
"""Pairs sent in one round trip, and keys in one block of a part's list: 512 keys of 250 bytes fit any item limit."""
_TRIES = 100
"""Times the directory is read and written again while others change it."""
Directory = dict[str, dict[str, Any]]


class KeyValueStore(Store):
    """Generations on a `Server`."""

    def __init__(self, server: Server, access: Access) -> None:
        self.server = server
        self.lease_seconds = access.lease_seconds
        self.grace_seconds = access.grace_seconds

    def lease(self) -> AbstractContextManager[None]:
        """Hold a lock on the server, renewed while this process lives and gone `lease_seconds` after it died."""
        return self.server.lock("lease", self.lease_seconds)

    def begin(self, generation: str) -> None:
        """Give the load a prefix of its own; remove what an interrupted one left."""
        directory = self._directory()
        if checked_name(generation) in directory["sealed"]:
            raise StoreError(f"Generation {generation} is already in {self.server}: drop it first, or serve it.")
        self._restart(generation)
        prefix = f"{generation}.{uuid4().hex[:8]}"
        self._change(lambda now: now["loading"].update({generation: prefix}))

    def load(self, generation: str, pairs: Iterable[Pair]) -> Part:
        """Write pairs block by block, the list of a block's keys before its values."""
        prefix = self._directory()["loading"].get(generation)
        if prefix is None:
            raise StoreError(f"Nothing to load into: {self.server} knows of no load of {generation}. Begin it first.")
        part, rest = uuid4().hex[:12], iter(pairs)
        self.server.append(full(prefix, PARTS), part.encode() + b"\n")
        blocks, keys, size, checksum, last = 0, 0, 0, 0, b""
        while block := list(islice(rest, BLOCK)):
            last = _ascending(last, [key for key, _ in block])
            self.server.put_many([(list_key(prefix, part, blocks), pack([key for key, _ in block]))])
            self.server.put_many([(full(prefix, key), value) for key, value in block])
            blocks, keys = blocks + 1, keys + len(block)
            size += sum(len(value) for _, value in block)
            checksum += sum(zlib.crc32(value, zlib.crc32(key)) for key, value in block)
        return Part(f"{part}:{blocks}" if keys else "", keys, size, checksum % 2**64)

    def stage(self, generation: str, parts: Sequence[Part]) -> None:
        """Write the index: the parts of the receipts, by their first key."""
        prefix = self._directory()["loading"].get(generation)
        if prefix is None:
            raise StoreError(f"Nothing to gather: {self.server} knows of no load of {generation}. Begin it first.")
        found = []
        for part in parts:
            if part.name:
                name, blocks = part.name.split(":")
                keys = listed(self.server, prefix, name, 0)
                if keys is None:
                    raise StoreError(f"{self.server} lost the keys of part {name} of {generation}: {_MEMORY}")
                found.append((keys[0], name, int(blocks), part.keys))
        index = json.dumps([entry[1:] for entry in sorted(found)]).encode()
        self.server.put_many([(full(prefix, INDEX), zstandard.compress(index))])

    def commit(self, generation: str, manifest: bytes) -> None:
        """Store the manifest, then name the generation among the sealed ones."""
        prefix = self._directory()["loading"].get(generation)
        if prefix is None or self._parts(prefix) is None:
            raise StoreError(f"Generation {generation} cannot be sealed: nothing of it was gathered in {self.server}.")
        self.server.put_many([(full(prefix, MANIFEST_KEY), manifest)])

        def sealed(now: Directory) -> None:
            if now["loading"].pop(generation, None) != prefix:
                raise StoreError(
                    f"Generation {generation} cannot be sealed: another publisher removed it from {self.server}, as "
                    f"this one's lease ran out (publish.lease_seconds = {self.lease_seconds}). Run again."
                )
            now["sealed"][generation] = prefix

        self._change(sealed)

    def open(self, generation: str) -> GenerationHandle:
        """Open a sealed generation, or a gathered one."""
        prefix, parts = self._found(generation)
        return KeyValueOpened(self.server, prefix, parts)

    def count(self, generation: str) -> int:
        """Return the keys that the index says were loaded; whether their values are there is for reading back."""
        return sum(keys for _, _, keys in self._found(generation)[1])

    def hint(self, holders: Sequence[str]) -> str:
        """Ask the servers how they stand."""
        return self.server.hint(holders)

    def read_pointer(self) -> Pointer | None:
        """Return the pointer."""
        record = self.server.record("pointer")
        return decode_pointer(record[1]) if record else None

    def promote(self, expected: Pointer | None, generation: str) -> Pointer:
        """Compare and set on the server: the pointer's epoch is its revision."""
        now = self.read_pointer()
        if now == expected and generation not in self._directory()["sealed"]:
            raise StoreError(f"Generation {generation} is not whole in {self.server}. There are: {self._there()}.")
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
        """Return the sealed generations."""
        return sorted(self._directory()["sealed"])

    def drop(self, generation: str) -> None:
        """Take a generation out of the directory; its values stay for `grace_seconds`, until the sweep after."""
        served = self.read_pointer()
        if served and served.current == generation:
            raise StoreError(f"Generation {generation} is being served and cannot be dropped: flip to another first.")
        self._restart(generation)

        def dropped(now: Directory) -> None:
            prefix = now["sealed"].pop(generation, None)
            if prefix:
                now["dropped"][prefix] = time.time()

        if generation in self._directory()["sealed"]:
            self._change(dropped)

    def gc(self) -> list[str]:
        """Remove what interrupted loads left, and generations dropped longer ago than `grace_seconds`."""
        self._forget_loads(self._directory()["loading"])
        old = [p for p, at in self._directory()["dropped"].items() if time.time() - at >= self.grace_seconds]
        for prefix in old:
            self._remove(prefix)
        return sorted(old)

    def _forget_loads(self, loads: Mapping[str, str]) -> None:
        """Take loads out of the directory before a value goes: nobody can seal what is being removed."""

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
        """Delete a prefix's values by the lists of its parts, the lists last: a kill in between is made up for."""
        (named,) = self.server.get_many([full(prefix, PARTS)])
        for part in (named or b"").decode().split():
            block = 0
            while (keys := listed(self.server, prefix, part, block)) is not None:
                self.server.delete_many([full(prefix, key) for key in keys])
                block += 1
            self.server.delete_many([list_key(prefix, part, number) for number in reversed(range(block))])
        self.server.delete_many([full(prefix, key) for key in (INDEX, MANIFEST_KEY, PARTS)])

    def _found(self, generation: str) -> tuple[str, list[tuple[str, int, int]]]:
        directory = self._directory()
        prefix = directory["sealed"].get(generation) or directory["loading"].get(generation)
        if not prefix:
            raise StoreError(f"No generation {generation} in {self.server}. There are: {self._there()}.")
        # an evicted index only stops scans: values are found without it
        return prefix, self._parts(prefix) or []

    def _parts(self, prefix: str) -> list[tuple[str, int, int]] | None:
        (index,) = self.server.get_many([full(prefix, INDEX)])
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
    known: Directory = {"sealed": {}, "loading": {}, "dropped": {}}
    return (record[0], known | json.loads(record[1])) if record else (0, known)


def _ascending(last: bytes, keys: Sequence[bytes]) -> bytes:
    for key in keys:
        if key <= last:
            raise StoreError(f"Keys of a part must be strictly ascending: {key!r} came after {last!r}.")
        last = key
    return last
