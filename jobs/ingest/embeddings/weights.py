"""The external weight files of an ONNX model (ONNX: external data).

The model file is memory-mapped and scanned in place: protobuf's own reader would copy its weights, a gigabyte or two,
to find a few names. The numbers are the fields of onnx.proto3.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from jobs.common.errors import ConfigError

_BELOW = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""Messages within messages, by field: those on the way to a tensor's external data."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def external_files(path: Path) -> list[str]:
    """Return the files below the model's folder that hold weights, by name; none of a file that is no model."""
    if not path.stat().st_size:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        try:
            return sorted(set(_locations(raw, 0, len(raw), "model")))
        except (IndexError, ValueError):
            return []  # cut or another kind of file: onnxruntime says so


def external_paths(path: Path, shown: str) -> list[tuple[str, Path]]:
    """Return name and path of each such file.

    Raises:
        ConfigError: it is not there.
    """
    found = [(name, path.parent / name) for name in external_files(path)]
    for name, place in found:
        if not place.is_file():
            raise ConfigError(
                f"Model {shown} keeps weights in a second file, {name}, which must lie beside it and does not: bring "
                "it, or export the model with its weights inside."
            )
    return found


def _locations(raw: mmap.mmap, start: int, end: int, kind: str) -> Iterator[str]:
    for field, first, last in _fields(raw, start, end):
        below = _BELOW[kind].get(field)
        if below == "entry":
            pair = {number: raw[a:b] for number, a, b in _fields(raw, first, last)}
            if pair.get(1) == b"location":
                yield pair.get(2, b"").decode("utf-8", "surrogateescape")
        elif below:
            yield from _locations(raw, first, last, below)


def _fields(raw: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of the fields of a message that have a length."""
    while at < end:
        key, at = _varint(raw, at)
        if key & 7 == _VARINT:
            _, at = _varint(raw, at)
        elif key & 7 == _BYTES:
            size, at = _varint(raw, at)
            if at + size > end:
                raise ValueError("a field reaches beyond its message")
            yield key >> 3, at, at + size
            at += size
        elif key & 7 in {_FIXED64, _FIXED32}:
            at += 8 if key & 7 == _FIXED64 else 4
        else:
            raise ValueError("no protobuf")


def _varint(raw: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while raw[at] & 0x80:
        value, shift, at = value | (raw[at] & 0x7F) << shift, shift + 7, at + 1
    return value | raw[at] << shift, at + 1
