"""Commands that compute: world, ingest, run, flow, demo, sql."""

import time
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli.app import STATE, app, out, print_json
from jobs.errors import ConfigError, SourceError

AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="The cut, YYYY-MM-DD: nothing from 00:00 UTC of that day on is used. [the latest]"),
]
Force = Annotated[bool, typer.Option("--force", help="Run again even where nothing has changed.")]
Uri = Annotated[str | None, typer.Option(help="Folder or URI of the source. [those under platform.sources]")]


def parse_day(text: str | None) -> date | None:
    """Return a day as given on the command line; ConfigError if it is none."""
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise ConfigError(f"--as-of takes a day as YYYY-MM-DD, got {text!r}.") from None


@app.command()
def world(
    users: Annotated[int | None, typer.Option(help="Users. [world.users]")] = None,
    pins: Annotated[int | None, typer.Option(help="Pins. [world.pins]")] = None,
    from_interactions: Annotated[
        Path | None, typer.Option(help="A file of `user item [timestamp]` lines to make the sources from.")
    ] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Where to write. [platform.sources]")] = None,
) -> None:
    """Make a world: real TiCDC, Dumpling and Kafka files of a made-up Pinterest.

    `pinlake world --users 500 --pins 5000` · `pinlake world --from-interactions ratings.tsv --out /data/real`
    """
    make_world(users, pins, from_interactions, out_dir)


