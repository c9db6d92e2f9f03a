"""What a reader returns: plain frozen dataclasses, standard library only."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Pointer:
    """Which generation is served."""

    epoch: int
    """One more at every move; a move that expects an older epoch is refused."""
    current: str
    previous: str
    """Empty before the second move."""
    moved_at_ms: int
    """Milliseconds since 1970-01-01 UTC."""

    def __str__(self) -> str:
        return f"{self.current} (epoch {self.epoch})"


@dataclass(frozen=True)
class FeedItem:
    """One position of a feed."""

    position: int
    """From 1."""
    pin_id: int
    score: float
    source: str
    reason: str
    reason_id: int | None
    """Pin (reason save) or user (reason follow) that the reason points at."""


@dataclass(frozen=True)
class Feed:
    """A home feed, or the fallback for users who have none."""

    generation: str
    as_of: date
    arm: str
    fallback: bool
    items: tuple[FeedItem, ...]


@dataclass(frozen=True)
class RelatedItem:
    """One position of a list of related pins."""

    position: int
    pin_id: int
    score: float
    reason: str
    co_saves: int


@dataclass(frozen=True)
class Related:
    """Pins related to `pin_id`."""

    generation: str
    as_of: date
    pin_id: int
    items: tuple[RelatedItem, ...]


@dataclass(frozen=True)
class PinCard:
    """What is needed to draw a pin."""

    pin_id: int
    title: str
    link: str
    category: str
    color: str
    creator_id: int
    image_signature: str


def plain(value: Any) -> dict[str, Any]:
    """Return a dataclass of this module as JSON values; dates as ISO text."""
    return {key: item.isoformat() if isinstance(item, date) else item for key, item in asdict(value).items()}
