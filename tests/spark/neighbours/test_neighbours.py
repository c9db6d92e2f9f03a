"""gold.pin_neighbours on small catalogues whose answer is known."""

from datetime import date, timedelta

import numpy as np
import pytest

from jobs.common.errors import ConfigError
from jobs.engine.context import Context
from jobs.knn.tables import index_version
from jobs.lake.vectors import unit
from jobs.neighbours.ann_index import ann_index
from jobs.neighbours.neighbour_recall import neighbour_recall
from jobs.neighbours.pin_neighbours import pin_neighbours
from jobs.settings import Settings
from tests.asserts import assert_no_cross_join
from tests.builders import build

pytestmark = pytest.mark.spark


def tables(spark, vectors, hidden=(), model="w1"):
    """`vectors` by pin_id; pins in `hidden` are on secret boards."""
    stats = [{"pin_id": p, "visibility": "secret" if p in hidden else "public"} for p in vectors]
    rows = [{"pin_id": p, "embedding": v, "model": model} for p, v in vectors.items()]
    return {
        "gold.pin_stats": build(spark, "gold.pin_stats", stats),
        "silver.pin_embeddings": build(spark, "silver.pin_embeddings", rows),
        "gold.ann_index": build(spark, "gold.ann_index"),
    }


YESTERDAY = ("gold.pin_stats", "silver.pin_embeddings", "gold.ann_index", "gold.pin_neighbours")


def with_cells(spark, ctx, given, before=None):
    """Return tables with the index that the cut is searched in, and yesterday's (`before`) beside them."""
    names = (*YESTERDAY, "gold.neighbour_recall")
    empty = {f"{name}@yesterday": build(spark, name) for name in names}
    then = {f"{name}@yesterday": df for name, df in (before or {}).items()}
    whole = given | empty | then
    return whole | {"gold.ann_index": ann_index(whole, ctx).localCheckpoint()}


def context(ctx, **changes):
    neighbours = ctx.settings.neighbours.model_copy(update=changes)
    return Context(ctx.settings.model_copy(update={"neighbours": neighbours}), ctx.as_of)


def lists(df):
    found = {}
    for row in df.orderBy("pin_id", "rank").collect():
        found.setdefault(row["pin_id"], []).append((row["neighbour_id"], row["score"]))
    return found


def ids(df):
    return {pin: [i for i, _ in near] for pin, near in lists(df).items()}


def test_nearest_first_equal_cosines_by_id_self_and_private_pins_never(spark, ctx):
    around = {
        30: [1, 0, 0, 0],
        10: [1, 0, 0, 0],  # the same image as 30
        20: [4, 3, 0, 0],  # cosine 0.8, whatever its length
        5: [4, 0, 3, 0],  # as near as 20
        7: [1, 0, 0, 0],  # the same image again, but on a secret board
        40: [0, 0, 0, 1],
        50: [0, 0, 0, 0],  # says nothing: has no neighbours and is nobody's
    }
    near = pin_neighbours(tables(spark, around, hidden={7}), context(ctx, k=3))
    found = lists(near)
    assert found[30] == [(10, 1.0), (5, pytest.approx(0.8)), (20, pytest.approx(0.8))]
    assert [i for i, _ in found[40]] == [5, 10, 20]
    assert sorted(found) == [5, 10, 20, 30, 40]
    assert_no_cross_join(near)


def cloud(n=300, dim=16, seed=2):
    rng = np.random.default_rng(seed)
    matrix = unit(rng.standard_normal((n, dim))).astype(np.float16)
    matrix[50:60] = matrix[3]
    return dict(zip(rng.permutation(n * 3)[:n].tolist(), matrix, strict=True))


