"""A real Kafka broker for tests: one process in KRaft mode on free ports of loopback.

Its jars come by coordinates from the Maven repository and are kept in .pinlake/kafka.
"""

import json
import os
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from jobs.spark.jars import ivy_command, require_java
from tests.cluster import free_port
from tests.servers import TIED

JARS = Path(__file__).resolve().parents[1] / ".pinlake" / "kafka"
WANTED = (
    ("org.apache.kafka", "kafka_2.13", "4.3.1"),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),  # without it the broker logs nothing
)
# one broker of a few topics for a minute or two: what the second JIT compiler makes is never used
_JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{control}
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{control}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  user_reader="{password}";
log.dirs={folder}/data
auto.create.topics.enable=false
log.retention.ms=-1
log.message.timestamp.after.max.ms=9223372036854775807
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
"""
_LOGGING = """
Configuration:
  Appenders:
    Console: {name: out, PatternLayout: {pattern: "%p %m%n"}}
  Loggers:
    Root: {level: INFO, AppenderRef: {ref: out}}
"""


@dataclass
class Broker:
    """A broker that runs, and what tests do with it."""

    port: int
    sasl_port: int
    password: str
    """Of user `reader` on the SASL port."""

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.port}"

    def uri(self, *topics):
        return f"kafka://{self.where}/{','.join(topics)}"

    @cached_property
    def _admin(self):
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.where})

    def create(self, topic, partitions=1, **config):
        from confluent_kafka.admin import NewTopic

        config = {name.replace("_", "."): str(value) for name, value in config.items()}
        made = self._admin.create_topics([NewTopic(topic, partitions, 1, config=config)])
        made[topic].result(20)

    def create_when_gone(self, topic, partitions):
        """Create a topic that was just deleted, as soon as the broker has forgotten it."""
        from confluent_kafka import KafkaException

        for _ in range(50):
            try:
                return self.create(topic, partitions)
            except KafkaException:
                time.sleep(0.2)
        raise TimeoutError(f"{topic} was not forgotten")

    def delete(self, topic):
        self._admin.delete_topics([topic])[topic].result(20)

    def add_partitions(self, topic, count):
        from confluent_kafka.admin import NewPartitions

        self._admin.create_partitions([NewPartitions(topic, count)])[topic].result(20)

    def forget(self, topic, partition, before):
        """Delete the messages with offsets below `before`, as retention does."""
        from confluent_kafka import TopicPartition

        done = self._admin.delete_records([TopicPartition(topic, partition, before)])
        next(iter(done.values())).result(20)

    def send(self, topic, *messages):
        """Send messages, each a dict as Producer.produce takes it: value, key, partition, timestamp, headers."""
        from confluent_kafka import Producer

        failed = []
        producer = Producer({"bootstrap.servers": self.where, "linger.ms": 5})
        for message in messages:
            producer.produce(topic, on_delivery=lambda error, _: error and failed.append(error), **message)
        assert producer.flush(30) == 0
        assert not failed

    def send_in_transaction(self, topic, *messages, commit=True):
        """Send messages in a transaction that is committed, or aborted."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.where, "transactional.id": uuid.uuid4().hex})
        producer.init_transactions(30)
        producer.begin_transaction()
        for message in messages:
            producer.produce(topic, **message)
        producer.flush(30)
        (producer.commit_transaction if commit else producer.abort_transaction)(30)


def jars() -> Path:
    """Return the folder with the broker's jars, fetched once; skip where that is not possible, but not in CI."""
    if not all((JARS / f"{name}-{version}.jar").exists() for _, name, version in WANTED):
        JARS.mkdir(parents=True, exist_ok=True)
        for group, name, version in reversed(WANTED):  # the broker's own come last: they say that all are there
            # Ivy drops what is packaged as a bundle where it is asked for jars alone
            command = ivy_command(JARS / "ivy", (group, name, version), JARS, types=("jar", "bundle"))
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if not (JARS / f"{name}-{version}.jar").exists():
                _unable(f"{name} {version} could not be fetched from the Maven repository: {done.stdout[-200:]}")
    return JARS


def _unable(why: str) -> None:
    pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


@contextmanager
def kafka_broker(folder: Path):
    """Give a broker that holds nothing yet."""
    port, sasl, control = free_port(), free_port(), free_port()
    password = f"pw-{uuid.uuid4().hex}"
    properties, logging = folder / "server.properties", folder / "log4j2.yaml"
    properties.write_text(_PROPERTIES.format(port=port, sasl=sasl, control=control, folder=folder, password=password))
    logging.write_text(_LOGGING)
    java = [require_java(), *_JAVA, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{jars()}/*"]
    # what Kafka's own tool writes to a folder before a broker's first start: the tool is a JVM more
    (folder / "data").mkdir()
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    (folder / "data" / "meta.properties").write_text(f"version=1\nnode.id=1\ncluster.id={cluster}\n")
    with (folder / "broker.log").open("w") as log:
        command = [*TIED, *java, "kafka.Kafka", str(properties)]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(folder / "broker.log", process)
        yield Broker(port, sasl, password)
    finally:
        process.kill()
        process.wait(20)


def _wait(log: Path, process: subprocess.Popen, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while "Kafka Server started" not in log.read_text():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"the broker did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """A broker for all tests of a worker; each test has topics of its own."""
    pytest.importorskip("confluent_kafka", reason="needs confluent-kafka, which `make setup` installs")
    with kafka_broker(tmp_path_factory.mktemp("broker")) as one:
        yield one


def sent(number: int, **more):
    """Return a message of pin_events as `Broker.send` takes it."""
    ts = more.pop("ts", 1_791_331_721_136)  # 2026-10-07 UTC
    body = {"event_id": f"e{number}", "kind": "save", "user_id": number, "pin_id": 7, "ts": ts}
    return {"value": json.dumps(body | more.pop("body", {})).encode(), "key": f"u{number}".encode()} | more
