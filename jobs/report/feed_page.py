"""One HTML file that shows what the store serves: a user's feed as images with reasons, and one pin's related pins.

In: a reader of the store, a user, a pin, the folder of images. Out: a file that stands alone: images are inside
as data URIs, there is no script, and nothing is fetched; links lead to the pins' own pages. Read back through the
reader, so the page shows what an online service would get.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.common.errors import StoreError
from jobs.report.tiles import Album, Tiles, shares, template
from jobs.serving.models import Feed, Related

if TYPE_CHECKING:
    from jobs.serving.reader import Reader, View

ORDER = {
    True: "a learned ranker put them in order",
    False: "their places in the sources put them in order, as there were too few labels yet for a learned ranker",
    None: "a score put them in order",
}
"""How candidates got their order, by whether there was a learned ranker."""
TEMPLATE = Path(__file__).with_name("feed_page.html")


def write_page(
    folder: Path,
    reader: "Reader",
    user_id: int,
    pin_id: int,
    images: Path | None = None,
    saved: Sequence[int] = (),
    learned: bool | None = None,
) -> Path:
    """Write `feed-<user>.html` into `folder` and return its path.

    Args:
        folder: made if it is not there.
        reader: of the store.
        user_id: whose feed.
        pin_id: whose related pins; a pin that has none leaves that part out.
        images: images as `<first two digits>/<signature>.jpg`; None shows plain grounds.
        saved: pins the user saved lately, newest first. Those without a card (not public any more) are left out.
        learned: whether the feeds were put in order by a learned ranker; None where that is not known.

    Raises:
        StoreError: nothing is published, or there is neither a feed nor a fallback for the user.
    """
    with reader.view() as view:
        html = _render(view, user_id, pin_id, Album(images), saved, learned)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"feed-{user_id}.html"
    path.write_text(html, encoding="utf-8")
    return path


def _render(view: "View", user_id: int, pin_id: int, album: Album, saved: Sequence[int], learned: bool | None) -> str:
    feed = view.home_feed(user_id)
    if feed is None:
        raise StoreError(f"Generation {view.generation} has neither a feed of user {user_id} nor a fallback.")
    related = view.related(pin_id)
    tiles = Tiles(view.cards(_wanted(feed, related, pin_id, saved)), album)
    shown = {
        "feed": feed,
        "user_id": user_id,
        "order": ORDER[learned],
        "tiles": [tiles.of_feed(item) for item in feed.items],
        "shares": shares(feed.items),
        "saved": [tiles.plain(pin) for pin in saved if pin in tiles.cards],
        "subject": tiles.plain(pin_id) if related else None,
        "related": [tiles.of_related(item, pin_id) for item in related.items] if related else [],
    }
    return template(TEMPLATE).render(shown | {"images": album.rules()})


def _wanted(feed: Feed, related: Related | None, pin_id: int, saved: Sequence[int]) -> list[int]:
    seeds = [item.reason_id for item in feed.items if item.reason == "save" and item.reason_id]
    beside = [item.pin_id for item in related.items] if related else []
    return list(dict.fromkeys([pin_id, *saved, *(item.pin_id for item in feed.items), *seeds, *beside]))
