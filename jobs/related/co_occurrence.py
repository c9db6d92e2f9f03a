"""Which pins go together: saved to the same public boards, opened in one sitting, leading to the same page.

Bounded against skew: of a board, a sitting, a person's events and a page only so many pins make pairs, and one person
counts a few times at most for the same pair. Pairs come from unfolding each list, not from a join of a table with
itself.
"""

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.settings.related import Related

VALUES = ("co_saves", "rate", "trust")
OPENING = ("closeup", "click", "save")
"""Events by which a person shows interest in a pin."""


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


def co_opened(events: DataFrame, shown: DataFrame, related: Related, since: datetime) -> DataFrame:
    """Return pin_id, related_pin_id, open_rate, open_trust: pins that people opened in one sitting.

    A sitting of a person ends with related.session_gap_minutes without an event of interest.

    Args:
        events: rows of silver.pin_events.
        shown: pin_id of every pin that may be shown.
        related: settings.
        since: events before it do not count.
    """
    found = _counted(_sittings(events, shown, related, since), related)
    return found.select(
        "pin_id", "related_pin_id", F.col("rate").alias("open_rate"), F.col("trust").alias("open_trust")
    )


def same_link(pins: DataFrame, shown: DataFrame, cap: int) -> DataFrame:
    """Return pin_id, related_pin_id, linked (true): pins that lead to the same page.

    A page is a host and a path, without scheme, `www.`, query and fragment. One that more than `cap` pins lead to says
    nothing of what they show, and makes no pairs.

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

    n_i counts the lists that hold pin i, n_ij those that hold both, `related.user_cap` lists of one person at most.
    What is popular is in many lists, and so damped.

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


def _sittings(events: DataFrame, shown: DataFrame, related: Related, since: datetime) -> DataFrame:
    """Return owner_id, pins: what a person opened in one sitting, the newest pins of it."""
    opened = events.where((F.col("ds") >= F.lit(since.date())) & (F.col("ts") >= F.lit(since)))
    opened = opened.where(F.col("kind").isin(*OPENING)).join(shown, "pin_id", "left_semi")
    newest = Window.partitionBy("user_id").orderBy(F.desc("ts"), "event_id")
    mine = opened.withColumn("place", F.row_number().over(newest)).where(F.col("place") <= related.session_event_cap)
    gap = F.unix_micros(F.lag("ts").over(newest)) - F.unix_micros("ts")
    begins = F.coalesce(gap > related.session_gap_minutes * 60_000_000, F.lit(True)).cast("int")
    numbered = mine.withColumn("begins", begins).withColumn("sitting", F.sum("begins").over(newest))
    within = Window.partitionBy("user_id", "sitting").orderBy("place")
    few = numbered.withColumn("at", F.row_number().over(within)).where(F.col("at") <= related.session_pin_cap)
    lists = few.groupBy("user_id", "sitting").agg(F.array_sort(F.collect_set("pin_id")).alias("pins"))
    return lists.select(F.col("user_id").alias("owner_id"), "pins")


def _pairs(lists: DataFrame) -> DataFrame:
    """Return owner_id, a, b with a < b: every pair of each list."""
    first = lists.select("owner_id", "pins", F.posexplode("pins").alias("place", "a"))
    rest = F.slice("pins", F.col("place") + 2, F.greatest(F.size("pins") - F.col("place") - 1, F.lit(0)))
    return first.select("owner_id", "a", F.explode(rest).alias("b"))
