"""Which pins are saved together: pairs of shown pins on the same public boards, counted and normalised.

Bounded against skew: only the newest pins of a board make pairs, and one owner's boards count a few times at most for
the same pair. Pairs come from unfolding each board's list, not from a join of board_pins with itself.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.visual import Visual

VALUES = ("co_saves", "rate", "trust")


def co_saves(board_pins: DataFrame, boards: DataFrame, shown: DataFrame, visual: Visual) -> DataFrame:
    """Return pin_id, related_pin_id, co_saves, rate, trust: both directions of each pair.

    Item-item cosine after Sarwar et al. (WWW 2001), with the discount for small counts of Koren (KDD 2008)::

        rate = n_ij / sqrt(n_i * n_j)        trust = n_ij / (n_ij + visual.co_save_shrink)

    n_i counts the boards that hold pin i, n_ij those that hold both, `visual.user_cap` boards of one owner at most;
    co_saves counts them without that cap.

    Args:
        board_pins: board_id, pin_id, saved_at.
        boards: id, owner_id, privacy; only public ones count.
        shown: pin_id of every pin that may be shown.
        visual: settings.
    """
    lists = _lists(board_pins, boards, shown, visual.board_cap)
    n = F.sum(F.least("boards", F.lit(visual.user_cap))).alias("n")
    pairs = _pairs(lists).groupBy("owner_id", "a", "b").agg(F.count("*").alias("boards"))
    pairs = pairs.groupBy("a", "b").agg(n, F.sum("boards").cast("int").alias("co_saves"))
    pins = lists.select("owner_id", F.explode("pins").alias("pin"))
    pins = pins.groupBy("owner_id", "pin").agg(F.count("*").alias("boards")).groupBy("pin").agg(n)
    left, right = (pins.select(F.col("pin").alias(side), F.col("n").alias(f"n_{side}")) for side in ("a", "b"))
    rate = F.round(F.col("n") / F.sqrt(F.col("n_a") * F.col("n_b")), 6).alias("rate")
    trust = F.round(F.col("n") / (F.col("n") + F.lit(visual.co_save_shrink)), 6).alias("trust")
    # both directions from one pass: a union of the two would compute everything below it twice
    directed = F.explode(F.array(_direction("a", "b"), _direction("b", "a"))).alias("d")
    return pairs.join(left, "a").join(right, "b").select(directed, "co_saves", rate, trust).select("d.*", *VALUES)


def _direction(pin: str, related: str) -> Column:
    return F.struct(F.col(pin).alias("pin_id"), F.col(related).alias("related_pin_id"))


def _lists(board_pins: DataFrame, boards: DataFrame, shown: DataFrame, cap: int) -> DataFrame:
    """Return owner_id, pins: the newest shown pins of each public board, in ascending order."""
    public = boards.where(F.col("privacy") == "public").select(F.col("id").alias("board_id"), "owner_id")
    saves = board_pins.join(shown, "pin_id", "left_semi").join(public, "board_id")
    newest = Window.partitionBy("board_id").orderBy(F.desc_nulls_last("saved_at"), "pin_id")
    recent = saves.withColumn("place", F.row_number().over(newest)).where(F.col("place") <= cap)
    lists = recent.groupBy("board_id").agg(
        F.first("owner_id").alias("owner_id"), F.array_sort(F.collect_set("pin_id")).alias("pins")
    )
    return lists.select("owner_id", "pins")


def _pairs(lists: DataFrame) -> DataFrame:
    """Return owner_id, a, b with a < b: every pair of each list."""
    first = lists.select("owner_id", "pins", F.posexplode("pins").alias("place", "a"))
    rest = F.slice("pins", F.col("place") + 2, F.greatest(F.size("pins") - F.col("place") - 1, F.lit(0)))
    return first.select("owner_id", "a", F.explode(rest).alias("b"))
