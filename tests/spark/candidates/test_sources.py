"""What single sources promise beyond the contract of all."""

from datetime import date

import pytest

from jobs.candidates.als import cf_factors
from jobs.candidates.content import content
from jobs.candidates.fresh import fresh
from jobs.candidates.trending import trending
from jobs.common.errors import ConfigError
from jobs.engine.context import Context
from jobs.settings import Settings
from tests.asserts import assert_columns
from tests.builders import build, interactions_of

pytestmark = pytest.mark.spark


def _context(source, **changed):
    candidates = Settings().candidates
    section = getattr(candidates, source).model_copy(update=changed)
    return Context(Settings(candidates=candidates.model_copy(update={source: section})), date(2026, 11, 1))


def _tables(spark, **rows):
    names = {name.replace("__", "."): given for name, given in rows.items()}
    return {name: build(spark, name, given) for name, given in {"gold.interactions": [], **names}.items()}


def test_a_training_set_too_large_for_one_node_is_refused_naming_the_setting(spark):
    tables = _tables(spark, gold__pin_stats=[{"pin_id": 1}, {"pin_id": 2}])
    tables["gold.interactions"] = build(spark, "gold.interactions", interactions_of({1: [1, 2], 2: [1]}))
    with pytest.raises(ConfigError, match=r"max_pairs = 2 .* found 3"):
        cf_factors(tables, _context("collaborative", max_pairs=2))


def test_training_sees_neither_hidden_nor_private_pins(spark):
    pairs = [
        *interactions_of({1: [1, 2, 3], 2: [1, 2]}),
        {"user_id": 3, "pin_id": 1, "hides": 1, "weight": 0.0},
        {"user_id": 4, "pin_id": 3, "saves": 1, "weight": 1.0},
    ]
    tables = {
        "gold.interactions": build(spark, "gold.interactions", pairs),
        "gold.pin_stats": build(
            spark, "gold.pin_stats", [{"pin_id": 1}, {"pin_id": 2}, {"pin_id": 3, "visibility": "protected"}]
        ),
    }
    df = cf_factors(tables, _context("collaborative", factors=4))
    assert_columns(df, "gold.cf_factors")
    rows = df.collect()
    assert sorted((row.kind, row.id) for row in rows) == [("pin", 1), ("pin", 2), ("user", 1), ("user", 2)]
    assert {len(row.factor) for row in rows} == {4 * 4}


def test_content_scores_by_the_best_seed_and_newer_seeds_count_more(spark):
    tables = _tables(
        spark,
        gold__user_profile=[{"user_id": 1, "recent_saves": [10, 11, 12]}],
        gold__pin_stats=[{"pin_id": pin} for pin in (10, 11, 12, 20, 21, 22)],
        gold__pin_neighbours=[
            {"pin_id": 10, "neighbour_id": 20, "rank": 1, "score": 0.5},
            {"pin_id": 11, "neighbour_id": 20, "rank": 1, "score": 0.8},
            {"pin_id": 11, "neighbour_id": 21, "rank": 2, "score": 0.6},
            {"pin_id": 11, "neighbour_id": 22, "rank": 3, "score": 0.6},  # beyond `neighbours`
            {"pin_id": 12, "neighbour_id": 22, "rank": 1, "score": 0.9},  # beyond `seeds`
        ],
    )
    rows = content(tables, _context("content", seeds=2, neighbours=2, recency=0.5)).orderBy("rank").collect()
    assert [(r.pin_id, round(r.score, 6), r.evidence_id) for r in rows] == [(20, 0.5, 10), (21, 0.3, 11)]


