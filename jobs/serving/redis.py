"""Redis, one server: values by pipelines, records by WATCH, the lease by the client library's lock.

The only module that imports the redis package.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.common.errors import ConfigError, StoreError
from jobs.serving.address import Address, parse
from jobs.serving.keyvalue import KeyValueStore
from jobs.serving.server_errors import Connection, of_redis
from jobs.serving.servers import PREFIX, Server, busy, packed, renewed, unpacked
from jobs.serving.stores import Access


class RedisStore(KeyValueStore):
    """Generations on one Redis server."""

    kind = "redis"

    def __init__(self, nodes: Sequence[str], access: Access) -> None:
        if len(nodes) != 1:
            raise ConfigError(f"publish.nodes: Redis takes one server, got {', '.join(nodes)}.")
        super().__init__(Redis(nodes[0], access.password, access.timeout_seconds, access), access)
        self.where = nodes[0]


class Redis(Server):
    """A server given as host:port or as a URL, its password if it has one, and how else it is reached."""

    def __init__(self, node: str, password: str = "", timeout: float = 1.0, access: Access | None = None) -> None:
        self.node = node
        self.timeout = timeout
        self._password = password
        self._access = replace(access or Access(), password="")

    def __str__(self) -> str:
        return f"Redis at {self.node}"

    def __repr__(self) -> str:
        """Return the address only, never the password."""
        return f"<{self}>"

    def __getstate__(self) -> dict[str, Any]:
        """Leave connections behind."""
        names = ("node", "timeout", "_password", "_access")
        return {name: value for name, value in self.__dict__.items() if name in names}

    def node_for(self, _key: bytes) -> str:
        """Return the one server."""
        return self.node

    def hint(self, _nodes: Sequence[str]) -> str:
        """Return its memory and evictions."""
        with self._strict():
            now = self._client.info()
        return (
            f"Redis has maxmemory {now['maxmemory'] >> 20} MiB ({now['maxmemory_policy']}), evicted "
            f"{now['evicted_keys']} values and has been up for {now['uptime_in_seconds']} s. Set maxmemory-policy "
            f"noeviction, and maxmemory for publish.keep_generations + 2 generations."
        )

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Ask for all in one command; StoreError if the server does not answer."""
        with self._strict():
            return list(self._client.mget([PREFIX + key for key in keys])) if keys else []

    def put_many(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Set all in one command: all or none."""
        if pairs:
            with self._strict():
                self._client.mset({PREFIX + key: value for key, value in pairs})

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Unlink all: the server frees the memory in the background."""
        if keys:
            with self._strict():
                self._client.unlink(*[PREFIX + key for key in keys])

    def append(self, key: bytes, value: bytes) -> None:
        """Append."""
        with self._strict():
            self._client.append(PREFIX + key, value)

    def record(self, name: str) -> tuple[int, bytes] | None:
        """Return the record."""
        return unpacked(self.get_many([name.encode()])[0])

    def swap(self, name: str, revision: int, content: bytes) -> bool:
        """Set the record in a transaction that fails if it changed since it was looked at."""
        key = PREFIX + name.encode()
        with self._strict(), self._client.pipeline(transaction=True) as pipe:
            pipe.watch(key)
            if (unpacked(pipe.get(key)) or (0,))[0] != revision:
                return False
            pipe.multi()
            pipe.set(key, packed(revision + 1, content))
            try:
                pipe.execute()
            except redis.WatchError:
                return False
            return True

    @contextmanager
    def lock(self, name: str, seconds: int) -> Iterator[None]:
        """Hold the client library's lock, renewed by a thread."""
        lock = self._client.lock(PREFIX.decode() + name, timeout=seconds, blocking=False, thread_local=False)
        with self._strict():
            if not lock.acquire():
                raise busy(self, seconds)

        def renew() -> None:
            with self._strict():
                lock.reacquire()

        try:
            with renewed(renew, seconds / 3):
                yield
        finally:
            with self._strict():
                if lock.owned():
                    lock.release()

    @cached_property
    def _address(self) -> Address:
        """Return the server's address; its own parts win over the settings."""
        address, access = parse(self.node, "redis"), self._access
        database = access.database if address.database is None else address.database
        return replace(address, tls=address.tls or access.tls, user=address.user or access.user, database=database)

    @cached_property
    def _client(self) -> Any:
        at = self._address
        tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": self._access.tls_ca or None} if at.tls else {}
        return redis.Redis(
            host=at.host,
            port=at.port,
            db=at.database or 0,
            username=at.user or None,
            password=self._password or None,
            socket_timeout=self.timeout,
            socket_connect_timeout=self.timeout,
            retry=Retry(NoBackoff(), 1),  # once, for a connection that went stale; the library's own waits seconds
            **tls,
        )

    @contextmanager
    def _strict(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            at = self._address
            connection = Connection(str(self), at.user, bool(self._password), at.tls, self.timeout)
            raise StoreError(of_redis(connection, error)) from error
