"""Pins' images measured by executors: once each, damage in quarantine, a missing file looked for again."""

import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pyspark.sql import functions as F

from jobs.ingest.images import job as images_job
from jobs.schema.bronze_silver import PINS
from jobs.schema.images import IMAGE_FEATURES
from jobs.schema.ops import QUARANTINE
from jobs.settings import Settings
from tests.builders import build

pytestmark = pytest.mark.spark

GOOD, SAME, BAD, GONE = "aa01", "ab02", "bc03", "bd04"


def drawn(shift=0):
    image = Image.new("RGB", (200, 150), "#3050d0")
    ImageDraw.Draw(image).ellipse((40 + shift, 30, 120 + shift, 110), fill="#e0c030")
    body = io.BytesIO()
    image.save(body, "JPEG", quality=85)
    return body.getvalue()


@pytest.fixture
def pins(lake, tmp_path):
    """Five pins, two of one image, one deleted; files for three images, one of them cut short."""
    told = [(1, GOOD, False), (2, SAME, False), (3, BAD, False), (4, GONE, False), (5, GOOD, False), (6, "ee", True)]
    rows = [{"id": pin, "image_signature": name} for pin, name, _ in told]
    dead = F.col("id").isin([pin for pin, _, gone in told if gone])
    lake.append(PINS.name, build(lake.spark, PINS.name, rows).withColumns({"_deleted": dead, "_op_rank": F.lit(1)}))
    for name, body in {GOOD: drawn(), SAME: drawn(2), BAD: drawn()[:900]}.items():
        file = tmp_path / "sources/images" / name[:2] / f"{name}.jpg"
        file.parent.mkdir(parents=True)
        file.write_bytes(body)
    return tmp_path / "sources"


def rows(lake):
    return {row["image_signature"]: row for row in lake.scan(IMAGE_FEATURES.name).collect()}


def test_each_image_is_measured_once_and_what_is_none_is_set_aside(lake, work, pins):
    done = images_job.run(work(images=str(pins)))
    assert done.counts == {"measured": 2, "missing": 1, "quarantined": 1, "waiting": 0}
    found = rows(lake)
    assert {name: row["fault"] for name, row in found.items()} == {
        GOOD: None, SAME: None, BAD: "truncated_image", GONE: "missing_image"
    }  # fmt: skip
    assert (found[GOOD]["width"], found[GOOD]["height"], found[GOOD]["style"]) == (200, 150, "vivid-plain")
    assert (found[GOOD]["phash"] ^ found[SAME]["phash"]).bit_count() <= 6
    shares = np.frombuffer(found[GOOD]["histogram"], "<f2")
    assert shares.sum() == pytest.approx(1, abs=0.01)
    (bad,) = lake.rows(QUARANTINE.name, "source", "table", "path", "reason", "raw")
    assert bad == {
        "source": "images", "table": "app.pins", "path": "images/bc/bc03.jpg", "reason": "truncated_image",
        "raw": drawn()[:900],
    }  # fmt: skip
    assert images_job.run(work(images=str(pins))).counts == dict.fromkeys(done.counts, 0)


def test_with_every_image_measured_and_the_same_pins_no_query_runs(lake, work, pins, spark):
    gone = pins / "images" / GONE[:2] / f"{GONE}.jpg"
    gone.parent.mkdir(parents=True, exist_ok=True)
    gone.write_bytes(drawn(4))
    first = images_job.run(work(images=str(pins))).counts
    assert first == {"measured": 3, "missing": 0, "quarantined": 1, "waiting": 0}
    jobs = spark._jsc.sc().dagScheduler()
    before = jobs.numTotalJobs()
    assert images_job.run(work(images=str(pins))).counts == dict.fromkeys(first, 0)
    assert jobs.numTotalJobs() == before
    more = build(lake.spark, PINS.name, [{"id": 7, "image_signature": "be05"}])
    lake.append(PINS.name, more.withColumns({"_deleted": F.lit(False), "_op_rank": F.lit(1)}))
    assert images_job.run(work(images=str(pins))).counts["missing"] == 1, "other pins are looked through"


def test_a_missing_image_is_looked_for_on_a_later_day_and_the_surplus_waits(lake, work, pins, monkeypatch):
    few = Settings.model_validate({"ingest": {"images": {"max_images": 3}}})
    first = images_job.run(work(settings=few, images=str(pins))).counts
    assert first["waiting"] == 1
    second = images_job.run(work(settings=few, images=str(pins))).counts
    assert sum(first.values()) - 1 + sum(second.values()) == 4
    late = pins / "images" / GONE[:2] / f"{GONE}.jpg"
    late.parent.mkdir()
    late.write_bytes(drawn(9))
    assert not images_job.run(work(images=str(pins))).counts["measured"], "looked for an hour ago"
    path = lake.path(IMAGE_FEATURES.name)
    ago = F.lit(datetime.now(UTC) - timedelta(days=1))
    lake.delta(IMAGE_FEATURES.name).update(F.col("fault") == "missing_image", {"at": ago})
    assert images_job.run(work(images=str(pins))).counts["measured"] == 1
    good = lake.spark.read.format("delta").load(path).where("fault is null")
    assert good.count() == good.select("image_signature").distinct().count() == 3


def test_killed_after_the_quarantine_nothing_is_set_aside_twice(lake, work, pins, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(name, *_):
        raise Killed

    with pytest.raises(Killed):
        images_job.run(work(judge=killed, images=str(pins)))
    assert not lake.scan(IMAGE_FEATURES.name).count()
    images_job.run(work(images=str(pins)))
    assert len(lake.rows(QUARANTINE.name, "path")) == 1
    assert len(rows(lake)) == 4


def test_without_images_there_is_nothing_to_do(lake, work):
    assert images_job.run(work()).counts == {}
