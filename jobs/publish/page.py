"""One HTML file that shows what the store serves: a user's feed as pictures with reasons, and one pin's related pins.

In: a reader of the store, a user, a pin, the folder of pictures. Out: a file that stands alone: pictures are inside
as data URIs, there is no script, and nothing is fetched; links lead to the pins' own pages. Read back through the
reader, so the page shows what an online service would get.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobs.errors import StoreError
from jobs.publish.values import Feed, FeedItem, PinCard, Related, RelatedItem
from jobs.publish.words import RELATED, boards, feed_reason

if TYPE_CHECKING:
    from jinja2 import Template

    from jobs.publish.reader import Reader, View

LARGEST = 300_000
"""Bytes of a picture above which a plain ground is shown in its place: the page has to stay light."""
TALL = (18, 20, 22)
"""Heights of pictures, in lines of the grid; taken by pin, so that the rows interlock."""
GROUNDS = frozenset(
    ("red", "orange", "yellow", "olive", "green", "teal", "blue", "purple", "pink", "brown", "grey", "cream")
)


@dataclass(frozen=True)
class Tile:
    """One picture of the page with what is written on it."""

    pin_id: int
    title: str
    note: str = ""
    """Small print below the title."""
    link: str | None = None
    picture: str | None = None
    """Class that carries the picture; None where there is none."""
    ground: str = "grey"
    """Colour shown where there is no picture."""
    position: int = 0
    reason: str = ""
    chip: str = ""
    """The reason in words."""
    seed: "Tile | None" = None
    """Saved pin that the reason points at."""

    @property
    def height(self) -> int:
        """Return the height of the picture, in lines of the grid."""
        return TALL[self.pin_id % len(TALL)]


class Album:
    """Pictures by signature, each put into the page once however often it is shown."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._data: dict[str, str | None] = {}

    def name(self, signature: str) -> str | None:
        """Return the class of a picture, None where there is none that can be shown."""
        if signature not in self._data:
            self._data[signature] = self._read(signature)
        return f"p{signature}" if self._data[signature] else None

    def rules(self) -> dict[str, str]:
        """Return class -> data URI of every picture asked for."""
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


def write_page(
    folder: Path,
    reader: "Reader",
    user_id: int,
    pin_id: int,
    images: Path | None = None,
    saved: Sequence[int] = (),
) -> Path:
    """Write `feed-<user>.html` into `folder` and return its path.

    Args:
        folder: made if it is not there.
        reader: of the store.
        user_id: whose feed.
        pin_id: whose related pins; a pin that has none leaves that part out.
        images: pictures as `<first two digits>/<signature>.jpg`; None shows plain grounds.
        saved: pins the user saved lately, newest first. Those without a card (not public any more) are left out.

    Raises:
        StoreError: nothing is published, or there is neither a feed nor a fallback for the user.
    """
    with reader.view() as view:
        html = _render(view, user_id, pin_id, Album(images), saved)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"feed-{user_id}.html"
    path.write_text(html, encoding="utf-8")
    return path


def _render(view: "View", user_id: int, pin_id: int, album: Album, saved: Sequence[int]) -> str:
    feed = view.home_feed(user_id)
    if feed is None:
        raise StoreError(f"Generation {view.generation} has neither a feed of user {user_id} nor a fallback.")
    related = view.related(pin_id)
    tiles = Tiles(view.cards(_wanted(feed, related, pin_id, saved)), album)
    shown = {
        "feed": feed,
        "user_id": user_id,
        "tiles": [tiles.of_feed(item) for item in feed.items],
        "shares": _shares(feed.items),
        "saved": [tiles.plain(pin) for pin in saved if pin in tiles.cards],
        "subject": tiles.plain(pin_id) if related else None,
        "related": [tiles.of_related(item) for item in related.items] if related else [],
    }
    return _template().render(shown | {"pictures": album.rules()})


def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))


def _wanted(feed: Feed, related: Related | None, pin_id: int, saved: Sequence[int]) -> list[int]:
    seeds = [item.reason_id for item in feed.items if item.reason == "save" and item.reason_id]
    beside = [item.pin_id for item in related.items] if related else []
    return list(dict.fromkeys([pin_id, *saved, *(item.pin_id for item in feed.items), *seeds, *beside]))


def _shares(items: Iterable[FeedItem]) -> list[tuple[str, str, int]]:
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
        note = " · ".join(part for part in (card.category, f"by user {card.creator_id}") if part)
        picture = self.album.name(card.image_signature)
        return Tile(pin_id, card.title or f"Pin {pin_id}", note, safe_link(card.link), picture, ground)

    def of_feed(self, item: FeedItem) -> Tile:
        """Return the tile of one place of a feed."""
        chip = feed_reason(item.reason).chip
        known = item.reason == "save" and item.reason_id in self.cards
        seed = self.plain(item.reason_id) if known and item.reason_id else None
        return replace(self.plain(item.pin_id), position=item.position, reason=item.reason, chip=chip, seed=seed)

    def of_related(self, item: RelatedItem) -> Tile:
        """Return the tile of one place beside a pin."""
        said = RELATED.get(item.reason, item.reason)
        chip = said[:1].upper() + said[1:] + (f" on {boards(item.co_saves)}" if item.co_saves else "")
        return replace(self.plain(item.pin_id), position=item.position, reason=item.reason, chip=chip)


def safe_link(link: str) -> str | None:
    """Return a web address as it is, None for anything else: a title or link is whatever its maker typed."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    return link if parts.scheme in {"http", "https"} and parts.netloc else None
