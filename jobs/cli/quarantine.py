"""`pinlake quarantine …`: what could not be used, its bytes, and reading it once more."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as Grid

from jobs.cli.context import app, cli, escaped, out, print_json
from jobs.cli.grid import as_is, print_whole
from jobs.cli.inspect import Json
from jobs.lake.query import Tables
from jobs.report.input_faults import readable

quarantine = typer.Typer(help="What could not be used: list it, look at it, read it once more.", no_args_is_help=True)
app.add_typer(quarantine, name="quarantine")

Table = Annotated[str | None, typer.Option(help="Of this table, schema.table, or topic only.")]
Reason = Annotated[str | None, typer.Option(help="Of this class of fault only, such as bad_json.")]


@quarantine.callback()
def group() -> None:
    """What could not be used: list it, look at it, read it once more."""


@quarantine.command("list")
def list_(table: Table = None, reason: Reason = None, as_json: Json = False) -> None:
    """Count quarantined rows and files by source, table and reason.

    `pinlake quarantine list` · `pinlake quarantine list --table app.pins`
    """
    rows = _ask(
        "select source, coalesce(\"table\", '') as tbl, reason, count(*) as n, count(distinct path) as files, "
        "min(at) as first, max(at) as last from rows group by source, tbl, reason order by source, tbl, reason",
        table,
        reason,
    )
    names = {"tbl": "table", "n": "rows"}
    rows = [{names.get(key, key): value for key, value in row.items()} for row in rows]
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("Nothing is in quarantine.")
        return
    grid = Grid(header_style="bold", box=None, pad_edge=False)
    for name in ("source", "table", "reason", "rows", "files", "first", "last"):
        grid.add_column(name, no_wrap=True, justify="right" if name in {"rows", "files"} else "left")
    for row in rows:
        times = [f"{row[name]:%m-%d %H:%M}" for name in ("first", "last")]
        grid.add_row(
            *[as_is(row[name] or "") for name in ("source", "table", "reason")],
            f"{row['rows']:,}",
            f"{row['files']:,}",
            *times,
        )
    print_whole(out, grid)
    out.print(
        "[dim]`pinlake quarantine show` has the rows; after a mend, `pinlake quarantine replay` reads them again.[/]"
    )


@quarantine.command()
def show(
    table: Table = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(help="Rows shown.", min=1)] = 10,
    as_json: Json = False,
) -> None:
    """Show quarantined rows: place, reason, detail, original bytes.

    `pinlake quarantine show --table app.pins --reason bad_value --limit 3`
    """
    rows = _ask(
        'select source, "table", path, row_no, reason, detail, raw, run_id, at from rows '  # noqa: S608 - a number
        f"order by path, row_no limit {int(limit)}",
        table,
        reason,
    )
    if as_json:
        print_json([row | {"raw": _hex(row["raw"])} for row in rows])
        return
    for row in rows:
        place = row["path"] if row["row_no"] is None else f"{row['path']}, row {row['row_no']}"
        out.print(f"[bold]{escaped(row['reason'])}[/] {escaped(row['table'] or '')} ", highlight=False, end="")
        out.print(place, markup=False, highlight=False, soft_wrap=True)
        out.print(f"   {row['detail'] or ''}", markup=False, highlight=False, soft_wrap=True)
        if row["raw"]:
            out.print(f"   {readable(row['raw'])}", markup=False, highlight=False, soft_wrap=True, style="dim")
    if not rows:
        out.print("Nothing of that is in quarantine.")


@quarantine.command()
def replay(
    table: Table = None,
    reason: Reason = None,
    ticdc: Annotated[str | None, typer.Option(help="As `pinlake ingest` takes it.")] = None,
    dumpling: Annotated[str | None, typer.Option(help="As `pinlake ingest` takes it.")] = None,
    kafka: Annotated[list[str] | None, typer.Option(help="As `pinlake ingest` takes it.")] = None,
    changefeed: Annotated[Path | None, typer.Option(help="As `pinlake ingest` takes it.")] = None,
) -> None:
    """Read quarantined rows and files again after their cause was fixed, then ingest them.

    `pinlake quarantine replay --table app.pins --ticdc s3://cdc/app --dumpling s3://dumps/app-20261001`
    """
    from jobs.cli.engine import engine
    from jobs.cli.ingest import changefeed_option, source_options
    from jobs.ingest.loading.replay import Wanted

    options = source_options(ticdc, dumpling, kafka) | {"replay": Wanted(table, reason)}
    with engine(options | changefeed_option(changefeed)) as on:
        on.ingest()
    left = sum(row["n"] for row in _ask("select count(*) as n from rows", table, reason))
    out.print(f"   {left:,} rows are in quarantine now.", highlight=False)


def _ask(query: str, table: str | None, reason: str | None) -> list[dict[str, Any]]:
    """Return the rows of a query over `rows`, the wanted rows of ops.quarantine; none if there is no such table."""
    wanted = {"table": table, "reason": reason}
    given = ["\"{}\" = '{}'".format(name, value.replace("'", "''")) for name, value in wanted.items() if value]
    where = f" where {' and '.join(given)}" if given else ""
    tables = Tables(cli.path(cli.loaded.settings.platform.lake))
    # quoted above
    return tables.ask(f"with rows as (select * from quarantine{where}) {query}", {"ops.quarantine": None})  # noqa: S608


def _hex(raw: bytes | None) -> str | None:
    return None if raw is None else raw.hex()
