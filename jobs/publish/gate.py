"""The gate: metrics of the lists that decide whether a generation may be served.

The rules are checked again on silver, by code independent of ranking, so that a fault there is found here. The suite
expectations/generation.json holds the bounds; a metric that cannot be measured (no served generation, no evaluation
yet) is None.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.serving.codec import DEFAULT_SEGMENT

Frames = Mapping[str, DataFrame]
Broken = dict[str, tuple[int, str]]
NDCG_K = 10


@dataclass(frozen=True)
class Measured:
    """The gate's result."""

    numbers: dict[str, float | None]
    """Metric -> value, by the names in the suite."""
    offenders: tuple[str, ...]
    """A sentence per broken rule, with its first case."""


def measure(
    tables: Frames, served_feed: DataFrame | None, short_feed: int, depth: int, fallback: DataFrame | None = None
) -> Measured:
    """Return the gate's metrics.

    Args:
        tables: gold and silver frames of the as-of, by table name.
        served_feed: gold.home_feed that the served generation was made from; None if there is none.
        short_feed: a feed with fewer pins is short.
        depth: top positions that churn compares.
        fallback: fallback feeds (fallback.py); None if there are none.

    `coverage`: active users with a feed / active users. `short_feeds`: short feeds / feeds. `rule_violations`: rows
    that break a rule, a row counted once a rule. `fallback_pins`: pins in the fallback of everybody.
    `related_coverage`: public pins with related pins / public pins. `churn`: share of the top places, of users in both,
    that hold a pin the served top did not. `popularity_shift`: mean popularity of the pins shown / of the pins served -
    1. `ndcg_ratio`, `ndcg_ratio_lower`: NDCG@10 of home_feed, and the lower end of its interval, / of popularity.
    """
    feed, related, stats = tables["gold.home_feed"], tables["gold.related_pins"], tables["gold.pin_stats"]
    # independent small jobs in parallel: planning of one overlaps with tasks of another
    with ThreadPoolExecutor(4) as pool:
        rules = [pool.submit(feed_rules, tables), pool.submit(related_rules, tables)]
        if fallback is not None:
            rules.append(pool.submit(fallback_rules, fallback, tables))
        numbers = {
            "coverage": pool.submit(_coverage, feed, tables["gold.user_profile"]),
            "short_feeds": pool.submit(_short_feeds, feed, short_feed),
            "related_coverage": pool.submit(_related_coverage, related, stats),
        }
        if fallback is not None:
            numbers["fallback_pins"] = pool.submit(_fallback_pins, fallback)
        if served_feed is not None:
            numbers["churn"] = pool.submit(_churn, feed, served_feed, depth)
            numbers["popularity_shift"] = pool.submit(_popularity_shift, feed, served_feed, stats)
        quality = pool.submit(_ndcg_ratio, tables["gold.evaluations"])
        broken = {rule: case for future in rules for rule, case in future.result().items()}
    return Measured(
        {
            **dict.fromkeys(("churn", "popularity_shift")),
            **{name: future.result() for name, future in numbers.items()},
            **quality.result(),
            "rule_violations": float(sum(count for count, _ in broken.values())),
        },
        tuple(f"{rule} ({count}): {case}" for rule, (count, case) in sorted(broken.items())),
    )


def feed_rules(tables: Frames) -> Broken:
    """Return, by rule, how many rows of gold.home_feed break it and the first case; empty if none does.

    Rules: the pin is deleted, not on a public board, the user's own, of a blocked creator, saved already, or twice in
    the feed.
    """
    feed = _numbered(tables["gold.home_feed"].select("user_id", "position", "pin_id"), "user_id", "pin_id")
    rows = feed.join(_facts(tables["silver.app_pins"], tables["silver.app_boards"]), "pin_id", "left")
    rows = rows.join(_blocked(tables["silver.app_blocks"]), ["user_id", "creator_id"], "left")
    rows = rows.join(_saved(tables["silver.app_board_pins"]), ["user_id", "pin_id"], "left")
    rules = {
        **_visibility(),
        "own pin": F.col("creator_id") == F.col("user_id"),
        "blocked": F.col("_blocked"),
        "already saved": F.col("_saved"),
        "twice in a feed": F.col("_time") > 1,
    }
    return _count(
        rows, rules, F.format_string("user %d, position %d: pin %d", "user_id", "position", "pin_id"), "home_feed"
    )


def related_rules(tables: Frames) -> Broken:
    """Return the same for gold.related_pins: deleted, not public, the pin itself, twice in a list."""
    beside = tables["gold.related_pins"].select(F.col("pin_id").alias("of"), "position", "related_pin_id")
    beside = _numbered(beside.withColumnRenamed("related_pin_id", "pin_id"), "of", "pin_id")
    rows = beside.join(_facts(tables["silver.app_pins"], tables["silver.app_boards"]), "pin_id", "left")
    rules = {**_visibility(), "itself": F.col("of") == F.col("pin_id"), "twice in a list": F.col("_time") > 1}
    return _count(
        rows,
        rules,
        F.format_string("beside pin %d, position %d: pin %d", "of", "position", "pin_id"),
        "related_pins",
    )


