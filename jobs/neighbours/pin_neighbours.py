"""gold.pin_neighbours: the nearest pins of each public pin by the cosine of their embeddings.

In: gold.pin_stats (visibility), silver.pin_embeddings (newest per pin), gold.ann_index, and all of these and the lists
themselves as of yesterday. Out: one row per pin and neighbour.

Up to `neighbours.max_exact` pins the search is brute force, on every executor. Above that it uses a sharded inverted
file (jobs/knn/sharded), one block per task. While the index is unchanged since yesterday, only pins that are new, have
another vector or lost a neighbour are searched, and new pins are inserted into the lists of others; the result equals a
search of all pins in the same cells.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import ConfigError
from jobs.engine.context import Context, Tables
from jobs.knn.index import choose
from jobs.knn.sharded.brute_force import SCHEMA, Plan, brute_force_knn
from jobs.knn.sharded.incremental import PreviousNeighbours, update_incrementally
from jobs.knn.sharded.run import SearchPlan, SearchRequest, search
from jobs.knn.tables import Model, cells_of, index_key, index_version, model_of, public_embeddings, vectors_of
from jobs.lake.scratch import InMemory


def pin_neighbours(tables: Tables, ctx: Context) -> DataFrame:
    """Return `neighbours.k` nearest public pins of each public pin that has an embedding.

    Cosines are rounded to six decimals; rank is by (-score, neighbour_id). A pin is excluded from its own
    list by id, so an exact copy under another id is its first neighbour. NaN and zero vectors have no neighbours.

    Raises:
        ConfigError: several embedding models and `neighbours.model` empty, an absent model, or an index of another one.
        TableError: embeddings whose bytes do not fit their dim, packed vectors damaged in transit.
        MissingDependencyError: no FAISS, or no GPU although `neighbours.backend` requires one.
    """
    neighbours = ctx.settings.neighbours
    embeddings = public_embeddings(tables)
    model = model_of(embeddings, neighbours)
    if model is None:
        lists = embeddings.sparkSession.createDataFrame([], SCHEMA)
    else:
        choose(neighbours.backend)  # fails here instead of in every task
        lists = _neighbour_lists(tables, ctx, vectors_of(embeddings, model), model)
    columns = [F.col("id").alias("pin_id"), F.col("neighbour").alias("neighbour_id")]
    return lists.select(*columns, "rank", "score")


def _neighbour_lists(tables: Tables, ctx: Context, vectors: DataFrame, model: Model) -> DataFrame:
    neighbours, cells = ctx.settings.neighbours, tables["gold.ann_index"]
    version = index_version(cells)
    if version is None:
        return brute_force_knn(vectors, model.dim, Plan(neighbours.k, neighbours.backend, neighbours.block))
    if not version.startswith(index_key(model, neighbours)):
        raise ConfigError(
            f"gold.ann_index has version {version}, but embeddings and settings need {index_key(model, neighbours)}: "
            f"vectors of two models must not be compared. Run `pinlake run neighbours.ann_index --as-of {ctx.as_of}`."
        )
    index, plan, scratch = cells_of(cells, model.dim), SearchPlan.of(neighbours), ctx.scratch or InMemory()
    if index_version(tables["gold.ann_index@yesterday"]) == version:
        updated = update_incrementally(vectors, _previous(tables, model), index, neighbours, plan, scratch)
        if updated is not None:
            return updated
    return search(SearchRequest.of_all(vectors, model.rows, neighbours.k), index, plan, scratch)


def _previous(tables: Tables, model: Model) -> PreviousNeighbours:
    lists = tables["gold.pin_neighbours@yesterday"]
    lists = lists.select(F.col("pin_id").alias("id"), F.col("neighbour_id").alias("neighbour"), "rank", "score")
    return PreviousNeighbours(vectors_of(public_embeddings(tables, "@yesterday"), model), lists)
