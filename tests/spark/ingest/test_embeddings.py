"""Pins' images embedded by executors: once for each image and model, with pins given the vectors they carry."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import functions as F

from jobs.common.errors import ConfigError, SourceError
from jobs.engine.context import Context
from jobs.history.as_of import read_as_of
from jobs.ingest.embeddings import job as embeddings
from jobs.schema.bronze_silver import PIN_EMBEDDINGS, PINS
from jobs.schema.images import IMAGE_EMBEDDINGS
from jobs.schema.ops import QUARANTINE
from jobs.settings import Settings
from tests.builders import build
from tests.smallmodels import halves, shares, two_colors, unit, unpooled

pytestmark = pytest.mark.spark

RED, GREEN, BLACK, BAD, GONE = "aa01", "ab02", "bb03", "bc04", "bd05"
FILES = {
    RED: two_colors((255, 0, 0), (255, 0, 0)),
    GREEN: two_colors((0, 255, 0), (0, 255, 0)),
    BLACK: two_colors((0, 0, 0), (0, 0, 0)),
    BAD: two_colors((9, 9, 9), (1, 1, 1))[:60],
}
CHANGED = datetime(2026, 7, 24, tzinfo=UTC)
"""When the pins of `pins` changed last: what tests' rows are unless they say otherwise."""


def put(lake, told, change=CHANGED):
    """Make the pins stand as told: id, signature, whether it is gone."""
    rows = [{"id": pin, "image_signature": name, "_commit_ts": _tso(change)} for pin, name, _ in told]
    dead = F.col("id").isin([pin for pin, _, gone in told if gone])
    made = build(lake.spark, PINS.name, rows).withColumns({"_deleted": dead, "_op_rank": F.lit(1)})
    if lake.exists(PINS.name):
        lake.delta(PINS.name).delete(F.col("id").isin([pin for pin, *_ in told]))
    lake.append(PINS.name, made)


def _tso(at):
    return int(at.timestamp() * 1000) << 18


@pytest.fixture
def sources(lake, tmp_path):
    told = [(1, RED, False), (2, GREEN, False), (3, BLACK, False), (4, BAD, False), (5, GONE, False), (6, RED, False),
            (7, "ee", True)]  # fmt: skip
    put(lake, told)
    for name, body in FILES.items():
        file = tmp_path / "sources/images" / name[:2] / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    return tmp_path / "sources"


@pytest.fixture
def embed(work, sources, tmp_path):
    """Run the job with a model of these bytes and settings; a second call is a later run."""

    def run(body, judge=None, **wish):
        path = tmp_path / "models" / "tiny.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
        settings = Settings.model_validate({"ingest": {"embeddings": wish}})
        options = {"images": str(sources), "model": str(path), "work": str(tmp_path / "work")}
        more = {"judge": judge} if judge else {}
        return embeddings.run(work(settings=settings, **more, **options))

    return run


def pins(lake):
    """Return pin -> (ts, vector) of silver.pin_embeddings, all versions in their order."""
    found = {}
    for row in lake.scan(PIN_EMBEDDINGS.name).orderBy("ts").collect():
        assert row["ds"] == row["ts"].date()
        assert row["dim"] * 2 == len(row["embedding"])
        vector = np.frombuffer(row["embedding"], "<f2")
        found.setdefault(row["pin_id"], []).append((row["ts"].replace(tzinfo=UTC), vector))
    return found


def test_each_image_is_embedded_once_and_each_pin_gets_its_images_vector(lake, embed):
    done = embed(shares())
    assert done.counts == {
        "embedded": 2, "missing": 1, "quarantined": 2, "on_gpu": 0, "pins": 3, "waiting": 0
    }  # fmt: skip
    faults = {row["image_signature"]: row["fault"] for row in lake.scan(IMAGE_EMBEDDINGS.name).collect()}
    bad = {BLACK: "nan_embedding", BAD: "truncated_image", GONE: "missing_image"}
    assert faults == {RED: None, GREEN: None} | bad
    found = pins(lake)
    assert sorted(found) == [1, 2, 6]
    np.testing.assert_allclose(found[1][0][1], [1, 0, 0], atol=1e-3)
    np.testing.assert_allclose(found[2][0][1], [0, 1, 0], atol=1e-3)
    assert {one[0][0] for one in found.values()} == {CHANGED}, "known as soon as the pin carried its image"
    kept = lake.rows(QUARANTINE.name, "source", "path", "reason", "raw")
    assert sorted((row["path"], row["reason"], row["raw"]) for row in kept) == [
        ("images/bb/bb03.jpg", "nan_embedding", FILES[BLACK]), ("images/bc/bc04.jpg", "truncated_image", FILES[BAD])
    ]  # fmt: skip
    again = embed(shares())
    assert set(again.counts.values()) == {0}
    assert again.detail == done.detail


