"""The folder a world is written to: begun, finished, found again, cleaned up after a killed run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from jobs.common.errors import ConfigError

MARKER = "world.json"
"""Written last: the world is whole."""
_BEGUN = ".world-begun"
"""Written first: what lies here was made by us and may be removed."""
_PARTS = ("dumpling", "ticdc", "kafka", "images", "truth")
FORMAT = 1
"""Raised when the same settings begin to give other bytes."""


@dataclass(frozen=True)
class WorldSummary:
    """What a world holds. Counts are rows as written, repeated and broken ones left out."""

    users: int
    boards: int
    pins: int
    saves: int
    """Saves ever made, undone ones included."""
    events: int
    searches: int
    images: int
    snapshot_tso: int
    checkpoint_tso: int
    as_of: date
    """First day that knows the whole world; what `--as-of` should be."""
    repeated_events: int = 0
    bad_feed_rows: int = 0
    bad_event_rows: int = 0
    told: tuple[str, ...] = ()
    """What was understood of a file of interactions, a sentence each."""
    found: bool = False
    """True if the world was there already and nothing was written."""


class Output:
    """A folder that holds a whole world or none."""

    def __init__(self, folder: Path, parameters: dict[str, Any]) -> None:
        """Say what is to be written; nothing is touched yet."""
        self._folder = folder
        self._parameters = {"format": FORMAT, **parameters}

    def found(self) -> WorldSummary | None:
        """Return the summary of the world that is there, if it was written with these very parameters."""
        marker = self._folder / MARKER
        if not marker.exists():
            return None
        try:
            said = orjson.loads(marker.read_bytes())
            if said["parameters"] != self._parameters:
                return None
            summary = said["summary"] | {"as_of": date.fromisoformat(said["summary"]["as_of"]), "found": True}
            return WorldSummary(**summary | {"told": tuple(summary.get("told", ()))})
        except (ValueError, KeyError, TypeError):
            return None  # unreadable: write the world again

    def begin(self) -> None:
        """Make the folder empty of worlds; ConfigError if it holds such folders that no world wrote."""
        present = [part for part in _PARTS if (self._folder / part).exists()]
        ours = (self._folder / MARKER).exists() or (self._folder / _BEGUN).exists()
        if present and not ours:
            where = self._folder / present[0]
            raise ConfigError(f"{where} is there but was not written by `world`; name another folder or remove it.")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / _BEGUN).touch()
        (self._folder / MARKER).unlink(missing_ok=True)
        for part in present:
            shutil.rmtree(self._folder / part)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Begin; should the body fail, remove what it wrote: half a world looks like a whole one."""
        made = not self._folder.exists()
        self.begin()
        try:
            yield
        except BaseException:
            for part in _PARTS:
                shutil.rmtree(self._folder / part, ignore_errors=True)
            for name in (f"{MARKER}.tmp", _BEGUN):
                (self._folder / name).unlink(missing_ok=True)
            if made and not any(self._folder.iterdir()):
                self._folder.rmdir()
            raise

    def finish(self, summary: WorldSummary) -> None:
        """Write the marker, by rename."""
        said = asdict(summary) | {"as_of": summary.as_of.isoformat()}
        said.pop("found")
        body = orjson.dumps({"summary": said, "parameters": self._parameters}, option=orjson.OPT_INDENT_2)
        waiting = self._folder / f"{MARKER}.tmp"
        waiting.write_bytes(body + b"\n")
        waiting.replace(self._folder / MARKER)
        (self._folder / _BEGUN).unlink(missing_ok=True)
