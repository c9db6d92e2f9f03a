"""Growth of each job's cost: the whole flow on simulated data of several sizes, each with a fresh lake and process.

A job's growth exponent is log(seconds ratio) / log(size ratio) between the smallest and the largest world: 1 where its
cost follows its input, below where a fixed part shows, above where something grows faster than the data.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from jobs.common.errors import ConfigError, PinlakeError

LIMIT = 1.15
"""Largest growth exponent without a written reason."""
REASONS: dict[str, str] = {
    "candidates.collaborative": "an exact search: every user by every pin, up to `candidates.collaborative.index_pins`",
    "neighbours.pin_neighbours": "the smaller world searches by brute force; above `neighbours.max_exact` an "
    "inverted-file index is trained and tuned first",
}
"""Job -> reason that it grows faster than its input."""
SHORT = 10.0
"""Seconds of the larger run below which growth is not computed: planning and noise dominate."""


@dataclass(frozen=True)
class Size:
    """Size of the simulated data."""

    users: int
    pins: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Return the size of a text USERSxPINS, such as 25000x75000; ConfigError if it has another form."""
        users, cross, pins = text.partition("x")
        if not (cross and users.isdigit() and pins.isdigit()):
            raise ConfigError(f"A size is USERSxPINS, such as 25000x75000, got {text!r}.")
        return cls(int(users), int(pins))

    @property
    def label(self) -> str:
        """Return the size for tables."""
        return f"{self.users:,} x {self.pins:,}"


TINY = Size(200, 2000)
"""Size on which fixed costs are measured."""


@dataclass(frozen=True)
class Cost:
    """Cost of one job at one size."""

    rows: int
    seconds: float
    peak_mb: float


Key = tuple[str, date | None]
"""Job and as-of date; ingest has no date."""
Costs = dict[Key, Cost]


@dataclass(frozen=True)
class Place:
    """Folder with the sources, lake and store of one size, and the environment of conf/ to run with."""

    folder: Path
    env: str
    days: int = 30
    """Of events."""

    def run(self, *command: str) -> str:
        """Run `pinlake …` in a process of its own; return the result it printed.

        Raises:
            PinlakeError: it did not end well; what it said stands above.
        """
        variables = {
            "PINLAKE_ENV": self.env,
            "PINLAKE_PLATFORM__LAKE": str(self.folder / "lake"),
            "PINLAKE_PLATFORM__SOURCES": str(self.folder / "world"),
            "PINLAKE_PUBLISH__PATH": str(self.folder / "store"),
            "PINLAKE_SIMULATOR__IMAGES": "false",
            "PINLAKE_SIMULATOR__DAYS": str(self.days),
        }
        told = subprocess.PIPE if "--json" in command else sys.stderr
        line = [sys.executable, "-m", "jobs.cli", *command]
        ended = subprocess.run(line, env=os.environ | variables, stdout=told, text=True, check=False)
        if ended.returncode:
            raise PinlakeError(f"`pinlake {' '.join(command)}` in {self.folder} ended with {ended.returncode}.")
        return ended.stdout or ""


def measure(size: Size, place: Place) -> Costs:
    """Simulate sources, run the flow on a fresh lake, return each job's cost. About 40 kB of disk per user.

    The lake's own record keeps the figures: a place where the flow has ended is not measured again.
    """
    ended = place.folder / "ended"
    if not ended.exists():
        place.run("world", "--users", str(size.users), "--pins", str(size.pins))
        place.run("flow")
        ended.touch()
    return costs(place.folder / "lake")


def measure_fixed(place: Place) -> dict[str, float]:
    """Return job -> seconds of its fixed cost, on a tiny lake: jobs/benchmarks/fixed.py."""
    figures = place.folder / "fixed.json"
    if not figures.exists():
        measure(TINY, place)
        figures.write_text(place.run("benchmark", "fixed", "--json"))
    return dict(json.loads(figures.read_text()))


