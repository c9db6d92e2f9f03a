"""Small generations for tests of stores and readers: no Spark."""

import zlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from jobs.serving.codec import (
    Columns,
    card_key,
    encode_card,
    encode_feed,
    encode_related,
    fallback_key,
    feed_key,
    related_key,
    to_days,
)
from jobs.serving.manifest import Content, Manifest
from jobs.serving.models import PinCard

DAY = date(2026, 11, 1)
NAMES = {b"hf": "home_feed", b"rp": "related_pins", b"pc": "pin_cards", b"fb": "fallback"}


def columns(pins: Sequence[int], **given: Any) -> Columns:
    """Return a list's columns with plausible values where none are given."""
    n = len(pins)
    values: dict[str, Any] = {
        "scores": [1.0 / (i + 1) for i in range(n)],
        "sources": ["content"] * n,
        "reasons": ["taste"] * n,
        "reason_ids": [None] * n,
    }
    return Columns(pins, **(values | given))


def feed(user: int, pins: Sequence[int], arm: str = "control", **given: Any) -> tuple[bytes, bytes]:
    """Return the pair of a home feed."""
    key = feed_key(user)
    return key, encode_feed(key, to_days(DAY), arm, columns(pins, **given))


def fallback(pins: Sequence[int], segment: str = "all") -> tuple[bytes, bytes]:
    """Return the pair of a fallback."""
    key = fallback_key(segment)
    made = columns(pins, sources=["popular"] * len(pins), reasons=["popular"] * len(pins))
    return key, encode_feed(key, to_days(DAY), "", made)


def related(pin: int, pins: Sequence[int]) -> tuple[bytes, bytes]:
    """Return the pair of a pin's related pins."""
    key = related_key(pin)
    n = len(pins)
    return key, encode_related(key, to_days(DAY), pins, [0.5] * n, ["both"] * n, [2] * n)


def card(pin: int, title: str = "A pin", category: str = "garden") -> tuple[bytes, bytes]:
    """Return the pair of a card."""
    return card_key(pin), encode_card(PinCard(pin, title, "https://x.example", category, "green", 9, "ab"))


def content_of(pairs: Sequence[tuple[bytes, bytes]]) -> Content:
    """Return what Spark would say of the pairs, with crc32 alone."""
    total = sum(zlib.crc32(key + value) for key, value in pairs) % 2**64
    surfaces: dict[str, dict[str, int]] = {}
    for key, value in pairs:
        size = surfaces.setdefault(NAMES[key[:2]], {"keys": 0, "bytes": 0})
        size["keys"] += 1
        size["bytes"] += len(value)
    return Content(len(pairs), sum(len(value) for _, value in pairs), f"{total:016x}", "0", surfaces)


def put(store: Any, name: str, pairs: Sequence[tuple[bytes, bytes]], promote: bool = True, **facts: Any) -> Manifest:
    """Load, commit and (unless told not to) serve a generation."""
    ordered = sorted(pairs)
    manifest = Manifest(name, DAY, content_of(ordered), **({"loaded_at": name} | facts))
    store.begin(name)
    half = len(ordered) // 2
    store.stage(name, [store.load(name, ordered[:half]), store.load(name, ordered[half:])])
    store.commit(name, manifest.value())
    if promote:
        store.promote(store.read_pointer(), name)
    return manifest


def serve(store: Any, name: str, feeds: Mapping[int, Sequence[int]], promote: bool = True) -> Manifest:
    """Serve a generation with these feeds, a fallback, related pins and cards of all pins."""
    pins = sorted({pin for shown in feeds.values() for pin in shown})
    pairs = [feed(user, shown) for user, shown in feeds.items()]
    pairs += [related(pin, [other for other in pins if other != pin]) for pin in pins]
    pairs += [card(pin, f"Pin {pin}") for pin in pins]
    return put(store, name, [*pairs, fallback(pins)], promote)
