"""Draws an image for each pin: ground by color, texture by style, motif by topic. The only user of PIL.

An image is drawn at twice its size and halved, which smooths its edges. Two pins of one topic share the motif and
differ in number, size, place and shade; a near-duplicate repeats its original's choices with a slight shift.
"""

import math
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.settings.simulator import Simulator
from jobs.simulator.names import COLORS, STYLES
from jobs.simulator.pins import Pins
from jobs.simulator.rng import Array, unit

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

Color = tuple[int, int, int]

_PALETTE = np.array(list(COLORS.values()), np.float32)
_CHOICES = 12
"""Random numbers an image is made of."""
_GROUNDS = 3
"""Directions of the ground's gradient."""


def write_images(folder: Path, config: Simulator, pins: Pins, progress: Callable[[str, int, int], None]) -> int:
    """Write `<first two digits>/<signature>.jpg` for each image; return how many."""
    own = np.flatnonzero(~pins.same_image)
    painter = Painter(config.image_size)
    for digits in range(256):
        (folder / f"{digits:02x}").mkdir(parents=True, exist_ok=True)
    for low in range(0, len(own), 500):
        progress("images", low, len(own))
        _write(folder, painter, pins, own[low : low + 500])
    progress("images", len(own), len(own))
    return len(own)


def _write(folder: Path, painter: "Painter", pins: Pins, part: Array) -> None:
    choices = _choices(pins, part)
    high, rest = pins.signature(part)
    for row, pin in enumerate(part.tolist()):
        name = f"{int(high[row]):016x}{int(rest[row]):016x}"
        body = painter.draw(int(pins.topic[pin]), int(pins.color[pin]), int(pins.style[pin]), choices[row])
        (folder / name[:2] / f"{name}.jpg").write_bytes(body)


def _choices(pins: Pins, pin: Array) -> Array:
    """Return (pins, _CHOICES) numbers in [0, 1): those of the original, shifted a little, for a near-duplicate."""
    copied = pins.original[pin] >= 0
    root = np.where(copied, pins.original[pin], pin)
    cells = root.astype(np.int64)[:, None] * _CHOICES + np.arange(_CHOICES)
    shift = unit(pin.astype(np.int64)[:, None] * _CHOICES + np.arange(_CHOICES), 82) - 0.5
    return np.clip(unit(cells, 81) + 0.05 * shift * copied[:, None], 0.0, 0.999)


