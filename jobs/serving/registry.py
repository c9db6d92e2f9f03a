"""Opens a store: by kind and location, or the one that the settings name.

A store's client is imported only when that store is opened: an online service installs only the one it uses.
"""

from typing import TYPE_CHECKING

from jobs.common.errors import ConfigError
from jobs.serving.address import parse
from jobs.serving.stores import Access, Store

if TYPE_CHECKING:  # an online service's copy goes without the settings
    from jobs.settings.publish import Publish


def open_store(kind: str, where: str, access: Access | None = None) -> Store:
    """Return a store.

    Args:
        kind: rocksdb, memcached or redis.
        where: folder of the embedded store, or the servers as host:port or URL, separated by commas.
        access: how servers are reached.

    Raises:
        ConfigError: the kind is unknown, or an address is malformed.
    """
    access = access or Access()
    if kind == "rocksdb":
        from jobs.serving.rocks import RocksStore

        return RocksStore(where)
    if kind == "memcached":
        from jobs.serving.memcached import MemcachedStore

        return MemcachedStore(addresses(where, kind), access)
    if kind == "redis":
        from jobs.serving.redis import RedisStore

        return RedisStore(addresses(where, kind), access)
    raise ConfigError(f"publish.store must be rocksdb, memcached or redis, got {kind!r}.")


def configured(publish: "Publish", path: str) -> Store:
    """Return the store that the settings name; `path` is where publish.path leads."""
    names = ("timeout_seconds", "lease_seconds", "grace_seconds", "user", "database", "tls", "tls_ca")
    access = Access(publish.password.get_secret_value(), **{name: getattr(publish, name) for name in names})
    return open_store(publish.store, path if publish.store == "rocksdb" else ",".join(publish.nodes), access)


def addresses(where: str, kind: str = "") -> list[str]:
    """Return the address of each server, as written; ConfigError if one is malformed."""
    nodes = [node.strip() for node in where.split(",")]
    for node in nodes:
        parse(node, kind)
    return nodes