def fallback_rules(fallback: DataFrame, tables: Frames) -> Broken:
    """Return the same for the fallbacks: deleted, not public, twice in a segment."""
    feed = _numbered(fallback.select("segment", "position", "pin_id"), "segment", "pin_id")
    rows = feed.join(_facts(tables["silver.app_pins"], tables["silver.app_boards"]), "pin_id", "left")
    rules = {**_visibility(), "twice in a list": F.col("_time") > 1}
    return _count(rows, rules, F.format_string("%s, position %d: pin %d", "segment", "position", "pin_id"), "fallback")


def _numbered(rows: DataFrame, of: str, what: str) -> DataFrame:
    return rows.withColumn("_time", F.row_number().over(Window.partitionBy(of, what).orderBy("position")))


def _facts(pins: DataFrame, boards: DataFrame) -> DataFrame:
    privacy = boards.select(F.col("id").alias("board_id"), "privacy")
    live = pins.select(F.col("id").alias("pin_id"), "creator_id", "board_id", F.lit(True).alias("_live"))
    return live.join(privacy, "board_id", "left").drop("board_id")


def _blocked(blocks: DataFrame) -> DataFrame:
    one = blocks.select("user_id", F.col("blocked_id").alias("creator_id"))
    other = blocks.select(F.col("blocked_id").alias("user_id"), F.col("user_id").alias("creator_id"))
    return one.unionByName(other).distinct().withColumn("_blocked", F.lit(True))


def _saved(board_pins: DataFrame) -> DataFrame:
    return board_pins.select("user_id", "pin_id").distinct().withColumn("_saved", F.lit(True))


def _visibility() -> dict[str, Column]:
    deleted = F.col("_live").isNull()
    # a pin whose board is unknown may be on a secret one
    return {"deleted": deleted, "not public": ~deleted & ~F.col("privacy").eqNullSafe("public")}


def _count(rows: DataFrame, rules: dict[str, Column], case: Column, surface: str) -> Broken:
    broken = F.array_compact(F.array(*[F.when(test, F.lit(rule)) for rule, test in rules.items()]))
    cases = rows.select(F.explode(broken).alias("rule"), case.alias("case"))
    counted = cases.groupBy("rule").agg(F.count(F.lit(1)).alias("n"), F.min("case").alias("case"))
    return {f"{surface}, {row['rule']}": (row["n"], row["case"]) for row in counted.collect()}  # bounded: by rules


def _coverage(feed: DataFrame, profile: DataFrame) -> float | None:
    fed = feed.select("user_id").distinct().withColumn("_fed", F.lit(True))
    active = profile.where("is_active").select("user_id").join(fed, "user_id", "left")
    row = active.agg(F.count(F.lit(1)).alias("users"), F.count("_fed").alias("fed")).first()
    return _ratio(row["fed"], row["users"]) if row else None


def _short_feeds(feed: DataFrame, least: int) -> float | None:
    lengths = feed.groupBy("user_id").agg(F.count(F.lit(1)).alias("n"))
    row = lengths.agg(F.count(F.lit(1)).alias("feeds"), F.count_if(F.col("n") < least).alias("short")).first()
    return _ratio(row["short"], row["feeds"]) if row else None


def _fallback_pins(fallback: DataFrame) -> float:
    return float(fallback.where(F.col("segment") == DEFAULT_SEGMENT).count())


def _related_coverage(related: DataFrame, stats: DataFrame) -> float | None:
    listed = related.select("pin_id").distinct().withColumn("_listed", F.lit(True))
    public = stats.where("visibility = 'public'").select("pin_id").join(listed, "pin_id", "left")
    row = public.agg(F.count(F.lit(1)).alias("pins"), F.count("_listed").alias("listed")).first()
    return _ratio(row["listed"], row["pins"]) if row else None


def _churn(feed: DataFrame, served: DataFrame, depth: int) -> float | None:
    top = feed.where(F.col("position") <= depth).select("user_id", "pin_id")
    before = served.where(F.col("position") <= depth).select("user_id", "pin_id").withColumn("_kept", F.lit(True))
    both = top.join(before.select("user_id").distinct(), "user_id", "left_semi")
    joined = both.join(before, ["user_id", "pin_id"], "left")
    row = joined.agg(F.count(F.lit(1)).alias("positions"), F.count("_kept").alias("kept")).first()
    return _ratio(row["positions"] - row["kept"], row["positions"]) if row else None


def _popularity_shift(feed: DataFrame, served: DataFrame, stats: DataFrame) -> float | None:
    now = feed.select("pin_id", F.lit("now").alias("of"))
    shown = now.unionByName(served.select("pin_id", F.lit("before").alias("of")))
    known = shown.join(stats.select("pin_id", "popularity"), "pin_id")
    means = known.groupBy("of").agg(F.avg("popularity").alias("mean"))
    values = {row["of"]: row["mean"] for row in means.collect()}  # bounded: two rows
    ratio = _ratio(values.get("now"), values.get("before"))
    return None if ratio is None else round(ratio - 1, 6)


def _ndcg_ratio(evaluations: DataFrame) -> dict[str, float | None]:
    ndcg = evaluations.where((F.col("metric") == "ndcg") & (F.col("k") == NDCG_K))
    rows = ndcg.where(F.col("model").isin("home_feed", "popularity")).collect()  # bounded: two rows
    models = {row["model"]: row for row in rows}
    feed, popularity = models.get("home_feed"), models.get("popularity")
    base = popularity["value"] if popularity else None
    return {
        "ndcg_ratio": _ratio(feed["value"], base) if feed else None,
        "ndcg_ratio_lower": _ratio(feed["lower"], base) if feed else None,
    }


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else round(part / whole, 6)
