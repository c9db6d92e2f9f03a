"""Ground truth of the simulation, hidden from every job; tests compare results with it.

Written to `truth/`, next to the source folders: users, pins, boards, blocks, duplicates (Parquet), summary.json.
Ids are those of the source tables; times are ms since 1970, null if it never happens.
"""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.simulator.clock import Clock
from jobs.simulator.entities import Entities
from jobs.simulator.names import CATEGORIES, PRIVACY, TOPIC_CATEGORY, TOPIC_NAMES
from jobs.simulator.people import TASTES
from jobs.simulator.pins import BURST_DAYS
from jobs.simulator.rng import DAY, NEVER, Array
from jobs.simulator.text import pick


def write_truth(folder: Path, entities: Entities, when: Clock, summary: dict[str, Any]) -> None:
    """Write all truth files; `summary` is added to summary.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "users": _users(entities, when),
        "pins": _pins(entities, when),
        "boards": _boards(entities, when),
        "blocks": _blocks(entities, when),
        "duplicates": _duplicates(entities),
    }
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    burst = entities.pins.burst
    head = {
        "burst_topic": TOPIC_NAMES[burst],
        "burst_category": CATEGORIES[TOPIC_CATEGORY[burst]],
        "burst_from_ms": when.end - BURST_DAYS * DAY,
        "bots": (np.flatnonzero(entities.people.bot) + 1).tolist(),
    }
    (folder / "summary.json").write_bytes(orjson.dumps(head | summary, option=orjson.OPT_INDENT_2) + b"\n")


def _times(ms: Array) -> Any:
    return pa.array(ms.astype(np.int64), mask=ms >= NEVER)


def _ids(place: Array) -> Any:
    return pa.array(place.astype(np.int64) + 1, mask=place < 0)


def _lists(values: Array) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _users(entities: Entities, when: Clock) -> Any:
    people = entities.people
    topics = pick((*TOPIC_NAMES, ""), np.where(people.tastes < 0, len(TOPIC_NAMES), people.tastes).ravel())
    return pa.table(
        {
            "user_id": _ids(np.arange(people.count)),
            "tastes": pa.FixedSizeListArray.from_arrays(topics, TASTES),
            "weights": _lists(people.weights),
            "aspects": _lists(people.aspects),
            "activity": people.activity,
            "bot": people.bot,
            "new": people.created >= when.end - 7 * DAY,
            "gone_at": _times(people.gone_at()),
        }
    )


def _pins(entities: Entities, when: Clock) -> Any:
    pins = entities.pins
    at_end = entities.boards.privacy_at(pins.board, when.end - 1)
    return pa.table(
        {
            "pin_id": _ids(np.arange(pins.count)),
            "creator_id": _ids(pins.creator),
            "board_id": _ids(pins.board),
            "topic": pick(TOPIC_NAMES, pins.topic),
            "aspects": _lists(pins.aspects),
            "quality": pins.quality,
            "fame": pins.fame,
            "visibility": pick(PRIVACY, at_end),
            "deleted_at": _times(pins.deleted_at),
            "servable": (at_end == 0) & (pins.deleted_at >= when.end),
        }
    )


def _boards(entities: Entities, when: Clock) -> Any:
    boards = entities.boards
    place = np.arange(boards.count)
    members = boards.collaborators
    kept = members >= 0
    marks = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32)
    return pa.table(
        {
            "board_id": _ids(place),
            "owner_id": _ids(boards.owner),
            "privacy_first": pick(PRIVACY, boards.privacy),
            "privacy": pick(PRIVACY, boards.privacy_at(place, when.end - 1)),
            "secret_at": _times(boards.secret_at),
            "collaborators": pa.ListArray.from_arrays(pa.array(marks), pa.array(members[kept].astype(np.int64) + 1)),
        }
    )


def _blocks(entities: Entities, when: Clock) -> Any:
    at_end = entities.blocks.active(when.end - 1)
    return pa.table({"user_id": _ids(entities.blocks.who[at_end]), "blocked_id": _ids(entities.blocks.whom[at_end])})


def _duplicates(entities: Entities) -> Any:
    pins = entities.pins
    copies = np.flatnonzero(pins.original >= 0)
    columns = {
        "pin_id": _ids(copies),
        "original_id": _ids(pins.original[copies]),
        "same_image": pins.same_image[copies],
    }
    return pa.table(columns)
