"""Saves: the board of a saved pin, uniqueness of keys, and later undoing or moving."""

from dataclasses import dataclass, fields

import numpy as np

from jobs.simulator.clock import Clock
from jobs.simulator.people import Boards, People
from jobs.simulator.pins import Pins
from jobs.simulator.rng import DAY, MINUTE, NEVER, Array, mix, rng


@dataclass(frozen=True)
class Saves:
    """Rows of board_pins over all time, by time of saving."""

    user: Array
    pin: Array
    board: Array
    at: Array
    undone_at: Array
    moved_at: Array
    moved_to: Array
    """Other board of the user; meant only where moved_at comes."""

    def __len__(self) -> int:
        """Return the number of saves."""
        return len(self.user)


class BloomFilter:
    """A Bloom filter with one hash over 64-bit keys.

    An exact set of all saves would have to be sorted again for each block of hours; a false positive costs one
    impression.
    """

    def __init__(self, expected: int) -> None:
        """Size the filter for `expected` keys at under 7 % false positives."""
        self._size = np.uint64(1 << max(16, int(expected * 16).bit_length()))
        self._table = np.zeros(int(self._size) // 8, np.uint8)

    def _places(self, key: Array) -> Array:
        return mix(key, 9) & (self._size - np.uint64(1))

    def has(self, key: Array) -> Array:
        """Return for each key whether it was, probably, added."""
        place = self._places(key)
        return (self._table[place >> np.uint64(3)] >> (place & np.uint64(7)).astype(np.uint8)) & np.uint8(1) == 1

    def add(self, key: Array) -> None:
        """Add keys."""
        place = self._places(key)
        np.bitwise_or.at(self._table, place >> np.uint64(3), np.uint8(1) << (place & np.uint64(7)).astype(np.uint8))


def pair(left: Array, right: Array, kind: int = 0) -> Array:
    """Return one key for two numbers below 2^31; kinds keep users and boards apart."""
    return (left.astype(np.int64) << 32) | (right.astype(np.int64) << 1) | kind


class Ledger:
    """Collects the saves of the simulation, with the time at which each is undone or moved."""

    def __init__(self, seed: int, when: Clock, people: People, boards: Boards, pins: Pins, expected: int) -> None:
        """Begin empty."""
        self._when, self._people, self._boards, self._pins = when, people, boards, pins
        self._source = rng(seed, "saves")
        self._seen = BloomFilter(expected * 2)
        self._parts: list[Saves] = []
        joint = boards.collaborators[:, 0] >= 0
        self._joint = np.flatnonzero(joint)[np.argsort(boards.collaborators[joint, 0], kind="stable")]
        self._joint_first = np.searchsorted(boards.collaborators[self._joint, 0], np.arange(people.count + 1))

    def saved(self, user: Array, pin: Array) -> Array:
        """Return whether the user, probably, saved the pin before."""
        return self._seen.has(pair(user, pin))

    def board_for(self, user: Array, pin: Array, at: Array) -> Array:
        """Return the user's board for the pin: of its topic, sometimes any, sometimes one they collaborate on."""
        people, boards = self._people, self._boards
        first = boards.first[user]
        count = boards.first[user + 1] - first
        match = people.tastes[user] == self._pins.topic[pin][:, None]
        slot = np.where(match.any(axis=1), match.argmax(axis=1), count - 1)
        slot = np.where(self._source.random(len(user)) < 0.06, self._source.integers(0, 8, len(user)), slot)
        board = first + np.minimum(slot, count - 1)
        board = np.where(boards.created[board] < at, board, first)
        other = self.joint_board(user, self._source.random(len(user)))
        use = (other >= 0) & (self._source.random(len(user)) < 0.1)
        return np.where(use & (boards.created[other] < at), other, board)

    def joint_board(self, user: Array, draw: Array) -> Array:
        """Return one of the boards each user collaborates on, -1 where there is none."""
        count = self._joint_first[user + 1] - self._joint_first[user]
        place = self._joint_first[user] + (draw * count).astype(np.int64)
        if not len(self._joint):
            return np.full(len(user), -1)
        return np.where(count > 0, self._joint[np.minimum(place, len(self._joint) - 1)], -1)

    def add(self, user: Array, pin: Array, at: Array) -> tuple[Array, Array]:
        """Save pins, in the order given; return which saves were made and the board of each.

        A user saves a pin once, and a board holds it once; what would break that is not made.
        """
        board = self.board_for(user, pin, at)
        by_user, by_board = pair(user, pin), pair(board, pin, 1)
        good = ~self._seen.has(by_user) & ~self._seen.has(by_board) & (self._boards.created[board] < at)
        for key in (by_user, by_board):
            first = np.zeros(len(user), bool)
            first[np.unique(key, return_index=True)[1]] = True
            good &= first
        self._seen.add(by_user[good])
        self._seen.add(by_board[good])
        self._keep(user[good], pin[good], board[good], at[good])
        return good, board

    def _keep(self, user: Array, pin: Array, board: Array, at: Array) -> None:
        count, source = len(user), self._source
        undone = at + source.integers(MINUTE, 6 * DAY, count)
        undone = np.where((source.random(count) < 0.04) & (undone < self._when.last), undone, NEVER)
        moved = at + source.integers(MINUTE, 9 * DAY, count)
        first = self._boards.first[user]
        to = first + (source.random(count) * (self._boards.first[user + 1] - first)).astype(np.int64)
        key = pair(to, pin, 1)
        good = (source.random(count) < 0.03) & (to != board) & ~self._seen.has(key) & (undone == NEVER)
        good &= (moved < self._when.last) & (self._boards.created[to] < moved)
        good &= np.isin(np.arange(count), np.unique(key, return_index=True)[1])
        self._seen.add(key[good])
        self._parts.append(
            Saves(
                user.astype(np.int32),
                pin.astype(np.int32),
                board.astype(np.int32),
                at,
                undone,
                np.where(good, moved, NEVER),
                to.astype(np.int32),
            )
        )

    def all(self) -> Saves:
        """Return all saves so far, by time."""
        names = [f.name for f in fields(Saves)]
        columns = {n: np.concatenate([getattr(p, n) for p in self._parts]) for n in names}
        order = np.argsort(columns["at"], kind="stable")
        return Saves(**{n: columns[n][order] for n in names})
