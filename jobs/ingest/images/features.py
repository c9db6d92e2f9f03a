"""Features of a batch of images: perceptual hash, colors, style. Numpy on small arrays, the same on every machine.

The hash is the DCT hash of N. Krawetz ("Looks Like It", 2011), bit for bit as the library imagehash computes it: 32 x
32 luma, the 8 x 8 lowest frequencies, one bit each for being above their median. Images that look alike differ in few
bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from jobs.ingest.images.decode import GRAY, DecodedImage

BINS = (16, 4, 4)
"""Hues, saturations and values of the histogram: 256 colors."""
COLORS = 3
"""Most dominant colors of an image."""
_SHARE = 0.08
"""Share of an image that a color must have to be dominant."""
_DARK, _LIGHT, _VIVID, _BUSY = 85.0, 180.0, 0.45, 14.0
"""Mean luma, mean luma, mean saturation, mean step of luma between neighbours: where style buckets meet."""


@dataclass(frozen=True)
class Features:
    """Numbers of n images."""

    phash: NDArray[np.uint64]
    """[n] hashes, the first bit (the lowest frequency) the highest."""
    histogram: NDArray[np.float16]
    """[n, 256] shares of colors: bin = hue * 16 + saturation * 4 + value."""
    colors: list[list[str]]
    """Dominant colors of each as #rrggbb, the largest share first, three at most."""
    style: list[str]
    """dark, light, vivid or muted, then plain or busy: light-plain."""


def features(images: Sequence[DecodedImage]) -> Features:
    """Return the numbers of images, in their order."""
    color = np.stack([image.color for image in images])
    bins, saturation = _bins(color)
    shares = np.stack([np.bincount(one, minlength=256) for one in bins]) / bins.shape[1]
    luma = color.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return Features(
        phash(np.stack([image.gray for image in images])),
        shares.astype(np.float16),
        [_dominant(*one) for one in zip(color.reshape(len(images), -1, 3), bins, shares, strict=True)],
        _styles(luma, saturation),
    )


def phash(gray: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the hashes of [n, 32, 32] luma arrays."""
    waves = _waves()
    low = (waves @ gray.astype(np.float64) @ waves.T).reshape(len(gray), 64)
    bits = low > np.median(low, axis=1, keepdims=True)
    packed: NDArray[np.uint64] = np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return packed


@cache
def _waves() -> NDArray[np.float64]:
    """Return the eight lowest rows of the type-2 DCT, unscaled: [8, 32]."""
    place, wave = np.arange(GRAY), np.arange(8)[:, None]
    return np.asarray(2 * np.cos(np.pi * wave * (2 * place + 1) / (2 * GRAY)))


def _bins(color: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each pixel's bin and saturation (0 to 1), both [n, pixels]."""
    red, green, blue = np.moveaxis(color.reshape(len(color), -1, 3).astype(np.float32), -1, 0)
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    spread = most - least
    safe = np.where(spread > 0, spread, 1)
    sector = np.select([most == red, most == green], [(green - blue) / safe, (blue - red) / safe + 2],
                       (red - green) / safe + 4)  # fmt: skip
    hue = np.where(spread > 0, sector % 6 / 6, 0)
    saturation = np.where(most > 0, spread / np.where(most > 0, most, 1), 0).astype(np.float32)
    parts: tuple[NDArray[np.floating], ...] = (hue, saturation, most / 256)
    h, s, v = (np.minimum((part * n).astype(np.int64), n - 1) for part, n in zip(parts, BINS, strict=True))
    return h * BINS[1] * BINS[2] + s * BINS[2] + v, saturation


def _dominant(pixels: NDArray[np.uint8], bins: NDArray[np.int64], shares: NDArray[np.float64]) -> list[str]:
    order = np.argsort(-shares, kind="stable")[:COLORS]
    chosen = [number for number in order if shares[number] >= _SHARE] or [order[0]]
    means = [pixels[bins == number].mean(axis=0).round().astype(int) for number in chosen]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in means]


def _styles(luma: NDArray[np.float32], saturation: NDArray[np.float32]) -> list[str]:
    light, vivid = luma.mean(axis=(1, 2)), saturation.mean(axis=1) >= _VIVID
    steps = (np.abs(np.diff(luma, axis=1)).mean(axis=(1, 2)) + np.abs(np.diff(luma, axis=2)).mean(axis=(1, 2))) / 2
    tone = np.select([light < _DARK, vivid, light > _LIGHT], ["dark", "vivid", "light"], "muted")
    return [f"{one}-{'busy' if step >= _BUSY else 'plain'}" for one, step in zip(tone, steps, strict=True)]
