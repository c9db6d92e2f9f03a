"""RocksDB as a store: one database folder per generation, made of sorted SST files, opened read-only.

Below the store's folder: ``<generation>/`` (committed), ``<generation>.loading/`` (invisible: ``parts/*.sst`` as
executors wrote them, ``db/`` as staged), ``<generation>.dropping/``, ``pointer``, and two lock files. Executors
write SST files straight into the folder, so on a cluster it must lie on a file system they share; the driver only
links them in (RocksDB's "ingest external file", no data is copied) and renames. A rename makes a generation whole
and another moves the pointer, so a kill at any moment leaves either the state before or the state after.

The only module that imports rocksdict.
"""

import os
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from jobs.common.errors import ConcurrentRunError, StoreError
from jobs.common.locks import locked
from jobs.serving.codec import MANIFEST_KEY, decode_pointer, encode_pointer
from jobs.serving.models import Pointer
from jobs.serving.stores import NAME, GenerationHandle, Pair, Part, Store, checked_name

_LOADING, _DROPPING = ".loading", ".dropping"


class RocksHandle(GenerationHandle):
    """One database, open read-only."""

    def __init__(self, folder: Path) -> None:
        from rocksdict import AccessType, Rdict

        with _store_errors(f"open {folder}"):
            # the log file is that of the manifest's one write; False allows it to be there
            self._db = Rdict(str(folder), _options(), access_type=AccessType.read_only(False))
        self._folder = str(folder)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`."""
        with _store_errors(f"read {self._folder}"):
            return self._db.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of `keys`, in order."""
        with _store_errors(f"read {self._folder}"):
            return list(self._db.get(list(keys))) if keys else []

    def node_for(self, _key: bytes) -> str:
        """Return the folder: it has every key."""
        return self._folder

    def scan(self, prefix: bytes) -> Iterator[Pair]:
        """Yield pairs whose key starts with `prefix`, ascending."""
        with _store_errors(f"read {self._folder}"):
            for key, value in self._db.items(from_key=prefix):
                if not key.startswith(prefix):
                    return
                yield key, value

    def entries(self) -> int:
        """Return the pairs in all files."""
        return sum(file["num_entries"] for file in self._db.live_files())

    def close(self) -> None:
        """Close the database."""
        self._db.close()


class RocksStore(Store):
    """Generations as RocksDB databases below one folder."""

    kind: ClassVar[str] = "rocksdb"

    def __init__(self, path: str | Path) -> None:
        self.root = Path(path)
        self.where = str(path)

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold a file lock, which the kernel releases when the publisher dies."""
        busy = f"Another publisher is running on {self.root}: wait until it is done, then run again."
        with locked(self.root / "lease", busy):
            yield

    def begin(self, generation: str) -> None:
        """Make an empty loading folder."""
        if self._final(generation).exists():
            raise StoreError(f"Generation {generation} is already in {self.root}: drop it first, or serve it.")
        shutil.rmtree(self._loading(generation), ignore_errors=True)
        (self._loading(generation) / "parts").mkdir(parents=True)

    def load(self, generation: str, pairs: Iterable[Pair]) -> Part:
        """Write one SST file under a new name; the receipt names it."""
        from rocksdict import SstFileWriter

        folder = self._loading(generation) / "parts"
        if not folder.is_dir():
            raise StoreError(
                f"Cannot load: no folder {folder}. On a cluster publish.path must be on a shared file system."
            )
        name = f"{uuid4().hex}.sst"
        writer, keys, size, checksum = SstFileWriter(options=_options()), 0, 0, 0
        with _store_errors(f"write {folder / name}"):
            for key, value in pairs:
                if not keys:
                    writer.open(str(folder / name))
                writer[key] = value
                keys, size = keys + 1, size + len(value)
                checksum += zlib.crc32(value, zlib.crc32(key))
            if keys:  # RocksDB refuses to finish an empty file
                writer.finish()
        return Part(name if keys else "", keys, size, checksum % 2**64)

    def stage(self, generation: str, parts: Sequence[Part]) -> None:
        """Link the files of the receipts into a fresh database."""
        from rocksdict import IngestExternalFileOptions

        folder = self._loading(generation)
        shutil.rmtree(folder / "db", ignore_errors=True)
        options = IngestExternalFileOptions()
        options.set_move_files(True)
        with _store_errors(f"stage {folder}"), self._writable(folder / "db") as db:
            if names := [str(folder / "parts" / part.name) for part in parts if part.name]:
                db.ingest_external_file(names, options)

    def commit(self, generation: str, manifest: bytes) -> None:
        """Put the manifest in, then give the database its final name."""
        folder = self._loading(generation)
        if not (folder / "db").is_dir():
            raise StoreError(f"Generation {generation} cannot be committed: nothing of it was staged in {self.root}.")
        with _store_errors(f"commit {folder}"), self._writable(folder / "db") as db:
            db.put(MANIFEST_KEY, manifest)
            db.flush()
        _sync_folder(folder / "db")
        (folder / "db").rename(self._final(generation))
        _sync_folder(self.root)
        shutil.rmtree(folder, ignore_errors=True)

    def open(self, generation: str) -> GenerationHandle:
        """Open a committed generation, or a staged one."""
        final, staged = self._final(generation), self._loading(generation) / "db"
        for folder in (final, staged):
            if folder.is_dir():
                return RocksHandle(folder)
        raise StoreError(f"No generation {generation} in {self.root}. There are: {self._there()}.")

    def count(self, generation: str) -> int:
        """Return entries as RocksDB counts them in its files: exact, for no key is ever written twice."""
        folder = self._final(generation)
        committed = folder.is_dir()
        with RocksHandle(folder if committed else self._loading(generation) / "db") as opened:
            return opened.entries() - committed  # the manifest

    def hint(self, nodes: Sequence[str]) -> str:
        """Return what can remove values from a folder."""
        return f"Check whether files were removed from {', '.join(nodes)}, and whether the disk fails."

    def read_pointer(self) -> Pointer | None:
        """Return the pointer file's content."""
        try:
            return decode_pointer((self.root / "pointer").read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"The pointer in {self.root} cannot be read: {error}.") from error

    def promote(self, expected: Pointer | None, generation: str) -> Pointer:
        """Compare, then replace the pointer file; under a lock, which makes the two steps one."""
        with locked(self.root / "pointer.lock"):
            now = self.read_pointer()
            if now != expected:
                raise ConcurrentRunError(
                    f"The pointer of {self.root} moved meanwhile: expected {expected or 'none'}, it is at "
                    f"{now or 'none'}. Nothing was changed; run again."
                )
            if not self._final(generation).is_dir():
                raise StoreError(f"Generation {generation} is not complete in {self.root}. There are: {self._there()}.")
            epoch, previous = (now.epoch + 1, now.current) if now else (1, "")
            moved = Pointer(epoch, generation, previous, time.time_ns() // 1_000_000)
            _write_durably(self.root / "pointer", encode_pointer(moved))
            return moved

    def generations(self) -> list[str]:
        """Return folders with a plain name that hold a database."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if NAME.fullmatch(p.name) and (p / "CURRENT").is_file())

    def drop(self, generation: str) -> None:
        """Rename, then remove: readers that have it open keep their files until they close it."""
        served = self.read_pointer()
        if served and served.current == generation:
            raise StoreError(f"Generation {generation} is being served and cannot be dropped: promote another first.")
        shutil.rmtree(self._loading(generation), ignore_errors=True)
        final, dropping = self._final(generation), self.root / f"{generation}{_DROPPING}"
        if final.exists():
            shutil.rmtree(dropping, ignore_errors=True)
            final.rename(dropping)
        shutil.rmtree(dropping, ignore_errors=True)

    def gc(self) -> list[str]:
        """Remove loading and dropping folders."""
        leftovers = [p for p in sorted(self.root.glob("*")) if p.is_dir() and p.suffix in {_LOADING, _DROPPING}]
        for folder in leftovers:
            shutil.rmtree(folder, ignore_errors=True)
        return [folder.name for folder in leftovers]

    def _final(self, generation: str) -> Path:
        return self.root / checked_name(generation)

    def _loading(self, generation: str) -> Path:
        return self._final(generation).with_name(generation + _LOADING)

    def _there(self) -> str:
        return ", ".join(self.generations()) or "none"

    @contextmanager
    def _writable(self, folder: Path) -> Iterator[Any]:
        from rocksdict import Rdict

        db = Rdict(str(folder), _options())
        try:
            yield db
        finally:
            db.close()


@contextmanager
def _store_errors(what: str) -> Iterator[None]:
    """Turn RocksDB's bare Exception into a StoreError that names the operation."""
    try:
        yield
    except (StoreError, GeneratorExit):
        raise
    except Exception as error:
        raise StoreError(f"RocksDB could not {what}: {error}") from error


def _options() -> Any:
    from rocksdict import BlockBasedOptions, DBCompressionType, Options

    options, blocks = Options(raw_mode=True), BlockBasedOptions()
    blocks.set_bloom_filter(10, False)  # answers most lookups of users without a feed
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.none())  # values of 1 KiB and more are zstd frames already
    options.set_disable_auto_compactions(True)  # parts are disjoint: compaction gains nothing
    options.create_if_missing(True)
    return options


def _write_durably(path: Path, content: bytes) -> None:
    """Replace a file atomically: readers, and a power cut, find the old content or the new."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make renames within a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
