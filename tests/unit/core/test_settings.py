from pathlib import Path

import pytest

from jobs.config import Settings
from jobs.errors import ConfigError
from jobs.settings import fingerprint, flat, load, sentences

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def conf(tmp_path, monkeypatch):
    monkeypatch.delenv("PINLAKE_ENV", raising=False)
    (tmp_path / "conf" / "base").mkdir(parents=True)
    (tmp_path / "conf" / "local").mkdir()

    def write(file, text):
        (tmp_path / "conf" / file).write_text(text)
        return tmp_path / "conf"

    return write


def test_an_environment_wins_over_base_and_an_option_over_both(conf):
    conf("base/ranking.yaml", "feed_length: 10\nowner_cap: 2\n")
    folder = conf("local/ranking.yaml", "feed_length: 20\n")
    assert load(folder).settings.ranking.feed_length == 20
    loaded = load(folder, sets=["ranking.feed_length=30"])
    assert (loaded.settings.ranking.feed_length, loaded.settings.ranking.owner_cap) == (30, 2)
    assert loaded.origin == {"ranking.feed_length": "--set", "ranking.owner_cap": "conf/base/ranking.yaml"}


def test_a_variable_wins_over_files(conf, monkeypatch):
    folder = conf("base/ranking.yaml", "feed_length: 10\n")
    monkeypatch.setenv("PINLAKE_RANKING__FEED_LENGTH", "11")
    loaded = load(folder)
    assert loaded.settings.ranking.feed_length == 11
    assert loaded.origin["ranking.feed_length"] == "PINLAKE_RANKING__FEED_LENGTH"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("feed_lenght: 10\n", ["conf/base/ranking.yaml", "ranking.feed_lenght"]),
        ("feed_length: none\n", ["conf/base/ranking.yaml", "ranking.feed_length", "none"]),
        ("feed_length: 0\n", ["greater than or equal to 1", "0"]),
        ("feed_length: 1\nfeed_length: 2\n", ["key given twice", "feed_length"]),
        ("- a\n", ["keys and values"]),
    ],
)
def test_a_wrong_file_is_named_with_its_key_and_value(conf, text, words):
    with pytest.raises(ConfigError) as caught:
        load(conf("base/ranking.yaml", text))
    assert all(word in str(caught.value) for word in words), caught.value


def test_an_unknown_environment_lists_those_there_are(conf):
    with pytest.raises(ConfigError, match=r"'prod'.*local"):
        load(conf("base/ranking.yaml", ""), env="prod")


@pytest.mark.parametrize("password", ["12345", "[x", "pa: ss", "true"])
def test_a_secret_is_taken_as_it_stands_and_never_shown(conf, monkeypatch, password):
    folder = conf("base/publish.yaml", "password: ''\n")
    monkeypatch.setenv("PINLAKE_PUBLISH__PASSWORD", password)
    loaded = load(folder)
    assert loaded.settings.publish.password.get_secret_value() == password
    assert password not in repr(loaded)


def test_a_secret_in_a_file_or_an_option_is_refused(conf):
    folder = conf("base/publish.yaml", "password: hunter2-planted\n")
    for sets, where in (([], "conf/base/publish.yaml"), (["publish.password=hunter2-planted"], "--set")):
        with pytest.raises(ConfigError, match=f"^{where} gives publish.password.*PINLAKE_PUBLISH__PASSWORD") as told:
            load(folder, sets=sets)
        assert "hunter2" not in str(told.value)


def test_a_value_that_does_not_parse_is_named(conf, monkeypatch):
    folder = conf("base/publish.yaml", "keep: 2\n")
    monkeypatch.setenv("PINLAKE_PUBLISH__KEEP", "[x")
    with pytest.raises(ConfigError, match=r"PINLAKE_PUBLISH__KEEP: the value of publish[.]keep is not valid YAML"):
        load(folder)


def test_maps_of_data_are_replaced_whole(conf):
    folder = conf("base/ranking.yaml", "arms: {a: 0.5, b: 0.5}\narm_settings: {}\n")
    conf("local/ranking.yaml", "arms: {c: 1.0}\n")
    assert load(folder).settings.ranking.arms == {"c": 1.0}


def test_every_setting_has_a_sentence_and_a_line_in_base():
    loaded = load(ROOT / "conf", env="local")
    assert not [key for key, text in sentences(loaded.settings).items() if not text]
    missing = [key for key in flat(loaded.settings) if loaded.where(key) == "default"]
    assert not missing, f"add to conf/base: {missing}"


def test_base_says_what_the_models_default():
    loaded = load(ROOT / "conf", env="local")
    given, default = flat(loaded.settings), flat(Settings())
    differ = {key for key in given if given[key] != default[key]}
    assert {loaded.where(key) for key in differ} <= {"conf/local/platform.yaml"}, differ


def test_settings_survive_a_round_trip():
    settings = Settings()
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_a_fingerprint_follows_its_sections_only():
    one = Settings()
    two = one.model_copy(update={"ranking": one.ranking.model_copy(update={"feed_length": 7})})
    assert fingerprint(one, ["features"]) == fingerprint(two, ["features"])
    assert fingerprint(one, ["ranking"]) != fingerprint(two, ["ranking"])
