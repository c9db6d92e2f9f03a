"""User behaviour: visits at the users' hours, impressions, responses, organic saves, bots.

Time advances in blocks of six hours; a block is computed at once for all visits. Saves of a block are known to the
next one: nobody is shown what they saved.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jobs.settings.simulator import Simulator
from jobs.simulator.clock import HISTORY_DAYS, Clock
from jobs.simulator.entities import Entities
from jobs.simulator.events import BOARD, HOME, SAVE, SEARCH, Events, Searches
from jobs.simulator.logging_policy import BLOCK, SLACK, LoggingPolicy, Store, draw_taste
from jobs.simulator.outcome import Shown, affinity, follow_up
from jobs.simulator.rng import DAY, HOUR, MINUTE, SECOND, Array, mix, ranges, rng
from jobs.simulator.saves import Ledger

SLICE = HISTORY_DAYS // 10
"""Days of history computed at once."""


@dataclass(frozen=True)
class Visits:
    """Visits of one block, by time."""

    user: Array
    start: Array
    number: Array
    """Number of the visit in the simulation; identifies its page request."""

    def part(self, keep: Array | slice) -> "Visits":
        """Return some of the visits."""
        return Visits(self.user[keep], self.start[keep], self.number[keep])


class Behaviour:
    """The simulation: `history` first, then `days`; `ledger` collects the saves."""

    def __init__(self, config: Simulator, when: Clock, entities: Entities) -> None:
        """Prepare the orders that drawing needs."""
        self._config, self._when, self._entities = config, when, entities
        self._store = Store(entities.people, entities.boards, entities.pins, entities.user_follows)
        expected = int(config.users * (config.history_saves + 14) * 1.3)
        self.ledger = Ledger(config.seed, when, entities.people, entities.boards, entities.pins, expected)
        self._source = rng(config.seed, "behaviour")
        self._visits = 0
        self._board_first = entities.board_follows.starts(entities.people.count)
        self._bots = self._bot_hours()

    def history(self) -> None:
        """Make the saves from before the events, and those just above the checkpoint."""
        people, source = self._entities.people, rng(self._config.seed, "history")
        zeal = source.lognormal(-0.25, 0.7, people.count) * self._config.history_saves / 10
        for start in range(self._when.era, self._when.start, SLICE * DAY):
            user = np.repeat(np.arange(people.count), source.poisson(zeal))
            at = np.sort(start + (source.random(len(user)) * SLICE * DAY).astype(np.int64))
            user = source.permutation(user)
            here = people.created[user] + DAY < at
            self._organic(LoggingPolicy(self._store, self._when, start, SLICE * DAY), user[here], at[here])

    def above(self) -> None:
        """Make some saves above the checkpoint: they are in the feed, but must not show."""
        people, when = self._entities.people, self._when
        count = max(60, people.count // 200)
        at = np.sort(self._source.integers(when.end, when.last, count))
        user = self._source.integers(0, people.count, count)
        self._organic(LoggingPolicy(self._store, when, when.end), user, at)

    def days(self) -> Iterator[tuple[int, Events, Searches]]:
        """Yield for each day of the window its start, its events and its searches, by time."""
        for day in self._when.days:
            visits = self._visits_of(day)
            parts: list[Events] = []
            searches: list[Searches] = []
            for start in range(day, day + DAY, BLOCK):
                low, high = np.searchsorted(visits.start, [start, start + BLOCK])
                policy = LoggingPolicy(self._store, self._when, start)
                events, asked = self._block(policy, visits.part(slice(low, high)))
                parts += [events, self._strays(policy, start), self._bot_saves(policy, start)]
                searches.append(asked)
            yield day, Events.join(parts).sorted(), Searches.join(searches)

    def _visits_of(self, day: int) -> Visits:
        people, source = self._entities.people, self._source
        weekend = (day // DAY + 3) % 7 >= 5  # 1970-01-01 was a Thursday
        user = np.repeat(
            np.arange(people.count), source.poisson(people.activity * (people.weekend if weekend else 1.0))
        )
        hour = (people.hour[user] + source.normal(0.0, 2.2, len(user))) % 24
        start = day + np.minimum((hour * HOUR).astype(np.int64), DAY - SLACK - 1)
        here = (start > people.created[user] + 2 * MINUTE) & (start + SLACK < people.gone_at()[user])
        user, start = user[here], start[here]
        order = np.argsort(start, kind="stable")
        number = self._visits + np.arange(len(user))
        self._visits += len(user)
        return Visits(user[order], start[order], number)

    def _block(self, policy: LoggingPolicy, visits: Visits) -> tuple[Events, Searches]:
        source, people = self._source, self._entities.people
        count = len(visits.user)
        surface = np.searchsorted([0.66, 0.80, 0.92], source.random(count), side="right")
        topic = draw_taste(people, visits.user, source.random(count))
        if policy.bursting:
            caught = source.random(count) < 0.15
            surface, topic = np.where(caught, SEARCH, surface), np.where(caught, self._entities.pins.burst, topic)
        shown = self._shown(policy, visits, surface, topic)
        events = follow_up(self._entities, self.ledger, policy.bursting, shown, source)
        asked = surface == SEARCH
        return events, Searches(
            visits.user[asked], topic[asked], visits.start[asked] - SECOND, mix(visits.number[asked], self._salt(1))
        )

    def _salt(self, kind: int) -> int:
        return self._config.seed * 8 + kind

    def _shown(self, policy: LoggingPolicy, visits: Visits, surface: Array, topic: Array) -> Shown:
        """Return the impressions of the visits: drawn, filtered, numbered."""
        source, entities = self._source, self._entities
        length = np.minimum(3 + source.geometric(1 / 6.0, len(surface)), 40)
        visit = np.repeat(np.arange(len(surface)), length)
        user, place = visits.user[visit], surface[visit]
        taste = draw_taste(entities.people, user, source.random(len(user)))
        board = self._board_of(visits.user)[visit]
        draw = source.random(len(user))
        pin = np.where(place == HOME, policy.home(user, taste, source), policy.of_topic(topic[visit], draw))
        pin = np.where(place == BOARD, policy.of_board(board, draw), pin)
        keep = np.flatnonzero(self._allowed(policy, visit, user, pin, place))
        visit, user, pin, place = visit[keep], user[keep], pin[keep], place[keep]
        chance = np.where(place == HOME, policy.home_chance(user, pin), policy.topic_chance(pin))
        owned = self._store.board_first[board[keep] + 1] - self._store.board_first[board[keep]]
        chance = np.where(place == BOARD, 1.0 / np.maximum(owned, 1), chance)
        position = ranges(np.bincount(visit, minlength=len(surface))) + 1
        at = visits.start[visit] + position * 2_500
        return Shown(user, pin, place, position, mix(visits.number[visit], self._salt(0)), chance, at)

    def _allowed(self, policy: LoggingPolicy, visit: Array, user: Array, pin: Array, place: Array) -> Array:
        entities = self._entities
        on_board = place == BOARD
        sees = policy.public[pin] | (on_board & entities.boards.belongs_to(entities.pins.board[pin], user))
        good = (pin >= 0) & policy.exists[pin] & sees
        good &= on_board | ((entities.pins.creator[pin] != user) & ~self.ledger.saved(user, pin))
        good &= ~self._blocked(policy, user, entities.pins.creator[pin])
        first = np.zeros(len(pin), bool)
        first[np.unique(visit.astype(np.int64) << 32 | (pin + 1), return_index=True)[1]] = True
        return good & first

    def _blocked(self, policy: LoggingPolicy, user: Array, other: Array) -> Array:
        blocks = self._entities.blocks
        who, whom = blocks.who.astype(np.int64), blocks.whom.astype(np.int64)
        keys = np.concatenate([who << 32 | whom, whom << 32 | who])[np.tile(blocks.created <= policy.until, 2)]
        return np.isin(user.astype(np.int64) << 32 | other, keys)

    def _board_of(self, user: Array) -> Array:
        """Return a board for each user to open: an own one, a followed one or a joint one."""
        boards, follows, source = self._entities.boards, self._entities.board_follows, self._source
        draw, kind = source.random(len(user)), source.random(len(user))
        own = boards.first[user] + (draw * (boards.first[user + 1] - boards.first[user])).astype(np.int64)
        count = self._board_first[user + 1] - self._board_first[user]
        place = self._board_first[user] + (draw * count).astype(np.int64)
        followed = follows.whom[np.minimum(place, len(follows.whom) - 1)] if len(follows.whom) else own
        shared = self.ledger.joint_board(user, draw)
        board = np.where((kind < 0.35) & (count > 0), followed, own)
        return np.where((kind > 0.8) & (shared >= 0), shared, board)

    def _strays(self, policy: LoggingPolicy, start: int) -> Events:
        """Return saves without an impression."""
        people, source = self._entities.people, self._source
        user = np.repeat(np.arange(people.count), source.poisson(people.activity * 0.09))
        at = np.sort(start + (source.random(len(user)) * (BLOCK - SLACK)).astype(np.int64))
        user = source.permutation(user)
        here = (people.created[user] + DAY // 2 < at) & (at < people.gone_at()[user])
        return self._organic(policy, user[here], at[here])

    def _organic(self, policy: LoggingPolicy, user: Array, at: Array) -> Events:
        """Save, per user, the best liked of five random pins of the user's topics."""
        source, pins = self._source, self._entities.pins
        if not len(user):
            return Events.empty()
        topic = draw_taste(self._entities.people, user, source.random(len(user)))
        hand = np.stack([policy.of_topic(topic, source.random(len(user))) for _ in range(5)])
        score = np.stack([affinity(self._entities, user, pin) + source.gumbel(size=len(user)) * 0.7 for pin in hand])
        pin = np.take_along_axis(hand, score.argmax(axis=0)[None, :], axis=0)[0]
        good = (pin >= 0) & (pins.creator[pin] != user) & policy.public[pin]
        return self._save(user[good], pin[good], at[good])

    def _save(self, user: Array, pin: Array, at: Array) -> Events:
        good, board = self.ledger.add(user, pin, at)
        return Events.bare(SAVE, user[good], pin[good], board[good], at[good])

    def _bot_hours(self) -> Array:
        bots = np.flatnonzero(self._entities.people.bot)
        source = rng(self._config.seed, "bots")
        blocks = (self._when.end - self._when.start) // BLOCK
        return np.stack([bots, self._when.start + source.integers(0, blocks, len(bots)) * BLOCK])

    def _bot_saves(self, policy: LoggingPolicy, start: int) -> Events:
        bots = self._bots[0][self._bots[1] == start]
        if not len(bots):
            return Events.empty()
        each = int(np.clip(self._entities.pins.count * 0.0125, 10, 300))
        user = np.repeat(bots, each)
        public = np.flatnonzero(policy.public)
        pin = public[self._source.integers(0, len(public), len(user))]
        at = start + np.sort(self._source.integers(0, 3 * HOUR, len(user)))
        return self._save(self._source.permutation(user), pin, at)
