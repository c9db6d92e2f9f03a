"""What happens in the world obeys its rules, and taste can be learnt from it."""

from datetime import UTC, datetime

import numpy as np
import pytest

from jobs.common.errors import ConfigError
from jobs.settings.simulator import Simulator
from jobs.simulator.behaviour import Behaviour
from jobs.simulator.clock import clock
from jobs.simulator.entities import make_entities
from jobs.simulator.events import BOARD, IMPRESSION, SAVE, Events
from jobs.simulator.pins import BURST_DAYS, Space
from jobs.simulator.rng import DAY

WORLD = Simulator(users=400, pins=3_000, images=False)


class Happened:
    """A world acted out in memory."""

    def __init__(self, world):
        self.config, self.when = world, clock(world)
        self.entities = make_entities(world, self.when)
        behaviour = Behaviour(world, self.when, self.entities)
        behaviour.history()
        self.events = Events.join([events for _, events, _ in behaviour.days()])
        self.saves = behaviour.ledger.all()
        self.shown = self.events.part(self.events.kind == IMPRESSION)


@pytest.fixture(scope="module")
def happened():
    return Happened(WORLD)


def test_nobody_is_shown_a_pin_of_a_private_board_that_is_not_theirs(happened):
    entities, shown = happened.entities, happened.shown
    board = entities.pins.board[shown.pin]
    private = entities.boards.privacy_at(board, shown.ts) != 0
    assert private.any()  # owners do look at their secret boards
    assert entities.boards.belongs_to(board, shown.user)[private].all()
    assert (shown.surface[private] == BOARD).all()


def test_nobody_is_shown_a_pin_that_is_not_made_yet_or_gone(happened):
    pins, shown = happened.entities.pins, happened.shown
    assert (pins.created[shown.pin] < shown.ts).all()
    assert (pins.deleted_at[shown.pin] > shown.ts).all()
    assert (pins.deleted_at < happened.when.end).any()


def test_nobody_is_shown_their_own_pins_or_saved_ones_outside_boards(happened):
    pins, shown = happened.entities.pins, happened.shown
    lists = shown.part(shown.surface != BOARD)
    assert (pins.creator[lists.pin] != lists.user).all()
    saves = happened.saves
    first = dict(zip(zip(saves.user.tolist(), saves.pin.tolist(), strict=True), saves.at.tolist(), strict=True))
    pairs = zip(lists.user.tolist(), lists.pin.tolist(), lists.ts.tolist(), strict=True)
    again = [ts - first[u, p] for u, p, ts in pairs if (u, p) in first and ts > first[u, p]]
    assert all(gap < 6 * 3_600_000 for gap in again)  # saves are known from the next block of hours on


def test_blocked_users_do_not_meet(happened):
    blocks, shown, pins = happened.entities.blocks, happened.shown, happened.entities.pins
    pairs = zip(blocks.who.tolist(), blocks.whom.tolist(), blocks.created.tolist(), strict=True)
    for who, whom, since in pairs:
        late = shown.part(shown.ts > since)
        maker = pins.creator[late.pin]
        assert not ((late.user == who) & (maker == whom)).any()
        assert not ((late.user == whom) & (maker == who)).any()


def test_positions_of_a_request_count_from_one_and_chances_are_chances(happened):
    shown = happened.shown
    order = np.lexsort((shown.position, shown.request))
    request, position = shown.request[order], shown.position[order]
    first = np.concatenate([[True], request[1:] != request[:-1]])
    assert (position[first] == 1).all()
    assert (np.diff(position)[~first[1:]] == 1).all()
    assert (shown.propensity > 0).all()
    assert (shown.propensity <= 1).all()


def test_a_board_holds_a_pin_once_and_a_user_saves_it_once(happened):
    saves = happened.saves
    for left in (saves.board, saves.user):
        keys = left.astype(np.int64) << 32 | saves.pin
        assert len(np.unique(keys)) == len(keys)
    boards = happened.entities.boards
    assert boards.belongs_to(saves.board, saves.user).all()
    assert (boards.created[saves.board] < saves.at).all()


