"""Embeds a batch of image files: read, decode, embed; each failure has its reason.

Memory is bounded by `batch` images in the model's shape, a megabyte of each one's file, and one file whole. Used by the
executors of the job and by `pinlake embed`. `SameVectorCheck` detects a model that maps all images to one vector, the
most common sign of a mean and std on another scale.
"""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.ingest.embeddings.model import Model, stored
from jobs.ingest.images.decode import KEEP, Frame, Unusable, decode_framed
from jobs.lake.vectors import unit
from jobs.settings.ingest import Images

Read = Callable[[], bytes]
"""Returns a file's bytes, or raises Unusable."""
Mapper = Callable[..., Iterable["Shaped"]]
"""`map`, or that of a pool of threads: Pillow decodes without holding the interpreter."""
FAULTS = {
    "nan_embedding": "the model returned values that are no numbers or infinite",
    "zero_embedding": "the model returned zero throughout",
}


@dataclass(frozen=True)
class Shaped:
    """An image in the model's shape, or why it is none."""

    pixels: NDArray[np.uint8] | None
    fault: Unusable | None = None
    raw: bytes = b""


@dataclass(frozen=True)
class Embedded:
    """What became of one image."""

    vector: NDArray[np.float16] | None
    """[dim], of length one; None where there is a fault."""
    fault: Unusable | None = None
    raw: bytes = b""
    """The file's first bytes, where there is a fault."""
    pixels: int = 0
    """Digest of the image in the model's shape: other pixels, another one."""


def embedded(reads: Iterable[Read], model: Model, limits: Images, each: Mapper = map) -> list[Embedded]:
    """Return what becomes of each image, in order.

    Args:
        reads: the files of a batch.
        model: opened.
        limits: bytes and pixels of an image.
        each: applies a function to all reads.

    Raises:
        ConfigError: the model fails.
    """
    frame, most = model.preprocessing.frame, limits.max_megapixels * 1_000_000
    shaped = list(each(lambda read: _shaped(read, frame, most), reads))
    there = [one.pixels for one in shaped if one.pixels is not None]
    vectors, faults = stored(model.embed(np.stack(there))) if there else (np.empty((0, model.dim), np.float16), [])
    made = iter(zip(vectors, faults, strict=True))
    return [Embedded(None, one.fault, one.raw) if one.pixels is None else _made(one, *next(made)) for one in shaped]


def _made(one: Shaped, vector: NDArray[np.float16], fault: str | None) -> Embedded:
    if fault:
        return Embedded(None, Unusable(fault, FAULTS[fault]), one.raw)
    return Embedded(vector, pixels=zlib.crc32(one.pixels.tobytes()) if one.pixels is not None else 0)


def _shaped(read: Read, frame: Frame, most_pixels: int) -> Shaped:
    raw = b""
    try:
        raw = read()
        return Shaped(decode_framed(raw, most_pixels, frame), None, raw[:KEEP])
    except Unusable as fault:
        return Shaped(None, fault, raw[:KEEP])


NEAR = 0.9999
"""Cosine from which on two vectors are one: photographs of different things stay below 0.99."""


class SameVectorCheck:
    """Compares the vectors of a run with its first one, until two of them differ."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._first: NDArray[np.float32] | None = None
        self._pixels: int | None = None
        self._others, self._differ = 0, False

    def add(self, found: Iterable[Embedded]) -> None:
        """Take what became of some images; copies of the first one count for nothing."""
        for one in found if not self._differ else ():
            if one.vector is None:
                continue
            vector = unit(one.vector[None])[0]  # float16 leaves lengths off by more than NEAR allows
            if self._first is None:
                self._first, self._pixels = vector, one.pixels
            elif one.pixels != self._pixels:
                self._others += 1
                self._differ = self._differ or float(self._first @ vector) < NEAR

    def warning(self) -> str:
        """Return a sentence where different images all have one vector, and else nothing."""
        if self._differ or not self._others:
            return ""
        return (
            f"All images have one vector, different as they are (every cosine with the first is above {NEAR}): check "
            "mean, std and output, and how the model was exported"
        )


def same_vector_warning(vectors: NDArray[np.floating]) -> str:
    """Return `SameVectorCheck.warning` for vectors [n, dim] of length one, of different images."""
    same_vector = SameVectorCheck()
    same_vector.add(Embedded(vector.astype(np.float16), pixels=number) for number, vector in enumerate(vectors))
    return same_vector.warning()
