"""`pinlake benchmark posters`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.app import out, print_json
from jobs.cli.bench import benchmarks
from jobs.errors import ConfigError

PAGE, MODEL = "posters.html", "look.onnx"


@benchmarks.command()
def posters(
    data: Annotated[Path, typer.Option(help="Folder with a tar of posters named <film id>.jpg; movies.dat if any.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder to write the page and the model into.")],
    ratings: Annotated[
        Path | None, typer.Option(help="Folder of NCF's MovieLens files. [in --data, or ml-1m-ncf beside it]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures, for a program to read.")] = False,
) -> None:
    """Bring real posters through hashing, embeddings, near-duplicates and related items; write a page to look at.

    `pinlake benchmark posters --data data/ml-1m-posters --out posters`; some minutes.
    """
    from jobs.benchmark.posters.data import given
    from jobs.benchmark.posters.page import write_page
    from jobs.benchmark.posters.through import through, work_of
    from jobs.cli.engine import engine

    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} must be a folder, but there is a file of that name: name another.")
    folder.mkdir(parents=True, exist_ok=True)
    out.quiet = as_json
    with tempfile.TemporaryDirectory(prefix="pinlake-posters-") as scratch:
        root = Path(scratch) / "sources"
        found = given(data, root / "images", ratings)
        with engine(root=f"{scratch}/lake") as on:
            made = through(work_of(on.work()), found, root)
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
    out.print(f"   {folder / PAGE}, {folder / MODEL}", highlight=False, soft_wrap=True)
