"""The command `pinlake knn`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jobs.cli.context import app, err, out, print_json

if TYPE_CHECKING:
    from jobs.knn.join import Join
    from jobs.knn.request import Progress, Report

MISSED = 11
"""Exit code where neighbours are written, and the recall that was asked for was not reached."""
SAID = {
    "open": "Opening the index",
    "train": "Training cells",
    "tune": "Tuning to the recall",
    "assign": "Assigning vectors to cells",
    "search": "Searching",
}


@app.command()
def knn(
    vectors: Annotated[Path, typer.Argument(help="A .npy file of floats, or int8 or int16, one row a vector.")],
    to: Annotated[Path, typer.Option("--out", help="File to write, .parquet or .csv: id, neighbour, score, rank.")],
    k: Annotated[int, typer.Option("--k", help="Neighbours of each vector.", min=1)] = 50,
    recall: Annotated[
        float, typer.Option(help="Share of the true neighbours to find, above 0; 1 compares all vectors.", max=1)
    ] = 0.98,
    ids: Annotated[Path | None, typer.Option(help="A .npy file of whole numbers, no two alike. [row numbers]")] = None,
    backend: Annotated[
        Literal["auto", "cpu", "required_gpu"], typer.Option(help="auto takes a GPU that works.")
    ] = "auto",
    metric: Annotated[Literal["ip", "cosine"], typer.Option(help="Inner product, or cosine.")] = "cosine",
    threads: Annotated[int | None, typer.Option(help="Cores to use. [all]", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of the training and of the tuning sample.")] = 20261101,
    as_json: Annotated[bool, typer.Option("--json", help="What was done, for a program to read.")] = False,
) -> None:
    """Find each vector's nearest neighbours, itself excluded by id; no lake, no Java.

    Above 20,000 vectors an inverted file is tuned on a sample until the lower end of the recall's 95 % interval is
    --recall. If that cannot be had, all are compared up to 60,000; above, what was found is written, and said: with
    exit code 11 where even the mean is below --recall. Rows that are NaN, infinite or zero go to a quarantine file.

    `pinlake knn VECTORS.npy --k 50 --recall 0.98 --out NEIGHBOURS.parquet`
    """
    from jobs.knn.files import quarantine_of, require_place, write_neighbours
    from jobs.knn.join import Join
    from jobs.knn.npy import open_array, open_vectors
    from jobs.knn.request import KnnRequest

    require_place(to, [vectors, *([ids] if ids else [])])
    request = KnnRequest(k, metric, recall, backend, threads or len(os.sched_getaffinity(0)), seed, strict=False)
    named = None if ids is None else open_array(ids, "ids")
    with _progress(quiet=as_json) as told:
        join = Join(open_vectors(vectors), named, request, told)
        write_neighbours(join, to)
    if as_json:
        print_json(join.report.plain() | {"out": str(to)})
    else:
        _say(join, to, quarantine_of(to))
    if (warning := missed(join.report)) is not None:
        err.print(f"Warning: {warning}", markup=False, highlight=False, soft_wrap=True)
        if join.report.recall is not None and join.report.recall.mean < recall:
            raise typer.Exit(MISSED)


def _say(join: "Join", to: Path, quarantine: Path) -> None:
    for line in sentences(join.report):
        out.print("   " + line, markup=False, highlight=False, soft_wrap=True)
    if join.report.quarantined:
        out.print(f"   {_left_out(join)} {quarantine} lists them.", markup=False, highlight=False, soft_wrap=True)
    out.print(f"   {to}", markup=False, highlight=False, soft_wrap=True)


def missed(report: "Report") -> str | None:
    """Return a warning where the recall that was asked for was not reached."""
    if report.missed is None:
        return None
    return (
        f"recall {report.missed} was asked for, and {report.recall} reached with {report.probes} of {report.cells:,} "
        "cells, the most that are worth it: the neighbours are written as found. These vectors are not clustered "
        "enough for an index; --recall 1 compares all."
    )


def sentences(report: "Report") -> list[str]:
    """Return what a person wants to know of a search."""
    n, seconds = report.vectors, sum(report.seconds.values())
    lines = [f"{report.neighbours:,} neighbours of {n:,} vectors of {report.dim} values in {seconds:.1f} s"]
    if report.recall is None:
        lines.append("All vectors were compared: the answer is exact.")
    else:
        lines.append(
            f"Recall {report.recall} at 95 %, on {report.recall.sampled:,} sampled vectors compared with all; "
            f"{report.probes} of {report.cells:,} cells looked into."
        )
    if report.k > n - 1:
        lines.append(
            f"{report.k:,} neighbours were asked for, and each vector has {max(0, n - 1):,} others: all of them."
        )
    if not report.values.startswith("float"):
        lines.append(f"The values are {report.values}, compared as numbers: bits packed into bytes are no vectors.")
    if report.short:
        lines.append(f"{report.short:,} vectors have fewer than {min(report.k, n - 1):,}: their cells hold no more.")
    lines.append(f"On the {report.backend.upper()}" + (f": {report.fallback}." if report.fallback else "."))
    return lines


def _left_out(join: "Join") -> str:
    reasons = join.quarantine.reasons
    counts = ", ".join(f"{reasons.count(reason):,} {reason}" for reason in sorted(set(reasons)))
    return f"{len(reasons):,} rows could not be searched ({counts}):"


@contextmanager
def _progress(quiet: bool) -> Iterator["Progress"]:
    """Show each step as it goes, on stderr."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("   {task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet) as bar:
        tasks = {}

        def told(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(SAID[step], total=of)
            bar.update(tasks[step], completed=done)

        yield told
