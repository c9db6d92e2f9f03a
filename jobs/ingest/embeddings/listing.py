"""Listing of a folder of images: each file to read, or the reason why it cannot be read.

Nothing is skipped without a count: hidden files are counted, and entries that are not files (a device, a dangling link)
are listed with a reason. Links to files are read, linked folders are followed, each folder once. File names need not be
UTF-8: strings here hold such bytes as `surrogateescape` does.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from jobs.common.errors import SourceError
from jobs.ingest.embeddings.embed import Read
from jobs.ingest.images.decode import Unusable, printable_name


@dataclass
class Listing:
    """The files, in the order of their vectors."""

    total: int
    """How many are told: files, links and what is no file."""
    hidden: int
    """Files and folders whose name begins with a dot: passed over."""
    files: Iterator[tuple[str, Read]]
    links: dict[str, list[str]] = field(default_factory=dict)
    """Names of a tar's links by the file they lead to, which is among `files`."""
    unlisted: frozenset[str] = frozenset()
    """Files that are read for the sake of links alone: hidden ones."""


def fault(reason: str, detail: str) -> Read:
    """Return what is read of a file that cannot be: its reason."""
    return partial(_unusable, reason, printable_name(detail)[0])


def _unusable(reason: str, detail: str) -> NoReturn:
    raise Unusable(reason, detail)


def of_folder(source: Path, most: int) -> Listing:
    """Return the files of a folder to its bottom, by name.

    Args:
        source: folder.
        most: bytes of a file; a larger one cannot be used.

    Raises:
        SourceError: it cannot be looked into.
    """
    walk = _Walk(source, most)
    walk.whole()
    files = sorted(walk.found, key=lambda one: one[0].split("/"))
    return Listing(len(files), walk.hidden, iter(files))


class _Walk:
    """Real folders first, then those that links lead to: a file then has the name that its own folder gives it."""

    def __init__(self, root: Path, most: int) -> None:
        self.root, self.most, self.hidden = root, most, 0
        self.found: list[tuple[str, Read]] = []
        self._seen: dict[tuple[int, int], str] = {}
        self._above = {_identity(path) for path in root.resolve().parents}
        self._linked: list[str] = []

    def whole(self) -> None:
        self._into("")
        while self._linked:
            waiting, self._linked = sorted(self._linked), []
            for name in waiting:
                self._into(name)

    def _into(self, name: str) -> None:
        waiting = [name]
        while waiting:
            here = waiting.pop()
            try:
                entries = self._entries(here)
            except OSError as error:
                if not here:
                    shown = printable_name(str(self.root))[0]
                    raise SourceError(f"{shown}: cannot be looked into: {error.strerror}. Name another.") from error
                self._add(here, fault("unreadable_folder", error.strerror or str(error)))
                continue
            for entry in entries:
                child = f"{here}/{entry.name}" if here else entry.name
                if entry.name.startswith("."):
                    self.hidden += 1
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(child)
                else:
                    self._file(child, entry)

    def _entries(self, here: str) -> list[os.DirEntry[str]]:
        path = self.root / here
        where = _identity(path)
        if where in self._seen:
            self._add(here, fault("repeated_folder", f"was looked into as {self._seen[where] or '.'}"))
            return []
        if where in self._above:
            self._add(here, fault("repeated_folder", f"leads to {path.resolve()}, which holds the folder itself"))
            return []
        self._seen[where] = here
        with os.scandir(path) as entries:
            return list(entries)

    def _file(self, name: str, entry: os.DirEntry[str]) -> None:
        path = Path(entry.path)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            if entry.is_symlink():
                self._add(name, fault("dangling_link", f"leads to {path.readlink()}: {error.strerror}"))
            else:
                self._add(name, fault("unreadable_file", error.strerror or str(error)))
            return
        if stat.S_ISDIR(mode):
            self._linked.append(name)
        elif stat.S_ISREG(mode):
            self._add(name, partial(_from_disk, path, self.most))
        else:
            self._add(name, fault("not_a_file", f"a {_kind(mode)}"))

    def _add(self, name: str, read: Read) -> None:
        # a system's encoding need not be UTF-8, the names of a listing are
        self.found.append((os.fsencode(name).decode("utf-8", "surrogateescape"), read))


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _kind(mode: int) -> str:
    kinds: tuple[tuple[Any, str], ...] = (
        (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISBLK, "device"), (stat.S_ISCHR, "device"),
    )  # fmt: skip
    return next((kind for test, kind in kinds if test(mode)), "special file")


def _from_disk(path: Path, most: int) -> bytes:
    try:
        if path.stat().st_size > most:
            raise Unusable("file_too_large", f"more than {most:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Unusable("unreadable_file", error.strerror or str(error)[:300]) from error
