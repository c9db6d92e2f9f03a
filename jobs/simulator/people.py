"""Users with tastes and hours, and their boards with privacy and collaborators.

A row is an index into arrays; its id is the index plus one. Times are ms since 1970, NEVER if it never happens.
"""

from dataclasses import dataclass

import numpy as np

from jobs.settings.simulator import Simulator
from jobs.simulator.clock import Clock
from jobs.simulator.names import COUNTRIES, TOPIC_CATEGORY, TOPIC_NAMES
from jobs.simulator.rng import DAY, HOUR, MINUTE, NEVER, Array, offsets, ranges, rng

TASTES = 5
"""Most topics a user likes."""
ASPECTS = 8
"""Directions in which pins of one topic differ and users prefer one over the other."""
COLLABORATORS = 2
"""Most collaborators of a board."""


@dataclass(frozen=True)
class People:
    """Users, oldest first."""

    created: Array
    tastes: Array
    """(users, TASTES) topics liked, most liked first, -1 where fewer."""
    weights: Array
    """(users, TASTES) how much, sums to 1."""
    aspects: Array
    """(users, ASPECTS) what they prefer within a topic."""
    activity: Array
    """Visits per day in the window; 0 for inactive users."""
    hour: Array
    """Hour of the day, UTC, around which they come."""
    weekend: Array
    """How much likelier they come on a Saturday or Sunday than on a weekday."""
    bot: Array
    country: Array
    renamed_at: Array
    suspended_at: Array
    deactivated_at: Array

    @property
    def count(self) -> int:
        """Return the number of users."""
        return len(self.created)

    def gone_at(self) -> Array:
        """Return when each user's account ceased to be active."""
        return np.minimum(self.suspended_at, self.deactivated_at)


@dataclass(frozen=True)
class Boards:
    """Boards, by owner; a user's first board is as old as the user."""

    owner: Array
    topic: Array
    created: Array
    privacy: Array
    """Place in names.PRIVACY at first."""
    secret_at: Array
    """When a public board became secret."""
    renamed_at: Array
    collaborators: Array
    """(boards, COLLABORATORS) users, -1 where fewer."""
    first: Array
    """(users + 1) where each user's boards start."""

    @property
    def count(self) -> int:
        """Return the number of boards."""
        return len(self.owner)

    def privacy_at(self, board: Array, at: Array | int) -> Array:
        """Return the privacy of boards at times."""
        return np.where(self.secret_at[board] <= at, 2, self.privacy[board])

    def belongs_to(self, board: Array, user: Array) -> Array:
        """Return whether the user owns the board or collaborates on it."""
        return (self.owner[board] == user) | (self.collaborators[board] == user[:, None]).any(axis=1)


def some_times(seed: int, name: str, count: int, share: float, within: tuple[int, int]) -> Array:
    """Return for each of `count` rows a time within the bounds for about `share` of them, NEVER for the others."""
    source = rng(seed, name)
    times = source.integers(within[0], within[1], count)
    return np.where(source.random(count) < share, times, NEVER)


def make_people(config: Simulator, when: Clock) -> People:
    """Return the users of the simulation."""
    n, source = config.users, rng(config.seed, "people")
    created = _joined(config, when)
    tastes, weights = _tastes(n, source)
    activity = source.lognormal(0.0, 1.0, n).astype(np.float32)
    activity *= config.sessions_per_day / max(float(activity.mean()), 1e-9)
    activity[source.random(n) < config.inactive_share] = 0.0
    bot = np.zeros(n, bool)
    old = np.flatnonzero(created < when.era)
    bot[source.choice(old, min(len(old), max(1, round(n * config.bot_share))), replace=False)] = True
    activity[bot] = 0.0
    return People(
        created=created,
        tastes=tastes,
        weights=weights,
        aspects=source.standard_normal((n, ASPECTS), dtype=np.float32),
        activity=activity,
        hour=source.normal(19.0, 4.5, n).astype(np.float32) % 24,
        weekend=source.lognormal(0.2, 0.4, n).astype(np.float32),
        bot=bot,
        country=(len(COUNTRIES) * source.random(n) ** 2).astype(np.int8),
        renamed_at=_later(config, when, "renamed", 0.03, created),
        suspended_at=_later(config, when, "suspended", 0.003, created),
        deactivated_at=_later(config, when, "deactivated", 0.01, created),
    )


