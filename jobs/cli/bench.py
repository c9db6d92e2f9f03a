"""`pinlake benchmark …`."""

import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from jobs.benchmarks.measure import put
from jobs.cli.context import app, cli, err, out, print_json

if TYPE_CHECKING:
    from jobs.engine.scheduler import Scheduler
    from jobs.settings import Settings

DEFAULT_SIZES = ("25000x75000", "100000x300000")

SIZE = "size"
"""Environment for larger data: with a laptop's settings the JVM compiles late, and that would be measured."""

benchmarks = typer.Typer(help="Measure pinlake against a named alternative, in one run.", no_args_is_help=True)
app.add_typer(benchmarks, name="benchmark")


@benchmarks.callback()
def group() -> None:
    """Measure pinlake against a named alternative, in one run."""


@benchmarks.command()
def quality(
    data: Annotated[Path, typer.Option(help="Folder with train and test: lists or lines of `user,item`.")],
    factors: Annotated[int, typer.Option(help="Length of the factor vectors, both sides.", min=2)] = 128,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Compare ranking quality on a real data set: the whole platform, and `implicit` run directly.

    `pinlake benchmark quality --data data/pinterest-37k`
    """
    from rich.table import Table

    from jobs.benchmarks.quality import plain, run_quality, settings_for

    settings = settings_for(cli.loaded.settings, factors)
    with tempfile.TemporaryDirectory(prefix="pinlake-quality-") as scratch:
        ours = partial(platform_lists, settings=settings, scratch=Path(scratch), quiet=as_json)
        found = run_quality(data, settings, ours, lambda line: err.print(line, markup=False, soft_wrap=True))
    if as_json:
        print_json(plain(found))
        return
    table = Table("", "Recall@20", "NDCG@20", "users", "seconds", header_style="bold")
    for one in found:
        table.add_row(one.model, f"{one.recall:.5f}", f"{one.ndcg:.5f}", f"{one.users:,}", f"{one.seconds:.0f}")
    out.print(table)


def platform_lists(train: Path, settings: "Settings", scratch: Path, quiet: bool = False) -> tuple[Any, Any]:
    """Return users and their lists: convert the file to sources, ingest, train, search."""
    from jobs.cli.engine import engine

    out.quiet = quiet
    with engine(sources_of(train, settings, scratch), settings, str(scratch / "lake")) as on:
        found = searched(on)
    out.quiet = False
    return found


def sources_of(train: Path, settings: "Settings", scratch: Path) -> dict[str, Any]:
    """Convert the training file to change logs; return the options of ingest for them."""
    from jobs.simulator.interactions.write import write_interactions

    write_interactions(train, settings, scratch / "world")
    return {"ticdc": str(scratch / "world/ticdc"), "dumpling": str(scratch / "world/dumpling"), "kafka": []}


def searched(on: "Scheduler") -> tuple[Any, Any]:
    """Ingest, train, search; return users [n] and their pins [n, K], -1 where a list is shorter."""
    import numpy as np
    from pyspark.sql import functions as F

    from jobs.benchmarks.quality import K
    from jobs.engine.scheduler import plan
    from jobs.flow import job

    on.ingest()
    first, as_of = on.runner.resolve_as_of(None)
    on.steps(plan(as_of, on.runner.settings.ranking.horizon_days, [job("candidates.collaborative")], first))
    rows = on.runner.lake.read("gold.candidates").where(F.col("rank") <= K).select("user_id", "pin_id", "rank")
    table = rows.toArrow()  # bounded: K rows a user of the data set
    users, place = np.unique(table["user_id"].to_numpy(), return_inverse=True)
    lists = np.full((len(users), K), -1, np.int64)
    lists[place, table["rank"].to_numpy() - 1] = table["pin_id"].to_numpy()
    return users, lists


@benchmarks.command()
def flow(
    sizes: Annotated[list[str] | None, typer.Option("--size", help="USERSxPINS; may be given again.")] = None,
    env: Annotated[str, typer.Option(help="Environment of conf/ to run with.")] = "size",
    keep: Annotated[
        Path | None, typer.Option(help="Folder for worlds and lakes; what was measured there stays. [none]")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page to write, docs/benchmarks.md for one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Run the whole flow on simulated data of several sizes; print the cost of each job and its growth.

    `pinlake benchmark flow` · `pinlake benchmark flow --size 2000x6000 --size 8000x24000`
    """
    from jobs.benchmarks import growth

    chosen = sorted((growth.Size.parse(size) for size in sizes or DEFAULT_SIZES), key=lambda size: size.users)
    said = Console(stderr=True)
    found = []
    with tempfile.TemporaryDirectory(prefix="pinlake-flow-") as scratch:
        folder = (keep or Path(scratch)).absolute()
        said.print(f"[bold]fixed costs[/], on {growth.TINY.label}")
        fixed = growth.measure_fixed(growth.Place(folder / "tiny", "local"))
        for size in chosen:
            said.print(f"[bold]{size.label}[/]")
            found.append(growth.measure(size, growth.Place(folder / f"{size.users}", env)))
    if as_json:
        print_json(growth.as_rows(chosen, found))
        return
    lines = growth.table(chosen, found, fixed)
    show(lines, page, "flow", growth.page(lines, env, datetime.now(UTC).date()))


def show(lines: list[str], page: Path | None, part: str, text: str) -> None:
    """Print a table; write its part of the page if one is given."""
    if page:
        put(page, part, text)
    for line in lines:
        typer.echo(line)


@benchmarks.command()
def fixed(as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False) -> None:
    """Measure the fixed cost of a job on the configured lake: copy each gold table in one session.

    `pinlake benchmark fixed`, on a small lake such as the demo's
    """
    from jobs.benchmarks.fixed import fixed_costs
    from jobs.cli.engine import engine

    out.quiet = as_json
    with engine() as on:
        found = fixed_costs(on.runner, on.runner.resolve_as_of(None)[1])
    out.quiet = False
    if as_json:
        print_json(found)
        return
    for job, seconds in found.items():
        typer.echo(f"| `{job}` | {seconds:.2f} |")


Page = Annotated[Path | None, typer.Option(help="Markdown page to write into, docs/benchmarks.md for one.")]


@benchmarks.command()
def ingest(
    rows: Annotated[int, typer.Option(help="Rows of each protocol.", min=1)] = 400_000, page: Page = None
) -> None:
    """Compare reading change files by ingest with a reader that only parses them: rows per CPU-second.

    `pinlake benchmark ingest`; with `conf/size` unless told otherwise.
    """
    cli.env = cli.env or SIZE
    from jobs.benchmarks import ingest as measured
    from jobs.cli.engine import engine

    with tempfile.TemporaryDirectory(prefix="pinlake-ingest-") as scratch, engine() as on:
        pairs = measured.measure(on.runner.lake.spark, Path(scratch), rows)
    lines = measured.table(pairs)
    show(lines, page, "ingest", measured.page(lines, rows, datetime.now(UTC).date()))


@benchmarks.command()
def merge(
    rows: Annotated[int, typer.Option(help="Rows of the table.", min=100)] = 10_000_000, page: Page = None
) -> None:
    """Compare merging one per cent of changes into a large table with a rebuild from the ledger: CPU-seconds.

    `pinlake benchmark merge --rows 1000000`; ten million take some ten minutes and 6 GB of disk. With `conf/size`
    unless told otherwise.
    """
    cli.env = cli.env or SIZE
    from jobs.benchmarks import merge as measured
    from jobs.cli.engine import engine

    with tempfile.TemporaryDirectory(prefix="pinlake-merge-") as scratch, engine(root=scratch) as on:
        costs = measured.measure(on.unvalidated(), rows)
    lines = measured.table(costs)
    show(lines, page, "merge", measured.page(lines, rows, datetime.now(UTC).date()))


@benchmarks.command()
def reconcile(
    source: Annotated[str, typer.Option(help="mysql://user@host:3306 of a server that may be written to.")],
    rows: Annotated[int, typer.Option(help="Rows of each table.", min=100)] = 10_000_000,
    page: Page = None,
) -> None:
    """Compare a large table with its source, three rows different: seconds, queries, bytes transferred.

    `pinlake benchmark reconcile --source mysql://root@127.0.0.1:3306` makes the database `pinlake_bench` there and
    drops it at the end. Ten million rows take some ten minutes and 4 GB of disk. Password: PINLAKE_SOURCE_PASSWORD.
    """
    from jobs.benchmarks import reconcile as measured
    from jobs.cli.engine import engine
    from jobs.reconcile.database import Address

    address = Address.parse(source, "PINLAKE_SOURCE_PASSWORD")
    measured.prepare(address, rows)
    try:
        with tempfile.TemporaryDirectory(prefix="pinlake-reconcile-") as scratch, engine(root=scratch) as on:
            costs = measured.measure(on.runner.lake, address, rows)
    finally:
        measured.clean(address)
    lines = measured.table(costs)
    show(lines, page, "reconcile", measured.page(lines, rows, datetime.now(UTC).date()))
