"""The last step of related pins: from a pin's best-blended pins, the list to show. Plain Python, run on executors."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pin:
    """What the choice needs to know of a pin."""

    pin_id: int
    owner: int | None = None
    signature: str | None = None
    """Names the image file; equal images share it."""
    twins: Collection[int] = ()
    """Pins so alike that only one of them may be shown."""
    fresh: bool = False
    """Whether it is new."""


@dataclass
class _List:
    """A list in the making."""

    query: Pin
    owner_cap: int
    places: set[int] = field(default_factory=set)
    ids: set[int] = field(init=False)
    twins: set[int] = field(init=False)
    signatures: set[str] = field(init=False)
    owners: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.ids, self.twins = {self.query.pin_id}, set(self.query.twins)
        self.signatures = {self.query.signature} if self.query.signature else set()

    def take(self, place: int, pin: Pin) -> None:
        """Take a pin, unless a rule forbids it."""
        full = pin.owner is not None and self.owners[pin.owner] >= self.owner_cap
        if full or pin.pin_id in self.ids or pin.pin_id in self.twins or pin.signature in self.signatures:
            return
        if not self.ids.isdisjoint(pin.twins):
            return
        self.places.add(place)
        self.ids.add(pin.pin_id)
        self.twins.update(pin.twins)
        if pin.signature:
            self.signatures.add(pin.signature)
        if pin.owner is not None:
            self.owners[pin.owner] += 1


def choose(query: Pin, pool: Iterable[Pin], length: int, owner_cap: int, fresh: int = 0) -> list[int]:
    """Return places in `pool` (best first) of the pins to show beside `query`, at most `length`, in order.

    Greedy: a pin is left out if it is a near-duplicate of the query or of one already taken (either says so, or the
    image is the same), or if its owner has `owner_cap` pins in the list. The best `fresh` new pins of the pool are
    taken first: new pins have had no time to be saved together with anything.
    """
    known = list(pool)
    taken = _List(query, owner_cap)
    for wanted, most in ((True, min(fresh, length)), (False, length)):
        for place, pin in enumerate(known):
            if len(taken.places) == most:
                break
            if place not in taken.places and (pin.fresh or not wanted):
                taken.take(place, pin)
    return sorted(taken.places)