def test_another_image_or_another_model_makes_another_row_and_old_cuts_stay(lake, embed, settings):
    first = embed(halves()).detail["model"]
    later = CHANGED + timedelta(days=5)
    put(lake, [(1, GREEN, False), (2, GREEN, False)], later)
    assert embed(halves()).counts["pins"] == 1, "of the other pin only the title changed"
    assert [at for at, _ in pins(lake)[1]] == [CHANGED, later]
    between = Context(settings, (CHANGED + timedelta(days=2)).date())
    old = {row["pin_id"]: row for row in read_as_of(lake, PIN_EMBEDDINGS.name, between.as_of).collect()}
    np.testing.assert_allclose(np.frombuffer(old[1]["embedding"], "<f2"), unit(1, 0, 0, 1, 0, 0), atol=1e-3)
    before = datetime.now(UTC)
    second = embed(halves(), mean=(0.5, 0.5, 0.5))
    assert second.counts["embedded"] == 3, "black has a direction once the mean is taken away"
    assert second.detail["model"] != first
    newest = {pin: rows[-1] for pin, rows in pins(lake).items()}
    assert all(at >= before - timedelta(seconds=1) for at, _ in newest.values()), "what was told before stays as it was"
    old = {row["pin_id"]: row["model"] for row in read_as_of(lake, PIN_EMBEDDINGS.name, between.as_of).collect()}
    assert set(old.values()) == {first}


def test_killed_anywhere_nothing_stands_twice(lake, embed):
    class Killed(BaseException):
        pass

    for table in (IMAGE_EMBEDDINGS.name, PIN_EMBEDDINGS.name):

        def killed(name, *_, table=table):
            if name == table:
                raise Killed

        with pytest.raises(Killed):
            embed(shares(), judge=killed)
    assert embed(shares()).counts["pins"] == 3
    assert lake.scan(IMAGE_EMBEDDINGS.name).count() == 5
    assert lake.scan(PIN_EMBEDDINGS.name).count() == 3
    assert lake.scan(QUARANTINE.name).count() == 2


def test_the_surplus_waits(embed):
    first = embed(shares(), max_images=3)
    assert first.counts["waiting"] == 2
    assert embed(shares(), max_images=3).counts["waiting"] == 0


def test_what_cannot_be_is_said_before_any_image_is_read(lake, work, embed, sources):
    with pytest.raises(ConfigError, match=r"tiny\.onnx.*--output"):
        embed(unpooled())
    with pytest.raises(ConfigError, match="SHA-256"):
        embed(halves(), sha256="0" * 64)
    with pytest.raises(SourceError, match=r"none\.onnx"):
        embeddings.run(work(images=str(sources), model=str(sources / "none.onnx")))
    assert not lake.exists(IMAGE_EMBEDDINGS.name)


def test_a_model_that_makes_no_vector_of_any_image_keeps_nothing(lake, embed, sources):
    dark = [(100 + n, f"cc{n:02d}", False) for n in range(12)]
    lake.delta(PINS.name).delete()
    put(lake, dark)
    for _, name, _ in dark:
        (sources / "images/cc").mkdir(exist_ok=True)
        (sources / "images/cc" / f"{name}.jpg").write_bytes(FILES[BLACK])
    with pytest.raises(ConfigError, match="12 nan_embedding"):
        embed(shares())
    assert not lake.scan(IMAGE_EMBEDDINGS.name).count()


def test_without_a_model_there_is_nothing_to_do(lake, work, sources):
    assert embeddings.run(work(images=str(sources))).counts == {}
    assert not lake.exists(IMAGE_EMBEDDINGS.name)
