"""The logging policy: what a user is shown, and with what probability.

A policy is what may be shown during one block of hours. Each slot draws its source, then the pin; the probability kept
with an impression is that of the whole mixture, at the draw (before filters), as an online system would log it.
"""

import numpy as np

from jobs.simulator.clock import Clock
from jobs.simulator.entities import Links
from jobs.simulator.names import TOPIC_NAMES
from jobs.simulator.people import TASTES, Boards, People
from jobs.simulator.pins import BURST_DAYS, Pins
from jobs.simulator.rng import DAY, HOUR, MINUTE, Array, offsets

SLACK = 10 * MINUTE
"""A visit is shorter than this; what changes within a block and this much later counts as gone before it."""
BLOCK = 6 * HOUR
"""Length of a block."""
SOURCES = {"taste": 0.52, "popular": 0.14, "fresh": 0.12, "follow": 0.12, "explore": 0.10}
"""Shares of the home feed's slots."""
FRESH_DAYS = 4
"""Age up to which a pin counts as fresh."""


class Store:
    """All pins in the orders that drawing needs; made once."""

    def __init__(self, people: People, boards: Boards, pins: Pins, follows: Links) -> None:
        """Sort the pins by topic, creator and board."""
        self.people, self.boards, self.pins, self.follows = people, boards, pins, follows
        self.by_topic = np.argsort(pins.topic, kind="stable")
        self.topic_first = offsets(pins.topic[self.by_topic], len(TOPIC_NAMES))
        self.by_creator = np.argsort(pins.creator, kind="stable")
        self.creator_first = offsets(pins.creator[self.by_creator], people.count)
        self.by_board = np.argsort(pins.board, kind="stable")
        self.board_first = offsets(pins.board[self.by_board], boards.count)
        self.follow_first = follows.starts(people.count)
        self.follow_key = follows.who.astype(np.int64) << 32 | follows.whom


