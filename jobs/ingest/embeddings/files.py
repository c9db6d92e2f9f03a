r"""`pinlake embed`: a folder or a tar of images in, a matrix of vectors out. No lake, no Java.

VECTORS.npy holds float16 [n, dim], rows of unit length. VECTORS.names.parquet maps rows to images.
VECTORS.quarantine.parquet lists the images that could not be embedded, with reasons, if any. A name that is not UTF-8
has its bytes in name_bytes, and \xe9 for such a byte in name. Files are renamed once they are complete, the vectors
last: if VECTORS.npy exists, the others are of the same run.
"""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.common.errors import ConfigError, SourceError
from jobs.ingest.embeddings.embed import Embedded, SameVectorCheck, embedded
from jobs.ingest.embeddings.listing import Listing, of_folder
from jobs.ingest.embeddings.model import Model
from jobs.ingest.embeddings.tars import normal, of_tar
from jobs.ingest.images.decode import printable_name
from jobs.settings.ingest import Images

_NAME = [("name", pa.string()), ("name_bytes", pa.binary())]
NAMES = pa.schema([("row", pa.int64()), *_NAME])
QUARANTINE = pa.schema([*_NAME, ("reason", pa.string()), ("detail", pa.string())])
Progress = Callable[[int, int | None], None]
"""Told how many images are done, and of how many where that is known."""


@dataclass
class Summary:
    """What was done."""

    vectors: int = 0
    dim: int = 0
    model: str = ""
    device: str = ""
    fallback: str = ""
    """Why the model did not run on a GPU where one was to be taken if there."""
    quarantined: dict[str, int] = field(default_factory=dict)
    """Images without a vector, by reason."""
    hidden: int = 0
    """Files and folders that were passed over, for their name begins with a dot."""
    warning: str = ""
    """What is suspect of the vectors; empty where nothing is."""


def names_of(out: Path) -> Path:
    """Return where the rows' images are written."""
    return out.with_name(f"{out.stem}.names.parquet")


def quarantine_of(out: Path) -> Path:
    """Return where the images that could not be embedded are written."""
    return out.with_name(f"{out.stem}.quarantine.parquet")


def require_place(out: Path) -> None:
    """Fail before the work where its result could not be written."""
    if out.is_dir() or out.suffix != ".npy" or not out.absolute().parent.is_dir():
        raise ConfigError(f"--out must be a .npy file in a folder that exists, got {out}: make the folder first.")


def embed_files(source: Path, model: Model, out: Path, limits: Images, threads: int, say: Progress) -> Summary:
    """Embed every file of a folder or tar but hidden ones, by name in a folder, in its order in a tar.

    A tar's links come behind its files, each with the vector of the file it leads to.

    Args:
        source: folder, looked through to the bottom, or tar, plain or packed by gzip, bzip2 or xz.
        model: opened.
        out: file to write.
        limits: bytes and pixels of an image.
        threads: cores that decode.
        say: told after each batch.

    Raises:
        SourceError: neither folder nor tar, one without files, or a tar that ends early.
        ConfigError: the model fails.
    """
    listing = _listed(source, limits.max_file_mb << 20)
    if not listing.total:
        shown = printable_name(str(source))[0]
        hidden = f" but {listing.hidden:,} whose name begins with a dot" if listing.hidden else ""
        raise SourceError(f"{shown} must hold images, and holds no file{hidden}. Name a folder or a tar of images.")
    made = Summary(dim=model.dim, model=model.version, device=model.device.name, fallback=model.device.fallback)
    made.hidden = listing.hidden
    with ExitStack() as stack, ThreadPoolExecutor(threads, "decode") as pool:
        results = stack.enter_context(_Results(out, model))
        while batch := list(islice(listing.files, model.settings.batch)):
            results.take(listing, [name for name, _ in batch], embedded([r for _, r in batch], model, limits, pool.map))
            say(results.done, listing.total)
        if listing.links:
            results.take_links(listing, model.settings.batch)
            say(results.done, listing.total)
        made.vectors, made.quarantined, made.warning = results.rows, results.faults, results.same_vector.warning()
        results.keep()
    return made


