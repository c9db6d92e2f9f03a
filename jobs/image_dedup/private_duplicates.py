"""Near-duplicates of pins that not everyone may see, by their embeddings: for clusters, which nobody is shown.

gold.pin_neighbours has public pins alone. A hard crop has another hash than its original, and on a secret board nothing
would find it; here hidden pins are looked up among all, for what is as good as equal.
"""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.knn.embeddings import Model, vectors_of
from jobs.knn.sharded.run import SearchRequest, search
from jobs.knn.sharded.train import Cells
from jobs.knn.tuning import Recall
from jobs.lake.scratch import InMemory
from jobs.neighbours.ann_index import cells_of, version_of
from jobs.neighbours.pin_neighbours import search_plan

MOST = 20
"""Near-duplicates of one hidden pin that are looked for: clusters need a few of them each, not all."""


def private_duplicates(tables: Tables, ctx: Context, embeddings: DataFrame, model: Model) -> DataFrame:
    """Return pin_id, neighbour_id of hidden pins and pins of any kind whose cosine is duplicate_cosine or more.

    Searched in the cells of gold.ann_index; where there are none, with all in one.

    Args:
        tables: gold.pin_stats, gold.ann_index.
        ctx: of the job.
        embeddings: of live pins, hidden ones among them.
        model: whose vectors to compare.
    """
    dedup = ctx.settings.image_dedup
    hidden = tables["gold.pin_stats"].where("visibility <> 'public'").select(F.col("pin_id").alias("id"))
    vectors = vectors_of(embeddings, model)
    asking = vectors.join(hidden, "id", "left_semi").count()
    if not asking:
        return embeddings.sparkSession.createDataFrame([], "pin_id bigint, neighbour_id bigint")
    flags = {"holds": F.lit(True), "floor": F.lit(dedup.duplicate_cosine).cast("float")}
    asked = vectors.join(hidden.withColumn("asks", F.lit(True)), "id", "left")
    asked = asked.withColumns({"asks": F.coalesce("asks", F.lit(False)), **flags})
    index = tables["gold.ann_index"]
    cells = _one_cell(model.dim) if version_of(index) is None else cells_of(index, model.dim)
    wanted = SearchRequest(asked, model.rows, asking, MOST)
    found = search(wanted, cells, search_plan(ctx.settings.neighbours), ctx.scratch or InMemory())
    return found.select(F.col("id").alias("pin_id"), F.col("neighbour").alias("neighbour_id"))


def _one_cell(dim: int) -> Cells:
    """Return an index in which all are compared."""
    centroid = np.zeros((1, dim), np.float32)
    centroid[0, 0] = 1
    return Cells(centroid, 1, Recall(1.0, 1.0, 1.0, 2))
