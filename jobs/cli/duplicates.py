"""The command `pinlake near-duplicates`, without Spark."""

import time
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.context import app, escaped, out


@app.command()
def near_duplicates(
    hashes: Annotated[Path, typer.Argument(help="A .npy file of uint64 or int64, or of uint8, n by 8.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder to write into.")],
    radius: Annotated[int, typer.Option(help="Most bits in which two hashes of a pair differ, 0 to 10.", min=0)] = 6,
    ids: Annotated[Path | None, typer.Option(help="Whole numbers, one a hash; row numbers if not given.")] = None,
) -> None:
    """Find every pair of 64-bit hashes that differ in few bits: groups.parquet and pairs.parquet, exact.

    `pinlake near-duplicates hashes.npy --radius 6 --out duplicates`
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from jobs.image_dedup.files import near_duplicates as write

    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as bars:
        task = bars.add_task("Keys", total=None)
        found = write(hashes, radius, folder, ids, lambda done, of: bars.update(task, completed=done, total=of))
    seconds = time.monotonic() - started
    out.print(
        f"   [green]✓[/] {found.rows:,} hashes, {found.unique:,} different, the most frequent {found.largest:,} times\n"
        f"   [green]✓[/] {found.pairs:,} pairs within {radius} bits, in {escaped(folder)} ({seconds:.1f} s)",
        highlight=False,
        soft_wrap=True,
    )
