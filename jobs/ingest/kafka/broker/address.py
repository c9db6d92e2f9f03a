"""Where topics are: `kafka://HOST:PORT[,HOST:PORT]/TOPIC[,TOPIC]`, beside the folders and URIs of archives."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from jobs.common.errors import SourceError
from jobs.engine.sources import SCHEME, is_broker

_SERVER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""Kafka's own rule (org.apache.kafka.common.internals.Topic)."""


@dataclass(frozen=True)
class Address:
    """Brokers to ask first, and the topics wanted of their cluster."""

    servers: str
    """HOST:PORT, comma-separated."""
    topics: tuple[str, ...]


def parse(uri: str) -> Address:
    """Return what a URI names.

    Raises:
        SourceError: it is not of the form, or it carries credentials or options.
    """
    servers, _, topics = uri.removeprefix(SCHEME).partition("/")
    if "@" in servers or "?" in uri:
        raise SourceError(
            f"{uri}: the URI of brokers must not carry credentials or options. Put consumer properties into "
            "ingest.brokers.properties, secret ones into PINLAKE_INGEST__BROKERS__SECRETS."
        )
    names = tuple(dict.fromkeys(topics.split(",")))
    if not all(map(_SERVER.fullmatch, servers.split(","))) or not all(map(_TOPIC.fullmatch, names)):
        raise SourceError(
            f"{uri}: brokers are named as {SCHEME}HOST:PORT[,HOST:PORT]/TOPIC[,TOPIC]; a topic's name has letters, "
            "digits, dots, underscores and hyphens. Name each topic: patterns are not followed."
        )
    return Address(servers, names)


def addresses(uris: Iterable[str]) -> list[Address]:
    """Return the brokers among sources."""
    return [parse(uri) for uri in uris if is_broker(uri)]
