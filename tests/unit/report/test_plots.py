"""Plots stand in the page alone: no address, no foreign color, no id that another plot has too."""

import re
from datetime import date, timedelta

import pytest

from jobs.report import plots
from jobs.report.funnel import Funnel, Stage
from jobs.report.quality import Estimate, Quality

DAY = date(2026, 11, 1)


def figure(value):
    return Estimate(value, value - 0.01, value + 0.01, 40)


def quality(paired=None, **models):
    figures = {(model, metric, 10): figure(v) for model, v in models.items() for metric in ("hr", "ndcg")}
    if paired:
        figures["home_feed_minus_popularity", "ndcg", 10] = paired
    past = tuple((DAY - timedelta(days=n), figure(0.3), figure(0.1)) for n in (2, 1, 0))
    return Quality(DAY, figures, past)


FUNNEL = Funnel(
    3,
    Stage(70, 50, 30),
    {"content": Stage(60, 40, 20), "a <b>& $x$ source": Stage(10, 10, 10)},
    {"length": 20, "owner_cap": 20},
    {"length": {"content": 20}, "owner_cap": {"content": 20}},
)


@pytest.fixture(scope="module")
def drawn():
    judged = quality(home_feed=0.3, popularity=0.1, content=0.2)
    return {
        "hr": plots.plot_models(judged, "hr", True),
        "ndcg": plots.plot_models(judged, "ndcg", False),
        "history": plots.plot_history(judged),
        "funnel": plots.plot_funnel(FUNNEL),
        "drops": plots.plot_drops(FUNNEL),
    }


def test_a_plot_names_the_pages_colors_and_nothing_outside_itself(drawn):
    for name, svg in drawn.items():
        assert svg.startswith("<svg"), name
        assert svg.endswith("</svg>"), name
        assert "http" not in svg, name
        assert "font-family" not in svg, name
        assert not re.findall(r"(?:fill|stroke): #", svg), f"{name}: a color that is wrong in the dark"
        asked = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
        assert asked == set(re.findall(r' id="([^"]+)"', svg)), name


def test_no_two_plots_share_an_id(drawn):
    ids = [one for svg in drawn.values() for one in set(re.findall(r' id="([^"]+)"', svg))]
    assert len(ids) == len(set(ids))


def test_figures_and_names_are_text(drawn):
    said = {name: re.findall(r"<text[^>]*>([^<]*)</text>", svg) for name, svg in drawn.items()}
    assert {"home feed", "popularity", "content", "30 %", "20 %", "10 %"} <= set(said["hr"])
    assert {"0.300", "0.200", "0.100"} <= set(said["ndcg"])
    assert {"30 Oct", "01 Nov"} <= set(said["history"])
    assert {"content", "60", "40", "20", "a &lt;b&gt;&amp; $x$ source"} <= set(said["funnel"])
    assert {"no place left in the feed", "too many of one creator"} <= set(said["drops"])


def test_a_plot_of_the_same_figures_is_the_same(drawn):
    assert plots.plot_drops(FUNNEL) == drawn["drops"]


@pytest.mark.parametrize(
    ("paired", "verdict"),
    [
        (Estimate(0.2, 0.1, 0.3, 9), "better"),
        (Estimate(-0.2, -0.3, -0.1, 9), "worse"),
        (Estimate(0.05, -0.1, 0.2, 9), "unclear"),
        (Estimate(0.1, 0.0, 0.2, 9), "unclear"),
        (None, "unclear"),
    ],
)
def test_better_and_worse_are_said_only_beyond_chance(paired, verdict):
    assert quality(paired, home_feed=0.3).verdict == verdict


def test_a_source_that_beats_the_feed_is_told_only_where_intervals_part():
    assert quality(home_feed=0.3, content=0.33, popularity=0.1).ahead == ("content", figure(0.33), figure(0.3))
    assert quality(home_feed=0.3, content=0.315, popularity=0.1).ahead is None
    assert quality(home_feed=0.3, content=0.2).ahead is None
