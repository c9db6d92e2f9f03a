"""The command `pinlake reconcile`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli.context import app, out, print_json
from jobs.common.errors import ConfigError, ValidationFailedError

if TYPE_CHECKING:
    from jobs.reconcile.database import Address
    from jobs.reconcile.table import Question, Report

PASSWORD, OTHER_PASSWORD = "PINLAKE_SOURCE_PASSWORD", "PINLAKE_AGAINST_PASSWORD"


@app.command()
def reconcile(
    table: Annotated[str, typer.Argument(help="The table, as schema.table.")],
    source: Annotated[str, typer.Option(help=f"mysql://user@host:4000 (password: {PASSWORD}) or airflow:CONNECTION.")],
    against: Annotated[
        str | None, typer.Option(help=f"Another database instead of the lake (password: {OTHER_PASSWORD}).")
    ] = None,
    named: Annotated[str | None, typer.Option("--as", help="Its name at the source, or in --against.")] = None,
    at: Annotated[
        int | None, typer.Option(help="commit_ts to compare the lake at. [the table's checkpoint]", min=1)
    ] = None,
    limit: Annotated[int, typer.Option(help="Differing rows after which no more are looked for.", min=1)] = 10_000,
    repair: Annotated[bool, typer.Option("--repair", help="Take the rows that differ from the source.")] = False,
    settled: Annotated[
        bool,
        typer.Option(
            "--settled", help="With --repair: a source other than TiDB has all up to the checkpoint, and stands still."
        ),
    ] = False,
    report: Annotated[Path | None, typer.Option("--out", help="File for the whole report, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report for a program to read.")] = False,
    lake: Annotated[str | None, typer.Option(help="Root of the Delta tables, path or URI. [platform.lake]")] = None,
) -> None:
    """Compare a table with its source by checksums of chunks, split where they differ. Exit code 5 if rows differ.

    `pinlake reconcile app.pins --source mysql://reader@tidb:4000`

    `pinlake reconcile app.pins --source mysql://reader@shard7:3306 --against mysql://reader@tidb:4000 --as app.pins_7`
    """
    from jobs.reconcile.database import Address
    from jobs.reconcile.table import Question, against_database

    if repair and (against is not None or at is not None):
        raise ConfigError("--repair is of the lake, at the table's checkpoint: leave --against and --at out.")
    if any("." not in name.strip(".") for name in (table, named or table)):
        raise ConfigError(f"A table is named schema.table, such as app.pins, got {table!r}, {named!r}.")
    address, asked, repaired = Address.parse(source, PASSWORD), Question(table, named, at, limit), None
    out.quiet = as_json
    if against is not None:
        other = Address.parse(against, OTHER_PASSWORD)
        with out.status("Comparing …") as shown:
            found = against_database(asked, address, other, shown.update)
    else:
        found, repaired = _in_lake(asked, address, lake, (settled,) if repair else None)
    out.quiet = False
    if report is not None:
        report.write_text(json.dumps(found.plain(), indent=2, ensure_ascii=False) + "\n")
    _show(found, repaired, table, against, as_json)


def _show(found: "Report", repaired: int | None, table: str, against: str | None, as_json: bool) -> None:
    """Print the report; ValidationFailedError where rows differ and none were repaired."""
    if as_json:
        print_json(found.plain())
    for line in [] if as_json else found.sentences():
        out.print("   " + line, markup=False, highlight=False, soft_wrap=True)
    if repaired is not None:
        said = f"   {repaired:,} rows taken from the source: changes at {found.at} in bronze, and in silver."
        out.print("" if as_json else said, end="" if as_json else "\n", highlight=False, soft_wrap=True)
    elif found.found.differences:
        mend = (
            ""
            if against
            else f"--repair takes them from it; `pinlake resnapshot {table} EXPORT` starts the table over."
        )
        raise ValidationFailedError(
            f"{table}: {found.found.differences:,} rows are not those of {found.source}. {mend}".strip()
        )


def _in_lake(
    asked: "Question", address: "Address", root: str | None, repair: tuple[bool] | None
) -> tuple["Report", int | None]:
    """Compare the lake with its source, and repair it; return the report and how many rows of silver were repaired.

    Args:
        asked: what to compare.
        address: of the source.
        root: of the lake.
        repair: whether the source stands still; None for no repair.
    """
    from jobs.cli.engine import engine
    from jobs.reconcile.table import against_lake

    with engine(root=root) as on:
        rules = on.runner.settings.ingest.tables.get(asked.table)
        asked = replace(asked, masked=tuple(rules.mask) if rules else ())
        with on.progress.job(f"reconcile {asked.table}"):
            found = against_lake(on.runner.lake, asked, address, on.progress.say)
        if repair is None or not found.found.differences:
            return found, None
        from jobs.reconcile.repair import JOB, Repair

        on.runner.options["repair"] = Repair(asked, address, found, *repair)
        with on.progress.job(JOB.name):  # a run of its own, with ingest held off
            return found, on.runner.run(JOB, None).rows
