"""memcached, one node or several: each key on one node, records on all of them.

A key's node is the one with the highest hash of node and key (rendezvous hashing, Thaler and Ravishankar 1998): a node
that joins or leaves moves its own share of the keys and no others. A node that does not answer counts as having
nothing for a while, so readers go on without it; writing is strict. A record lives on every node and its newest
revision counts, and so do fallbacks and manifests: losing a node loses neither the pointer nor what to show those whose
feed was on it. Traps of the protocol: docs/adr/0010.

The only module that imports pymemcache.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from pymemcache.client.base import PooledClient
from pymemcache.client.rendezvous import RendezvousHash
from pymemcache.exceptions import MemcacheError

from jobs.common.errors import StoreError
from jobs.serving.address import parse
from jobs.serving.keyvalue import KeyValueStore
from jobs.serving.layout import is_shared
from jobs.serving.server_errors import of_memcached
from jobs.serving.servers import PREFIX, Server, busy, packed, renewed, unpacked
from jobs.serving.stores import Access

_AWAY, _AWAY_MOST = 1.0, 16.0
"""Seconds that a node which did not answer is not asked again: at first, and at most; doubled each time."""
_CONNECTIONS = 8


class MemcachedStore(KeyValueStore):
    """Generations on memcached nodes."""

    kind = "memcached"

    def __init__(self, nodes: Sequence[str], access: Access) -> None:
        super().__init__(Memcached(nodes, access.timeout_seconds), access)
        self.where = ",".join(nodes)


class Memcached(Server):
    """Nodes given as host:port."""

    def __init__(self, nodes: Sequence[str], timeout: float = 1.0) -> None:
        self.nodes = list(nodes)
        self.timeout = timeout
        self._away: dict[str, tuple[float, float]] = {}
        """Of a node that did not answer: when to ask it again (monotonic seconds), and the wait until then."""
        self._said: dict[str, str] = {}
        """What went wrong with such a node."""

    def __str__(self) -> str:
        return f"memcached at {', '.join(self.nodes)}"

    def __getstate__(self) -> dict[str, Any]:
        """Leave connections behind."""
        return {"nodes": self.nodes, "timeout": self.timeout, "_away": {}, "_said": {}}

    def node_of(self, key: bytes) -> str:
        """Return the node that has `key`."""
        return str(self._ring.get_node(_named(key).decode("latin-1")))

    def node_for(self, key: bytes) -> str:
        """Return the key's node."""
        return self.node_of(key)

    def hint(self, nodes: Sequence[str]) -> str:
        """Return each node's memory and evictions."""
        states = "; ".join(f"{node} {self._state_of(node)}" for node in nodes)
        return (
            f"memcached reports {states}. It evicts silently when memory is short: start it with a larger -m (the "
            f"nodes together hold publish.keep_generations + 2 generations), or lower publish.keep_generations."
        )

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Ask each node once for all its keys; for those that are on all, the others too where it has nothing."""
        found: dict[bytes, bytes] = {}
        for node, mine in self._by_node(keys).items():
            found |= self._asked(node, [_named(key) for key in mine])
        for name in [_named(key) for key in keys if is_shared(key) and _named(key) not in found]:
            answers = (self._asked(node, [name]) for node in self.nodes)
            found |= next(filter(None, answers), {})
        return [found.get(_named(key)) for key in keys]

    def put_many(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Send each node its pairs; every answer is looked at."""
        values = dict(pairs)
        for node, mine in self._by_node(list(values), copies=True).items():
            with self._strict(node):
                refused = self._clients[node].set_many({_named(key): values[key] for key in mine}, noreply=False)
            if refused:
                raise StoreError(
                    f"memcached at {node} refused {len(refused)} of {len(mine)} values, {refused[0]!r} first."
                )

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Send each node its keys."""
        for node, mine in self._by_node(keys, copies=True).items():
            with self._strict(node):
                self._clients[node].delete_many([_named(key) for key in mine], noreply=False)

    def append(self, key: bytes, value: bytes) -> None:
        """Append, or add where there is nothing; whoever loses that race appends."""
        node, name = self.node_of(key), _named(key)
        with self._strict(node):
            client = self._clients[node]
            while not (client.append(name, value, noreply=False) or client.add(name, value, noreply=False)):
                pass

    def record(self, name: str) -> tuple[int, bytes] | None:
        """Return the newest revision that any node has."""
        key, answers = _named(name.encode()), []
        for node in self.nodes:
            got = self._asked(node, [key])
            if got or not self._is_away(node):
                answers.append(unpacked(got.get(key)))
        if not answers:
            states = " ".join(self._said.get(node, f"memcached at {node} does not answer.") for node in self.nodes)
            raise StoreError(f"No node of {self} can be read from. {states}")
        return max((one for one in answers if one), default=None)

    def swap(self, name: str, revision: int, content: bytes) -> bool:
        """Compare and set on the record's own node, then copy to the others that answer."""
        now = self.record(name)
        if (now[0] if now else 0) != revision:
            return False
        key, value = _named(name.encode()), packed(revision + 1, content)
        home = self.node_of(name.encode())
        with self._strict(home):
            client = self._clients[home]
            there, token = client.gets(key)
            if (unpacked(there) or (0,))[0] > revision:
                return False
            won = client.add(key, value, noreply=False) if there is None else client.cas(key, value, token)
        for node in self.nodes if won else ():
            if node != home:
                self._copied(node, key, value)
        return bool(won)

    @contextmanager
    def lock(self, name: str, seconds: int) -> Iterator[None]:
        """Hold a value that nobody else can add, kept from running out by touching it."""
        key, mine = _named(name.encode()), uuid4().hex.encode()
        home = self.node_of(name.encode())
        client = self._clients[home]
        with self._strict(home):
            if not client.add(key, mine, expire=seconds, noreply=False):
                raise busy(self, seconds)

        def renew() -> None:
            with self._strict(home):
                if client.get(key) == mine:
                    client.touch(key, seconds, noreply=False)

        try:
            with renewed(renew, seconds / 3):
                yield
        finally:
            with self._strict(home):
                if client.get(key) == mine:
                    client.delete(key, noreply=False)

    @cached_property
    def _ring(self) -> Any:
        # the library's murmur3 is written in Python, ten times slower than this
        return RendezvousHash(self.nodes, hash_function=_hash)

    @cached_property
    def _clients(self) -> dict[str, Any]:
        how = {"connect_timeout": self.timeout, "timeout": self.timeout, "no_delay": True}
        return {
            node: PooledClient(_address(node), **how, default_noreply=False, max_pool_size=_CONNECTIONS)
            for node in self.nodes
        }

    def _by_node(self, keys: Sequence[bytes], copies: bool = False) -> dict[str, list[bytes]]:
        """Return the keys of each node; `copies`: those that are on all nodes at each of them."""
        nodes: defaultdict[str, list[bytes]] = defaultdict(list)
        for key in keys:
            for node in self.nodes if copies and is_shared(key) else [self.node_of(key)]:
                nodes[node].append(key)
        return nodes

    def _is_away(self, node: str) -> bool:
        return time.monotonic() < self._away.get(node, (0.0, 0.0))[0]

    def _went_away(self, node: str) -> None:
        wait = min(_AWAY_MOST, 2 * self._away.get(node, (0.0, _AWAY / 2))[1])
        self._away[node] = (time.monotonic() + wait, wait)

    def _asked(self, node: str, keys: list[bytes]) -> dict[bytes, bytes]:
        """Return what a node has of the keys; nothing while it is away."""
        if self._is_away(node):
            return {}
        try:
            found = dict(self._clients[node].get_many(keys))
        except (OSError, MemcacheError) as error:
            self._said[node] = of_memcached(node, error, self.timeout)
            self._went_away(node)
            return {}
        self._away.pop(node, None)
        return found

    def _state_of(self, node: str) -> str:
        try:
            now = self._clients[node].stats()
        except (OSError, MemcacheError):
            return "does not answer"
        return (
            f"has -m {now[b'limit_maxbytes'] >> 20}, evicted {now[b'evictions']} values and has been up for "
            f"{now[b'uptime']} s"
        )

    def _copied(self, node: str, key: bytes, value: bytes) -> None:
        try:
            self._clients[node].set(key, value, noreply=False)
        except (OSError, MemcacheError):  # an older revision there counts for less
            self._went_away(node)

    @contextmanager
    def _strict(self, node: str) -> Iterator[None]:
        try:
            yield
        except (OSError, MemcacheError) as error:
            raise StoreError(of_memcached(node, error, self.timeout)) from error


def _named(key: bytes) -> bytes:
    """Return a key as it stands on a node: keys of the format are printable and short (docs/store-format.md)."""
    return PREFIX + key


def _hash(text: str, _seed: int) -> int:
    return int.from_bytes(blake2b(text.encode("latin-1"), digest_size=8).digest(), "big")


def _address(node: str) -> tuple[str, int]:
    found = parse(node, "memcached")
    return found.host, found.port
