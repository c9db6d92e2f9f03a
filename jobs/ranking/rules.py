"""The rules that remove candidates, declared once and applied to the proposals of all sources.

A rule has a name and a sentence. Rules on a single candidate are Spark expressions over the columns that `flagged`
joins; rules on the list limit how many candidates may share a value. They are evaluated in order; `gold.feed_drops`
names the first that matches. An unknown fact counts against the pin: a pin is not shown unless its board is known to
be public.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.ranking.user_batches import Array, codes, cumcount
from jobs.settings.ranking import Ranking


@dataclass(frozen=True)
class Rule:
    """A rule on a single candidate."""

    name: str
    meaning: str
    when: str
    """Spark SQL over the candidate and its flags; null counts as false."""


@dataclass(frozen=True)
class ListRule:
    """A rule on a candidate and the better-scored candidates of the user that no earlier rule removed."""

    name: str
    meaning: str
    shares: str
    """Column whose equal values are counted; nulls are never equal."""
    at_most: Callable[[Ranking], int]
    """How many candidates with one value may be shown."""


SINGLE = (
    Rule("saved", "The user has the pin on a board already.", "saved"),
    Rule("hidden", "The user hid or reported the pin.", "hidden"),
    Rule("own", "The user made the pin.", "creator_id = user_id"),
    Rule("deleted", "The pin is gone at the source.", "pin_known IS NULL"),
    Rule("secret", "The pin was made on a secret board.", "visibility = 'secret'"),
    Rule("protected", "The pin was made on a board that only its link opens.", "visibility = 'protected'"),
    Rule(
        "not_public",
        "The privacy of the pin's board is not known to be public.",
        "visibility IS NULL OR visibility <> 'public'",
    ),
    Rule("blocked", "The user blocks the creator, or the creator the user.", "blocked"),
    Rule(
        "creator_inactive",
        "The creator's account is suspended, deactivated or gone; a pin without a creator has none to lose.",
        "creator_id IS NOT NULL AND (creator_status IS NULL OR lower(creator_status) <> 'active')",
    ),
    Rule("saved_image", "The user has the same image on a board already, or a near-duplicate of it.", "image_saved"),
)
"""Rules on a single candidate."""

LIST = (
    ListRule(
        "duplicate_image",
        "A better candidate of the user shows the same image, or a near-duplicate of it.",
        shares="image_cluster",
        at_most=lambda _: 1,
    ),
    ListRule(
        "owner_cap",
        "The user has ranking.owner_cap better candidates of the same creator.",
        shares="creator_id",
        at_most=lambda settings: settings.owner_cap,
    ),
)
"""Rules on the list, evaluated after SINGLE."""


@dataclass(frozen=True)
class Facts:
    """Tables that the rules read, at the as-of of the run."""

    interactions: DataFrame
    pins: DataFrame
    app_users: DataFrame
    blocks: DataFrame


def with_image_cluster(pins: DataFrame, clusters: DataFrame) -> DataFrame:
    """Return the pins with `image_cluster`: equal for pins whose images are equal or near-duplicates.

    Args:
        pins: gold.pin_stats.
        clusters: gold.image_clusters. An image without a cluster is a cluster of its own, named by its signature.
    """
    named = clusters.select("image_signature", F.concat(F.lit("cluster "), "cluster_id").alias("_cluster"))
    cluster = F.coalesce("_cluster", "image_signature")
    return pins.join(named, "image_signature", "left").withColumn("image_cluster", cluster).drop("_cluster")


def flagged(candidates: DataFrame, facts: Facts) -> DataFrame:
    """Return the candidates with the columns that SINGLE reads; no row is lost or repeated.

    Args:
        candidates: user_id, pin_id, creator_id, image_cluster, visibility, pin_known and others.
        facts: tables at the same as-of.
    """
    saved, hidden = F.col("saves") > 0, F.col("hides") > 0
    signals = facts.interactions.select("user_id", "pin_id", saved.alias("saved"), hidden.alias("hidden"))
    images = (
        signals.where("saved")
        .join(facts.pins.select("pin_id", "image_cluster"), "pin_id")
        .where("image_cluster IS NOT NULL")
        .select("user_id", "image_cluster", F.lit(True).alias("image_saved"))
        .distinct()
    )
    directions = (("user_id", "blocked_id"), ("blocked_id", "user_id"))
    pairs = [facts.blocks.select(F.col(a).alias("user_id"), F.col(b).alias("creator_id")) for a, b in directions]
    blocked = pairs[0].union(pairs[1]).distinct().withColumn("blocked", F.lit(True))
    status = facts.app_users.select(
        F.col("id").alias("creator_id"), F.coalesce("status", F.lit("active")).alias("creator_status")
    )
    return (
        candidates.join(signals, ["user_id", "pin_id"], "left")
        .join(images, ["user_id", "image_cluster"], "left")
        .join(blocked, ["user_id", "creator_id"], "left")
        .join(status, "creator_id", "left")
    )


def first_rule() -> Column:
    """Return the name of the first of SINGLE that matches; null where none does."""
    return F.coalesce(*[F.when(F.expr(rule.when), F.lit(rule.name)) for rule in SINGLE])


def list_rules(block: pa.RecordBatch, settings: Ranking) -> tuple[pa.Array, Array]:
    """Return the rule of each row, those of LIST included, and whether the pin may be shown.

    Args:
        block: whole users, each user's candidates from the best-scored down; `rule` is that of SINGLE.
        settings: of ranking.
    """
    alive = np.asarray(block.column("rule").is_null())
    user = np.asarray(block.column("user_id"))
    named = np.zeros(block.num_rows, np.int64)
    for number, rule in enumerate(LIST, 1):
        value = codes(block.column(rule.shares))
        rows = np.flatnonzero(alive & (value >= 0))
        over = rows[cumcount(user[rows], value[rows]) >= rule.at_most(settings)]
        named[over], alive[over] = number, False
    names = pa.array([None, *[rule.name for rule in LIST]]).take(pa.array(named))
    return pc.coalesce(block.column("rule"), names), alive
