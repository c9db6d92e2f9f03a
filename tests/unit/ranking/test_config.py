"""Settings of ranking that contradict each other are refused with the value and the way out."""

import pytest
from pydantic import ValidationError

from jobs.settings.ranking import Ranking


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"arms": {"control": 0.9, "diverse": 0.2}}, "sum to 1"),
        ({"arms": {"control": 1.5, "diverse": -0.5}}, "-0.5"),
        ({"arms": {}}, "sum to 1"),
        ({"arm_settings": {"nobody": {"mmr_lambda": 0.5}}}, "nobody"),
        ({"arm_settings": {"diverse": {"trees": 0.5}}}, "trees"),
        ({"arm_settings": {"diverse": {"mmr_lambda": 1.5}}}, "1.5"),
    ],
)
def test_arms_that_do_not_fit_are_refused(given, named):
    with pytest.raises(ValidationError, match=named):
        Ranking(**given)


def test_an_arm_may_have_no_share():
    assert Ranking(arms={"control": 1.0, "diverse": 0.0}).arms["diverse"] == 0.0
