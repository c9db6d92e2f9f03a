"""Pins' images measured by executors: once each, damage in quarantine, a missing file looked for again."""

import io
from types import SimpleNamespace

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
from tests.scenes import lake_at, worker

pytestmark = pytest.mark.spark

GOOD, SAME, BAD, GONE = "aa01", "ab02", "bc03", "bd04"


def drawn(shift=0):
    image = Image.new("RGB", (200, 150), "#3050d0")
    ImageDraw.Draw(image).ellipse((40 + shift, 30, 120 + shift, 110), fill="#e0c030")
    body = io.BytesIO()
    image.save(body, "JPEG", quality=85)
    return body.getvalue()


def pins_of(lake, told):
    """Return rows of silver.app_pins: id, signature, whether it is gone."""
    rows = [{"id": pin, "image_signature": name} for pin, name, _ in told]
    dead = F.col("id").isin([pin for pin, _, gone in told if gone])
    return build(lake.spark, PINS.name, rows).withColumns({"_deleted": dead, "_op_rank": F.lit(1)})


def put(folder, name, body):
    file = folder / "images" / name[:2] / f"{name}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)


class Killed(BaseException):
    pass


def killed(*_):
    raise Killed


@pytest.fixture(scope="module")
def told(spark, tmp_path_factory):
    """Six pins, two of one image, one deleted; files for three images, one of them cut short. Runs one by one.

    The third is killed when its rows are judged; of the fourth on, the missing image has come.
    """
    folder = tmp_path_factory.mktemp("images")
    lake, sources = lake_at(spark, folder / "lake"), folder / "sources"
    work = worker(lake)

    def run(settings=None, **more):
        options = {"images": str(sources), **more}
        return images_job.run(work(settings=images(**(settings or {})), **options)).counts

    runs = {"no images": images_job.run(work(images=None)).counts, "no pins": run()}
    six = [(1, GOOD, False), (2, SAME, False), (3, BAD, False), (4, GONE, False), (5, GOOD, False), (6, "ee", True)]
    lake.append(PINS.name, pins_of(lake, six))
    for name, body in {GOOD: drawn(), SAME: drawn(2), BAD: drawn()[:900]}.items():
        put(sources, name, body)
    with pytest.raises(Killed):
        run(judge=killed)
    kept = lake.rows(QUARANTINE.name, "path"), lake.scan(IMAGE_FEATURES.name).count()
    runs["few"] = run({"max_images": 3})
    runs["rest"] = run()
    found = rows(lake)
    put(sources, GONE, drawn(9))
    runs["soon"] = run()
    runs["later"] = run({"retry_hours": 0})
    jobs = spark._jsc.sc().dagScheduler()
    before = jobs.numTotalJobs()
    runs["same pins"] = run()
    queries = jobs.numTotalJobs() - before
    lake.append(PINS.name, pins_of(lake, [(7, "be05", False)]))
    runs["one pin more"] = run()
    return SimpleNamespace(lake=lake, runs=runs, rows=found, kept=kept, queries=queries)


def images(**wish):
    return Settings.model_validate({"ingest": {"images": wish}})


def rows(lake):
    return {row["image_signature"]: row for row in lake.scan(IMAGE_FEATURES.name).collect()}


NOTHING = {"measured": 0, "missing": 0, "quarantined": 0, "waiting": 0}


def test_each_image_is_measured_once_and_the_surplus_waits(told):
    few, rest = told.runs["few"], told.runs["rest"]
    assert (few["waiting"], rest["waiting"]) == (1, 0)
    together = {name: few[name] + rest[name] for name in ("measured", "missing", "quarantined")}
    assert together == {"measured": 2, "missing": 1, "quarantined": 1}
    found = told.rows
    assert {name: row["fault"] for name, row in found.items()} == {
        GOOD: None, SAME: None, BAD: "truncated_image", GONE: "missing_image"
    }  # fmt: skip
    assert (found[GOOD]["width"], found[GOOD]["height"], found[GOOD]["style"]) == (200, 150, "vivid-plain")
    assert (found[GOOD]["phash"] ^ found[SAME]["phash"]).bit_count() <= 6
    shares = np.frombuffer(found[GOOD]["histogram"], "<f2")
    assert shares.sum() == pytest.approx(1, abs=0.01)


def test_what_is_no_image_is_set_aside_once_though_a_run_was_killed_after_it(told):
    assert told.kept == ([{"path": "images/bc/bc03.jpg"}], 0), "in quarantine, and not measured yet"
    (bad,) = told.lake.rows(QUARANTINE.name, "source", "table", "path", "reason", "raw")
    assert bad == {
        "source": "images", "table": "app.pins", "path": "images/bc/bc03.jpg", "reason": "truncated_image",
        "raw": drawn()[:900],
    }  # fmt: skip


def test_a_missing_image_is_looked_for_when_hours_have_passed(told):
    assert told.runs["soon"] == NOTHING
    assert told.runs["later"] == NOTHING | {"measured": 1}
    good = [row["image_signature"] for row in told.lake.scan(IMAGE_FEATURES.name).where("fault is null").collect()]
    assert sorted(good) == [GOOD, SAME, GONE]


def test_with_every_image_measured_and_the_same_pins_no_query_runs(told):
    assert (told.runs["same pins"], told.queries) == (NOTHING, 0)
    assert told.runs["one pin more"] == NOTHING | {"missing": 1}, "other pins are looked through"


def test_without_images_or_pins_there_is_nothing_to_do(told):
    assert (told.runs["no images"], told.runs["no pins"]) == ({}, {})
