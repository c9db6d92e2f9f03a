"""Every source of candidates keeps the same promises, on a board where even users like even pins, odd users odd ones.

A new source is one more line in SOURCES.
"""

from collections import defaultdict
from datetime import date
from importlib import import_module

import numpy as np
import pytest

from jobs.candidates.als import cf_factors
from jobs.engine.context import Context
from jobs.flow import JOBS
from jobs.settings import Settings
from tests.asserts import assert_columns, assert_no_cross_join
from tests.builders import build, interactions_of

pytestmark = pytest.mark.spark

SOURCES = ("collaborative", "content", "trending", "fresh")
PERSONAL = ("collaborative", "content")
"""Sources that have nothing to say about a user without history; the others offer what is good for anyone."""
PER_USER = 5
USERS, PINS = range(1, 21), range(1, 61)
COLD, GONE = 98, 99
"""A user who just came, and one with a history who comes no more."""
SECRET, PROTECTED = {7, 8, 59, 60}, {9, 10}
HIDDEN = {user: 57 + user % 2 - 1 for user in USERS}
"""Pin 57 for odd users and 56 for even ones: both would else be proposed."""


def _saved(user):
    """Return about a third of the pins of the user's own parity."""
    of_parity = [pin for pin in PINS if pin % 2 == user % 2]
    return sorted(np.random.default_rng(user).choice(of_parity, 11, replace=False).tolist())


def _creator(pin):
    return 1 if pin in (31, 33, 35) else 2 if pin in (30, 32, 34) else 1000 + pin


def _visibility(pin):
    return "secret" if pin in SECRET else "protected" if pin in PROTECTED else "public"


SAVED = {user: _saved(user) for user in (*USERS, GONE)}


def _rows():
    """Return the rows of each table that any source reads."""
    stats = [
        {
            "pin_id": pin,
            "creator_id": _creator(pin),
            "category": "even" if pin % 2 == 0 else "odd",
            "visibility": _visibility(pin),
            "age_days": 3.0,
            "save_rate": pin / 100,
            "popularity": float(pin),
        }
        for pin in PINS
    ]
    profiles = [
        {"user_id": user, "categories": {"even" if user % 2 == 0 else "odd": 1.0}, "recent_saves": SAVED[user]}
        for user in USERS
    ]
    profiles += [{"user_id": COLD}, {"user_id": GONE, "is_active": False, "recent_saves": SAVED[GONE]}]
    near = [
        {"pin_id": a, "neighbour_id": b, "rank": abs(a - b) // 2, "score": 1 - abs(a - b) / 100}
        for a in PINS
        for b in PINS
        if a != b and a % 2 == b % 2
    ]
    rising = [{"category": row["category"], "pin_id": row["pin_id"], "score": row["pin_id"]} for row in stats]
    hidden = [{"user_id": user, "pin_id": pin, "hides": 1, "weight": 0.0} for user, pin in HIDDEN.items()]
    return {
        "gold.interactions": [r for r in interactions_of(SAVED) if HIDDEN.get(r["user_id"]) != r["pin_id"]] + hidden,
        "gold.pin_stats": stats,
        "gold.user_profile": profiles,
        "gold.pin_neighbours": near,
        "gold.trending": rising,
        "silver.app_user_follows": [],
    }


def _context():
    candidates = Settings().candidates
    own = {
        name: getattr(candidates, name).model_copy(update={"per_user": PER_USER, "explore": 0.0})
        for name in ("trending", "fresh")
    }
    own["content"] = candidates.content.model_copy(update={"per_user": PER_USER})
    small = {"per_user": PER_USER, "factors": 2, "regularization": 1.0, "alpha": 10.0}
    own["collaborative"] = candidates.collaborative.model_copy(update=small)
    return Context(Settings(candidates=candidates.model_copy(update=own)), date(2026, 11, 1))


def _propose(source, tables):
    job = JOBS[f"candidates.{source}"]
    module, function = job.function.split(":")
    return getattr(import_module(module), function)({name: tables[name] for name in job.reads}, _context())


@pytest.fixture(scope="module")
def tables(spark):
    frames = {name: build(spark, name, rows) for name, rows in _rows().items()}
    factors = cf_factors(frames, _context()).collect()
    return frames | {"gold.cf_factors": build(spark, "gold.cf_factors", [row.asDict() for row in factors])}


@pytest.fixture(scope="module", params=SOURCES)
def source(request):
    return request.param


@pytest.fixture(scope="module")
def rows(source, tables):
    df = _propose(source, tables)
    assert_columns(df, "gold.candidates")
    assert_no_cross_join(df)
    return df.collect()


@pytest.fixture
def lists(rows):
    """Proposals by user, best first."""
    by_user = defaultdict(list)
    for row in sorted(rows, key=lambda r: (r.user_id, r.rank)):
        by_user[row.user_id].append(row)
    return by_user


def test_even_users_are_proposed_even_pins_and_odd_users_odd_ones(lists):
    for user in USERS:
        assert lists[user], f"nothing for user {user}"
        assert {row.pin_id % 2 for row in lists[user]} == {user % 2}


def test_pins_saved_or_hidden_are_not_proposed_again(lists):
    for user in USERS:
        assert not {row.pin_id for row in lists[user]} & {*SAVED[user], HIDDEN[user]}


def test_own_pins_and_pins_on_private_boards_are_not_proposed(rows):
    assert not [row for row in rows if _creator(row.pin_id) == row.user_id]
    assert not [row for row in rows if row.pin_id in SECRET | PROTECTED]


def test_each_user_gets_as_many_as_there_may_be_and_no_more(lists):
    assert {len(lists[user]) for user in USERS} == {PER_USER}


def test_ranks_run_from_one_scores_fall_ties_go_by_pin_and_no_pin_comes_twice(lists):
    for mine in lists.values():
        assert [row.rank for row in mine] == list(range(1, len(mine) + 1))
        order = [(-row.score, row.pin_id) for row in mine]
        assert order == sorted(order)
        assert len({row.pin_id for row in mine}) == len(mine)


def test_every_row_says_what_it_went_by(lists):
    for user in USERS:
        for row in lists[user]:
            assert row.evidence_kind in {"pin", "category", "user"}
            if row.evidence_kind == "pin":
                assert row.evidence_id in SAVED[user]
            else:
                assert (row.evidence_id is None) == (row.evidence_kind == "category")


def test_a_user_without_history_gets_what_suits_anyone_or_nothing(source, lists):
    mine = lists[COLD]
    assert len(mine) == (0 if source in PERSONAL else PER_USER)
    assert {row.evidence_kind for row in mine} <= {"none"}


def test_users_who_come_no_more_get_nothing(lists):
    assert GONE not in lists


def test_other_partitions_give_the_same_rows(source, tables, rows):
    moved = {name: frame.repartition(3) for name, frame in tables.items()}
    assert sorted(_propose(source, moved).collect()) == sorted(rows)


def test_empty_tables_give_an_empty_table(source, tables):
    empty = {name: frame.where("false") for name, frame in tables.items()}
    assert _propose(source, empty).collect() == []
