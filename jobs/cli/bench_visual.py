"""`pinlake benchmark near-duplicates`, `knn`, `shards` and `posters`: images and vectors."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.benchmarks.measure import put
from jobs.cli.bench import SIZE, Page, benchmarks, show
from jobs.cli.context import cli, out, print_json
from jobs.common.errors import ConfigError

PAGE, MODEL = "posters.html", "look.onnx"


@benchmarks.command()
def near_duplicates(
    rows: Annotated[int, typer.Option(help="Hashes, most of them different.", min=1000)] = 1_000_000,
    spark: Annotated[bool, typer.Option("--spark", help="Measure the join on Spark too.")] = False,
    page: Page = None,
) -> None:
    """Compare finding all pairs of near hashes with FAISS's brute force: CPU-seconds and recall.

    `pinlake benchmark near-duplicates --spark`; Spark with `conf/size` unless told otherwise.
    """
    cli.env = cli.env or SIZE
    from jobs.benchmarks import duplicates

    with tempfile.TemporaryDirectory(prefix="pinlake-duplicates-") as scratch:
        if spark:
            from jobs.cli.engine import engine

            with engine(root=scratch) as on:
                costs = duplicates.measure(Path(scratch), rows, on.runner.lake.spark)
        else:
            costs = duplicates.measure(Path(scratch), rows)
    lines = duplicates.table(costs)
    show(lines, page, "near-duplicates", duplicates.page(costs, lines, datetime.now(UTC).date()))


@benchmarks.command()
def knn(
    rows: Annotated[int, typer.Option(help="Vectors of the larger size.", min=1000)] = 1_000_000, page: Page = None
) -> None:
    """Compare finding all nearest neighbours with brute force: CPU-seconds, recall, memory; no Java.

    `pinlake benchmark knn --rows 200000`; a million take some five minutes of one core and 3 GB of memory.
    """
    from jobs.benchmarks import knn as measured

    with tempfile.TemporaryDirectory(prefix="pinlake-knn-") as scratch:
        costs = [measured.measure(Path(scratch), min(rows, 200_000), 0.99)]
        more = measured.ratios(Path(scratch), costs[0])
        costs += [measured.measure(Path(scratch), rows, 0.98)] if rows > 200_000 else []
    text = measured.page(measured.table(costs), more, datetime.now(UTC).date())
    if page:
        put(page, "knn", text)
    typer.echo(text)


@benchmarks.command()
def shards(rows: Annotated[int, typer.Option(help="Vectors.", min=10_000)] = 500_000, page: Page = None) -> None:
    """Compare neighbours in shards on Spark with one index, and an incremental update with a full search.

    `pinlake benchmark shards`; half a million take some ten minutes of two cores. With `conf/size` unless told
    otherwise.
    """
    cli.env = cli.env or SIZE
    from jobs.benchmarks import shards as measured
    from jobs.cli.engine import engine

    with tempfile.TemporaryDirectory(prefix="pinlake-shards-") as scratch, engine(root=scratch) as on:
        costs = measured.measure(on.unvalidated(), rows, Path(scratch))
    lines = measured.table(costs)
    show(lines, page, "shards", measured.page(lines, rows, datetime.now(UTC).date()))


@benchmarks.command()
def posters(
    data: Annotated[Path, typer.Option(help="Folder with a tar of posters named <film id>.jpg; movies.dat if any.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder to write the page and the model into.")],
    ratings: Annotated[
        Path | None, typer.Option(help="Folder of NCF's MovieLens files. [in --data, or ml-1m-ncf beside it]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures, for a program to read.")] = False,
) -> None:
    """Run real posters through hashing, embeddings, near-duplicates and related items; write an HTML page.

    `pinlake benchmark posters --data data/ml-1m-posters --out posters`; some minutes.
    """
    from jobs.benchmarks.posters.dataset import given
    from jobs.benchmarks.posters.page import write_page
    from jobs.benchmarks.posters.pipeline import through, work_of
    from jobs.cli.engine import engine

    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} must be a folder, but there is a file of that name: name another.")
    folder.mkdir(parents=True, exist_ok=True)
    out.quiet = as_json
    with tempfile.TemporaryDirectory(prefix="pinlake-posters-") as scratch:
        root = Path(scratch) / "sources"
        found = given(data, root / "images", ratings)
        with engine(root=f"{scratch}/lake") as on:
            made = through(work_of(on.unvalidated()), found, root)
        figures = write_page(found, made, root / "images", folder / PAGE)
        (folder / MODEL).write_bytes((root / "look.onnx").read_bytes())
    out.quiet = False
    if as_json:
        print_json(figures)
        return
    for name in ("rated_together", "genre"):
        if name in figures:
            one = figures[name]
            out.print(f"   {name}: {one['share']:.4f} of the nearest, {one['chance']:.4f} by chance", highlight=False)
    out.print(f"   {folder / PAGE}, {folder / MODEL}", markup=False, highlight=False, soft_wrap=True)
