"""Hadoop sequence files, version 6, as Secor writes them: the offset as key, or a MessagePack map of offset, key, time.

In: a file's bytes. Out: its messages. Uncompressed, by record and by block (hadoop, SequenceFile.java; secor,
SequenceFileReaderWriterFactory and MessagePackSequenceFileReaderWriterFactory).
"""

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterator

import msgspec

from jobs.ingest.kafka.archive.message import Broken, Message
from jobs.ingest.loading.codecs import hadoop_framed, lz4_block, snappy_block, unzstd

_LONG, _BYTES = "org.apache.hadoop.io.LongWritable", "org.apache.hadoop.io.BytesWritable"
_CODECS = "org.apache.hadoop.io.compress."
_SYNC = 16
"""Bytes of the mark between records or blocks."""


def is_one(content: bytes) -> bool:
    """Return whether these bytes begin a sequence file."""
    return content[:3] == b"SEQ" and content[3:4] < b"\x10"


def messages(content: bytes) -> Iterator[Message]:
    """Yield the messages of a sequence file; Broken where it cannot be read on."""
    number = 0
    try:
        reader = _Reader(content)
        for key, value in reader.pairs():
            number += 1
            yield reader.message(key, value, number)
    except Broken:
        raise
    except Exception as error:
        raise Broken("bad_sequence", f"after {number} messages: {type(error).__name__} {error}", number + 1) from error


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._data = content
        self._at = 4
        if not is_one(content) or content[3] != 6:
            raise ValueError("not a sequence file of version 6")
        self.key_class, self.value_class = self._text(), self._text()
        if self.value_class != _BYTES or self.key_class not in {_LONG, _BYTES}:
            raise ValueError(f"keys {self.key_class} and values {self.value_class} are not Secor's")
        compressed, self._blocks = self._take(1) != b"\0", self._take(1) != b"\0"
        self._codec = _codec(self._text()) if compressed else None
        for _ in range(int.from_bytes(self._take(4), "big")):
            self._text(), self._text()
        self._mark = self._take(_SYNC)

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values as they were serialized."""
        return self._block_pairs() if self._blocks else self._record_pairs()

    def message(self, key: bytes, value: bytes, number: int) -> Message:
        """Return one pair as a message."""
        body = value[4 : 4 + int.from_bytes(value[:4], "big")]
        if len(value) < 4 or len(body) != len(value) - 4:
            raise ValueError("a value of another length than it says")
        if self.key_class == _LONG:
            return Message(body, number, int.from_bytes(key, "big", signed=True))
        told = msgspec.msgpack.decode(key[4:])
        kept = told.get(2)
        return Message(body, number, told.get(1), kept.encode() if isinstance(kept, str) else kept, told.get(3))

    def _record_pairs(self) -> Iterator[tuple[bytes, bytes]]:
        while self._at < len(self._data):
            length = self._int()
            if length == -1:
                self._expect_mark()
                continue
            key_length = self._int()
            if not 0 <= key_length <= length:
                raise ValueError("a key longer than its record")
            key, value = self._take(key_length), self._take(length - key_length)
            yield key, self._codec(value) if self._codec else value

    def _block_pairs(self) -> Iterator[tuple[bytes, bytes]]:
        while self._at < len(self._data):
            if self._int() != -1:
                raise ValueError("no mark before a block")
            self._expect_mark()
            records = self._vint()
            parts = [self._codec(self._take(self._vint())) if self._codec else b"" for _ in range(4)]
            keys, values = (_cut(parts[at + 1], _vints(parts[at], records)) for at in (0, 2))
            yield from zip(keys, values, strict=True)

    def _expect_mark(self) -> None:
        if self._take(_SYNC) != self._mark:
            raise ValueError("another mark than the file's own")

    def _take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if size < 0 or len(part) != size:
            raise ValueError("the file ends within a record")
        self._at += size
        return part

    def _int(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def _vint(self) -> int:
        value, self._at = _vint(self._data, self._at)
        return value

    def _text(self) -> str:
        return self._take(self._vint()).decode()


def _vint(data: bytes, at: int) -> tuple[int, int]:
    """Return Hadoop's variable-length integer at `at` and where it ends (WritableUtils.readVLong)."""
    first = data[at] - 256 if data[at] > 127 else data[at]
    if first >= -112:
        return first, at + 1
    size = -first - 112 if first >= -120 else -first - 120
    value = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    return (value if first >= -120 else ~value), at + 1 + size


def _vints(data: bytes, count: int) -> list[int]:
    found, at = [], 0
    for _ in range(count):
        value, at = _vint(data, at)
        found.append(value)
    return found


def _cut(data: bytes, lengths: list[int]) -> Iterator[bytes]:
    at = 0
    for length in lengths:
        if length < 0 or at + length > len(data):
            raise ValueError("a block shorter than its lengths say")
        yield data[at : at + length]
        at += length


def _codec(name: str) -> Callable[[bytes], bytes]:
    codecs: dict[str, Callable[[bytes], bytes]] = {
        "DefaultCodec": zlib.decompress,
        "DeflateCodec": zlib.decompress,
        "GzipCodec": gzip.decompress,
        "BZip2Codec": bz2.decompress,
        "SnappyCodec": lambda data: hadoop_framed(data, snappy_block),
        "Lz4Codec": lambda data: hadoop_framed(data, lz4_block),
        "ZStandardCodec": unzstd,
    }
    found = codecs.get(name.removeprefix(_CODECS))
    if found is None:
        raise ValueError(f"compressed by {name}; {', '.join(codecs)} can be read")
    return found
