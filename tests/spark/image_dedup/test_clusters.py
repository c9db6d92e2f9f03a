"""gold.image_clusters: images of the same thing together, worked out by hand.

The job runs over all cases at once, each with pins, hashes and embeddings that are far from those of the others.
"""

from datetime import date
from itertools import combinations

import numpy as np
import pytest

from jobs.engine.context import Context
from jobs.image_dedup.hash_pairs import near_hashes
from jobs.image_dedup.image_clusters import image_clusters
from jobs.schema.images import IMAGE_FEATURES
from jobs.settings import Settings
from tests.builders import build

pytestmark = pytest.mark.spark

EAST, NEARLY, NORTH = [1.0, 0.0], [0.97, 0.2431], [0.0, 1.0]
HASHES, EQUAL, STABLE, CROP = range(0, 400, 100)
APART = np.random.default_rng(5).integers(0, 2**64, 4, dtype=np.uint64)
"""What the hashes of a case are turned by."""


def case(at, pins, hashes, vectors=(), near=(), before=(), private=()):
    """Return the rows of each table, pins from `at` on.

    `pins`: pin -> image; `hashes`: image -> hash; `vectors`: pin -> embedding, in a plane of the case's own; `before`:
    pin -> cluster of its image.
    """
    turn, place = int(APART[at // 100]) if at else 0, at // 50
    return {
        "gold.pin_stats": [
            {"pin_id": at + pin, "image_signature": f"{at}{name}", "saves": pin,
             "visibility": "secret" if pin in private else "public"}
            for pin, name in pins.items()
        ],
        IMAGE_FEATURES.name: [
            {"image_signature": f"{at}{name}", "phash": np.uint64(h ^ turn).astype(np.int64).item()}
            for name, h in hashes.items()
        ],
        "silver.pin_embeddings": [
            {"pin_id": at + pin, "embedding": [*[0.0] * place, *vector, *[0.0] * (6 - place)]}
            for pin, vector in dict(vectors).items()
        ],
        "gold.pin_neighbours": [
            {"pin_id": at + a, "neighbour_id": at + b, "score": s, "rank": 1} for a, b, s in near
        ],
        "gold.image_clusters@yesterday": [
            {"image_signature": "x", "image_id": at + pin, "cluster_id": at + c} for pin, c in dict(before).items()
        ],
    }  # fmt: skip


def tables(spark, ctx, *cases):
    """Return what the job reads."""
    names = (*cases[0], "gold.image_clusters@horizon", "gold.hash_pairs@yesterday", "gold.ann_index")
    rows = {name: [row for one in cases for row in one.get(name, [])] for name in names}
    inputs = {name: build(spark, name.split("@")[0], found) for name, found in rows.items()}
    return inputs | {"gold.hash_pairs": near_hashes(inputs, ctx).localCheckpoint()}


def found(frame, at=0):
    """Return what became of the images of a case."""
    return {
        row["image_signature"].removeprefix(str(at)): (
            row["image_id"] - at, row["cluster_id"] - at, row["pins"], row["saves"])
        for row in frame if at <= row["image_id"] < at + 100
    }  # fmt: skip


CASES = (
    case(
        HASHES,
        {1: "a", 2: "a", 3: "b", 4: "c", 5: "d", 6: "e"},
        {"a": 1 << 63, "b": (1 << 63) | 0b111111, "c": 1 << 63, "d": (1 << 63) | 0b1111111, "e": 7},
        {1: EAST, 3: NEARLY, 4: NORTH, 5: EAST},
    ),
    case(EQUAL, {1: "a", 2: "b", 3: "c"}, {"a": 0, "b": (1 << 40) - 1}, near=[(2, 1, 0.99), (3, 1, 0.97)]),
    case(STABLE, {12: "a", 13: "b", 14: "c"}, {"a": 1, "b": 3, "c": 1 << 50}, dict.fromkeys((12, 13, 14), EAST),
         before={11: 11, 12: 11, 14: 14}),
    case(
        CROP,
        {1: "a", 2: "b", 3: "c", 4: "d"},
        {"a": 0, "b": (1 << 40) - 1, "c": (1 << 20) - 1, "d": 0xFFFF << 44},
        {1: EAST, 2: [0.999, 0.0447], 3: NORTH, 4: [0.9, 0.4359]},
        private={2, 3},
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def clustered(spark):
    """Return the clusters of all cases; of a horizon ago each image is known under another id."""
    ctx = Context(Settings(), date(2026, 11, 1))
    inputs = tables(spark, ctx, *CASES)
    then = [{"image_signature": "x", "image_id": STABLE + pin, "cluster_id": 9} for pin in (12, 13, 14)]
    inputs["gold.image_clusters@horizon"] = build(spark, "gold.image_clusters", then)
    return image_clusters(inputs, ctx).collect()


def test_the_cases_hashes_are_far_from_one_another():
    sets = [[row["phash"] % 2**64 for row in one[IMAGE_FEATURES.name]] for one in CASES]
    assert min((a ^ b).bit_count() for one, two in combinations(sets, 2) for a in one for b in two) > 6


def test_near_hashes_count_where_the_embeddings_agree(clustered):
    # b is six bits from a and one from d, and like both; a and d are seven bits apart, so b takes the nearer one.
    # c has a's very hash and shows another thing; e has no vector, and no near hash
    assert found(clustered) == {"a": (1, 1, 2, 3), "b": (3, 3, 1, 3), "c": (4, 4, 1, 4), "d": (5, 3, 1, 5),
                                "e": (6, 6, 1, 6)}  # fmt: skip


def test_pins_as_good_as_equal_are_together_whatever_their_hashes_say(clustered):
    got = {name: row[1] for name, row in found(clustered, EQUAL).items()}
    assert got == {"a": 1, "b": 1, "c": 3}, "c was not measured, and has a row"


def test_a_cluster_keeps_yesterdays_id_when_its_first_image_goes(clustered):
    assert {name: row[1] for name, row in found(clustered, STABLE).items()} == {"a": 11, "b": 11, "c": 11}


def test_a_hard_crop_on_a_secret_board_is_found_by_its_embedding(clustered):
    clusters = {name: row[1] for name, row in found(clustered, CROP).items()}
    assert clusters == {"a": 1, "b": 1, "c": 3, "d": 4}, "d is less alike than duplicate_cosine asks"


def test_without_yesterdays_clusters_ids_are_those_of_a_horizon_ago(spark, ctx):
    """On images of which there are neither embeddings nor near hashes."""
    inputs = tables(spark, ctx, case(0, {12: "a", 13: "b"}, {"a": 1, "b": 1 << 50 | 0xFFFF}))
    row = {"image_signature": "x", "image_id": 12, "cluster_id": 11}
    inputs["gold.image_clusters@horizon"] = build(spark, "gold.image_clusters", [row])
    assert {name: row[1] for name, row in found(image_clusters(inputs, ctx).collect()).items()} == {"a": 11, "b": 13}


@pytest.mark.long
def test_no_images_no_clusters(spark, ctx):
    assert image_clusters(tables(spark, ctx, case(0, {}, {})), ctx).count() == 0


def test_a_day_later_only_new_hashes_are_compared_and_all_pairs_are_there(spark, ctx, monkeypatch):
    def pairs(frame):
        return sorted(tuple(row) for row in frame.select("low", "high", "distance", "radius").collect())

    hashes = {"a": 0, "b": 0b11, "c": 1 << 40, "d": 1 << 50, "late": 0b111}
    first = {1: "a", 2: "b", 3: "c", 5: "late"}
    then = tables(spark, ctx, case(0, first, {name: h for name, h in hashes.items() if name != "late"}))
    assert pairs(then["gold.hash_pairs"])[:2] == [(0, 0, 0, 6), (0, 3, 2, 6)]
    second = {1: "a", 3: "c", 4: "d", 5: "late"}
    now = tables(spark, ctx, case(0, second, hashes)) | {"gold.hash_pairs@yesterday": then["gold.hash_pairs"]}
    anew = pairs(now["gold.hash_pairs"])

    def never(*_):
        raise AssertionError("all hashes are compared")

    monkeypatch.setattr("jobs.image_dedup.hash_pairs.hash_pairs", never)
    assert pairs(near_hashes(now, ctx)) == anew
    assert (0, 7, 3, 6) in anew, "an image that was measured late"
    assert not any(3 in row[:2] for row in anew), "a hash that is gone"
