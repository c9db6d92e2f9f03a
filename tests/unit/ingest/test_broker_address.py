"""How brokers are named, and what properties their clients get."""

import json

import pytest

from jobs.common.errors import ConfigError, MissingDependencyError, SourceError
from jobs.common.redaction import redacted
from jobs.ingest.kafka.archive.gaps import Gap
from jobs.ingest.kafka.broker.address import Address, addresses
from jobs.ingest.kafka.broker.cluster import Topic
from jobs.ingest.kafka.broker.lost_offsets import Reached, refuse_lost
from jobs.ingest.kafka.broker.properties import consumer_properties
from jobs.settings.ingest import Brokers
from jobs.spark import jars


def test_brokers_and_topics_are_named_by_a_uri():
    found = addresses(["s3://archive/topics", "kafka://k1:9092,[::1]:9093/a.b,c_d,a.b"])
    assert found == [Address("k1:9092,[::1]:9093", ("a.b", "c_d"))]


@pytest.mark.parametrize("rest", ["k1/a", "k1:9092", "k1:9092/", "k1:9092/a,", "/a", "k1:9092/a*", "k1:9092/a/b"])
def test_another_form_is_refused_with_the_form_wanted(rest):
    with pytest.raises(SourceError, match=r"kafka://HOST:PORT") as said:
        addresses([f"kafka://{rest}"])
    assert rest in str(said.value)


@pytest.mark.parametrize("rest", ["u:secret@k1:9092/a", "k1:9092/a?sasl=b"])
def test_a_uri_carries_no_credentials_and_no_options(rest):
    with pytest.raises(SourceError, match="must not carry credentials"):
        addresses([f"kafka://{rest}"])


def test_secret_properties_come_from_the_environment_alone_and_are_covered():
    jaas = 'x.PlainLoginModule required username="reader" password="pw-from-the-environment";'
    settings = Brokers(properties={"sasl.mechanism": "PLAIN"}, secrets=json.dumps({"sasl.jaas.config": jaas}))
    given = consumer_properties(settings, "k1:9092")
    assert given["sasl.jaas.config"] == jaas
    assert (given["bootstrap.servers"], given["isolation.level"]) == ("k1:9092", "read_committed")
    assert redacted("it said pw-from-the-environment") == "it said ***"
    for name in ("sasl.jaas.config", "ssl.keystore.password"):
        with pytest.raises(ConfigError, match=r"PINLAKE_INGEST__BROKERS__SECRETS") as said:
            consumer_properties(Brokers(properties={name: "hidden-value"}), "k1:9092")
        assert "hidden-value" not in str(said.value)
    with pytest.raises(ConfigError, match="JSON object") as said:
        consumer_properties(Brokers(secrets="hidden-value"), "k1:9092")
    assert "hidden-value" not in str(said.value)
    with pytest.raises(ConfigError, match=r"group\.id cannot be set"):
        consumer_properties(Brokers(properties={"group.id": "mine"}), "k1:9092")


def test_what_brokers_have_no_more_is_named():
    topic = Topic("t", "cluster", "id", begins={0: 5, 1: 0, 2: 0}, ends={0: 9, 1: 4, 2: 7})
    at = Reached({0: 3, 1: 6, 2: 7})
    assert at.lost(topic) == [Gap("t", 0, 3, 4)]
    with pytest.raises(
        SourceError, match=r"partition 0: offsets 3 to 4 are missing; t, partition 1: read up to offset 5"
    ):
        refuse_lost(topic, at)
    refuse_lost(topic, Reached({0: 5, 1: 4}))


def test_a_connector_that_cannot_be_fetched_says_what_is_wanted_and_how_to_get_it(tmp_path, monkeypatch):
    def none(*_):
        raise MissingDependencyError("it could not be fetched.")

    monkeypatch.setattr(jars, "_fetch", none)
    with pytest.raises(MissingDependencyError) as said:
        jars.ensure_connector(tmp_path)
    for part in (str(tmp_path), "make connector", "org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.1", "kafka-clients"):
        assert part in str(said.value)
