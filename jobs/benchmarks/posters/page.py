"""The posters' page: queries with their neighbours, with and without near-duplicates, related films, and figures.

In: what came of the posters, the folder of images. Out: one HTML file that stands alone, images inside, no script.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobs.benchmarks.posters.dataset import Given
from jobs.benchmarks.posters.figures import FIRST, Share, genres_shared, rated_together, share
from jobs.benchmarks.posters.pipeline import BOARD, Through
from jobs.image_dedup.hamming import distances
from jobs.related.lists import Pin, choose
from jobs.report.tiles import Album, template

TEMPLATE = Path(__file__).with_name("posters.html")
ROW, QUERIES, DOUBLES, GROUPS = 9, 14, 4, 24
"""Posters per row; films shown with their neighbours; of those with a near-duplicate; groups shown."""
REASONS = {"looks_alike": "look alone", "saved_together": "people alone", "both": "look and people"}
"""Reason for a related film, as in the page's key."""


@dataclass(frozen=True)
class Poster:
    """One image of the page."""

    name: str
    image: str | None
    """CSS class with the image; None if it cannot be shown."""
    note: str = ""
    reason: str = ""
    twin: bool = False
    """Whether it is a near-duplicate of the query, or of one before it in the row."""


@dataclass(frozen=True)
class Query:
    """A film and its rows of posters."""

    poster: Poster
    look: str
    """Style of the image: light-plain."""
    colors: list[str]
    nearest: list[Poster]
    """By look alone, near-duplicates among them."""
    apart: list[Poster]
    """The same without them."""
    related: list[Poster]
    """The platform's related items: the blend."""


class Posters:
    """Builds posters and rows from the results."""

    def __init__(self, data: Given, made: Through, images: Path) -> None:
        self._data, self._made, self.album = data, made, Album(images)
        self.films = {row["pin_id"]: row for row in made.features}
        near = made.near
        edges = zip(near.ids.tolist(), near.offsets[:-1].tolist(), near.offsets[1:].tolist(), strict=True)
        self._near = {film: slice(start, end) for film, start, end in edges}

    def poster(self, film: int, **more: Any) -> Poster:
        """Return the poster of a film, with its title if known."""
        known = self._data.known.get(film)
        row = self.films.get(film)
        image = self.album.name(row["image_signature"]) if row else None
        return Poster(known.title if known else f"Film {film}", image, **more)

    def query(self, film: int) -> Query:
        """Return a film with its rows."""
        row, related = self.films[film], self._made.related.get(film, [])[:ROW]
        pool = self._pool(film)
        keep = set(choose(self._pin(film), [self._pin(other) for other, _ in pool], ROW, len(pool) + 1))
        nearest = [(other, cosine, place not in keep) for place, (other, cosine) in enumerate(pool[:ROW])]
        return Query(
            self.poster(film),
            row["style"],
            row["colors"],
            [self.poster(other, note=f"{cosine:.2f}", twin=twin) for other, cosine, twin in nearest],
            [self.poster(pool[place][0], note=f"{pool[place][1]:.2f}") for place in sorted(keep)],
            [self.poster(one["related_pin_id"], note=_said(one), reason=one["reason"]) for one in related],
        )

    def groups(self) -> list[list[Poster]]:
        """Return the clusters of near-duplicates, each film with the bits of its hash that differ from the first."""
        members = defaultdict(list)
        for film, cluster in sorted(self._made.cluster.items()):
            members[cluster].append(film)
        return [self._group(films) for _, films in sorted(members.items())]

    def _group(self, films: Sequence[int]) -> list[Poster]:
        hashes = np.array([self.films[film]["phash"] for film in films], np.int64).view(np.uint64)
        bits = distances(np.full(len(films), hashes[0]), hashes).tolist()
        first = self.poster(films[0])
        return [first, *(self.poster(f, note=_bits(b)) for f, b in zip(films[1:], bits[1:], strict=True))]

    def _pool(self, film: int) -> list[tuple[int, float]]:
        part = self._near.get(film, slice(0, 0))
        near = self._made.near
        return list(zip(near.neighbours[part].tolist(), near.scores[part].tolist(), strict=True))

    def _pin(self, film: int) -> Pin:
        cluster = self._made.cluster.get(film)
        return Pin(film, signature=None if cluster is None else str(cluster))


