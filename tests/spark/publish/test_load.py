"""Loading by executors and reading back, where a server does not keep what it was given."""

import re

import pytest
from pyspark.sql import functions as F

from jobs.common.errors import StoreError
from jobs.publish.load import content_of, load, verify
from jobs.serving.registry import open_store
from jobs.serving.stores import Access
from tests.feeds import serve
from tests.servers import memcached_nodes

pytestmark = pytest.mark.spark

KEYS, KIB = 8000, 4


@pytest.fixture(scope="module")
def pairs(spark):
    """Feeds whose values no node of a few MiB can hold, and which do not shrink."""
    value = F.encode(F.repeat(F.sha2(F.col("id").cast("string"), 256), KIB * 16), "utf-8")
    key = F.encode(F.concat(F.lit("hf:"), F.col("id").cast("string")), "utf-8")
    return spark.range(0, KEYS, 1, 2).select(key.alias("key"), value.alias("value")).persist()


@pytest.mark.parametrize("kind", ["memcached", "redis"])
def test_executors_load_servers_and_read_back_what_they_loaded(pairs, request, kind):
    store = open_store(kind, request.getfixturevalue(kind).emptied())
    few = pairs.limit(300).repartition(2).persist()
    content = content_of(few)
    load(store, "g1", few, content)
    verify(store, "g1", few, content)
    assert store.count("g1") == content.keys == 300
    with store.open("g1") as opened:
        assert opened.get(b"hf:7") == bytes(few.where("CAST(key AS STRING) = 'hf:7'").first()["value"])
    few.unpersist()


def test_what_nodes_evicted_is_counted_by_node_and_nothing_is_promoted(pairs):
    content = content_of(pairs)
    assert content.bytes == KEYS * KIB * 1024
    with memcached_nodes(3, megabytes=6) as nodes:  # 18 MiB for 31
        store = open_store("memcached", nodes.where, Access(timeout_seconds=10))
        serve(store, "g1", {1: [10, 11]})
        before = store.read_pointer()
        load(store, "g2", pairs, content)
        with pytest.raises(StoreError) as refused:
            verify(store, "g2", pairs, content)
        said = str(refused.value)
        assert re.search(rf"g2: \d+ of {KEYS} keys read back wrong or missing, such as hf:\d+", said)
        lost = dict(re.findall(r"(127\.0\.0\.1:\d+) has -m 6, evicted (\d+) values", said))
        counted = {node: int(number) for number, node in re.findall(r"(\d+) missing at (127\.0\.0\.1:\d+)", said)}
        assert set(lost) == set(counted) == set(nodes.where.split(","))
        assert sum(counted.values()) == int(re.search(r"g2: (\d+) of", said)[1])
        assert all(int(lost[node]) >= number > 0 for node, number in counted.items())
        assert "The values take 31.2 MiB." in said
        assert "start it with a larger -m" in said
        assert store.read_pointer() == before


def test_a_node_that_dies_before_the_reading_back_is_named(pairs):
    few = pairs.limit(300).persist()
    content = content_of(few)
    with memcached_nodes(3) as nodes:
        store = open_store("memcached", nodes.where)
        load(store, "g1", few, content)
        verify(store, "g1", few, content)
        nodes.processes[1].kill()
        nodes.processes[1].wait()
        gone = store.server.nodes[1]
        with pytest.raises(StoreError, match=rf"missing at {gone}\..* {gone} does not answer") as refused:
            verify(store, "g1", few, content)
        assert len(re.findall("missing at", str(refused.value))) == 1
    few.unpersist()