class LoggingPolicy:
    """What may be shown from `start` for `length` ms."""

    def __init__(self, store: Store, when: Clock, start: int, length: int = BLOCK) -> None:
        """Weigh the pins: fame, freshness, burst; nothing for pins that are private or not there."""
        self.store = store
        pins, boards = store.pins, store.boards
        self.until = until = start + length + SLACK
        self.exists = (pins.created < start) & (pins.deleted_at > until)
        self.public = self.exists & (boards.privacy_at(pins.board, until) == 0)
        age = (start - pins.created) / DAY
        weight = pins.fame * (0.35 + np.exp(-np.maximum(age, 0.0) / 12.0)) * self.public
        self.bursting = start >= when.end - BURST_DAYS * DAY
        if self.bursting:
            weight = np.where(pins.topic == pins.burst, weight * 8.0, weight)
        self._weight = weight
        self._cumulative = self._sums(weight)
        self._new = self.public & (age < FRESH_DAYS)
        self._fresh = self._sums(self._new)

    def _sums(self, weight: Array) -> Array:
        return np.concatenate([[0.0], np.cumsum(weight[self.store.by_topic], dtype=np.float64)])

    def of_topic(self, topic: Array, draw: Array, fresh: bool = False) -> Array:
        """Return for each topic a pin by weight (-1 where none can be shown); `draw` holds numbers in [0, 1)."""
        sums = self._fresh if fresh else self._cumulative
        low, high = sums[self.store.topic_first[topic]], sums[self.store.topic_first[topic + 1]]
        return self._at(sums, low + draw * (high - low), high > low)

    def popular(self, draw: Array) -> Array:
        """Return pins of any topic by weight."""
        return self._at(self._cumulative, draw * self._cumulative[-1], self._cumulative[-1] > 0)

    def _at(self, sums: Array, mark: Array, good: Array | bool) -> Array:
        place = np.clip(np.searchsorted(sums, mark, side="right") - 1, 0, self.store.pins.count - 1)
        return np.where(good, self.store.by_topic[place], -1)

    def of_followed(self, user: Array, draw: Array, again: Array) -> Array:
        """Return a pin of a creator the user follows, -1 where there is none."""
        store = self.store
        low = store.follow_first[user]
        count = store.follow_first[user + 1] - low
        place = low + (draw * count).astype(np.int64)
        whom = store.follows.whom[np.minimum(place, max(len(store.follows.whom) - 1, 0))] if count.any() else user * 0
        first = store.creator_first[whom]
        owned = store.creator_first[whom + 1] - first
        chosen = first + (again * owned).astype(np.int64)
        pin = store.by_creator[np.minimum(chosen, store.pins.count - 1)]
        return np.where((count > 0) & (owned > 0), pin, -1)

    def of_board(self, board: Array, draw: Array) -> Array:
        """Return a pin made on the board, -1 where there is none."""
        first = self.store.board_first[board]
        owned = self.store.board_first[board + 1] - first
        pin = self.store.by_board[np.minimum(first + (draw * owned).astype(np.int64), self.store.pins.count - 1)]
        return np.where(owned > 0, pin, -1)

    def home(self, user: Array, topic: Array, source: np.random.Generator) -> Array:
        """Return a pin for each slot of a home feed; `topic` is the taste drawn for it."""
        draw, again = source.random(len(user)), source.random(len(user))
        kind = np.searchsorted(np.cumsum(list(SOURCES.values()))[:-1], source.random(len(user)), side="right")
        explore = (draw * self.store.pins.count).astype(np.int64)
        choices = (
            self.of_topic(topic, draw),
            self.popular(draw),
            self.of_topic(topic, draw, fresh=True),
            self.of_followed(user, draw, again),
            explore,
        )
        return np.choose(kind, choices)

    def home_chance(self, user: Array, pin: Array) -> Array:
        """Return the probability with which `home` draws the pin for the user."""
        store, pins = self.store, self.store.pins
        topic = pins.topic[pin]
        liked = taste_of(store.people, user, topic)
        low, high = store.topic_first[topic], store.topic_first[topic + 1]
        in_topic = np.maximum(self._cumulative[high] - self._cumulative[low], 1e-12)
        new_in_topic = self._fresh[high] - self._fresh[low]
        weight = self._weight[pin]
        fresh = self._new[pin]
        followed = self._follows(user, pins.creator[pin])
        owned = store.creator_first[pins.creator[pin] + 1] - store.creator_first[pins.creator[pin]]
        count = store.follow_first[user + 1] - store.follow_first[user]
        return (
            SOURCES["taste"] * liked * weight / in_topic
            + SOURCES["popular"] * weight / max(self._cumulative[-1], 1e-12)
            + SOURCES["fresh"] * liked * fresh / np.maximum(new_in_topic, 1)
            + SOURCES["follow"] * followed / np.maximum(count * owned, 1)
            + SOURCES["explore"] / pins.count
        )

    def topic_chance(self, pin: Array) -> Array:
        """Return the probability with which `of_topic` draws the pin for its own topic."""
        topic = self.store.pins.topic[pin]
        low, high = self.store.topic_first[topic], self.store.topic_first[topic + 1]
        # Sums of many weights are not exact: a pin alone in its topic may come out a hair above 1.
        return np.minimum(self._weight[pin] / np.maximum(self._cumulative[high] - self._cumulative[low], 1e-12), 1.0)

    def _follows(self, user: Array, creator: Array) -> Array:
        key = user.astype(np.int64) << 32 | creator
        keys = self.store.follow_key
        if not len(keys):
            return np.zeros(len(user), bool)
        return keys[np.minimum(np.searchsorted(keys, key), len(keys) - 1)] == key


def taste_of(people: People, user: Array, topic: Array) -> Array:
    """Return the weight of the topic in the user's tastes, 0 for other topics."""
    return np.where(people.tastes[user] == topic[:, None], people.weights[user], 0.0).sum(axis=1)


def draw_taste(people: People, user: Array, draw: Array) -> Array:
    """Return one of the user's topics, by weight."""
    slot = (draw[:, None] >= np.cumsum(people.weights[user], axis=1)).sum(axis=1)
    topic = people.tastes[user, np.minimum(slot, TASTES - 1)]
    return np.where(topic >= 0, topic, people.tastes[user, 0]).astype(np.int64)
