"""Writes the messages into Kafka archives: pin_events as Secor does, searches and pin_embeddings as Connect does."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.settings.ranking import Ranking
from jobs.settings.simulator import Simulator
from jobs.simulator.arms import arm_of
from jobs.simulator.clock import Clock, day_name
from jobs.simulator.events import Events, Searches, embedding_lines, event_lines, search_lines
from jobs.simulator.kafka import Connect, Secor
from jobs.simulator.pins import Pins, Space
from jobs.simulator.rng import HOUR, SECOND, rng
from jobs.simulator.text import content

PIECE = 250_000
"""Messages formatted at once."""
_FLUSH = 10_000
"""Messages per file of Kafka Connect."""
_UNDATED = "1970-01-01"
"""Folder in which Secor puts messages without a time."""


class Archive:
    """The Kafka archives below `root`."""

    def __init__(self, root: Path, config: Simulator, ranking: Ranking) -> None:
        """Begin all topics at offset 0."""
        self.config, self._arms = config, tuple(ranking.arms)
        self._arm = arm_of(config.users, ranking)
        self._events = Secor(root, "pin_events")
        self._searches = Connect(root, "searches", _FLUSH)
        self._embeddings = Connect(root, "pin_embeddings", _FLUSH)
        self._salt = int(rng(config.seed, "event ids").integers(2**40))
        self._bad = config.bad_rows
        self.events = self.searches = self.repeated = self.broken = 0

    def day(self, day: int, number: int, events: Events, searches: Searches) -> None:
        """Write one day: files per Kafka partition; every fifth day one that overlaps the previous file."""
        for low in range(0, len(events), PIECE):
            piece = events.part(slice(low, low + PIECE))
            lines = event_lines(piece, self.events, self._salt, self._arms, self._arm)
            self.events += len(piece)
            for partition in range(self.config.kafka_partitions):
                mine = lines.take(pa.array(np.flatnonzero(piece.user % self.config.kafka_partitions == partition)))
                self._partition(day_name(day), partition, mine, again=number % 5 == 2)
        asked = search_lines(searches)
        self.searches += len(asked)
        for partition in range(2):
            self._searches.write(partition, asked.take(pa.array(np.flatnonzero(searches.user % 2 == partition))))

    def _partition(self, day: str, partition: int, lines: Any, again: bool) -> None:
        if not len(lines):
            return
        repeated = len(lines) // 8 if again else 0
        self.repeated += repeated
        self._events.write(day, partition, lines, repeated)
        if self._bad:
            self._spoil(day, partition, lines)

    def _spoil(self, day: str, partition: int, lines: Any) -> None:
        """Write malformed messages: truncated JSON after a repeated event in an own file, the last undated."""
        body = bytes(content(lines.slice(0, 1)))
        cut = body[: len(body) // 2] + b"\n"
        if self._bad > 1:
            # after a valid message: a file without a readable one would block the topic
            self._events.stray(day, partition, body.rstrip(b"\n") + b"\n" + cut * (self._bad - 1))
            self.repeated += 1
        undated = body[: body.rindex(b',"ts"')] + b',"ts":null}\n'
        self._events.stray(_UNDATED, partition, undated)
        self.broken, self._bad = self._bad, 0

    def embeddings(self, pins: Pins, when: Clock) -> None:
        """Write each pin's embedding: old pins by one backfill when the events begin, others soon after creation."""
        space = Space(self.config)
        for pin, vectors in space.pieces(pins):
            after = 20 * SECOND + pin % (40 * SECOND)
            backfill = when.start + HOUR + pin % HOUR
            ts = np.where(pins.created[pin] < when.start, backfill, pins.created[pin] + after)
            lines = embedding_lines(pin, vectors, ts, self.config.model)
            for partition in range(2):
                self._embeddings.write(partition, lines.take(pa.array(np.flatnonzero(pin % 2 == partition))))

    def finish(self) -> None:
        """Write the messages still in memory."""
        self._searches.finish()
        self._embeddings.finish()
