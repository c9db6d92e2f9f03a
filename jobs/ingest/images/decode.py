"""Decodes image files to small RGB arrays in bounded memory; the only user of Pillow besides the simulator.

A file is not trusted: its size in pixels is checked before the pixels are decoded, only the formats named here are
accepted, and a truncated image is rejected. Any color mode becomes 8-bit RGB, on white where it is transparent.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.ingest.images.metadata import PNG, orientation, orientation_of_xmp, strip_metadata


def printable_name(name: str) -> tuple[str, bytes | None]:
    r"""Return a name as it is written down, and its bytes where they are not UTF-8: these stand as \xe9."""
    raw = name.encode("utf-8", "surrogateescape")
    text = raw.decode("utf-8", "backslashreplace")
    return text, None if text == name else raw


_DEEP = ("I", "F")
"""Pillow's modes of more than 8 bits a sample begin with these: I;16, I;16B, I;16L, I and F. All are gray."""


def on_white(image: Any, depth: int = 8) -> Any:
    """Return a loaded image of Pillow's as RGB.

    Args:
        image: of any mode.
        depth: bits of the samples in the file, which its transparent color is stated in.
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


FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""What pins carry; each other decoder is a risk without a use."""
KEEP = 1 << 20
"""Bytes of a bad file that are kept."""
GRAY, COLOR = 32, 32
"""Sides of the two arrays: what the hash is made of, and enough for colors and texture."""


@dataclass(frozen=True)
class DecodedImage:
    """What is kept of an image for its numbers."""

    width: int
    height: int
    gray: NDArray[np.uint8]
    """[32, 32] luma."""
    color: NDArray[np.uint8]
    """[32, 32, 3] red, green, blue."""


class Unusable(Exception):
    """A file that is no image we can use; `reason` is its class."""

    def __init__(self, reason: str, detail: str) -> None:
        """Say why."""
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Frame:
    """The shape that a model wants images in."""

    height: int
    width: int
    fit: str = "crop"
    """crop takes the middle, stretch the whole."""
    resample: str = "bilinear"
    """Or bicubic; both weigh every pixel that goes into one."""


def decode(raw: bytes, most_pixels: int) -> DecodedImage:
    """Return the image in `raw`, upright, on white where it is transparent; of a moving one the first frame.

    Raises:
        Unusable: unknown_image, too_many_pixels, truncated_image or bad_image.
    """
    from PIL import Image

    plain = _upright(raw, most_pixels)
    gray = plain.convert("L").resize((GRAY, GRAY), Image.Resampling.LANCZOS)
    color = plain.resize((COLOR, COLOR), Image.Resampling.BOX)
    return DecodedImage(plain.width, plain.height, np.asarray(gray), np.asarray(color))


def decode_framed(raw: bytes, most_pixels: int, frame: Frame) -> NDArray[np.uint8]:
    """Return the image in `raw` in a shape, [height, width, 3] red, green, blue; raises as `decode`."""
    from PIL import Image, ImageOps

    plain, size = _upright(raw, most_pixels), (frame.width, frame.height)
    method = Image.Resampling.BICUBIC if frame.resample == "bicubic" else Image.Resampling.BILINEAR
    made = plain.resize(size, method) if frame.fit == "stretch" else ImageOps.fit(plain, size, method)
    return np.asarray(made)


def _upright(raw: bytes, most_pixels: int) -> Any:
    """Return the image as Pillow's, in red, green, blue."""
    from PIL import Image, UnidentifiedImageError

    pixels, turned = strip_metadata(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own bound on pixels is the one that counts
            opened = Image.open(io.BytesIO(pixels), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Unusable("unknown_image", f"none of {', '.join(FORMATS)}: begins with {raw[:8]!r}") from error
    except Image.DecompressionBombError as error:  # Pillow's own bound, on what the header says
        raise Unusable("too_many_pixels", str(error)[:300]) from error
    except Exception as error:  # each decoder has errors of its own
        raise Unusable("bad_image", f"{type(error).__name__}: {error}"[:300]) from error
    with opened as image:
        width, height = image.size
        if width * height > most_pixels:
            raise Unusable("too_many_pixels", f"{width} x {height}, more than {most_pixels:,}")
        try:
            image.load()
            if image.format == "WEBP":  # its metadata is apart from its pixels: nothing has to be taken out
                told = image.info.get
                turned = orientation(told("exif") or b"") if told("exif") else orientation_of_xmp(told("xmp") or b"")
            return _turned(on_white(image, _depth(pixels)), turned)
        except Exception as error:
            reason = "truncated_image" if "truncated" in str(error) else "bad_image"
            raise Unusable(reason, f"{type(error).__name__}: {error}"[:300]) from error


def _depth(raw: bytes) -> int:
    """Return the bits of a PNG's samples, 8 for others: its transparent color is stated in these."""
    return raw[24] if raw.startswith(PNG) and len(raw) > 24 else 8


def _turned(image: Any, orientation: int) -> Any:
    from PIL import Image

    turn = Image.Transpose
    turns = (
        turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM, turn.TRANSPOSE, turn.ROTATE_270, turn.TRANSVERSE,
        turn.ROTATE_90,
    )  # fmt: skip
    return image if orientation == 1 else image.transpose(turns[orientation - 2])
