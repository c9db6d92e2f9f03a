"""Posters made here go the way of the benchmark: the jobs' own functions, from files to related items."""

import gzip
from datetime import UTC, datetime

import pytest

from jobs.benchmarks.posters.dataset import given
from jobs.benchmarks.posters.page import write_page
from jobs.benchmarks.posters.pipeline import through
from jobs.engine.context import ActionContext, Context
from jobs.settings import Settings
from tests.posters import KINDS, drawn, jpeg, packed

pytestmark = [pytest.mark.spark, pytest.mark.long]


def nothing(*_):
    """Stand in for progress and checks."""


@pytest.fixture
def data(tmp_path):
    """Nine posters, one of them under a second film, one that is cut short; three people who rated one of each kind."""
    files = {f"{number}.jpg": jpeg(drawn(kind, number)) for number, kind in KINDS.items()}
    (tmp_path / "posters").mkdir()
    packed(tmp_path / "posters/p.tar", files | {"20.jpg": files["1.jpg"], "21.jpg": files["2.jpg"][:300]})
    with gzip.open(tmp_path / "posters/item_index_to_movie_id.tsv.gz", "wt") as index:
        index.writelines(f"{film}\t{film}\n" for film in [*KINDS, 20, 21])
    with gzip.open(tmp_path / "posters/x.train.rating.gz", "wt") as rated:
        rated.writelines(f"{user}\t{film}\t1\t0\n" for user in range(3) for film in (1, 4, 7, 20))
    return given(tmp_path / "posters", tmp_path / "sources/images")


def test_posters_come_out_as_neighbours_groups_and_related_items(lake, data, tmp_path):
    context = Context(Settings(), datetime.now(UTC).date())
    work = ActionContext(lake.spark, lake, context, "run-1", nothing, nothing, nothing)
    made = through(work, data, tmp_path / "sources")
    assert (made.counts["embedded"], made.counts["quarantined"], made.counts["pins"]) == (9, 1, 10)
    assert made.cluster.keys() == {1, 20}, "one file under two films"
    assert {row["pin_id"] for row in made.features} == {*KINDS, 20}
    first = made.near.neighbours[made.near.offsets[0]]
    assert (made.near.ids[0], first) == (1, 20)
    beside = {row["related_pin_id"]: row for row in made.related[1]}
    assert 20 not in beside
    assert {film: row["co_saves"] for film, row in beside.items() if row["co_saves"]} == {4: 3, 7: 3}
    assert {row["reason"] for row in made.related[2]} == {"looks_alike"}
    figures = write_page(data, made, tmp_path / "sources/images", tmp_path / "page.html")
    assert figures["groups"] == 1
    assert 0 <= figures["rated_together"]["share"] <= 1
