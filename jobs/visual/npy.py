"""Matrices and hashes from files of numpy's, for the commands that need no lake."""

from pathlib import Path
from typing import Any

import numpy as np

from jobs.errors import SourceError

SMALL = 1 << 12
"""Bytes up to which a file is read: one without rows cannot be mapped."""


def opened(path: Path, what: str) -> Any:
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
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(
            f"The {what} must be a .npy file of numbers, {path} is not a whole .npy file ({error}): numpy.save(FILE, "
            f"array) writes one."
        ) from error
    if not isinstance(found, np.ndarray):
        raise SourceError(f"The {what} must be a .npy file, {path} is an archive: save them alone with numpy.save.")
    return found
