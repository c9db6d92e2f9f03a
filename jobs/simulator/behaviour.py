"""What users do: visits at their hours, what they are shown, what they make of it, saves out of the blue, bots.

Time goes on in blocks of six hours; within a block everything is done at once for all visits. Saves made in a block
are known to the next one: nobody is shown what they saved.
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
"""Days of history made at once."""


@dataclass(frozen=True)
class Visits:
    """Visits of one block, by time."""

    user: Array
    start: Array
    number: Array
    """Number of the visit in the whole world; names its page request."""

    def part(self, keep: Array | slice) -> "Visits":
        """Return some of the visits."""
        return Visits(self.user[keep], self.start[keep], self.number[keep])


class Behaviour:
    """The simulation. `history` first, then `days`; saves gather in `ledger`."""

    def __init__(self, world: Simulator, when: Clock, cast: Entities) -> None:
        """Prepare the orders that drawing needs."""
        self._world, self._when, self._cast = world, when, cast
        self._store = Store(cast.people, cast.boards, cast.pins, cast.user_follows)
        expected = int(world.users * (world.history_saves + 14) * 1.3)
        self.ledger = Ledger(world.seed, when, cast.people, cast.boards, cast.pins, expected)
        self._source = rng(world.seed, "behaviour")
        self._visits = 0
        self._board_first = cast.board_follows.starts(cast.people.count)
        self._bots = self._bot_hours()

    def history(self) -> None:
        """Make the saves from before the events, and those just above the checkpoint."""
        people, source = self._cast.people, rng(self._world.seed, "history")
        zeal = source.lognormal(-0.25, 0.7, people.count) * self._world.history_saves / 10
        for start in range(self._when.era, self._when.start, SLICE * DAY):
            user = np.repeat(np.arange(people.count), source.poisson(zeal))
            at = np.sort(start + (source.random(len(user)) * SLICE * DAY).astype(np.int64))
            user = source.permutation(user)
            here = people.created[user] + DAY < at
            self._organic(LoggingPolicy(self._store, self._when, start, SLICE * DAY), user[here], at[here])

    def above(self) -> None:
        """Make some saves above the checkpoint: they are in the feed, but must not show."""
        people, when = self._cast.people, self._when
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
                shelf = LoggingPolicy(self._store, self._when, start)
                events, asked = self._block(shelf, visits.part(slice(low, high)))
                parts += [events, self._strays(shelf, start), self._bot_saves(shelf, start)]
                searches.append(asked)
            yield day, Events.join(parts).sorted(), Searches.join(searches)

    def _visits_of(self, day: int) -> Visits:
        people, source = self._cast.people, self._source
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

    def _block(self, shelf: LoggingPolicy, visits: Visits) -> tuple[Events, Searches]:
        source, people = self._source, self._cast.people
        count = len(visits.user)
        surface = np.searchsorted([0.66, 0.80, 0.92], source.random(count), side="right")
        topic = draw_taste(people, visits.user, source.random(count))
        if shelf.bursting:
            caught = source.random(count) < 0.15
            surface, topic = np.where(caught, SEARCH, surface), np.where(caught, self._cast.pins.burst, topic)
        shown = self._shown(shelf, visits, surface, topic)
        events = follow_up(self._cast, self.ledger, shelf.bursting, shown, source)
        asked = surface == SEARCH
        return events, Searches(
            visits.user[asked], topic[asked], visits.start[asked] - SECOND, mix(visits.number[asked], self._salt(1))
        )

    def _salt(self, kind: int) -> int:
        return self._world.seed * 8 + kind

    def _shown(self, shelf: LoggingPolicy, visits: Visits, surface: Array, topic: Array) -> Shown:
        """Return the impressions of the visits: drawn, filtered, numbered."""
        source, cast = self._source, self._cast
        length = np.minimum(3 + source.geometric(1 / 6.0, len(surface)), 40)
        visit = np.repeat(np.arange(len(surface)), length)
        user, place = visits.user[visit], surface[visit]
        taste = draw_taste(cast.people, user, source.random(len(user)))
        board = self._board_of(visits.user)[visit]
        draw = source.random(len(user))
        pin = np.where(place == HOME, shelf.home(user, taste, source), shelf.of_topic(topic[visit], draw))
        pin = np.where(place == BOARD, shelf.of_board(board, draw), pin)
        keep = np.flatnonzero(self._allowed(shelf, visit, user, pin, place))
        visit, user, pin, place = visit[keep], user[keep], pin[keep], place[keep]
        chance = np.where(place == HOME, shelf.home_chance(user, pin), shelf.topic_chance(pin))
        owned = self._store.board_first[board[keep] + 1] - self._store.board_first[board[keep]]
        chance = np.where(place == BOARD, 1.0 / np.maximum(owned, 1), chance)
        position = ranges(np.bincount(visit, minlength=len(surface))) + 1
        at = visits.start[visit] + position * 2_500
        return Shown(user, pin, place, position, mix(visits.number[visit], self._salt(0)), chance, at)

    def _allowed(self, shelf: LoggingPolicy, visit: Array, user: Array, pin: Array, place: Array) -> Array:
        cast = self._cast
        on_board = place == BOARD
        sees = shelf.public[pin] | (on_board & cast.boards.belongs_to(cast.pins.board[pin], user))
        good = (pin >= 0) & shelf.exists[pin] & sees
        good &= on_board | ((cast.pins.creator[pin] != user) & ~self.ledger.saved(user, pin))
        good &= ~self._blocked(shelf, user, cast.pins.creator[pin])
        first = np.zeros(len(pin), bool)
        first[np.unique(visit.astype(np.int64) << 32 | (pin + 1), return_index=True)[1]] = True
        return good & first

    def _blocked(self, shelf: LoggingPolicy, user: Array, other: Array) -> Array:
        blocks = self._cast.blocks
        who, whom = blocks.who.astype(np.int64), blocks.whom.astype(np.int64)
        keys = np.concatenate([who << 32 | whom, whom << 32 | who])[np.tile(blocks.created <= shelf.until, 2)]
        return np.isin(user.astype(np.int64) << 32 | other, keys)

    def _board_of(self, user: Array) -> Array:
        """Return the board a user would open: their own, one they follow, one they collaborate on."""
        boards, follows, source = self._cast.boards, self._cast.board_follows, self._source
        draw, kind = source.random(len(user)), source.random(len(user))
        own = boards.first[user] + (draw * (boards.first[user + 1] - boards.first[user])).astype(np.int64)
        count = self._board_first[user + 1] - self._board_first[user]
        place = self._board_first[user] + (draw * count).astype(np.int64)
        followed = follows.whom[np.minimum(place, len(follows.whom) - 1)] if len(follows.whom) else own
        shared = self.ledger.joint_board(user, draw)
        board = np.where((kind < 0.35) & (count > 0), followed, own)
        return np.where((kind > 0.8) & (shared >= 0), shared, board)

    def _strays(self, shelf: LoggingPolicy, start: int) -> Events:
        """Return saves that no impression led to."""
        people, source = self._cast.people, self._source
        user = np.repeat(np.arange(people.count), source.poisson(people.activity * 0.09))
        at = np.sort(start + (source.random(len(user)) * (BLOCK - SLACK)).astype(np.int64))
        user = source.permutation(user)
        here = (people.created[user] + DAY // 2 < at) & (at < people.gone_at()[user])
        return self._organic(shelf, user[here], at[here])

    def _organic(self, shelf: LoggingPolicy, user: Array, at: Array) -> Events:
        """Save one pin each that the user likes best of a handful from their tastes."""
        source, pins = self._source, self._cast.pins
        if not len(user):
            return Events.empty()
        topic = draw_taste(self._cast.people, user, source.random(len(user)))
        hand = np.stack([shelf.of_topic(topic, source.random(len(user))) for _ in range(5)])
        score = np.stack([affinity(self._cast, user, pin) + source.gumbel(size=len(user)) * 0.7 for pin in hand])
        pin = np.take_along_axis(hand, score.argmax(axis=0)[None, :], axis=0)[0]
        good = (pin >= 0) & (pins.creator[pin] != user) & shelf.public[pin]
        return self._save(user[good], pin[good], at[good])

    def _save(self, user: Array, pin: Array, at: Array) -> Events:
        good, board = self.ledger.add(user, pin, at)
        return Events.bare(SAVE, user[good], pin[good], board[good], at[good])

    def _bot_hours(self) -> Array:
        bots = np.flatnonzero(self._cast.people.bot)
        source = rng(self._world.seed, "bots")
        blocks = (self._when.end - self._when.start) // BLOCK
        return np.stack([bots, self._when.start + source.integers(0, blocks, len(bots)) * BLOCK])

    def _bot_saves(self, shelf: LoggingPolicy, start: int) -> Events:
        bots = self._bots[0][self._bots[1] == start]
        if not len(bots):
            return Events.empty()
        each = int(np.clip(self._cast.pins.count * 0.0125, 10, 300))
        user = np.repeat(bots, each)
        public = np.flatnonzero(shelf.public)
        pin = public[self._source.integers(0, len(public), len(user))]
        at = start + np.sort(self._source.integers(0, 3 * HOUR, len(user)))
        return self._save(self._source.permutation(user), pin, at)
