"""The signals of related pins: co-saves, session co-views, shared links, ALS factors.

Each signal is a column of gold.related_pairs, a weight of the blend and a reason. The pairs of popular boards, users
and pages are bounded: only so many pins of a board, a session, a user's events and a page form pairs, and one user
counts a few times at most for the same pair. Pairs come from exploding each list, not from a self-join.

ALS factors place a pin by the users who saved it, so two pins may be near without a common board or session. The
factor of a pin with few saves is mostly noise: such pins are neither queried nor found.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.knn.sharded.brute_force import ItemIndex, Plan, compared
from jobs.lake.vectors import SINGLE, decode
from jobs.settings import Settings
from jobs.settings.related import Related

SIGNALS: Mapping[str, str] = MappingProxyType(
    {
        "looks_alike": "similarity_weight",
        "saved_together": "co_save_weight",
        "co_viewed": "session_weight",
        "same_link": "link_weight",
        "collaborative": "collaborative_weight",
    }
)
"""Signal -> its weight among the settings of section `related`."""


def configured(related: Related) -> dict[str, float]:
    """Return the configured weight of each signal."""
    return {source: getattr(related, setting) for source, setting in SIGNALS.items()}


VALUES = ("co_saves", "rate", "trust")
OPENING = ("closeup", "click", "save")
"""Events that show interest in a pin."""


def co_saves(board_pins: DataFrame, boards: DataFrame, shown: DataFrame, related: Related) -> DataFrame:
    """Return pin_id, related_pin_id, co_saves, rate, trust: both directions of each pair.

    co_saves counts the boards that hold both, without the cap on owners that rate and trust have (see `_counted`).

    Args:
        board_pins: board_id, pin_id, saved_at.
        boards: id, owner_id, privacy; only public ones count.
        shown: pin_id of every pin that may be shown.
        related: settings.
    """
    return _counted(_boards(board_pins, boards, shown, related.board_pin_cap), related)


def co_views(events: DataFrame, shown: DataFrame, related: Related, since: datetime) -> DataFrame:
    """Return pin_id, related_pin_id, view_rate, view_trust: pins that users opened in one session.

    A session ends after related.session_gap_minutes without such an event.

    Args:
        events: rows of silver.pin_events.
        shown: pin_id of every pin that may be shown.
        related: settings.
        since: events before it do not count.
    """
    found = _counted(_sessions(events, shown, related, since), related)
    return found.select(
        "pin_id", "related_pin_id", F.col("rate").alias("view_rate"), F.col("trust").alias("view_trust")
    )


def same_link(pins: DataFrame, shown: DataFrame, cap: int) -> DataFrame:
    """Return pin_id, related_pin_id, linked (true): pins that link to the same page.

    A page is a host and a path, without scheme, `www.`, query and fragment. A page with more than `cap` pins
    carries no information on what they show and forms no pairs.

    Args:
        pins: id, link.
        shown: pin_id of every pin that may be shown.
        cap: most pins of a page.
    """
    page = F.regexp_replace(F.lower(F.trim("link")), r"^[a-z]+://(www\.)?|[?#].*$", "")
    known = pins.select(F.col("id").alias("pin_id"), F.rtrim(page, F.lit("/")).alias("page")).where("page like '%_/_%'")
    mine = known.join(shown, "pin_id", "left_semi")
    counts = mine.groupBy("page").agg(F.count(F.lit(1)).alias("n"))
    few = counts.where((F.col("n") > 1) & (F.col("n") <= cap)).select("page")
    each = mine.join(few, "page").groupBy("page").agg(F.array_sort(F.collect_set("pin_id")).alias("pins"))
    pairs = each.select("pins", F.explode("pins").alias("pin_id"))
    pairs = pairs.select("pin_id", F.explode("pins").alias("related_pin_id"), F.lit(True).alias("linked"))
    return pairs.where(F.col("pin_id") != F.col("related_pin_id"))


def _counted(lists: DataFrame, related: Related) -> DataFrame:
    """Return pin_id, related_pin_id, co_saves, rate, trust: both directions of each pair.

    Item-item cosine after Sarwar et al. (WWW 2001), with the discount for small counts of Koren (KDD 2008)::

        rate = n_ij / sqrt(n_i * n_j)        trust = n_ij / (n_ij + related.shrinkage)

    n_i counts the lists that contain pin i, n_ij those that contain both, at most `related.user_cap` lists per user.
    Popular pins are in many lists, which lowers their rates.

    Args:
        lists: owner_id, pins: the pins of one list, in ascending order.
        related: settings.
    """
    n = F.sum(F.least("lists", F.lit(related.user_cap))).alias("n")
    pairs = _pairs(lists).groupBy("owner_id", "a", "b").agg(F.count("*").alias("lists"))
    pairs = pairs.groupBy("a", "b").agg(n, F.sum("lists").cast("int").alias("co_saves"))
    pins = lists.select("owner_id", F.explode("pins").alias("pin"))
    pins = pins.groupBy("owner_id", "pin").agg(F.count("*").alias("lists")).groupBy("pin").agg(n)
    left, right = (pins.select(F.col("pin").alias(side), F.col("n").alias(f"n_{side}")) for side in ("a", "b"))
    rate = F.round(F.col("n") / F.sqrt(F.col("n_a") * F.col("n_b")), 6).alias("rate")
    trust = F.round(F.col("n") / (F.col("n") + F.lit(related.shrinkage)), 6).alias("trust")
    # both directions from one pass: a union of the two would compute everything below it twice
    directed = F.explode(F.array(_direction("a", "b"), _direction("b", "a"))).alias("d")
    return pairs.join(left, "a").join(right, "b").select(directed, "co_saves", rate, trust).select("d.*", *VALUES)


def _direction(pin: str, related: str) -> Column:
    return F.struct(F.col(pin).alias("pin_id"), F.col(related).alias("related_pin_id"))


def _boards(board_pins: DataFrame, boards: DataFrame, shown: DataFrame, cap: int) -> DataFrame:
    """Return owner_id, pins: the newest shown pins of each public board, in ascending order."""
    public = boards.where(F.col("privacy") == "public").select(F.col("id").alias("board_id"), "owner_id")
    saves = board_pins.join(shown, "pin_id", "left_semi").join(public, "board_id")
    newest = Window.partitionBy("board_id").orderBy(F.desc_nulls_last("saved_at"), "pin_id")
    recent = saves.withColumn("place", F.row_number().over(newest)).where(F.col("place") <= cap)
    lists = recent.groupBy("board_id").agg(
        F.first("owner_id").alias("owner_id"), F.array_sort(F.collect_set("pin_id")).alias("pins")
    )
    return lists.select("owner_id", "pins")


def _sessions(events: DataFrame, shown: DataFrame, related: Related, since: datetime) -> DataFrame:
    """Return owner_id, pins: the newest pins that a user opened in one session."""
    opened = events.where((F.col("ds") >= F.lit(since.date())) & (F.col("ts") >= F.lit(since)))
    opened = opened.where(F.col("kind").isin(*OPENING)).join(shown, "pin_id", "left_semi")
    newest = Window.partitionBy("user_id").orderBy(F.desc("ts"), "event_id")
    mine = opened.withColumn("place", F.row_number().over(newest)).where(F.col("place") <= related.session_event_cap)
    gap = F.unix_micros(F.lag("ts").over(newest)) - F.unix_micros("ts")
    begins = F.coalesce(gap > related.session_gap_minutes * 60_000_000, F.lit(True)).cast("int")
    numbered = mine.withColumn("begins", begins).withColumn("session", F.sum("begins").over(newest))
    within = Window.partitionBy("user_id", "session").orderBy("place")
    few = numbered.withColumn("at", F.row_number().over(within)).where(F.col("at") <= related.session_pin_cap)
    lists = few.groupBy("user_id", "session").agg(F.array_sort(F.collect_set("pin_id")).alias("pins"))
    return lists.select(F.col("user_id").alias("owner_id"), "pins")


def _pairs(lists: DataFrame) -> DataFrame:
    """Return owner_id, a, b with a < b: every pair of each list."""
    first = lists.select("owner_id", "pins", F.posexplode("pins").alias("place", "a"))
    rest = F.slice("pins", F.col("place") + 2, F.greatest(F.size("pins") - F.col("place") - 1, F.lit(0)))
    return first.select("owner_id", "a", F.explode(rest).alias("b"))


def similar_factors(factors: DataFrame, public: DataFrame, settings: Settings) -> DataFrame:
    """Return pin_id, related_pin_id, factor_cosine, factor_rank: the `neighbours.k` pins of nearest factors of each.

    Args:
        factors: rows of gold.cf_factors.
        public: pin_id, saves of every pin that may be shown.
        settings: the related.collaborative_max_pins most saved pins with at least related.collaborative_min_saves
            saves are compared by brute force. Every executor holds their factors.

    Raises:
        TableError: factors of different lengths.
        MissingDependencyError: no FAISS, or no GPU where neighbours.backend insists on one.
    """
    neighbours, related = settings.neighbours, settings.related
    known = factors.where(F.col("kind") == "pin").select(F.col("id").alias("pin_id"), "factor")
    enough = public.where(F.col("saves") >= related.collaborative_min_saves).select("pin_id", "saves")
    best = enough.join(known, "pin_id").orderBy(F.desc("saves"), "pin_id").limit(related.collaborative_max_pins)
    table = best.select("pin_id", "factor").toArrow().sort_by("pin_id")  # bounded: related.collaborative_max_pins
    items = ItemIndex(table.column("pin_id").to_numpy(), decode(table.column("factor"), kind=SINGLE))
    found = compared(factors.sparkSession, items, Plan(neighbours.k, neighbours.backend, neighbours.block))
    names = {"id": "pin_id", "neighbour": "related_pin_id", "score": "factor_cosine", "rank": "factor_rank"}
    return found.withColumnsRenamed(names)
