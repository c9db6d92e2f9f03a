"""A program of its own that searches neighbours in shards on a cluster, to be killed: -m tests.sharded URL FOLDER.

FOLDER/vectors.parquet (id, vector) in; FOLDER/cells.npz (centroids, probes) in; FOLDER/found (id, neighbour, rank,
score) out; what is done so far below FOLDER/_scratch.
"""

import sys
from pathlib import Path

import numpy as np

from jobs.knn.sharded.layout import Limits
from jobs.knn.sharded.run import SearchPlan, SearchRequest, search
from jobs.knn.sharded.train import Cells
from jobs.knn.tuning import Recall
from jobs.lake.scratch import Scratch
from jobs.settings.load import load
from jobs.spark.session import start_session

ROOT = Path(__file__).resolve().parents[1]


def main(url: str, folder: Path) -> None:
    """Search, going on where a killed run was."""
    local = load(ROOT / "conf", "cluster").settings.platform.spark
    changes = {"master": url, "driver_memory": "1g"}
    spark = start_session(local.model_copy(update=changes), ROOT / ".pinlake", local.conf)
    vectors = spark.read.parquet(str(folder / "vectors.parquet"))
    n = vectors.count()
    stored = np.load(folder / "cells.npz")
    cells = Cells(stored["centroids"], int(stored["probes"]), Recall(1.0, 1.0, 1.0, 2))
    plan = SearchPlan(Limits(n // 4, n // 4), 5, "cpu", task_cpus=2)
    scratch = Scratch(spark, str(folder), "near", "2026-11-01", "a")
    found = search(SearchRequest.of_all(vectors.repartition(4), n, int(stored["k"])), cells, plan, scratch)
    found.coalesce(1).write.parquet(str(folder / "found"))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
