"""gold.pin_neighbours on small catalogues whose answer is known."""

from datetime import timedelta

import numpy as np
import pytest

from jobs.common.errors import ConfigError
from jobs.engine.context import Context
from jobs.knn.tables import index_version
from jobs.lake.vectors import unit
from jobs.neighbours.ann_index import ann_index
from jobs.neighbours.neighbour_recall import neighbour_recall
from jobs.neighbours.pin_neighbours import pin_neighbours
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


SHARDED = {
    "k": 10,
    "max_exact": 0,
    "tuning_queries": 600,
    "min_recall": 0.9,
    "shard_rows": 300,
    "shard_queries": 500,
}


def test_many_pins_are_searched_in_shards_and_the_audit_says_how_well(spark, ctx):
    vectors = cloud(n=600) | {9000: np.zeros(16), 9001: np.full(16, np.nan)}
    inputs = tables(spark, vectors)
    sharded = context(ctx, **SHARDED, audit_pins=600)
    known = with_cells(spark, sharded, inputs)
    near = pin_neighbours(known, sharded)
    found, exact = ids(near), ids(pin_neighbours(inputs, context(ctx, k=10)))
    hits = [len(set(exact[p]) & set(found.get(p, []))) / 10 for p in exact]
    assert np.mean(hits) >= 0.9
    assert sorted(exact) == sorted(p for p in vectors if p < 9000)
    audit = neighbour_recall(known | {"gold.pin_neighbours": near}, sharded).collect()
    (row,) = audit
    assert row["recall"] == pytest.approx(np.mean(hits), abs=0.01)
    assert row["lower"] <= row["recall"] <= row["upper"]
    assert (row["pins"], row["left_out"], row["target"]) == (600, 2, 0.9)
    assert row["version"].startswith("w1/16/k10/")
    (all_compared,) = neighbour_recall(
        inputs | {"gold.pin_neighbours": pin_neighbours(inputs, context(ctx, k=10))},
        context(ctx, k=10),
    ).collect()
    assert (all_compared["recall"], all_compared["target"], all_compared["version"]) == (1.0, 1.0, None)


def test_cells_stay_a_week_and_are_trained_anew_where_they_do_not_serve(spark, ctx, caplog):
    caplog.set_level("INFO", "jobs.neighbours.ann_index")
    sharded = context(ctx, **SHARDED)
    inputs = tables(spark, cloud(n=600))
    first = with_cells(spark, sharded, inputs)
    cells = {"gold.ann_index": first["gold.ann_index"]}

    def later(days, ctx=sharded, given=inputs, audit=()):
        day = Context(ctx.settings, ctx.as_of + timedelta(days=days))
        judged = {"gold.neighbour_recall": build(spark, "gold.neighbour_recall", list(audit))}
        made = with_cells(spark, day, given, cells | judged)["gold.ann_index"]
        return index_version(made) == index_version(cells["gold.ann_index"])

    good = {"pins": 1, "left_out": 0, "recall": 0.9, "upper": 0.92}
    assert later(1)
    assert later(6, audit=[good])
    assert not later(7)
    assert "7 days old" in caplog.text
    assert not later(1, audit=[good | {"recall": 0.8, "upper": 0.85}])
    assert "the audit measured a recall of 0.8000" in caplog.text
    assert not later(1, given=tables(spark, cloud(n=1300)))
    assert "trained for 600 pins, there are 1300" in caplog.text
    assert not later(1, ctx=context(ctx, **SHARDED | {"k": 11}))
    assert not later(1, given=tables(spark, cloud(n=600), model="w2"))
    assert "w2/16/k10" in caplog.text


def test_a_day_later_only_what_changed_is_searched_and_the_lists_are_as_if_all_were(spark, ctx):
    sharded = context(ctx, **SHARDED, changed_share=0.6)
    pins = cloud(n=600)
    before = tables(spark, pins, hidden={list(pins)[3]})
    before = with_cells(spark, sharded, before)
    before["gold.pin_neighbours"] = pin_neighbours(before, sharded).localCheckpoint()
    next_day = Context(sharded.settings, sharded.as_of + timedelta(days=1))
    today = tables(spark, pins | {7777: list(pins.values())[5]}, hidden={list(pins)[4]})
    known = with_cells(spark, next_day, today, {name: before[name] for name in YESTERDAY})
    assert index_version(known["gold.ann_index"]) == index_version(before["gold.ann_index"])
    brought = lists(pin_neighbours(known, next_day))
    alone = known | {f"{name}@yesterday": build(spark, name) for name in YESTERDAY}
    assert brought == lists(pin_neighbours(alone, next_day))
    assert 7777 in brought
    assert list(pins)[4] not in brought


def test_an_index_of_another_model_is_refused(spark, ctx):
    sharded = context(ctx, **SHARDED)
    old = with_cells(spark, sharded, tables(spark, cloud(n=600)))
    new = tables(spark, cloud(n=600), model="w2") | {"gold.ann_index": old["gold.ann_index"]}
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
