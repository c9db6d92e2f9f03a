"""Names in settings held against what they name: a name that nothing has is a mistake, and says what was nearly meant.

In: the settings, the folder of the suites. Names of source tables and their columns are held against the sources
when these are read (jobs/ingest/tidb/tables/table_names.py).
"""

import json
from collections.abc import Callable, Iterable, Iterator
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from jobs.common.errors import ConfigError

if TYPE_CHECKING:
    from jobs.settings import Settings

DEFAULT = "default"
"""Stands for all suites."""
SHARES = {"generation": ("min_coverage", "max_churn")}
"""Parameters that are shares of a whole, by suite."""


def near(name: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Return the names that `name` may be a slip of, nearest first; case does not count."""
    lower: dict[str, str] = {}
    for one in known:
        lower.setdefault(str(one).lower(), str(one))
    found = get_close_matches(name.lower(), list(lower), n=3, cutoff=cutoff)
    return [lower[one] for one in found if one == found[0] or _likeness(name, one) > _likeness(name, found[0]) - 0.1]


def _likeness(name: str, other: str) -> float:
    return SequenceMatcher(None, other, name.lower()).ratio()


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean …?", empty where nothing is near."""
    found = near(name, known)
    return f" Did you mean {' or '.join(found)}?" if found else ""


def check(settings: "Settings", expectations: Path, where: Callable[[str], str]) -> None:
    """Refuse names of suites, parameters, topics, tables and Spark properties that name nothing.

    Args:
        settings: merged, each value of its type.
        expectations: folder of the suites; without it parameters are not looked at.
        where: returns the file, variable or option that gave a key.

    Raises:
        ConfigError: naming file, key, the name given and those there are.
    """
    for found in (_parameters(settings, expectations), _topics(settings), _zones(settings), _properties(settings)):
        for key, said in found:
            raise ConfigError(f"{where(key)}: {key}: {said}")


def parameters_of(expectations: Path) -> dict[str, set[str]]:
    """Return the names of the $PARAMETERs of each suite; a file that cannot be read is not the settings' fault."""
    found = {}
    for path in expectations.rglob("*.json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found[str(path.relative_to(expectations).with_suffix("")).replace("/", ".")] = set(_in_json(content))
    return found


def _in_json(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if isinstance(content.get("$PARAMETER"), str):
            yield content["$PARAMETER"]
        content = list(content.values())
    if isinstance(content, list):
        for one in content:
            yield from _in_json(one)


def _parameters(settings: "Settings", expectations: Path) -> Iterator[tuple[str, str]]:
    suites = parameters_of(expectations)
    if not suites:
        return
    suites[DEFAULT] = set().union(*suites.values())
    for suite, values in settings.validation.parameters.items():
        key = f"validation.parameters.{suite}"
        if suite not in suites:
            there = ", ".join(sorted(name for name, names in suites.items() if names))
            yield key, f"no suite is called {suite!r}.{suggestion(suite, suites)} Suites with parameters: {there}."
            continue
        for name, value in values.items():
            if name not in suites[suite]:
                there = ", ".join(sorted(suites[suite])) or "none"
                said = f"suite {suite} has no parameter {name!r}.{suggestion(name, suites[suite])} There are: {there}."
                yield f"{key}.{name}", said
            elif name in SHARES.get(suite, ()) and not 0 <= value <= 1:
                yield f"{key}.{name}", f"a share from 0 to 1 is needed, got {value:g}: 0.5 is a half."


def _topics(settings: "Settings") -> Iterator[tuple[str, str]]:
    from jobs.schema.bronze_silver import SILVER
    from jobs.schema.table import AsOf

    events = {t.name.removeprefix("silver.") for t in SILVER if t.time in {AsOf.EVENTS, AsOf.LATEST}}
    for topic, rules in settings.ingest.topics.items():
        key = f"ingest.topics.{topic}"
        if rules.table is not None and rules.table not in events:
            there = ", ".join(sorted(events))
            said = f"no table of events is called {rules.table!r}.{suggestion(rules.table, events)} There are: {there}."
            yield f"{key}.table", said
        if rules.table is None and topic not in events and near(topic, events, 0.8):
            said = f"no table of events has the name of this topic.{suggestion(topic, events)} Else name its table."
            yield key, said
    known = events | set(settings.ingest.topics)
    for name in settings.ingest.tables:
        if "." not in name and name not in known:
            there = ", ".join(sorted(known))
            said = f"a table is schema.table, or one of the topics {there}; got {name!r}.{suggestion(name, known)}"
            yield f"ingest.tables.{name}", said


def _zones(settings: "Settings") -> Iterator[tuple[str, str]]:
    named = {"ingest.timezone": settings.ingest.timezone}
    tables = settings.ingest.tables.items()
    named |= {f"ingest.tables.{name}.timezone": rules.timezone for name, rules in tables if rules.timezone}
    for key, zone in named.items():
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            said = f"no time zone is called {zone!r}.{suggestion(zone, available_timezones())} Such as UTC, Asia/Tokyo."
            yield key, said


_SPARK = (
    "sql", "driver", "executor", "hadoop", "executorEnv", "dynamicAllocation", "shuffle", "memory", "kubernetes",
    "yarn", "databricks", "serializer", "kryo", "kryoserializer", "network", "rpc", "scheduler", "speculation", "task",
    "locality", "eventLog", "history", "ui", "jars", "files", "archives", "pyspark", "local", "port", "broadcast",
    "rdd", "storage", "cleaner", "default", "io", "excludeOnFailure", "authenticate", "ssl", "acls", "admin", "modify",
    "redaction", "metrics", "plugins", "stage", "barrier", "resources", "worker", "deploy", "decommission", "streaming",
    "r", "python", "log", "app", "master", "submit", "extraListeners", "logConf", "rapids", "gluten", "delta", "ml",
)  # fmt: skip
"""What may come behind `spark.`; others, which plugins bring, are let through unless they are nearly one of these."""
_KAFKA = (
    "allow.auto.create.topics", "auto.commit.interval.ms", "auto.offset.reset", "bootstrap.servers", "check.crcs",
    "client.dns.lookup", "client.id", "client.rack", "connections.max.idle.ms", "default.api.timeout.ms",
    "enable.auto.commit", "exclude.internal.topics", "fetch.max.bytes", "fetch.max.wait.ms", "fetch.min.bytes",
    "group.id", "group.instance.id", "group.protocol", "heartbeat.interval.ms", "interceptor.classes",
    "isolation.level", "key.deserializer", "max.partition.fetch.bytes", "max.poll.interval.ms", "max.poll.records",
    "metadata.max.age.ms", "metric.reporters", "metrics.num.samples", "partition.assignment.strategy",
    "receive.buffer.bytes", "reconnect.backoff.max.ms", "reconnect.backoff.ms", "request.timeout.ms",
    "retry.backoff.max.ms", "retry.backoff.ms", "sasl.client.callback.handler.class", "sasl.jaas.config",
    "sasl.kerberos.kinit.cmd", "sasl.kerberos.service.name", "sasl.login.callback.handler.class", "sasl.login.class",
    "sasl.login.connect.timeout.ms", "sasl.login.read.timeout.ms", "sasl.mechanism",
    "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.jwks.endpoint.url", "security.protocol",
    "security.providers", "send.buffer.bytes", "session.timeout.ms", "socket.connection.setup.timeout.ms",
    "socket.connection.setup.timeout.max.ms", "ssl.cipher.suites", "ssl.enabled.protocols",
    "ssl.endpoint.identification.algorithm", "ssl.engine.factory.class", "ssl.key.password",
    "ssl.keymanager.algorithm", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.location",
    "ssl.keystore.password", "ssl.keystore.type", "ssl.protocol", "ssl.provider", "ssl.truststore.certificates",
    "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type", "value.deserializer",
)  # fmt: skip
"""Properties of Kafka's consumers; clients ignore others, so that one which is nearly one of these is a slip."""


def _properties(settings: "Settings") -> Iterator[tuple[str, str]]:
    from jobs.settings.spark_properties import unknown

    for name in settings.platform.spark.conf:
        first, _, rest = name.partition(".")
        second = rest.partition(".")[0]
        key = f"platform.spark.conf.{name}"
        if first != "spark" or not second:
            meant = suggestion(first, ["spark"])
            yield key, f"Spark reads properties that begin with 'spark.' only; got {name!r}.{meant}"
        elif second not in _SPARK and near(second, _SPARK, 0.8):
            yield key, f"Spark has no property {name!r}.{suggestion(second, _SPARK)}"
        elif near(name, known := unknown(name), 0.9):
            yield key, f"Spark has no property {name!r}.{suggestion(name, known)}"
    for name in settings.ingest.brokers.properties:
        if name not in _KAFKA and near(name, _KAFKA, 0.9):
            key = f"ingest.brokers.properties.{name}"
            yield key, f"Kafka's consumers have no property {name!r}.{suggestion(name, _KAFKA)}"
