"""Settings of the simulator: the size and behaviour of the Pinterest that `pinlake world` writes as source files."""

from datetime import UTC, datetime

from pydantic import Field

from jobs.settings.base import Section


class Simulator(Section):
    """The simulated Pinterest that `pinlake world` writes as source files."""

    users: int = Field(2_000, ge=10)
    """User accounts."""
    pins: int = Field(20_000, ge=50)
    """Pins created, including those deleted later."""
    days: int = Field(30, ge=2)
    """Days of events before `end`."""
    stream_days: int = Field(20, ge=1)
    """Days from the snapshot to `end`; later changes are in the change feed."""
    end: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    """End of the simulation, at 00:00 UTC of a day; also the checkpoint of the change feed."""
    seed: int = Field(20261101, ge=0)
    """Random seed; the same seed and settings write the same bytes."""
    images: bool = True
    """Draw an image per pin."""
    image_size: int = Field(96, ge=16)
    """Width and height of an image in pixels."""
    dim: int = Field(256, ge=16, multiple_of=2)
    """Dimensions of an embedding."""
    model: str = "w1"
    """Name of the embedding model, as written in the messages."""
    bad_rows: int = Field(3, ge=0)
    """Malformed lines in the change feed, and as many in the pin_events archive."""
    sessions_per_day: float = Field(0.32, gt=0)
    """Mean sessions per user and day; users differ widely."""
    history_saves: float = Field(14.0, ge=0)
    """Mean saves per user before the days of events."""
    new_share: float = Field(0.03, ge=0, le=0.5)
    """Share of users who joined in the last seven days."""
    inactive_share: float = Field(0.12, ge=0, lt=1)
    """Share of users without a session in the days of events."""
    bot_share: float = Field(0.003, ge=0, le=0.2)
    """Share of users who save many random pins within hours."""
    near_duplicate_share: float = Field(0.03, ge=0, le=0.3)
    """Share of pins whose image is a slightly changed copy of an earlier pin's."""
    same_image_share: float = Field(0.01, ge=0, le=0.3)
    """Share of pins with exactly the image of an earlier pin."""
    kafka_partitions: int = Field(3, ge=1, le=64)
    """Kafka partitions of the topic pin_events."""
