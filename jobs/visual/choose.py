"""The last step of related pins: from a pin's best-blended pins, the list to show. Plain Python, run on executors."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pin:
    """What the choice needs to know of a pin."""

    pin_id: int
    owner: int | None = None
    signature: str | None = None
    """Names the image file; equal images share it."""
    twins: Collection[int] = ()
    """Pins so alike that only one of them may be shown."""


def choose(query: Pin, pool: Iterable[Pin], length: int, owner_cap: int) -> list[int]:
    """Return places in `pool` (best first) of the pins to show beside `query`, at most `length`, in order.

    Greedy: a pin is left out if it is a near-duplicate of the query or of one already taken (either says so, or the
    image is the same), or if its owner has `owner_cap` pins in the list.
    """
    taken: list[int] = []
    ids: set[int] = {query.pin_id}
    twins: set[int] = set(query.twins)
    signatures = {query.signature} if query.signature else set()
    owners: Counter[int] = Counter()
    for place, pin in enumerate(pool):
        if len(taken) == length:
            break
        full = pin.owner is not None and owners[pin.owner] >= owner_cap
        if full or pin.pin_id in ids or pin.pin_id in twins or pin.signature in signatures:
            continue
        if not ids.isdisjoint(pin.twins):
            continue
        taken.append(place)
        ids.add(pin.pin_id)
        twins.update(pin.twins)
        if pin.signature:
            signatures.add(pin.signature)
        if pin.owner is not None:
            owners[pin.owner] += 1
    return taken
