"""Pins with topic, looks, fame and embedding; some show an earlier pin's image.

Pins are ordered by creation: those that exist at an instant are a prefix. The id of a pin is its index plus one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from jobs.settings.simulator import Simulator
from jobs.simulator.clock import Clock
from jobs.simulator.names import CATEGORIES, COLOR_NAMES, STYLES, TOPIC_CATEGORY, TOPIC_NAMES
from jobs.simulator.people import ASPECTS, Boards, People
from jobs.simulator.rng import DAY, HOUR, NEVER, Array, mix, normals, rng

BURST_DAYS = 3
"""Days before the end in which one topic bursts."""


@dataclass(frozen=True)
class Pins:
    """Pins, oldest first."""

    created: Array
    creator: Array
    board: Array
    topic: Array
    category: Array
    """As the creator chose it, now and then another than the topic's."""
    aspects: Array
    """(pins, ASPECTS) where the pin stands within its topic."""
    quality: Array
    """Standard normal: how well it is made."""
    fame: Array
    """Weight with which it is met; heavy tail."""
    color: Array
    style: Array
    original: Array
    """Earlier pin whose image it shows, -1 for none."""
    same_image: Array
    """Whether it carries the very image file of `original`."""
    deleted_at: Array
    retitled_at: Array
    burst: int
    """Topic that bursts."""

    @property
    def count(self) -> int:
        """Return the number of pins."""
        return len(self.created)

    @property
    def image(self) -> Array:
        """Return the pin whose image file each pin carries."""
        return np.where(self.same_image, self.original, np.arange(self.count))

    def signature(self, pin: Array) -> tuple[Array, Array]:
        """Return the two halves of the image signature, as 64-bit numbers."""
        image = self.image[pin]
        return mix(image, 71), mix(image, 72)


