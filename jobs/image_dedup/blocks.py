"""Blocks of hash bits, chosen so that near hashes share a key.

Pigeonhole: of m blocks, at most r contain the r or fewer bits in which two hashes differ, so m - r blocks or more are
equal. Each choice of m - r blocks is one key of an equi-join; the C(m, r) keys together miss no pair. More blocks make
longer keys, so fewer rows share one by accident, but also more keys to sort by.

Source: Manku, Jain, Das Sarma, "Detecting Near-Duplicates for Web Crawling", WWW 2007, section 3.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.common.errors import ConfigError

Hashes = NDArray[np.uint64]

WIDTH = 64
"""Bits of a hash."""
MOST_RADIUS = 10
"""Greatest number of differing bits that is searched for."""
BUCKET = 64
"""Rows expected to share a key beyond which one more block pays. Measured at a million hashes: a key costs 40 ns a row,
a comparison 3 ns; three to four times the keys are then worth it from some 60 to 80 rows on."""
MOST_KEYS = 512
"""Keys beyond which no further block is added: every key is one more copy of all rows."""
KEY_BITS = 32
"""Bits of a key: beside it a row number, or the number of its combination, fits in 64. A longer key would be cut, which
costs time but no pair."""


def require_radius(radius: int) -> int:
    """Return the radius.

    Raises:
        ConfigError: below 0 or above MOST_RADIUS.
    """
    if not 0 <= radius <= MOST_RADIUS:
        raise ConfigError(
            f"The radius of near-duplicates must be from 0 to {MOST_RADIUS} of {WIDTH} bits, got {radius}: beyond that "
            f"hashes of unlike images are near by accident (at {MOST_RADIUS}, one pair in 10^8), and hundreds of "
            f"keys are too few to keep them apart. Choose a smaller radius and confirm by embeddings."
        )
    return radius


@dataclass(frozen=True)
class Blocks:
    """A cut of hashes into `count` blocks of bits, for pairs that differ in at most `radius`."""

    radius: int
    count: int
    width: int = WIDTH
    """Bits of a hash that count, the lowest."""

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Return first bit and number of bits of each block: equal, but for one."""
        edges = [self.width * i // self.count for i in range(self.count + 1)]
        return [(low, high - low) for low, high in pairwise(edges)]

    @cached_property
    def combinations(self) -> list[tuple[int, ...]]:
        """Return the blocks of each key."""
        return list(combinations(range(self.count), self.count - self.radius))

    @cached_property
    def _passed_over(self) -> Hashes:
        """Return, per combination, the set of blocks that an earlier combination would have had in place of one."""
        sets = [sum(1 << b for b in range(max(chosen)) if b not in chosen) for chosen in self.combinations]
        return np.array(sets, np.uint64)

    def key(self, hashes: Any, which: int) -> Any:
        """Return the key of a combination, below 2**KEY_BITS: the bits of its blocks side by side.

        Args:
            hashes: uint64 [n], or anything else that numbers can be shifted and masked with, a Spark column for one.
            which: number of the combination.
        """
        made: Any = None
        at = 0
        for block in self.combinations[which]:
            low, bits = self.spans[block]
            bits = min(bits, KEY_BITS - at)
            part = ((hashes >> low) & ((1 << bits) - 1)) << at
            made, at = part if made is None else made | part, at + bits
        return made

    def first(self, differing: Hashes, which: Any) -> NDArray[np.bool_]:
        """Return whether a combination is the first under which two hashes share a key.

        Each pair is kept under that one alone, so that no pair has to be looked for among those found before.

        Args:
            differing: XOR of the two hashes, [n].
            which: number of the combination under which they met, one or [n].
        """
        equal = np.zeros(len(differing), np.uint64)
        for block, (low, bits) in enumerate(self.spans):
            same = (differing & np.uint64(((1 << bits) - 1) << low)) == 0
            equal |= same.astype(np.uint64) << np.uint64(block)
        return (equal & self._passed_over[which]) == 0

    @property
    def key_bits(self) -> float:
        """Return how many bits a key has, on average."""
        return self.width * (self.count - self.radius) / self.count


def choose(unique: int, radius: int, width: int = WIDTH) -> Blocks:
    """Return the blocks by which so many different hashes are joined.

    The fewest blocks with at most BUCKET rows expected a key: for radius 6 and 64 bits, 8 blocks (28 keys) up to four
    million hashes, 9 (84) up to 130 million, 10 (210) up to three thousand million.
    """
    count = radius + 1
    while count < width and comb(count + 1, radius) <= MOST_KEYS:
        if unique <= BUCKET * 2 ** Blocks(radius, count, width).key_bits:
            break
        count += 1
    return Blocks(radius, count, width)
