"""What only servers can get into: nodes that die or forget, passwords, values too large."""

import json
import subprocess
import sys
import time

import pytest

from jobs.errors import ConfigError, StoreError
from jobs.publish.memcached import Memcached
from jobs.publish.reader import Reader
from jobs.publish.redis import Redis
from jobs.publish.stores import Access, open_store
from tests.feeds import fallback, feed, put
from tests.servers import free_port, memcached_nodes, redis_server

USERS = range(60)
FEEDS = [feed(user, [user, user + 1]) for user in USERS]


def test_a_node_that_dies_takes_its_own_keys_and_nothing_else():
    with memcached_nodes(3) as nodes:
        store = open_store("memcached", nodes.where)
        put(store, "g1", [*FEEDS, fallback([7])])
        prefix = store._directory()["sealed"]["g1"].encode()
        there = {user: store.server.node_of(prefix + b":hf:%d" % user) for user in USERS}
        general = store.server.node_of(prefix + b":fb:all")
        # any node but the one with the fallback, and once the one that leads to everything
        gone = next(node for node in store.server.nodes if node != general)
        nodes.processes[store.server.nodes.index(gone)].kill()
        nodes.processes[store.server.nodes.index(gone)].wait()
        reader, began = Reader(open_store("memcached", nodes.where)), time.monotonic()
        found = {user: reader.home_feed(user) for user in USERS}
        assert time.monotonic() - began < 3, "a dead node is asked once, not for every key"
        assert {user for user, one in found.items() if one.fallback} == {u for u in USERS if there[u] == gone}
        assert all(one.generation == "g1" for one in found.values())
        with pytest.raises(StoreError, match=rf"{gone} \(publish.nodes\)"):
            put(store, "g2", FEEDS, flip=False)


@pytest.mark.parametrize("name", [b"pointer", b"directory"])
def test_the_pointer_outlives_the_node_it_is_set_on(name):
    with memcached_nodes(3) as nodes:
        store = open_store("memcached", nodes.where)
        put(store, "g1", FEEDS)
        put(store, "g2", FEEDS)
        home = store.server.nodes.index(store.server.node_of(name))
        nodes.processes[home].kill()
        nodes.processes[home].wait()
        fresh = open_store("memcached", nodes.where)
        assert (fresh.read_pointer().current, fresh.generations()) == ("g2", ["g1", "g2"])


def test_a_node_that_comes_back_empty_is_told_the_newest_pointer():
    with memcached_nodes(2) as nodes:
        store = open_store("memcached", nodes.where)
        put(store, "g1", FEEDS)
        before = store.read_pointer()
        home = nodes.ports[store.server.nodes.index(store.server.node_of(b"pointer"))]
        store.server._clients[f"127.0.0.1:{home}"].flush_all()
        assert store.read_pointer() == before
        assert store.flip(before, "g1").epoch == before.epoch + 1


def test_a_value_that_a_node_forgot_is_noticed_when_read_back():
    with memcached_nodes(1) as nodes:
        store = open_store("memcached", nodes.where)
        store.begin("g1")
        store.gather("g1", [store.load("g1", sorted(FEEDS))])
        opened, lost = store.open("g1"), FEEDS[3][0]
        store.server.delete_many([store._directory()["loading"]["g1"].encode() + b":" + lost])
        assert opened.get(lost) is None
        assert opened.get_many([FEEDS[4][0], lost]) == [FEEDS[4][1], None]
        assert lost not in dict(opened.scan(b"hf:"))


def test_one_more_node_moves_its_share_of_the_keys_only():
    nodes = [f"10.0.0.{i}:11211" for i in range(1, 5)]
    keys = [b"g1.00000000:hf:%d" % i for i in range(4000)]
    three, four = Memcached(nodes[:3]), Memcached(nodes)
    moved = [key for key in keys if three.node_of(key) != four.node_of(key)]
    assert {four.node_of(key) for key in moved} == {nodes[3]}
    assert 0.2 < len(moved) / len(keys) < 0.3
    assert all(0.3 < sum(three.node_of(k) == node for k in keys) / len(keys) < 0.37 for node in nodes[:3])


def test_a_value_too_large_says_what_to_change():
    with memcached_nodes(1) as nodes, pytest.raises(StoreError, match="larger -I"):
        open_store("memcached", nodes.where).server.put_many([(b"big", b"x" * (1 << 20))])


@pytest.mark.parametrize("kind", ["memcached", "redis"])
def test_a_server_that_is_not_there_is_named(kind):
    where = f"127.0.0.1:{free_port()}"
    with pytest.raises(StoreError, match=where):
        open_store(kind, where).read_pointer()


@pytest.mark.parametrize(("kind", "where"), [("memcached", "localhost"), ("redis", "h:x"), ("redis", "a:1,b:2")])
def test_an_address_that_is_none_is_a_mistake_in_the_settings(kind, where):
    with pytest.raises(ConfigError, match=r"publish\.nodes"):
        open_store(kind, where)


def test_dropped_values_leave_after_the_grace(redis):
    store = open_store("redis", redis.emptied(), Access(grace_seconds=0.0))
    put(store, "g1", FEEDS)
    put(store, "g2", FEEDS)
    opened = store.open("g1")
    store.drop("g1")
    assert opened.get(FEEDS[0][0]) == FEEDS[0][1]
    assert len(store.sweep()) == 1
    assert opened.get(FEEDS[0][0]) is None
    left = [key for key in store.server._client.scan_iter() if b"g1." in key]
    assert left == []


def test_a_password_opens_redis_and_shows_nowhere(tmp_path):
    secret = "hunter2-planted"
    with redis_server(tmp_path, secret) as server:
        store = open_store("redis", server.where, Access(password=secret))
        put(store, "g1", FEEDS)
        shown = [repr(store.server), str(store.server), repr(Access(password=secret)), repr(store)]
        with pytest.raises(StoreError, match="PINLAKE_PUBLISH__PASSWORD") as refused:
            open_store("redis", server.where).read_pointer()
        with pytest.raises(StoreError) as wrong:
            Redis(server.where, "wrong-" + secret).record("pointer")
        shown += [str(refused.value), str(wrong.value)]
        env = {"PINLAKE_PUBLISH__PASSWORD": secret, "PINLAKE_PUBLISH__STORE": "redis", "PATH": "/usr/bin:/bin"}
        env["PINLAKE_PUBLISH__NODES"] = json.dumps([server.where])
        for command in (["generations", "--json"], ["config"], ["config", "--json"], ["config", "publish.password"]):
            line = [sys.executable, "-m", "jobs.cli", *command]
            done = subprocess.run(line, env=env, capture_output=True, text=True, check=True)
            shown += [done.stdout, done.stderr]
        assert '"g1"' in shown[6]
    assert not [text for text in shown if secret in text]
