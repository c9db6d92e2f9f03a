"""The command `pinlake embed`."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from jobs.cli.context import app, err, out, print_json
from jobs.common.errors import ConfigError


@app.command()
def embed(
    images: Annotated[Path, typer.Argument(help="A folder or a tar of JPEG, PNG, WEBP, GIF or BMP files.")],
    model: Annotated[Path, typer.Option(help="An ONNX model; weights in files of their own lie beside it.")],
    to: Annotated[Path, typer.Option("--out", help="A .npy file to write: float16, one row an image, length one.")],
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the model's images. [the model's]")] = None,
    mean: Annotated[str | None, typer.Option(help="R,G,B from 0 to 1, taken away. [the model's metadata, 0]")] = None,
    std: Annotated[str | None, typer.Option(help="R,G,B, of 0 to 1, divided by. [the model's metadata, 1]")] = None,
    fit: Annotated[Literal["crop", "stretch"], typer.Option(help="The middle, or the whole out of shape.")] = "crop",
    resample: Annotated[Literal["bilinear", "bicubic"], typer.Option(help="As the training did.")] = "bilinear",
    output: Annotated[str, typer.Option(help="Output that is the embedding. [the only one]")] = "",
    backend: Annotated[
        Literal["auto", "cpu", "required_gpu"], typer.Option(help="auto takes CUDA where it works.")
    ] = "auto",
    batch: Annotated[int, typer.Option(help="Images at once.", min=1, max=1024)] = 32,
    threads: Annotated[int | None, typer.Option(help="Cores to use. [all]", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was done, for a program to read.")] = False,
) -> None:
    """Compute embeddings of images by an ONNX model; no lake, no Java.

    VECTORS.names.parquet says which image each row is; what is no image stands in VECTORS.quarantine.parquet.

    `pinlake embed photos/ --model M.onnx --out VECTORS.npy`, then `pinlake knn VECTORS.npy --out NEIGHBOURS.parquet`
    """
    from jobs.ingest.embeddings.files import embed_files, names_of, require_place
    from jobs.ingest.embeddings.model import Model
    from jobs.ingest.images.decode import printable_name
    from jobs.settings.ingest import Embeddings, Images

    require_place(to)
    cores = threads or len(os.sched_getaffinity(0))
    told: dict[str, Any] = {"size": _numbers("size", size, "x", 2, int), "fit": fit, "resample": resample}
    told |= {"mean": _numbers("mean", mean, ",", 3, float), "std": _numbers("std", std, ",", 3, float)}
    settings = Embeddings(output=output, backend=backend, batch=batch, threads=cores, **told)
    opened = Model(model, settings)
    with _Bar(quiet=as_json) as bar:
        made = embed_files(images, opened, to, Images(), cores, bar.told)
    if as_json:
        print_json(vars(made) | {"out": str(to)})
        return
    lines = [f"{made.vectors:,} vectors of {made.dim} values by {made.model}, on the {made.device.upper()}"]
    lines[0] += f": {made.fallback}." if made.fallback else "."
    if made.warning:
        lines.append(f"Warning: {made.warning}.")
    if made.quarantined:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(made.quarantined.items()))
        lines.append(f"{sum(made.quarantined.values()):,} files could not be embedded ({counts}).")
    if made.hidden:
        lines.append(f"{made.hidden:,} files or folders whose name begins with a dot were passed over.")
    for line in [*lines, f"{to}, {names_of(to).name}"]:
        out.print("   " + printable_name(line)[0], markup=False, highlight=False, soft_wrap=True)


def _numbers(name: str, text: str | None, between: str, count: int, kind: type) -> tuple[Any, ...] | None:
    if text is None:
        return None
    try:
        found = tuple(kind(part) for part in text.split(between))
    except ValueError:
        found = ()
    if len(found) != count:
        like = between.join(["224", "224"] if kind is int else ["0.485", "0.456", "0.406"])
        raise ConfigError(
            f"--{name} must be {count} numbers with {between!r} between them, such as {like}, got {text!r}."
        )
    return found


class _Bar:
    """Progress on stderr."""

    def __init__(self, quiet: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("   Embedding"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=err, transient=True, disable=quiet)
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> "_Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def told(self, done: int, of: int | None) -> None:
        """Show how far it is."""
        self._bar.update(self._task, completed=done, total=of)
