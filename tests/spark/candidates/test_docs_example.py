import re
from datetime import date, datetime
from pathlib import Path

import pytest

from jobs.engine.context import Context
from jobs.settings import Settings
from tests.asserts import assert_columns, assert_no_cross_join
from tests.builders import build, interactions_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "candidate-source.md"


@pytest.mark.spark
def test_the_source_of_the_page_runs_as_it_stands_there(spark):
    code = re.search(r"```python\n(from pyspark.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - the page is ours
    pins = [{"pin_id": pin, "creator_id": 9, "visibility": "public", "age_days": float(pin)} for pin in (1, 2, 3, 30)]
    saved_at = datetime(2026, 10, 31)
    rows = {
        "gold.user_profile": [{"user_id": 1}, {"user_id": 9}, {"user_id": 3, "is_active": False}],
        "gold.pin_stats": pins,
        "gold.interactions": interactions_of({1: [3]}),
        "silver.app_board_follows": [{"user_id": user, "board_id": board} for user in (1, 3, 9) for board in (5, 6)],
        "silver.app_boards": [{"id": 5, "privacy": "public"}, {"id": 6, "privacy": "secret"}],
        "silver.app_board_pins": [
            {"board_id": board, "pin_id": pin, "user_id": 7, "saved_at": saved_at}
            for board, pin in ((5, 1), (5, 3), (5, 30), (6, 2))
        ],
    }
    tables = {name: build(spark, name, values) for name, values in rows.items()}
    proposals = names["followed_boards"](tables, Context(Settings(), date(2026, 11, 1)))
    assert_columns(proposals, "gold.candidates")
    assert_no_cross_join(proposals)
    # pin 2 is on a secret board, 3 is saved, 30 is old; user 9 made them all, user 3 is not active
    assert [(row.user_id, row.pin_id, row.rank) for row in proposals.collect()] == [(1, 1, 1)]
