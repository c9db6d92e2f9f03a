"""An ONNX model as a function from images to vectors: the only user of onnxruntime.

In: a file, settings. Out: float32 values per image, and the vectors to store: float16 of unit length, or a fault.
onnxruntime is imported inside functions: it is an extra (`pip install 'pinlake[onnx]'`).

The GPU path is untested: the machines this was written on have none. It differs in the provider alone.
"""

import hashlib
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.common.errors import ConfigError, MissingDependencyError, SourceError
from jobs.ingest.embeddings.preprocessing import Input, Preprocessing, preprocessing_of
from jobs.ingest.embeddings.weights import external_paths
from jobs.ingest.images.decode import printable_name
from jobs.settings.ingest import Embeddings

log = logging.getLogger(__name__)

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PROBES = 2
"""Images of noise that a model is tried on before any work is begun."""


@dataclass(frozen=True)
class Device:
    """Where a model runs."""

    name: Literal["cpu", "gpu"]
    fallback: str = ""
    """Why "auto" took the CPU; empty where it did not, or was not asked."""


class Model:
    """A model that has been opened and tried."""

    def __init__(self, path: Path, settings: Embeddings, shown: str = "") -> None:
        """Open it.

        Args:
            path: of the ONNX file.
            settings: settings.
            shown: the file as messages call it.

        Raises:
            MissingDependencyError: no onnxruntime, or no CUDA where settings.backend requires it.
            SourceError: there is no such file.
            ConfigError: it is no model, not the one whose SHA-256 was given, or none from images to vectors.
        """
        self.shown, self.settings = printable_name(shown or str(path))[0], settings
        sha = digest_of(path, self.shown, settings)
        weights = external_paths(path, self.shown)
        if weights:  # one digest of all: onnxruntime reads them wherever they come from
            whole = [sha, *(f"{name} {_digest(file)}" for name, file in weights)]
            sha = hashlib.sha256("\n".join(whole).encode("utf-8", "surrogateescape")).hexdigest()
        self.session, self.device = _session(path, self.shown, settings)
        self.input, self.preprocessing = _input(self.session, self.shown, settings)
        self.output = _output([one.name for one in self.session.get_outputs()], self.shown, settings)
        self.version = (
            f"{settings.name or Path(self.shown).stem.replace('@', '-')}@{sha[:12]}.{self.preprocessing.digest}"
        )
        """Name in silver.pin_embeddings: other weights, in whatever file, or another preparation make another model."""
        fixed = self.input.shape[0]
        self._together = fixed if isinstance(fixed, int) and fixed > 0 else None
        self.dim = self._probed()

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the model's values for images [n, height, width, 3] of red, green, blue: [n, dim].

        Raises:
            ConfigError: the model fails, or returns something else than a row an image.
        """
        step = self._together or self.settings.batch
        parts = [self._run(images[start : start + step]) for start in range(0, len(images), step)]
        return np.concatenate(parts) if parts else np.empty((0, self.dim), np.float32)

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        n, tensor = len(images), self.preprocessing.tensor(images)
        if self._together and n < self._together:  # a model of a fixed batch gets a whole one
            tensor = np.concatenate([tensor, np.zeros((self._together - n, *tensor.shape[1:]), tensor.dtype)])
        try:
            (found,) = self.session.run([self.output], {self.input.name: tensor})
        except Exception as error:  # onnxruntime's errors have no common base that is public
            raise ConfigError(
                f"Model {self.shown} must run on {list(tensor.shape)} of {tensor.dtype}, got: {_line(error)}. Correct "
                "the model or ingest.embeddings.size, batch."
            ) from error
        return _rows(found, len(tensor), self.output, self.shown)[:n]

    def _probed(self) -> int:
        frame = self.preprocessing.frame
        noise = np.random.default_rng(20261101).integers(0, 256, (PROBES, frame.height, frame.width, 3), np.uint8)
        found = self.embed(noise)
        faults = [fault for fault in stored(found)[1] if fault]
        if faults:
            raise ConfigError(
                f"Model {self.shown} must make a vector with a direction of an image of noise, got {faults[0]}: check "
                f"mean {self.preprocessing.mean} and std {self.preprocessing.std}, and how it was exported."
            )
        return int(found.shape[1])


def stored(values: NDArray[np.floating]) -> tuple[NDArray[np.float16], list[str | None]]:
    """Return vectors [n, dim] at length one as float16, and the fault of each row that has no direction.

    Faults are nan_embedding (infinite values too) and zero_embedding; such rows are zero.
    """
    full = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.einsum("ij,ij->i", full, full))
    bad = ~np.isfinite(length)
    faults = [
        "nan_embedding" if nan else "zero_embedding" if not size else None
        for nan, size in zip(bad, length, strict=True)
    ]
    full[bad], length[bad | (length == 0)] = 0, 1
    return (full / length[:, None]).astype(np.float16), faults


def digest_of(path: Path, shown: str, settings: Embeddings) -> str:
    """Return the SHA-256 of a model's file, held against the one wanted.

    Raises:
        SourceError: there is no such file.
        ConfigError: it is another file.
    """
    if not path.is_file():
        raise SourceError(f"Model {shown}: there is no such file. Name an ONNX file.")
    sha = _digest(path)
    if settings.sha256 and sha != settings.sha256:
        raise ConfigError(
            f"Model {shown} must have the SHA-256 that ingest.embeddings.sha256 states, {settings.sha256}, got {sha}: "
            "it is another file, or not whole. Fetch it again, or change the setting."
        )
    return sha


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def library() -> Any:
    """Return the `onnxruntime` module.

    Raises:
        MissingDependencyError: it is absent or cannot be loaded.
    """
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"Embeddings are computed by onnxruntime, which cannot be loaded ({_line(error)}): pip install "
            "'pinlake[onnx]', or onnxruntime-gpu in its place on a machine with CUDA."
        ) from error
    return onnxruntime


def _session(path: Path, shown: str, settings: Embeddings) -> tuple[Any, Device]:
    ort = library()
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.log_severity_level = 3  # errors: what goes wrong is raised, and said here

    def opened(providers: list[str]) -> Any:
        try:
            # a name that is not UTF-8 is none to onnxruntime: the file's bytes are
            given = str(path) if printable_name(str(path))[1] is None else path.read_bytes()
            return ort.InferenceSession(given, options, providers=providers)
        except Exception as error:
            raise ConfigError(
                f"Model {shown} must be an ONNX model with its weights inside, got: {_line(error)}. Export it again."
            ) from error

    if settings.backend == "cpu":
        return opened([CPU]), Device("cpu")
    trouble = f"this onnxruntime has no {CUDA} (onnxruntime-gpu has)"
    if CUDA in ort.get_available_providers():
        session = opened([CUDA, CPU])
        if CUDA in session.get_providers():
            return session, Device("gpu")
        trouble = f"{CUDA} is installed and does not work here: its CUDA or cuDNN libraries, or the GPU, are missing"
    if settings.backend == "required_gpu":
        raise MissingDependencyError(
            f"ingest.embeddings.backend is required_gpu, but {trouble}. Set auto to use the CPU."
        )
    _say_once(trouble)
    return opened([CPU]), Device("cpu", trouble)


@cache
def _say_once(trouble: str) -> None:
    log.info("Embeddings are computed on the CPU: %s", trouble)


def _input(session: Any, shown: str, settings: Embeddings) -> tuple[Input, Preprocessing]:
    inputs = [Input(one.name, one.shape, one.type) for one in session.get_inputs()]
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs) or "none"
        raise ConfigError(f"Model {shown} must have one input, the images, got {names}: export the image part alone.")
    return inputs[0], preprocessing_of(shown, inputs[0], session.get_modelmeta().custom_metadata_map, settings)


def _output(names: list[str], shown: str, settings: Embeddings) -> str:
    if settings.output in names or (not settings.output and len(names) == 1):
        return settings.output or names[0]
    raise ConfigError(
        f"Model {shown}: ingest.embeddings.output (--output) must name one of {', '.join(names)}, "
        f"got {settings.output!r}."
    )


def _rows(found: Any, n: int, output: str, shown: str) -> NDArray[np.float32]:
    """Return what a model returned as [n, dim]; [n, dim, 1, 1] is that too."""
    array = np.asarray(found)
    flat = array.ndim >= 2 and array.shape[0] == n and array.size == n * array.shape[1] > 0
    if not flat or array.dtype.kind != "f":
        raise ConfigError(
            f"Model {shown}: output {output!r} must be floats [images, values], here [{n}, values], got "
            f"{array.dtype} {list(array.shape)}: name another, ingest.embeddings.output (--output), or pool it in the "
            "model."
        )
    return array.reshape(n, -1).astype(np.float32)


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
