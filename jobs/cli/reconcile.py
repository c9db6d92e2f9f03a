"""The command `pinlake reconcile`."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.app import app, out, print_json
from jobs.errors import ConfigError, ValidationFailed

PASSWORD, OTHER_PASSWORD = "PINLAKE_SOURCE_PASSWORD", "PINLAKE_AGAINST_PASSWORD"


@app.command()
def reconcile(
    table: Annotated[str, typer.Argument(help="The table, as schema.table.")],
    source: Annotated[str, typer.Option(help=f"mysql://user@host:4000 (password: {PASSWORD}) or airflow:CONNECTION.")],
    against: Annotated[
        str | None, typer.Option(help=f"Another database instead of the lake (password: {OTHER_PASSWORD}).")
    ] = None,
    named: Annotated[str | None, typer.Option("--as", help="Its name at the source, or in --against.")] = None,
    at: Annotated[int | None, typer.Option(help="commit_ts to compare the lake at. [the table's checkpoint]")] = None,
    limit: Annotated[int, typer.Option(help="Differing rows after which no more are looked for.", min=1)] = 10_000,
    report: Annotated[Path | None, typer.Option("--out", help="File for the whole report, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report for a program to read.")] = False,
    lake: Annotated[str | None, typer.Option(help="Root of the Delta tables, path or URI. [platform.lake]")] = None,
) -> None:
    """Compare a table with its source: checksums of chunks, cut finer where they differ. Exit code 5 if rows differ.

    `pinlake reconcile app.pins --source mysql://reader@tidb:4000`

    `pinlake reconcile app.pins --source mysql://reader@shard7:3306 --against mysql://reader@tidb:4000 --as app.pins_7`
    """
    from jobs.reconcile.database import Address
    from jobs.reconcile.table import Question, against_database, against_lake

    if any(name.count(".") != 1 for name in (table, named or table)):
        raise ConfigError(f"A table is named schema.table, such as app.pins, got {table!r}, {named!r}.")
    address = Address.parse(source, PASSWORD)
    out.quiet = as_json
    if against is not None:
        other = Address.parse(against, OTHER_PASSWORD)
        with out.status("Comparing …") as shown:
            found = against_database(Question(table, named, limit=limit), address, other, shown.update)
    else:
        from jobs.cli.engine import engine

        with engine(root=lake) as on, on.show.job(f"reconcile {table}"):
            rules = on.runner.settings.ingest.tables.get(table)
            asked = Question(table, named, at, limit, rules.mask if rules else ())
            found = against_lake(on.runner.lake, asked, address, on.show.say)
    out.quiet = False
    if report is not None:
        import json

        report.write_text(json.dumps(found.plain(), indent=2, ensure_ascii=False) + "\n")
    if as_json:
        print_json(found.plain())
    for line in [] if as_json else found.sentences():
        out.print("   " + line, markup=False, highlight=False, soft_wrap=True)
    if found.found.differences:
        raise ValidationFailed(
            f"{table}: {found.found.differences:,} rows are not those of {found.source}. "
            f"`pinlake resnapshot {table} EXPORT` begins the table anew."
        )
