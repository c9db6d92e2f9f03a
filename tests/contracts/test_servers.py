"""What only servers can get into: nodes that die or forget, passwords, values too large."""

import json
import os
import signal
import time
from hashlib import blake2b

import pytest

from jobs.common.errors import ConcurrentRunError, ConfigError, StoreError
from jobs.serving.memcached import Memcached
from jobs.serving.reader import Reader
from jobs.serving.redis import Redis
from jobs.serving.registry import open_store
from jobs.serving.stores import Access
from tests.feeds import fallback, feed, put, serve
from tests.servers import free_port, memcached_nodes, redis_server

USERS = range(60)
FEEDS = [feed(user, [user, user + 1]) for user in USERS]
PATIENCE = Access(timeout_seconds=0.5)


@pytest.fixture
def commands(pinlake, monkeypatch):
    """Return a function that runs command lines with PINLAKE_PUBLISH__ variables and returns all they said."""

    def run(*lines, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"PINLAKE_PUBLISH__{name}", value)
        return "".join(_told(pinlake(*line)) for line in lines)

    return run


def _told(said):
    return said.stdout + said.stderr + f"exit code {said.returncode}\n"


def ended(nodes, node, by=signal.SIGKILL):
    """End one of several nodes, or stop it or let it go on; all its threads have when this returns."""
    process = nodes.processes[nodes.where.split(",").index(node)]
    process.send_signal(by)
    if by == signal.SIGKILL:
        process.wait()
    else:
        reached = os.WSTOPPED if by == signal.SIGSTOP else os.WCONTINUED
        os.waitid(os.P_PID, process.pid, reached | os.WNOWAIT)


@pytest.mark.slow
@pytest.mark.parametrize("gone", [0, 1, 2])
@pytest.mark.parametrize(("by", "seconds"), [(signal.SIGKILL, 2.0), (signal.SIGSTOP, 2.5)])
def test_a_node_that_dies_or_hangs_takes_its_own_feeds_and_nothing_else(gone, by, seconds):
    with memcached_nodes(3) as nodes:
        store = open_store("memcached", nodes.where, PATIENCE)
        put(store, "g1", [*FEEDS, fallback([7])])
        node, prefix = store.server.nodes[gone], store._directory()["committed"]["g1"].encode()
        lost = {user for user in USERS if store.server.node_of(prefix + b":hf:%d" % user) == node}
        ended(nodes, node, by)
        reader, began = Reader(open_store("memcached", nodes.where, PATIENCE)), time.monotonic()
        found = {user: reader.home_feed(user) for user in USERS}
        took = time.monotonic() - began
        assert took < seconds, "such a node is asked once, not for every key"
        assert {user for user, one in found.items() if one.fallback} == lost
        assert {one.generation for one in found.values()} == {"g1"}
        with pytest.raises(StoreError, match=rf"{node} \(publish.nodes\)"):
            put(store, "g2", FEEDS, promote=False)
        # without it in the settings publishers go on, and what the others had is still read
        rest = [one for one in store.server.nodes if one != node]
        fewer = open_store("memcached", ",".join(rest))
        assert Reader(fewer).home_feed(next(iter(set(USERS) - lost))).generation == "g1"
        put(fewer, "g3", [*FEEDS, fallback([7])])
        assert not any(Reader(fewer).home_feed(user).fallback for user in USERS)


def test_a_node_that_hangs_is_asked_ever_more_seldom():
    with memcached_nodes(1) as nodes:
        store = open_store("memcached", nodes.where, Access(timeout_seconds=0.05))
        put(store, "g1", FEEDS)
        opened = store.open("g1")
        ended(nodes, nodes.where, signal.SIGSTOP)
        waits = []
        for _ in range(6):
            for node, (_, wait) in store.server._away.items():
                store.server._away[node] = (0.0, wait)  # the wait is over
            assert opened.get(FEEDS[0][0]) is None
            waits.append(store.server._away[nodes.where][1])
        assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 16.0]
        ended(nodes, nodes.where, signal.SIGCONT)
        store.server._away[nodes.where] = (0.0, 16.0)
        assert opened.get(FEEDS[0][0]) == FEEDS[0][1]
        assert store.server._away == {}


@pytest.mark.parametrize("name", [b"pointer", b"directory"])
def test_the_pointer_outlives_the_node_it_is_set_on(name):
    with memcached_nodes(3) as nodes:
        store = open_store("memcached", nodes.where)
        put(store, "g1", FEEDS)
        put(store, "g2", FEEDS)
        ended(nodes, store.server.node_of(name))
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
        assert store.promote(before, "g1").epoch == before.epoch + 1


