"""Runs the posters through the functions of the platform's jobs, on a lake of their own.

    files -> ingest.images -> ingest.embeddings, by a model learnt from the posters -> knn_join
    -> image_dedup.hash_pairs -> image_dedup.image_clusters
    -> related.pairs -> related.pins: looks and films rated by the same people, near-duplicates out

A film is a pin. Whoever rated films has one public board, with those of them that a draw picks.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.benchmarks.posters.dataset import Given
from jobs.benchmarks.posters.model import HEIGHT, WIDTH, learn
from jobs.engine.context import ActionContext, Context
from jobs.flow import job
from jobs.history.as_of import read_as_of
from jobs.ingest.embeddings import job as embeddings
from jobs.ingest.images import job as images_job
from jobs.ingest.images.decode import Frame, Unusable, decode_framed
from jobs.knn.join import Neighbours, knn_join
from jobs.lake.table_frames import nullable, struct_of
from jobs.lake.vectors import decode
from jobs.schema.bronze_silver import PIN_EMBEDDINGS, PINS
from jobs.schema.images import IMAGE_FEATURES
from jobs.schema.tables import table
from jobs.settings import Settings

BOARD = 40
"""Films per user that count as saved together; pairs grow with its square."""
STEPS = {
    "clusters": ("image_dedup.hash_pairs", "image_dedup.image_clusters"),
    "related": ("related.pairs", "related.pins"),
}
"""Jobs of the flow that run after the neighbours."""
Rows = NDArray[np.int64]


@dataclass
class Through:
    """Results of the run."""

    features: list[dict[str, Any]]
    """pin_id, image_signature, phash, style, color of each valid image."""
    near: Neighbours
    """By the cosine of their embeddings."""
    cluster: dict[int, int]
    """Film -> its cluster of near-duplicates, if it has any."""
    related: dict[int, list[dict[str, Any]]]
    """Film -> related_pin_id, similarity, co_saves, reason of its list, best first."""
    counts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    model: str = ""


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Record the duration of the body."""
    begun = time.monotonic()
    yield
    seconds[step] = time.monotonic() - begun


def through(work: ActionContext, data: Given, root: Path) -> Through:
    """Run the posters through the jobs.

    Args:
        work: an empty lake; settings.
        data: the data set.
        root: of the sources: posters lie in images/ below it, the model is written beside them.
    """
    seconds: dict[str, float] = {}
    put_pins(work, data)
    with timed(seconds, "learn"):
        model = root / "look.onnx"
        model.write_bytes(learn(_pixels(data, root), work.context.settings.neighbours.seed))
    work = replace(work, options={"images": str(root), "model": str(model), "work": str(root)})
    with timed(seconds, "measure"):
        measured = images_job.run(work).counts
    with timed(seconds, "embed"):
        done = embeddings.run(work)
    counts = {f"{name}_images": count for name, count in measured.items()} | dict(done.counts)
    tables = {"silver.image_features": work.lake.scan(IMAGE_FEATURES.name), "gold.pin_stats": _stats(work, data)}
    tables["silver.pin_embeddings"] = read_as_of(work.lake, PIN_EMBEDDINGS.name, work.context.as_of)
    with timed(seconds, "neighbours"):
        near = _near(tables["silver.pin_embeddings"], work.context.settings)
    tables["gold.pin_neighbours"] = _as_table(work.spark, near)
    context = replace(work.context, settings=settings_for(work.context.settings))
    tables |= _boards(work, data)
    for step, names in STEPS.items():
        with timed(seconds, step):
            for name in names:
                tables[str(job(name).writes)] = _made(work.spark, name, tables, context)
    several = _several(tables, tables["gold.image_clusters"])
    related = _lists(tables["gold.related_pins"])
    return Through(_features(tables), near, several, related, counts, seconds, done.detail["model"])


def _made(spark: SparkSession, name: str, tables: dict[str, DataFrame], context: Context) -> DataFrame:
    """Return the result of a job of the flow; missing tables are empty, as on a first day."""
    one = job(name)
    for read in (*one.reads, *one.optional_reads):
        tables.setdefault(read, frame(spark, read.partition("@")[0], {}))
    module, _, function = one.function.partition(":")
    made: DataFrame = getattr(import_module(module), function)(tables, context)
    return made.localCheckpoint()


def settings_for(settings: Settings) -> Settings:
    """Return settings that relate films by looks and users only, as they have no makers, times or impressions."""
    plain = {"board_pin_cap": BOARD, "save_rate_weight": 0.0, "fresh_share": 0.0, "length": 12, "owner_cap": 1_000}
    return settings.model_copy(update={"related": settings.related.model_copy(update=plain)})


def frame(spark: SparkSession, name: str, columns: Mapping[str, Any]) -> DataFrame:
    """Return rows in the schema of a registered table, null for missing columns."""
    known = table(name)
    struct = nullable(struct_of(known))
    struct.fields = [one for one in struct.fields if one.name != "as_of"]
    struct.names = [one.name for one in struct.fields]
    if not columns:
        return spark.createDataFrame([], struct)
    count = len(next(iter(columns.values())))
    arrays = {name: pa.array(columns[name]) if name in columns else pa.nulls(count) for name in struct.names}
    from pyspark.sql.pandas.types import to_arrow_schema

    made = pa.table(arrays).cast(to_arrow_schema(struct, timestamp_utc=True))
    return spark.createDataFrame(made, struct)


