"""Everything that exists before anybody acts: users, boards, pins, and the links between them."""

from dataclasses import dataclass

import numpy as np

from jobs.settings.simulator import Simulator
from jobs.simulator.clock import Clock
from jobs.simulator.people import TASTES, Boards, People, make_boards, make_people
from jobs.simulator.pins import Pins, make_pins
from jobs.simulator.rng import DAY, HOUR, NEVER, Array, offsets, rng


@dataclass(frozen=True)
class Links:
    """Pairs (who, whom), ascending; each may end and begin again."""

    who: Array
    whom: Array
    created: Array
    ended_at: Array
    again_at: Array

    def active(self, at: int) -> Array:
        """Return which pairs hold at the instant."""
        return (self.created <= at) & ((self.ended_at > at) | (self.again_at <= at))

    def starts(self, users: int) -> Array:
        """Return where each user's pairs start."""
        return offsets(self.who, users)


@dataclass(frozen=True)
class Entities:
    """Users, boards, pins, and links between them."""

    people: People
    boards: Boards
    pins: Pins
    board_follows: Links
    user_follows: Links
    blocks: Links


def make_entities(config: Simulator, when: Clock) -> Entities:
    """Return the users, boards, pins and links that the settings describe."""
    people = make_people(config, when)
    boards = make_boards(config, when, people)
    pins = make_pins(config, when, people, boards)
    return Entities(people, boards, pins, *_make_links(config, when, people, boards, pins))


def _make_links(
    config: Simulator, when: Clock, people: People, boards: Boards, pins: Pins
) -> tuple[Links, Links, Links]:
    """Return board follows (user, board), user follows (user, user) and blocks (user, user)."""
    source = rng(config.seed, "links")
    n = people.count
    user = np.repeat(np.arange(n), source.poisson(3.0, n))
    board = _of_topic(boards.topic, _liked(people, user, source), source)
    good = (boards.privacy[board] == 0) & (boards.owner[board] != user)
    board_follows = _links(config, when, "board follows", user[good], board[good], people, boards.created[board[good]])
    user = np.repeat(np.arange(n), source.poisson(4.0, n))
    whom = pins.creator[_of_topic(pins.topic, _liked(people, user, source), source)]
    good = whom != user
    user_follows = _links(config, when, "user follows", user[good], whom[good], people, people.created[whom[good]])
    user = source.integers(0, n, max(2, n // 50))
    whom = pins.creator[source.integers(0, pins.count, len(user))]
    good = whom != user
    blocks = _links(config, when, "blocks", user[good], whom[good], people, people.created[whom[good]])
    return board_follows, user_follows, blocks


def _liked(people: People, user: Array, source: np.random.Generator) -> Array:
    slot = (source.random(len(user))[:, None] > np.cumsum(people.weights[user], axis=1)).sum(axis=1)
    topic = people.tastes[user, np.minimum(slot, TASTES - 1)]
    return np.where(topic >= 0, topic, people.tastes[user, 0])


def _of_topic(topics: Array, wanted: Array, source: np.random.Generator) -> Array:
    """Return for each wanted topic a random row that has it; the nearest row in topic order where none has."""
    order = np.argsort(topics, kind="stable")
    first = np.searchsorted(topics[order], wanted)
    last = np.searchsorted(topics[order], wanted, side="right")
    place = first + (source.random(len(wanted)) * (last - first)).astype(np.int64)
    return order[np.minimum(place, len(order) - 1)]


def _links(config: Simulator, when: Clock, name: str, who: Array, whom: Array, people: People, since: Array) -> Links:
    key, keep = np.unique(who.astype(np.int64) << 32 | whom, return_index=True)
    source = rng(config.seed, name)
    count = len(key)
    earliest = np.maximum(people.created[who[keep]], since[keep]) + HOUR
    recent = source.random(count) < 0.3
    span = np.maximum(np.where(recent, when.end, np.maximum(when.start, earliest + 2)) - earliest, 2)
    created = earliest + (source.random(count) * span).astype(np.int64)
    ended = created + source.integers(HOUR, 40 * DAY, count)
    ended = np.where((source.random(count) < 0.08) & (ended < when.last), ended, NEVER)
    again = ended + source.integers(HOUR, 5 * DAY, count)
    back = (source.random(count) < 0.15) & (ended < NEVER) & (again < when.last)
    again = np.where(back, again, NEVER)
    kept = created < when.last
    parts = ((key >> 32).astype(np.int32), (key & 0xFFFFFFFF).astype(np.int32), created, ended, again)
    return Links(*(part[kept] for part in parts))
