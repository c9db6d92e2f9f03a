"""Hand-made pins, boards and people for the tests of related pins, several cases in one set of tables."""

from collections import Counter

from jobs.engine.context import Context
from tests.builders import build


def context(ctx, **changes):
    """Return the context with settings of `related` changed; `k` is one of `neighbours`."""
    settings = ctx.settings
    neighbours = settings.neighbours.model_copy(update={"k": changes.pop("k", settings.neighbours.k)})
    related = settings.related.model_copy(update=changes)
    return Context(settings.model_copy(update={"neighbours": neighbours, "related": related}), ctx.as_of)


def boards_of(boards, at=0):
    """`boards`: id -> (owner, privacy, pins, newest first); return rows of boards and of their pins."""
    rows = [{"id": at + b, "owner_id": at + owner, "privacy": privacy} for b, (owner, privacy, _) in boards.items()]
    saves = [
        {"board_id": at + b, "pin_id": at + pin, "user_id": at + owner, "saved_at": float(place + 1)}
        for b, (owner, _, pins) in boards.items()
        for place, pin in enumerate(pins)
    ]
    return rows, saves


def case(at, pins, near=(), boards=None, events=(), links=(), clusters=None, factors=None):
    """Return the rows of each table, ids from `at` on.

    `pins`: id -> columns of pin_stats, `image` for the pin whose image it shows; `near`: (pin, neighbour, cosine),
    nearest first; `links`: (pin, link); `clusters`: pin -> cluster of its image; `factors`: pin -> its factor.
    """
    stats = []
    for pin, facts in pins.items():
        own = {"pin_id": at + pin, "creator_id": at + facts.get("owner", pin)}
        own["image_signature"] = f"s{at + facts.get('image', pin)}"
        category = facts.get("category", "garden")
        own["category"] = category and f"{category}{at}"
        stats.append({k: v for k, v in facts.items() if k not in {"owner", "image"}} | own)
    ranks: Counter[int] = Counter()
    rows = []
    for a, b, score in near:
        ranks[a] += 1
        rows.append({"pin_id": at + a, "neighbour_id": at + b, "score": score, "rank": ranks[a]})
    app_boards, board_pins = boards_of(boards or {}, at)
    return {
        "gold.pin_stats": stats,
        "gold.pin_neighbours": rows,
        "gold.image_clusters": [
            {"image_signature": f"s{at + pin}", "image_id": at + pin, "cluster_id": at + c}
            for pin, c in (clusters or {}).items()
        ],
        "silver.app_boards": app_boards,
        "silver.app_board_pins": board_pins,
        "silver.pin_events": [e | {"user_id": at + e["user_id"], "pin_id": at + e["pin_id"]} for e in events],
        "silver.app_pins": [{"id": at + pin, "link": link} for pin, link in links],
        "gold.cf_factors": [{"kind": "pin", "id": at + p, "factor": f} for p, f in (factors or {}).items()],
    }


def tables(spark, *cases):
    return {name: build(spark, name, [row for one in cases for row in one[name]]) for name in cases[0]}


def opened(user, minutes, pin, kind="closeup"):
    """An event so many minutes after the first of the last day."""
    return {
        "event_id": f"{user}-{minutes}-{pin}",
        "user_id": user,
        "pin_id": pin,
        "kind": kind,
        "ts": 1 - minutes / 1440,
    }
