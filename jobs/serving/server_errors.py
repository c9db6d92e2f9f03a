"""Messages for errors of Redis and memcached clients: what is wrong, and what to change.

Error classes are matched by name, so that no client library is imported here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SECRET = "PINLAKE_PUBLISH__PASSWORD"  # noqa: S105 - the variable's name
COMMANDS = (
    "+get +mget +set +mset +append +del +unlink +pexpire +pttl +watch +unwatch +multi +exec +evalsha +script|load "
    "+info +select"
)
"""Commands that a Redis ACL user must be allowed."""


@dataclass(frozen=True)
class Connection:
    """How a server was reached."""

    server: str
    """Kind and address."""
    user: str = ""
    password: bool = False
    """Whether one was given."""
    tls: bool = False
    seconds: float = 1.0
    """Longest wait."""


@dataclass(frozen=True)
class Rule:
    """One kind of error, and its message."""

    kinds: frozenset[str]
    """Names of the client's error classes; any of them matches."""
    parts: tuple[str, ...]
    """Parts of the error's text, in lower case; any of them matches."""
    text: str
    """Message with {at}, {reason}, {user}, {seconds}, {plain}, {commands}."""

    def matches(self, kinds: frozenset[str], reason: str) -> bool:
        """Return whether an error is of this kind."""
        return bool(self.kinds & kinds) or any(part in reason.lower() for part in self.parts)


def _rule(kinds: str, words: Sequence[str], text: str) -> Rule:
    return Rule(frozenset(kinds.split()), tuple(words), text)


_LOGIN = _rule("AuthenticationError AuthenticationWrongNumberOfArgsError", ("noauth", "wrongpass"), "")
_REDIS = (
    _rule(
        "NoPermissionError",
        ("noperm", "can't run this command"),
        "{at} does not let the user {user} do this ({reason}). Allow it there: ACL SETUSER {user} ~pinlake:* "
        "{commands}; or name another user in publish.user.",
    ),
    _rule(
        "OutOfMemoryError",
        (),
        "{at} is full: give it more maxmemory (for publish.keep_generations + 2 generations), or lower that setting.",
    ),
    _rule(
        "ReadOnlyError MasterDownError",
        ("readonly", "masterdown"),
        "{at} is a replica, which takes no writes ({reason}). Name its primary in publish.nodes.",
    ),
    _rule(
        "ClusterError ClusterDownError MovedError AskError ClusterCrossSlotError TryAgainError",
        ("hash slot", "hash to the same slot", "clusterdown", "crossslot", "moved "),
        "{at} is a node of a Redis Cluster ({reason}), where related keys lie on several nodes: not supported. Name "
        "a server with cluster-enabled no, or use memcached for several servers.",
    ),
    _rule(
        "",
        ("max number of clients",),
        "{at} has no connection left for one more ({reason}): raise maxclients there, or close idle ones.",
    ),
    _rule(
        "LockError",
        (),
        "{at}: the lease was lost ({reason}), as the server forgot it or another publisher took it. Run again.",
    ),
    _rule("BusyLoadingError", (), "{at} is still loading its data ({reason}). Wait until it is done, then run again."),
    _rule(
        "",
        ("db index", "select is not allowed"),
        "{at} has no such database ({reason}): correct publish.database, or the number in the URL.",
    ),
    _rule(
        "InvalidResponse",
        ("protocol error",),
        "{at} does not answer as Redis does ({reason}). Correct the port in publish.nodes.",
    ),
)
_MEMCACHED = (
    _rule("", ("too large",), "{at} takes no value that large ({reason}): give it a larger -I, or shorten the lists."),
    _rule("", ("out of memory",), "{at} is full ({reason}): set a larger -m, or lower publish.keep_generations."),
    _rule("", ("unauthenticated",), "{at} asks for a login ({reason}), which is not supported: start it without SASL."),
    _rule(
        "MemcacheUnexpectedCloseError",
        (),
        "{at} (publish.nodes) closed the connection without an answer: it has too many connections, or speaks TLS.",
    ),
    _rule(
        "MemcacheUnknownError MemcacheUnknownCommandError",
        (),
        "{at} (publish.nodes) does not answer as memcached does ({reason}). Correct the port.",
    ),
)
_NETWORK = frozenset({"ConnectionError", "TimeoutError", "OSError"})
_REFUSAL = _rule(
    "Exception", (), "{at} (publish.nodes): request refused: {reason}. Change it there, or name another server."
)
_CONNECTION = (
    _rule(
        "",
        ("certificate",),
        "{at} (publish.nodes): its certificate cannot be trusted ({reason}). Name the file of its authority in "
        "publish.tls_ca, and the host as the certificate does.",
    ),
    _rule(
        "",
        ("ssl", "wrong_version"),
        "{at} (publish.nodes) answers, but not in TLS ({reason}): write redis:// and set publish.tls to false, or "
        "correct the port.",
    ),
    _rule(
        "TimeoutError",
        ("timed out", "timeout"),
        "{at} (publish.nodes) did not answer within publish.timeout_seconds = {seconds:g}. Check that it is "
        "running and reachable.{plain}",
    ),
    _rule(
        "gaierror",
        ("name or service", "nodename nor", "name resolution", "no address associated"),
        "{at} (publish.nodes): the host name cannot be resolved ({reason}). Correct publish.nodes.",
    ),
    _rule(
        "",
        ("closed by", "reset by peer", "eof"),
        "{at} (publish.nodes) closed the connection without an answer ({reason}). If it speaks TLS, write rediss:// or "
        "set publish.tls to true.",
    ),
    _rule("Exception", (), "{at} (publish.nodes) cannot be reached: {reason}. Check that it is running."),
)


def of_redis(connection: Connection, error: Exception) -> str:
    """Return the message for an error of redis-py."""
    if _LOGIN.matches(_kinds(error), str(error)):
        return _refused_login(connection, _reason(error))
    return _message(_REDIS, connection, error)


def of_memcached(node: str, error: Exception, seconds: float) -> str:
    """Return the message for an error of pymemcache, or of the connection."""
    return _message(_MEMCACHED, Connection(f"memcached at {node}", seconds=seconds), error)


def _message(rules: Sequence[Rule], connection: Connection, error: Exception) -> str:
    reason, kinds = _reason(error), _kinds(error)
    # a server that answered is running: its error needs no advice to start it
    rest = _CONNECTION if kinds & _NETWORK else (_REFUSAL,)
    rule = next(rule for rule in (*rules, *rest) if rule.matches(kinds, reason))
    facts = {
        "at": connection.server,
        "reason": reason,
        "user": connection.user or "default",
        "seconds": connection.seconds,
    }
    # a server without TLS waits for the end of a command that never comes
    facts["plain"] = " If it does not speak TLS, write redis:// and set publish.tls to false." if connection.tls else ""
    return rule.text.format(**facts, commands=COMMANDS)


def _refused_login(connection: Connection, reason: str) -> str:
    if "without any password configured" in reason or "no password is set" in reason:
        return (
            f"{connection.server} has no password set for its default user, but {SECRET} gives one. Unset the "
            "variable, set requirepass there, or name a user of its own in publish.user."
        )
    if not connection.password:
        return (
            f"{connection.server} asks for a password and none is given. Set {SECRET} in the environment, and "
            "publish.user for a user other than default."
        )
    return (
        f"{connection.server} refuses the user {connection.user or 'default'} with the password of {SECRET} ({reason})."
        " Correct the variable in the environment, or publish.user; ACL LIST there shows its users."
    )


def _kinds(error: Exception) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in type(error).__mro__)


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).rstrip(".")[:200]
