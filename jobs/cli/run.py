"""Commands that compute: world, run, flow, maintain, sql."""

import time
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from jobs.cli.context import app, cli, err, escaped, out
from jobs.common.errors import ConfigError, SourceError

AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="As-of date, YYYY-MM-DD. [the newest day that is complete]"),
]
Force = Annotated[bool, typer.Option("--force", help="Run again even where nothing has changed.")]


def parse_day(text: str | None) -> date | None:
    """Return a day given on the command line; ConfigError if it is not a day."""
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise ConfigError(f"--as-of takes a day as YYYY-MM-DD, got {text!r}.") from None


@app.command()
def world(
    users: Annotated[int | None, typer.Option(help="Users. [simulator.users]")] = None,
    pins: Annotated[int | None, typer.Option(help="Pins. [simulator.pins]")] = None,
    from_interactions: Annotated[
        Path | None,
        typer.Option(help="A file of `user item [timestamp]` lines, ratings too, to make the sources from."),
    ] = None,
    layout: Annotated[
        Literal["auto", "pairs", "lists"], typer.Option(help="Of that file: a line a save, or a user and all items.")
    ] = "auto",
    columns: Annotated[
        str, typer.Option(help="Of that file: user,item,rating,time in its order, - for others. [its header]")
    ] = "",
    min_rating: Annotated[float | None, typer.Option(help="Rating from which on a row is a save. [above 0]")] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Where to write. [platform.sources]")] = None,
) -> None:
    """Simulate a Pinterest and write its TiCDC, Dumpling and Kafka files.

    A file of interactions is text, plain or packed, or Parquet. What was understood of it is said; what has more than
    one reading is refused. A rating of 0 or less is no save.

    `pinlake world --users 500 --pins 5000` · `pinlake world --from-interactions ratings.tsv --out /data/real`
    """
    asked = (layout, columns, min_rating)
    if from_interactions is None and asked != ("auto", "", None):
        raise ConfigError("--layout, --columns and --min-rating belong to --from-interactions FILE: name one.")
    make_world(users, pins, from_interactions, out_dir, *asked)


def make_world(
    users: int | None = None,
    pins: int | None = None,
    interactions: Path | None = None,
    folder: Path | None = None,
    layout: str = "auto",
    columns: str = "",
    min_rating: float | None = None,
) -> Any:
    """Write a world with progress; return its summary."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    given = {"simulator.users": users, "simulator.pins": pins}
    cli.also(f"{key}={value}" for key, value in given.items() if value is not None)
    settings = cli.loaded.settings
    target = folder or Path(cli.path(settings.platform.sources))
    shown = (TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
    with Progress(*shown, console=out, transient=True) as bars:
        task = bars.add_task("World", total=None)

        def show(text: str, done: int, total: int) -> None:
            bars.update(task, description=f"World: {text}", completed=done, total=total)

        started = time.monotonic()
        if interactions is None:
            from jobs.simulator.write import write_world

            summary = write_world(settings, target, show)
        else:
            if not interactions.is_file():
                raise SourceError(f"--from-interactions {interactions}: there is no such file.")
            from jobs.simulator.interactions.write import ReadOptions, write_interactions

            asked = ReadOptions(columns, min_rating)
            summary = write_interactions(interactions, settings, target, show, layout, asked)
    for line in summary.told:
        out.print(f"   {line}", markup=False, highlight=False, soft_wrap=True)
    out.print(
        f"   [green]✓[/] world in {escaped(target)} ({time.monotonic() - started:.1f} s)",
        highlight=False,
        soft_wrap=True,
    )
    return summary


@app.command()
def run(job: str, as_of: AsOf = None, force: Force = False) -> None:
    """Run one job of the flow for one as-of date.

    `pinlake run features.pin_stats --as-of 2026-11-01` · `pinlake run --help`; the jobs are listed by `pinlake tables`.
    """
    from jobs.cli.engine import engine
    from jobs.cli.ingest import source_options
    from jobs.flow import Step
    from jobs.flow import job as named

    chosen, day = named(job), parse_day(as_of)
    options = source_options() if chosen.stage == "ingest" else {}
    with engine(options) as on:
        if chosen.stage == "ingest":
            on.ingest()
        else:
            on.steps([Step(chosen, on.runner.resolve_as_of(day)[1])], force)


@app.command()
def flow(as_of: AsOf = None, force: Force = False) -> None:
    """Run the whole flow: ingest, features, candidates, ranking, gate, publish.

    `pinlake flow` · `pinlake flow --as-of 2026-10-31`
    """
    from jobs.cli.engine import engine
    from jobs.cli.ingest import source_options

    day = parse_day(as_of)
    with engine(source_options()) as on:
        started = time.monotonic()
        reached = on.flow(day, force)
        out.print(f"   Flow for {reached} in {time.monotonic() - started:.0f} s. `pinlake runs` says more.")


@app.command()
def maintain() -> None:
    """Compact small files, re-sort scattered keys, remove old partitions and unused files.

    `pinlake maintain`, every night
    """
    from jobs.cli.engine import engine
    from jobs.engine.maintenance import maintain as care

    with engine() as on, out.status("Maintaining …"):
        for name, did in care(on.runner.lake, on.runner.settings.maintenance).items():
            told = {"old days": did["removed"], "old tombstones": did["tombstones"], "small files": did["joined"]}
            less = [f"{count:,} {what} fewer" for what, count in told.items() if count]
            less += ["rewritten in its key's order"] if did["ordered"] else []
            if less:
                out.print(f"   {name}: {', '.join(less)}", markup=False, highlight=False)
    out.print("   All tables are in order.")


@app.command()
def sql(
    query: str,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Rows as JSON, one list. NaN and infinite are null, bytes base64, decimals text."),
    ] = False,
    limit: Annotated[int, typer.Option(help="Rows shown at most.", min=1)] = 50,
) -> None:
    """Query the lake in Spark SQL, read-only.

    `pinlake sql "select source, count(*) from gold.candidates where as_of = '2026-11-01' group by source"`
    """
    from jobs.cli.engine import engine
    from jobs.cli.grid import print_grid, write_json
    from jobs.lake.sql import answer, ask, fields_of, require_names

    with engine(validates=False) as on:
        frame = ask(on.runner.lake, query)
        if as_json:
            require_names(frame.schema)
        rows = answer(frame, limit + 1)
        columns = fields_of(frame)
    if as_json:
        write_json([dict(zip(columns, row, strict=True)) for row in rows[:limit]])
    else:
        print_grid(out, columns, rows[:limit])
    if len(rows) > limit:
        (err if as_json else out).print(f"[dim]the first {limit} rows; --limit shows more[/]")
