"""What a real Redis answers that is set up otherwise than thought: each says what to change, and none is asked for."""

import subprocess

import pytest

from jobs.common.errors import ConfigError, StoreError
from jobs.serving.registry import open_store
from jobs.serving.server_errors import COMMANDS
from jobs.serving.stores import Access
from tests.feeds import feed, put
from tests.servers import found, free_port, memcached_nodes, redis_server, started

ACL = "user app on >s3cret ~pinlake:* &* +@all"
FITTING = f"user fitting on >s3cret ~pinlake:* {COMMANDS}"
NARROW = "user reader on >s3cret ~pinlake:* +get"


def said(where, **access):
    store = open_store("redis", where, Access(**access))
    with pytest.raises(StoreError) as caught:
        put(store, "g1", [feed(1, [1, 2])])
    text = str(caught.value)
    assert "s3cret" not in text
    return text


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    """A server with a password and two users."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "users.acl").write_text(f"user default on >other ~* &* +@all\n{ACL}\n{FITTING}\n{NARROW}\n")
    with redis_server(folder, more=["--aclfile", str(folder / "users.acl")]) as server:
        yield server.where


def test_a_user_and_a_database_are_given_in_the_settings_or_in_the_address(users):
    ways = (
        (users, {"user": "app", "password": "s3cret", "database": 3}),
        (f"redis://app@{users}/3", {"password": "s3cret", "user": "nobody", "database": 9}),
    )
    for where, access in ways:
        store = open_store("redis", where, Access(**access))
        assert store.server._client.config_get  # a client of redis-py
        if store.read_pointer() is None:
            put(store, "g1", [feed(1, [1, 2])])
        assert store.read_pointer().current == "g1"
    assert open_store("redis", users, Access(user="app", password="s3cret")).read_pointer() is None


def test_the_commands_that_the_message_names_are_enough(users):
    store = open_store("redis", users, Access(user="fitting", password="s3cret", database=4, grace_seconds=0.0))
    with store.lease():
        put(store, "g1", [feed(1, [1, 2])])
        put(store, "g2", [feed(1, [2, 1])])
        store.drop("g1")
        store.gc()
    assert store.read_pointer().current == "g2"
    assert "maxmemory" in store.hint([users])


@pytest.mark.parametrize(
    ("access", "words"),
    [
        ({}, ["asks for a password and none is given", "PINLAKE_PUBLISH__PASSWORD", "publish.user"]),
        ({"password": "wrong"}, ["refuses the user default", "PINLAKE_PUBLISH__PASSWORD"]),
        ({"password": "wrong", "user": "app"}, ["refuses the user app"]),
        (
            {"password": "s3cret", "user": "reader"},
            ["not let the user reader", "ACL SETUSER reader", "~pinlake:*"],
        ),
        ({"password": "s3cret", "user": "app", "database": 99}, ["no such database", "publish.database"]),
    ],
)
def test_a_login_that_is_refused_says_what_to_change(users, access, words):
    text = said(users, **access)
    assert all(word in text for word in [users, *words]), text
    assert "running" not in text


def test_a_cluster_and_a_replica_are_told_for_what_they_are(redis, tmp_path):
    with redis_server(tmp_path, more=["--cluster-enabled", "yes", "--cluster-port", str(free_port())]) as server:
        text = said(server.where)
        assert "Redis Cluster" in text
        subprocess.run(
            ["redis-cli", "-p", str(server.ports[0]), "cluster", "addslotsrange", "0", "16383"], check=True,
            capture_output=True,
        )  # fmt: skip
        assert "Redis Cluster" in said(server.where)
    (tmp_path / "replica").mkdir()
    of = ["--replicaof", f"127.0.0.1 {redis.ports[0]}"]
    with redis_server(tmp_path / "replica", more=of) as server:
        text = said(server.where)
        assert "is a replica" in text
        assert "primary" in text
        assert "running" not in text


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """The port of a server that speaks TLS, and the file of its authority."""
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*make, "-keyout", folder / "key", "-out", folder / "crt"], check=True, capture_output=True)
    command = [found("redis-server"), "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--tls-cert-file", f"{folder}/crt", "--tls-key-file", f"{folder}/key", "--tls-auth-clients", "no"]
    with started([[*command, "--tls-ca-cert-file", f"{folder}/crt", "--dir", str(folder)]], [port]):
        yield port, str(folder / "crt")


def test_tls_is_asked_for_by_the_address_or_the_settings(tls):
    port, authority = tls
    store = open_store("redis", f"rediss://127.0.0.1:{port}", Access(tls_ca=authority))
    put(store, "g1", [feed(1, [1, 2])])
    same = open_store("redis", f"localhost:{port}", Access(tls_ca=authority, tls=True))
    assert same.read_pointer().current == "g1"


def test_tls_on_one_side_only_is_told(tls, redis):
    port, _ = tls
    assert "rediss://" in said(f"127.0.0.1:{port}")
    assert "publish.tls_ca" in said(f"rediss://127.0.0.1:{port}")
    assert "does not speak TLS" in said(f"rediss://{redis.where}")


def test_another_kind_of_server_is_told(redis):
    with memcached_nodes(1) as nodes:
        text = said(nodes.where)
        assert "not answer as Redis does" in text
        assert "running" not in text
    with pytest.raises(StoreError, match="does not answer as memcached does") as told:
        open_store("memcached", redis.where).read_pointer()
    assert "running" not in str(told.value)


def test_one_that_is_not_there_is_asked_for():
    where = f"127.0.0.1:{free_port()}"
    assert "Check that it is running." in said(where)
    assert "host name cannot be resolved" in said("nobody.invalid:6379")
    with pytest.raises(StoreError, match="Check that it is running"):
        open_store("memcached", where).read_pointer()


def test_an_ipv6_address_stands_in_brackets(tmp_path):
    with redis_server(tmp_path, more=["--bind", "127.0.0.1 ::1"]) as server:
        store = open_store("redis", f"[::1]:{server.ports[0]}")
        put(store, "g1", [feed(1, [1, 2])])
        assert open_store("redis", server.where).read_pointer().current == "g1"


@pytest.mark.parametrize(
    ("kind", "where", "words"),
    [
        ("redis", "::1:6379", "brackets"),
        ("redis", "redis://:pw@h:1", "holds a password"),
        ("redis", "http://h:1", "redis://"),
        ("redis", "redis://h:99999", "65535"),
        ("redis", "redis://h:1/x", "database"),
        ("redis", "app@h:1", "publish.user"),
        ("redis", "h:0", "65535"),
        ("memcached", "redis://h:1", "host:port"),
    ],
)
def test_an_address_that_is_none_is_refused(kind, where, words):
    with pytest.raises(ConfigError, match=words) as caught:
        open_store(kind, where)
    assert "pw" not in str(caught.value)
