"""Source `trending`, and the table that it proposes from: pins with more people than expected.

`trending_pins`: in gold.pin_stats, silver.pin_events, silver.app_board_pins, silver.app_boards; out gold.trending.
`trending`: in gold.trending, gold.user_profile, gold.interactions, gold.pin_stats; out gold.candidates.
Time is divided into spans of features.trend_days; span 0 is the newest. A pin's people in a span are the distinct
users who saved it to a public board, opened it or followed its link; its creator does not count, nor do users on
days with more than max_acts_per_day acts.
"""

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.candidates.category_quota import allocate, top_per_category
from jobs.candidates.contract import Contract, top
from jobs.engine.context import Context, Tables

PRIOR_SPANS = 1.0
"""Weight of the category's mean in a pin's expectation, in spans: a new pin is expected to perform as the mean pin."""


@dataclass(frozen=True)
class Spans:
    """Divides the time before the as-of into spans."""

    instant: datetime
    days: int
    """Length of a span."""
    before: int
    """Spans before the newest."""

    @classmethod
    def of(cls, ctx: Context) -> "Spans":
        """Return the spans of the settings; at least one lies before now."""
        cfg = ctx.settings.features
        return cls(ctx.instant, cfg.trend_days, max(1, cfg.window_days // cfg.trend_days - 1))

    def of_instant(self, ts: Column) -> Column:
        """Return the number of the span: 0 is the newest, negative is after the as-of."""
        micros = F.lit(int(self.instant.timestamp()) * 1_000_000 - 1) - F.unix_micros(ts)
        return F.floor(micros / F.lit(self.days * 86_400_000_000)).cast("int")

    @property
    def alive_now(self) -> Column:
        """Return the part of the newest span during which a pin of `age_days` existed."""
        return F.least(F.col("age_days") / F.lit(float(self.days)), F.lit(1.0))

    @property
    def alive_before(self) -> Column:
        """Return the number of earlier spans during which it existed."""
        spans = F.col("age_days") / F.lit(float(self.days)) - 1
        return F.greatest(F.least(spans, F.lit(float(self.before))), F.lit(0.0))


def trending(tables: Tables, ctx: Context) -> DataFrame:
    """Return trending pins of each active user's categories, and a few of all; users without tastes get only these."""
    cfg = ctx.settings.candidates.trending
    contract = Contract.of(tables, cfg.per_user)
    trending_by_category = tables["gold.trending"].select("category", "pin_id", "score")
    with_creator = trending_by_category.join(contract.pins.select("pin_id", "creator_id"), "pin_id")
    return contract.rank_top(allocate(contract, top_per_category(with_creator, cfg.per_category), cfg.explore))


def trending_pins(tables: Tables, ctx: Context) -> DataFrame:
    """Return gold.trending: the pins of each category with the highest trend score.

    Score: (observed - expected) / sqrt(expected + 1), about standard deviations of a Poisson count. Expected: the pin's
    people per span before, shrunk towards its category's mean, times the growth of the whole site, times the part of
    the newest span during which the pin existed. Pins without a category form the category ''; a pin of unknown age
    counts as old.
    """
    cfg = ctx.settings.candidates.trending
    spans = Spans.of(ctx)
    age = F.coalesce("age_days", F.lit(float(spans.days * (spans.before + 1)))).alias("age_days")
    public = tables["gold.pin_stats"].where("visibility = 'public'")
    public = public.select("pin_id", F.coalesce("category", F.lit("")).alias("category"), "creator_id", age)
    acts = people(_acts(tables, spans), cfg.max_acts_per_day)
    counted = _count(acts.join(public, "pin_id"))
    pins = public.join(counted, "pin_id", "left").fillna(0, ["observed", "before"])
    scored = _score(pins, spans).where((F.col("observed") >= cfg.min_observed) & (F.col("score") > 0))
    ranked = top(scored, ("category",), cfg.per_category)
    return ranked.select("category", "pin_id", "rank", "score", F.col("observed").cast("double"), "expected")


def people(acts: DataFrame, most_per_day: int) -> DataFrame:
    """Return the acts (user_id, day, …) without days on which a user did more than `most_per_day`."""
    of_day = Window.partitionBy("user_id", "day")
    return acts.withColumn("_acts", F.count(F.lit(1)).over(of_day)).where(F.col("_acts") <= most_per_day).drop("_acts")


def _acts(tables: Tables, spans: Spans) -> DataFrame:
    boards = tables["silver.app_boards"]
    public = boards.where(F.lower(F.trim("privacy")) == "public").select(F.col("id").alias("board_id"))
    saved = tables["silver.app_board_pins"].join(public, "board_id").select("user_id", "pin_id", F.col("saved_at"))
    # opening and following the link: saves come from the table, which lacks those undone
    first = F.date_sub(F.lit(spans.instant.date()), spans.days * (spans.before + 1) + 1)
    opened = tables["silver.pin_events"].where(F.col("kind").isin("closeup", "click") & (F.col("ds") >= first))
    acts = saved.withColumnRenamed("saved_at", "ts").unionByName(opened.select("user_id", "pin_id", "ts"))
    acts = acts.where(F.col("user_id").isNotNull() & F.col("ts").isNotNull())
    acts = acts.withColumn("span", spans.of_instant(F.col("ts"))).withColumn("day", F.to_date("ts"))
    return acts.where(F.col("span").between(0, spans.before)).select("user_id", "pin_id", "span", "day")


def _count(acts: DataFrame) -> DataFrame:
    foreign = acts.where("creator_id is null or creator_id != user_id")
    once = foreign.select("pin_id", "user_id", "span").distinct()
    return once.groupBy("pin_id").agg(
        F.count_if(F.col("span") == 0).alias("observed"), F.count_if(F.col("span") > 0).alias("before")
    )


def _score(pins: DataFrame, spans: Spans) -> DataFrame:
    alive = pins.withColumn("_now", spans.alive_now).withColumn("_spans", spans.alive_before)
    means = alive.groupBy("category").agg(
        *(F.round(F.sum(name), 6).alias(f"sum_{name}") for name in ("observed", "before", "_now", "_spans"))
    )
    whole = Window.partitionBy(F.lit(1))  # a few dozen rows, one per category
    sums = {name: F.sum(f"sum_{name}").over(whole) for name in ("observed", "before", "_now", "_spans")}
    now, then = F.try_divide(sums["observed"], sums["_now"]), F.try_divide(sums["before"], sums["_spans"])
    means = means.select(
        "category",
        F.coalesce(F.try_divide("sum_before", "sum__spans"), F.lit(0.0)).alias("_mean"),
        F.coalesce(F.try_divide(now, then), F.lit(1.0)).alias("_growth"),
    )
    per_span = (F.col("before") + F.col("_mean") * PRIOR_SPANS) / (F.col("_spans") + F.lit(PRIOR_SPANS))
    expected = F.round(per_span * F.col("_growth") * F.col("_now"), 6)
    score = (F.col("observed") - F.col("expected")) / F.sqrt(F.col("expected") + 1)
    # rounded to what the table keeps, so that rank agrees with score
    joined = alive.join(F.broadcast(means), "category").withColumn("expected", expected)
    return joined.withColumn("score", F.round(score, 6).cast("float"))
