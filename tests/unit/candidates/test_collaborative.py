"""Search of the best unseen pins and what explains them, against a plain loop over everything."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.candidates import collaborative
from jobs.candidates.collaborative import ItemIndex, Proposer, in_blocks

PINS, DIM, K, SAVES = 300, 6, 10, 4
SEEN = {0: 250, 1: 0, 2: 295, 3: 60}
"""Pins that the first users saw, best first: they must be searched again and again, or run out."""


def _item_index() -> ItemIndex:
    rng = np.random.default_rng(3)
    ids = np.sort(rng.choice(10**12, PINS, replace=False)).astype(np.int64)
    return ItemIndex(ids, rng.integers(0, 60, PINS), rng.standard_normal((PINS, DIM)).astype(np.float32))


def _users(index: ItemIndex, count: int = 40) -> pa.RecordBatch:
    rng = np.random.default_rng(4)
    queries = rng.standard_normal((count, DIM)).astype(np.float32)
    best = np.argsort(-(queries @ index.factors.T), axis=1)
    seen = [index.pins[best[u, : SEEN.get(u, u)]].tolist() for u in range(count)]
    for pins in seen[4:]:
        pins.append(17)  # a pin that is not searched
    recent = [pins[:SAVES] if u % 5 else [] for u, pins in enumerate(seen)]
    columns = [
        pa.array(np.arange(count)),
        pa.array([q.tobytes() for q in queries]),
        pa.array([pins or None for pins in seen], pa.list_(pa.int64())),
        pa.array(recent, pa.list_(pa.int64())),
    ]
    return pa.RecordBatch.from_arrays(columns, names=["user_id", "factor", "seen", "recent_saves"])


def _expected(index: ItemIndex, row: dict) -> list[int]:
    query = np.frombuffer(row["factor"], "<f4")
    scores = index.factors @ query
    banned = set(row["seen"] or [])
    free = [i for i in range(PINS) if index.pins[i] not in banned and index.creators[i] != row["user_id"]]
    return [int(index.pins[i]) for i in sorted(free, key=lambda i: -scores[i])[:K]]


@pytest.fixture(scope="module")
def world():
    index = _item_index()
    users = _users(index)
    rows = [row for batch in Proposer(index, K, SAVES)([users]) for row in batch.to_pylist()]
    return index, users, rows


def test_each_user_gets_the_best_unseen_foreign_pins_whatever_was_seen(world):
    index, users, rows = world
    for user in users.to_pylist():
        got = [row["pin_id"] for row in rows if row["user_id"] == user["user_id"]]
        assert got == _expected(index, user)


def test_a_user_who_saw_nearly_all_gets_the_few_that_are_left(world):
    _, _, rows = world
    assert 0 < sum(row["user_id"] == 2 for row in rows) <= 5


def test_ranks_are_dense_and_scores_fall(world):
    _, _, rows = world
    for user in range(40):
        mine = [row for row in rows if row["user_id"] == user]
        assert [row["rank"] for row in mine] == list(range(1, len(mine) + 1))
        assert [row["score"] for row in mine] == sorted((row["score"] for row in mine), reverse=True)


def test_evidence_is_the_save_with_the_largest_cosine(world):
    index, users, rows = world
    unit = index.factors / np.linalg.norm(index.factors, axis=1, keepdims=True)
    place = {int(pin): row for row, pin in enumerate(index.pins)}
    recent = {u["user_id"]: [p for p in u["recent_saves"] if p in place] for u in users.to_pylist()}
    for row in rows:
        saves = recent[row["user_id"]]
        if saves:
            best = max(saves, key=lambda p: unit[place[p]] @ unit[place[row["pin_id"]]])
            assert (row["evidence_kind"], row["evidence_id"]) == ("pin", best)
        else:
            assert (row["evidence_kind"], row["evidence_id"]) == ("none", None)


def test_blocks_of_any_size_give_the_same_rows(world, monkeypatch):
    index, users, rows = world
    monkeypatch.setattr(collaborative, "BLOCK", 7)
    monkeypatch.setattr(collaborative, "EXPLAINED", 3)
    parts = [users.slice(0, 5), users.slice(5, 21), users.slice(26)]
    again = [row for batch in Proposer(index, K, SAVES)(parts) for row in batch.to_pylist()]
    assert again == rows


def test_rows_are_regrouped_without_loss():
    batches = [pa.RecordBatch.from_pydict({"x": list(range(start, start + 5))}) for start in range(0, 25, 5)]
    tables = list(in_blocks(batches, 8))
    assert [table.num_rows for table in tables] == [8, 8, 8, 1]
    assert [x for table in tables for x in table.column("x").to_pylist()] == list(range(25))


def test_an_empty_catalogue_proposes_nothing(world):
    _, users, _ = world
    empty = ItemIndex(np.array([], np.int64), np.array([], np.int64), np.empty((0, 0), np.float32))
    assert list(Proposer(empty, K, SAVES)([users])) == []
