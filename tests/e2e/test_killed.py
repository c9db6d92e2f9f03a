"""SIGKILL at any moment, a full disk, a lost source; then the same command: the same tables, the same generation."""

import re
import shutil
import subprocess

import pytest

from tests.commands import Place, kill_when, small_world

pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(2400)]

KINDS = {
    "features.interactions": "gold.interactions",
    "candidates.content": "gold.candidates",
    "ranking.ranked": "gold.ranked",
    "related.pins": "gold.related_pins",
    "ranking.evaluations": "gold.evaluations",
}
"""A job of each kind -> its table: one that reads events, a slice of a table, the heaviest, a search, a judge."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A lake that nothing happened to."""
    folder = tmp_path_factory.mktemp("killed")
    place = Place(folder / "whole", small_world(folder))
    place.run("flow")
    return place


class Disk:
    """A file system of its own, of a size that can be changed."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self._mount("size=1m")

    def _mount(self, how):
        subprocess.run(["mount", "-t", "tmpfs", "-o", how, "pinlake", str(self.folder)], check=True)

    def leave(self, megabytes):
        """Leave so much room."""
        self._mount(f"remount,size={(shutil.disk_usage(self.folder).used >> 20) + megabytes}m")


@pytest.fixture
def disk(tmp_path):
    try:
        made = Disk(tmp_path / "disk")
    except subprocess.CalledProcessError:
        pytest.skip("a disk of a few megabytes can be mounted by root only")
    yield made
    subprocess.run(["umount", "--lazy", str(made.folder)], check=True)


def commits(place, pattern):
    return set(place.lake.glob(f"{pattern}/_delta_log/*.json"))


def files(place, pattern):
    return {path for path in place.lake.glob(f"{pattern}/**/*.parquet") if "_delta_log" not in path.parts}


def logged(place, sentence):
    logs = (place.folder / "work" / "logs").glob("*.jsonl")
    return sum(file.read_text().count(sentence) for file in logs)


def moments(place, pattern):
    """Return when -> whether it has come: before, during and after the commit of what matches `pattern`."""
    started, wrote, committed = logged(place, "run started"), files(place, pattern), commits(place, pattern)
    return {
        "before": lambda: logged(place, "run started") > started,
        "during": lambda: files(place, pattern) > wrote,
        "after": lambda: commits(place, pattern) > committed,
    }


def test_ingest_killed_at_any_moment_is_made_up_for(whole, tmp_path):
    place = Place(tmp_path, whole.world)
    for pattern, moment in (
        ("bronze/*", "before"),
        ("bronze/*", "during"),
        ("silver/*", "after"),
        ("silver/pin_events", "during"),
    ):
        kill_when(place.start("ingest"), moments(place, pattern)[moment])
    place.run("flow")
    assert place.tables() == whole.tables()
    assert place.served() == whole.served()


def test_each_kind_of_job_killed_at_any_moment_leaves_its_table_as_it_was(whole, tmp_path):
    place = Place(tmp_path, whole.world)
    shutil.copytree(whole.lake, place.lake)
    shutil.copytree(whole.store, place.store)
    for job, name in KINDS.items():
        for moment in ("before", "during", "after"):
            at = moments(place, name.replace(".", "/"))[moment]
            kill_when(place.start("run", job, "--force"), at)
            # the rows it was about to write are those that are there: a half state would show
            assert place.table(name) == whole.table(name), f"{job} killed {moment} its commit"
            assert place.served() == whole.served()
    place.run("flow")
    assert place.tables() == whole.tables()
    assert place.served() == whole.served()


def test_publish_killed_at_any_moment_serves_nothing_or_all(whole, tmp_path):
    place = Place(tmp_path, whole.world)
    shutil.copytree(whole.lake, place.lake)
    store = place.store
    for happened in (
        lambda: logged(place, "run started") > 0,
        lambda: any(store.glob("*.loading/parts/*.sst")),
        lambda: any(store.glob("*.loading/db/CURRENT")),
        (store / "pointer").exists,
    ):
        kill_when(place.start("run", "publish.generation"), happened)
        assert place.served() in {None, whole.served()}
    place.run("run", "publish.generation")
    assert place.served() == whole.served()
    assert not list(store.glob("*.loading"))


def test_of_two_runs_at_once_one_wins_and_the_other_says_so(whole, tmp_path):
    place = Place(tmp_path, whole.world)
    shutil.copytree(whole.lake, place.lake)
    runs = [place.start("run", "related.pins", "--force", out=subprocess.PIPE) for _ in range(2)]
    said = [run.communicate()[0] for run in runs]
    assert sorted(run.returncode for run in runs) in ([0, 8], [0, 0]), said
    if sorted(run.returncode for run in runs) == [0, 8]:
        loser = said[[run.returncode for run in runs].index(8)]
        assert "related.pins for" in loser
        assert "another process" in loser
    assert place.table("gold.related_pins") == whole.table("gold.related_pins")


def test_a_full_disk_is_said_and_nothing_is_half_done(whole, disk, tmp_path):
    place = Place(disk.folder, whole.world, {"PLATFORM__WORK": tmp_path / "work"})
    for more in (1, 1, 2, 3):  # beyond what earlier runs left, of 11 in all: full at another commit each time
        disk.leave(more)
        run = place.start("flow", out=subprocess.PIPE)
        said = run.communicate()[0]
        assert run.returncode == 4, said
        assert re.search(r"no space left on .*(nothing was committed|Nothing is half done)", said, re.IGNORECASE), said
        assert "Traceback" not in said
        assert place.served() is None
    disk.leave(1024)
    place.run("flow")
    assert place.tables() == whole.tables()
    assert place.served() == whole.served()


def test_a_source_folder_lost_on_the_way_is_said_and_nothing_is_half_done(whole, tmp_path):
    world = tmp_path / "world"
    shutil.copytree(whole.world, world)
    place = Place(tmp_path / "place", world)
    run = place.start("ingest", out=subprocess.PIPE)
    while not logged(place, "run started"):
        assert run.poll() is None
    shutil.rmtree(world / "kafka")
    said = run.communicate()[0]
    assert run.returncode == 3, said
    assert "kafka" in said
    shutil.copytree(whole.world / "kafka", world / "kafka")
    place.run("flow")
    assert place.tables() == whole.tables()
