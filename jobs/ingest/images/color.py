"""Whatever a decoder returns as 8 bits of red, green and blue, on white where it is transparent."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DEEP = ("I", "F")
"""Pillow's modes of more than 8 bits a sample begin with these: I;16, I;16B, I;16L, I and F. All are gray."""


def on_white(image: Any, depth: int = 8) -> Any:
    """Return a loaded image of Pillow's as RGB.

    Args:
        image: of any mode.
        depth: bits of the samples in the file, which its transparent colour is stated in.
    """
    clear = image.info.get("transparency")
    if image.mode[0] in _DEEP:
        return _from_gray(np.asarray(image), clear)
    if isinstance(clear, int) and image.mode == "L" and depth < 8:
        clear = clear * 255 // ((1 << depth) - 1)
    if isinstance(clear, tuple) and depth == 16:
        clear = tuple(value >> 8 for value in clear)
    if "A" not in image.getbands() and clear is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    from PIL import Image

    image.info["transparency"] = clear
    if clear is None:
        del image.info["transparency"]
    layers = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")


def _from_gray(values: NDArray[Any], clear: Any) -> Any:
    from PIL import Image

    made = eight_bits(values)
    if isinstance(clear, int):
        made[values == clear] = 255
    return Image.fromarray(made).convert("RGB")


def eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return gray values of more than 8 bits as 8: what Pillow's own conversion clips to 255.

    16 bits lose the lower eight. 32 bits are those of 16, in a wider type, where no value is larger; else they lose the
    lower 23 of 31. Floats are from 0 to 1 where none is larger, else on the scale of the integers that hold them all.
    """
    if values.dtype.kind == "f":
        most = float(np.nan_to_num(values, nan=0.0, posinf=0.0).max(initial=0.0))
        scale = 255.0 if most <= 1 else 1.0 if most < 256 else 255 / 65_535 if most < 65_536 else 255 / most
        return np.nan_to_num(values * scale, nan=0.0, posinf=255.0).clip(0, 255).astype(np.uint8)
    shift = 8 if values.dtype.itemsize == 2 or values.max(initial=0) < 65_536 else 23
    return (values.clip(0) >> shift).astype(np.uint8)
