"""From a picture file's bytes to two small arrays, in bounded memory; the only user of Pillow besides the world.

A file is not trusted: its size in pixels is read before its pixels are, formats are those named here, and a picture
that ends early is no picture.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""What pins carry; each other decoder is a risk without a use."""
GRAY, COLOUR = 32, 32
"""Sides of the two arrays: what the hash is made of, and enough for colours and texture."""


@dataclass(frozen=True)
class Picture:
    """What is kept of a picture for its numbers."""

    width: int
    height: int
    gray: NDArray[np.uint8]
    """[32, 32] luma."""
    colour: NDArray[np.uint8]
    """[32, 32, 3] red, green, blue."""


class Unusable(Exception):
    """A file that is no picture we can use; `reason` is its class."""

    def __init__(self, reason: str, detail: str) -> None:
        """Say why."""
        super().__init__(detail)
        self.reason = reason


def decode(raw: bytes, most_pixels: int) -> Picture:
    """Return the picture in `raw`, upright, on white where it is transparent; of a moving one the first frame.

    Raises:
        Unusable: unknown_image, too_many_pixels, truncated_image or bad_image.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own bound on pixels is the one that counts
            opened = Image.open(io.BytesIO(raw), formats=FORMATS)
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
            upright = ImageOps.exif_transpose(image)
            plain = _on_white(upright)
        except Exception as error:
            reason = "truncated_image" if "truncated" in str(error) else "bad_image"
            raise Unusable(reason, f"{type(error).__name__}: {error}"[:300]) from error
    gray = plain.convert("L").resize((GRAY, GRAY), Image.Resampling.LANCZOS)
    colour = plain.resize((COLOUR, COLOUR), Image.Resampling.BOX)
    return Picture(plain.width, plain.height, np.asarray(gray), np.asarray(colour))


def _on_white(image: Any) -> Any:
    if image.mode == "RGB":
        return image
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    from PIL import Image

    layers = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
