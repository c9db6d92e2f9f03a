"""The contract of every candidate source.

A source proposes public pins to active users, never a pin that the user saved, hid or made. Each user gets at most
`per_user` pins, ranked 1, 2, 3 … by score and then by pin, each pin once, with its evidence. Ranking checks the same
rules again; they are applied here so that no position is wasted.
"""

from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Tables
from jobs.schema.gold import CANDIDATES

PIN = "pin"
"""Evidence is a pin that the user saved."""
CATEGORY = "category"
"""Evidence is the pin's category, which the user likes; evidence_id is null."""
USER = "user"
"""Evidence is a user followed."""
NONE = "none"
"""The pin was not proposed for anything about this user."""

_PROPOSAL = tuple(column for column in CANDIDATES.columns if column.name not in CANDIDATES.partition)
COLUMNS = tuple(column.name for column in _PROPOSAL)
"""Columns that a source returns: those of gold.candidates without its partition, which the runner adds."""
PROPOSAL_DDL = ", ".join(f"{column.name} {column.type}" for column in _PROPOSAL)
"""The same as a Spark schema."""
_ARROW = {"bigint": pa.int64(), "float": pa.float32(), "int": pa.int32(), "string": pa.string()}
PROPOSAL_ARROW = pa.schema([(column.name, _ARROW[column.type]) for column in _PROPOSAL])
"""The same as an Arrow schema."""


@dataclass(frozen=True)
class Contract:
    """The shared inputs of all sources, and the filters and ranking that each applies to its proposals."""

    profiles: DataFrame
    """gold.user_profile."""
    stats: DataFrame
    """gold.pin_stats."""
    interactions: DataFrame
    """gold.interactions."""
    per_user: int
    """Pins proposed to a user at most."""

    @classmethod
    def of(cls, tables: Tables, per_user: int) -> "Contract":
        """Return the contract over a job's inputs."""
        return cls(tables["gold.user_profile"], tables["gold.pin_stats"], tables["gold.interactions"], per_user)

    @property
    def users(self) -> DataFrame:
        """Return the profiles of active users."""
        return self.profiles.where("is_active")

    @property
    def pins(self) -> DataFrame:
        """Return the statistics of public pins."""
        return self.stats.where(F.col("visibility") == "public")

    @property
    def seen(self) -> DataFrame:
        """Return (user_id, pin_id) of pins saved, hidden or reported."""
        return self.interactions.where("saves > 0 or hides > 0").select("user_id", "pin_id")

    def finalize(self, proposals: DataFrame) -> DataFrame:
        """Return the source's table from raw proposals of public pins to active users.

        Args:
            proposals: user_id, pin_id, creator_id, score, evidence_kind, evidence_id; if a pin is proposed
                several times to a user, the best score counts.
        """
        return self.rank_top(self.eligible(proposals))

    def eligible(self, proposals: DataFrame) -> DataFrame:
        """Return the proposals of pins that are new to the user and not their own."""
        foreign = F.col("creator_id").isNull() | (F.col("creator_id") != F.col("user_id"))
        return proposals.where(foreign).join(self.seen, ["user_id", "pin_id"], "left_anti")

    def rank_top(self, proposals: DataFrame) -> DataFrame:
        """Return each pin once per user, the best `per_user` of them, ranked."""
        best = F.max(F.struct(F.col("score").cast("float").alias("score"), "evidence_kind", "evidence_id"))
        once = proposals.groupBy("user_id", "pin_id").agg(best.alias("best")).select("user_id", "pin_id", "best.*")
        return top(once, ("user_id",), self.per_user).select(*COLUMNS)


def top(df: DataFrame, grain: tuple[str, ...], n: int, rank: str = "rank") -> DataFrame:
    """Return the n rows of each grain with the highest score, ties by pin, with their `rank` from 1."""
    best = Window.partitionBy(*grain).orderBy(F.desc("score"), "pin_id")
    return df.withColumn(rank, F.row_number().over(best)).where(F.col(rank) <= n)
