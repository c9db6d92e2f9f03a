"""The manifest of a generation: name, origin, counts and digests. Stored under key `m:`."""

import json
from dataclasses import asdict, dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any

from jobs.common.errors import StoreError
from jobs.serving.codec import MANIFEST_KEY, pack, unpack


@dataclass(frozen=True)
class Content:
    """Counts and digests over all keys and values, the manifest's own excluded. Independent of order."""

    keys: int
    bytes: int
    """Of values, as stored."""
    checksum: str
    """Sum of crc32(key + value) modulo 2^64, 16 hex digits: a loader in any language can compute it."""
    mixed: str
    """Sum of Spark's xxhash64(key, value), decimal: crc32 alone collides too easily to name a generation by."""
    surfaces: dict[str, dict[str, int]]
    """`keys` and `bytes` by surface: home_feed, related_pins, pin_cards, fallback."""

    def name(self, as_of: date) -> str:
        """Return the name of a generation with this content."""
        digest = sha256(f"{self.keys} {self.bytes} {self.checksum} {self.mixed}".encode()).hexdigest()
        return f"g{as_of:%Y%m%d}-{digest[:8]}"


@dataclass(frozen=True)
class Manifest:
    """The record of a generation."""

    generation: str
    as_of: date
    content: Content
    parent: str = ""
    """Generation served when this one was made; empty for the first."""
    inputs: dict[str, int] = field(default_factory=dict)
    """Delta version of each table it was made from."""
    arms: dict[str, int] = field(default_factory=dict)
    """Users by experiment arm."""
    gate: dict[str, float | None] = field(default_factory=dict)
    """The gate's metrics."""
    config_hash: str = ""
    run_id: str = ""
    loaded_at: str = ""
    """UTC, ISO 8601: orders generations for pruning."""

    def plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"as_of": self.as_of.isoformat()}

    def value(self) -> bytes:
        """Return the value stored under `m:`."""
        return pack(MANIFEST_KEY, self.text().encode())

    def text(self) -> str:
        """Return the manifest as JSON with sorted keys."""
        return json.dumps(self.plain(), sort_keys=True)

    @staticmethod
    def read(value: bytes | None, generation: str) -> "Manifest":
        """Return the manifest in a value found under `m:` of `generation`.

        Raises:
            StoreError: it is absent, damaged, or another generation's.
        """
        if value is None:
            raise StoreError(f"Generation {generation} has no manifest: it is damaged; publish its as-of again.")
        try:
            values = json.loads(unpack(MANIFEST_KEY, value))
            content = Content(**values.pop("content"))
            manifest = Manifest(**values | {"as_of": date.fromisoformat(values["as_of"]), "content": content})
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(f"Generation {generation}: its manifest cannot be read ({error}).") from error
        if manifest.generation != generation:
            raise StoreError(f"Generation {generation} holds the manifest of {manifest.generation}: publish it again.")
        return manifest


def day_of(generation: str) -> date | None:
    """Return the as-of in a generation's name, None if it has none."""
    try:
        return date.fromisoformat(generation[1:9])
    except ValueError:
        return None
