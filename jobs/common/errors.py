"""Every error a person may see, each with the exit code the command line returns for it.

A message names the thing, the rule, the value given and the next step.
"""


class PinlakeError(Exception):
    """Root of all expected failures; anything else is a bug and shows its trace."""

    exit_code = 1


class ConfigError(PinlakeError):
    """A setting, option or argument is unknown, missing or out of range."""

    exit_code = 2


class SourceError(PinlakeError):
    """Outside input is missing, unreadable or of a kind that cannot be ingested safely."""

    exit_code = 3


class MissingDependencyError(PinlakeError):
    """Something the machine must offer is not there: Java, a server, a package, disk space."""

    exit_code = 4


class ValidationFailedError(PinlakeError):
    """A critical expectation failed; nothing was committed."""

    exit_code = 5


class GateRefusedError(PinlakeError):
    """The gate judged a generation unfit; the served generation stays."""

    exit_code = 6


class StoreError(PinlakeError):
    """The online store refused, lost or garbled data; the pointer was not moved."""

    exit_code = 7


class ConcurrentRunError(PinlakeError):
    """Another run wrote the same table first; this one committed nothing."""

    exit_code = 8


class TableError(PinlakeError):
    """A table is absent, empty at that as-of, or not of the shape the registry states."""

    exit_code = 9


class Blocked(PinlakeError):
    """A table or topic was blocked back while ingest took in the others; with --strict also anything else amiss."""

    exit_code = 10