def test_a_value_that_a_node_forgot_is_noticed_when_read_back():
    with memcached_nodes(1) as nodes:
        store = open_store("memcached", nodes.where)
        store.begin("g1")
        store.stage("g1", [store.load("g1", sorted(FEEDS))])
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

    def by_hand(key):
        return max(nodes, key=lambda node: blake2b(b"%s-pinlake:%s" % (node.encode(), key), digest_size=8).digest())

    assert [four.node_of(key) for key in keys] == [by_hand(key) for key in keys]  # docs/store-format.md
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


@pytest.mark.parametrize("kind", ["memcached", "redis"])
def test_the_commands_show_and_roll_back_what_servers_have(kind, request, commands):
    where = request.getfixturevalue(kind).emptied()
    store = open_store(kind, where)
    serve(store, "g1", {1: [10, 11]})
    serve(store, "g2", {1: [20, 21]})
    options = ["--set", f"publish.store={kind}", "--set", f"publish.nodes={json.dumps(where.split(','))}"]
    lines = [["feed", "1", "--json"], ["related", "20", "--json"], ["generations"], ["rollback"], ["feed", "1"]]
    said = commands(*([*options, *line] for line in lines))
    assert '"pin_id": 20' in said
    assert '"title": "Pin 21"' in said
    assert "Now serving g1" in said
    assert "Feed of user 1, as of 2026-11-01, arm control, generation g1" in said
    assert "Error" not in said
    assert store.read_pointer().current == "g1"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memcached", "redis"])
def test_a_lease_outlives_a_server_that_hangs_for_a_moment(kind, tmp_path):
    with memcached_nodes(1) if kind == "memcached" else redis_server(tmp_path) as server:
        store = open_store(kind, server.where, Access(timeout_seconds=0.2, lease_seconds=3))
        with store.lease():  # renewed every second
            ended(server, server.where, signal.SIGSTOP)
            time.sleep(1.5)
            ended(server, server.where, signal.SIGCONT)
            time.sleep(2.5)
            with pytest.raises(ConcurrentRunError, match="3 seconds later"), store.lease():
                pass


def test_a_server_that_is_full_says_what_to_change(tmp_path):
    with redis_server(tmp_path, maxmemory="3mb") as server:
        store = open_store("redis", server.where)
        put(store, "g1", FEEDS)
        store.begin("g2")
        with pytest.raises(StoreError, match=rf"{server.where} is full: .*maxmemory"):
            store.load("g2", ((b"hf:%06d" % i, b"x" * 4096) for i in range(2000)))
        assert Reader(store).home_feed(3).generation == "g1"


def test_a_gc_killed_half_way_leaves_nothing_that_could_be_committed(redis, monkeypatch):
    store = open_store("redis", redis.emptied())
    store.begin("g1")
    store.stage("g1", [store.load("g1", sorted(FEEDS))])
    # the lease ran out under this publisher; another one cleans up, and dies after the first values
    delete = store.server.delete_many

    def dies(keys):
        delete(keys)
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(store.server, "delete_many", dies)
        with pytest.raises(KeyboardInterrupt):
            store.gc()
    with pytest.raises(StoreError, match="cannot be committed"):
        store.commit("g1", b"manifest")
    assert len(store.gc()) == 1
    assert [key for key in store.server._client.scan_iter() if b"g1." in key] == []


@pytest.mark.parametrize("kind", ["memcached", "redis"])
def test_dropped_values_leave_after_the_grace(kind, request):
    store = open_store(kind, request.getfixturevalue(kind).emptied(), Access(grace_seconds=0.0))
    put(store, "g1", [*FEEDS, fallback([7])])
    put(store, "g2", FEEDS)
    opened = store.open("g1")
    store.drop("g1")
    assert opened.get(FEEDS[0][0]) == FEEDS[0][1]
    assert len(store.gc()) == 1
    assert opened.get_many([*(key for key, _ in FEEDS), b"fb:all", b"m:"]) == [None] * (len(FEEDS) + 2)
    assert store._directory()["dropped"] == {}
    if kind == "redis":
        assert [key for key in store.server._client.scan_iter() if b"g1." in key] == []


def test_a_password_opens_redis_and_shows_nowhere(commands, tmp_path):
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
        nodes = json.dumps([server.where])
        lines = [["generations", "--json"], ["config"], ["config", "--json"], ["config", "publish.password"]]
        shown.append(commands(*lines, ["feed", "3"], PASSWORD=secret, STORE="redis", NODES=nodes))
        assert '"g1"' in shown[-1]
        shown.append(commands(["--debug", "feed", "3"], PASSWORD="wrong-" + secret, STORE="redis", NODES=nodes))
        assert "PINLAKE_PUBLISH__PASSWORD" in shown[-1]
        assert "exit code 7" in shown[-1]
    assert not [text for text in shown if secret in text]
