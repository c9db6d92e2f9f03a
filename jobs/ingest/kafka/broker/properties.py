"""Kafka consumer properties: those of `conf/`, and those that nobody may see, from the environment."""

import json

from jobs.common.errors import ConfigError
from jobs.common.redaction import NAMED, know
from jobs.settings.ingest import Brokers

_VARIABLE = "PINLAKE_INGEST__BROKERS__SECRETS"
# what Spark itself sets and refuses from others (KafkaSourceProvider), and what an address says
_TAKEN = {"auto.offset.reset", "key.deserializer", "value.deserializer", "enable.auto.commit", "interceptor.classes"}
_TAKEN |= {"bootstrap.servers", "group.id"}


def consumer_properties(settings: Brokers, servers: str) -> dict[str, str]:
    """Return the properties of every client that talks to these brokers; secrets are covered in all text from now on.

    Raises:
        ConfigError: a property is secret and stands in a file, is set by the reader itself, or the secrets are no JSON.
    """
    for name in settings.properties:
        if NAMED.search(name) or name.endswith("jaas.config"):
            raise ConfigError(
                f"ingest.brokers.properties has {name}, a secret, which files and process lists show to others: give "
                f'it in the environment, {_VARIABLE}=\'{{"{name}": "…"}}\', and change it where it was seen.'
            )
    secrets = _secrets(settings)
    taken = sorted(_TAKEN & (set(settings.properties) | set(secrets)))
    if taken:
        raise ConfigError(
            f"ingest.brokers: {', '.join(taken)} cannot be set: the reader sets it itself. Servers and topics are "
            "named in the URI, offsets are kept in the lake."
        )
    # aborted messages of producers with transactions are none
    common = {"isolation.level": "read_committed"}
    return common | settings.properties | secrets | {"bootstrap.servers": servers}


def _secrets(settings: Brokers) -> dict[str, str]:
    given = settings.secrets.get_secret_value()
    if not given:
        return {}
    try:
        found = json.loads(given)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ConfigError(
            f"{_VARIABLE} must be a JSON object of consumer properties and their texts; it is not. Example: "
            '{"sasl.jaas.config": "…PlainLoginModule required username=… password=…;"}.'
        )
    know(found.values())
    # a client may quote a password alone
    know(part.strip("\"';") for value in found.values() for part in value.replace("=", " ").split() if len(part) > 7)
    return found
