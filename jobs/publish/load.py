"""Loads pairs into a store and reads them back, on executors: one part per partition, receipts to the driver."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import StoreError
from jobs.serving.codec import SURFACES
from jobs.serving.manifest import Content
from jobs.serving.stores import Part, Store

if TYPE_CHECKING:
    import pyarrow as pa

_READ_BACK = 1024


def content_of(pairs: DataFrame) -> Content:
    """Return counts and order-independent digests of all pairs (key, value), computed by Spark."""
    both = F.concat("key", "value")
    digests = pairs.groupBy(F.substring(F.col("key").cast("string"), 1, 2).alias("prefix")).agg(
        F.count(F.lit(1)).alias("keys"),
        F.sum(F.length("value")).alias("bytes"),
        F.sum(F.crc32(both).cast("decimal(38,0)")).alias("crc"),
        F.sum(F.xxhash64("key", "value").cast("decimal(38,0)")).alias("mixed"),
    )
    rows = sorted(digests.collect())  # bounded: one row a surface
    return Content(
        keys=sum(row["keys"] for row in rows),
        bytes=sum(row["bytes"] for row in rows),
        checksum=_hex(sum(int(row["crc"]) for row in rows)),
        mixed=str(sum(int(row["mixed"]) for row in rows)),
        surfaces={SURFACES[row["prefix"]]: {"keys": row["keys"], "bytes": row["bytes"]} for row in rows},
    )


def load(store: Store, generation: str, pairs: DataFrame, content: Content) -> None:
    """Write all pairs as parts with ascending keys, and stage them.

    Raises:
        StoreError: the parts differ from the content that was to be loaded.
    """
    store.begin(generation)

    def write(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        part = store.load(generation, _pairs(batches))
        columns = {"name": [part.name], "keys": [part.keys], "bytes": [part.bytes], "checksum": [f"{part.checksum}"]}
        yield pa.record_batch(columns)

    ordered = pairs.repartitionByRange("key").sortWithinPartitions("key")
    receipts = ordered.mapInArrow(write, "name string, keys bigint, bytes bigint, checksum string")
    rows = receipts.collect()  # bounded: one row a partition
    parts = [Part(row["name"], row["keys"], row["bytes"], int(row["checksum"])) for row in rows]
    loaded = (sum(p.keys for p in parts), sum(p.bytes for p in parts), _hex(sum(p.checksum for p in parts)))
    expected = (content.keys, content.bytes, content.checksum)
    if loaded != expected:
        raise StoreError(
            f"Generation {generation}: loaded keys, bytes and checksum {loaded}, expected {expected}. The inputs "
            f"changed during the load, or a part was lost; the pointer was not moved. Run again."
        )
    store.stage(generation, parts)


def verify(store: Store, generation: str, pairs: DataFrame, content: Content) -> None:
    """Read every key back on executors and compare its value byte for byte; count the keys.

    Raises:
        StoreError: a value is missing or differs, or there are keys that were not loaded.
    """

    def check(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        seen, example = Counter[tuple[str, str]](), ""
        with store.open(generation) as opened:
            for chunk in _chunks(_pairs(batches)):
                values = opened.get_many([key for key, _ in chunk])
                for (key, value), got in zip(chunk, values, strict=True):
                    if got == value:
                        seen["right", ""] += 1
                    else:
                        seen["missing" if got is None else "wrong", opened.node_for(key)] += 1
                        example = example or key.decode("utf-8", "replace")
        columns = {"state": [state for state, _ in seen], "node": [node for _, node in seen]}
        yield pa.record_batch(columns | {"keys": list(seen.values()), "example": [example] * len(seen)})

    checked = pairs.mapInArrow(check, "state string, node string, keys bigint, example string")
    rows = checked.collect()  # bounded: a row a partition, and two more for each server that has bad values
    seen = Counter[tuple[str, str]]()
    for row in rows:
        seen[row["state"], row["node"]] += row["keys"]
    good, count = seen.pop(("right", ""), 0), store.count(generation)
    if seen or good != content.keys or count != content.keys:
        example = min((f", such as {row['example']}" for row in rows if row["example"]), default="")
        raise StoreError(
            f"Generation {generation}: {seen.total()} of {content.keys} keys read back wrong or missing{example}; the "
            f"store counts {count}. The pointer was not moved; run again to reload it.{_lost(store, seen, content)}"
        )


def _lost(store: Store, seen: Mapping[tuple[str, str], int], content: Content) -> str:
    """Return the bad values of each server, and what to do where values are missing."""
    each = ", ".join(f"{keys} {state} at {node}" for (state, node), keys in sorted(seen.items()))
    empty = sorted(node for state, node in seen if state == "missing")
    hint = f" The values take {content.bytes / 2**20:.1f} MiB. {store.hint(empty)}" if empty else ""
    return f" Of these {each}.{hint}" if each else ""


def sample_keys(pairs: DataFrame, content: Content, per_surface: int) -> list[bytes]:
    """Return about 1.25 times `per_surface` keys of each surface, or all; deterministic for the same keys."""
    # the number of keys below a hash varies: 1.25 times keeps it above per_surface
    wanted = per_surface + per_surface // 4
    prefix, draw = F.substring(F.col("key").cast("string"), 1, 2), F.xxhash64("key")
    sizes = {
        name: content.surfaces[surface]["keys"] for name, surface in SURFACES.items() if surface in content.surfaces
    }
    drawn = [(prefix == name) & (F.pmod(draw, F.lit(keys)) < wanted) for name, keys in sizes.items()]
    chosen = pairs.where(reduce(Column.__or__, drawn)).select("key")
    return sorted(bytes(row["key"]) for row in chosen.collect())  # bounded: by per_surface and four surfaces


def _hex(total: int) -> str:
    return f"{total % 2**64:016x}"


def _pairs(batches: Iterable["pa.RecordBatch"]) -> Iterator[tuple[bytes, bytes]]:
    for batch in batches:
        yield from zip(batch.column("key").to_pylist(), batch.column("value").to_pylist(), strict=True)


def _chunks(pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    chunk: list[tuple[bytes, bytes]] = []
    for pair in pairs:
        chunk.append(pair)
        if len(chunk) == _READ_BACK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
