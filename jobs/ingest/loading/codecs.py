"""Compressed files: gzip, Zstandard, bzip2, xz, deflate, LZ4 and Snappy, the latter two in Hadoop's framing too.

In: a path and the file's bytes. Out: its content, whole or not at all. The first bytes tell the codec where they are
certain, as names are wrong where a store or a proxy has decompressed a file, or compressed it; else the name does.
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from typing import Any

_SUFFIXES = {
    ".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bzip2", ".deflate": "deflate",
    ".lz4": "lz4", ".snappy": "snappy", ".xz": "xz",
}  # fmt: skip
UNREAD = {"lzo": "LZO", "lzo_deflate": "LZO", "br": "Brotli", "zip": "ZIP", "7z": "7-Zip", "Z": "compress"}
"""Last part of a name -> codec that is not read."""
XERIAL = b"\x82SNAPPY\x00"
"""What Java's Snappy stream begins with."""
_MAGIC = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
    XERIAL: "snappy",
    b"\xfd7zXZ\x00": "xz",
    **{b"BZh%d\x31\x41\x59\x26\x53\x59" % level: "bzip2" for level in range(1, 10)},
}
"""First bytes that no text and no other format of messages has -> codec."""
_PLAIN = (b"{", b"PAR1", b"SEQ\x06", b"Obj\x01")
"""First bytes of what has no codec around it: JSON, and formats that compress within. None of them begins a codec's."""
_PIECE = 1 << 20
"""Bytes given to a stream at once: what it leaves is copied."""
HEAD = 16
"""Bytes of a file that `codec_of` needs."""


def plain_name(path: str) -> str:
    """Return the path without the suffix of its compression."""
    return path.removesuffix(_suffix(path) or "")


def codec_of(path: str, head: bytes) -> str | None:
    """Return what a file is compressed by, None if by nothing.

    Args:
        path: its name.
        head: its first bytes.
    """
    told = next((codec for magic, codec in _MAGIC.items() if head.startswith(magic)), None)
    if told is not None or head.startswith(_PLAIN):
        return told
    suffix = _suffix(path)
    return None if suffix is None else _SUFFIXES[suffix]


def decompress(path: str, raw: bytes) -> bytes:
    """Return a file's content.

    Raises:
        ValueError: it is not whole, has something behind its end, or is not what its name says.
    """
    codec = codec_of(path, raw[:HEAD])
    if codec is None:
        return raw
    try:
        return _CODECS[codec](raw)
    except Exception as error:  # each codec has errors of its own
        raise ValueError(f"not whole, or not {codec}: {error}") from error


def hadoop_framed(data: bytes, block: Callable[[bytes, int], bytes]) -> bytes:
    """Return what Hadoop's framing holds: length of the whole, then chunks with theirs (BlockDecompressorStream).

    Args:
        data: frames, one behind the other.
        block: decompresses a chunk, of which at most so many bytes come.

    Raises:
        ValueError: the lengths are not those of the bytes.
    """
    parts, at = [], 0
    while at < len(data):
        left, at = _length(data, at), at + 4
        while left > 0:
            size, at = _length(data, at), at + 4
            if not 0 < size <= len(data) - at:
                raise ValueError("a chunk longer than the file, or empty")
            part = block(data[at : at + size], left)
            at, left = at + size, left - len(part)
            parts.append(part)
            if not part or left < 0:
                raise ValueError("a chunk of another length than its frame says")
    return b"".join(parts)


def snappy_block(chunk: bytes, most: int = 0) -> bytes:  # noqa: ARG001 - a block says its own length
    """Return the content of one block of Snappy."""
    import cramjam

    return bytes(cramjam.snappy.decompress_raw(chunk))


def unzstd(raw: bytes) -> bytes:
    """Return the content of Zstandard's frames; ValueError if the last is cut off."""
    import zstandard

    return _streams(raw, lambda: zstandard.ZstdDecompressor().decompressobj())


def _streams(raw: bytes, begin: Callable[[], Any]) -> bytes:
    """Return the content of streams, one behind the other; the codecs' own functions pass over what is no stream."""
    parts, at, stream = [], 0, None
    while at < len(raw):
        stream = stream or begin()
        piece = raw[at : at + _PIECE]
        parts.append(stream.decompress(piece))
        at += len(piece)
        if stream.eof:
            at, stream = at - len(stream.unused_data), None
    if stream is not None:
        raise ValueError("the file ends within a stream")
    return b"".join(parts)


def _length(data: bytes, at: int) -> int:
    if len(data) - at < 4:
        raise ValueError("the file ends within a frame")
    return int.from_bytes(data[at : at + 4], "big")


def _suffix(path: str) -> str | None:
    return next((suffix for suffix in _SUFFIXES if path.endswith(suffix)), None)


def _unsnappy(raw: bytes) -> bytes:
    """Return what a .snappy file holds: Snappy's framing, Java's (xerial), Hadoop's, or one block alone."""
    import cramjam

    if raw.startswith(b"\xff\x06\x00\x00"):
        return bytes(cramjam.snappy.decompress(raw))
    if raw.startswith(XERIAL):
        return unxerial(raw)
    try:
        return hadoop_framed(raw, snappy_block)
    except (ValueError, cramjam.DecompressionError):
        return snappy_block(raw)


def unxerial(raw: bytes) -> bytes:
    """Return what Java's Snappy stream holds: a header, then blocks with their lengths."""
    parts, at = [], 16
    while at < len(raw):
        size, at = _length(raw, at), at + 4
        if size > len(raw) - at:
            raise ValueError("the file ends within a block")
        parts.append(snappy_block(raw[at : at + size]))
        at += size
    return b"".join(parts)


def _unlz4(raw: bytes) -> bytes:
    """Return what a .lz4 file holds: LZ4's frames, or Hadoop's framing of its blocks (Lz4Codec)."""
    import cramjam

    if raw.startswith(b"\x04\x22\x4d\x18"):
        return bytes(cramjam.lz4.decompress(raw))
    return hadoop_framed(raw, lz4_block)


def lz4_block(chunk: bytes, most: int) -> bytes:
    """Return the content of one block of LZ4, `most` bytes at most."""
    import cramjam

    # a byte becomes 255 at most; what the frame says may be anything
    room = bytearray(min(most, 255 * len(chunk)))
    size = cramjam.lz4.decompress_block_into(chunk, room, output_len=len(room))
    return bytes(room[:size])


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress, "zstd": unzstd, "lz4": _unlz4, "snappy": _unsnappy,
    "bzip2": lambda raw: _streams(raw, bz2.BZ2Decompressor), "deflate": lambda raw: _streams(raw, zlib.decompressobj),
    "xz": lambda raw: _streams(raw, lzma.LZMADecompressor),
}  # fmt: skip