def _listed(source: Path, most: int) -> Listing:
    if source.is_dir():
        return of_folder(source, most)
    if not source.is_file():
        raise SourceError(
            f"{printable_name(str(source))[0]}: there is no such folder or tar. Name one that holds images."
        )
    return of_tar(source, most)


class _Results:
    """The three files in the making, gone if the work fails."""

    def __init__(self, out: Path, model: Model) -> None:
        self._out, self._dim = out, model.dim
        self._parts = [path.with_name(f".{path.name}.part") for path in (quarantine_of(out), names_of(out), out)]
        told = {b"model": model.version.encode()}
        self._stack = ExitStack()
        self._tables = [
            self._stack.enter_context(
                pq.ParquetWriter(self._opened(part), schema.with_metadata(told), compression="zstd")
            )
            for part, schema in zip(self._parts, (QUARANTINE, NAMES), strict=False)
        ]
        self._vectors = self._opened(self._parts[2])
        self._vectors.write(_header(0, model.dim))
        self.rows, self.done, self.same_vector = 0, 0, SameVectorCheck()
        self.faults: dict[str, int] = {}
        self._linked: dict[str, Embedded] = {}

    def _opened(self, part: Path) -> IO[bytes]:
        return self._stack.enter_context(part.open("wb"))

    def __enter__(self) -> "_Results":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for part in self._parts:
            part.unlink(missing_ok=True)

    def take(self, listing: Listing, names: list[str], found: list[Embedded]) -> None:
        """Write what became of a batch, and hold on to what links lead to."""
        whole = list(zip(names, found, strict=True))
        if listing.links:
            self._linked |= {normal(name): one for name, one in whole if normal(name) in listing.links}
        self._add([(name, one) for name, one in whole if normal(name) not in listing.unlisted])
        self.same_vector.add(found)

    def take_links(self, listing: Listing, batch: int) -> None:
        """Write the links, each with what became of the file it leads to."""
        links = ((name, self._linked[target]) for target, names in listing.links.items() for name in names)
        while some := list(islice(links, batch)):
            self._add(some)

    def _add(self, found: list[tuple[str, Embedded]]) -> None:
        names: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        for name, one in found:
            text, raw = printable_name(name)
            told: dict[str, Any] = {"name": text, "name_bytes": raw}
            if one.fault is not None:
                bad.append(told | {"reason": one.fault.reason, "detail": str(one.fault)})
                self.faults[one.fault.reason] = self.faults.get(one.fault.reason, 0) + 1
            elif one.vector is not None:
                names.append(told | {"row": self.rows})
                self._vectors.write(one.vector.astype("<f2").tobytes())
                self.rows += 1
        for table, some in zip(self._tables, (bad, names), strict=True):
            if some:
                table.write_table(pa.Table.from_pylist(some, table.schema))
        self.done += len(found)

    def keep(self) -> None:
        """Give the files their names."""
        self._vectors.seek(0)
        self._vectors.write(_header(self.rows, self._dim))
        self._stack.close()
        self._out.unlink(missing_ok=True)  # first: never old vectors beside new names
        names = (quarantine_of(self._out), names_of(self._out), self._out)
        if not self.faults:
            names[0].unlink(missing_ok=True)
            self._parts[0].unlink()
        for part, path in zip(self._parts, names, strict=True):
            if part.exists():
                part.replace(path)


def _header(rows: int, dim: int) -> bytes:
    """Return the head of a .npy file: as long for any number of rows, for numpy leaves room to grow."""
    body = io.BytesIO()
    np.lib.format.write_array_header_1_0(body, {"descr": "<f2", "fortran_order": False, "shape": (rows, dim)})
    return body.getvalue()
