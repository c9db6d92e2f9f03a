"""Merges the proposals of all sources into one row per user and pin: blended rank, sources, reason.

In: gold.candidates. Out: user_id, pin_id, blend, sources, reason, reason_id.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.ranking.user_batches import iter_user_batches
from jobs.settings.ranking import Ranking

REASONS = (
    # evidence of a pin or a user explains more than a category, at any rank
    ("save", "evidence_kind = 'pin'", True),
    ("follow", "evidence_kind = 'user'", True),
    ("trending", "source = 'trending'", False),
    ("fresh", "source = 'fresh'", False),
    ("taste", "true", False),
)
"""Reason, condition on a proposal, whether evidence_id is its reason_id; the first that any proposal meets wins."""
SCHEMA = "user_id bigint, pin_id bigint, blend double, sources array<string>, reason string, reason_id bigint"


def merged(candidates: DataFrame, settings: Ranking) -> DataFrame:
    """Return one row per user and pin: its sources, best rank first, the blend of their ranks, and the reason.

    The blend is reciprocal rank fusion (Cormack et al. 2009): the sum over sources of 1 / (blend_k + rank), scaled so
    that a first place in one source is 1.
    """
    reason = F.coalesce(*[F.when(F.expr(when), F.lit(place)) for place, (_, when, _) in enumerate(REASONS)])
    rows = candidates.select("user_id", "pin_id", "rank", "source", "evidence_id", reason.alias("reason_no"))
    ordered = rows.repartition("user_id").sortWithinPartitions("user_id", "pin_id", "rank", "source")
    k = settings.blend_k

    def merge(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for block in iter_user_batches(batches, 1):
            yield merged_block(block, k)

    return ordered.mapInArrow(merge, SCHEMA)


def merged_block(block: pa.RecordBatch, k: int) -> pa.RecordBatch:
    """Return one row per user and pin of a block.

    Args:
        block: whole users, sorted by user_id, pin_id, rank, source; `reason_no` is the index of the reason in REASONS.
        k: ranking.blend_k.
    """
    user, pin = (np.asarray(block.column(name)) for name in ("user_id", "pin_id"))
    first = np.flatnonzero(np.r_[True, (user[1:] != user[:-1]) | (pin[1:] != pin[:-1])])
    votes = (k + 1.0) / (k + np.asarray(block.column("rank")))
    reason_no = np.asarray(block.column("reason_no")).astype(np.int64)
    # the best-ranked proposal of the first reason: rows of a pair are in order of rank
    best = np.minimum.reduceat(reason_no * len(user) + np.arange(len(user)), first) % len(user)
    chosen = pa.array(best)
    reasons, pointed = (pa.array([entry[i] for entry in REASONS]) for i in (0, 2))
    place = block.column("reason_no").take(chosen)
    target = pc.if_else(pointed.take(place), block.column("evidence_id").take(chosen), pa.scalar(None, pa.int64()))
    offsets = pa.array(np.r_[first, len(user)].astype(np.int32))
    return pa.RecordBatch.from_pydict(
        {
            "user_id": user[first],
            "pin_id": pin[first],
            "blend": np.round(np.add.reduceat(votes, first), 6),
            "sources": pa.ListArray.from_arrays(offsets, block.column("source")),
            "reason": reasons.take(place),
            "reason_id": target,
        }
    )
