"""The source database over time: rows of each table as they were at any instant, and the changes in between.

A row is a function of its place and an instant, so that snapshot and change feed are cut from one truth without keeping
versions. A table's changes are few times per row: made, changed, deleted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.simulator.clock import Clock
from jobs.simulator.entities import Entities, Links
from jobs.simulator.names import (
    ADJECTIVES,
    CATEGORIES,
    COLOR_NAMES,
    COUNTRIES,
    FIRST,
    NOUNS,
    ODD_TITLES,
    PRIVACY,
    STATUS,
    STYLES,
    TOPIC_CATEGORY,
    TOPIC_NAMES,
)
from jobs.simulator.rng import NEVER, Array, mix
from jobs.simulator.saves import Saves
from jobs.simulator.schema import (
    BLOCKS,
    BOARD_FOLLOWS,
    BOARD_PINS,
    BOARDS,
    PINS,
    USER_FOLLOWS,
    USERS,
    SqlColumn,
    SqlTable,
)
from jobs.simulator.text import hexed, join, pick, string
from jobs.simulator.ticdc import DELETE, INSERT, UPDATE

Rows = Callable[[Array, Array], Any]
"""(places, instants) -> Arrow table: the rows as they were right after what happened at those instants."""


@dataclass(frozen=True)
class Ddl:
    """A change of a table's definition."""

    at: int
    query: str
    action: int
    """TiDB's code of the kind of DDL."""
    table: SqlTable
    """The table from then on."""


@dataclass(frozen=True)
class Change:
    """One kind of change: the operation, and when it happens to each row (NEVER: not at all)."""

    op: int
    at: Array


@dataclass(frozen=True)
class Source:
    """One source table over time."""

    table: SqlTable
    rows: Rows
    changes: tuple[Change, ...]
    ddl: tuple[Ddl, ...] = ()

    def alive(self, at: int) -> Array:
        """Return the places of the rows that exist at the instant."""
        newest = np.full(len(self.changes[0].at), -1, np.int64)
        there = np.zeros(len(newest), bool)
        for change in self.changes:
            later = (change.at <= at) & (change.at >= newest)
            newest = np.where(later, change.at, newest)
            there = np.where(later, change.op != DELETE, there)
        return np.flatnonzero(there)

    def between(self, after: int, last: int) -> tuple[Array, Array, Array]:
        """Return operation, place and instant of the changes with after <= instant < last, by time."""
        found = [(c.op, np.flatnonzero((c.at >= after) & (c.at < last)), c.at) for c in self.changes]
        op = np.concatenate([np.full(len(place), kind) for kind, place, _ in found])
        place = np.concatenate([place for _, place, _ in found])
        at = np.concatenate([when[place] for _, place, when in found])
        order = np.lexsort((place, op, at))
        return op[order], place[order], at[order]


def sources(entities: Entities, saves: Saves, when: Clock) -> tuple[Source, ...]:
    """Return all source tables of a simulation."""
    return (
        _users(entities, when),
        _boards(entities, when),
        _pins(entities, when),
        *_board_pins(saves),
        _links(BOARD_FOLLOWS, entities.board_follows),
        _links(USER_FOLLOWS, entities.user_follows),
        _links(BLOCKS, entities.blocks),
    )


def _id(place: Array) -> Any:
    return pa.array(place.astype(np.int64) + 1)


def time_column(ms: Array) -> Any:
    """Return instants as an Arrow timestamp column."""
    return pa.array(ms.astype("datetime64[ms]"))


def _users(entities: Entities, when: Clock) -> Source:
    people = entities.people

    def rows(place: Array, at: Array) -> Any:
        number = string(place + 1)
        word = (mix(place, 3) % np.uint64(len(FIRST))).astype(np.int64)
        tail = pick(("", "_new"), people.renamed_at[place] <= at)
        status = np.where(people.deactivated_at[place] <= at, 2, np.where(people.suspended_at[place] <= at, 1, 0))
        names = ["id", "username", "email", "country", "status", "created_at"]
        columns = [
            _id(place),
            join(pick(FIRST, word), "_", number, tail),
            join("u", number, "@example.org"),
            pick(COUNTRIES, people.country[place]),
            pick(STATUS, status),
            time_column(people.created[place]),
        ]
        return pa.Table.from_arrays(columns, names)

    updates = (people.renamed_at, people.suspended_at, people.deactivated_at)
    changes = (Change(INSERT, people.created), *(Change(UPDATE, at) for at in updates))
    index = Ddl(when.stream(0.6), "CREATE INDEX `ix_country` ON `app`.`users` (`country`)", 7, USERS)
    return Source(USERS, rows, changes, (index,))


