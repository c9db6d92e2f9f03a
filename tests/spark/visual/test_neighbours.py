"""gold.pin_neighbours on small catalogues whose answer is known."""

import numpy as np
import pytest

from jobs.errors import ConfigError
from jobs.lake.job import Context
from jobs.lake.vectors import unit
from jobs.visual.neighbours import pin_neighbours
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
    }


def context(ctx, **changes):
    visual = ctx.settings.visual.model_copy(update=changes)
    return Context(ctx.settings.model_copy(update={"visual": visual}), ctx.as_of)


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
        10: [1, 0, 0, 0],  # the same picture as 30
        20: [4, 3, 0, 0],  # cosine 0.8, whatever its length
        5: [4, 0, 3, 0],  # as near as 20
        7: [1, 0, 0, 0],  # the same picture again, but on a secret board
        40: [0, 0, 0, 1],
        50: [0, 0, 0, 0],  # says nothing: has no neighbours and is nobody's
    }
    near = pin_neighbours(tables(spark, around, hidden={7}), context(ctx, neighbours=3))
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
    whole = pin_neighbours(inputs, context(ctx, neighbours=20))
    assert ids(whole) == dict(zip(pins.tolist(), pins[order].tolist(), strict=True))
    parted = {name: df.repartition(5) for name, df in inputs.items()}
    again = pin_neighbours(parted, context(ctx, neighbours=20, block=1024 // 8))
    assert sorted(again.collect()) == sorted(whole.collect())


def test_the_inverted_file_index_finds_nearly_the_same_and_the_same_twice(spark, ctx):
    inputs = tables(spark, cloud(n=600))
    exact = ids(pin_neighbours(inputs, context(ctx, neighbours=10)))
    approximate = context(ctx, neighbours=10, max_exact=0, tuning_queries=600, recall=0.95)
    first = pin_neighbours(inputs, approximate)
    found = ids(first)
    hits = [len(set(exact[p]) & set(found.get(p, []))) / 10 for p in exact]
    assert np.mean(hits) >= 0.95
    assert all(p not in near and len(near) == len(set(near)) for p, near in found.items())
    assert sorted(pin_neighbours(inputs, approximate).collect()) == sorted(first.collect())


def test_models_never_mix_and_the_message_says_what_to_set(spark, ctx):
    old, new = tables(spark, {1: [1, 0], 2: [1, 1]}), tables(spark, {3: [1, 0], 4: [1, 1], 5: [0, 1]}, model="w2")
    both = {name: old[name].union(new[name]) for name in old}
    with pytest.raises(ConfigError, match=r"w1 \(dim 2, 2 pins\), w2 \(dim 2, 3 pins\): set visual.model"):
        pin_neighbours(both, ctx)
    assert ids(pin_neighbours(both, context(ctx, model="w1"))) == {1: [2], 2: [1]}
    with pytest.raises(ConfigError, match=r"visual.model is 'w3'"):
        pin_neighbours(both, context(ctx, model="w3"))
    with pytest.raises(ConfigError, match=r"3 pins have embeddings, visual.max_vectors allows 2"):
        pin_neighbours(new, context(ctx, max_vectors=2))


def test_no_embeddings_and_a_single_pin_have_no_neighbours(spark, ctx):
    nothing = pin_neighbours(tables(spark, {}), ctx)
    assert nothing.count() == 0
    assert pin_neighbours(tables(spark, {1: [1, 0]}), ctx).count() == 0
    assert nothing.columns == ["pin_id", "neighbour_id", "rank", "score"]
