"""Settings that record what a run has read."""

import pickle

import pytest

from jobs.engine.recorded_settings import RecordedSettings, all_values, digest_of, setting_values
from jobs.settings import Settings


@pytest.fixture
def read():
    """Keys that have been read."""
    return set()


@pytest.fixture
def recorded(read):
    """The settings' defaults, recorded."""
    return RecordedSettings(Settings(), read)


def test_a_value_that_is_read_is_recorded_and_no_other_is(recorded, read):
    section = recorded.ranking
    assert read == set()
    assert section.horizon_days == Settings().ranking.horizon_days
    assert recorded.candidates.trending.per_user == Settings().candidates.trending.per_user
    assert read == {"ranking.horizon_days", "candidates.trending.per_user"}


@pytest.mark.parametrize(
    "take",
    [
        lambda section: pickle.loads(pickle.dumps(section)),  # noqa: S301 - our own bytes
        lambda section: section.model_copy(),
        lambda section: section.model_dump(),
        dict,
        lambda section: section == Settings().features,
        hash,
    ],
)
def test_whatever_takes_a_section_whole_records_all_of_it(recorded, read, take):
    take(recorded.features)
    assert read == {key for key in all_values(Settings()) if key.startswith("features.")}


def test_python_workers_get_the_plain_section(recorded):
    assert pickle.loads(pickle.dumps(recorded.features)) == Settings().features  # noqa: S301 - our own bytes
    assert type(pickle.loads(pickle.dumps(recorded.features))) is type(Settings().features)  # noqa: S301


def test_an_unknown_setting_is_an_error(recorded):
    with pytest.raises(AttributeError, match="colour"):
        _ = recorded.ranking.colour


def test_values_differ_where_a_setting_that_was_read_has_another_value_or_is_gone():
    keys = {"ranking.horizon_days", "ranking.feed_length"}
    settings = Settings()
    other = settings.model_copy(update={"ranking": settings.ranking.model_copy(update={"horizon_days": 3})})
    values = setting_values(settings, keys)
    assert list(values) == ["ranking.feed_length", "ranking.horizon_days"]
    assert setting_values(other, keys) == values | {"ranking.horizon_days": "3"}
    assert digest_of(values) != digest_of(setting_values(other, keys))
    assert setting_values(settings, {"ranking.gone", "gone.key"}) == {"gone.key": "absent", "ranking.gone": "absent"}


def test_all_values_leave_out_the_platform():
    values = all_values(Settings())
    assert "ranking.horizon_days" in values
    assert not [key for key in values if key.startswith("platform.")]
