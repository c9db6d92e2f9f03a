"""Source `collaborative`: pins with the largest inner product with the user's factor.

In: gold.cf_factors, gold.interactions, gold.user_profile, gold.pin_stats. Out: gold.candidates.
Each executor holds the factors of candidates.collaborative.index_pins pins, the most popular public ones, and searches
them exactly for its share of the users: 2 million pins of 64 numbers are half a gigabyte. Pins beyond that are left to
the other sources; a larger catalogue needs the index split into shards and their results merged.

The search runs in numpy on executors, in blocks of users: a flat search in small batches was measured eight times
slower per user. Seen pins are removed by one sorted look-up per block instead of a set per user.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.candidates.contract import COLUMNS, NONE, PIN, PROPOSAL_ARROW, PROPOSAL_DDL, Contract
from jobs.engine.context import Context, Tables
from jobs.lake.vectors import SINGLE, decode

if TYPE_CHECKING:
    from jobs.knn.index import Index

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

BLOCK = 2048
"""Users searched at once."""
EXPLAINED = 64
"""Users explained at once: bounds the memory of the gathered factors."""
SPARE = 50
"""Pins fetched beyond per_user in the first search, in place of the seen ones."""


@dataclass(frozen=True)
class ItemIndex:
    """The pins that are searched, by ascending id."""

    pins: Ids
    creators: Ids
    """-1 where unknown."""
    factors: Floats
    """[pins, d]"""

    def rows_of(self, pins: Ids) -> Ids:
        """Return the row of each pin; -1 for a pin that is not searched."""
        rows = np.searchsorted(self.pins, pins)
        rows[rows == len(self.pins)] = 0
        return np.where(self.pins[rows] == pins, rows, -1)


@dataclass(frozen=True)
class Users:
    """A block of users."""

    ids: Ids
    queries: Floats
    """[users, d]"""
    banned: Ids
    """Ascending user row * pins + pin row of each pin seen."""
    history: Ids
    """[users, saves] rows of the newest saves, newest first; -1 where there is none."""


@dataclass
class Proposer:
    """Turns batches of (user_id, factor, seen, recent_saves) into batches of proposals. Shipped to executors."""

    index: ItemIndex
    per_user: int
    history: int
    """Newest saves that may explain a proposal."""
    _knn: "Index | None" = field(default=None, repr=False)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield proposals, block by block."""
        from jobs.knn.index import Index

        if not len(self.index.pins):
            return
        self._knn = Index(self.index.factors)
        for block in in_blocks(batches, BLOCK):
            yield from self._propose(block)

    def _propose(self, block: pa.Table) -> Iterator[pa.RecordBatch]:
        users = read_users(block, self.index, self.history)
        scores, rows = best_unseen(self._search, users, self.index, self.per_user)
        for start in range(0, len(users.ids), EXPLAINED):
            part = slice(start, start + EXPLAINED)
            evidence = explain(rows[part], users.history[part], self.index.factors)
            yield to_batch(users.ids[part], scores[part], rows[part], evidence, self.index.pins)

    def _search(self, queries: Floats, k: int) -> tuple[Floats, Ids]:
        from jobs.knn.index import GPU_MOST, Index

        if self._knn is None or (k > GPU_MOST and self._knn.device == "gpu"):
            # only for a few users who saw most of what suits them: a GPU returns so many neighbours at most
            return Index(self.index.factors, wanted="cpu").search(queries, k)
        return self._knn.search(queries, k)


def collaborative(tables: Tables, ctx: Context) -> DataFrame:
    """Return the best unseen pins of every active user with a factor; evidence is a save of the user's like it."""
    cfg = ctx.settings.candidates.collaborative
    contract = Contract.of(tables, cfg.per_user)
    index = _item_index(contract, tables["gold.cf_factors"], cfg.index_pins)
    proposer = Proposer(index, cfg.per_user, cfg.history)
    return _queries(contract, tables["gold.cf_factors"]).mapInArrow(proposer, PROPOSAL_DDL).select(*COLUMNS)


def _item_index(contract: Contract, factors: DataFrame, most: int) -> ItemIndex:
    known = factors.where(F.col("kind") == "pin").select(F.col("id").alias("pin_id"), "factor")
    pins = contract.pins.select("pin_id", "creator_id", "popularity").join(known, "pin_id")
    best = pins.orderBy(F.desc("popularity"), "pin_id").limit(most)
    table = best.select("pin_id", "creator_id", "factor").toArrow().sort_by("pin_id")  # bounded: index_pins
    ids = table.column("pin_id").to_numpy()
    creators = table.column("creator_id").fill_null(-1).to_numpy()
    return ItemIndex(ids, creators, decode(table.column("factor"), kind=SINGLE))


