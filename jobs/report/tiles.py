"""Pins as tiles of a page: image, title, and why the pin is there, from the cards of the store.

In: places of lists and the pins' cards, the folder of images. Out: plain values that tiles.html draws; its styles
are in tiles.style.html. Titles and links are whatever pin makers typed: the templates escape them, and a link is shown
only if it leads to a web page. What is not public has no card, and so no title here.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobs.serving.models import FeedItem, PinCard, RelatedItem
from jobs.serving.reason_labels import boards, feed_reason, related_reason

if TYPE_CHECKING:
    from jinja2 import Template

LARGEST = 300_000
"""Bytes of an image above which a plain ground is shown in its place: the page has to stay light."""
TALL = (18, 20, 22)
"""Heights of images, in lines of the grid; taken by pin, so that the rows interlock."""
GROUNDS = frozenset(
    ("red", "orange", "yellow", "olive", "green", "teal", "blue", "purple", "pink", "brown", "grey", "cream")
)


@dataclass(frozen=True)
class Tile:
    """One image of the page with what is written on it."""

    pin_id: int
    title: str
    note: str = ""
    """Small print below the title."""
    link: str | None = None
    image: str | None = None
    """Class that carries the image; None where there is none."""
    ground: str = "grey"
    """Color shown where there is no image."""
    position: int = 0
    reason: str = ""
    chip: str = ""
    """The reason in words."""
    seed: "Tile | None" = None
    """Saved pin that the reason points at."""

    @property
    def height(self) -> int:
        """Return the height of the image, in lines of the grid."""
        return TALL[self.pin_id % len(TALL)]


class Album:
    """Images by signature, each put into the page once however often it is shown."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._data: dict[str, str | None] = {}

    def name(self, signature: str) -> str | None:
        """Return the class of an image, None where there is none that can be shown."""
        if signature not in self._data:
            self._data[signature] = self._read(signature)
        return f"p{signature}" if self._data[signature] else None

    def rules(self) -> dict[str, str]:
        """Return class -> data URI of every image asked for."""
        return {f"p{signature}": data for signature, data in self._data.items() if data}

    def _read(self, signature: str) -> str | None:
        # the signature becomes part of a path and of the style sheet
        if self.folder is None or not signature.isalnum() or not signature.isascii():
            return None
        path = self.folder / signature[:2] / f"{signature}.jpg"
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        body = path.read_bytes()
        return f"data:image/jpeg;base64,{base64.b64encode(body).decode()}" if body.startswith(b"\xff\xd8") else None


def template(path: Path) -> "Template":
    """Return a page's template: everything is escaped, and an unknown name is an error.

    Args:
        path: of the template; it may also use those beside this module.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([path.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name)


def shares(items: Iterable[FeedItem]) -> list[tuple[str, str, int]]:
    """Return reason, its name and how many pins have it, the most frequent first."""
    counts = Counter(item.reason for item in items).most_common()
    return [(reason, feed_reason(reason).share, count) for reason, count in counts]


class Tiles:
    """Turns places of lists into tiles, by the cards there are."""

    def __init__(self, cards: Mapping[int, PinCard], album: Album) -> None:
        self.cards = cards
        self.album = album

    def plain(self, pin_id: int) -> Tile:
        """Return a pin's tile; one that says so where the store has no card."""
        card = self.cards.get(pin_id)
        if card is None:
            return Tile(pin_id, f"Pin {pin_id}")
        ground = card.color if card.color in GROUNDS else "grey"
        maker = f"by user {card.creator_id}" if card.creator_id else ""
        note = " · ".join(part for part in (card.category, maker) if part)
        image = self.album.name(card.image_signature)
        return Tile(pin_id, card.title or f"Pin {pin_id}", note, safe_link(card.link), image, ground)

    def of_feed(self, item: FeedItem) -> Tile:
        """Return the tile of one place of a feed."""
        chip = feed_reason(item.reason).chip
        known = item.reason == "save" and item.reason_id in self.cards
        seed = self.plain(item.reason_id) if known and item.reason_id else None
        return replace(self.plain(item.pin_id), position=item.position, reason=item.reason, chip=chip, seed=seed)

    def of_related(self, item: RelatedItem, subject: int) -> Tile:
        """Return the tile of one place beside the pin `subject`."""
        said = related_reason(item.reason, self.cards.get(subject))
        chip = said[:1].upper() + said[1:] + (f" on {boards(item.co_saves)}" if item.co_saves else "")
        return replace(self.plain(item.pin_id), position=item.position, reason=item.reason, chip=chip)


def safe_link(link: str) -> str | None:
    """Return a web address as it is, None for anything else: a title or link is whatever its maker typed."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    return link if parts.scheme in {"http", "https"} and parts.netloc else None
