"""Personal columns covered before they are written anywhere: nothing of their values reaches the lake.

Hashed values stay equal where the originals were, so that they can be joined and counted; without the secret nobody
can try values out (HMAC, RFC 2104).
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from jobs.common.errors import ConfigError
from jobs.settings.ingest import Ingest


@dataclass(frozen=True)
class Masks:
    """What is to be covered of one table: column -> `hash` or `null`."""

    columns: Mapping[str, str] = field(default_factory=dict)
    secret: bytes = field(default=b"", repr=False)

    def covered(self, name: str, values: pa.Array) -> pa.Array:
        """Return a column's values as they may be written."""
        how = self.columns.get(name)
        if how is None:
            return values
        if how == "null":
            return pa.nulls(len(values), pa.string())
        coded = values.dictionary_encode()
        return pa.array([self.digest(text) for text in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)

    def digest(self, text: str) -> str:
        """Return what stands for a value."""
        return hmac.new(self.secret, text.encode(), "sha256").hexdigest()


def masks_of(settings: Ingest, table: str, key: Iterable[str] = ()) -> Masks:
    """Return what is to be covered of a table.

    Raises:
        ConfigError: a hash is asked for without a secret, or a column of the key is to be NULL.
    """
    rules = settings.tables.get(table)
    if rules is None or not rules.mask:
        return Masks()
    if "hash" in rules.mask.values() and not settings.mask_secret.get_secret_value():
        raise ConfigError(
            f"ingest.tables.{table}.mask: a hash needs a secret, or values could be tried out. "
            "Set PINLAKE_INGEST__MASK_SECRET, and keep it: with another one no hash is the same."
        )
    lost = [name for name in key if rules.mask.get(name) == "null"]
    if lost:
        raise ConfigError(f"ingest.tables.{table}.mask: {', '.join(lost)} is part of the key: hash it, not null.")
    return Masks(dict(rules.mask), settings.mask_secret.get_secret_value().encode())
