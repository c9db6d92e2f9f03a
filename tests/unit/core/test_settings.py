from pathlib import Path

import pytest

from jobs.common.errors import ConfigError
from jobs.settings import Settings
from jobs.settings.defaults import base_file, settings_of
from jobs.settings.load import flat, load, sentences

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
    folder = conf("base/publish.yaml", "keep_generations: 2\n")
    monkeypatch.setenv("PINLAKE_PUBLISH__KEEP_GENERATIONS", "[x")
    with pytest.raises(
        ConfigError,
        match=r"PINLAKE_PUBLISH__KEEP_GENERATIONS: the value .*keep_generations is not valid YAML",
    ):
        load(folder)


def test_maps_of_data_are_replaced_whole(conf):
    folder = conf("base/ranking.yaml", "arms: {a: 0.5, b: 0.5}\narm_settings: {}\n")
    conf("local/ranking.yaml", "arms: {c: 1.0}\n")
    assert load(folder).settings.ranking.arms == {"c": 1.0}


def test_every_setting_has_a_sentence():
    assert not [key for key, text in sentences(Settings()).items() if not text]


def test_the_written_defaults_are_read_back_as_the_models_have_them(conf):
    for section in Settings.model_fields:
        folder = conf(f"base/{section}.yaml", base_file(section))
    loaded = load(folder)
    assert loaded.settings == Settings()
    assert {loaded.where(key).rpartition("/")[0] for key in flat(loaded.settings)} == {"conf/base"}


@pytest.mark.parametrize(
    ("key", "kind", "default"),
    [
        ("neighbours.k", "integer, ≥ 1, ≤ 1,000", "50"),
        ("neighbours.min_recall", "number, > 0, ≤ 1", "0.98"),
        ("publish.store", "one of rocksdb, memcached, redis", '"rocksdb"'),
        ("publish.password", "secret text", '""'),
        ("publish.nodes", "list of text", '["127.0.0.1:11211"]'),
        ("ingest.embeddings.size", "2 values: integer or null", ""),
        ("ingest.tables.NAME.mask", "map: text to one of hash, null", "{}"),
        ("simulator.end", "instant", '"2026-11-01T00:00:00Z"'),
    ],
)
def test_the_reference_shows_type_bounds_and_default(key, kind, default):
    setting = {setting.key: setting for setting in settings_of(key.partition(".")[0])}[key]
    assert (setting.kind, setting.default) == (kind, default)
    assert setting.sentence


def test_settings_survive_a_round_trip():
    settings = Settings()
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("validation.parameters.generation.min_coverge=0.9", ["has no parameter 'min_coverge'", "mean min_coverage?"]),
        ("validation.parameters.generatoin.min_coverage=0.9", ["no suite is called 'generatoin'", "mean generation?"]),
        ("validation.parameters={gold.home_fed: {min_rows: 9}}", ["no suite", "gold.home_feed"]),
        ("validation.parameters.generation.max_churn=80", ["share from 0 to 1", "80"]),
        ("validation.parameters.generation.max_churn=.nan", ["finite"]),
        ("ingest.tables.pin_evnts.exclude=true", ["ingest.tables.pin_evnts", "mean pin_events?"]),
        ("ingest.tables.app.users.exclde=true", ["ingest.tables.app.users.exclude?"]),
        ("ingest.topics.pin_evnts.type_field=kind", ["ingest.topics.pin_evnts", "mean pin_events?"]),
        ("ingest.topics.clicks.table=pin_evnts", ["ingest.topics.clicks.table", "mean pin_events?"]),
        ("platform.spark.conf.spark.hadop.fs.defaultFS=x", ["spark.hadop", "mean hadoop?"]),
        ("platform.spark.conf.spark.sql.shufle.partitions=9", ["mean spark.sql.shuffle.partitions?"]),
        ("platform.spark.conf.spark.executor.memmory=2g", ["mean spark.executor.memory?"]),
        ("platform.spark.conf.sprk.ui.port=1", ["begin with 'spark.'"]),
        ("ingest.brokers.properties.security.protocl=SSL", ["security.protocol?"]),
        ("ingest.timezone=Europ/Berlin", ["mean Europe/Berlin?"]),
        ("ingest.tables.app.users.timezone=UCT2", ["ingest.tables.app.users.timezone"]),
        ("platform.log_level=WARN", ["'WARNING'"]),
        ("ranking.arm_settings.divers.mmr_lambda=0.5", ["'divers'", "control, diverse"]),
        ("ranking.feed_lenght=3", ["Did you mean ranking.feed_length?"]),
        ("rankin.feed_length=3", ["Did you mean ranking?"]),
        ("ranking.fallback_length=3", ["Did you mean publish.fallback_length?"]),
        ("ranking.mmr_pool=10", ["ranking.mmr_pool = 10", "ranking.feed_length = 100"]),
        ("related.pool=10", ["related.pool = 10", "related.length = 30"]),
        ("ranking.feed_length=500", ["ranking.feed_length = 500"]),
        ("candidates.content.neighbours=90", ["neighbours.k = 50"]),
        ("features.trend_days=40", ["features.window_days = 28"]),
    ],
)
def test_a_name_or_a_pair_that_cannot_be_meant_is_refused(given, words):
    with pytest.raises(ConfigError) as caught:
        load(ROOT / "conf", env="local", sets=[given])
    assert all(word in str(caught.value) for word in ["--set", *words]), caught.value


