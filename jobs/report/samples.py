"""Sample feeds and related pins, read back from the store: what an online service would show, with reasons.

Users are chosen from gold.home_feed and gold.user_profile: one with a rich history, one nearly new, so that both kinds
of feed can be looked at.
"""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from jobs.lake.query import Tables
from jobs.report.tiles import Album, Tile, Tiles, shares

if TYPE_CHECKING:
    from jobs.serving.models import Feed
    from jobs.serving.reader import View

PLACES, RELATED, SAVED = 8, 6, 8
"""Tiles shown of a feed, of a list of related pins, of what a user saved."""


@dataclass(frozen=True)
class Person:
    """A user whose feed is shown, and why this one."""

    user_id: int
    why: str
    saves: int
    recent: tuple[int, ...]
    """Pins saved lately, newest first."""


@dataclass(frozen=True)
class Sample:
    """One user's feed."""

    person: Person
    arm: str
    length: int
    shares: list[tuple[str, str, int]]
    saved: list[Tile]
    tiles: list[Tile]


@dataclass(frozen=True)
class RelatedSample:
    """One pin's related pins."""

    subject: Tile
    tiles: list[Tile]


_PEOPLE = """
select f.user_id, max(p.n_saves) as saves, count(distinct f.reason) as reasons
from home_feed f join user_profile p on f.user_id = p.user_id
where f.as_of = date '{as_of}' and p.as_of = date '{as_of}'
  and f.position <= {places} and p.n_saves between {low} and {high}
group by f.user_id order by reasons desc, saves desc, f.user_id limit 1
"""
_KINDS = (("someone with many saves", 15, 80), ("someone nearly new", 0, 3), ("any user", 0, 10**9))
"""Why a user is shown, and the saves such a user has."""


def choose_people(tables: Tables, as_of: date, feed: int | None, profile: int | None) -> list[Person]:
    """Return whose feeds to show: at most two, fewer where the lake has no such users.

    Args:
        tables: of the lake.
        as_of: of the generation shown.
        feed: version of gold.home_feed that the as-of's run committed.
        profile: the same of gold.user_profile.

    Raises:
        TableError: that version is not kept any more.
    """
    names = {"gold.home_feed": feed, "gold.user_profile": profile}
    people: list[Person] = []
    for why, low, high in _KINDS:
        rows = tables.ask(_PEOPLE.format(as_of=as_of, places=PLACES, low=low, high=high), names)
        if rows and (why != "any user" or not people):
            people.append(_person(tables, as_of, profile, why, rows[0]["user_id"]))
    return people


def _person(tables: Tables, as_of: date, profile: int | None, why: str, user: int) -> Person:
    row = tables.ask(
        f"select n_saves, recent_saves from user_profile where as_of = date '{as_of}' and user_id = {user}",  # noqa: S608
        {"gold.user_profile": profile},
    )[0]
    return Person(user, why, row["n_saves"], tuple(row["recent_saves"] or ())[:SAVED])


def sample_feed(view: "View", person: Person, album: Album) -> Sample | None:
    """Return the first places of a person's feed, None where the generation has no feed for them."""
    feed = view.home_feed(person.user_id)
    if feed is None:
        return None
    items = feed.items[:PLACES]
    seeds = [item.reason_id for item in items if item.reason == "save" and item.reason_id]
    pins = dict.fromkeys([*person.recent, *(item.pin_id for item in items), *seeds])
    tiles = Tiles(view.cards(list(pins)), album)
    return Sample(
        person=person,
        arm=feed.arm,
        length=len(feed.items),
        shares=shares(feed.items),
        saved=[tiles.plain(pin) for pin in person.recent if pin in tiles.cards],
        tiles=[tiles.of_feed(item) for item in items],
    )


def sample_related(view: "View", feed: "Feed | None", album: Album) -> RelatedSample | None:
    """Return what is shown beside the first pin of a feed that has anything beside it."""
    for item in feed.items[:PLACES] if feed else ():
        related = view.related(item.pin_id)
        if related is not None and related.items:
            items = related.items[:RELATED]
            tiles = Tiles(view.cards([item.pin_id, *(one.pin_id for one in items)]), album)
            return RelatedSample(tiles.plain(item.pin_id), [tiles.of_related(one, item.pin_id) for one in items])
    return None