def _boards(entities: Entities, when: Clock) -> Source:
    boards, ddl = entities.boards, when.stream(0.7)

    def rows(place: Array, at: Array) -> Any:
        topic = pick(TOPIC_NAMES, boards.topic[place])
        noun = pick(NOUNS, (mix(place, 4) % np.uint64(len(NOUNS))).astype(np.int64))
        renamed = boards.renamed_at[place] <= at
        told = (boards.created[place] >= ddl) | (renamed & (boards.renamed_at[place] >= ddl))
        both = boards.collaborators[place].astype(np.int64) + 1
        inner = pick(("", ", "), both[:, 1] > 0)
        one = pc.if_else(pa.array(both[:, 0] > 0), string(both[:, 0]), "")
        two = pc.if_else(pa.array(both[:, 1] > 0), string(both[:, 1]), "")
        columns = {
            "id": _id(place),
            "owner_id": _id(boards.owner[place]),
            "name": join(pick(("", "my "), renamed), topic, " ", noun),
            "privacy": pick(PRIVACY, boards.privacy_at(place, at)),
            "category": pick(CATEGORIES, np.asarray(TOPIC_CATEGORY)[boards.topic[place]]),
            "collaborators": join("[", one, inner, two, "]"),
            "created_at": time_column(boards.created[place]),
            "description": pc.if_else(pa.array(told), join("all about ", topic), None),
        }
        return pa.table(columns)

    changes = (Change(INSERT, boards.created), Change(UPDATE, boards.secret_at), Change(UPDATE, boards.renamed_at))
    query = "ALTER TABLE `app`.`boards` ADD COLUMN `description` VARCHAR(500)"
    wider = BOARDS.plus(SqlColumn("description", "varchar", 500))
    return Source(BOARDS, rows, changes, (Ddl(ddl, query, 5, wider),))


def _pins(entities: Entities, when: Clock) -> Source:
    pins, ddl = entities.pins, when.stream(0.5)

    def rows(place: Array, at: Array) -> Any:
        media = np.where(pins.created[place] < ddl, 0, mix(place, 6) % np.uint64(12))
        high, low = pins.signature(place)
        columns = {
            "id": _id(place),
            "creator_id": _id(pins.creator[place]),
            "board_id": _id(pins.board[place]),
            "image_signature": join(hexed(high), hexed(low)),
            "title": _titles(entities, place, pins.retitled_at[place] <= at),
            "link": join("https://example.org/", string(place + 1), "?from=<pin>&n=1"),
            "category": pick(CATEGORIES, pins.category[place]),
            "color": pick(COLOR_NAMES, pins.color[place]),
            "style": pick(STYLES, pins.style[place]),
            "created_at": time_column(pins.created[place]),
            "media_type": pick(("image", "video", "story"), np.maximum(media.astype(np.int64) - 9, 0)),
        }
        return pa.table(columns)

    changes = (Change(INSERT, pins.created), Change(UPDATE, pins.retitled_at), Change(DELETE, pins.deleted_at))
    query = "ALTER TABLE `app`.`pins` ADD COLUMN `media_type` VARCHAR(16) NOT NULL DEFAULT _UTF8MB4'image'"
    wider = PINS.plus(SqlColumn("media_type", "varchar", 16, nullable=False, default="image"))
    return Source(PINS, rows, changes, (Ddl(ddl, query, 5, wider),))


def _titles(entities: Entities, place: Array, retitled: Array) -> Any:
    first = (mix(place, 1) % np.uint64(len(ADJECTIVES))).astype(np.int64)
    last = (mix(place, 2) % np.uint64(len(NOUNS))).astype(np.int64)
    plain = join(pick(ADJECTIVES, first), " ", pick(TOPIC_NAMES, entities.pins.topic[place]), " ", pick(NOUNS, last))
    odd = pick(ODD_TITLES, place % len(ODD_TITLES))
    title = pc.if_else(pa.array(mix(place, 7) % np.uint64(80) == 0), odd, plain)
    return join(title, pick(("", ", revised"), retitled))


def _board_pins(saves: Saves) -> tuple[Source, ...]:
    """Return board_pins in two parts: saves on their first board, and after the move to another one.

    A move changes the key, so the row is deleted here and inserted there by one transaction.
    """
    moved = np.flatnonzero(saves.moved_at < NEVER)
    gone = np.minimum(saves.undone_at, saves.moved_at)

    def part(board: Array, some: Array | slice, since: Array, until: Array) -> Source:
        pin, user, at = saves.pin[some], saves.user[some], saves.at[some]

        def rows(place: Array, _: Array) -> Any:
            columns = [_id(board[place]), _id(pin[place]), _id(user[place]), time_column(at[place])]
            return pa.Table.from_arrays(columns, BOARD_PINS.names)

        return Source(BOARD_PINS, rows, (Change(INSERT, since), Change(DELETE, until)))

    stays = np.full(len(moved), NEVER)
    return (
        part(saves.board, slice(None), saves.at, gone),
        part(saves.moved_to[moved], moved, saves.moved_at[moved], stays),
    )


def _links(table: SqlTable, links: Links) -> Source:
    def rows(place: Array, at: Array) -> Any:
        since = np.where(links.again_at[place] <= at, links.again_at[place], links.created[place])
        columns = [_id(links.who[place]), _id(links.whom[place]), time_column(since)]
        return pa.Table.from_arrays(columns, table.names)

    changes = (Change(INSERT, links.created), Change(DELETE, links.ended_at), Change(INSERT, links.again_at))
    return Source(table, rows, changes)
