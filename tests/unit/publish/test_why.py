"""What `pinlake why` answers, on tables of a few rows."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.cli.why import Question
from jobs.common.errors import TableError
from jobs.lake.query import Tables

DAY = date(2026, 11, 1)
USER, IDLE = 1, 2
# pin -> rule, place in the feed; best-scored first
RANKED = {
    10: (None, 1),
    11: ("duplicate_image", None),
    12: ("owner_cap", None),
    13: ("saved_image", None),
    14: ("blocked", None),
    15: (None, None),
}
SAVED, SECRET, HIDDEN, OWN, DELETED, FAR = 20, 21, 22, 23, 24, 25


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    root = tmp_path_factory.mktemp("lake")

    def write(name, rows):
        rows = [row | ({"as_of": DAY} if name.startswith("gold.") else {}) for row in rows]
        write_deltalake(str(root / name.replace(".", "/")), pa.Table.from_pylist(rows))

    at = datetime(2026, 9, 1, tzinfo=UTC)
    write("gold.user_profile", [{"user_id": u, "is_active": u == USER, "last_active": at} for u in (USER, IDLE)])
    ranked = [
        {"user_id": USER, "pin_id": pin, "score": 1.0 / place, "rule": rule, "position": position, "creator_id": 7,
         "reason": "save", "reason_id": 20}
        for place, (pin, (rule, position)) in enumerate(RANKED.items(), 1)
    ]  # fmt: skip
    write("gold.ranked", ranked)
    by = {"evidence_kind": "pin", "evidence_id": 20}
    write(
        "gold.candidates",
        [
            {"user_id": USER, "pin_id": pin, "source": "content", "rank": n, "score": 0.5, **by}
            for n, pin in enumerate(RANKED, 1)
        ]
        + [{"user_id": USER, "pin_id": 10, "source": "fresh", "rank": 3, "score": 0.1, **by}],
    )
    images = {10: "a", 11: "b", 12: "c", 13: "d", 14: None, 15: "o'e", SAVED: "d"}
    stats = [
        {"pin_id": pin, "image_signature": images.get(pin), "creator_id": USER if pin == OWN else 7,
         "visibility": "secret" if pin == SECRET else "public"}
        for pin in (*RANKED, SAVED, SECRET, HIDDEN, OWN, FAR)
    ]  # fmt: skip
    write("gold.pin_stats", stats)
    write("gold.image_clusters", [{"image_signature": name, "cluster_id": 5} for name in ("a", "b")])
    signals = [{"pin_id": SAVED, "saves": 1, "hides": 0}, {"pin_id": HIDDEN, "saves": 0, "hides": 1}]
    write("gold.interactions", [{"user_id": USER, "last_ts": at} | one for one in signals])
    write("silver.app_pins", [{"id": DELETED, "_deleted": True}])
    return Tables(str(root))


@pytest.mark.parametrize(
    ("pin", "outcome", "words", "others"),
    [
        (10, "shown", "place 1 of 6 candidates by score, place 1 in the feed, reason save 20", []),
        (11, "dropped", "rule duplicate_image: same image as a better pin (pin 10)", [10]),
        (12, "dropped", "rule owner_cap: too many of one creator (pin 10)", [10]),
        (13, "dropped", "rule saved_image: same image on a board already (pin 20)", [SAVED]),
        (14, "dropped", "rule blocked: user and creator block each other", []),
        (15, "beaten", "place 6 of 6 candidates by score. Not in the feed: its 1 places", []),
        (SAVED, "not_proposed", "the user has it on a board already", []),
        (SECRET, "not_proposed", "made on a secret board", []),
        (HIDDEN, "not_proposed", "the user hid or reported it", []),
        (OWN, "not_proposed", "the user made it", []),
        (DELETED, "not_proposed", "was deleted at the source", []),
        (FAR, "not_proposed", "not among the best of any source (content 6, fresh 1)", []),
        (99, "unknown_pin", "There is no such pin: 99", []),
    ],
)
def test_every_pin_has_an_answer_that_is_true(lake, pin, outcome, words, others):
    found = Question(lake, USER, pin, DAY, owner_cap=5).answer()
    assert (found.outcome, found.others) == (outcome, others)
    assert words in " ".join(found.sentences)


def test_the_place_in_each_source_is_told(lake):
    found = Question(lake, USER, 10, DAY, owner_cap=5).answer()
    assert [(row["source"], row["rank"], row["of"]) for row in found.candidates] == [("content", 1, 6), ("fresh", 3, 1)]


def test_users_and_days_that_are_not_there_are_told(lake):
    assert "There is no such user: 77" in Question(lake, 77, 10, DAY, 5).answer().sentences[0]
    idle = Question(lake, IDLE, 10, DAY, 5).answer()
    assert idle.outcome == "fallback"
    assert "no feed of their own" in idle.sentences[0]
    with pytest.raises(TableError, match="lacks partition 2026-11-02: there are 2026-11-01"):
        Question(lake, USER, 10, date(2026, 11, 2), 5).answer()


def test_a_lake_without_tables_says_what_to_run(tmp_path):
    with pytest.raises(TableError, match=r"none has been made yet.*pinlake flow"):
        Question(Tables(str(tmp_path)), USER, 10, DAY, 5).answer()