def _joined(config: Simulator, when: Clock) -> Array:
    n, source = config.users, rng(config.seed, "joined")
    new = max(1, round(n * config.new_share))
    week = max(when.end - 7 * DAY, when.start)
    window = round(n * 0.05) if week > when.start else 0
    old = source.integers(when.era - 900 * DAY, when.era - DAY, n - new - window)
    recent = source.integers(when.start, week, window) if window else np.zeros(0, np.int64)
    return np.sort(np.concatenate([old, recent, source.integers(week, when.end - HOUR, new)]))


def _later(config: Simulator, when: Clock, name: str, share: float, created: Array) -> Array:
    times = some_times(config.seed, name, len(created), share, (when.start, when.last))
    return np.where(times > created + HOUR, times, NEVER)


def _tastes(n: int, source: np.random.Generator) -> tuple[Array, Array]:
    """Return (n, TASTES) topics and their weights; topics differ in how many people like them."""
    appeal = np.log(1.0 / np.arange(1, len(TOPIC_NAMES) + 1) ** 0.5)
    source.shuffle(appeal)
    category = np.asarray(TOPIC_CATEGORY)
    tastes = np.empty((n, TASTES), np.int16)
    for lo in range(0, n, 100_000):  # in pieces: the scores are users x topics
        size = min(100_000, n - lo)
        score = appeal + source.gumbel(size=(size, len(appeal)))
        # Tastes cluster: the favourite's category draws its other topics near.
        score += 1.5 * (category[None, :] == category[score.argmax(axis=1)][:, None])
        tastes[lo : lo + size] = np.argsort(-score, axis=1)[:, :TASTES]
    kept = np.arange(TASTES)[None, :] < source.integers(2, TASTES + 1, n)[:, None]
    weights = np.where(kept, source.gamma(2.0, size=(n, TASTES)), 0.0)
    weights = np.take_along_axis(weights, np.argsort(-weights, axis=1), axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.where(kept, tastes, -1).astype(np.int16), weights.astype(np.float32)


def make_boards(config: Simulator, when: Clock, people: People) -> Boards:
    """Return the boards of the users: mostly one for each taste."""
    source = rng(config.seed, "boards")
    liked = (people.tastes >= 0).sum(axis=1)
    per_user = np.maximum(1, liked - source.integers(0, 3, people.count)) + (source.random(people.count) < 0.3)
    owner = np.repeat(np.arange(people.count), per_user).astype(np.int32)
    number = ranges(per_user)
    topic = people.tastes[owner, np.minimum(number, TASTES - 1)]
    topic = np.where(topic >= 0, topic, people.tastes[owner, 0])
    created = people.created[owner] + number * 7 * MINUTE
    later = (number > 0) & (source.random(len(owner)) < 0.1)
    made = source.integers(when.start, when.end, len(owner))
    created = np.where(later & (made > created), made, created)
    privacy = np.searchsorted([0.85, 0.93], source.random(len(owner))).astype(np.int8)
    closed = some_times(config.seed, "closed", len(owner), 0.02, (when.start, when.last))
    renamed = some_times(config.seed, "boards renamed", len(owner), 0.04, (when.start, when.last))
    first = offsets(owner, people.count)
    return Boards(
        owner=owner,
        topic=topic.astype(np.int16),
        created=created,
        privacy=privacy,
        secret_at=np.where((privacy == 0) & (closed > created + HOUR), closed, NEVER),
        renamed_at=np.where(renamed > created + HOUR, renamed, NEVER),
        collaborators=_collaborators(config, when, people, owner),
        first=first,
    )


def _collaborators(config: Simulator, when: Clock, people: People, owner: Array) -> Array:
    """Return two other users, old enough to have been there always, for about one board in ten."""
    source = rng(config.seed, "collaborators")
    old = int(np.searchsorted(people.created, when.era))
    chosen = source.integers(0, max(old, 1), (len(owner), COLLABORATORS))
    chosen[:, 1] = np.where(source.random(len(owner)) < 0.5, -1, chosen[:, 1])
    chosen = np.where(source.random(len(owner))[:, None] < 0.1, chosen, -1)
    chosen[chosen == owner[:, None]] = -1
    chosen[chosen[:, 0] == chosen[:, 1], 1] = -1
    return chosen.astype(np.int32)
