"""What the command line shows of the store: feeds with reasons in words, related pins, generations. No Spark.

Each `show_*` draws with rich; each `*_plain` returns what `--json` prints.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobs.common.errors import StoreError
from jobs.publish.generations import Listed, list_generations
from jobs.serving.models import Feed, FeedItem, PinCard, Related, RelatedItem, plain
from jobs.serving.reader import Reader, View
from jobs.serving.reason_labels import PLACED, boards, feed_reason, related_reason
from jobs.serving.stores import Store

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from jobs.publish.diff import Diff

Cards = Mapping[int, PinCard]
_LIST = ("#", "pin", "title", "category", "why")
_STYLES = {"#": "dim", "pin": "cyan", "why": "green"}


def reason_text(item: FeedItem, cards: Cards) -> str:
    """Return why a pin is in the feed, in words."""
    if item.reason == "save":
        return _because_saved(item, cards)
    category = cards[item.pin_id].category if item.pin_id in cards else ""
    where = f" in {category}" if category and item.reason in PLACED else ""
    return feed_reason(item.reason).sentence + where


def show_feed(reader: Reader, user_id: int, console: "Console", limit: int = 20) -> None:
    """Print a user's feed; StoreError if nothing is published."""
    feed, cards = _feed(reader, user_id, limit)
    who = f"No feed of their own for user {user_id}: the fallback" if feed.fallback else f"Feed of user {user_id}"
    arm = f", arm {feed.arm}" if feed.arm else ""
    table = _table(console, f"{who}, as of {feed.as_of}{arm}, generation {feed.generation}", _LIST)
    for item in feed.items[:limit]:
        card = cards.get(item.pin_id)
        facts = (_safe(card.title), _safe(card.category)) if card else ("", "")
        table.add_row(str(item.position), str(item.pin_id), *facts, _safe(reason_text(item, cards)))
    console.print(table)
    _more(console, len(feed.items), limit)


def feed_plain(reader: Reader, user_id: int, limit: int | None = None) -> dict[str, Any]:
    """Return a user's feed for JSON, each place with the pin's card and the reason in words."""
    feed, cards = _feed(reader, user_id, limit)
    items = [
        plain(item) | {"why": reason_text(item, cards), "card": _card(cards.get(item.pin_id))}
        for item in feed.items[:limit]
    ]
    return plain(feed) | {"user_id": user_id, "items": items}


def show_related(reader: Reader, pin_id: int, console: "Console", limit: int = 20) -> None:
    """Print what is shown beside a pin."""
    related, cards = _related(reader, pin_id, limit)
    subject = cards.get(pin_id)
    title = f" “{_safe(subject.title)}”" if subject else ""
    said = f"Beside pin {pin_id}{title}, as of {related.as_of}, generation {related.generation}"
    table = _table(console, said, _LIST)
    for item in related.items[:limit]:
        card = cards.get(item.pin_id)
        facts = (_safe(card.title), _safe(card.category)) if card else ("", "")
        table.add_row(str(item.position), str(item.pin_id), *facts, _related_why(item, subject))
    console.print(table)
    _more(console, len(related.items), limit)


def related_plain(reader: Reader, pin_id: int, limit: int | None = None) -> dict[str, Any]:
    """Return a pin's related pins for JSON, with cards."""
    related, cards = _related(reader, pin_id, limit)
    subject = cards.get(pin_id)
    items = [
        plain(item) | {"why": _related_why(item, subject), "card": _card(cards.get(item.pin_id))}
        for item in related.items[:limit]
    ]
    return plain(related) | {"card": _card(subject), "items": items}


def show_generations(store: Store, console: "Console") -> None:
    """Print the generations of a store, newest first, and when the pointer last moved."""
    pointer, listed = store.read_pointer(), list_generations(store)
    if not listed:
        console.print("The store holds no generation yet: run `pinlake flow --as-of DAY`.")
        return
    columns = ("generation", "as of", "status", "loaded", "feeds", "related", "cards", "MB", "arms")
    table = _table(console, "Generations", columns)
    for one in listed:
        table.add_row(*_generation_row(one), style="bold green" if one.status == "served" else "")
    console.print(table)
    if pointer:
        moved = datetime.fromtimestamp(pointer.moved_at_ms / 1000, UTC)
        console.print(f"Pointer at epoch {pointer.epoch}, moved {moved:%Y-%m-%d %H:%M:%S} UTC.", style="dim")


