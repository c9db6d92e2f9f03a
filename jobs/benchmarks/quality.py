"""Ranking quality on a real data set: the whole path through the platform, compared with `implicit` run directly.

Both learn from the same pairs with the same settings and are judged by the same function: full ranking, pairs of the
training set masked, Recall@20 and NDCG@20 averaged over users with test pairs (the protocol of LightGCN: recall over
all test lines, repeated ones counted; the ideal over min(k, test lines)).
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.common.errors import SourceError
from jobs.settings import Settings
from jobs.settings.candidates import Collaborative
from jobs.simulator.interactions.read import Interactions, Layout, read_interactions

K = 20
LOWEST = np.float32(-3e38)
"""Scores up to this mark positions that implicit filled with pins of the training set."""
Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """Quality of one side."""

    model: str
    recall: float
    ndcg: float
    users: int
    seconds: float


def settings_for(base: Settings, factors: int) -> Settings:
    """Return settings under which all pairs weigh the same and every user gets a list."""
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


def read_pairs(file: Path, layout: Layout = Layout.AUTO) -> Interactions:
    """Return the saves of a split, read as `pinlake world --from-interactions` reads them.

    Raises:
        SourceError: there is no such file, or it cannot be read.
    """
    if not file.is_file():
        raise SourceError(f"{file}: there is no such file; the folder must hold train and test as .txt.gz or .csv.gz.")
    return read_interactions(file, layout)


def _pairs(read: Interactions) -> Pairs:
    return np.column_stack([read.user, read.item])


def find(folder: Path, name: str) -> Path:
    """Return the file of a split, such as train.txt.gz."""
    endings = (".txt", ".csv", ".tsv", ".dat", ".inter")
    found = [folder / f"{name}{ending}{packed}" for packed in (".gz", "") for ending in endings]
    found.append(folder / f"{name}.parquet")
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
    most = min(K, len(pins))  # above it, implicit repeats row 0 with a score of 0, a valid score
    picked, scores = model.recommend(np.arange(len(users)), matrix, N=most, filter_already_liked_items=True)
    return users, filled(np.where(scores > LOWEST, pins[np.maximum(picked, 0)], -1))


def filled(lists: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return lists [users, n] as [users, K], padded with -1."""
    return np.pad(lists[:, :K], ((0, 0), (0, max(0, K - lists.shape[1]))), constant_values=-1)


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
    hits = np.isin(judged[:, None] * wide + shown, truth) & (shown >= 0) & ~_repeated(shown)
    gains = 1.0 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(gains)[np.minimum(sizes, K) - 1]
    recall = float((hits.sum(axis=1) / sizes).mean())
    return Quality(
        model, round(recall, 5), round(float((hits @ gains / ideal).mean()), 5), len(judged), round(seconds, 1)
    )


def _repeated(lists: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each position whether its pin occurs earlier in the list: a pin counts once."""
    order = np.argsort(lists, axis=1, kind="stable")
    alike = np.zeros(lists.shape, bool)
    alike[:, 1:] = np.diff(np.take_along_axis(lists, order, 1), axis=1) == 0
    found = np.empty(lists.shape, bool)
    np.put_along_axis(found, order, alike, 1)
    return found


def run_quality(
    folder: Path, settings: Settings, platform_lists: Any, say: Callable[[str], None] = lambda _: None
) -> list[Quality]:
    """Return both sides' quality on the train and test split in `folder`.

    Args:
        folder: holds train and test.
        settings: as `settings_for` returns them.
        platform_lists: takes the training file, returns (users, lists) by way of the platform.
        say: called with a sentence about how each file was read.
    """
    read = read_pairs(find(folder, "train"))
    # lists of one item look like pairs: the training set's layout decides
    held = read_pairs(find(folder, "test"), Layout.LISTS if read.layout is Layout.LISTS else Layout.AUTO)
    train, test = _pairs(read), _pairs(held)
    for name, one in (("train", read), ("test", held)):
        say(f"{name}: {'; '.join(one.notes)}.")
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
