"""Locations that ingest reads when none are named: those of the settings, below `platform.sources`."""

from pathlib import Path
from typing import Any

from jobs.common.errors import SourceError
from jobs.settings.load import Loaded

SCHEME = "kafka://"


def is_broker(uri: str) -> bool:
    """Return whether a Kafka source is brokers (`kafka://HOST:PORT/TOPIC`) rather than an archive."""
    return uri.startswith(SCHEME)


def configured_sources(loaded: Loaded) -> dict[str, Any]:
    """Return the options of the ingest jobs for the configured sources that exist.

    Raises:
        SourceError: the configured folder does not exist, and no brokers are configured.
    """
    settings = loaded.settings
    root = Path(loaded.path(settings.platform.sources))
    brokers = [uri for uri in settings.ingest.kafka if is_broker(uri)]
    if not root.is_dir() and not brokers:
        raise SourceError(
            f"No sources at {root}: make a world with `pinlake world`, or name --ticdc, --dumpling, --kafka."
        )
    options: dict[str, Any] = {name: str(root / name) for name in ("ticdc", "dumpling") if (root / name).is_dir()}
    archives = [root / folder for folder in settings.ingest.kafka if not is_broker(folder)]
    if (root / settings.ingest.images.path.partition("{")[0]).is_dir():
        options["images"] = str(root)
    if settings.ingest.embeddings.model:
        options["model"] = loaded.path(settings.ingest.embeddings.model)
    return options | {"kafka": [*[str(folder) for folder in archives if folder.is_dir()], *brokers]}