class Painter:
    """Draws images of one size; keeps the grounds, which depend on color, style and direction alone."""

    def __init__(self, size: int) -> None:
        """Prepare for images of `size` by `size` pixels."""
        self._size = size
        self._grounds: dict[tuple[int, int, int], Any] = {}

    def draw(self, topic: int, color: int, style: int, choices: Array) -> bytes:
        """Return the JPEG of a pin; `choices` are its random numbers."""
        from PIL import ImageDraw

        picks = choices.tolist()
        image = self._ground(color, style, int(picks[0] * _GROUNDS)).copy()
        pen = ImageDraw.Draw(image)
        side = 2 * self._size
        base = _PALETTE[color]
        second = _PALETTE[(color + 3 + topic % 5) % len(_PALETTE)]
        ink = _tone(0.75 * second + 0.25 * base, 0.55 + 0.5 * picks[1], style)
        light = _tone(0.3 * second + 0.7 * base, 1.25 + 0.3 * picks[2], style)
        _MOTIFS[topic % len(_MOTIFS)](pen, side, picks[3:], ink, light)
        _accent(pen, side, topic // len(_MOTIFS), picks[8:], light)
        body = BytesIO()
        image.reduce(2).save(body, "JPEG", quality=82)
        return body.getvalue()

    def _ground(self, color: int, style: int, direction: int) -> Any:
        key = (color, style, direction)
        if key not in self._grounds:
            from PIL import Image

            pixels = _ground_pixels(self._size, _PALETTE[color], style, direction)
            twice = (2 * self._size, 2 * self._size)
            self._grounds[key] = Image.fromarray(pixels).resize(twice, Image.Resampling.BILINEAR)
        return self._grounds[key]


def _ground_pixels(side: int, base: Array, style: int, direction: int) -> Array:
    """Return (side, side, 3) bytes: a soft gradient with the texture of the style."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    run = (y, (x + y) / 2, np.hypot(x - 0.5, y - 0.5) * 1.3)[direction]
    shade = 1.22 - 0.42 * run
    texture: Array = {
        "minimal": np.zeros_like(x),
        "boho": 0.06 * np.sin(26 * np.hypot(x - 0.5, y - 1.1)),
        "vintage": -0.35 * np.hypot(x - 0.5, y - 0.5) ** 2,
        "modern": 0.10 * (x + y > 1.0),
        "rustic": 0.05 * np.sin(90 * x + 6 * np.sin(9 * y)),
        "pastel": 0.03 * np.cos(8 * (x - y)),
        "bold": 0.13 * (np.floor(6 * (x + y)) % 2),
        "sketch": 0.07 * (np.abs((24 * (x - y)) % 1.0 - 0.5) < 0.09),
    }[STYLES[style]]
    soft = {"pastel": 0.45, "vintage": 0.22, "minimal": 0.3}.get(STYLES[style], 0.08)
    pixels = base[None, None, :] * (shade + texture)[:, :, None] * (1 - soft) + 250 * soft
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _tone(color: Array, light: float, style: int) -> Color:
    soft = 0.35 if STYLES[style] == "pastel" else 0.0
    tone = np.clip(color * light * (1 - soft) + 250 * soft, 0, 255).astype(int)
    return int(tone[0]), int(tone[1]), int(tone[2])


def _discs(pen: "ImageDraw", side: int, picks: list[float], ink: Color, light: Color) -> None:
    for i in range(3 + int(picks[0] * 4)):
        angle, far = 2.4 * i + 6.3 * picks[1], side * (0.1 + 0.07 * i)
        x, y = side / 2 + far * math.cos(angle), side / 2 + far * math.sin(angle)
        r = side * (0.16 - 0.014 * i) * (0.7 + 0.6 * picks[2])
        pen.ellipse((x - r, y - r, x + r, y + r), fill=ink if i % 2 else light)


def _hills(pen: "ImageDraw", side: int, picks: list[float], ink: Color, light: Color) -> None:
    r = side * (0.08 + 0.07 * picks[0])
    x, y = side * (0.2 + 0.6 * picks[1]), side * 0.25
    pen.ellipse((x - r, y - r, x + r, y + r), fill=light)
    for i, fill in ((0, _mid(ink, light)), (1, ink)):
        top = side * (0.32 + 0.2 * i + 0.12 * picks[2])
        peak = side * (0.25 + 0.5 * picks[3 + i])
        pen.polygon(((-side * 0.2, side), (peak, top), (side * 1.2, side)), fill=fill)


def _leaves(pen: "ImageDraw", side: int, picks: list[float], ink: Color, light: Color) -> None:
    foot = (side * (0.4 + 0.2 * picks[0]), side * 0.95)
    count = 5 + int(picks[1] * 4)
    for i in range(count):
        angle = math.pi * (0.12 + 0.76 * i / (count - 1)) + 0.3 * (picks[2] - 0.5)
        long, wide = side * (0.55 + 0.25 * picks[3]), side * 0.07
        tip = (foot[0] + long * math.cos(angle), foot[1] - long * math.sin(angle))
        mid = ((foot[0] + tip[0]) / 2, (foot[1] + tip[1]) / 2)
        across = (wide * math.sin(angle), wide * math.cos(angle))
        sides = (mid[0] + across[0], mid[1] + across[1]), (mid[0] - across[0], mid[1] - across[1])
        pen.polygon((foot, sides[0], tip, sides[1]), fill=ink if i % 2 else light)


def _waves(pen: "ImageDraw", side: int, picks: list[float], ink: Color, light: Color) -> None:
    for i in range(4 + int(picks[0] * 3)):
        level, high = side * (0.2 + 0.14 * i), side * (0.03 + 0.05 * picks[1])
        xs = range(0, side + 12, 12)
        line = [(x, level + high * math.sin(x / side * (5 + 8 * picks[2]) + i + 6 * picks[3])) for x in xs]
        pen.line(line, fill=ink if i % 2 else light, width=max(2, int(side * (0.03 + 0.03 * picks[4]))))


def _tiles(pen: "ImageDraw", side: int, picks: list[float], ink: Color, light: Color) -> None:
    count = 3 + int(picks[0] * 3)
    cell = side / count
    for i in range(count * count):
        if (i * 7 + int(picks[1] * 50)) % 5 < 2:
            continue
        x, y, pad = (i % count) * cell, (i // count) * cell, cell * (0.08 + 0.1 * picks[2])
        box = (x + pad, y + pad, x + cell - pad, y + cell - pad)
        fill = ink if (i + int(picks[3] * 9)) % 3 else light
        (pen.rectangle if i % 2 else pen.ellipse)(box, fill=fill)


def _rings(pen: "ImageDraw", side: int, picks: list[float], ink: Color, light: Color) -> None:
    x, y = side * (0.3 + 0.4 * picks[0]), side * (0.3 + 0.4 * picks[1])
    for i in range(5, 0, -1):
        r = side * i * (0.06 + 0.03 * picks[2])
        pen.ellipse((x - r, y - r, x + r, y + r), fill=ink if i % 2 else light)


def _star(pen: "ImageDraw", side: int, picks: list[float], ink: Color, light: Color) -> None:
    points = 5 + int(picks[0] * 6)
    for scale, fill in ((1.0, ink), (0.55, light)):
        line = []
        for i in range(2 * points):
            r = side * scale * (0.42 if i % 2 == 0 else 0.18 + 0.1 * picks[1])
            angle = math.pi * i / points + 6.3 * picks[2]
            line.append((side / 2 + r * math.cos(angle), side / 2 + r * math.sin(angle)))
        pen.polygon(line, fill=fill)


def _arch(pen: "ImageDraw", side: int, picks: list[float], ink: Color, light: Color) -> None:
    count = 1 + int(picks[0] * 3)
    wide = side * 0.8 / count
    for i in range(count):
        x, top = side * 0.1 + i * wide, side * (0.22 + 0.2 * picks[1])
        for pad, fill in ((0.06, ink), (0.2, light)):
            left, right, up = x + wide * pad, x + wide * (1 - pad), top + wide * pad
            pen.pieslice((left, up, right, up + (right - left)), 180, 360, fill=fill)
            foot = up + (right - left) / 2
            pen.rectangle((left, foot - 1, right, max(foot, side * (0.9 - 0.1 * picks[2]))), fill=fill)


_MOTIFS = (_discs, _hills, _leaves, _waves, _tiles, _rings, _star, _arch)


def _accent(pen: "ImageDraw", side: int, kind: int, picks: list[float], light: Color) -> None:
    """Draw the small sign that tells apart the topics that share a motif (twelve at most): dots, bars, frames."""
    count, width = 1 + kind % 4, max(2, side // 48)
    if kind // 4 == 0:
        for i in range(count):
            x, y, r = side * (0.12 + 0.11 * i), side * 0.88, side * 0.035
            pen.ellipse((x - r, y - r, x + r, y + r), fill=(252, 250, 244))
    elif kind // 4 == 1:
        for i in range(count):
            x = side * (0.86 - 0.07 * i)
            pen.rectangle((x, side * 0.08, x + width * 1.6, side * (0.2 + 0.05 * picks[0])), fill=(40, 36, 44))
    else:
        for i in range(count):
            pad = side * (0.03 + 0.035 * i)
            pen.rectangle((pad, pad, side - pad, side - pad), outline=light, width=width)


def _mid(one: Color, other: Color) -> Color:
    return (one[0] + other[0]) // 2, (one[1] + other[1]) // 2, (one[2] + other[2]) // 2
