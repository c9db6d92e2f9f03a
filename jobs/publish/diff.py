"""Compares two generations of a store: users added and removed, positions changed. Streams both; needs no Spark."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import Any

from jobs.serving.codec import FEED_PREFIX, decode_feed
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
    removed: int = 0
    """Users with a feed in `before` only."""
    identical: int = 0
    """Users whose pins are the same, in the same order."""
    positions: int = 0
    """Positions of users in both; the longer feed counts."""
    changed: int = 0
    """Positions with another pin, or none."""
    new_pins: int = 0
    """Positions with a pin that the user's feed in `before` did not have."""
    examples: list[int] = field(default_factory=list)
    """First few users whose feed changed."""
    surfaces: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Keys before and after, by surface."""

    @property
    def changed_share(self) -> float:
        """Return changed positions as a share of all."""
        return self.changed / self.positions if self.positions else 0.0

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"changed_share": round(self.changed_share, 6)}


def diff(store: Store, before: str, after: str) -> Diff:
    """Compare the home feeds of two generations; StoreError if either is not there or damaged."""
    with store.open(before) as old, store.open(after) as new:
        result = Diff(before, after)
        result.surfaces = _surfaces(View(before, old).manifest(), View(after, new).manifest())
        for one, other in _merge(old.scan(FEED_PREFIX), new.scan(FEED_PREFIX)):
            _add(result, one, other)
        return result


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


def _add(result: Diff, one: Pair | None, other: Pair | None) -> None:
    result.users_before += one is not None
    result.users_after += other is not None
    result.removed += other is None
    result.added += one is None
    if one is None or other is None:
        return
    old, new = _pins(decode_feed(*one, result.before)), _pins(decode_feed(*other, result.after))
    changed = sum(a != b for a, b in zip_longest(old, new))
    result.positions += max(len(old), len(new))
    result.changed += changed
    result.identical += not changed
    result.new_pins += len(set(new) - set(old))
    if changed and len(result.examples) < _EXAMPLES:
        result.examples.append(int(one[0][3:]))


def _pins(feed: Feed) -> list[int]:
    return [item.pin_id for item in feed.items]
