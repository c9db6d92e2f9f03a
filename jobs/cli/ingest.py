"""The command `pinlake ingest`, and where the sources are."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli.context import app, cli, escaped, out, print_json
from jobs.cli.grid import as_is, print_whole
from jobs.common.errors import Blocked, SourceError
from jobs.engine.sources import configured_sources, is_broker
from jobs.ingest.kafka.broker.address import parse
from jobs.ingest.kafka.broker.properties import consumer_properties

Uri = Annotated[str | None, typer.Option(help="Folder or URI of the source. [those under platform.sources]")]

SnapshotTs = Annotated[
    int | None, typer.Option(min=1, help="TSO that the export was taken at. [what its file `metadata` says]")
]


def source_options(
    ticdc: str | None = None, dumpling: str | None = None, kafka: list[str] | None = None
) -> dict[str, Any]:
    """Return where to ingest from: what was named, else what lies under platform.sources.

    Raises:
        SourceError: a folder named is not there, or nothing was named and the configured one is not there.
    """
    if ticdc or dumpling or kafka:  # images lie where they lie: only a run on the configured sources reads them
        for name, uri in (("ticdc", ticdc), ("dumpling", dumpling), *(("kafka", uri) for uri in kafka or [])):
            _require_folder(name, uri)
        return {"ticdc": ticdc, "dumpling": dumpling, "kafka": list(kafka or [])}
    for uri in filter(is_broker, cli.loaded.settings.ingest.kafka):
        _require_folder("kafka", uri)
    return configured_sources(cli.loaded)


def _require_folder(name: str, uri: str | None) -> None:
    """Say at once, before Spark is started, that a folder is not there or a URI is not as it must be."""
    if uri and name == "kafka" and is_broker(uri):
        parse(uri)
        consumer_properties(cli.loaded.settings.ingest.brokers, "")
        return
    if uri and ("?" in uri or "@" in uri.partition("://")[2].partition("/")[0]):
        raise SourceError(
            f"--{name} {uri}: a source's URI must not carry credentials or options. Give them to Spark, in the "
            "environment: PINLAKE_PLATFORM__SPARK__CONF='{\"spark.hadoop.fs.s3a.access.key\": …}'."
        )
    if uri and "://" not in uri and not Path(uri).is_dir():
        raise SourceError(f"--{name} {uri}: there is no such folder. Name the source's root folder, or its URI.")


def changefeed_option(file: Path | None) -> dict[str, Any]:
    """Return the option that names the changefeed's file; what is wrong with the file is said before Spark starts."""
    from jobs.ingest.tidb.ticdc.changefeed import read_changefeed

    if file is None:
        return {}
    read_changefeed(file)
    return {"changefeed": str(file)}


@app.command()
def ingest(
    ticdc: Uri = None,
    dumpling: Uri = None,
    kafka: Annotated[
        list[str] | None,
        typer.Option(help="Folder or URI of an archive, or kafka://HOST:PORT/TOPIC,TOPIC; may be given again."),
    ] = None,
    changefeed: Annotated[
        Path | None, typer.Option(help="The file given to `cdc cli changefeed create --config`. [what the files show]")
    ] = None,
    snapshot_ts: SnapshotTs = None,
    lake: Annotated[str | None, typer.Option(help="Root of the Delta tables, path or URI. [platform.lake]")] = None,
    status: Annotated[bool, typer.Option("--status", help="Take in nothing: say how far each table is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --status: for a program to read.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with code 10 also for what is awaited, unknown or in quarantine.")
    ] = False,
) -> None:
    """Ingest change logs, snapshots and archives: into bronze, then silver as of the checkpoint.

    Ends with code 10 where a table or topic is blocked: the others are taken in.

    `pinlake ingest --ticdc s3://cdc/app --dumpling s3://dumps/app-20261001 --lake /data/lake`

    `pinlake ingest --status` says how far each table is.
    """
    if status:
        show_status(lake, as_json)
        return
    from jobs.cli.engine import engine

    options = source_options(ticdc, dumpling, kafka) | changefeed_option(changefeed)
    options |= {"snapshot_ts": snapshot_ts} if snapshot_ts else {}
    with engine(options, root=lake) as on:
        error = on.ingest().error(strict)
    if error is not None:
        raise error


