"""Randomness of the simulator: named generators, and hashes for values that must not depend on other rows."""

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""A numpy array; each field documents its content."""

NEVER = np.int64(2**62)
"""A time that never comes, in ms since 1970."""

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def rng(seed: int, *path: str | int) -> np.random.Generator:
    """Return the generator called `path` under `seed`; other names give independent streams."""
    key = [seed, *(zlib.crc32(str(part).encode()) for part in path)]
    return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(key)))


def mix(values: Array, salt: int = 0) -> Array:
    """Return 64 well-mixed bits for each value: splitmix64 (Steele, Lea, Flood 2014), a bijection for a fixed salt."""
    x = values.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def unit(values: Array, salt: int = 0) -> Array:
    """Return for each value a number in [0, 1) that depends on it and the salt alone."""
    return (mix(values, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(values: Array, count: int, salt: int) -> Array:
    """Return (len(values), count) standard normals, each row a function of its value alone (Box-Muller, float32)."""
    pairs = count // 2
    cells = values.astype(np.uint64)[:, None] * np.uint64(pairs) + np.arange(pairs, dtype=np.uint64)[None, :]
    bits = mix(cells, salt)
    high = ((bits >> np.uint64(32)).astype(np.float32) + np.float32(1.0)) * np.float32(2.0**-32)
    low = (bits & np.uint64(0xFFFFFFFF)).astype(np.float32) * np.float32(2.0**-32 * 2 * np.pi)
    radius = np.sqrt(np.maximum(np.float32(-2.0) * np.log(high), np.float32(0.0)))
    return np.concatenate([radius * np.cos(low), radius * np.sin(low)], axis=1)


def ranges(counts: Array) -> Array:
    """Return 0..n-1 for each count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)


def offsets(sorted_keys: Array, size: int) -> Array:
    """Return where each key 0..size starts in an ascending array: row k is [out[k], out[k+1])."""
    return np.searchsorted(sorted_keys, np.arange(size + 1))
