"""Lists the generations of a store, rolls back to one, prunes old ones. Needs no Spark."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobs.common.errors import StoreError
from jobs.serving.codec import SURFACES, decode
from jobs.serving.manifest import Manifest
from jobs.serving.models import Pointer
from jobs.serving.reader import View
from jobs.serving.stores import Store

_PROBE = 100
"""Values of each surface that are decoded before a generation is served again."""


@dataclass(frozen=True)
class Listed:
    """One generation of the store."""

    generation: str
    status: str
    """served, previous, kept or damaged."""
    manifest: Manifest | None
    """None where it is damaged."""

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        manifest = self.manifest.plain() if self.manifest else None
        return {"generation": self.generation, "status": self.status, "manifest": manifest}


def list_generations(store: Store) -> list[Listed]:
    """Return the generations in the store, newest load first, damaged ones last."""
    pointer = store.read_pointer()
    listed = [_listed(store, name, pointer) for name in store.generations()]
    return sorted(listed, key=lambda g: (g.manifest.loaded_at if g.manifest else "", g.generation), reverse=True)


def rollback(store: Store, to: str | None = None) -> Pointer:
    """Serve another generation of the store, by default the previous one. Moves the pointer, no data.

    Raises:
        StoreError: there is no such generation, it is the served one, or a sample of its values cannot be read.
        ConcurrentRunError: the pointer moved meanwhile.
    """
    pointer = store.read_pointer()
    names = store.generations()
    if pointer is None:
        raise StoreError("Nothing is served, so there is nothing to roll back: publish first, `pinlake flow`.")
    target = to or pointer.previous
    if to is None and [name for name in names if name != pointer.current] == []:
        raise StoreError(
            f"Cannot roll back: there is no previous generation, {pointer.current} is the only one in the store. The "
            "next `pinlake flow` publishes another."
        )
    choice = ", ".join(name for name in names if name != pointer.current) or "none"
    if target == pointer.current:
        raise StoreError(f"Generation {target} is being served already. Others in the store: {choice}.")
    if target not in names:
        missing = f"no generation {target}" if target else "no previous generation"
        raise StoreError(f"Cannot roll back: the store holds {missing} (never loaded, or pruned). There are: {choice}.")
    probe(store, target)
    return store.promote(pointer, target)


def prune(store: Store, keep: int) -> list[str]:
    """Drop all but the newest `keep` generations, and return their names; never the served or the previous one."""
    pointer = store.read_pointer()
    protected = {pointer.current, pointer.previous} if pointer else set()
    listed = list_generations(store)
    room = keep - sum(one.generation in protected for one in listed)
    old = [one.generation for one in listed if one.generation not in protected][max(0, room) :]
    for name in old:
        store.drop(name)
    return old


def probe(store: Store, generation: str) -> None:
    """Decode the manifest and the first values of each surface; StoreError if one cannot be decoded."""
    with store.open(generation) as opened:
        View(generation, opened).manifest()
        for prefix in SURFACES:
            decode_all(generation, islice(opened.scan(f"{prefix}:".encode()), _PROBE))


def decode_all(generation: str, pairs: Iterable[tuple[bytes, bytes | None]]) -> int:
    """Decode values and return their number; StoreError at the first that is absent or damaged."""
    count = 0
    for key, value in pairs:
        if value is None:
            raise StoreError(f"Generation {generation} lost key {key.decode('utf-8', 'replace')}: load it again.")
        decode(key, value, generation)
        count += 1
    return count


def _listed(store: Store, name: str, pointer: Pointer | None) -> Listed:
    try:
        with store.open(name) as opened:
            manifest = View(name, opened).manifest()
    except StoreError:
        return Listed(name, "damaged", None)
    served = pointer is not None and name == pointer.current
    before = pointer is not None and name == pointer.previous
    return Listed(name, "served" if served else "previous" if before else "kept", manifest)