def test_agrees_with_numpy_however_rows_and_queries_are_parted(spark, ctx):
    vectors = cloud()
    pins = np.array(sorted(vectors))
    full = unit(np.stack([vectors[p] for p in pins])).astype(np.float64)
    cosine = np.round(full @ full.T, 6).astype(np.float32)
    np.fill_diagonal(cosine, -np.inf)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :20]
    inputs = tables(spark, vectors)
    whole = pin_neighbours(inputs, context(ctx, k=20))
    assert ids(whole) == dict(zip(pins.tolist(), pins[order].tolist(), strict=True))
    parted = {name: df.repartition(5) for name, df in inputs.items()}
    again = pin_neighbours(parted, context(ctx, k=20, block=1024 // 8))
    assert sorted(again.collect()) == sorted(whole.collect())


PINS = cloud(n=600) | {9000: np.zeros(16), 9001: np.full(16, np.nan)}
HIDDEN, HIDDEN_LATER = list(PINS)[3:5]
SHARDED = {
    "k": 10,
    "max_exact": 0,
    "tuning_queries": 600,
    "min_recall": 0.9,
    "shard_rows": 400,
    "shard_queries": 2000,
    "audit_pins": 600,
    "changed_share": 0.6,
}


@pytest.fixture(scope="module")
def sharded():
    return context(Context(Settings(), date(2026, 11, 1)), **SHARDED)


@pytest.fixture(scope="module")
def searched(spark, sharded):
    """A cut whose pins are searched in shards: what the job reads, and its lists."""
    known = with_cells(spark, sharded, tables(spark, PINS, hidden={HIDDEN}))
    return known | {"gold.pin_neighbours": pin_neighbours(known, sharded).localCheckpoint()}


def test_many_pins_are_searched_in_shards_and_the_audit_says_how_well(searched, sharded, ctx):
    brute = context(ctx, k=10)
    compared = searched | {"gold.ann_index": searched["gold.ann_index"].where("false")}
    compared["gold.pin_neighbours"] = pin_neighbours(compared, brute).localCheckpoint()
    found, exact = ids(searched["gold.pin_neighbours"]), ids(compared["gold.pin_neighbours"])
    hits = [len(set(exact[p]) & set(found.get(p, []))) / 10 for p in exact]
    assert np.mean(hits) >= 0.9
    assert sorted(exact) == sorted(p for p in PINS if p < 9000 and p != HIDDEN)
    (row,) = neighbour_recall(searched, sharded).collect()
    assert row["recall"] == pytest.approx(np.mean(hits), abs=0.01)
    assert row["lower"] <= row["recall"] <= row["upper"]
    assert (row["pins"], row["left_out"], row["target"]) == (599, 2, 0.9)
    assert row["version"].startswith("w1/16/k10/")
    (all_compared,) = neighbour_recall(compared, brute).collect()
    assert (all_compared["recall"], all_compared["target"], all_compared["version"]) == (1.0, 1.0, None)


def test_cells_stay_a_week_and_are_then_trained_anew(spark, searched, sharded, caplog):
    caplog.set_level("INFO", "jobs.neighbours.ann_index")
    audit = build(spark, "gold.neighbour_recall", [{"pins": 1, "left_out": 0, "recall": 0.9, "upper": 0.92}])
    then = {"gold.ann_index": searched["gold.ann_index"], "gold.neighbour_recall": audit}
    inputs = {name: searched[name] for name in ("gold.pin_stats", "silver.pin_embeddings")}
    versions = []
    for days in (6, 7):
        day = Context(sharded.settings, sharded.as_of + timedelta(days=days))
        versions.append(index_version(with_cells(spark, day, inputs, then)["gold.ann_index"]))
    assert versions[0] == index_version(searched["gold.ann_index"])
    assert versions[1] not in {versions[0], None}
    assert "7 days old" in caplog.text


def test_a_day_later_only_what_changed_is_searched_and_the_lists_are_as_if_all_were(spark, searched, sharded):
    next_day = Context(sharded.settings, sharded.as_of + timedelta(days=1))
    today = tables(spark, PINS | {7777: list(PINS.values())[5]}, hidden={HIDDEN_LATER})
    known = with_cells(spark, next_day, today, {name: searched[name] for name in YESTERDAY})
    assert index_version(known["gold.ann_index"]) == index_version(searched["gold.ann_index"])
    brought = lists(pin_neighbours(known, next_day))
    alone = known | {f"{name}@yesterday": build(spark, name) for name in YESTERDAY}
    assert brought == lists(pin_neighbours(alone, next_day))
    assert {7777, HIDDEN} <= brought.keys()
    assert HIDDEN_LATER not in brought


def test_an_index_of_another_model_is_refused(spark, searched, sharded):
    new = tables(spark, PINS, model="w2") | {"gold.ann_index": searched["gold.ann_index"]}
    with pytest.raises(ConfigError, match=r"has version w1/16.*settings need w2/16.*pinlake run neighbours.ann_index"):
        pin_neighbours(new, sharded)


def test_models_never_mix_and_the_message_says_what_to_set(spark, ctx):
    old, new = tables(spark, {1: [1, 0], 2: [1, 1]}), tables(spark, {3: [1, 0], 4: [1, 1], 5: [0, 1]}, model="w2")
    both = {name: old[name].union(new[name]) for name in old}
    with pytest.raises(ConfigError, match=r"w1 \(dim 2, 2 pins\), w2 \(dim 2, 3 pins\): set neighbours.model"):
        pin_neighbours(both, ctx)
    assert ids(pin_neighbours(both, context(ctx, model="w1"))) == {1: [2], 2: [1]}
    with pytest.raises(ConfigError, match=r"neighbours.model is 'w3'"):
        pin_neighbours(both, context(ctx, model="w3"))


def test_no_embeddings_and_a_single_pin_have_no_neighbours(spark, ctx):
    nothing = pin_neighbours(tables(spark, {}), ctx)
    assert nothing.count() == 0
    assert pin_neighbours(tables(spark, {1: [1, 0]}), ctx).count() == 0
    assert nothing.columns == ["pin_id", "neighbour_id", "rank", "score"]
