"""Addresses of servers in publish.nodes: host:port, [::1]:port, or a Redis URL."""

from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from jobs.common.errors import ConfigError

SCHEMES = {"redis": False, "rediss": True}
"""Scheme -> whether it is TLS."""
PORT = 6379
"""Default port of a Redis URL."""


@dataclass(frozen=True)
class Address:
    """One server."""

    host: str
    """A name or an IP address, without brackets."""
    port: int
    tls: bool = False
    user: str = ""
    database: int | None = None
    """None where the address names none."""


def parse(node: str, kind: str = "") -> Address:
    """Return the address of a server.

    Args:
        node: an entry of publish.nodes.
        kind: of the store; only Redis has URLs.

    Raises:
        ConfigError: it is malformed, or holds a password.
    """
    if "://" in node:
        return _of_url(node, kind)
    host, colon, port = node.rpartition(":")
    if not (host and colon and port.isdigit()):
        raise _mistake(node, "a server is host:port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise _mistake(node, "an IPv6 address needs brackets, [::1]:6379")
    if "@" in host:
        raise _mistake(node, "a user is given as publish.user, or in a URL, redis://user@host:6379")
    return Address(host.strip("[]"), _port(node, int(port)))


def _of_url(node: str, kind: str) -> Address:
    url = urlsplit(node)
    if url.scheme not in SCHEMES or kind == "memcached":
        what = "memcached takes host:port" if kind == "memcached" else "a URL begins with redis:// or rediss:// (TLS)"
        raise _mistake(node, what)
    if url.password:
        raise ConfigError(
            f"publish.nodes: the URL of {url.hostname} holds a password, which files and process lists show to others: "
            "give it as PINLAKE_PUBLISH__PASSWORD in the environment, and change it where it was seen."
        )
    try:
        host, port = url.hostname, url.port
    except ValueError:
        raise _mistake(node, "the port is a number up to 65535") from None
    if not host or url.query or url.fragment:
        raise _mistake(node, "a URL of Redis is redis://user@host:6379/0")
    database = _database(node, url)
    return Address(
        host, _port(node, PORT if port is None else port), SCHEMES[url.scheme], unquote(url.username or ""), database
    )


def _database(node: str, url: SplitResult) -> int | None:
    path = url.path.strip("/")
    if not path:
        return None
    if not path.isdigit():
        raise _mistake(node, "the path is the number of a database, redis://host:6379/2")
    return int(path)


def _port(node: str, port: int) -> int:
    if not 0 < port < 65536:
        raise _mistake(node, "the port is a number up to 65535")
    return port


def _mistake(node: str, rule: str) -> ConfigError:
    return ConfigError(f"publish.nodes: {rule}; got {node!r}.")
