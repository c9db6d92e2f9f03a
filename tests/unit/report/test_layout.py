"""The flow's image: lanes carry what jobs made to those that read it, and say nothing else."""

import pytest

from jobs.flow import FLOW, job_dependencies
from jobs.report.layout import lay_out
from jobs.schema.job import Job


def job(name, reads=(), writes=None):
    return Job(name, "Does.", "m:f", reads=reads, writes=writes)


def ways(places):
    """Return, for each job, the jobs whose lanes it is joined to, found by following the lines from the top."""
    carried, found = {}, {}
    for place in places:
        assert {line.lane for line in place.above} == set(carried), (
            f"{place.job.name}: a lane begins or ends in the air"
        )
        found[place.job.name] = {carried[line.lane] for line in place.into}
        carried = {line.lane: carried[line.lane] for line in place.through}
        assert place.goes_on <= (place.lane not in carried), f"{place.job.name}: two outputs on one lane"
        if place.goes_on:
            carried[place.lane] = place.job.name
        assert {line.lane for line in place.below} == set(carried)
    assert not carried, "every lane ends at the last that reads it"
    return found


def reach(edges, name):
    return set().union(*({one} | reach(edges, one) for one in edges[name]))


def test_following_the_lines_from_a_job_leads_to_all_it_reads_and_to_nothing_else():
    drawn, wanted = ways(lay_out(FLOW)), job_dependencies(FLOW)
    assert drawn.keys() == {one.name for one in FLOW}
    for name in drawn:
        assert reach(drawn, name) == reach(wanted, name), name
        assert drawn[name] <= wanted[name], name


def test_no_line_is_drawn_that_a_longer_way_replaces():
    drawn = ways(lay_out(FLOW))
    assert drawn["ranking.home_feed"] == {"ranking.ranked"}
    expected = {"features.interactions", "ingest.embeddings"}
    assert drawn["features.user_profile"] == expected, "not ingest.cdc: interactions reads it"
    assert drawn["ranking.evaluations"] == {"features.pin_stats"}, "the lists it judges are another cut's"


def test_each_stage_stands_in_one_piece_where_it_can():
    stages = [place.job.stage for place in lay_out(FLOW)]
    pieces = [s for n, s in enumerate(stages) if n == 0 or stages[n - 1] != s]
    assert pieces == [
        "ingest", "features", "neighbours", "image_dedup", "candidates", "ranking", "related", "publish",
    ]  # fmt: skip


def test_the_flow_keeps_its_order_where_stages_in_one_piece_would_turn_it_round():
    jobs = [
        job("a.one", writes="gold.pin_stats"),
        job("b.two", ("gold.pin_stats",), "gold.trending"),
        job("a.three", ("gold.trending",)),
    ]
    places = lay_out(jobs)
    assert [place.job.name for place in places] == ["a.one", "b.two", "a.three"]
    assert ways(places) == {"a.one": set(), "b.two": {"a.one"}, "a.three": {"b.two"}}


@pytest.mark.parametrize("jobs", [(), FLOW[:1]])
def test_a_flow_of_nothing_or_one_job_is_drawn(jobs):
    assert [place.job for place in lay_out(jobs)] == list(jobs)
