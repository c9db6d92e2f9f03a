"""Trains xgboost on one node or on the cluster, scores, explains. The only module that imports it, in functions.

A model is a JSON string (Booster.save_raw("json")): stored in a table and sent to workers by closure.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.common.errors import ConfigError
from jobs.settings.ranking import Ranker

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Array = np.ndarray[Any, Any]


def train_on_node(rows: Array, labels: Array, names: tuple[str, ...], settings: Ranker) -> str:
    """Return a model learned by plain xgboost in this process.

    Equal rows in equal order, seed and threads give an equal model, byte for byte.

    Args:
        rows: n x features, float32, NaN where missing.
        labels: n values from 0 to 1.
        names: the features' names.
        settings: rounds, depth, seed, threads.
    """
    import xgboost

    data = xgboost.DMatrix(rows, label=labels, feature_names=list(names), nthread=settings.threads)
    params = {**_parameters(settings), "nthread": settings.threads}
    return _text(xgboost.train(params, data, num_boost_round=settings.trees))


def train_on_cluster(rows: "DataFrame", label: str, names: tuple[str, ...], settings: Ranker) -> str:
    """Return a model learned by xgboost.spark, one training task a worker.

    Args:
        rows: one float column a feature and the label.
        label: name of the label's column.
        names: the features' columns.
        settings: rounds, depth, seed, workers.

    Raises:
        ConfigError: more workers are asked for than the cluster can run at once; Spark would wait forever.
    """
    from xgboost.spark import SparkXGBRegressor

    estimator = SparkXGBRegressor(
        features_col=list(names),
        label_col=label,
        num_workers=workers(rows.sparkSession, settings),
        n_estimators=settings.trees,
        max_depth=settings.depth,
        force_repartition=True,
        **{k: v for k, v in _parameters(settings).items() if k not in {"max_depth", "seed"}},
        random_state=settings.seed,
    )
    booster = estimator.fit(rows).get_booster()
    booster.feature_names = list(names)
    return _text(booster)


def workers(spark: "SparkSession", settings: Ranker) -> int:
    """Return how many training tasks to start: ranker.workers, or every task slot.

    Raises:
        ConfigError: ranker.workers is above the task slots there are.
    """
    from xgboost.spark.utils import _get_max_num_concurrent_tasks

    slots = int(_get_max_num_concurrent_tasks(spark.sparkContext))
    if settings.workers > slots:
        raise ConfigError(
            f"ranking.ranker.workers = {settings.workers}: the cluster runs {slots} tasks at once and training needs "
            f"all its workers together. Set it to {slots} or less, or 0 to take what there is."
        )
    return settings.workers or max(slots, 1)


def predict(model: str, rows: Array) -> Array:
    """Return the model's log-odds for each row, float32, on one thread.

    Args:
        model: JSON of a model.
        rows: n x features, float32, NaN where missing.
    """
    if len(rows) == 0:
        return np.zeros(0, np.float32)
    margins: Array = _booster(model).inplace_predict(rows, predict_type="margin", missing=np.nan)
    return margins


def importance(model: str, names: tuple[str, ...]) -> dict[str, float]:
    """Return each feature's share of the total gain; 0 for one that no tree uses."""
    gains = _booster(model).get_score(importance_type="total_gain")
    total = sum(gains.values()) or 1.0
    return {name: round(float(gains.get(name, 0.0)) / total, 6) for name in names}


@lru_cache(maxsize=2)
def _booster(model: str) -> Any:
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(model.encode()))
    return booster


def _text(booster: Any) -> str:
    return bytes(booster.save_raw("json")).decode()


def _parameters(settings: Ranker) -> dict[str, Any]:
    return {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": settings.depth,
        "learning_rate": settings.learning_rate,
        "min_child_weight": settings.min_child_weight,
        "base_score": 0.5,
        "seed": settings.seed,
    }
