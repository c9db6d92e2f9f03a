"""Writes the report: one HTML file that stands alone, without script or request; for phone and desk, dark and light."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.common.errors import StoreError, TableError
from jobs.lake.query import Tables
from jobs.report import formatting, plots
from jobs.report.flow_diagram import link, steps, summary
from jobs.report.funnel import Funnel, read_funnel
from jobs.report.headline import headline, ingest_counts, interval
from jobs.report.input_faults import read_blocked, read_faults
from jobs.report.neighbours import Audit, read_audit
from jobs.report.quality import Quality, read_quality
from jobs.report.related import Related, read_related
from jobs.report.run_snapshot import RunSnapshot, find
from jobs.report.samples import choose_people, sample_feed, sample_related
from jobs.report.tiles import Album, template

if TYPE_CHECKING:
    from jobs.serving.reader import Reader

TEMPLATE = Path(__file__).with_name("report.html")
Context = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where things lie."""

    lake: str
    """Root of the Delta tables."""
    out: Path
    """The file to write, or a folder that ends in no suffix: the file is then named by day or run."""
    images: Path | None = None
    """Images of pins as `<first two digits>/<signature>.jpg`; None shows plain grounds."""
    docs: Path | None = None
    """Great Expectations' Data Docs; linked where they are there."""


def write_report(places: Places, reader: "Reader | None", wanted: str | None = None) -> tuple[Path, RunSnapshot]:
    """Write the report of a run and return its path and what it is of.

    Args:
        places: of lake, output, images and Data Docs.
        reader: of the store; None leaves sample feeds out.
        wanted: a day, a run's id, or None for the newest published as-of.

    Raises:
        TableError: nothing has ever run on the lake.
        ConfigError: there is no such run.
    """
    tables = Tables(places.lake)
    snapshot = find(tables, wanted, _current(reader))
    name = snapshot.run_id or str(snapshot.as_of or "ingest")
    path = places.out if places.out.suffix else places.out / f"report-{name}.html"
    html = _render(tables, snapshot, reader, places, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    return path, snapshot


def _current(reader: "Reader | None") -> str | None:
    try:
        return reader.pointer().current if reader else None
    except StoreError:
        return None  # nothing has been published


def _render(tables: Tables, snapshot: RunSnapshot, reader: "Reader | None", places: Places, path: Path) -> str:
    album = Album(places.images)
    runs = [run.row["run_id"] for run in snapshot.runs if run.row and run.job.stage == "ingest"]
    quality, no_quality = _or_why(lambda: _quality(tables, snapshot))
    funnel, no_funnel = _or_why(lambda: _funnel(tables, snapshot))
    audit, no_audit = _or_why(lambda: _audit(tables, snapshot))
    related, no_related = _or_why(lambda: _related(tables, snapshot))
    faults, blocked = read_faults(tables, runs, snapshot.until), read_blocked(tables, snapshot.until)
    docs = places.docs if places.docs and (places.docs / "index.html").is_file() else None
    shown: Context = {
        "snapshot": snapshot,
        "head": headline(snapshot, quality, faults, blocked),
        "steps": steps(snapshot, docs, path),
        "summary": summary(snapshot),
        "quality": quality,
        "funnel": funnel,
        "audit": audit,
        "related": related,
        "gone": {"quality": no_quality, "funnel": no_funnel, "audit": no_audit, "related": no_related},
        "plots": _plots(quality, funnel),
        "gate": [check for run in snapshot.runs for check in run.checks if check["suite"] == "generation"],
        "samples": _samples(tables, snapshot, reader, album),
        "faults": faults,
        "blocked": blocked,
        "intake": {name: number for name, number in ingest_counts(snapshot).items() if number},
        "docs": link(docs / "index.html", path) if docs else None,
        "now": datetime.now(UTC),
        "formatting": formatting,
        "interval": interval,
    }
    return template(TEMPLATE).render(shown | {"images": album.rules()})


def _or_why(read: Callable[[], Any]) -> tuple[Any, str]:
    """Return what was read, or None and why an old version of a table cannot be read any more."""
    try:
        return read(), ""
    except TableError as error:
        return None, str(error)


def _quality(tables: Tables, snapshot: RunSnapshot) -> Quality | None:
    return read_quality(tables, snapshot.as_of, snapshot.version("ranking.evaluations")) if snapshot.as_of else None


def _funnel(tables: Tables, snapshot: RunSnapshot) -> Funnel | None:
    return read_funnel(tables, snapshot.as_of, snapshot.version("ranking.ranked")) if snapshot.as_of else None


def _audit(tables: Tables, snapshot: RunSnapshot) -> Audit | None:
    return read_audit(tables, snapshot.as_of, snapshot.version("neighbours.recall")) if snapshot.as_of else None


def _related(tables: Tables, snapshot: RunSnapshot) -> Related | None:
    return read_related(tables, snapshot.as_of, snapshot.version("related.evaluations")) if snapshot.as_of else None


def _plots(quality: Quality | None, funnel: Funnel | None) -> dict[str, str]:
    drawn = dict.fromkeys(("hr", "ndcg", "history", "funnel", "drops"), "")
    if quality and quality.models("hr") and quality.models("ndcg"):
        drawn |= {"hr": plots.plot_models(quality, "hr", True), "ndcg": plots.plot_models(quality, "ndcg", False)}
        if len(quality.history) > 1:
            drawn["history"] = plots.plot_history(quality)
    if funnel:
        drawn |= {"funnel": plots.plot_funnel(funnel), "drops": plots.plot_drops(funnel)}
    return drawn


def _samples(tables: Tables, snapshot: RunSnapshot, reader: "Reader | None", album: Album) -> Context:
    """Return sample feeds of the as-of's generation; of what is still served where the as-of has none in the store."""
    mine = snapshot.generation if snapshot.generation and snapshot.generation.status == "served" else None
    generation = mine or snapshot.served
    nothing: Context = {"generation": None, "own": False, "feeds": [], "related": None}
    if reader is None or generation is None or generation.as_of is None:
        return nothing | {
            "why": "Nothing that this lake knows of is served." if reader else "No online store is at hand."
        }
    try:
        inputs = generation.manifest.get("inputs", {})
        people = choose_people(tables, generation.as_of, inputs.get("gold.home_feed"), inputs.get("gold.user_profile"))
        view = reader.at(generation.name)
        with view.opened:
            feeds = [sample for person in people if (sample := sample_feed(view, person, album))]
            related = sample_related(view, view.home_feed(people[0].user_id), album) if people else None
    except (StoreError, TableError) as error:
        return nothing | {"why": f"The feeds of {generation.name} cannot be shown: {error}"}
    return nothing | {"generation": generation, "own": mine is not None, "feeds": feeds, "related": related}
