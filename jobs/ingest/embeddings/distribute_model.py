"""Distributes the model file to the executors: Spark's own file distribution, keyed by its SHA-256."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from jobs.common.errors import ConfigError, SourceError
from jobs.engine.context import ActionContext
from jobs.ingest.embeddings.model import Model
from jobs.ingest.embeddings.weights import external_files
from jobs.ingest.loading.storage import read_raw
from jobs.settings.ingest import Embeddings


@dataclass(frozen=True)
class DistributedModel:
    """A model that executors can open; hashable, so that they open it once."""

    file: str
    """Its name among the files of Spark's context."""
    shown: str
    """The file as settings name it."""
    settings: Embeddings
    """Settings, the SHA-256 of the file among them: an executor opens no other."""
    version: str
    """Name in silver.pin_embeddings."""
    dim: int


def distribute(work: ActionContext, uri: str, settings: Embeddings) -> DistributedModel:
    """Try the model on the driver's CPU, and send it to all executors.

    Raises:
        SourceError: there is no such file, or it cannot be read.
        ConfigError, MissingDependencyError: as `Model`.
    """
    folder, _, name = uri.rpartition("/")
    try:
        raw = read_raw(folder or ".", name)
    except OSError as error:
        raise SourceError(
            f"ingest.embeddings.model is {uri}, which cannot be read: {error}. Name an ONNX file, path or URI."
        ) from error
    sha = hashlib.sha256(raw).hexdigest()
    path = _kept(work, raw, sha)
    if beside := external_files(path):
        raise ConfigError(
            f"ingest.embeddings.model is {uri}, which keeps weights in a second file ({', '.join(beside)}); executors "
            "get one file: export it with its weights inside, onnx.save_model(model, FILE)."
        )
    # the driver may have no GPU: where executors run the model is theirs to find out
    model = Model(path, settings.model_copy(update={"backend": "cpu"}), uri)
    work.spark.sparkContext.addFile(str(path))
    return DistributedModel(path.name, uri, settings.model_copy(update={"sha256": sha}), model.version, model.dim)


def local_path(sent: DistributedModel) -> str:
    """Return where the file lies on this executor.

    Raises:
        ConfigError: it did not arrive.
    """
    from pyspark import SparkFiles

    path = SparkFiles.get(sent.file)
    if not Path(path).is_file():
        raise ConfigError(f"Model {sent.shown} must be on every executor, got none at {path}: does its disk have room?")
    return path


def _kept(work: ActionContext, raw: bytes, sha: str) -> Path:
    """Return the model's file as Spark sends it: named by its digest, so that no two share a name."""
    given = work.options.get("work")
    folder = Path(str(given)) / "models" if given else Path(tempfile.gettempdir()) / f"pinlake-models-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sha}.onnx"
    if not path.is_file() or path.stat().st_size != len(raw):
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_bytes(raw)
        beside.replace(path)
    return path
