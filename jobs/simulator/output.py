"""The output folder of `pinlake world`: complete or cleaned up, whatever kills a run."""

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
"""Written last, when the output is complete."""
_BEGUN = ".world-begun"
"""Written first: the folder is ours, and its content may be removed."""
_PARTS = ("dumpling", "ticdc", "kafka", "images", "truth")
FORMAT = 1
"""Raised when the same settings begin to give other bytes."""


@dataclass(frozen=True)
class WorldSummary:
    """Counts of the output. Rows as written, without repeated and malformed ones."""

    users: int
    boards: int
    pins: int
    saves: int
    """Saves ever made, including undone ones."""
    events: int
    searches: int
    images: int
    snapshot_tso: int
    checkpoint_tso: int
    as_of: date
    """First day by which all events have happened: the date for `--as-of`."""
    repeated_events: int = 0
    bad_feed_rows: int = 0
    bad_event_rows: int = 0
    told: tuple[str, ...] = ()
    """How a file of interactions was read, a sentence each."""
    found: bool = False
    """True if the output existed already and nothing was written."""


class Output:
    """A folder with a complete output or none."""

    def __init__(self, folder: Path, parameters: dict[str, Any]) -> None:
        """Set the folder and the parameters of the output; nothing is written yet."""
        self._folder = folder
        self._parameters = {"format": FORMAT, **parameters}

    def found(self) -> WorldSummary | None:
        """Return the summary of an existing output that was written with the same parameters."""
        marker = self._folder / MARKER
        if not marker.exists():
            return None
        try:
            content = orjson.loads(marker.read_bytes())
            if content["parameters"] != self._parameters:
                return None
            summary = content["summary"] | {"as_of": date.fromisoformat(content["summary"]["as_of"]), "found": True}
            return WorldSummary(**summary | {"told": tuple(summary.get("told", ()))})
        except (ValueError, KeyError, TypeError):
            return None  # unreadable: write again

    def begin(self) -> None:
        """Remove earlier output; ConfigError if the folder holds such folders from elsewhere."""
        present = [part for part in _PARTS if (self._folder / part).exists()]
        ours = (self._folder / MARKER).exists() or (self._folder / _BEGUN).exists()
        if present and not ours:
            where = self._folder / present[0]
            raise ConfigError(
                f"{where} exists but was not written by `pinlake world`: choose another one or remove it."
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / _BEGUN).touch()
        (self._folder / MARKER).unlink(missing_ok=True)
        for part in present:
            shutil.rmtree(self._folder / part)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Begin; if the body fails, remove what it wrote, so that no partial output remains."""
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
        """Write the marker by rename."""
        counts = asdict(summary) | {"as_of": summary.as_of.isoformat()}
        counts.pop("found")
        body = orjson.dumps({"summary": counts, "parameters": self._parameters}, option=orjson.OPT_INDENT_2)
        waiting = self._folder / f"{MARKER}.tmp"
        waiting.write_bytes(body + b"\n")
        waiting.replace(self._folder / MARKER)
        (self._folder / _BEGUN).unlink(missing_ok=True)
