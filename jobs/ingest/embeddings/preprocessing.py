"""Preprocessing of images for a model: from its input, its metadata and the settings; settings take precedence.

A model may document its training in its metadata: `mean` and `std` (three numbers each, of red, green, blue from 0 to
1), and the keys of ONNX's MetadataProps.md: Image.BitmapPixelFormat (Rgb8, Bgr8) and Image.NominalPixelRange
(NominalRange_0_255, Normalized_0_1, Normalized_1_1).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.common.errors import ConfigError
from jobs.ingest.images.decode import Frame
from jobs.settings.ingest import Embeddings, Triple, off_scale

KINDS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
RANGES: dict[str, tuple[Triple, Triple]] = {
    "NominalRange_0_255": ((0.0,) * 3, (1 / 255,) * 3),
    "Normalized_0_1": ((0.0,) * 3, (1.0,) * 3),
    "Normalized_1_1": ((0.5,) * 3, (0.5,) * 3),
}
"""Mean and std by which values from 0 to 1 come into each range."""
FORMATS = {"Rgb8": True, "Bgr8": False}


@dataclass(frozen=True)
class Input:
    """What a model takes, as ONNX states it."""

    name: str
    shape: Sequence[int | str | None]
    """Numbers where an extent is fixed, a name or nothing where it is not."""
    type: str
    """tensor(float), for one."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a part of a model's input."""

    frame: Frame
    mean: Triple
    std: Triple
    rgb: bool
    """Whether red comes first; else blue."""
    channels_first: bool
    kind: str
    """float32, float16 or uint8."""

    @property
    def digest(self) -> str:
        """Return eight hex digits: vectors of another preparation are other vectors."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]

    def tensor(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the model's input for images [n, height, width, 3] of red, green, blue."""
        made: NDArray[Any] = images
        if self.kind != "uint8":
            scale, shift = 1 / (255 * np.array(self.std)), np.array(self.mean) / np.array(self.std)
            with np.errstate(over="ignore"):  # what became infinite is found in the vectors
                made = images * scale.astype(np.float32) - shift.astype(np.float32)
        made = made if self.rgb else made[..., ::-1]
        made = np.moveaxis(made, 3, 1) if self.channels_first else made
        return np.ascontiguousarray(made, self.kind)


def preprocessing_of(model: str, given: Input, told: Mapping[str, str], settings: Embeddings) -> Preprocessing:
    """Return how images are prepared for a model.

    Args:
        model: its file, for messages.
        given: its input.
        told: its metadata.
        settings: settings.

    Raises:
        ConfigError: the input is no batch of color images, its size is known to nobody, or the metadata makes no
            sense.
    """
    first = _channels_first(model, given)
    kind = KINDS.get(given.type)
    if kind is None:
        raise ConfigError(
            f"Model {model}: input {given.name!r} must be one of {', '.join(KINDS)}, got {given.type}: export it again."
        )
    frame = Frame(*_size(model, given, first, settings), settings.fit, settings.resample)
    mean, std = _normal(model, told, settings)
    if kind == "uint8" and (mean, std) != ((0.0,) * 3, (1.0,) * 3):
        raise ConfigError(
            f"Model {model}: input {given.name!r} takes bytes, which cannot be normalised, got mean {mean}, std {std}: "
            "leave ingest.embeddings.mean and std null, and the metadata's out."
        )
    form = told.get("Image.BitmapPixelFormat", "Rgb8")
    if form not in FORMATS:
        raise ConfigError(
            f"Model {model}: its Image.BitmapPixelFormat must be Rgb8 or Bgr8, got {form}: export it again."
        )
    return Preprocessing(frame, mean, std, FORMATS[form], first, kind)


def _channels_first(model: str, given: Input) -> bool:
    shape = list(given.shape)
    if len(shape) == 4 and 3 in (shape[1], shape[3]):
        return shape[1] == 3
    raise ConfigError(
        f"Model {model}: input {given.name!r} must be [images, 3, height, width] or [images, height, width, 3], "
        f"got {shape}: export the model so that it takes color images."
    )


def _size(model: str, given: Input, first: bool, settings: Embeddings) -> tuple[int, int]:
    own = given.shape[2:4] if first else given.shape[1:3]
    fixed = [extent if isinstance(extent, int) and extent > 0 else None for extent in own]
    size = settings.size or (fixed[0] or 0, fixed[1] or 0)
    if min(size) < 1:
        raise ConfigError(
            f"Model {model}: input {given.name!r} leaves height and width open ({list(given.shape)}): say which it was "
            "trained with, ingest.embeddings.size=[224, 224] (--size 224x224)."
        )
    if any(extent not in {None, want} for extent, want in zip(fixed, size, strict=True)):
        raise ConfigError(
            f"Model {model}: input {given.name!r} is {fixed[0]} x {fixed[1]}, ingest.embeddings.size is "
            f"{size[0]} x {size[1]}: leave size null (--size out)."
        )
    return size


def _normal(model: str, told: Mapping[str, str], settings: Embeddings) -> tuple[Triple, Triple]:
    span = told.get("Image.NominalPixelRange", "Normalized_0_1")
    if span not in RANGES:
        raise ConfigError(
            f"Model {model}: its Image.NominalPixelRange must be one of {', '.join(RANGES)}, got {span}: set "
            "ingest.embeddings.mean and std and export it without."
        )
    mean, std = RANGES[span]
    return settings.mean or _triple(model, "mean", told) or mean, settings.std or _triple(model, "std", told) or std


def _triple(model: str, what: str, told: Mapping[str, str]) -> Triple | None:
    if what not in told:
        return None
    try:
        red, green, blue = (float(part) for part in told[what].strip("[] ").split(","))
    except ValueError:
        raise ConfigError(
            f"Model {model}: {what} in its metadata must be three numbers, such as 0.485,0.456,0.406, got "
            f"{told[what]!r}: set ingest.embeddings.{what} (--{what})."
        ) from None
    if fault := off_scale(what, (red, green, blue)):
        raise ConfigError(f"Model {model}: {what} in its metadata {fault}. Set ingest.embeddings.{what} (--{what}).")
    return red, green, blue
