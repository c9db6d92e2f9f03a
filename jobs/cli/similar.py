"""The command `pinlake similar`: the pins most similar to an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli.context import app, cli, out, print_json
from jobs.cli.grid import print_grid
from jobs.common.errors import SourceError, TableError

if TYPE_CHECKING:
    from jobs.neighbours.similar import QueryImage


@app.command()
def similar(
    image: Annotated[Path, typer.Argument(help="An image: JPEG, PNG, WEBP, GIF or BMP.")],
    length: Annotated[int, typer.Option(help="Pins shown.", min=1, max=200)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Show the public pins most like an image, by its shape and colors; images of one kind only so often.

    `pinlake similar kitchen.jpg`
    """
    look = _look(image)
    from jobs.cli.engine import engine
    from jobs.neighbours.similar import similar as search

    with engine() as on:
        lake = on.runner.lake
        for name, job in (("silver.image_features", "ingest.images"), ("gold.pin_stats", "features.pin_stats")):
            if not lake.exists(name):
                raise TableError(f"Table {name} does not exist: `pinlake flow` makes it, by {job}.")
        stats = lake.scan("gold.pin_stats")
        newest = stats.agg({"as_of": "max"}).collect()[0][0]  # bounded: one row
        found = search(lake.scan("silver.image_features"), stats.where(stats["as_of"] == newest), look, length)
    if as_json:
        print_json([{"pin_id": f.pin_id, "score": f.score, "image_signature": f.image_signature} for f in found])
        return
    if found:
        cells = [
            (one.pin_id, f"{one.score:.3f}", one.color or "", one.style or "", one.category or "", one.image_signature)
            for one in found
        ]
        print_grid(out, ("pin", "similarity", "color", "style", "category", "image"), cells)
    else:
        out.print("No public pin has an image that was measured: `pinlake ingest` reads images.")


def _look(image: Path) -> "QueryImage":
    import numpy as np

    from jobs.ingest.images.decode import Unusable, decode, printable_name
    from jobs.ingest.images.features import features
    from jobs.neighbours.similar import QueryImage

    shown = printable_name(str(image))[0]
    limits = cli.loaded.settings.ingest.images
    try:
        decoded = decode(image.read_bytes(), limits.max_megapixels * 1_000_000)
    except OSError as error:
        raise SourceError(f"{shown}: cannot be read: {error.strerror or error}. Name an image file.") from error
    except Unusable as fault:
        raise SourceError(f"{shown}: {fault.reason}: {fault}. Name a whole JPEG, PNG, WEBP, GIF or BMP.") from fault
    found = features([decoded])
    return QueryImage(int(found.phash[0]), found.histogram[0].astype(np.float32))
