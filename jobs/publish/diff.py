"""How two generations of a store differ: who came, who went, what changed. Streams both; needs no Spark."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import Any

from jobs.serving.codec import decode_feed
from jobs.serving.manifest import Manifest
from jobs.serving.models import Feed
from jobs.serving.reader import View
from jobs.serving.stores import Pair, Store

_EXAMPLES = 5


@dataclass
class Diff:
    """Feeds of `after` against those of `before`."""

    before: str
    after: str
    users_before: int = 0
    users_after: int = 0
    added: int = 0
    """Users with a feed in `after` only."""
    gone: int = 0
    """Users with a feed in `before` only."""
    identical: int = 0
    """Users whose pins are the same, in the same order."""
    places: int = 0
    """Places of users in both; the longer feed counts."""
    changed: int = 0
    """Places that hold another pin, or none."""
    new_pins: int = 0
    """Places that hold a pin the user's feed before did not have at all."""
    examples: list[int] = field(default_factory=list)
    """First few users whose feed changed."""
    surfaces: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Keys before and after, by surface."""

    @property
    def changed_share(self) -> float:
        """Return changed places as a share of all."""
        return self.changed / self.places if self.places else 0.0

    def plain(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self) | {"changed_share": round(self.changed_share, 6)}


def diff(store: Store, before: str, after: str) -> Diff:
    """Compare the home feeds of two generations; StoreError if either is not there or damaged."""
    with store.open(before) as old, store.open(after) as new:
        found = Diff(before, after)
        found.surfaces = _surfaces(View(before, old).manifest(), View(after, new).manifest())
        for one, other in _merge(old.scan(b"hf:"), new.scan(b"hf:")):
            _add(found, one, other)
        return found


def _surfaces(before: Manifest, after: Manifest) -> dict[str, tuple[int, int]]:
    a, b = before.content.surfaces, after.content.surfaces
    return {name: (a.get(name, {}).get("keys", 0), b.get(name, {}).get("keys", 0)) for name in sorted({*a, *b})}


def _merge(old: Iterator[Pair], new: Iterator[Pair]) -> Iterator[tuple[Pair | None, Pair | None]]:
    """Pair up two streams with ascending keys by key."""
    one, other = next(old, None), next(new, None)
    while one or other:
        if other is None or (one is not None and one[0] < other[0]):
            yield one, None
            one = next(old, None)
        elif one is None or other[0] < one[0]:
            yield None, other
            other = next(new, None)
        else:
            yield one, other
            one, other = next(old, None), next(new, None)


def _add(found: Diff, one: Pair | None, other: Pair | None) -> None:
    found.users_before += one is not None
    found.users_after += other is not None
    found.gone += other is None
    found.added += one is None
    if one is None or other is None:
        return
    old, new = _pins(decode_feed(*one, found.before)), _pins(decode_feed(*other, found.after))
    changed = sum(a != b for a, b in zip_longest(old, new))
    found.places += max(len(old), len(new))
    found.changed += changed
    found.identical += not changed
    found.new_pins += len(set(new) - set(old))
    if changed and len(found.examples) < _EXAMPLES:
        found.examples.append(int(one[0][3:]))


def _pins(feed: Feed) -> list[int]:
    return [item.pin_id for item in feed.items]
