"""The flow as an image: one row a job, by stage, and lanes beside them that carry what each job made to its readers.

A job's output runs down one lane to the last job that reads it; a row names the lanes it reads from. A reader that gets
the same through another job needs no line of its own (transitive reduction). Like a history drawn beside commits, it
needs no width: it reads on a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.flow import job_dependencies
from jobs.schema.job import Job


@dataclass(frozen=True)
class Line:
    """A stretch of a lane within a row."""

    lane: int
    stage: str
    """Of the job whose output runs there: gives the color."""


@dataclass(frozen=True)
class Place:
    """A job's row of the image."""

    job: Job
    lane: int
    through: tuple[Line, ...] = ()
    """Lanes that run from top to bottom."""
    into: tuple[Line, ...] = ()
    """Lanes the job reads from: each is joined to its dot."""
    ending: tuple[Line, ...] = ()
    """Those of `into` that no later job reads."""
    goes_on: bool = False
    """Whether a later job reads what it made."""

    @property
    def above(self) -> tuple[Line, ...]:
        """Return the lanes that reach the row from above."""
        return tuple(sorted((*self.through, *self.ending), key=lambda line: line.lane))

    @property
    def below(self) -> tuple[Line, ...]:
        """Return the lanes that leave the row, its own among them."""
        own = (Line(self.lane, self.job.stage),) if self.goes_on else ()
        return tuple(sorted((*self.through, *own), key=lambda line: line.lane))


def lay_out(jobs: Sequence[Job]) -> list[Place]:
    """Return the rows of the image.

    Args:
        jobs: in an order in which each comes after those it reads from.
    """
    rows = _by_stage(jobs)
    edges = _reduced(job_dependencies(rows), [job.name for job in rows])
    stage = {job.name: job.stage for job in rows}
    last = {name: max((n for n, j in enumerate(rows) if name in edges[j.name]), default=-1) for name in stage}
    open_: dict[int, str] = {}
    places = []
    for number, job in enumerate(rows):
        into = {lane: name for lane, name in open_.items() if name in edges[job.name]}
        ending = {lane: name for lane, name in into.items() if last[name] == number}
        for lane in ending:
            del open_[lane]
        # the lane of something that ends here goes on as the job's own, else the first that is free
        own = min(ending, default=next(n for n in range(len(rows) + 1) if n not in open_))
        goes_on = last[job.name] > number
        places.append(Place(job, own, _lines(open_, stage), _lines(into, stage), _lines(ending, stage), goes_on))
        if goes_on:
            open_[own] = job.name
    return places


def _by_stage(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs with each stage in one piece, where no job then stands above what it reads."""
    stages = list(dict.fromkeys(job.stage for job in jobs))
    rows = sorted(jobs, key=lambda job: stages.index(job.stage))
    seen: set[str] = set()
    edges = job_dependencies(rows)
    for job in rows:
        if not edges[job.name] <= seen:
            return list(jobs)
        seen.add(job.name)
    return rows


def _reduced(edges: Mapping[str, set[str]], order: Sequence[str]) -> dict[str, set[str]]:
    """Return the edges without those that a longer way replaces; `order` is topological."""
    reach: dict[str, set[str]] = {}
    for name in order:
        reach[name] = set().union(edges[name], *(reach[source] for source in edges[name]))
    return {
        name: {one for one in sources if not any(one in reach[other] for other in sources - {one})}
        for name, sources in edges.items()
    }


def _lines(lanes: Mapping[int, str], stage: Mapping[str, str]) -> tuple[Line, ...]:
    return tuple(Line(lane, stage[name]) for lane, name in sorted(lanes.items()))