def test_shelves_are_handed_out_by_share_with_a_little_of_everything(spark):
    pins = [(category, base + n) for category, base in (("art", 100), ("food", 200), ("cars", 300)) for n in range(20)]
    tables = _tables(
        spark,
        gold__user_profile=[{"user_id": 1, "categories": {"art": 0.75, "food": 0.25}}],
        gold__pin_stats=[{"pin_id": pin, "category": category} for category, pin in pins],
        gold__trending=[{"category": category, "pin_id": pin, "score": float(pin)} for category, pin in pins],
    )
    rows = trending(tables, _context("trending", per_user=10, explore=0.2)).collect()
    of_pin = {pin: category for category, pin in pins}
    by_category = {c: sorted(r.pin_id for r in rows if of_pin[r.pin_id] == c) for c in ("art", "food", "cars")}
    assert by_category == {"art": list(range(114, 120)), "food": [218, 219], "cars": [318, 319]}
    assert {r.pin_id: r.evidence_kind for r in rows}[319] == "none"


def test_pins_without_a_category_have_a_shelf_of_their_own(spark):
    """For those who save such pins, and in the little of everything that all get."""
    tables = _tables(
        spark,
        gold__user_profile=[{"user_id": 1, "categories": {"": 0.5, "art": 0.5}}, {"user_id": 2, "categories": {}}],
        gold__pin_stats=[{"pin_id": pin, "category": None if pin < 10 else "art"} for pin in (*range(1, 6), 11, 12)],
        gold__trending=[
            *({"category": "", "pin_id": pin, "score": 50.0 + pin} for pin in range(1, 6)),
            *({"category": "art", "pin_id": pin, "score": float(pin)} for pin in (11, 12)),
        ],
    )
    rows = trending(tables, _context("trending", per_user=4, explore=0.0)).orderBy("rank").collect()
    assert [(r.pin_id, r.evidence_kind) for r in rows if r.user_id == 1] == [
        (5, "none"), (4, "none"), (12, "category"), (11, "category")
    ]  # fmt: skip
    assert [r.pin_id for r in rows if r.user_id == 2] == [5, 4, 3, 2]


def test_a_seen_pin_gives_its_place_on_the_shelf_to_the_next(spark):
    tables = _tables(
        spark,
        gold__user_profile=[{"user_id": 1, "categories": {"art": 1.0}}],
        gold__pin_stats=[{"pin_id": pin, "category": "art"} for pin in range(1, 8)],
        gold__trending=[{"category": "art", "pin_id": pin, "score": float(pin)} for pin in range(1, 8)],
    )
    tables["gold.interactions"] = build(spark, "gold.interactions", interactions_of({1: [7, 5]}))
    rows = trending(tables, _context("trending", per_user=3, explore=0.0)).orderBy("rank").collect()
    assert [r.pin_id for r in rows] == [6, 4, 3]


def test_new_pins_of_followed_creators_come_first_and_rate_beats_count(spark):
    tables = _tables(
        spark,
        gold__user_profile=[{"user_id": 1, "categories": {"art": 1.0}}],
        gold__pin_stats=[
            {"pin_id": 1, "category": "art", "age_days": 2, "save_rate": 0.2, "saves": 5},
            {"pin_id": 2, "category": "art", "age_days": 2, "save_rate": 0.1, "saves": 900},
            {"pin_id": 3, "category": "art", "age_days": 7, "save_rate": 0.9},  # not fresh any more
            {"pin_id": 4, "category": "cars", "age_days": 1, "save_rate": 0.01, "creator_id": 50, "created_at": 1},
            {"pin_id": 5, "category": "cars", "age_days": 2, "save_rate": 0.99, "creator_id": 50, "created_at": 2},
            {"pin_id": 6, "category": "cars", "age_days": 1, "save_rate": 0.9, "creator_id": 51},  # not followed
        ],
        silver__app_user_follows=[{"user_id": 1, "followee_id": 50}, {"user_id": 2, "followee_id": 51}],
    )
    rows = fresh(tables, _context("fresh", per_creator=1, explore=0.0)).orderBy("rank").collect()
    assert [(r.pin_id, r.evidence_kind, r.evidence_id) for r in rows] == [
        (4, "user", 50),  # the newest of the creator
        (1, "category", None),
        (2, "category", None),
    ]
