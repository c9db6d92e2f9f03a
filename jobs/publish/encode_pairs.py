"""Encodes gold and silver rows as (key, value) pairs: one per home feed, related-pins list, pin card and fallback.

Lists are collected per user or pin by Spark (bounded by the length of a feed) and encoded in Arrow batches on
executors. Values hold neither a time nor a run id: equal rows give equal bytes, so a generation is named by
its content.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.serving.codec import (
    Columns,
    card_key,
    encode_card,
    encode_feed,
    encode_related,
    fallback_key,
    feed_key,
    related_key,
    to_days,
)
from jobs.serving.models import PinCard

if TYPE_CHECKING:
    import pyarrow as pa

PAIR = "key binary, value binary"
_ITEM = ("position", "pin_id", "score", "source", "reason", "reason_id")
_RELATED = ("position", "related_pin_id", "score", "reason", "co_saves")
_CARD = ("pin_id", "title", "link", "category", "color", "creator_id", "image_signature")
Encode = Callable[[dict[str, Any], "pa.StructArray"], tuple[bytes, bytes]]


def feed_pairs(home_feed: DataFrame, as_of: date) -> DataFrame:
    """Return one pair per user of gold.home_feed (user_id, position, pin_id, score, source, reason, reason_id, arm)."""
    lists = home_feed.groupBy("user_id").agg(F.max("arm").alias("arm"), _list(_ITEM))
    return _encoded(lists, _feed_encoder(to_days(as_of), lambda row: feed_key(row["user_id"])))


def fallback_pairs(fallback: DataFrame, as_of: date) -> DataFrame:
    """Return one pair per segment of `fallback.fallback_feed`."""
    lists = fallback.groupBy("segment").agg(_list(_ITEM))
    return _encoded(lists, _feed_encoder(to_days(as_of), lambda row: fallback_key(row["segment"])))


def related_pairs(related: DataFrame, as_of: date) -> DataFrame:
    """Return one pair per pin of gold.related_pins."""
    days = to_days(as_of)

    def encode(row: dict[str, Any], items: "pa.StructArray") -> tuple[bytes, bytes]:
        key = related_key(row["pin_id"])
        pins, scores, reasons, co_saves = (items.field(name).to_pylist() for name in _RELATED[1:])
        return key, encode_related(key, days, pins, scores, reasons, co_saves)

    return _encoded(related.groupBy("pin_id").agg(_list(_RELATED)), encode)


def card_pairs(shown: DataFrame, public: DataFrame) -> DataFrame:
    """Return one pair per pin of `shown` (pin_id, repeats allowed) that is in `public`.

    A pin that is not public gets no card: a reason may point at a secret pin of the user's own.
    """
    wanted = public.join(shown.distinct(), "pin_id", "left_semi").select(*_CARD)

    def encode(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        for batch in batches:
            cards = [_card(row) for row in batch.to_pylist()]
            yield _batch([(card_key(card.pin_id), encode_card(card)) for card in cards])

    return wanted.mapInArrow(encode, PAIR)


def shown_pins(lists: Sequence[DataFrame], related: DataFrame) -> DataFrame:
    """Return pin_id of every pin in feeds, fallbacks and related pins, and of the pins that reasons point at."""
    pins = [feed.select("pin_id") for feed in lists]
    reasons = [feed.where("reason = 'save'").select(F.col("reason_id").alias("pin_id")) for feed in lists]
    listed = [related.select("pin_id"), related.select(F.col("related_pin_id").alias("pin_id"))]
    return union([*pins, *reasons, *listed]).where("pin_id is not null")


def public_pins(pins: DataFrame, boards: DataFrame) -> DataFrame:
    """Return live pins on public boards with the columns of a card."""
    public = boards.where("privacy = 'public'").select(F.col("id").alias("board_id"))
    return pins.join(public, "board_id", "left_semi").withColumnRenamed("id", "pin_id").select(*_CARD)


def union(frames: Sequence[DataFrame]) -> DataFrame:
    """Return the union of the frames, duplicates kept."""
    return reduce(DataFrame.unionByName, frames)


def _list(names: Sequence[str]) -> Column:
    return F.sort_array(F.collect_list(F.struct(*names))).alias("items")  # position comes first


def _feed_encoder(days: int, to_key: Callable[[dict[str, Any]], bytes]) -> Encode:
    def encode(row: dict[str, Any], items: "pa.StructArray") -> tuple[bytes, bytes]:
        key = to_key(row)
        columns = Columns(*(items.field(name).to_pylist() for name in _ITEM[1:]))
        return key, encode_feed(key, days, row.get("arm") or "", columns)

    return encode


def _encoded(lists: DataFrame, encode: Encode) -> DataFrame:
    def run(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        for batch in batches:
            column = batch.column("items")
            heads = batch.drop_columns(["items"]).to_pylist()
            yield _batch([encode(head, column[place].values) for place, head in enumerate(heads)])

    return lists.mapInArrow(run, PAIR)


def _batch(pairs: list[tuple[bytes, bytes]]) -> "pa.RecordBatch":
    import pyarrow as pa

    keys, values = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.record_batch({"key": pa.array(keys, pa.binary()), "value": pa.array(values, pa.binary())})


def _card(row: dict[str, Any]) -> PinCard:
    text = {name: row[name] or "" for name in ("title", "link", "category", "color", "image_signature")}
    return PinCard(pin_id=row["pin_id"], creator_id=row["creator_id"] or 0, **text)
