"""One message of a Kafka archive, and what ends a file before its end."""

from typing import NamedTuple


class Message(NamedTuple):
    """A message and what its archive keeps of it."""

    value: bytes | None
    """None: a tombstone."""
    row_no: int
    """Place in the file, from 1."""
    offset: int | None = None
    """Kafka offset, where it stands in the file."""
    key: bytes | None = None
    ts: int | None = None
    """Kafka timestamp, milliseconds since 1970."""
    headers: str | None = None
    """As JSON."""
    partition: int | None = None
    """Kafka partition, where the message itself says it."""


class Broken(ValueError):
    """From here on a file cannot be read."""

    def __init__(self, reason: str, detail: str, row_no: int | None, raw: bytes | None = None) -> None:
        super().__init__(detail)
        self.reason, self.row_no, self.raw = reason, row_no, raw
