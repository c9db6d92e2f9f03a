"""`pinlake …` as processes of their own, on a lake, a store and a scratch folder of the test's."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from deltalake import DeltaTable

from jobs.schema.tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
GOLD = [name for name in TABLES if name.startswith("gold.")]


@dataclass
class Place:
    """Where commands work."""

    folder: Path
    world: Path
    more: dict[str, str] = field(default_factory=dict)
    """Further PINLAKE_ variables, without the prefix."""

    @property
    def lake(self):
        return self.folder / "lake"

    @property
    def store(self):
        return Path(self.more.get("PUBLISH__PATH", self.folder / "store"))

    @property
    def env(self):
        """Return the environment of a command."""
        work = Path(self.more.get("PLATFORM__WORK", self.folder / "work"))
        if not work.exists():
            work.mkdir(parents=True)
            (work / "jars").symlink_to(ROOT / ".pinlake" / "jars")  # set up once
        places = {"PLATFORM__LAKE": self.lake, "PUBLISH__PATH": self.store, "PLATFORM__SOURCES": self.world}
        places |= {"PLATFORM__WORK": work, "SIMULATOR__IMAGES": "false"} | self.more
        return os.environ | {f"PINLAKE_{key}": str(value) for key, value in places.items()}

    def start(self, *command, out=subprocess.DEVNULL):
        """Start a command in a process group of its own."""
        line = [sys.executable, "-m", "jobs.cli", *command]
        return subprocess.Popen(
            line, env=self.env, stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    def run(self, *command):
        """Run a command to its good end; return what it said."""
        process = self.start(*command, out=subprocess.PIPE)
        said, _ = process.communicate()
        assert process.returncode == 0, said[-3000:]
        return said

    def table(self, name):
        """Return the rows of a gold table, in an order of their own."""
        found = DeltaTable(str(self.lake / name.replace(".", "/", 1))).to_pyarrow_table()
        return sorted(map(repr, found.select(sorted(found.column_names)).to_pylist()))

    def tables(self):
        """Return the rows of every gold table there is."""
        return {name: self.table(name) for name in GOLD if (self.lake / name.replace(".", "/", 1)).exists()}

    def served(self):
        """Return the generation that the store serves."""
        from jobs.serving.registry import open_store

        pointer = open_store("rocksdb", str(self.store)).read_pointer()
        return pointer.current if pointer else None


def kill_when(process, happened, seconds=240.0):
    """Kill a command, its JVM and its workers as soon as `happened()`; fail if it ends before."""
    until = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until, "what was waited for never happened"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def small_world(folder, users=150, pins=1500):
    """Make a world of a few people; return its folder."""
    place = Place(folder / "make", folder / "world")
    place.run("world", "--users", str(users), "--pins", str(pins))
    return folder / "world"
