"""What the brokers say of themselves: the cluster, its topics, where their partitions begin and end.

By Kafka's own AdminClient, which comes with the connector. Asked before Spark reads: Spark would try for ever to reach
a broker that is not there, and says of lost offsets only that data may have been lost.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # pyspark brings it
from pyspark.sql import SparkSession

from jobs.common.errors import SourceError
from jobs.spark.jars import ensure_connector


@dataclass(frozen=True)
class Topic:
    """A topic as it stands now."""

    name: str
    cluster: str
    """Kafka's own id of the cluster: addresses change, and another cluster may come to live at the same one."""
    id: str
    """Kafka's own id of the topic: one deleted and created again starts again at offset 0."""
    begins: Mapping[int, int]
    """Partition -> first offset that is still there."""
    ends: Mapping[int, int]
    """Partition -> the offset that the next message will have."""

    @property
    def path(self) -> str:
        """Return what stands for the topic in the lake's books."""
        return f"kafka://{self.cluster}/{self.name}"

    @property
    def stream(self) -> str:
        """Return the folder of the stream's checkpoint, below the lake's streams."""
        return f"{self.cluster}/{self.name}-{self.id}"


def load_connector(spark: SparkSession, work: Path) -> None:
    """Give the session, and the thread that asks, the Kafka connector.

    Raises:
        MissingDependencyError: its jars are not there and cannot be fetched.
    """
    for path in ensure_connector(work / "connector"):
        spark.sql(f"ADD JAR '{path.resolve()}'")


def topics(spark: SparkSession, properties: Mapping[str, str], names: tuple[str, ...], seconds: int) -> list[Topic]:
    """Return the topics named.

    Args:
        spark: a session that has the connector.
        properties: of the client.
        names: topics of one cluster.
        seconds: how long to wait for an answer.

    Raises:
        SourceError: the brokers do not answer or refuse, or a topic is not there.
    """
    with _asking(spark, properties, seconds) as (jvm, admin):
        cluster = str(admin.describeCluster().clusterId().get())
        wanted = jvm.java.util.ArrayList()
        for name in names:
            wanted.add(name)
        there = {str(name) for name in admin.listTopics().names().get()}
        missing = [name for name in names if name not in there]
        if missing:
            raise SourceError(
                f"{properties['bootstrap.servers']}: no topic {', '.join(missing)} on these brokers, or the account "
                "may not see it. Check the names, and the account's rights (Describe and Read)."
            )
        told = admin.describeTopics(wanted).allTopicNames().get()
        return [_topic(jvm, admin, cluster, name, told.get(name)) for name in names]


@contextmanager
def _asking(spark: SparkSession, properties: Mapping[str, str], seconds: int) -> Iterator[tuple[Any, Any]]:
    jvm: Any = spark._jvm
    given = jvm.java.util.Properties()
    # a consumer's own property means nothing to this client
    for name, value in properties.items():
        if name != "isolation.level":
            given.setProperty(name, value)
    for name in ("default.api.timeout.ms", "request.timeout.ms"):
        given.setProperty(name, str(seconds * 1000))
    try:
        admin = jvm.org.apache.kafka.clients.admin.AdminClient.create(given)
        try:
            yield jvm, admin
        finally:
            admin.close(jvm.java.time.Duration.ofSeconds(1))
    except Py4JJavaError as error:
        raise SourceError(
            f"Kafka brokers {properties['bootstrap.servers']}: {_cause(error.java_exception)}. Check that they run and "
            "can be reached from here, and the security settings: ingest.brokers.properties, and "
            "PINLAKE_INGEST__BROKERS__SECRETS in the environment."
        ) from error


def _topic(jvm: Any, admin: Any, cluster: str, name: str, told: Any) -> Topic:
    partitions = [int(one.partition()) for one in told.partitions()]
    kinds = jvm.org.apache.kafka.clients.admin.OffsetSpec
    begins = _offsets(jvm, admin, name, partitions, kinds.earliest())
    ends = _offsets(jvm, admin, name, partitions, kinds.latest())
    return Topic(name, cluster, str(told.topicId().toString()), begins, ends)


def _offsets(jvm: Any, admin: Any, name: str, partitions: list[int], spec: Any) -> dict[int, int]:
    asked, places = jvm.java.util.HashMap(), {}
    for number in partitions:
        places[number] = jvm.org.apache.kafka.common.TopicPartition(name, number)
        asked.put(places[number], spec)
    found = admin.listOffsets(asked).all().get()
    return {number: int(found.get(place).offset()) for number, place in places.items()}


def _cause(error: Any) -> str:
    """Return the innermost exception's class and sentence."""
    while error.getCause() is not None:
        error = error.getCause()
    return f"{error.getClass().getSimpleName()}: {error.getMessage()}".rstrip(".")
