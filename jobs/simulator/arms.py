"""Experiment arms as an online service logs them: the rule of `ranking.arms`, computed without Spark."""

from typing import Final

import numpy as np

from jobs.common.errors import ConfigError
from jobs.settings.ranking import Ranking
from jobs.simulator.rng import Array

BUCKETS: Final = 1_000_000
_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
_MASK = 2**64 - 1
_SEED = 42
"""Seed of Spark's xxhash64."""


def arm_of(users: int, ranking: Ranking) -> Array:
    """Return the place in `ranking.arms` of each user's arm, for users 1 to `users`.

    A bucket is pmod(xxhash64(salt, user_id), 1,000,000), as Spark computes it; arms take buckets in the order listed.
    """
    ids = np.arange(1, users + 1, dtype=np.uint64)
    bucket = xxhash_long(ids, xxhash_bytes(ranking.arm_salt.encode(), _SEED)).astype(np.int64) % BUCKETS
    edges = np.round(np.cumsum(list(ranking.arms.values()))[:-1] * BUCKETS)
    return np.searchsorted(edges, bucket, side="right").astype(np.int8)


def xxhash_long(values: Array, seed: int) -> Array:
    """Return XXH64 of each value's eight bytes (Collet, xxHash specification), as unsigned 64-bit numbers."""
    word = _rotate(values.astype(np.uint64) * np.uint64(_P2), 31) * np.uint64(_P1)
    start = np.uint64((seed + _P5 + 8) & _MASK)
    mixed = _rotate(start ^ word, 27) * np.uint64(_P1) + np.uint64(_P4)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(_P2)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(_P3)
    return mixed ^ (mixed >> np.uint64(32))


def _rotate(values: Array, by: int) -> Array:
    return (values << np.uint64(by)) | (values >> np.uint64(64 - by))


def xxhash_bytes(body: bytes, seed: int) -> int:
    """Return XXH64 of under 32 bytes; ConfigError above."""
    if len(body) >= 32:
        raise ConfigError(f"ranking.arm_salt must be under 32 bytes; it has {len(body)}; shorten it.")
    h = (seed + _P5 + len(body)) & _MASK
    place = 0
    while place + 8 <= len(body):
        word = int.from_bytes(body[place : place + 8], "little") * _P2 & _MASK
        h = _turn(h ^ (_turn(word, 31) * _P1 & _MASK), 27) * _P1 + _P4 & _MASK
        place += 8
    if place + 4 <= len(body):
        word = int.from_bytes(body[place : place + 4], "little") * _P1 & _MASK
        h = _turn(h ^ word, 23) * _P2 + _P3 & _MASK
        place += 4
    for byte in body[place:]:
        h = _turn(h ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    h = (h ^ (h >> 33)) * _P2 & _MASK
    h = (h ^ (h >> 29)) * _P3 & _MASK
    return h ^ (h >> 32)


def _turn(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _MASK