def put_pins(work: ActionContext, data: Given) -> None:
    """Make each film a pin, created on the day before the as-of date."""
    n = len(data.ids)
    made = work.context.instant - timedelta(days=1)
    columns = {
        "id": data.ids, "creator_id": data.ids, "board_id": np.zeros(n, np.int64), "image_signature": data.signatures,
        "created_at": [made] * n, "_commit_ts": np.full(n, int(made.timestamp() * 1000) << 18),
        "_op_rank": np.ones(n, np.int32), "_deleted": np.zeros(n, bool),
    }  # fmt: skip
    work.lake.append(PINS.name, frame(work.spark, PINS.name, columns))


def _pixels(data: Given, root: Path) -> NDArray[np.uint8]:
    """Return the posters that are valid images, to train the model."""
    shape, found = Frame(HEIGHT, WIDTH, "crop"), []
    for name in dict.fromkeys(data.signatures):
        try:
            found.append(decode_framed((root / "images" / name[:2] / f"{name}.jpg").read_bytes(), 50_000_000, shape))
        except Unusable:  # ingest.images quarantines it
            continue
    return np.stack(found)


def _stats(work: ActionContext, data: Given) -> DataFrame:
    """Return gold.pin_stats of films: all public, with the number of ratings as saves."""
    rated = np.bincount(np.searchsorted(data.ids, data.films), minlength=len(data.ids))
    n = len(data.ids)
    columns = {
        "pin_id": data.ids, "creator_id": data.ids, "image_signature": data.signatures, "visibility": ["public"] * n,
        "age_days": np.full(n, 365.0), "saves": rated, "popularity": rated.astype(float), "save_rate": np.zeros(n),
    }  # fmt: skip
    return frame(work.spark, "gold.pin_stats", columns)


def _near(vectors: DataFrame, settings: Settings) -> Neighbours:
    found = vectors.select("pin_id", "embedding").toArrow()  # bounded: the data set's films
    return knn_join(decode(found["embedding"]), found["pin_id"].to_numpy(), settings.neighbours.k, metric="cosine")


def _as_table(spark: SparkSession, near: Neighbours) -> DataFrame:
    counts = np.diff(near.offsets)
    rank = np.arange(1, len(near.neighbours) + 1) - np.repeat(near.offsets[:-1], counts)
    columns: dict[str, Any] = {"pin_id": np.repeat(near.ids, counts), "neighbour_id": near.neighbours, "rank": rank}
    columns["score"] = np.round(np.minimum(near.scores, 1), 6)
    return frame(spark, "gold.pin_neighbours", columns)


def _boards(work: ActionContext, data: Given) -> dict[str, DataFrame]:
    """Return the tables of boards: one per user, saved in random order, as the ratings have no times."""
    people = np.unique(data.users)
    lot = np.random.default_rng(work.context.settings.neighbours.seed).permutation(len(data.users))
    at = np.datetime64("2020-01-01", "us") + lot.astype("timedelta64[s]")
    saves = {"board_id": data.users, "pin_id": data.films, "user_id": data.users, "saved_at": pa.array(at)}
    saves["saved_at"] = saves["saved_at"].cast(pa.timestamp("us", "UTC"))
    boards = {"id": people, "owner_id": people, "privacy": ["public"] * len(people)}
    return {
        "silver.app_board_pins": frame(work.spark, "silver.app_board_pins", saves if len(people) else {}),
        "silver.app_boards": frame(work.spark, "silver.app_boards", boards if len(people) else {}),
    }


def _lists(related: DataFrame) -> dict[int, list[dict[str, Any]]]:
    rows = related.orderBy("pin_id", "position")
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows.toArrow().to_pylist():  # bounded: a dozen rows a film
        found.setdefault(row.pop("pin_id"), []).append(row)
    return found


def _features(tables: Mapping[str, DataFrame]) -> list[dict[str, Any]]:
    measured = tables["silver.image_features"].where(F.col("fault").isNull())
    told = measured.select("image_signature", "phash", "style", "colors")
    pins = tables["gold.pin_stats"].select("pin_id", "image_signature", "saves")
    found = pins.join(told, "image_signature").orderBy("pin_id").toArrow()  # bounded: a row a film
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def _several(tables: Mapping[str, DataFrame], clusters: DataFrame) -> dict[int, int]:
    """Return the films that share a cluster with others; one file under two names is such a cluster too."""
    pins = tables["gold.pin_stats"].select("pin_id", "image_signature").join(clusters, "image_signature")
    rows = pins.select("pin_id", "cluster_id").toArrow()  # bounded: a row a film
    ids, which = rows["pin_id"].to_numpy(), rows["cluster_id"].to_numpy()
    _, place, sizes = np.unique(which, return_inverse=True, return_counts=True)
    many = sizes[place] > 1
    return dict(zip(ids[many].tolist(), which[many].tolist(), strict=True))


def work_of(work: ActionContext) -> ActionContext:
    """Return the same work with today as as-of date."""
    return replace(work, context=replace(work.context, as_of=datetime.now(UTC).date()))