def test_near_duplicates_lie_close_and_other_pins_of_a_topic_do_not(happened):
    pins, space = happened.entities.pins, Space(WORLD)
    copies = np.flatnonzero(pins.original >= 0)
    cosine = (space.vectors(pins, copies) * space.vectors(pins, pins.original[copies])).sum(axis=1)
    assert 0.02 < len(copies) / pins.count < 0.06
    assert (cosine > 0.98).all()
    assert (pins.creator[copies] != pins.creator[pins.original[copies]]).all()
    others = np.flatnonzero((pins.topic == pins.topic[0]) & (pins.original < 0))[1:]
    assert (space.vectors(pins, others) @ space.vectors(pins, np.array([0]))[0]).max() < 0.95


def test_an_embedding_does_not_depend_on_what_is_asked_with_it(happened):
    pins, space = happened.entities.pins, Space(WORLD)
    whole = space.vectors(pins, np.arange(100))
    assert np.array_equal(whole[17:18], space.vectors(pins, np.array([17])))
    assert np.allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)


def test_one_topic_bursts_in_the_last_days(happened):
    pins, shown = happened.entities.pins, happened.shown
    late = shown.ts >= happened.when.end - BURST_DAYS * DAY
    hot = pins.topic[shown.pin] == pins.burst
    assert hot[late].mean() > 3 * hot[~late].mean()


def test_bots_save_very_many_pins_within_hours(happened):
    saves, people = happened.saves, happened.entities.people
    for bot in np.flatnonzero(people.bot):
        late = saves.at[(saves.user == bot) & (saves.at >= happened.when.start)]
        assert len(late) >= 20
        assert late.max() - late.min() < 3 * 3_600_000


def test_users_come_as_often_as_promised(happened):
    per_user = len(happened.events) / WORLD.users
    saves = len(happened.saves) / WORLD.users
    assert 50 < per_user < 120
    assert 10 < saves < 30
    new = happened.entities.people.created >= happened.when.end - 7 * DAY
    assert 0 < new.mean() < 0.1


def test_taste_beats_popularity_on_next_weeks_saves(happened):
    """NDCG@10 over all pins that could be shown, judged by the saves of the last seven days."""
    pins, saves = happened.entities.pins, happened.saves
    cut = happened.when.end - 7 * DAY
    past, future = saves.at < cut, saves.at >= cut
    vectors = Space(WORLD).vectors(pins, np.arange(pins.count))
    popular = np.bincount(saves.pin[past], minlength=pins.count).astype(float)
    alive = (pins.created < cut) & (happened.entities.boards.privacy_at(pins.board, cut) == 0)
    gains = {"taste": [], "popularity": []}
    for user in np.unique(saves.user[future]):
        seen, wanted = saves.pin[past & (saves.user == user)], saves.pin[future & (saves.user == user)]
        if not len(seen) or happened.entities.people.bot[user]:
            continue
        close = vectors @ vectors[seen].mean(axis=0)
        for name, score in (("taste", 4 * close + 0.3 * np.log1p(popular)), ("popularity", popular)):
            best = np.argsort(-np.where(alive & ~np.isin(np.arange(pins.count), seen), score, -np.inf))[:10]
            worth = np.isin(best, wanted) / np.log2(np.arange(10) + 2)
            ideal = (1 / np.log2(np.arange(min(10, len(wanted))) + 2)).sum()
            gains[name].append(worth.sum() / ideal)
    assert np.mean(gains["taste"]) > 2 * np.mean(gains["popularity"])


def test_every_save_event_is_a_save(happened):
    events, saves = happened.events.part(happened.events.kind == SAVE), happened.saves
    made = set(zip(saves.user.tolist(), saves.pin.tolist(), saves.board.tolist(), saves.at.tolist(), strict=True))
    said = list(zip(events.user.tolist(), events.pin.tolist(), events.board.tolist(), events.ts.tolist(), strict=True))
    assert set(said) <= made
    assert len(said) == len(set(said)) == (saves.at >= happened.when.start).sum()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"end": datetime(2026, 11, 1, 5, tzinfo=UTC)}, "must be 00:00 UTC of a day; it is 2026-11-01T05:00"),
        ({"days": 10, "stream_days": 20}, "must not exceed simulator.days; it is stream_days 20 of 10 days"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        clock(Simulator(**given))
