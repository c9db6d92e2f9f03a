"""The same world twice is the same bytes; a folder holds a whole world or none."""

import hashlib

import pytest

from jobs.common.errors import ConfigError
from jobs.settings import Settings
from jobs.settings.simulator import Simulator
from jobs.simulator.write import write_world

SMALL = Simulator(users=50, pins=200, days=4, stream_days=3, image_size=16)


def digests(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write_world(Settings(simulator=SMALL), folder)
    return folder, digests(folder)


@pytest.fixture(scope="module")
def killed_and_redone(tmp_path_factory):
    """Return a folder, and the files in it, after a killed run, leftovers and a second run."""

    class Killed(Exception):
        pass

    def kill(what, done, total):
        if what == "change feed" and done == 3:
            raise Killed

    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(Killed):
        write_world(Settings(simulator=SMALL), folder, kill)
    (folder / "ticdc/app/pins/stale.json").write_text("left over")
    assert not (folder / "world.json").exists()
    assert not write_world(Settings(simulator=SMALL), folder).found
    return folder, digests(folder)


def test_the_same_settings_give_the_same_bytes_even_after_a_killed_run(written, killed_and_redone):
    assert killed_and_redone[1] == written[1]
    assert len(written[1]) > 200


def test_another_seed_gives_another_world(written, tmp_path):
    write_world(Settings(simulator=SMALL.model_copy(update={"seed": 7, "images": False})), tmp_path)
    assert digests(tmp_path)["truth/users.parquet"] != written[1]["truth/users.parquet"]


def test_a_whole_world_is_found_and_left_as_it_is(written):
    folder, before = written
    times = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    summary = write_world(Settings(simulator=SMALL), folder)
    assert summary.found
    assert summary.as_of.isoformat() == "2026-11-01"
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == times
    assert digests(folder) == before


def test_a_folder_that_no_world_wrote_is_left_alone(tmp_path):
    (tmp_path / "ticdc").mkdir()
    (tmp_path / "ticdc/metadata").write_text("mine")
    with pytest.raises(ConfigError, match="ticdc exists but was not written by `pinlake world`"):
        write_world(Settings(simulator=SMALL), tmp_path)
    assert (tmp_path / "ticdc/metadata").read_text() == "mine"


def test_near_duplicates_look_alike_and_others_do_not():
    image = pytest.importorskip("PIL.Image", reason="needs pillow: pip install pillow")
    from io import BytesIO

    import numpy as np

    from jobs.simulator.clock import clock
    from jobs.simulator.entities import make_entities
    from jobs.simulator.images import Painter, _choices

    world = Simulator(users=200, pins=1_500)
    pins = make_entities(world, clock(world)).pins
    copies = np.flatnonzero((pins.original >= 0) & ~pins.same_image)[:20]
    painter = Painter(48)

    def picture(pin):
        choices = _choices(pins, np.array([pin]))[0]
        body = painter.draw(int(pins.topic[pin]), int(pins.color[pin]), int(pins.style[pin]), choices)
        return np.asarray(image.open(BytesIO(body)), float)

    def far(one, other):
        return np.abs(picture(one) - picture(other)).mean()

    close = [far(pin, pins.original[pin]) for pin in copies]
    apart = [far(pin, copies[i - 1]) for i, pin in enumerate(copies)]
    assert np.median(close) * 3 < np.median(apart)
    assert min(close) > 0
