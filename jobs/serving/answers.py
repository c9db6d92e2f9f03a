"""What servers answer, in words: what is wrong and what to change. Nobody is asked whether a server runs that answered.

Clients' errors come here as they are; their classes are told by name, so that no client is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SECRET = "PINLAKE_PUBLISH__PASSWORD"  # noqa: S105 - the variable's name
COMMANDS = (
    "+get +mget +set +mset +append +del +unlink +pexpire +pttl +watch +unwatch +multi +exec +evalsha +script|load "
    "+info +select"
)
"""What a user of Redis' access control must be allowed."""


@dataclass(frozen=True)
class Asked:
    """How a server was asked."""

    server: str
    """As a person knows it: kind and address."""
    user: str = ""
    password: bool = False
    """Whether one was given."""
    tls: bool = False
    seconds: float = 1.0
    """Longest wait."""


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong, and what to say of it."""

    kinds: frozenset[str]
    """Classes of the client's error, any of which tells it."""
    words: tuple[str, ...]
    """Words of the answer, any of which tells it; in lower case."""
    text: str
    """With {at}, {said}, {user}, {seconds}, {plain}, {commands}."""

    def fits(self, kinds: frozenset[str], said: str) -> bool:
        """Return whether it is this."""
        return bool(self.kinds & kinds) or any(word in said.lower() for word in self.words)


def _rule(kinds: str, words: Sequence[str], text: str) -> Rule:
    return Rule(frozenset(kinds.split()), tuple(words), text)


_LOGIN = _rule("AuthenticationError AuthenticationWrongNumberOfArgsError", ("noauth", "wrongpass"), "")
_REDIS = (
    _rule(
        "NoPermissionError",
        ("noperm", "can't run this command"),
        "{at} does not let the user {user} do this ({said}). Allow it there: ACL SETUSER {user} ~pinlake:* {commands}; "
        "or name another user in publish.user.",
    ),
    _rule(
        "OutOfMemoryError",
        (),
        "{at} is full: give it more maxmemory (for publish.keep_generations + 2 generations), or lower that setting.",
    ),
    _rule(
        "ReadOnlyError MasterDownError",
        ("readonly", "masterdown"),
        "{at} is a replica, which takes no writes ({said}). Name its primary in publish.nodes.",
    ),
    _rule(
        "ClusterError ClusterDownError MovedError AskError ClusterCrossSlotError TryAgainError",
        ("hash slot", "hash to the same slot", "clusterdown", "crossslot", "moved "),
        "{at} is a node of a Redis Cluster ({said}), where keys that go together lie on several nodes: not supported. "
        "Name a server with cluster-enabled no, or use memcached for several servers.",
    ),
    _rule(
        "",
        ("max number of clients",),
        "{at} has no connection left for one more ({said}): raise maxclients there, or close idle ones.",
    ),
    _rule(
        "LockError",
        (),
        "{at}: the lease was lost ({said}), as the server forgot it or another publisher took it. Run again.",
    ),
    _rule("BusyLoadingError", (), "{at} is still loading its data ({said}). Wait until it is done, then run again."),
    _rule(
        "",
        ("db index", "select is not allowed"),
        "{at} has no such database ({said}): correct publish.database, or the number in the URL.",
    ),
    _rule(
        "InvalidResponse",
        ("protocol error",),
        "{at} answers, but not as Redis does ({said}). Correct the port in publish.nodes.",
    ),
)
_MEMCACHED = (
    _rule("", ("too large",), "{at} takes no value that large ({said}): give it a larger -I, or shorten the lists."),
    _rule("", ("out of memory",), "{at} is full ({said}): set a larger -m, or lower publish.keep_generations."),
    _rule("", ("unauthenticated",), "{at} asks for a login ({said}), which is not supported: start it without SASL."),
    _rule(
        "MemcacheUnexpectedCloseError",
        (),
        "{at} (publish.nodes) closed the connection without an answer: it has too many connections, or speaks TLS.",
    ),
    _rule(
        "MemcacheUnknownError MemcacheUnknownCommandError",
        (),
        "{at} (publish.nodes) answers, but not as memcached does ({said}). Correct the port.",
    ),
)
_NETWORK = frozenset({"ConnectionError", "TimeoutError", "OSError"})
_REFUSAL = _rule("Exception", (), "{at} (publish.nodes) refuses: {said}. Change it there, or name another server.")
_CONNECTION = (
    _rule(
        "",
        ("certificate",),
        "{at} (publish.nodes): its certificate cannot be trusted ({said}). Name the file of its authority in "
        "publish.tls_ca, and the host as the certificate does.",
    ),
    _rule(
        "",
        ("ssl", "wrong_version"),
        "{at} (publish.nodes) answers, but not in TLS ({said}): write redis:// and set publish.tls to false, or "
        "correct the port.",
    ),
    _rule(
        "TimeoutError",
        ("timed out", "timeout"),
        "{at} (publish.nodes) did not answer within publish.timeout_seconds = {seconds:g}. Is it running, and "
        "reachable from here?{plain}",
    ),
    _rule(
        "gaierror",
        ("name or service", "nodename nor", "name resolution", "no address associated"),
        "{at} (publish.nodes): the name of the host is not known ({said}). Correct publish.nodes.",
    ),
    _rule(
        "",
        ("closed by", "reset by peer", "eof"),
        "{at} (publish.nodes) closed the connection without an answer ({said}). If it speaks TLS, write rediss:// or "
        "set publish.tls to true.",
    ),
    _rule("Exception", (), "{at} (publish.nodes) cannot be reached: {said}. Is it running?"),
)


def of_redis(asked: Asked, error: Exception) -> str:
    """Return what to say of an error of redis-py."""
    if _LOGIN.fits(_kinds(error), str(error)):
        return _refused_login(asked, _said(error))
    return _told(_REDIS, asked, error)


def of_memcached(node: str, error: Exception, seconds: float) -> str:
    """Return what to say of an error of pymemcache, or of the connection."""
    return _told(_MEMCACHED, Asked(f"memcached at {node}", seconds=seconds), error)


def _told(rules: Sequence[Rule], asked: Asked, error: Exception) -> str:
    said, kinds = _said(error), _kinds(error)
    # one that answered is not asked whether it runs
    rest = _CONNECTION if kinds & _NETWORK else (_REFUSAL,)
    rule = next(rule for rule in (*rules, *rest) if rule.fits(kinds, said))
    facts = {"at": asked.server, "said": said, "user": asked.user or "default", "seconds": asked.seconds}
    # a server without TLS waits for the end of a command that never comes
    facts["plain"] = " If it does not speak TLS, write redis:// and set publish.tls to false." if asked.tls else ""
    return rule.text.format(**facts, commands=COMMANDS)


def _refused_login(asked: Asked, said: str) -> str:
    if "without any password configured" in said or "no password is set" in said:
        return (
            f"{asked.server} has no password set for its default user, but {SECRET} gives one. Unset the variable, set "
            "requirepass there, or name a user of its own in publish.user."
        )
    if not asked.password:
        return (
            f"{asked.server} asks for a password and none is given. Set {SECRET} in the environment, and publish.user "
            "for a user other than default."
        )
    return (
        f"{asked.server} refuses the user {asked.user or 'default'} with the password of {SECRET} ({said}). Correct "
        "the variable in the environment, or publish.user; ACL LIST there shows its users."
    )


def _kinds(error: Exception) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in type(error).__mro__)


def _said(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).rstrip(".")[:200]
