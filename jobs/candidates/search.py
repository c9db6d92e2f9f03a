"""Numpy's part of the collaborative source: the best unseen pins of many users at once, and what explains them.

In: users with their factor, the pins they may not be proposed and their newest saves. Out: ranked proposals.
Runs on executors. Searches go in blocks of users, since a flat search in small batches was measured eight times slower
per user; seen pins are removed by one sorted look-up per block instead of a set per user.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.candidates.contract import NONE, PIN
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

SCHEMA = pa.schema(
    [
        ("user_id", pa.int64()),
        ("pin_id", pa.int64()),
        ("score", pa.float32()),
        ("rank", pa.int32()),
        ("evidence_kind", pa.string()),
        ("evidence_id", pa.int64()),
    ]
)


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

    catalogue: ItemIndex
    per_user: int
    history: int
    """Newest saves that may explain a proposal."""
    _index: "Index | None" = field(default=None, repr=False)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield proposals, block by block."""
        from jobs.knn.index import Index

        if not len(self.catalogue.pins):
            return
        self._index = Index(self.catalogue.factors)
        for block in in_blocks(batches, BLOCK):
            yield from self._propose(block)

    def _propose(self, block: pa.Table) -> Iterator[pa.RecordBatch]:
        users = read_users(block, self.catalogue, self.history)
        scores, rows = best_unseen(self._search, users, self.catalogue, self.per_user)
        for start in range(0, len(users.ids), EXPLAINED):
            part = slice(start, start + EXPLAINED)
            evidence = explain(rows[part], users.history[part], self.catalogue.factors)
            yield to_batch(users.ids[part], scores[part], rows[part], evidence, self.catalogue.pins)

    def _search(self, queries: Floats, k: int) -> tuple[Floats, Ids]:
        from jobs.knn.index import GPU_MOST, Index

        if self._index is None or (k > GPU_MOST and self._index.device == "gpu"):
            # only for a few users who saw most of what suits them: a GPU returns so many neighbours at most
            return Index(self.catalogue.factors, wanted="cpu").search(queries, k)
        return self._index.search(queries, k)


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


def read_users(block: pa.Table, catalogue: ItemIndex, history: int) -> Users:
    """Return a block of rows as matrices."""
    ids = block.column("user_id").to_numpy()
    queries = decode(block.column("factor"), kind=SINGLE)
    owner, seen = _ragged(block.column("seen"))
    row = catalogue.rows_of(seen)
    banned = np.sort(owner[row >= 0] * len(catalogue.pins) + row[row >= 0])
    owner, saved = _ragged(block.column("recent_saves"))
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)  # place of a save in its user's list
    newest = np.full((len(ids), history), -1, np.int64)
    kept = place < history
    newest[owner[kept], place[kept]] = catalogue.rows_of(saved)[kept]
    return Users(ids, queries, banned, newest)


def _ragged(column: Any) -> tuple[Ids, Ids]:
    lists = column.combine_chunks()
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(lists)), lengths), lists.flatten().to_numpy(zero_copy_only=False)


def best_unseen(search: Any, users: Users, catalogue: ItemIndex, k: int) -> tuple[Floats, Ids]:
    """Return scores and pin rows, [users, k], best first, without seen and own pins; -1 pads the rest.

    Users who saw so much of their best pins that k are not left are searched again, four times as deep each time.
    """
    scores = np.full((len(users.ids), k), -np.inf, np.float32)
    rows = np.full((len(users.ids), k), -1, np.int64)
    pending = np.arange(len(users.ids))
    depth = k + SPARE
    while len(pending):
        depth = min(depth, len(catalogue.pins))
        found, near = search(users.queries[pending], depth)
        place = np.cumsum(free := _allowed(users, catalogue, pending, near), axis=1)
        done = (place[:, -1] >= k) | (depth == len(catalogue.pins))
        line, column = np.nonzero(free & (place <= k) & done[:, None])
        at = pending[line], place[line, column] - 1
        scores[at], rows[at] = found[line, column], near[line, column]
        pending, depth = pending[~done], depth * 4
    return scores, rows


def _allowed(users: Users, catalogue: ItemIndex, lines: Ids, near: Ids) -> NDArray[np.bool_]:
    keys = lines[:, None] * len(catalogue.pins) + near
    own = catalogue.creators[near] == users.ids[lines][:, None]
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
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
