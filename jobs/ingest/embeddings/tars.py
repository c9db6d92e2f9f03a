"""Listing of a tar of images. It is read twice, headers first, because a link may precede its target.

A link gets the vector of its target, and follows all files.
"""

import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from jobs.common.errors import SourceError
from jobs.ingest.embeddings.embed import Read
from jobs.ingest.embeddings.listing import Listing, fault
from jobs.ingest.images.decode import Unusable, printable_name

LINKS = 40
"""Links that lead to each other up to which they are followed: Linux's own limit."""


def of_tar(source: Path, most: int) -> Listing:
    """Return the files of a tar in its order, then what is no file in it.

    Args:
        source: tar, plain or packed by gzip, bzip2 or xz.
        most: bytes of a file; a larger one cannot be used.

    Raises:
        SourceError: it is no tar, or not whole.
    """
    heads = _Heads(source)
    unlisted = frozenset(name for name in heads.links if heads.files[name])
    total = heads.listed + len(heads.odd) + sum(map(len, heads.links.values()))
    return Listing(total, heads.hidden, _from_tar(source, most, heads, unlisted), heads.links, unlisted)


def _from_tar(source: Path, most: int, heads: "_Heads", unlisted: frozenset[str]) -> Iterator[tuple[str, Read]]:
    with _tar(source, "r|*") as archive:  # a stream: nothing is looked for twice
        for member in _members(archive):
            if member.isfile() and (not _hidden(member.name) or normal(member.name) in unlisted):
                file = None if member.size > most else archive.extractfile(member)
                yield member.name, partial(_kept, file.read() if file else None, most)
    yield from heads.odd


def _kept(raw: bytes | None, most: int) -> bytes:
    if raw is None:
        raise Unusable("file_too_large", f"more than {most:,} bytes")
    return raw


class _Strict(tarfile.TarInfo):
    """A tar's head that must be whole: a damaged one in the middle is taken for the end by `tarfile` itself."""

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> "_Strict":
        try:
            return super().fromtarfile(tarfile)
        except _DAMAGED as error:
            raise _UNREADABLE(f"{error} at byte {tarfile.offset:,}") from None


_DAMAGED: tuple[Any, ...] = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]
_UNREADABLE = tarfile.ReadError


@contextmanager
def _tar(source: Path, mode: Any) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, mode, tarinfo=_Strict, encoding="utf-8", errors="surrogateescape") as archive:
            yield archive
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        shown, why = printable_name(str(source))[0], (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
        if _is_zip(source):
            raise SourceError(f"{shown} must be a folder or a tar, and is a zip: unpack it into a folder.") from error
        raise SourceError(f"{shown} must be a whole tar: {why}. Make it again, or unpack it into a folder.") from error


def _is_zip(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _members(archive: Any) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        archive.members.clear()  # else it keeps a kilobyte of each
        yield member


class _Heads:
    """What the heads of a tar's members say: files, folders, links, and what is none of them."""

    def __init__(self, source: Path) -> None:
        self.files, self.folders, self.hidden = dict[str, bool](), set[str](), 0
        self._pointers = dict[str, tuple[str, bool, str]]()
        self.odd: list[tuple[str, Read]] = []
        self.links: dict[str, list[str]] = {}
        self.listed = 0
        with _tar(source, "r:*") as archive:
            for member in _members(archive):
                self._take(member)
        self._resolve()

    def _take(self, member: tarfile.TarInfo) -> None:
        name, hidden = normal(member.name), _hidden(member.name)
        self.hidden += hidden and not member.isdir()
        self.folders.update(_parents(name))
        if member.isfile():
            self.files[name] = hidden
            self.listed += not hidden
        elif member.isdir():
            self.folders.add(name)
        elif member.islnk() or member.issym():
            self._pointers[name] = (member.linkname, member.issym(), member.name)
        elif not hidden:
            kinds = {tarfile.FIFOTYPE: "pipe", tarfile.CHRTYPE: "device", tarfile.BLKTYPE: "device"}
            kind = kinds.get(member.type, f"member of type {member.type!r}")
            self.odd.append((member.name, fault("not_a_file", f"a {kind}")))

    def _resolve(self) -> None:
        for place, (leads_to, _, name) in self._pointers.items():
            if _hidden(name):
                continue
            target, reason = self._leads(place)
            shown = f"leads to {leads_to}"
            if reason:
                self.odd.append((name, fault(reason, shown)))
            elif target in self.files:
                self.links.setdefault(target, []).append(name)
            elif target in self.folders:
                self.odd.append((name, fault("linked_folder", f"{shown}: its files stand in the tar themselves")))
            else:
                self.odd.append((name, fault("dangling_link", f"{shown}, which is not in the tar")))

    def _leads(self, name: str) -> tuple[str, str]:
        """Return the name that a link leads to at last, or the reason why it leads nowhere."""
        for _ in range(LINKS):
            at = next((part for part in [*reversed(_parents(name)), name] if part in self._pointers), None)
            if at is None:
                return name, ""
            target, symbolic, _ = self._pointers[at]
            if symbolic and target.startswith("/"):
                return "", "link_outside"
            joined = posixpath.join(posixpath.dirname(at), target) if symbolic else target
            name = normal(joined + name[len(at) :])
            if name == ".." or name.startswith("../"):
                return "", "link_outside"
        return "", "dangling_link"


def _hidden(name: str) -> bool:
    return any(part.startswith(".") and part not in {".", ".."} for part in name.split("/"))


def normal(name: str) -> str:
    """Return a tar member's name without what says nothing: a leading slash, `./`, `a/../`."""
    return posixpath.normpath(name.lstrip("/") or ".")


def _parents(name: str) -> list[str]:
    """Return the folders above a name, the nearest first."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