@pytest.mark.parametrize(
    "name",
    [
        "spark.sql.session.timeZone",
        "spark.executor.memoryOverheadFactor",
        "spark.hadoop.fs.s3a.access.key",
        "spark.sql.catalog.other.type",
        "spark.kubernetes.driver.label.team",
        "spark.ui.port",
        "spark.plugins",
        "spark.comet.enabled",
        "spark.master",
    ],
)
def test_properties_of_spark_and_of_plugins_are_taken(name):
    loaded = load(ROOT / "conf", env="local", sets=[f"platform.spark.conf.{name}=x"])
    assert loaded.settings.platform.spark.conf[name] == "x"


def test_names_of_maps_may_have_dots_and_what_is_given_of_one_leaves_the_others(conf):
    folder = conf("base/ingest.yaml", "tables: {app.pins: {mask: {title: null}}}\n")
    given = ["ingest.tables.app.users.exclude=true", "platform.spark.conf.spark.ui.port=4041"]
    given += ["validation.parameters.gold.home_feed.min_rows=9", "ingest.tables.pin_events.quarantine.ratio=1"]
    settings = load(folder, sets=given).settings
    assert settings.ingest.tables["app.users"].exclude
    assert settings.ingest.tables["app.pins"].mask == {"title": "null"}
    assert settings.ingest.tables["pin_events"].quarantine.ratio == 1
    assert settings.platform.spark.conf == {"spark.ui.port": "4041"}
    assert settings.validation.parameters == {"gold.home_feed": {"min_rows": 9}}


@pytest.mark.parametrize(
    "text", ["2026-12-01", "007", "yes", "12:30", "1e3", "[x", "2026-12-01 10:00:00", "a: b", "a #b", "{x", "*"]
)
def test_a_text_is_taken_as_it_stands(conf, monkeypatch, text):
    folder = conf("base/ranking.yaml", "feed_length: 10\n")
    assert load(folder, sets=[f"ranking.arm_salt={text}"]).settings.ranking.arm_salt == text
    monkeypatch.setenv("PINLAKE_RANKING__ARM_SALT", text)
    assert load(folder).settings.ranking.arm_salt == text


def test_a_text_in_a_file_needs_no_quotes(conf):
    conf("base/ranking.yaml", "arm_salt: 2026-12-01\narms: {2026: 0.5, on: 0.5}\narm_settings: {}\n")
    folder = conf("base/ingest.yaml", "kafka: kafka/secor\ndump: {'null': 007}\n")
    settings = load(folder).settings
    assert settings.ranking.arm_salt == "2026-12-01"
    assert settings.ranking.arms == {"2026": 0.5, "on": 0.5}
    assert settings.ingest.kafka == ("kafka/secor",)
    assert settings.ingest.dump.null == "007"


def test_variables_of_kubernetes_are_no_settings(conf, monkeypatch):
    folder = conf("base/ranking.yaml", "feed_length: 10\n")
    for name in ("PORT", "SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT_80_TCP_ADDR", "PUBLISH_PORT", "HOME"):
        monkeypatch.setenv(f"PINLAKE_{name}", "tcp://10.0.0.1:80")
    assert load(folder).settings.ranking.feed_length == 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PINLAKE_PUBLISH_PASSWORD", "write PINLAKE_PUBLISH__PASSWORD"),
        ("PINLAKE_RANKIN__FEED_LENGTH", "Did you mean ranking"),
        ("PINLAKE_RANKING__FEED_LENGHT", "Did you mean ranking.feed_length"),
    ],
)
def test_a_variable_that_is_nearly_a_setting_is_a_mistake(conf, monkeypatch, name, words):
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=f"{name}.*{words}"):
        load(conf("base/ranking.yaml", "feed_length: 10\n"))
