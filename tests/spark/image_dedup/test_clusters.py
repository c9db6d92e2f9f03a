"""gold.image_clusters: images of the same thing together, worked out by hand."""

import numpy as np
import pytest

from jobs.image_dedup.hash_pairs import near_hashes
from jobs.image_dedup.image_clusters import image_clusters
from jobs.schema.images import IMAGE_FEATURES
from tests.builders import build

pytestmark = pytest.mark.spark

EAST, NEARLY, NORTH = [1.0, 0.0], [0.97, 0.2431], [0.0, 1.0]


def tables(spark, ctx, pins, hashes, vectors, near=(), before=()):
    """`pins`: pin -> image; `hashes`: image -> hash; `vectors`: pin -> embedding; `before`: pin -> cluster."""
    stats = [{"pin_id": pin, "image_signature": name, "saves": pin} for pin, name in pins.items()]
    features = [{"image_signature": name, "phash": np.uint64(h).astype(np.int64).item()} for name, h in hashes.items()]
    known = [{"image_signature": f"s{pin}", "image_id": pin, "cluster_id": c} for pin, c in dict(before).items()]
    embedded = [{"pin_id": pin, "embedding": vector} for pin, vector in vectors.items()]
    inputs = {
        "gold.pin_stats": build(spark, "gold.pin_stats", stats),
        IMAGE_FEATURES.name: build(spark, IMAGE_FEATURES.name, features),
        "silver.pin_embeddings": build(spark, "silver.pin_embeddings", embedded),
        "gold.pin_neighbours": build(
            spark, "gold.pin_neighbours", [{"pin_id": a, "neighbour_id": b, "score": s, "rank": 1} for a, b, s in near]
        ),
        "gold.image_clusters@horizon": build(spark, "gold.image_clusters", known),
        "gold.image_clusters@yesterday": build(spark, "gold.image_clusters"),
        "gold.hash_pairs@yesterday": build(spark, "gold.hash_pairs"),
        "gold.ann_index": build(spark, "gold.ann_index"),
    }
    return inputs | {"gold.hash_pairs": near_hashes(inputs, ctx)}


def found(frame):
    return {row["image_signature"]: (row["image_id"], row["cluster_id"], row["pins"], row["saves"]) for row in
            frame.collect()}  # fmt: skip


def test_near_hashes_count_where_the_embeddings_agree(spark, ctx):
    pins = {1: "a", 2: "a", 3: "b", 4: "c", 5: "d", 6: "e"}
    hashes = {"a": 1 << 63, "b": (1 << 63) | 0b111111, "c": 1 << 63, "d": (1 << 63) | 0b1111111, "e": 7}
    vectors = {1: EAST, 3: NEARLY, 4: NORTH, 5: EAST}
    got = found(image_clusters(tables(spark, ctx, pins, hashes, vectors), ctx))
    # b is six bits from a and one from d, and like both; a and d are seven bits apart, so b takes the nearer one.
    # c has a's very hash and shows another thing; e has no vector, and no near hash
    assert got == {"a": (1, 1, 2, 3), "b": (3, 3, 1, 3), "c": (4, 4, 1, 4), "d": (5, 3, 1, 5), "e": (6, 6, 1, 6)}


def test_pins_as_good_as_equal_are_together_whatever_their_hashes_say(spark, ctx):
    pins = {1: "a", 2: "b", 3: "c"}
    inputs = tables(spark, ctx, pins, {"a": 0, "b": (1 << 40) - 1}, {}, near=[(2, 1, 0.99), (3, 1, 0.97)])
    got = found(image_clusters(inputs, ctx))
    assert {name: row[1] for name, row in got.items()} == {"a": 1, "b": 1, "c": 3}, "c was not measured, and has a row"


def test_a_cluster_keeps_its_id_when_its_first_image_goes(spark, ctx):
    pins = {12: "s12", 13: "s13", 14: "s14"}
    vectors = dict.fromkeys(pins, EAST)
    inputs = tables(spark, ctx, pins, {"s12": 1, "s13": 3, "s14": 1 << 50}, vectors, before={11: 11, 12: 11, 14: 14})
    assert {name: row[1] for name, row in found(image_clusters(inputs, ctx)).items()} == {
        "s12": 11, "s13": 11, "s14": 11
    }  # fmt: skip


def test_no_images_no_clusters(spark, ctx):
    assert image_clusters(tables(spark, ctx, {}, {}, {}), ctx).count() == 0


def test_yesterdays_ids_come_before_those_of_a_horizon_ago(spark, ctx):
    pins = {12: "s12", 13: "s13"}
    inputs = tables(spark, ctx, pins, {"s12": 1, "s13": 3}, dict.fromkeys(pins, EAST), before={12: 11})
    row = {"image_signature": "s12", "image_id": 12, "cluster_id": 9}
    inputs["gold.image_clusters@yesterday"] = build(spark, "gold.image_clusters", [row])
    assert {row[1] for row in found(image_clusters(inputs, ctx)).values()} == {9}


def test_a_day_later_only_new_hashes_are_compared_and_all_pairs_are_there(spark, ctx, monkeypatch):
    def pairs(frame):
        return sorted(tuple(row) for row in frame.select("low", "high", "distance", "radius").collect())

    hashes = {"a": 0, "b": 0b11, "c": 1 << 40, "d": 1 << 50, "late": 0b111}
    first = {1: "a", 2: "b", 3: "c", 5: "late"}
    then = tables(spark, ctx, first, {name: h for name, h in hashes.items() if name != "late"}, {})
    assert pairs(then["gold.hash_pairs"])[:2] == [(0, 0, 0, 6), (0, 3, 2, 6)]
    second = {1: "a", 3: "c", 4: "d", 5: "late"}
    now = tables(spark, ctx, second, hashes, {}) | {"gold.hash_pairs@yesterday": then["gold.hash_pairs"]}
    anew = pairs(now["gold.hash_pairs"])

    def never(*_):
        raise AssertionError("all hashes are compared")

    monkeypatch.setattr("jobs.image_dedup.hash_pairs.hash_pairs", never)
    assert pairs(near_hashes(now, ctx)) == anew
    assert (0, 7, 3, 6) in anew, "an image that was measured late"
    assert not any(3 in row[:2] for row in anew), "a hash that is gone"


def test_a_hard_crop_on_a_secret_board_is_found_by_its_embedding(spark, ctx):
    pins, hashes = {1: "a", 2: "b", 3: "c", 4: "d"}, {"a": 0, "b": (1 << 40) - 1, "c": (1 << 20) - 1, "d": 0xFFFF << 44}
    vectors = {1: EAST, 2: [0.999, 0.0447], 3: NORTH, 4: [0.9, 0.4359]}
    inputs = tables(spark, ctx, pins, hashes, vectors)
    stats = [
        {"pin_id": pin, "image_signature": name, "visibility": "secret" if pin in {2, 3} else "public"}
        for pin, name in pins.items()
    ]
    inputs["gold.pin_stats"] = build(spark, "gold.pin_stats", stats)
    clusters = {name: row[1] for name, row in found(image_clusters(inputs, ctx)).items()}
    assert clusters == {"a": 1, "b": 1, "c": 3, "d": 4}, "d is less alike than duplicate_cosine asks"
