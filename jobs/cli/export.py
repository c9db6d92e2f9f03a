"""The command `pinlake export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from jobs.cli.context import app, escaped, out


@app.command()
def export(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables as schema.table. [all]")] = None,
    folder: Annotated[Path, typer.Option("--out", help="Folder to write into.")] = Path("export"),
    form: Annotated[Literal["parquet", "jsonl", "csv"], typer.Option("--format", help="Of the files.")] = "parquet",
    lake: Annotated[str | None, typer.Option(help="Root of the Delta tables, path or URI. [platform.lake]")] = None,
) -> None:
    """Write the live rows of silver tables as files: the source's columns under their own names, nothing else.

    `pinlake export --out out` · `pinlake export app.users app.boards --out out --format jsonl`
    """
    from jobs.cli.engine import engine
    from jobs.ingest.export import export as write

    with engine(root=lake) as on:
        rows = write(on.runner.lake, tables or (), folder, form, on.runner.progress)
    out.print(
        f"   [green]✓[/] {len(rows)} tables, {sum(rows.values()):,} rows in {escaped(folder)}",
        highlight=False,
        soft_wrap=True,
    )
