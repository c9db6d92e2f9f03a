"""A folder or a tar of pictures in, a matrix of vectors out: `pinlake embed`. No lake, no Java.

VECTORS.npy holds float16 [n, dim], rows of length one; VECTORS.names.parquet says which picture each row is;
VECTORS.quarantine.parquet what could not be embedded, and why, if anything. All take their names once they are whole,
the vectors last: where VECTORS.npy lies, the others are of the same run.
"""

import io
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.config.ingest import Pictures
from jobs.errors import ConfigError, SourceError
from jobs.ingest.embeddings.model import Model
from jobs.ingest.embeddings.pictures import Embedded, Read, embedded
from jobs.ingest.pictures.decode import Unusable

NAMES = pa.schema([("row", pa.int64()), ("name", pa.string())])
QUARANTINE = pa.schema([("name", pa.string()), ("reason", pa.string()), ("detail", pa.string())])
Progress = Callable[[int, int | None], None]
"""Told how many pictures are done, and of how many where that is known."""


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
    """Pictures without a vector, by reason."""


def names_of(out: Path) -> Path:
    """Return where the rows' pictures are written."""
    return out.with_name(f"{out.stem}.names.parquet")


def quarantine_of(out: Path) -> Path:
    """Return where the pictures that could not be embedded are written."""
    return out.with_name(f"{out.stem}.quarantine.parquet")


def require_place(out: Path) -> None:
    """Fail before the work where its result could not be written."""
    if out.is_dir() or out.suffix != ".npy" or not out.absolute().parent.is_dir():
        raise ConfigError(f"--out must be a .npy file in a folder that exists, got {out}: make the folder first.")


def embed_files(source: Path, model: Model, out: Path, limits: Pictures, threads: int, say: Progress) -> Summary:
    """Embed every file of a folder or tar but hidden ones, by name in a folder, in its order in a tar.

    Args:
        source: folder, looked through to the bottom, or tar of any compression.
        model: opened.
        out: file to write.
        limits: bytes and pixels of a picture.
        threads: cores that decode.
        say: told after each batch.

    Raises:
        SourceError: neither folder nor tar, one without files, or a tar that ends early.
        ConfigError: the model fails.
    """
    total, files = _files(source, limits.most_mb << 20)
    done, made = (
        0,
        Summary(dim=model.dim, model=model.version, device=model.device.name, fallback=model.device.fallback),
    )
    with ExitStack() as stack, ThreadPoolExecutor(threads, "decode") as pool:
        results = stack.enter_context(_Results(out, model))
        while batch := list(islice(files, model.wish.batch)):
            found = embedded([read for _, read in batch], model, limits, pool.map)
            results.add([name for name, _ in batch], found, made)
            done += len(batch)
            say(done, total)
        if not done:
            raise SourceError(f"{source} must hold pictures, and holds no file. Name a folder or a tar of pictures.")
        results.keep()
    return made


def _files(source: Path, most: int) -> tuple[int | None, Iterator[tuple[str, Read]]]:
    """Return how many files there are, if that is known, and each with its name."""
    if source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.is_file() and not _hidden(path.relative_to(source)))
        return len(paths), ((str(path.relative_to(source)), partial(_from_disk, path, most)) for path in paths)
    if not source.is_file():
        raise SourceError(f"{source}: there is no such folder or tar. Name one that holds pictures.")
    return None, _from_tar(source, most)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _from_disk(path: Path, most: int) -> bytes:
    try:
        if path.stat().st_size > most:
            raise Unusable("file_too_large", f"more than {most:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Unusable("unreadable_file", str(error)[:300]) from error


def _from_tar(source: Path, most: int) -> Iterator[tuple[str, Read]]:
    try:
        with tarfile.open(source, "r|*") as archive:  # a stream: nothing is looked for twice
            for member in archive:
                if member.isfile() and not _hidden(Path(member.name)):
                    large = member.size > most
                    file = None if large else archive.extractfile(member)
                    yield member.name, partial(_kept, file.read() if file else None, most)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SourceError(
            f"{source} must be a whole tar: {error}. Make it anew, or unpack it into a folder."
        ) from error


def _kept(raw: bytes | None, most: int) -> bytes:
    if raw is None:
        raise Unusable("file_too_large", f"more than {most:,} bytes")
    return raw


class _Results:
    """The three files in the making, gone if the work fails."""

    def __init__(self, out: Path, model: Model) -> None:
        self._out, self._dim = out, model.dim
        self._parts = [path.with_name(f".{path.name}.part") for path in (quarantine_of(out), names_of(out), out)]
        told = {b"model": model.version.encode()}
        self._stack = ExitStack()
        self._tables = [
            self._stack.enter_context(pq.ParquetWriter(part, schema.with_metadata(told), compression="zstd"))
            for part, schema in zip(self._parts, (QUARANTINE, NAMES), strict=False)
        ]
        self._vectors: IO[bytes] = self._stack.enter_context(self._parts[2].open("wb"))
        self._vectors.write(_header(0, model.dim))
        self._bad = 0

    def __enter__(self) -> "_Results":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for part in self._parts:
            part.unlink(missing_ok=True)

    def add(self, names: list[str], found: list[Embedded], made: Summary) -> None:
        """Write what became of a batch, and count it."""
        good = [(name, one.vector) for name, one in zip(names, found, strict=True) if one.vector is not None]
        bad = [(name, one.fault) for name, one in zip(names, found, strict=True) if one.fault is not None]
        rows = range(made.vectors, made.vectors + len(good))
        told = [{"row": row, "name": name} for row, (name, _) in zip(rows, good, strict=True)]
        faults = [{"name": name, "reason": fault.reason, "detail": str(fault)} for name, fault in bad]
        for table, some in zip(self._tables, (faults, told), strict=True):
            if some:
                table.write_table(pa.Table.from_pylist(some, table.schema))
        for _, vector in good:
            self._vectors.write(vector.astype("<f2").tobytes())
        made.vectors += len(good)
        self._bad += len(bad)
        for _, fault in bad:
            made.quarantined[fault.reason] = made.quarantined.get(fault.reason, 0) + 1
        self._rows = made.vectors

    def keep(self) -> None:
        """Give the files their names."""
        self._vectors.seek(0)
        self._vectors.write(_header(self._rows, self._dim))
        self._stack.close()
        self._out.unlink(missing_ok=True)  # first: never old vectors beside new names
        names = (quarantine_of(self._out), names_of(self._out), self._out)
        if not self._bad:
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
