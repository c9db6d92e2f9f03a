"""Checks names in the settings against what they refer to; an unknown name is an error with a suggestion.

In: the settings, the folder of the suites. Names of source tables and columns are checked when the sources are read
(jobs/ingest/tidb/tables/table_names.py).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from jobs.common.errors import ConfigError

if TYPE_CHECKING:
    from jobs.settings import Settings

DEFAULT = "default"
"""Name for all suites."""
SHARES = {"generation": ("min_coverage", "max_churn")}
"""Parameters that are shares from 0 to 1, by suite."""


def near(name: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Return the known names that `name` may be a misspelling of, most similar first; case is ignored."""
    lower: dict[str, str] = {}
    for candidate in known:
        lower.setdefault(str(candidate).lower(), str(candidate))
    matches = get_close_matches(name.lower(), list(lower), n=3, cutoff=cutoff)
    least = _similarity(name, matches[0]) - 0.1 if matches else 0.0
    return [lower[match] for match in matches if match == matches[0] or _similarity(name, match) > least]


def _similarity(name: str, other: str) -> float:
    return SequenceMatcher(None, other, name.lower()).ratio()


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean …?", empty if nothing is similar."""
    similar = near(name, known)
    return f" Did you mean {' or '.join(similar)}?" if similar else ""


def check(settings: "Settings", expectations: Path, where: Callable[[str], str]) -> None:
    """Refuse unknown names of suites, parameters, topics, tables, time zones, Spark and Kafka properties.

    Args:
        settings: merged, each value of its type.
        expectations: folder of the suites; parameters are not checked without it.
        where: returns the file, variable or option that set a key.

    Raises:
        ConfigError: names the file, the key, the name and the known names.
    """
    checks = (_parameters(settings, expectations), _topics(settings), _zones(settings), _properties(settings))
    for key, message in chain(*checks):
        raise ConfigError(f"{where(key)}: {key}: {message}")