def costs(lake: Path) -> Costs:
    """Return each job's cost, from its newest successful run."""
    from jobs.lake import delta_rs as direct

    columns = ("job", "as_of", "status", "started_at", "rows", "seconds", "peak_mb")
    rows = direct.read(str(lake / "ops" / "runs"), columns).to_pylist()  # bounded: one row a run of a fresh lake
    rows.sort(key=lambda row: row["started_at"])
    good = [row for row in rows if row["status"] == "ok"]
    return {(r["job"], r["as_of"]): Cost(int(r["rows"] or 0), r["seconds"], r["peak_mb"]) for r in good}


def exponent(small: Cost, large: Cost, ratio: float) -> float | None:
    """Return the growth exponent of a job between sizes that differ by `ratio`; None if the runs are too short."""
    if large.seconds < SHORT or small.seconds <= 0:
        return None
    return math.log(large.seconds / small.seconds) / math.log(ratio)


def table(sizes: Sequence[Size], found: Sequence[Costs], fixed: Mapping[str, float] | None = None) -> list[str]:
    """Return the lines of a Markdown table: one job and date per row, the sizes, the growth, the reason if above LIMIT.

    Args:
        sizes: smallest first.
        found: what each job took, by size.
        fixed: job -> seconds it costs besides its work; jobs that are not in it were not measured.
    """
    ratio = sizes[-1].users / sizes[0].users
    heads = [f"{size.label}: rows | s | peak MB" for size in sizes]
    lines = [f"| job | as of | {' | '.join(heads)} | growth | fixed s |", "|---|---|" + "--:|" * (3 * len(sizes) + 2)]
    total: list[float] = [0.0] * len(sizes)
    for key in found[-1]:
        cells: list[str] = []
        for place, one in enumerate(found):
            cost = one.get(key)
            total[place] += cost.seconds if cost else 0.0
            cells += [f"{cost.rows:,}", f"{cost.seconds:.1f}", f"{cost.peak_mb:,.0f}"] if cost else ["", "", ""]
        compared = len(sizes) > 1 and key in found[0]
        cells.append(_growth(exponent(found[0][key], found[-1][key], ratio), key[0]) if compared else "")
        cells.append(f"{fixed[key[0]]:.2f}" if fixed and key[0] in fixed else "")
        lines.append(f"| `{key[0]}` | {key[1] or ''} | {' | '.join(cells)} |")
    sums = " | ".join(f" | {seconds:,.0f} | " for seconds in total)
    return [*lines, f"| all | | {sums} | | |"]


def _growth(value: float | None, job: str) -> str:
    if value is None:
        return f"under {SHORT:.0f} s"
    return f"**{value:.2f}** {REASONS.get(job, 'no reason known')}" if value > LIMIT else f"{value:.2f}"


def page(lines: Sequence[str], env: str, today: date) -> str:
    """Return docs/benchmarks.md."""
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    return f"""# What a flow costs, and how it grows

Made by `make bench-flow` on {today}: {cores} cores, {memory:.0f} GiB of memory, `conf/{env}` (driver and executors
share one heap of 6 GB), worlds of 30 days with about 100 events a user and no images, a fresh lake and a fresh
process for each. Jobs run one at a time.

- **s**: wall seconds of the job's run as `ops.runs` has them: inputs, work, checks, commit.
- **peak MB**: most resident memory of driver, JVM and Python workers together during the job. The JVM keeps what heap
  it has once taken, so the figure of a job is not much below that of those before it.
- **growth**: log(seconds ratio) / log(size ratio) of the largest and the smallest world. 1: the cost follows the
  input. Above {LIMIT} a reason stands beside it. Jobs under {SHORT:.0f} s are mostly planning.
- **fixed s**: what a job costs besides its work (inputs pinned, checks, commit, the row in `ops.runs`): its table of
  a tiny lake ({TINY.label}), copied onto itself in one warm session, median of three; `pinlake benchmark fixed`.

{chr(10).join(lines)}
"""


def as_rows(sizes: Sequence[Size], found: Sequence[Costs]) -> list[dict[str, Any]]:
    """Return the figures as plain values, one row per job, date and size."""
    return [
        {
            "users": size.users,
            "pins": size.pins,
            "job": job,
            "as_of": str(as_of) if as_of else None,
            "rows": cost.rows,
            "seconds": cost.seconds,
            "peak_mb": cost.peak_mb,
        }
        for size, one in zip(sizes, found, strict=True)
        for (job, as_of), cost in one.items()
    ]
