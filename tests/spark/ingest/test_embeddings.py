"""Pins' images embedded by executors: once for each image and model, with pins given the vectors they carry."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from pyspark.sql import functions as F

from jobs.common.errors import ConfigError, SourceError
from jobs.history.as_of import read_as_of
from jobs.ingest.embeddings import job as embeddings
from jobs.schema.bronze_silver import PIN_EMBEDDINGS, PINS
from jobs.schema.images import IMAGE_EMBEDDINGS
from jobs.schema.ops import QUARANTINE
from jobs.settings import Settings
from tests.builders import build
from tests.scenes import lake_at, nothing, worker
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


LATER = CHANGED + timedelta(days=5)
SEVEN = [(1, RED, False), (2, GREEN, False), (3, BLACK, False), (4, BAD, False), (5, GONE, False), (6, RED, False),
         (7, "ee", True)]  # fmt: skip
DARK = [(100 + n, f"cc{n:02d}", False) for n in range(12)]
NEW = (0.5, 0.5, 0.5)
"""Mean of the second model."""


def stand(lake, *told):
    """Make the pins stand as told: id, signature, whether it is gone; each list with the time of its change."""
    rows = [
        {"id": pin, "image_signature": name, "_commit_ts": int(at.timestamp() * 1000) << 18}
        for at, some in told
        for pin, name, _ in some
    ]
    dead = F.col("id").isin([pin for _, some in told for pin, _, gone in some if gone])
    made = build(lake.spark, PINS.name, rows).withColumns({"_deleted": dead, "_op_rank": F.lit(1)})
    lake.ensure(PINS.name)
    lake.rewrite(PINS.name, made)


class Killed(BaseException):
    pass


def killed_at(table):
    def judge(name, *_):
        if name == table.name:
            raise Killed

    return judge


class World:
    """A lake of seven pins, the files of four images, and runs of the job with models that tests make."""

    def __init__(self, lake, folder):
        self.lake, self.folder, self.work = lake, folder, worker(lake)
        stand(lake, (CHANGED, SEVEN))
        for name, body in (FILES | {name: FILES[BLACK] for _, name, _ in DARK}).items():
            file = folder / "images" / name[:2] / f"{name}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)

    def embed(self, body, judge=nothing, **wish):
        path = self.folder / "tiny.onnx"
        path.write_bytes(body)
        settings = Settings.model_validate({"ingest": {"embeddings": wish}})
        options = {"images": str(self.folder), "model": str(path), "work": str(self.folder / "work")}
        return embeddings.run(self.work(judge, settings, **options))

    def refused(self, error, body, judge=nothing, **wish):
        with pytest.raises(error) as raised:
            self.embed(body, judge, **wish)
        return str(raised.value)

    def pins(self):
        """Return pin -> (ts, vector, model) of silver.pin_embeddings, all versions in their order."""
        found = {}
        for row in self.lake.scan(PIN_EMBEDDINGS.name).orderBy("ts").collect():
            assert row["ds"] == row["ts"].date()
            assert row["dim"] * 2 == len(row["embedding"])
            vector = np.frombuffer(row["embedding"], "<f2")
            found.setdefault(row["pin_id"], []).append((row["ts"].replace(tzinfo=UTC), vector, row["model"]))
        return found


@pytest.fixture(scope="module")
def told(spark, tmp_path_factory):
    """Runs one after another: refused, killed twice, whole, with another image, with another model, with a bad one."""
    folder = tmp_path_factory.mktemp("embeddings")
    lake = lake_at(spark, folder / "lake")
    world = World(lake, folder / "sources")
    found = SimpleNamespace(lake=lake)
    found.nothing = embeddings.run(world.work(images=str(world.folder))).counts
    found.unpooled = world.refused(ConfigError, unpooled())
    found.digest = world.refused(ConfigError, halves(), sha256="0" * 64)
    with pytest.raises(SourceError, match=r"none\.onnx"):
        embeddings.run(world.work(images=str(world.folder), model=str(world.folder / "none.onnx")))
    assert not lake.exists(IMAGE_EMBEDDINGS.name), "no image was read"
    # three of five images, killed before they are kept, and then before pins have them
    world.refused(Killed, shares(), killed_at(IMAGE_EMBEDDINGS), max_images=3)
    world.refused(Killed, shares(), killed_at(PIN_EMBEDDINGS), max_images=3)
    found.three = lake.scan(IMAGE_EMBEDDINGS.name).count()
    found.rest = [world.embed(shares(), max_images=1), world.embed(shares())]
    found.again = world.embed(shares())
    found.images = lake.scan(IMAGE_EMBEDDINGS.name).collect()
    found.kept = lake.rows(QUARANTINE.name, "source", "path", "reason", "raw")
    found.pins = world.pins()
    stand(lake, (LATER, [(1, GREEN, False), (2, GREEN, False)]), (CHANGED, SEVEN[2:]))
    found.replaced, found.replaced_pins = world.embed(shares()), world.pins()
    found.at = datetime.now(UTC)
    found.second = world.embed(halves(), mean=NEW)
    found.second_pins = world.pins()
    stand(lake, (LATER, [(1, GREEN, False), (2, GREEN, False)]), (CHANGED, [*SEVEN[2:], *DARK]))
    before = lake.version(IMAGE_EMBEDDINGS.name)
    found.dark = world.refused(ConfigError, shares())
    assert lake.version(IMAGE_EMBEDDINGS.name) == before, "nothing was kept"
    return found


def test_each_image_is_embedded_once_and_each_pin_gets_its_images_vector(told):
    faults = {row["image_signature"]: row["fault"] for row in told.images}
    bad = {BLACK: "nan_embedding", BAD: "truncated_image", GONE: "missing_image"}
    assert (faults, len(told.images)) == ({RED: None, GREEN: None} | bad, 5)
    assert sorted(told.pins) == [1, 2, 6]
    np.testing.assert_allclose(told.pins[1][0][1], [1, 0, 0], atol=1e-3)
    np.testing.assert_allclose(told.pins[2][0][1], [0, 1, 0], atol=1e-3)
    assert {one[0][0] for one in told.pins.values()} == {CHANGED}, "known as soon as the pin carried its image"
    assert sorted((row["path"], row["reason"], row["raw"]) for row in told.kept) == [
        ("images/bb/bb03.jpg", "nan_embedding", FILES[BLACK]), ("images/bc/bc04.jpg", "truncated_image", FILES[BAD])
    ]  # fmt: skip
    assert set(told.again.counts.values()) == {0}
    assert told.again.detail == told.rest[1].detail


def test_killed_anywhere_nothing_stands_twice_and_the_surplus_waits(told):
    one, two = (run.counts for run in told.rest)
    assert told.three == 3, "kept by the run that was killed after it"
    assert [run["embedded"] + run["missing"] + run["quarantined"] for run in (one, two)] == [1, 1]
    assert [run["waiting"] for run in (one, two)] == [1, 0]
    assert one["pins"] + two["pins"] == 3
    assert [len(rows) for rows in told.pins.values()] == [1, 1, 1]


def test_another_image_makes_another_row(told):
    assert told.replaced.counts["pins"] == 1, "of the other pin only the title changed"
    assert [at for at, *_ in told.replaced_pins[1]] == [CHANGED, LATER]
    np.testing.assert_allclose(told.replaced_pins[1][1][1], [0, 1, 0], atol=1e-3)
    assert [at for at, *_ in told.replaced_pins[2]] == [CHANGED]


def test_another_model_makes_other_rows_and_old_cuts_stay(told):
    first = told.again.detail["model"]
    assert told.second.counts["embedded"] == 3, "black has a direction once the mean is taken away"
    assert told.second.detail["model"] != first
    newest = {pin: rows[-1] for pin, rows in told.second_pins.items()}
    assert {model for *_, model in newest.values()} == {told.second.detail["model"]}
    np.testing.assert_allclose(newest[1][1], unit(-1, 1, -1, -1, 1, -1), atol=1e-3)
    assert all(at >= told.at - timedelta(seconds=1) for at, *_ in newest.values()), "what was told before stays"
    between = (CHANGED + timedelta(days=2)).date()
    old = {row["pin_id"]: row for row in read_as_of(told.lake, PIN_EMBEDDINGS.name, between).collect()}
    assert {row["model"] for row in old.values()} == {first}
    np.testing.assert_allclose(np.frombuffer(old[1]["embedding"], "<f2"), [1, 0, 0], atol=1e-3)


def test_what_cannot_be_is_said_before_any_image_is_read(told):
    assert told.nothing == {}, "without a model there is nothing to do"
    assert "tiny.onnx" in told.unpooled
    assert "--output" in told.unpooled
    assert "SHA-256" in told.digest


def test_a_model_that_makes_no_vector_of_any_image_keeps_nothing(told):
    assert "12 nan_embedding" in told.dark
