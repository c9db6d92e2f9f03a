"""Runs the simulator and writes its output: source files below one folder, and the ground truth next to them."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from jobs.settings import Settings
from jobs.simulator.archive import Archive
from jobs.simulator.behaviour import Behaviour
from jobs.simulator.clock import Clock, clock, tso
from jobs.simulator.database import write_export, write_feed
from jobs.simulator.entities import Entities, make_entities
from jobs.simulator.history import sources
from jobs.simulator.output import Output, WorldSummary
from jobs.simulator.truth import write_truth

Progress = Callable[[str, int, int], None]
"""(what is being written, done, of how many)"""


def write_world(settings: Settings, out: Path, progress: Progress | None = None) -> WorldSummary:
    """Write the output of `settings.simulator` below `out`: dumpling/, ticdc/, kafka/, images/, truth/, world.json.

    The same settings give the same bytes. A complete output with the same settings is left unchanged (`found`); one
    with other settings, or of a killed run, is replaced. ConfigError if `out` holds something else.
    """
    config, show = settings.simulator, progress or _silent
    when = clock(config)
    ranking = settings.ranking
    chosen = config.model_dump(mode="json", exclude={"end"}) | {"end": when.end}
    parameters = {"world": chosen, "arms": dict(ranking.arms), "arm_salt": ranking.arm_salt}
    output = Output(out, parameters)
    existing = output.found()
    if existing:
        return existing
    output.begin()
    show("people and pins", 0, 1)
    entities = make_entities(config, when)
    archive = Archive(out / "kafka", config, ranking)
    behaviour = Behaviour(config, when, entities)
    _act(behaviour, archive, when, show)
    show("embeddings", 0, 1)
    archive.embeddings(entities.pins, when)
    archive.finish()
    saves = behaviour.ledger.all()
    tables = sources(entities, saves, when)
    rows = write_export(out / "dumpling", tables, when, show)
    changes = write_feed(out / "ticdc", tables, when, config.bad_rows, show)
    images = _images(settings, entities, out, show)
    write_truth(out / "truth", entities, when, {"snapshot_rows": rows, "feed_rows": changes})
    summary = _summary(archive, entities, when, len(saves), images)
    output.finish(summary)
    return summary


def _summary(archive: Archive, entities: Entities, when: Clock, saves: int, images: int) -> WorldSummary:
    return WorldSummary(
        users=entities.people.count,
        boards=entities.boards.count,
        pins=entities.pins.count,
        saves=saves,
        events=archive.events,
        searches=archive.searches,
        images=images,
        snapshot_tso=tso(when.snapshot),
        checkpoint_tso=tso(when.end),
        as_of=when.as_of,
        repeated_events=archive.repeated,
        bad_feed_rows=archive.config.bad_rows,
        bad_event_rows=archive.broken,
    )


def _silent(what: str, done: int, total: int) -> None:
    """Show nothing."""


def _act(behaviour: Behaviour, archive: Archive, when: Clock, show: Progress) -> None:
    """Run the simulation; while a day is written, the next one is computed: two days in memory at most."""
    show("saves before the events", 0, 1)
    behaviour.history()
    with ThreadPoolExecutor(1) as writer:
        waiting: Future[None] | None = None
        for number, (day, events, searches) in enumerate(behaviour.days()):
            show("days of events", number, len(when.days))
            if waiting:
                waiting.result()
            waiting = writer.submit(archive.day, day, number, events, searches)
        if waiting:
            waiting.result()
    behaviour.above()
    show("days of events", len(when.days), len(when.days))


def _images(settings: Settings, entities: Entities, out: Path, show: Progress) -> int:
    if not settings.simulator.images:
        return 0
    from jobs.simulator.images import write_images

    return write_images(out / "images", settings.simulator, entities.pins, show)
