"""Reasons in words, for the command line and the page alike: a reason added here is known to both."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jobs.serving.models import PinCard


class Reason(NamedTuple):
    """One reason, as each place says it."""

    sentence: str
    """In a list; a category or a title may follow."""
    chip: str
    """On an image."""
    share: str
    """What its share of a feed is called."""


REASONS = {
    "save": Reason("because of what you saved", "Because you saved", "like what you saved"),
    "taste": Reason("close to your taste", "Your taste", "close to your taste"),
    "trending": Reason("rising", "Rising", "rising now"),
    "fresh": Reason("new", "New", "new"),
    "follow": Reason("new from someone you follow", "You follow the maker", "from people you follow"),
    "popular": Reason("popular", "Popular", "popular"),
    "search": Reason("because of what you searched for", "You searched for this", "from your searches"),
}
PLACED = frozenset({"taste", "trending", "fresh", "popular"})
"""Reasons that are of the pin's category."""
RELATED = {
    "looks_alike": "looks alike",
    "saved_together": "saved together",
    "both": "looks alike, saved together",
    "co_viewed": "opened together",
    "same_link": "leads to the same page",
    "collaborative": "saved by the same people",
    "duplicate": "goes with the same image",
    "popular": "popular in its category",
}


def feed_reason(name: str) -> Reason:
    """Return the words of a feed's reason; an unknown one speaks for itself."""
    return REASONS.get(name, Reason(name, name, name))


def related_reason(name: str, subject: "PinCard | None") -> str:
    """Return the words of a related pin's reason; "popular" of a category only where the pin asked for has one."""
    if name == "popular" and subject is not None and not subject.category:
        return "popular"
    return RELATED.get(name, name)


def boards(count: int) -> str:
    """Return "1 board", "2 boards"."""
    return f"{count} board{'s' if count > 1 else ''}"
