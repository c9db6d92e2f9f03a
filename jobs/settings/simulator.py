"""The made-up Pinterest that `pinlake world` writes as source files."""

from datetime import UTC, datetime

from pydantic import Field

from jobs.settings.base import Section


class Simulator(Section):
    """The made-up Pinterest."""

    users: int = Field(2_000, ge=10)
    """Accounts."""
    pins: int = Field(20_000, ge=50)
    """Pins ever made, those deleted later included."""
    days: int = Field(30, ge=2)
    """Days of events before `end`."""
    stream_days: int = Field(20, ge=1)
    """Days before `end` at which the snapshot was taken; later changes are in the change feed."""
    end: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    """Instant the world is written up to; the checkpoint of the change feed, at 00:00 UTC of a day."""
    seed: int = Field(20261101, ge=0)
    """Where all randomness starts; the same seed gives the same bytes."""
    images: bool = True
    """Whether to draw an image for each pin."""
    image_size: int = Field(96, ge=16)
    """Width and height of an image, in pixels."""
    dim: int = Field(256, ge=16, multiple_of=2)
    """Values in an embedding."""
    model: str = "w1"
    """Name of the embedding model, as the messages carry it."""
    bad_rows: int = Field(3, ge=0)
    """Broken lines put into the change feed, and as many into the archive of pin_events."""
    sessions_per_day: float = Field(0.32, gt=0)
    """Visits of a mean user per day; single users differ widely."""
    history_saves: float = Field(14.0, ge=0)
    """Saves of a mean user before the days of events."""
    new_share: float = Field(0.03, ge=0, le=0.5)
    """Users who joined in the last seven days."""
    inactive_share: float = Field(0.12, ge=0, lt=1)
    """Users who never come within the days of events."""
    bot_share: float = Field(0.003, ge=0, le=0.2)
    """Users who save very many pins, at random, within hours."""
    near_duplicate_share: float = Field(0.03, ge=0, le=0.3)
    """Pins that show an earlier pin's image, slightly changed."""
    same_image_share: float = Field(0.01, ge=0, le=0.3)
    """Pins that carry the very image of an earlier pin."""
    kafka_partitions: int = Field(3, ge=1, le=64)
    """Kafka partitions of topic pin_events."""
