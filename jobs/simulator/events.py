"""Kafka messages: events, searches and embeddings as columns, and as JSON."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.simulator.names import NOUNS, TOPIC_NAMES
from jobs.simulator.rng import Array, mix
from jobs.simulator.text import base64_rows, hexed, join, pick, string

KINDS = ("impression", "closeup", "click", "save", "hide", "report")
IMPRESSION, CLOSEUP, CLICK, SAVE, HIDE, REPORT = range(6)
SURFACES = ("home_feed", "related_pins", "search", "board")
HOME, RELATED, SEARCH, BOARD = range(4)
NONE = -1
"""Index of a surface or board for events without one."""


@dataclass(frozen=True)
class Events:
    """Events of topic pin_events; users, pins and boards by place (id minus one)."""

    kind: Array
    user: Array
    pin: Array
    board: Array
    surface: Array
    position: Array
    request: Array
    """Number of the page request; 0 for none."""
    propensity: Array
    """NaN where nothing was shown."""
    ts: Array

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.kind)

    def part(self, keep: Array | slice) -> "Events":
        """Return some of the events."""
        return Events(*(getattr(self, f.name)[keep] for f in fields(self)))

    def sorted(self) -> "Events":
        """Return the events by time."""
        return self.part(np.argsort(self.ts, kind="stable"))

    @staticmethod
    def join(parts: list["Events"]) -> "Events":
        """Return all events of the parts."""
        return Events(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Events)))

    @staticmethod
    def bare(kind: int, user: Array, pin: Array, board: Array, ts: Array) -> "Events":
        """Return events without a page request."""
        n = len(user)
        none = np.full(n, NONE, np.int64)
        nothing = np.zeros(n, np.int64)
        no_chance = np.full(n, np.nan)
        return Events(np.full(n, kind), user, pin, board, none, nothing, nothing.astype(np.uint64), no_chance, ts)

    @staticmethod
    def empty() -> "Events":
        """Return no events."""
        none = np.zeros(0, np.int64)
        return Events.bare(SAVE, none, none, none, none)


@dataclass(frozen=True)
class Searches:
    """Searches of topic searches."""

    user: Array
    topic: Array
    ts: Array
    number: Array

    @staticmethod
    def join(parts: list["Searches"]) -> "Searches":
        """Return all searches of the parts."""
        return Searches(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Searches)))


def _number(values: Array, good: Array) -> Any:
    """Return numbers as JSON, `null` where not good."""
    return pc.fill_null(pa.array(values, mask=~good).cast(pa.string()), "null")


def _word(words: tuple[str, ...], places: Array) -> Any:
    return pick((*(f'"{w}"' for w in words), "null"), np.where(places < 0, len(words), places))


def event_lines(events: Events, first: int, salt: int, arms: tuple[str, ...], arm: Array) -> Any:
    """Return one JSON message per event; `first` is the number of the first one, `arm` is each user's arm."""
    number = np.arange(first, first + len(events))
    asked = events.request != 0
    request = pc.if_else(pa.array(asked), join('"', hexed(events.request), '"'), "null")
    return join(
        '{"event_id":"', hexed(mix(number, salt)),
        '","kind":', _word(KINDS, events.kind),
        ',"user_id":', string(events.user.astype(np.int64) + 1),
        ',"pin_id":', string(events.pin.astype(np.int64) + 1),
        ',"board_id":', _number(events.board.astype(np.int64) + 1, events.board >= 0),
        ',"surface":', _word(SURFACES, events.surface),
        ',"position":', _number(events.position.astype(np.int64), asked),
        ',"request_id":', request,
        ',"generation":null,"arm":', _word(arms, arm[events.user]),
        ',"propensity":', _number(np.round(events.propensity, 9), asked),
        ',"ts":', string(events.ts.astype(np.int64)),
        "}\n",
    )  # fmt: skip


def search_lines(searches: Searches) -> Any:
    """Return one JSON message per search: the topic's name, with a word added at times."""
    more = mix(searches.number, 5) % np.uint64(3 * len(NOUNS))
    tail = pick((*(f" {n}" for n in NOUNS), ""), np.minimum(more, len(NOUNS)).astype(np.int64))
    return join(
        '{"event_id":"', hexed(searches.number),
        '","user_id":', string(searches.user.astype(np.int64) + 1),
        ',"query":"', pick(TOPIC_NAMES, searches.topic), tail,
        '","ts":', string(searches.ts.astype(np.int64)),
        "}\n",
    )  # fmt: skip


def embedding_lines(pin: Array, vectors: Array, ts: Array, model: str) -> Any:
    """Return one JSON message per pin; `vectors` (n, dim) are sent as base64 of little-endian float16."""
    half = vectors.astype("<f2")
    return join(
        '{"pin_id":', string(pin.astype(np.int64) + 1),
        f',"model":"{model}","dim":{vectors.shape[1]},"embedding":"', base64_rows(half.view(np.uint8)),
        '","ts":', string(ts.astype(np.int64)),
        "}\n",
    )  # fmt: skip
