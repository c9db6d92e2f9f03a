"""From messages to event tables: each read by the registry's columns, bad ones set aside, repetitions left out.

In: rows of bronze.kafka of one topic. Out: rows of its silver table, and the messages that cannot be used, with the
reason. Which message is good is fields.py's matter, the same for all sources. One key is one row, whatever day and run
its messages came with: the one that silver has stays; of those that come together, the first by file and line.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.common.errors import ConfigError
from jobs.ingest.kafka.archive.fields import PLACE, MessageReader
from jobs.schema.bronze_silver import SILVER
from jobs.schema.columns import TS
from jobs.schema.table import AsOf, Table
from jobs.settings.ingest import Ingest, TopicRules

TOPICS: dict[str, Table] = {
    table.name.removeprefix("silver."): table for table in SILVER if table.time in {AsOf.EVENTS, AsOf.LATEST}
}
"""Topic -> the table its messages go to, unless told otherwise. Other topics stay in bronze."""

_BROADCAST = 1_000_000
"""New keys that every executor is given at once; more of them are shuffled, and silver's with them."""


@dataclass(frozen=True)
class Parsed:
    """One topic's messages, each with `reason` and `detail` (null where it is good) and the table's columns."""

    rows: DataFrame
    table: Table

    def bad(self) -> DataFrame:
        """Return the messages that cannot be used: object, row_no, value, reason, detail."""
        return self.rows.where(F.col("reason").isNotNull()).select(*PLACE, "value", "reason", "detail")

    def good(self) -> DataFrame:
        """Return the messages that can be used."""
        return self.rows.where(F.col("reason").isNull())

    def unique(self) -> DataFrame:
        """Return the good rows, one per key: of repetitions the one that stands first, by file and line."""
        first = Window.partitionBy(*self.table.keys).orderBy(*PLACE)
        return (
            self.good()
            .withColumn("_place", F.row_number().over(first))
            .where(F.col("_place") == 1)
            .select(*[column.name for column in self.table.columns])
        )


def topic_tables(settings: Ingest) -> dict[str, Table]:
    """Return the table of each topic that has one.

    Raises:
        ConfigError: the settings name a table that is none of events.
    """
    found = dict(TOPICS)
    for topic, rules in settings.topics.items():
        if rules.table is not None:
            if rules.table not in TOPICS:
                raise ConfigError(
                    f"ingest.topics.{topic}.table = {rules.table!r} is no table of events; there are: "
                    f"{', '.join(TOPICS)}. Others are registered in jobs/schema/bronze_silver.py."
                )
            found[topic] = TOPICS[rules.table]
    return found


def parse(messages: DataFrame, table: Table, rules: TopicRules | None = None) -> Parsed:
    """Read the messages of a topic.

    Args:
        messages: rows of bronze.kafka.
        table: the topic's silver table.
        rules: what its messages are; JSON of any type unless told.

    Raises:
        ConfigError: a schema of its messages is not there.
    """
    reader = MessageReader(table, rules or TopicRules())

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield reader.batch(batch)

    return Parsed(messages.select(*PLACE, "layout", "value").mapInArrow(run, reader.layout), table)


@dataclass(frozen=True)
class Reach:
    """Where in silver the keys of new rows can be."""

    rows: int
    """How many good messages there are."""
    days: list[date]
    first: Any
    """Least value of the table's first key column."""
    last: Any


def new_rows(parsed: Parsed, silver: DataFrame, reach: Reach) -> DataFrame:
    """Return the good rows, one per key, whose key silver does not hold on any day.

    Of silver only the key columns are read, of files whose range of keys meets the new ones: of ids that grow with time
    (ULID, Snowflake), few. Where time is part of the key, only its days are.

    Args:
        parsed: a topic's messages.
        silver: rows of its table.
        reach: of the messages.
    """
    keys = list(parsed.table.keys)
    there = silver.where(F.col(keys[0]).between(reach.first, reach.last))
    if TS.name in keys:
        there = there.where(F.col("ds").isin(reach.days))
    fresh = parsed.good().select(*keys)
    # silver is the larger side: it stays where it is
    known = there.select(*keys).join(F.broadcast(fresh) if reach.rows <= _BROADCAST else fresh, keys, "left_semi")
    return parsed.unique().join(known, keys, "left_anti")