def write_page(data: Given, made: Through, images: Path, out: Path) -> dict[str, Any]:
    """Write the page; return its figures, plain.

    Args:
        data: the data set.
        made: what came of it.
        images: posters as `<first two digits>/<digest>.jpg`.
        out: file to write.
    """
    posters = Posters(data, made, images)
    groups, doubles = posters.groups(), doubled(made)
    figures = shares(data, made)
    shown = {
        "counts": made.counts,
        "seconds": made.seconds,
        "model": made.model,
        "films": len(data.ids),
        "titles": bool(data.known),
        "files": len(set(data.signatures)),
        "people": len(np.unique(data.users)),
        "board": BOARD,
        "first": FIRST,
        "doubles": [posters.query(film) for film in doubles],
        "queries": [posters.query(film) for film in chosen(made, doubles)],
        "groups": groups[:GROUPS],
        "more_groups": len(groups) - len(groups[:GROUPS]),
        "in_groups": len(made.cluster),
        "figures": figures,
        "reasons": REASONS,
    }
    out.write_text(template(TEMPLATE).render(shown | {"images": posters.album.rules()}), encoding="utf-8")
    found = {name: {"share": one.found, "chance": one.chance, "pairs": one.pairs} for name, one in figures.items()}
    return {"counts": made.counts, "seconds": made.seconds, "model": made.model, "groups": len(groups), **found}


def doubled(made: Through) -> list[int]:
    """Return the films of different clusters whose nearest hold a near-duplicate, the largest clusters first."""
    members = defaultdict(list)
    for film, cluster in sorted(made.cluster.items()):
        members[cluster].append(film)
    order = sorted(members.values(), key=lambda films: (-len(films), films[0]))
    return [films[0] for films in order[:DOUBLES]]


def chosen(made: Through, leave: Iterable[int]) -> list[int]:
    """Return the films to show: by turns the most rated of each style, so that all looks are seen."""
    left = set(made.cluster) | set(leave)
    styles: dict[str, list[int]] = defaultdict(list)
    for row in sorted(made.features, key=lambda row: (-row["saves"], row["pin_id"])):
        if row["pin_id"] not in left:
            styles[row["style"]].append(row["pin_id"])
    deepest = max(map(len, styles.values()), default=0)
    turns = [films[at] for at in range(deepest) for _, films in sorted(styles.items()) if at < len(films)]
    return turns[:QUERIES]


def shares(data: Given, made: Through) -> dict[str, Share]:
    """Return what neighbours have in common, by kind; near-duplicates do not count as neighbours."""
    near, queries, others = made.near, [], []
    for at, film in enumerate(near.ids.tolist()):
        own = made.cluster.get(film)
        mine = near.neighbours[near.offsets[at] : near.offsets[at + 1]].tolist()
        kept = [other for other in mine if own is None or made.cluster.get(other) != own][:FIRST]
        queries += [film] * len(kept)
        others += kept
    a, b = (np.searchsorted(data.ids, np.array(side, np.int64)) for side in (queries, others))
    asked = {"rated_together": rated_together(data), "genre": genres_shared(data.ids, data.known)}
    return {name: share(a, b, common, near.report.k) for name, common in asked.items() if common}


def _said(one: dict[str, Any]) -> str:
    """Return why a film is related, in as few letters as stand below a small poster."""
    if one["reason"] == "looks_alike":
        return f"look {one['similarity']:.2f}"
    return f"look + {one['co_saves']:,}" if one["reason"] == "both" else f"{one['co_saves']:,} people"


def _bits(count: int) -> str:
    return "the same hash" if not count else f"{count} bit{'s' if count > 1 else ''}"