def _queries(contract: Contract, factors: DataFrame) -> DataFrame:
    known = factors.where(F.col("kind") == "user").select(F.col("id").alias("user_id"), "factor")
    # bounded per user by features.max_pins_per_user
    seen = contract.seen.groupBy("user_id").agg(F.collect_set("pin_id").alias("seen"))
    users = contract.users.select("user_id", "recent_saves").join(known, "user_id")
    return users.join(seen, "user_id", "left").select("user_id", "factor", "seen", "recent_saves")


def in_blocks(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows as tables of `rows` rows; the last one may be shorter."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows)
            held = table.slice(rows).to_batches()
            count -= rows
    if count:
        yield pa.Table.from_batches(held)


def read_users(block: pa.Table, index: ItemIndex, history: int) -> Users:
    """Return a block of rows as matrices."""
    ids = block.column("user_id").to_numpy()
    queries = decode(block.column("factor"), kind=SINGLE)
    owner, seen = _ragged(block.column("seen"))
    row = index.rows_of(seen)
    banned = np.sort(owner[row >= 0] * len(index.pins) + row[row >= 0])
    owner, saved = _ragged(block.column("recent_saves"))
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)  # place of a save in its user's list
    newest = np.full((len(ids), history), -1, np.int64)
    kept = place < history
    newest[owner[kept], place[kept]] = index.rows_of(saved)[kept]
    return Users(ids, queries, banned, newest)


def _ragged(column: Any) -> tuple[Ids, Ids]:
    lists = column.combine_chunks()
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(lists)), lengths), lists.flatten().to_numpy(zero_copy_only=False)


def best_unseen(search: Any, users: Users, index: ItemIndex, k: int) -> tuple[Floats, Ids]:
    """Return scores and pin rows, [users, k], best first, without seen and own pins; -1 pads the rest.

    Users who saw so much of their best pins that k are not left are searched again, four times as deep each time.
    """
    scores = np.full((len(users.ids), k), -np.inf, np.float32)
    rows = np.full((len(users.ids), k), -1, np.int64)
    pending = np.arange(len(users.ids))
    depth = k + SPARE
    while len(pending):
        depth = min(depth, len(index.pins))
        found, near = search(users.queries[pending], depth)
        place = np.cumsum(free := _allowed(users, index, pending, near), axis=1)
        done = (place[:, -1] >= k) | (depth == len(index.pins))
        line, column = np.nonzero(free & (place <= k) & done[:, None])
        at = pending[line], place[line, column] - 1
        scores[at], rows[at] = found[line, column], near[line, column]
        pending, depth = pending[~done], depth * 4
    return scores, rows


def _allowed(users: Users, index: ItemIndex, lines: Ids, near: Ids) -> NDArray[np.bool_]:
    keys = lines[:, None] * len(index.pins) + near
    own = index.creators[near] == users.ids[lines][:, None]
    if not len(users.banned):
        return ~own
    place = np.minimum(np.searchsorted(users.banned, keys), len(users.banned) - 1)
    return (users.banned[place] != keys) & ~own


def explain(rows: Ids, history: Ids, factors: Floats) -> Ids:
    """Return, for each proposed row [users, k], the row of the saved pin most like it by cosine; -1 if none.

    Both widths are the same for every block, so that the last bits do not depend on who is in it. Equal ones: the
    newest save.
    """
    saved = factors[np.maximum(history, 0)]
    saved = saved / np.maximum(np.linalg.norm(saved, axis=2, keepdims=True), np.float32(1e-12))
    cosine = factors[np.maximum(rows, 0)] @ saved.transpose(0, 2, 1)
    cosine[np.broadcast_to((history < 0)[:, None, :], cosine.shape)] = -np.inf
    return np.take_along_axis(history, np.argmax(cosine, axis=2), axis=1)


def to_batch(ids: Ids, scores: Floats, rows: Ids, evidence: Ids, pins: Ids) -> pa.RecordBatch:
    """Return the proposals that are there, one row each, rank from 1."""
    line, column = np.nonzero(rows >= 0)
    seed = evidence[line, column]
    known = seed >= 0
    columns = [
        pa.array(ids[line]),
        pa.array(pins[rows[line, column]]),
        pa.array(scores[line, column]),
        pa.array((column + 1).astype(np.int32)),
        pa.array(np.where(known, PIN, NONE), pa.string()),
        pa.array(pins[np.maximum(seed, 0)], mask=~known),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=PROPOSAL_ARROW)
