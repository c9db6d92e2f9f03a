"""The reasons of a pin in a feed or in a list of related pins: numbers in the value format, and texts.

The only table of reasons. A test compares it with format.proto, the suites, the gold tables and the ranking.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jobs.serving.models import PinCard


class Reason(NamedTuple):
    """One reason."""

    number: int
    """Of `enum Reason` in format.proto."""
    sentence: str = ""
    """In a feed; a category or a title may follow. Empty for reasons of related pins only."""
    chip: str = ""
    """On an image."""
    share: str = ""
    """Label of its share of a feed."""
    related: str = ""
    """In a list of related pins; empty for reasons of feeds only."""


REASONS = {
    "save": Reason(1, "because of what you saved", "Because you saved", "like what you saved"),
    "taste": Reason(2, "close to your taste", "Your taste", "close to your taste"),
    "trending": Reason(3, "rising", "Rising", "rising now"),
    "fresh": Reason(4, "new", "New", "new"),
    "follow": Reason(5, "new from someone you follow", "You follow the maker", "from people you follow"),
    "popular": Reason(6, "popular", "Popular", "popular", "popular in its category"),
    "looks_alike": Reason(7, related="looks alike"),
    "saved_together": Reason(8, related="saved together"),
    "both": Reason(9, related="looks alike, saved together"),
    "search": Reason(10, "because of what you searched for", "You searched for this", "from your searches"),
    "co_viewed": Reason(11, related="opened together"),
    "same_link": Reason(12, related="leads to the same page"),
    "collaborative": Reason(13, related="saved by the same people"),
    "duplicate": Reason(14, related="goes with the same image"),
}
PLACED = frozenset({"taste", "trending", "fresh", "popular"})
"""Reasons of a feed that are about the pin's category."""


def feed_reason(name: str) -> Reason:
    """Return a feed's reason; an unknown one has its name as its texts."""
    return REASONS.get(name, Reason(0, name, name, name))


def related_reason(name: str, subject: "PinCard | None") -> str:
    """Return the text of a related pin's reason; "popular" of a category only where the subject has one."""
    if name == "popular" and subject is not None and not subject.category:
        return "popular"
    return REASONS[name].related if name in REASONS else name


def boards(count: int) -> str:
    """Return "1 board", "2 boards"."""
    return f"{count} board{'s' if count > 1 else ''}"
