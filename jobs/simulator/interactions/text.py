"""Reads a text file as blocks of whole UTF-8 lines that end in LF: decompressed, decoded, without a BOM.

The first bytes decide the kind of a file, not its name. Files of other kinds are refused by the name of their kind.
"""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from jobs.common.errors import SourceError

BLOCK = 16 << 20
"""Bytes read at once."""
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_ZSTD = b"\x28\xb5\x2f\xfd"
_OTHERS = {
    b"PK\x03\x04": "a zip or an Excel workbook: unpack it, or save the sheet as CSV",
    b"ARROW1": "an Arrow file: write it as Parquet or CSV",
    b"\x93NUMPY": "an array of numpy's: write it as CSV, numpy.savetxt(FILE, array, fmt='%d', delimiter=',')",
    b"SQLite format 3": "an SQLite database: export the table as CSV",
    b"\x80\x04": "a pickle: write it as CSV or Parquet",
    b"%PDF": "a PDF: export the table as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"\x89HDF": "an HDF5 file: write the table as CSV or Parquet",
    b"{": "JSON: write `user,item,timestamp` lines",
    b"[": "JSON: write `user,item,timestamp` lines",
    b"<": "HTML or XML: write `user,item,timestamp` lines",
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip


def is_parquet(file: Path) -> bool:
    """Return whether a file begins like Parquet."""
    with file.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def text_blocks(file: Path) -> Iterator[bytes]:
    """Yield whole lines of a text file, plain or compressed by gzip, bzip2, xz or zstd, about BLOCK bytes at a time.

    Raises:
        SourceError: it is not text, its encoding is unknown, or it ends early.
    """
    with _unpacked(file) as stream:
        rest, chunks = b"", _decoded(file, _read(file, stream))
        for chunk in chunks:
            head, mark, rest = (rest + chunk).rpartition(b"\n")
            if mark:
                yield head + mark
        if rest.strip():
            yield rest + b"\n"


def _unpacked(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        begin = stream.read(16)
    if begin.startswith(_ZSTD):
        import zstandard

        return cast("IO[bytes]", zstandard.open(file, "rb"))
    opened = next((opener for magic, opener in _PACKED.items() if begin.startswith(magic)), open)
    return cast("IO[bytes]", opened(file, "rb"))


def _read(file: Path, stream: IO[bytes]) -> Iterator[bytes]:
    from zstandard import ZstdError

    try:
        while chunk := stream.read(BLOCK):
            yield chunk
    except EOFError as error:
        raise SourceError(f"{file} ends early: it is packed and was not written to its end. Fetch it again.") from error
    except (OSError, zlib.error, lzma.LZMAError, ZstdError) as error:
        raise SourceError(f"{file} cannot be read to its end: {error}. Fetch it again.") from error


def _decoded(file: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield UTF-8 whose lines end in LF."""
    first = next(chunks, b"")
    _refuse_others(file, first)
    encoding, skipped = _encoding(file, first)
    decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)()
    held = b""
    for chunk in _chained(first[skipped:], chunks):
        try:
            text = chunk if decoder is None else decoder.decode(chunk).encode()
        except UnicodeDecodeError as error:
            raise SourceError(f"{file} is not {encoding} throughout: {error}. Save it as UTF-8.") from error
        text, held = held + text, b""
        if text.endswith(b"\r"):  # its LF may come with the next chunk
            text, held = text[:-1], b"\r"
        yield text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text
    if held:
        yield b"\n"
    if decoder is not None and decoder.getstate()[0]:
        raise SourceError(f"{file} ends within a character of {encoding}: it was not written to its end.")


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _refuse_others(file: Path, first: bytes) -> None:
    begin = first.lstrip()[:16] if first[:1] in b" \n\r\t" else first[:16]
    for magic, what in _OTHERS.items():
        if begin.startswith(magic):
            raise SourceError(f"{file} must be text of `user item [timestamp]` lines or Parquet, and is {what}.")
    if first[257:262] == b"ustar":
        raise SourceError(f"{file} must be text of `user item [timestamp]` lines or Parquet, and is a tar: unpack it.")


def _encoding(file: Path, first: bytes) -> tuple[str, int]:
    """Return the encoding, and the bytes of its mark."""
    for mark, name in _MARKS:
        if first.startswith(mark):
            return name, len(mark)
    some = first[:4096]
    if b"\0" not in some:
        return "utf-8", 0
    # digits and commas in UTF-16 have a zero in every other byte
    even, odd = some[::2].count(0), some[1::2].count(0)
    if max(even, odd) > 0.9 * (len(some) // 2) and min(even, odd) == 0:
        return ("utf-16-be" if even else "utf-16-le"), 0
    raise SourceError(
        f"{file} holds bytes that are no text (it begins with {first[:8]!r}): write it as UTF-8 text or as Parquet."
    )
