"""Arrays from .npy files, for the commands that need no lake."""

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from jobs.common.errors import SourceError

SMALL = 1 << 12
"""Bytes up to which a file is read: one without rows cannot be mapped."""


def open_array(path: Path, what: str) -> Any:
    """Return the array of a .npy file, mapped: what is not looked at is not read.

    Args:
        path: the file.
        what: what it holds, for the message.

    Raises:
        SourceError: no such file, or none that numpy wrote whole and without pickled objects.
    """
    if not path.is_file():
        raise SourceError(f"The {what} must be a .npy file, {path}: there is no such file. numpy.save writes one.")
    try:
        found = np.load(path, mmap_mode="r" if path.stat().st_size > SMALL else None, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        if (kind := _kind(path)) is not None:
            raise SourceError(
                f"The {what} must be a .npy file of numbers, {path} is {kind}: numpy.save(FILE, array) writes one."
            ) from error
        if "Object arrays" in str(error):
            raise SourceError(
                f"The {what} must be a .npy file of numbers, {path} is not a whole .npy file of these but of Python "
                "objects, such as texts or rows of different lengths: save numpy.stack(rows), an array of numbers."
            ) from error
        raise SourceError(
            f"The {what} must be a .npy file of numbers, {path} is not a whole .npy file ({error}): numpy.save(FILE, "
            f"array) writes one."
        ) from error
    if not isinstance(found, np.ndarray):
        raise SourceError(f"The {what} must be a .npy file, {path} is an archive: save them alone with numpy.save.")
    return found


def open_vectors(path: Path) -> Any:
    """Return the vectors of a .npy file, mapped.

    Raises:
        SourceError: no such file, none of numpy's, or one without a vector.
    """
    found = open_array(path, "vectors")
    if found.ndim > 1 and not found.size:
        raise SourceError(f"The vectors must be one row at least, {path} holds {list(found.shape)}: nothing is to do.")
    return found


def _kind(path: Path) -> str | None:
    """Return what a file is that is none of numpy's, None where that cannot be told."""
    with path.open("rb") as file:
        begin = file.read(4096)
    known = {b"PAR1": "Parquet", b"\x1f\x8b": "packed by gzip", b"PK": "a zip", b"ARROW1": "an Arrow file",
             b"\x89HDF": "HDF5", b"\x80": "a pickle"}  # fmt: skip
    if not begin:
        return "empty"
    for magic, name in known.items():
        if begin.startswith(magic):
            return name
    return None if begin.startswith(b"\x93NUMPY") or b"\0" in begin else "text"
