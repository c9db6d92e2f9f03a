"""Whether a model makes one vector of all images: the commonest sign of a mean and std on another scale."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from jobs.ingest.embeddings.images import Embedded
from jobs.lake.vectors import unit

NEAR = 0.9999
"""Cosine from which on two vectors are one: photographs of different things stay below 0.99."""


class Alike:
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


def warning_of(vectors: NDArray[np.floating]) -> str:
    """Return `Alike.warning` for vectors [n, dim] of length one, of different images."""
    alike = Alike()
    alike.add(Embedded(vector.astype(np.float16), pixels=number) for number, vector in enumerate(vectors))
    return alike.warning()
