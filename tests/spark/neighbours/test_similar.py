"""Pins most like an image: the likest first, public ones alone, not all of one kind."""

import numpy as np
import pytest
from pyspark.sql import functions as F

from jobs.lake.table_frames import struct_of
from jobs.neighbours.similar import QueryImage, SimilarPin, diversified, hue, similar
from jobs.schema.images import IMAGE_FEATURES
from tests.builders import build

pytestmark = pytest.mark.spark

RED, BLUE = (np.eye(256, dtype="<f2")[at] for at in (15, 175))


def images(spark, told):
    """`told`: signature -> (hash, histogram, color, style)."""
    rows = [
        (name, 10, 10, h - (1 << 64) if h >> 63 else h, histogram.tobytes(), [color], style, None, None, "run")
        for name, (h, histogram, color, style) in told.items()
    ]
    rows.append(("lost", None, None, None, None, None, None, "missing_image", None, "run"))
    struct = struct_of(IMAGE_FEATURES)
    for field in struct.fields:
        field.nullable = True
    return spark.createDataFrame(rows, struct).withColumn("at", F.current_timestamp())


def stats(spark, pins):
    return build(spark, "gold.pin_stats", [{"pin_id": pin, "image_signature": name} | more for pin, name, more in pins])


def test_the_likest_public_pins_come_first(spark):
    told = {
        "same": (7, RED, "#ff0000", "vivid-plain"), "shape": (7, BLUE, "#0000ff", "vivid-plain"),
        "color": ((1 << 63) | 0xFFFFFFFFFF, RED, "#ff0000", "vivid-plain"),
        "hidden": (7, RED, "#ff0000", "vivid-plain"),
    }  # fmt: skip
    pins = [(1, "same", {"popularity": 1.0}), (2, "same", {"popularity": 2.0}), (3, "shape", {}), (4, "color", {}),
            (5, "hidden", {"visibility": "secret"}), (6, "lost", {})]  # fmt: skip
    found = similar(images(spark, told), stats(spark, pins), QueryImage(7, RED.astype(np.float32)), 10)
    # of equal images the pin that is liked best; then the one of another color
    assert [(one.pin_id, one.score) for one in found] == [(2, 1.0), (3, 0.5), (4, 0.5)]
    assert {one.style for one in found} == {"vivid-plain"}, "how it looks, not what its maker said"


def one(pin, score, h, color="red", style="vivid-plain", category="art"):
    return SimilarPin(pin, f"s{pin}", score, h, color, style, category)


def test_pins_of_another_kind_come_before_the_likest_of_the_same():
    pool = [one(1, 0.90, 0xFF), one(2, 0.89, 0xFF00), one(3, 0.80, 0xFF0000, "blue", "dark-busy", "food")]
    assert [found.pin_id for found in diversified(pool, 3)] == [1, 3, 2]
    assert [found.pin_id for found in diversified(pool, 1)] == [1]
    assert [found.pin_id for found in diversified([one(1, 0.9, 0xFF), one(2, 0.89, 0x7F)], 2)] == [1]
    assert len(diversified([one(1, 0.9, 0xFF), one(2, 0.89, 0x7F, "blue")], 2)) == 2


@pytest.mark.parametrize(
    ("color", "name"), [("#ff0000", "red"), ("#3050d0", "blue"), ("#808080", "gray"), ("#101018", "gray")]
)
def test_hues_have_the_names_people_give_them(color, name):
    assert hue(color) == name
