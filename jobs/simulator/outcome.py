"""Users' responses to impressions, by taste, quality of the pin and position in the list."""

from dataclasses import dataclass

import numpy as np

from jobs.simulator.entities import Entities
from jobs.simulator.events import CLICK, CLOSEUP, HIDE, IMPRESSION, NONE, REPORT, SAVE, Events
from jobs.simulator.logging_policy import taste_of
from jobs.simulator.names import TOPIC_CATEGORY
from jobs.simulator.people import ASPECTS
from jobs.simulator.rng import Array
from jobs.simulator.saves import Ledger

_CATEGORY = np.asarray(TOPIC_CATEGORY)


@dataclass(frozen=True)
class Shown:
    """Impressions: user, pin, surface, position, page request, propensity, time."""

    user: Array
    pin: Array
    surface: Array
    position: Array
    request: Array
    propensity: Array
    at: Array


def affinity(entities: Entities, user: Array, pin: Array) -> Array:
    """Return how well a pin fits a user within its topic, and how well it is made; about standard normal."""
    match = (entities.people.aspects[user] * entities.pins.aspects[pin]).sum(axis=1) / np.sqrt(np.float32(ASPECTS))
    return 0.9 * match + 0.5 * entities.pins.quality[pin]


def interest(entities: Entities, user: Array, pin: Array, bursting: bool) -> Array:
    """Return how much of a user's best interest the pin's topic has, 0 to 1."""
    topic = entities.pins.topic[pin]
    liked = np.sqrt(taste_of(entities.people, user, topic) / entities.people.weights[user].max(axis=1))
    near = (_CATEGORY[entities.people.tastes[user, :2]] == _CATEGORY[topic][:, None]).any(axis=1)
    level = np.maximum(liked, np.where(near, 0.12, 0.03))
    return np.maximum(level, np.where(topic == entities.pins.burst, 0.45, 0.0)) if bursting else level


def follow_up(entities: Entities, ledger: Ledger, bursting: bool, shown: Shown, source: np.random.Generator) -> Events:
    """Return the impressions and what followed them; saves go to the ledger.

    Acting needs looking: the chance to look falls with the place in the list (position bias 1 / (1 + .07 (p - 1))).
    """
    looks = source.random(len(shown.user)) < 1.0 / (1.0 + 0.07 * (shown.position - 1))
    level = interest(entities, shown.user, shown.pin, bursting)
    appeal = level * np.exp(0.75 * affinity(entities, shown.user, shown.pin) - 0.35)
    closeup = looks & (source.random(len(level)) < np.minimum(0.04 + 0.42 * appeal, 0.9))
    click = closeup & (source.random(len(level)) < 0.3)
    save = looks & (source.random(len(level)) < np.minimum(np.where(closeup, 0.42, 0.12) * appeal, 0.8))
    hide = looks & ~closeup & ~save & (source.random(len(level)) < 0.022 * (1.0 - level))
    report = hide & (source.random(len(level)) < 0.04)
    saved = np.flatnonzero(save)
    saved = saved[np.argsort(shown.at[saved], kind="stable")]
    good, board = ledger.add(shown.user[saved], shown.pin[saved], shown.at[saved] + 4_500)
    none = np.full(len(shown.user), NONE, np.int64)
    boards = none.copy()
    boards[saved[good]] = board[good]
    save = boards >= 0
    parts = [_events(IMPRESSION, shown, np.ones(len(none), bool), none, 0)]
    for kind, happened, delay in (
        (CLOSEUP, closeup, 1_200), (CLICK, click, 3_000), (HIDE, hide, 2_000), (REPORT, report, 2_400),
    ):  # fmt: skip
        parts.append(_events(kind, shown, happened, none, delay))
    return Events.join([*parts, _events(SAVE, shown, save, boards, 4_500)])


def _events(kind: int, shown: Shown, happened: Array, board: Array, delay: int) -> Events:
    place = np.flatnonzero(happened)
    return Events(
        np.full(len(place), kind),
        shown.user[place],
        shown.pin[place],
        board[place],
        shown.surface[place],
        shown.position[place],
        shown.request[place],
        shown.propensity[place],
        shown.at[place] + delay,
    )