def generations_plain(store: Store) -> dict[str, Any]:
    """Return pointer and generations for JSON."""
    pointer = store.read_pointer()
    return {
        "pointer": plain(pointer) if pointer else None,
        "generations": [one.plain() for one in list_generations(store)],
    }


def show_diff(found: "Diff", console: "Console") -> None:
    """Print how two generations differ."""
    console.print(f"[bold]{found.before}[/] → [bold]{found.after}[/]")
    same = found.users_before - found.removed
    console.print(f"  users with a feed: {found.users_before} → {found.users_after} (+{found.added}, -{found.removed})")
    console.print(f"  feeds unchanged: {found.identical} of {same}")
    console.print(f"  positions changed: {found.changed} of {found.positions} ({found.changed_share:.1%})")
    console.print(f"  pins new to their feed: {found.new_pins}")
    for name, (before, after) in found.surfaces.items():
        console.print(f"  {name}: {before} → {after} keys")
    if found.examples:
        console.print(f"  such as users {', '.join(map(str, found.examples))}", style="dim")


def _feed(reader: Reader, user_id: int, limit: int | None) -> tuple[Feed, dict[int, PinCard]]:
    with reader.view() as view:
        feed = view.home_feed(user_id)
        if feed is None:
            raise StoreError(f"Generation {view.generation} has neither a feed of user {user_id} nor a fallback.")
        shown = feed.items[:limit]
        reasons = [item.reason_id for item in shown if item.reason == "save" and item.reason_id]
        return feed, _cards(view, [*[item.pin_id for item in shown], *reasons])


def _related(reader: Reader, pin_id: int, limit: int | None) -> tuple[Related, dict[int, PinCard]]:
    with reader.view() as view:
        related = view.related(pin_id)
        if related is None:
            raise StoreError(
                f"Generation {view.generation} has no related pins for pin {pin_id}: it is not public, unlike all "
                f"others, or not there. `pinlake feed USER` shows pins that are."
            )
        return related, _cards(view, [pin_id, *[item.pin_id for item in related.items[:limit]]])


def _cards(view: View, pins: Sequence[int]) -> dict[int, PinCard]:
    return view.cards(list(dict.fromkeys(pins)))


def _because_saved(item: FeedItem, cards: Cards) -> str:
    seed = cards.get(item.reason_id or 0)
    if item.reason_id is None:
        return feed_reason("save").sentence
    # no card: the user's own, on a board that is not public
    return (
        f"because you saved “{seed.title}” (pin {seed.pin_id})" if seed else f"because you saved pin {item.reason_id}"
    )


def _related_why(item: RelatedItem, subject: PinCard | None) -> str:
    return related_reason(item.reason, subject) + (f" ({boards(item.co_saves)})" if item.co_saves else "")


def _generation_row(one: Listed) -> list[str]:
    if one.manifest is None:
        return [one.generation, "", one.status, "", "", "", "", "", ""]
    m, surfaces = one.manifest, one.manifest.content.surfaces
    keys = [str(surfaces.get(name, {}).get("keys", 0)) for name in ("home_feed", "related_pins", "pin_cards")]
    arms = ", ".join(f"{arm or 'none'} {users}" for arm, users in m.arms.items())
    loaded = m.loaded_at[:16].replace("T", " ")
    return [one.generation, str(m.as_of), one.status, loaded, *keys, f"{m.content.bytes / 1e6:.1f}", arms]


def _card(card: PinCard | None) -> dict[str, Any] | None:
    return plain(card) if card else None


def _table(console: "Console", title: str, columns: Sequence[str]) -> "Table":
    from rich import box
    from rich.table import Table

    console.print(title, style="bold", soft_wrap=True)  # a table's own title would break at its width
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        right = name in {"#", "pin", "feeds", "related", "cards", "MB"}
        table.add_column(name, style=_STYLES.get(name, ""), justify="right" if right else "left")
    return table


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _more(console: "Console", there: int, shown: int) -> None:
    if there > shown:
        console.print(f"… and {there - shown} more", style="dim")