def make_pins(config: Simulator, when: Clock, people: People, boards: Boards) -> Pins:
    """Return the pins of the simulation."""
    n, source = config.pins, rng(config.seed, "pins")
    created = _created(config, when)
    board = _home(config, when, people, boards)
    creator = boards.owner[board]
    strays = source.random(n) < 0.12
    taste = people.tastes[creator, source.integers(0, 2, n)]
    topic = np.where(strays, taste, boards.topic[board]).astype(np.int16)
    aspects = source.standard_normal((n, ASPECTS), dtype=np.float32)
    quality = source.standard_normal(n, dtype=np.float32)
    fame = np.exp(0.7 * quality + 1.15 * source.standard_normal(n, dtype=np.float32))
    category = np.asarray(TOPIC_CATEGORY, np.int8)[topic]
    category = np.where(source.random(n) < 0.03, source.integers(0, len(CATEGORIES), n), category)
    color, style = _looks(config, topic, aspects)
    deleted = created + (source.exponential(20 * DAY, n)).astype(np.int64) + HOUR
    deleted = np.where((source.random(n) < 0.03) & (deleted > when.start) & (deleted < when.last), deleted, NEVER)
    retitled = source.integers(when.start, when.last, n)
    good = (source.random(n) < 0.03) & (retitled > created + HOUR) & (retitled < deleted)
    pins = Pins(
        created=created,
        creator=creator,
        board=board,
        topic=topic,
        category=category.astype(np.int8),
        aspects=aspects,
        quality=quality,
        fame=fame,
        color=color,
        style=style,
        original=np.full(n, -1, np.int32),
        same_image=np.zeros(n, bool),
        deleted_at=deleted,
        retitled_at=np.where(good, retitled, NEVER),
        burst=int(np.bincount(topic, minlength=len(TOPIC_NAMES)).argsort()[len(TOPIC_NAMES) // 2]),
    )
    return _copied(config, pins, boards)


def _created(config: Simulator, when: Clock) -> Array:
    """Return creation times: some old, most rising towards the window, two fifths within it."""
    n, source = config.pins, rng(config.seed, "pins created")
    window = int(n * 0.4)
    old = int(n * 0.2)
    parts = [
        source.integers(when.era - 60 * DAY, when.era, old),
        when.era + ((when.start - when.era) * np.sqrt(source.random(n - window - old))).astype(np.int64),
        source.integers(when.start, when.end - HOUR, window),
    ]
    return np.sort(np.concatenate(parts))


def _home(config: Simulator, when: Clock, people: People, boards: Boards) -> Array:
    """Return the board each pin is made on: boards of old users, few of them with most of the pins."""
    source = rng(config.seed, "pin boards")
    old_user = people.created < when.era - 70 * DAY
    old = np.flatnonzero((boards.created < when.era - 60 * DAY) & old_user[boards.owner] & ~people.bot[boards.owner])
    if not len(old):
        old = np.flatnonzero(boards.created == boards.created.min())
    busy = source.pareto(1.3, people.count)[boards.owner[old]] + 0.02
    cumulative = np.cumsum(np.minimum(busy, np.quantile(busy, 0.995)))
    return old[np.searchsorted(cumulative, source.random(config.pins) * cumulative[-1])].astype(np.int32)


def _looks(config: Simulator, topic: Array, aspects: Array) -> tuple[Array, Array]:
    """Return color and style: what the topic is usually like, bent by the pin's aspects."""
    source = rng(config.seed, "looks")
    out = []
    for size in (len(COLOR_NAMES), len(STYLES)):
        usual = source.normal(0.0, 1.4, (len(TOPIC_NAMES), size)).astype(np.float32)
        bend = source.normal(0.0, 0.5, (ASPECTS, size)).astype(np.float32)
        place = np.empty(len(topic), np.int8)
        for lo in range(0, len(topic), 200_000):
            part = slice(lo, lo + 200_000)
            noise = source.gumbel(size=(len(topic[part]), size)).astype(np.float32)
            place[part] = (usual[topic[part]] + _product(aspects[part], bend) + noise).argmax(axis=1)
        out.append(place)
    return out[0], out[1]


def _copied(config: Simulator, pins: Pins, boards: Boards) -> Pins:
    """Return the pins with some turned into copies of earlier public pins of other creators."""
    source = rng(config.seed, "copies")
    share = config.near_duplicate_share + config.same_image_share
    n = pins.count
    copy = (source.random(n) < share * 1.15) & (np.arange(n) > n // 20)
    origin = (source.random(n) * np.arange(n)).astype(np.int32)
    good = copy & ~copy[origin] & (pins.creator != pins.creator[origin]) & (boards.privacy[pins.board[origin]] == 0)
    same = good & (source.random(n) < config.same_image_share / max(share, 1e-9))
    inherit = np.where(good, origin, np.arange(n))
    return replace(
        pins,
        topic=pins.topic[inherit],
        category=pins.category[inherit],
        aspects=pins.aspects[inherit],
        color=pins.color[inherit],
        style=pins.style[inherit],
        original=np.where(good, origin, -1).astype(np.int32),
        same_image=same,
    )


class Space:
    """The embedding space: where topics lie and what the aspects do."""

    def __init__(self, config: Simulator) -> None:
        """Draw the centres: topics of one category lie together."""
        source = rng(config.seed, "space")
        category = _units(source.standard_normal((len(CATEGORIES), config.dim)))
        own = _units(source.standard_normal((len(TOPIC_NAMES), config.dim)))
        self.centres = _units(0.75 * category[list(TOPIC_CATEGORY)] + own).astype(np.float32)
        basis = _units(source.standard_normal((ASPECTS, config.dim)))
        self._basis = (0.55 * basis / np.sqrt(ASPECTS)).astype(np.float32)
        self._salt, self._dim = config.seed, config.dim

    def vectors(self, pins: Pins, pin: Array) -> Array:
        """Return unit vectors of the pins, (len(pin), dim) float32; copies lie within cosine .98 of their original."""
        copied = pins.original[pin] >= 0
        root = np.where(copied, pins.original[pin], pin)
        noise = normals(root, self._dim, self._salt) * np.float32(0.55 / np.sqrt(self._dim))
        vector = _units(self.centres[pins.topic[root]] + _product(pins.aspects[root], self._basis) + noise)
        shift = np.where(pins.same_image[pin], 0.03, 0.12) * copied
        own = normals(pin[copied], self._dim, self._salt + 1) / np.sqrt(np.float32(self._dim))
        vector[copied] += (shift[copied][:, None] * own).astype(np.float32)
        return _units(vector).astype(np.float32)

    def pieces(self, pins: Pins, size: int = 20_000) -> Iterator[tuple[Array, Array]]:
        """Return pins and their vectors, piece by piece."""
        for lo in range(0, pins.count, size):
            pin = np.arange(lo, min(lo + size, pins.count))
            yield pin, self.vectors(pins, pin)


def _product(left: Array, right: Array) -> Array:
    """Return the matrix product, summed in one order: BLAS would round differently for another number of rows."""
    total = left[:, :1] * right[:1]
    for k in range(1, len(right)):
        total += left[:, k : k + 1] * right[k : k + 1]
    return total


def _units(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
