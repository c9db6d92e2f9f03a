"""gold.pin_neighbours: the nearest pins of each public pin by the cosine of their embeddings.

In: gold.pin_stats (who may be seen), silver.pin_embeddings (newest per pin), gold.ann_index, and all of these and
the lists themselves as of yesterday. Out: one row per pin and neighbour.

Up to `neighbours.max_exact` pins every vector is compared, on every executor. Above that there are cells: an inverted
file in shards (jobs/knn/sharded), a block a task. While the cells are yesterday's, only pins that are new, have
another vector or lost a neighbour are searched, and new ones are put into the lists of others; the lists are then
those that a search of all pins in the same cells would find.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import ConfigError
from jobs.engine.context import Context, Tables
from jobs.knn.brute_force import SCHEMA, Plan, brute_force_knn
from jobs.knn.embeddings import Model, model_of, public_embeddings, vectors_of
from jobs.knn.index import choose
from jobs.knn.sharded.incremental import Yesterday, update_incrementally
from jobs.knn.sharded.layout import Limits
from jobs.knn.sharded.run import SearchPlan, SearchRequest, search
from jobs.lake.scratch import InMemory
from jobs.neighbours.ann_index import cells_of, named, version_of
from jobs.settings.related import Neighbours


def pin_neighbours(tables: Tables, ctx: Context) -> DataFrame:
    """Return `neighbours.k` nearest public pins of each public pin that has an embedding.

    Cosines are rounded to six decimals; rank is by (-score, neighbour_id). A pin is told from itself by its id, so
    an exact copy under another id is its first neighbour. Vectors that are NaN or zero have no neighbours.

    Raises:
        ConfigError: several embedding models and `neighbours.model` empty, an absent model, or cells of another one.
        TableError: embeddings whose bytes do not fit their dim, parcels damaged on their way.
        MissingDependencyError: no FAISS, or no GPU where `neighbours.backend` insists on one.
    """
    neighbours = ctx.settings.neighbours
    embeddings = public_embeddings(tables)
    model = model_of(embeddings, neighbours)
    if model is None:
        found = embeddings.sparkSession.createDataFrame([], SCHEMA)
    else:
        choose(neighbours.backend)  # what cannot run fails here, not in every task
        found = _found(tables, ctx, vectors_of(embeddings, model), model)
    columns = [F.col("id").alias("pin_id"), F.col("neighbour").alias("neighbour_id")]
    return found.select(*columns, "rank", "score")


def _found(tables: Tables, ctx: Context, vectors: DataFrame, model: Model) -> DataFrame:
    neighbours, cells = ctx.settings.neighbours, tables["gold.ann_index"]
    version = version_of(cells)
    if version is None:
        return brute_force_knn(vectors, model.dim, Plan(neighbours.k, neighbours.backend, neighbours.block))
    if not version.startswith(named(model, neighbours)):
        raise ConfigError(
            f"gold.ann_index is an index of {version}, embeddings and settings are {named(model, neighbours)}: "
            f"vectors of two models must not be compared. Run `pinlake run neighbours.ann_index --as-of {ctx.as_of}`."
        )
    index, way, keep = cells_of(cells, model.dim), search_plan(neighbours), ctx.scratch or InMemory()
    if version_of(tables["gold.ann_index@yesterday"]) == version:
        brought = update_incrementally(vectors, _yesterday(tables, model), index, neighbours, way, keep)
        if brought is not None:
            return brought
    return search(SearchRequest.of_all(vectors, model.rows, neighbours.k), index, way, keep)


def search_plan(neighbours: Neighbours) -> SearchPlan:
    """Return how a search is split, by the settings."""
    limits = Limits(neighbours.shard_rows, neighbours.shard_queries)
    return SearchPlan(limits, neighbours.seed, neighbours.backend, neighbours.task_cpus, neighbours.task_gpus)


def _yesterday(tables: Tables, model: Model) -> Yesterday:
    lists = tables["gold.pin_neighbours@yesterday"]
    lists = lists.select(F.col("pin_id").alias("id"), F.col("neighbour_id").alias("neighbour"), "rank", "score")
    return Yesterday(vectors_of(public_embeddings(tables, "@yesterday"), model), lists)