def parameters_of(expectations: Path) -> dict[str, set[str]]:
    """Return the names of the $PARAMETERs of each suite; unreadable files are skipped, as validation reports them."""
    by_suite = {}
    for path in expectations.rglob("*.json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        by_suite[str(path.relative_to(expectations).with_suffix("")).replace("/", ".")] = set(_in_json(content))
    return by_suite


def _in_json(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if isinstance(content.get("$PARAMETER"), str):
            yield content["$PARAMETER"]
        content = list(content.values())
    if isinstance(content, list):
        for item in content:
            yield from _in_json(item)


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
                message = (
                    f"suite {suite} has no parameter {name!r}.{suggestion(name, suites[suite])} There are: {there}."
                )
                yield f"{key}.{name}", message
            elif name in SHARES.get(suite, ()) and not 0 <= value <= 1:
                yield f"{key}.{name}", f"must be a share from 0 to 1, such as 0.5; got {value:g}."


def _topics(settings: "Settings") -> Iterator[tuple[str, str]]:
    from jobs.schema.bronze_silver import SILVER
    from jobs.schema.table import AsOf

    events = {t.name.removeprefix("silver.") for t in SILVER if t.time in {AsOf.EVENTS, AsOf.LATEST}}
    for topic, rules in settings.ingest.topics.items():
        key = f"ingest.topics.{topic}"
        if rules.table is not None and rules.table not in events:
            there = ", ".join(sorted(events))
            message = (
                f"no table of events is called {rules.table!r}.{suggestion(rules.table, events)} There are: {there}."
            )
            yield f"{key}.table", message
        if rules.table is None and topic not in events and near(topic, events, 0.8):
            message = f"no table of events has the name of this topic.{suggestion(topic, events)} Else name its table."
            yield key, message
    known = events | set(settings.ingest.topics)
    for name in settings.ingest.tables:
        if "." not in name and name not in known:
            there = ", ".join(sorted(known))
            message = f"a table is schema.table, or one of the topics {there}; got {name!r}.{suggestion(name, known)}"
            yield f"ingest.tables.{name}", message


def _zones(settings: "Settings") -> Iterator[tuple[str, str]]:
    zones = {"ingest.timezone": settings.ingest.timezone}
    tables = settings.ingest.tables.items()
    zones |= {f"ingest.tables.{name}.timezone": rules.timezone for name, rules in tables if rules.timezone}
    for key, zone in zones.items():
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            message = (
                f"no time zone is called {zone!r}.{suggestion(zone, available_timezones())} Such as UTC, Asia/Tokyo."
            )
            yield key, message


_SPARK = (
    "sql", "driver", "executor", "hadoop", "executorEnv", "dynamicAllocation", "shuffle", "memory", "kubernetes",
    "yarn", "databricks", "serializer", "kryo", "kryoserializer", "network", "rpc", "scheduler", "speculation", "task",
    "locality", "eventLog", "history", "ui", "jars", "files", "archives", "pyspark", "local", "port", "broadcast",
    "rdd", "storage", "cleaner", "default", "io", "excludeOnFailure", "authenticate", "ssl", "acls", "admin", "modify",
    "redaction", "metrics", "plugins", "stage", "barrier", "resources", "worker", "deploy", "decommission", "streaming",
    "r", "python", "log", "app", "master", "submit", "extraListeners", "logConf", "rapids", "gluten", "delta", "ml",
)  # fmt: skip
"""Second parts of Spark's properties; others, of plugins, are accepted unless they are similar to one of these."""
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
"""Properties of Kafka's consumers; clients ignore unknown ones, so a similar name is refused as a misspelling."""


def _properties(settings: "Settings") -> Iterator[tuple[str, str]]:
    for name in settings.platform.spark.conf:
        first, _, rest = name.partition(".")
        second = rest.partition(".")[0]
        key = f"platform.spark.conf.{name}"
        if first != "spark" or not second:
            hint = suggestion(first, ["spark"])
            yield key, f"Spark reads properties that begin with 'spark.' only; got {name!r}.{hint}"
        elif second not in _SPARK and near(second, _SPARK, 0.8):
            yield key, f"Spark has no property {name!r}.{suggestion(second, _SPARK)}"
        elif near(name, known := spark_alternatives(name), 0.9):
            yield key, f"Spark has no property {name!r}.{suggestion(name, known)}"
    for name in settings.ingest.brokers.properties:
        if name not in _KAFKA and near(name, _KAFKA, 0.9):
            key = f"ingest.brokers.properties.{name}"
            yield key, f"Kafka's consumers have no property {name!r}.{suggestion(name, _KAFKA)}"


_NAME = re.compile(rb"spark\.[A-Za-z]\w*(?:\.\w+)+")
_CLASSES = {
    "spark-catalyst_": r"internal/(Static)?SQLConf\$\.class$",
    "spark-sql-api_": r"internal/SqlApiConfHelper\$\.class$",
    "spark-core_": r"internal/config/[\w$]+\.class$",
    "spark-kubernetes_": r"k8s/Config\$\.class$",
}
"""Jar -> its classes whose string constants are names of properties."""
_COMMON = frozenset({"spark.master", "spark.app.name", "spark.local.ip", "spark.sql.autoBroadcastJoinThreshold"})
"""Declared elsewhere, or so common that no jar has to be opened."""
_OPEN = ("spark.hadoop.", "spark.executorEnv.", "spark.sql.catalog.", "spark.databricks.", "spark.yarn.appMasterEnv.")
"""Prefixes with arbitrary names behind them."""


def spark_alternatives(name: str) -> frozenset[str]:
    """Return Spark's properties if `name` is not one of them; nothing if it is, or cannot be decided."""
    if name in _COMMON or name.startswith(_OPEN):
        return frozenset()
    known = spark_properties()
    parts = name.split(".")
    # some are prefixes: spark.kubernetes.driver.label.<any>
    prefixes = {".".join(parts[:end]) for end in range(3, len(parts) + 1)}
    return frozenset() if prefixes & known else known


@cache
def spark_properties() -> frozenset[str]:
    """Return the properties that the installed Spark declares, read from its classes without a JVM; none without it."""
    from zipfile import ZipFile

    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        return frozenset()
    properties: set[str] = set()
    for jar in (Path(spec.origin).parent / "jars").glob("spark-*.jar"):
        pattern = next((classes for prefix, classes in _CLASSES.items() if jar.name.startswith(prefix)), None)
        if pattern:
            with ZipFile(jar) as content:
                for entry in content.namelist():
                    if re.search(pattern, entry):
                        properties |= {name.decode() for name in _NAME.findall(content.read(entry))}
    return frozenset(properties) | (_COMMON if properties else frozenset())
