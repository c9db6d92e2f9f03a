"""From messages to event tables: JSON read by the registry's columns, bad ones set aside, duplicates removed.

In: rows of bronze.kafka of one topic. Out: rows of its silver table, and the messages that cannot be used,
with the reason. A message is a JSON object with the table's columns as fields; `ts` is in milliseconds since 1970,
`embedding` is base64.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.ingest import Ingest, TopicRules
from jobs.errors import ConfigError
from jobs.ingest.archive.layouts import EPOCH
from jobs.ingest.archive.payloads import with_text
from jobs.lake.columns import DS
from jobs.lake.sources import SILVER
from jobs.lake.table import Table, Time

TOPICS: dict[str, Table] = {
    table.name.removeprefix("silver."): table for table in SILVER if table.time in {Time.EVENTS, Time.NEWEST}
}
"""Topic -> the table its messages go to, unless told otherwise. Other topics stay in bronze."""

_LATEST = 4_102_444_800_000
"""2100-01-01 in milliseconds: a later `ts` is no time."""
_CORRUPT = "_corrupt"
_FINITE = "^(?:..(?![7F][C-F])..)*$"
"""Little-endian float16 in hexadecimal digits: all ones in the exponent is NaN or infinite."""
_ZERO = "^(?:00[08]0)*$"
_PLACE = ("object", "row_no")


@dataclass(frozen=True)
class Parsed:
    """One topic's messages, each with `reason` and `detail` (null where it is good) and the table's columns."""

    rows: DataFrame
    table: Table

    def bad(self) -> DataFrame:
        """Return the messages that cannot be used: object, row_no, value, reason, detail."""
        return self.rows.where(F.col("reason").isNotNull()).select(*_PLACE, "value", "reason", "detail")

    def unique(self) -> DataFrame:
        """Return the good rows, one per key: of repetitions the one that stands first, by file and line."""
        first = Window.partitionBy(*self.table.keys).orderBy(*_PLACE)
        good = self.rows.where(F.col("reason").isNull()).withColumn("_place", F.row_number().over(first))
        return good.where(F.col("_place") == 1).select(*[column.name for column in self.table.columns])


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
                    f"{', '.join(TOPICS)}. Others are registered in jobs/lake/sources.py."
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
    rules = rules or TopicRules()
    told = with_text(messages.select(*_PLACE, "value"), rules)
    schema = _message_schema(table, rules)
    body = F.from_json("text", schema, {"columnNameOfCorruptRecord": _CORRUPT})
    rows = told.select(*_PLACE, "value", "unread", body.alias("m"))
    for column in table.columns:
        rows = rows.withColumn(column.name, _value(column.name, column.type))
    reason, detail = _judged(table, rules)
    return Parsed(rows.withColumn("reason", reason).withColumn("detail", detail).drop("m", "unread"), table)


def new_rows(rows: DataFrame, table: Table, silver: DataFrame, days: Iterable[date]) -> DataFrame:
    """Return the rows, of these days, whose key silver does not hold; only its files of these days are looked at."""
    there = silver.where(F.col("ds").isin(list(days))).select(*table.keys)
    return rows.join(there, list(table.keys), "left_anti")


def _message_schema(table: Table, rules: TopicRules) -> str:
    kinds = {"timestamp": "bigint", "binary": "string"}
    fields = [f"`{c.name}` {kinds.get(c.type, c.type)}" for c in table.columns if c.name != DS.name]
    if rules.type_field and rules.type_field not in {c.name for c in table.columns}:
        fields.append(f"`{rules.type_field}` string")
    return ", ".join([*fields, f"{_CORRUPT} string"])


def _value(name: str, kind: str) -> Column:
    if name == DS.name:
        return F.to_date("ts")
    field = F.col(f"m.{name}")
    if kind == "timestamp":
        return F.timestamp_millis(F.when(field.between(1, _LATEST), field))
    if kind == "binary":
        return F.try_to_binary(field, F.lit("base64"))
    return field


def _judged(table: Table, rules: TopicRules) -> tuple[Column, Column]:
    """Return the columns reason and detail: the first fault of a message, null where it has none."""
    required = [c.name for c in table.columns if not c.nullable and c.name != DS.name]
    lacking = F.concat_ws(", ", *[F.when(F.col(name).isNull(), F.lit(name)) for name in required])
    faults: list[tuple[Column, Column | str, Column]] = [
        (F.col("object").contains(f"dt={EPOCH}/"), "epoch_directory", F.lit("Secor could not tell the message's time")),
        (F.col("value").isNull(), "tombstone", F.lit("a message without a value: events have nothing to delete")),
        (F.col("unread").isNotNull(), F.col("unread.reason"), F.col("unread.detail")),
        *_unreadable(rules),
        (
            F.col("m").isNull() | F.col(f"m.{_CORRUPT}").isNotNull(),
            "bad_json",
            F.lit("no JSON object, or a field of another type than the table's column"),
        ),
        (lacking != "", "missing_field", F.concat(F.lit("missing or out of range: "), lacking)),
    ]
    if "embedding" in required:
        wrong = (F.length("embedding") != 2 * F.col("dim")) | (F.col("dim") <= 0)
        faults.append((wrong, "bad_embedding", F.lit("embedding must be dim float16 values, two bytes each")))
        digits = F.hex("embedding")
        infinite, zero = ~digits.rlike(_FINITE), digits.rlike(_ZERO)
        faults.append((infinite, "bad_embedding", F.lit("embedding must be finite: a value of it is NaN or infinite")))
        faults.append((zero, "bad_embedding", F.lit("embedding must not be all zero: it has no direction")))
    reason, detail = F.lit(None).cast("string"), F.lit(None).cast("string")
    for condition, name, text in reversed(faults):
        why = F.lit(name) if isinstance(name, str) else name
        reason, detail = F.when(condition, why).otherwise(reason), F.when(condition, text).otherwise(detail)
    return reason, detail


def _unreadable(rules: TopicRules) -> Iterator[tuple[Column, str, Column]]:
    """Yield the faults that go by what the topic's messages are."""
    if rules.format == "json":
        yield ~F.is_valid_utf8(F.col("value").cast("string")), "bad_utf8", F.lit("the message is not UTF-8")
    if rules.types:
        kind = F.col(f"m.`{rules.type_field}`")
        # before a fault of form: what an unknown type looks like is not known either. Without a type it is no JSON, or
        # lacks a field
        said = F.concat(F.lit(f"{rules.type_field} is "), kind, F.lit(f"; known are {', '.join(rules.types)}"))
        yield ~kind.isin(*rules.types), "unknown_event_type", said
