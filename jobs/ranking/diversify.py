"""Maximal marginal relevance over category, style, color and creator, many users at once in numpy.

In: candidates in order of score within each user. Out: the same rows with `position`, null for those not in the feed.
MMR (Carbonell & Goldstein 1998) takes, place by place, the pin with the greatest
    lambda * relevance - (1 - lambda) * (likeness to the most alike of the last `window` places)
The window follows what feeds in use do (Pinterest spaces items on a screen, not over a whole feed): compared with the
whole list, each taste is soon met once and the term no longer tells pins apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import IntegerType, StructField, StructType

from jobs.ranking.rules import list_rules
from jobs.ranking.user_batches import Array, codes, cumcount, iter_user_batches
from jobs.settings.ranking import Ranking

LIKENESS = {"category": 0.4, "style": 0.2, "color": 0.2, "creator_id": 0.2}
"""What two pins may share, and how alike it makes them; sums to 1."""
USERS = 256
"""Users diversified together: bounds memory at USERS x pool x (window + 10) numbers."""


@dataclass(frozen=True)
class Pools:
    """The best candidates of several users, in order of score, padded to one width."""

    relevance: Array
    """users x pool, from 1 for the best-scored down to 0; -inf where there is no candidate."""
    traits: Array
    """traits x users x pool, int; -1 where unknown, which is like nothing."""
    trade: Array
    """users, lambda of each."""


def mmr(pools: Pools, length: int, window: int) -> Array:
    """Return users x pool places from 1; 0 for a candidate that did not get in.

    Ties go to the better-scored candidate, so lambda = 1 keeps the order of score.

    Args:
        pools: candidates.
        length: places to fill.
        window: places back that a candidate is compared with.
    """
    users, width = pools.relevance.shape
    weights = np.array(list(LIKENESS.values()), np.float32)
    trade = pools.trade.astype(np.float32)[:, None]
    gain = np.where(np.isfinite(pools.relevance), trade * pools.relevance, -np.inf).astype(np.float32)
    recent = np.zeros((window, users, width), np.float32)
    places = np.zeros((users, width), np.int32)
    rows = np.arange(users)
    for step in range(min(length, width)):
        value = gain - (1 - trade) * recent.max(axis=0)
        best = value.argmax(axis=1)
        live = np.isfinite(value[rows, best])
        if not live.any():
            break
        places[rows[live], best[live]] = step + 1
        gain[rows, best] = -np.inf
        chosen = pools.traits[:, rows, best]
        same = (pools.traits == chosen[:, :, None]) & (chosen >= 0)[:, :, None]
        recent[step % window] = np.tensordot(weights, same.astype(np.float32), axes=1)
    return places


def diversified(candidates: DataFrame, settings: Ranking) -> DataFrame:
    """Return the candidates with `position`, and with the rules that look at the list in `rule`.

    Args:
        candidates: user_id, score, rule, mmr_lambda and the columns of LIKENESS and LIST; each user whole in one
            partition, rows sorted by user_id and from the best-scored down.
        settings: of ranking.
    """
    names = candidates.columns
    fields = [StructField(field.name, field.dataType) for field in candidates.schema.fields]
    schema = StructType([*fields, StructField("position", IntegerType())])

    def places(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for block in iter_user_batches(batches, USERS):
            rule, alive = list_rules(block, settings)
            columns = [rule if name == "rule" else block.column(name) for name in names]
            yield pa.RecordBatch.from_arrays([*columns, positions(block, alive, settings)], names=[*names, "position"])

    return candidates.mapInArrow(places, schema)


def positions(block: pa.RecordBatch, alive: Array, settings: Ranking) -> pa.Array:
    """Return the place of each row in its user's feed, null for those not in it.

    Args:
        block: whole users, each user's candidates from the best-scored down.
        alive: which rows no rule removed.
        settings: of ranking.
    """
    rows = np.flatnonzero(alive)
    place = cumcount(np.asarray(block.column("user_id"))[rows])
    rows, place = rows[place < settings.mmr_pool], place[place < settings.mmr_pool]
    result = np.zeros(block.num_rows, np.int32)
    if len(rows):
        _, user = np.unique(np.asarray(block.column("user_id"))[rows], return_inverse=True)
        pools = _pools(block, rows, user, place)
        result[rows] = mmr(pools, settings.feed_length, settings.mmr_window)[user, place]
    return pa.array(result, mask=result == 0)


def _pools(block: pa.RecordBatch, rows: Array, user: Array, place: Array) -> Pools:
    users, width = int(user.max()) + 1, int(place.max()) + 1
    relevance = np.full((users, width), -np.inf, np.float32)
    relevance[user, place] = _spread(np.asarray(block.column("score"), np.float64)[rows], user, users)
    traits = np.full((len(LIKENESS), users, width), -1, np.int64)
    for number, name in enumerate(LIKENESS):
        traits[number, user, place] = codes(block.column(name))[rows]
    trade = np.ones(users, np.float32)
    trade[user] = np.asarray(block.column("mmr_lambda"))[rows]
    return Pools(relevance, traits, trade)


def _spread(score: Array, user: Array, users: int) -> Array:
    """Return scores brought to 0-1 within each user, so that lambda means the same for all; 1 where all are equal."""
    low, high = np.full(users, np.inf), np.full(users, -np.inf)
    np.minimum.at(low, user, score)
    np.maximum.at(high, user, score)
    width = (high - low)[user]
    return np.where(width > 0, (score - low[user]) / np.where(width > 0, width, 1.0), 1.0)
