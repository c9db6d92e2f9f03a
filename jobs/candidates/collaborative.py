"""Source `collaborative`: pins with the largest inner product with the user's factor.

In: gold.cf_factors, gold.interactions, gold.user_profile, gold.pin_stats. Out: gold.candidates.
Each executor holds the factors of candidates.collaborative.index_pins pins, the most popular public ones, and searches
them exactly for its share of the users: 2 million pins of 64 numbers are half a gigabyte. Pins beyond that are left to
the other sources; a larger catalogue needs the index cut into shards and their answers merged.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.candidates.contract import COLUMNS, Contract
from jobs.candidates.search import ItemIndex, Proposer
from jobs.engine.context import Context, Tables
from jobs.lake.vectors import SINGLE, decode

_OUT = "user_id bigint, pin_id bigint, score float, rank int, evidence_kind string, evidence_id bigint"


def collaborative(tables: Tables, ctx: Context) -> DataFrame:
    """Return the best unseen pins of every active user with a factor; evidence is a save of the user's like it."""
    cfg = ctx.settings.candidates.collaborative
    contract = Contract.of(tables, cfg.per_user)
    catalogue = _catalogue(contract, tables["gold.cf_factors"], cfg.index_pins)
    proposer = Proposer(catalogue, cfg.per_user, cfg.history)
    return _queries(contract, tables["gold.cf_factors"]).mapInArrow(proposer, _OUT).select(*COLUMNS)


def _catalogue(contract: Contract, factors: DataFrame, most: int) -> ItemIndex:
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