def make_world(
    users: int | None = None, pins: int | None = None, interactions: Path | None = None, folder: Path | None = None
) -> Any:
    """Write a world with progress; return its summary."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    given = {"world.users": users, "world.pins": pins}
    STATE.also(f"{key}={value}" for key, value in given.items() if value is not None)
    settings = STATE.loaded.settings
    target = folder or Path(STATE.path(settings.platform.sources))
    columns = (TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as bars:
        task = bars.add_task("World", total=None)

        def show(text: str, done: int, total: int) -> None:
            bars.update(task, description=f"World: {text}", completed=done, total=total)

        started = time.monotonic()
        if interactions is None:
            from jobs.world.write import write_world

            summary = write_world(settings, target, show)
        else:
            if not interactions.is_file():
                raise SourceError(f"--from-interactions {interactions}: there is no such file.")
            from jobs.world.interactions import write_interactions

            summary = write_interactions(interactions, settings, target, show)
    out.print(f"   [green]✓[/] world in {target} ({time.monotonic() - started:.1f} s)", highlight=False, soft_wrap=True)
    return summary


def source_options(
    ticdc: str | None = None, dumpling: str | None = None, kafka: list[str] | None = None
) -> dict[str, Any]:
    """Return where to ingest from: what was named, else what lies under platform.sources.

    Raises:
        SourceError: a folder named is not there, or nothing was named and the configured one is not there.
    """
    if ticdc or dumpling or kafka:
        for name, uri in (("ticdc", ticdc), ("dumpling", dumpling), *(("kafka", uri) for uri in kafka or [])):
            _require_folder(name, uri)
        return {"ticdc": ticdc, "dumpling": dumpling, "kafka": list(kafka or [])}
    root = Path(STATE.path(STATE.loaded.settings.platform.sources))
    if not root.is_dir():
        raise SourceError(
            f"No sources at {root}: make a world with `pinlake world`, or name --ticdc, --dumpling, --kafka."
        )
    places = {name: str(root / name) for name in ("ticdc", "dumpling") if (root / name).is_dir()}
    archives = [root / "kafka" / "secor", root / "kafka" / "connect" / "topics"]
    return places | {"kafka": [str(folder) for folder in archives if folder.is_dir()]}


def _require_folder(name: str, uri: str | None) -> None:
    """Say at once, before Spark is started, that a local folder is not there or a URI carries what it must not."""
    if uri and ("?" in uri or "@" in uri.partition("://")[2].partition("/")[0]):
        raise SourceError(
            f"--{name} {uri}: a source's URI must not carry credentials or options. Give them to Spark, in the "
            "environment: PINLAKE_PLATFORM__SPARK__CONF='{\"spark.hadoop.fs.s3a.access.key\": …}'."
        )
    if uri and "://" not in uri and not Path(uri).is_dir():
        raise SourceError(f"--{name} {uri}: there is no such folder. Name the source's root folder, or its URI.")


@app.command()
def ingest(
    ticdc: Uri = None,
    dumpling: Uri = None,
    kafka: Annotated[list[str] | None, typer.Option(help="Folder or URI of an archive; may be given again.")] = None,
    changefeed: Annotated[
        Path | None, typer.Option(help="The file given to `cdc cli changefeed create --config`. [what the files show]")
    ] = None,
    lake: Annotated[str | None, typer.Option(help="Root of the Delta tables, path or URI. [platform.lake]")] = None,
) -> None:
    """Take in change logs, snapshots and archives: bronze, then silver as of the checkpoint.

    `pinlake ingest --ticdc s3://cdc/app --dumpling s3://dumps/app-20261001 --lake /data/lake`
    """
    from jobs.cli.engine import engine
    from jobs.ingest.changefeed import read_changefeed

    options = source_options(ticdc, dumpling, kafka)
    if changefeed is not None:
        read_changefeed(changefeed)  # what is wrong with it is said before Spark starts
        options["changefeed"] = str(changefeed)
    with engine(options, root=lake) as on:
        on.ingest()


@app.command()
def run(job: str, as_of: AsOf = None, force: Force = False) -> None:
    """Run one job of the flow for one cut.

    `pinlake run features.pin_stats --as-of 2026-11-01` · `pinlake run --help`; the jobs are listed by `pinlake tables`.
    """
    from jobs.cli.engine import engine
    from jobs.flow import job as named
    from jobs.plan import Step

    chosen, day = named(job), parse_day(as_of)
    options = source_options() if chosen.stage == "ingest" else {}
    with engine(options) as on:
        if chosen.stage == "ingest":
            on.ingest()
        else:
            on.steps([Step(chosen, on.runner.cut(day)[1])], force)


@app.command()
def flow(as_of: AsOf = None, force: Force = False) -> None:
    """Run the whole chain: ingest, features, candidates, ranking, gate, publish.

    `pinlake flow` · `pinlake flow --as-of 2026-10-31`
    """
    from jobs.cli.engine import engine

    day = parse_day(as_of)
    with engine(source_options()) as on:
        started = time.monotonic()
        cut = on.flow(day, force)
        out.print(f"   Flow for {cut} in {time.monotonic() - started:.0f} s. `pinlake runs` says more.")


@app.command()
def maintain() -> None:
    """Join small files, remove partitions past their retention, delete files that no kept version needs.

    `pinlake maintain`, every night
    """
    from jobs.cli.engine import engine
    from jobs.lake.maintenance import maintain as care

    with engine() as on, out.status("Maintaining …"):
        for name, did in care(on.runner.lake, on.runner.settings.maintenance).items():
            if did["removed"] or did["joined"]:
                out.print(f"   {name}: {did['removed']} old days removed, {did['joined']} fewer files", highlight=False)
    out.print("   All tables are in order.")


@app.command()
def demo() -> None:
    """Make a world, run the whole chain on it, show a feed and related pins from the store.

    Run again, it resumes: what has not changed is not done again.
    """
    from jobs.cli.demo import run_demo

    run_demo()


@app.command()
def sql(
    query: str,
    as_json: Annotated[bool, typer.Option("--json", help="Rows as JSON, one list.")] = False,
    limit: Annotated[int, typer.Option(help="Rows shown at most.")] = 50,
) -> None:
    """Ask the lake in Spark SQL; every table is there under its name.

    `pinlake sql "select source, count(*) from gold.candidates where as_of = '2026-11-01' group by source"`
    """
    from rich.table import Table as Grid

    from jobs.cli.engine import engine
    from jobs.lake.catalog import register

    with engine() as on:
        register(on.runner.lake)
        frame = on.runner.lake.spark.sql(query)
        rows = frame.limit(limit + 1).collect()  # bounded: --limit
        shown = [row.asDict() for row in rows[:limit]]
    if as_json:
        print_json(shown)
        return
    grid = Grid(*frame.columns, header_style="bold")
    for row in shown:
        grid.add_row(*[_cell(value) for value in row.values()])
    out.print(grid)
    if len(rows) > limit:
        out.print(f"[dim]the first {limit} rows; --limit shows more[/]")


def _cell(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    return "" if value is None else str(value)
