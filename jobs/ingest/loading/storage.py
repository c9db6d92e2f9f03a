"""Listing and reading source files, on any store pyarrow knows: a path, file://, s3://, gs://, hdfs://.

In: a root URI. Out: the files below it, and their bytes. Used by the driver to list and by executors to read.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.common.errors import SourceError
from jobs.ingest.loading.codecs import HEAD, codec_of, decompress, plain_name

__all__ = ["StoredFile", "listing", "open_stream", "plain_name", "read", "read_head", "read_raw"]

_STREAMED = {"gzip": "gzip", "zstd": "zstd", "bzip2": "bz2"}
"""Codecs that Arrow reads piece by piece -> its names for them."""


@dataclass(frozen=True)
class StoredFile:
    """One file below a root."""

    path: str
    """Relative to the root, parts separated by a slash."""
    size: int
    """Bytes."""
    etag: str
    """Modification time in ISO form, as stores have no common etag."""


def listing(root: str, what: str) -> list[StoredFile]:
    """Return every file below `root`, sorted by path.

    Args:
        root: path or URI of a folder.
        what: what the folder is, for the message: "TiCDC storage sink".

    Raises:
        SourceError: the folder is missing or cannot be read.
    """
    from pyarrow.fs import FileSelector, FileType

    system, base = _open(root, what)
    try:
        if system.get_file_info(base).type is not FileType.Directory:
            raise SourceError(f"{what}: no folder at {root}. Check the URI, or leave the source out.")
        found = system.get_file_info(FileSelector(base, recursive=True))
    except OSError as error:
        raise SourceError(f"{what}: {root} cannot be listed: {error}. Check access, then run again.") from error
    cut = len(base.rstrip("/")) + 1
    files = [StoredFile(f.path[cut:], f.size, _etag(f)) for f in found if f.type is FileType.File]
    return sorted(files, key=lambda file: file.path)


def stat(root: str, paths: list[str]) -> list[StoredFile]:
    """Return those of the files below `root` that are there now."""
    from pyarrow.fs import FileType

    system, base = _open(root, "source")
    found = system.get_file_info([f"{base.rstrip('/')}/{path}" for path in paths])
    pairs = zip(paths, found, strict=True)
    return [StoredFile(path, info.size, _etag(info)) for path, info in pairs if info.type is FileType.File]


def read(root: str, path: str) -> bytes:
    """Return the bytes of one file, decompressed.

    Raises:
        OSError: the file is gone, cannot be read, or is not what its name says.
    """
    try:
        return decompress(path, read_raw(root, path))
    except ValueError as error:
        raise OSError(f"cannot be decompressed: {error}") from error


def open_stream(root: str, path: str) -> Any:
    """Return a stream of one file's bytes, decompressed as it is read; OSError as `read`."""
    from pyarrow import CompressedInputStream

    system, base = _open(root, "source")
    file = system.open_input_file(f"{base.rstrip('/')}/{path}")
    codec = codec_of(path, file.read(HEAD))
    file.seek(0)
    if codec is None:
        return file
    if codec in _STREAMED:
        return CompressedInputStream(file, _STREAMED[codec])
    file.close()
    return io.BytesIO(read(root, path))


def read_head(root: str, path: str, limit: int) -> bytes:
    """Return the first bytes of one file, decompressed, `limit` at most; OSError as `read`."""
    try:
        with open_stream(root, path) as stream:
            return bytes(stream.read(limit))
    except (EOFError, ValueError) as error:
        raise OSError(f"cannot be decompressed: {error}") from error


def read_raw(root: str, path: str) -> bytes:
    """Return the bytes of one file as they are; OSError if it is gone or cannot be read."""
    system, base = _open(root, "source")
    with system.open_input_file(f"{base.rstrip('/')}/{path}") as file:
        return bytes(file.read())


def _open(root: str, what: str) -> tuple[Any, str]:
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem

    uri = root if "://" in root else str(Path(root).absolute())
    try:
        system, base = FileSystem.from_uri(uri)
    except (ArrowInvalid, OSError) as error:
        raise SourceError(f"{what}: {root} is not a path or URI that can be opened: {error}.") from error
    return system, base


def _etag(info: Any) -> str:
    return info.mtime.isoformat() if info.mtime is not None else ""
