"""Ranking quality on a real data set: the whole path through the platform beside `implicit` run directly.

Both learn from the same pairs with the same settings and are judged by the same function: full ranking, pairs of the
training set masked, Recall@20 and NDCG@20 averaged over users with test pairs (the protocol of LightGCN: recall over
all test lines, repeated ones counted; the ideal over min(k, test lines)).
"""

import gzip
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.config import Settings
from jobs.config.candidates import Collaborative
from jobs.errors import SourceError

K = 20
Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """What one side reached."""

    model: str
    recall: float
    ndcg: float
    users: int
    seconds: float


def settings_for(base: Settings, factors: int) -> Settings:
    """Return settings under which every pair counts alike and every user gets a list."""
    tuned = Collaborative(
        factors=factors, regularization=200.0, alpha=40.0, iterations=15, degree_exponent=0.3, per_user=K, history=1
    )
    features = {"half_life_days": 1e9, "active_days": 36_500, "window_days": 36_500, "max_pins_per_user": 1_000_000}
    return base.model_copy(
        update={
            "candidates": base.candidates.model_copy(update={"collaborative": tuned}),
            "features": base.features.model_copy(update=features),
        }
    )


def read_pairs(file: Path) -> Pairs:
    """Return [lines, 2] of user and item: `user item item …` or `user,item` lines, gzipped or not.

    Raises:
        SourceError: there is no such file.
    """
    if not file.is_file():
        raise SourceError(f"{file}: there is no such file; the folder must hold train and test as .txt.gz or .csv.gz.")
    text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text()
    rows = [np.array(line.replace(",", " ").split(), np.int64) for line in text.splitlines()]
    users = np.repeat([row[0] for row in rows if len(row)], [len(row) - 1 for row in rows if len(row)])
    return np.column_stack([users, np.concatenate([row[1:] for row in rows if len(row)])])


def find(folder: Path, name: str) -> Path:
    """Return the file of a split, such as train.txt.gz."""
    found = [folder / f"{name}{ending}" for ending in (".txt.gz", ".csv.gz", ".txt", ".csv")]
    return next((file for file in found if file.is_file()), found[0])


def direct(train: Pairs, cfg: Collaborative, seed: int) -> tuple[Pairs, NDArray[np.int64]]:
    """Return users and their top K pins from `implicit` alone, on the 0/1 matrix scaled by degree."""
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import coo_matrix

    users, rows = np.unique(train[:, 0], return_inverse=True)
    pins, columns = np.unique(train[:, 1], return_inverse=True)
    matrix = coo_matrix((np.ones(len(rows)), (rows, columns))).tocsr()
    matrix.data[:] = 1.0
    by_user, by_pin = np.diff(matrix.indptr), np.bincount(matrix.indices)
    scale = (by_user / by_user.mean()) ** -cfg.degree_exponent
    matrix.data = np.repeat(scale, by_user) * ((by_pin / by_pin.mean()) ** -cfg.degree_exponent)[matrix.indices]
    matrix = matrix.astype(np.float32)
    model = AlternatingLeastSquares(
        factors=cfg.factors,
        regularization=cfg.regularization,
        alpha=cfg.alpha,
        iterations=cfg.iterations,
        random_state=seed,
        use_gpu=False,
    )
    model.fit(matrix, show_progress=False)
    picked, _ = model.recommend(np.arange(len(users)), matrix, N=K, filter_already_liked_items=True)
    return users, pins[picked]


def judge(model: str, users: Pairs, lists: NDArray[np.int64], test: Pairs, seconds: float) -> Quality:
    """Return mean Recall@K and NDCG@K over the users of the test set.

    Args:
        model: name of the side.
        users: ascending, [users].
        lists: their pins, best first, [users, K]; -1 where a list is shorter.
        test: user and item of each test line.
        seconds: what it took.
    """
    judged, sizes = np.unique(test[:, 0], return_counts=True)
    wide = int(max(test[:, 1].max(), lists.max())) + 1
    truth = np.unique(test[:, 0] * wide + test[:, 1])
    place = np.searchsorted(users, judged)
    known = (place < len(users)) & (users[np.minimum(place, len(users) - 1)] == judged)
    shown = np.where(known[:, None], lists[np.minimum(place, len(users) - 1)], -1)
    hits = np.isin(judged[:, None] * wide + shown, truth) & (shown >= 0)
    gains = 1.0 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(gains)[np.minimum(sizes, K) - 1]
    recall = float((hits.sum(axis=1) / sizes).mean())
    return Quality(
        model, round(recall, 5), round(float((hits @ gains / ideal).mean()), 5), len(judged), round(seconds, 1)
    )


def run_quality(folder: Path, settings: Settings, platform_lists: Any) -> list[Quality]:
    """Return both sides' quality on the train and test split in `folder`.

    Args:
        folder: holds train and test.
        settings: as `settings_for` returns them.
        platform_lists: takes the training file, returns (users, lists) by way of the platform.
    """
    train, test = read_pairs(find(folder, "train")), read_pairs(find(folder, "test"))
    cfg, seed = settings.candidates.collaborative, settings.candidates.seed
    started = time.monotonic()
    users, lists = direct(train, cfg, seed)
    alone = judge("implicit, directly", users, lists, test, time.monotonic() - started)
    started = time.monotonic()
    users, lists = platform_lists(find(folder, "train"))
    return [alone, judge("pinlake, all the way", users, lists, test, time.monotonic() - started)]


def plain(found: list[Quality]) -> dict[str, Any]:
    """Return the result for `--json`, with the ratios platform over direct."""
    alone, ours = found
    ratios = {"recall": ours.recall / alone.recall, "ndcg": ours.ndcg / alone.ndcg}
    return {"k": K, "models": [asdict(one) for one in found], "ratio": {k: round(v, 4) for k, v in ratios.items()}}