@app.command()
def resnapshot(
    table: Annotated[str, typer.Argument(help="The table, as schema.table.")],
    export: Annotated[str, typer.Argument(help="Folder or URI of a Dumpling export that holds it.")],
    ticdc: Uri = None,
    dumpling: Uri = None,
    changefeed: Annotated[Path | None, typer.Option(help="As `pinlake ingest` takes it.")] = None,
    snapshot_ts: SnapshotTs = None,
    lake: Annotated[str | None, typer.Option(help="Root of the Delta tables, path or URI. [platform.lake]")] = None,
) -> None:
    """Restart one table from a later snapshot while the feed runs: it was blocked, or differs from its source.

    `dumpling --filetype csv -T app.pins -o s3://dumps/pins`, then `pinlake resnapshot app.pins s3://dumps/pins`
    """
    from jobs.cli.engine import engine

    _require_folder("export", export)
    options = source_options(ticdc, dumpling, []) | {"kafka": [], "resnapshot": (table, export)}
    options |= changefeed_option(changefeed) | ({"snapshot_ts": snapshot_ts} if snapshot_ts else {})
    with engine(options, root=lake) as on:
        found = on.ingest("ingest.cdc")
    if any(sentence.startswith(f"{table} is blocked") for sentence in found.blocked):
        raise Blocked(f"{table} is still blocked, see above.")
    out.print(f"   {escaped(table)} goes on from its new snapshot. `pinlake ingest --status` says how far it is.")


def show_status(lake: str | None, as_json: bool) -> None:
    """Print how far each source table is, and what was done for it so far."""
    from rich.table import Table as Grid

    from jobs.ingest.status import status, without_table

    found = status(lake or cli.path(cli.loaded.settings.platform.lake))
    if as_json:
        print_json([one.plain() for one in found])
        return
    if not found:
        out.print("Nothing has been ingested yet: `pinlake ingest` takes in what there is.")
        return
    numbers = ("files", "applied", "superseded", "pending", "quarantined")
    grid = Grid(header_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("table", overflow="fold")
    for name in ("checkpoint", "lag", *numbers):
        grid.add_column(name, no_wrap=True, min_width=len(name), justify="left" if name == "checkpoint" else "right")
    for one in found:
        at = f"{one.checkpoint:%m-%d %H:%M}" if one.checkpoint else ""
        counts = [f"{getattr(one, name):,}" for name in numbers]
        grid.add_row(as_is(one.table), at, _duration(one.lag), *counts, style="yellow" if one.blocked_reason else None)
    print_whole(out, grid)
    for one in found:
        if one.blocked_reason:
            reason = one.blocked_reason if one.table in one.blocked_reason else f"{one.table} {one.blocked_reason}"
            out.print(f"   {reason}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        for path in one.awaited:
            out.print(f"   {one.table} waits for {path}: an index names it, and it is not there.", **_PLAIN)
    for topic in without_table(found, cli.loaded.settings.ingest):
        out.print(f"   kafka:{topic} has no table: its messages stay in bronze.", **_PLAIN)
    if any(one.quarantined for one in found):
        out.print("   `pinlake quarantine list` says why rows could not be used.", highlight=False)


_PLAIN: dict[str, Any] = {"style": "yellow", "markup": False, "highlight": False, "soft_wrap": True}


def _duration(lag: timedelta | None) -> str:
    if lag is None:
        return ""
    minutes = max(lag.total_seconds() / 60, 0)
    if minutes < 60:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 1440 else f"{minutes / 1440:.1f} d"
