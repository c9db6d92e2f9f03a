"""What the JVM says at every start, left out of stderr; anything else it says goes through."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

_SAID = (b"WARNING: Using incubator modules", b"Setting default log level to", b"To adjust logging level use")
"""How lines begin that Spark's launcher and its JVM write whatever one sets."""


@contextmanager
def without_chatter() -> Iterator[None]:
    """Start a JVM within: it inherits a pipe for its stderr, of which only what matters comes to ours."""
    try:
        sys.stderr.flush()
        ours = os.dup(2)
    except OSError:  # closed: nobody listens
        yield
        return
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    Thread(target=_forward, args=(reading, ours), daemon=True, name="jvm-stderr").start()
    try:
        yield
    finally:
        os.dup2(ours, 2)


def _forward(reading: int, ours: int) -> None:
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            if not line.startswith(_SAID):
                os.write(ours, line)
