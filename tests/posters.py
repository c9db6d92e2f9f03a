"""Posters that are made here: of three kinds of texture, in any colors."""

import io
import tarfile

import numpy as np
from PIL import Image

from jobs.benchmarks.posters.model import HEIGHT, WIDTH

KINDS = {1: "down", 2: "down", 3: "down", 4: "across", 5: "across", 6: "across", 7: "spots", 8: "spots", 9: "spots"}
"""Film -> its poster's kind."""


def drawn(kind, number):
    """Return a poster of one of three kinds: stripes down, stripes across, spots; the number shifts its colors."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    wave = {"down": np.sin(x / 1.5), "across": np.sin(y / 1.5), "spots": np.sin(x / 2) * np.sin(y / 2)}[kind]
    tint = np.random.default_rng(number).integers(40, 215, 3)
    return np.clip(tint + 40 * wave[..., None], 0, 255).astype(np.uint8)


PIXELS = np.stack([drawn(kind, number) for number, kind in KINDS.items()])


def jpeg(pixels, quality=92):
    body = io.BytesIO()
    Image.fromarray(pixels).save(body, "JPEG", quality=quality)
    return body.getvalue()


def packed(path, files):
    """Write a tar of files, by name."""
    with tarfile.open(path, "w") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
