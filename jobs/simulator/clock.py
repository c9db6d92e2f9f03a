"""Instants of the simulation, in ms since 1970, and as TiDB timestamps."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from jobs.common.errors import ConfigError
from jobs.settings.simulator import Simulator
from jobs.simulator.rng import DAY, MINUTE, SECOND

HISTORY_DAYS = 150
"""Days of saves and new pins before the window of events."""
AFTER = 5 * MINUTE
"""Milliseconds of the change feed after its checkpoint."""


def tso(ms: int) -> int:
    """Return the TiDB timestamp of a millisecond, logical part 0."""
    return ms << 18


def day_name(ms: int) -> str:
    """Return the UTC day, `YYYY-MM-DD`."""
    return datetime.fromtimestamp(ms / SECOND, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True)
class Clock:
    """The instants of one simulation."""

    era: int
    """First pins and saves."""
    start: int
    """First events."""
    snapshot: int
    """Instant of the export; start of the change feed."""
    end: int
    """Checkpoint of the change feed and end of the events."""
    last: int
    """Last change in the feed, above the checkpoint."""

    @property
    def as_of(self) -> date:
        """Return the first day by which all events have happened."""
        return datetime.fromtimestamp(self.end / SECOND, UTC).date()

    @property
    def days(self) -> range:
        """Return the starts of the days of events."""
        return range(self.start, self.end, DAY)

    def stream(self, share: float) -> int:
        """Return the instant at `share` of the change feed."""
        return self.snapshot + int((self.end - self.snapshot) * share)


def clock(config: Simulator) -> Clock:
    """Return the instants of the settings; ConfigError if `end` is not midnight UTC or the stream is too long."""
    end = config.end if config.end.tzinfo else config.end.replace(tzinfo=UTC)
    end = end.astimezone(UTC)
    if end != end.replace(hour=0, minute=0, second=0, microsecond=0):
        raise ConfigError(
            f"simulator.end must be 00:00 UTC of a day; it is {end.isoformat()}; set it to such an instant."
        )
    if config.stream_days > config.days:
        given = f"stream_days {config.stream_days} of {config.days} days"
        raise ConfigError(f"simulator.stream_days must not exceed simulator.days; it is {given}; lower it.")
    ms = int(end.timestamp()) * SECOND
    start = int((end - timedelta(days=config.days)).timestamp()) * SECOND
    return Clock(start - HISTORY_DAYS * DAY, start, ms - config.stream_days * DAY, ms, ms + AFTER)
