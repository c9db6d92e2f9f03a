"""Assigns users to experiment arms by hash, so that every run and service agrees without a table."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.settings.ranking import Ranking

BUCKETS = 1_000_000


def arm(settings: Ranking, user: str = "user_id") -> Column:
    """Return the arm of each user: stable under one salt and one set of shares.

    A user's bucket is pmod(xxhash64(salt, user_id), 1,000,000); arms take buckets in the order they are listed, so that
    moving share from the first arm to the next keeps all other users where they are.
    """
    bucket = F.pmod(F.xxhash64(F.lit(settings.arm_salt), F.col(user)), F.lit(BUCKETS))
    names = list(settings.arms)
    chosen, upto = F.lit(names[-1]), 1.0
    for name in reversed(names[:-1]):
        upto -= settings.arms[names[names.index(name) + 1]]
        chosen = F.when(bucket < round(upto * BUCKETS), F.lit(name)).otherwise(chosen)
    return chosen


def mmr_lambda(settings: Ranking, of: str = "arm") -> Column:
    """Return the lambda of diversification that each row's arm has."""
    value = F.lit(settings.mmr_lambda)
    for name, changed in settings.arm_settings.items():
        if "mmr_lambda" in changed:
            value = F.when(F.col(of) == name, F.lit(changed["mmr_lambda"])).otherwise(value)
    return value.cast("float")
