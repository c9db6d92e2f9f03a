"""When things are in the world: the instants that everything hangs on, in ms since 1970, and as TiDB timestamps."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from jobs.common.errors import ConfigError
from jobs.settings.simulator import Simulator
from jobs.simulator.rng import DAY, MINUTE, SECOND

HISTORY_DAYS = 150
"""Days before the window in which pins and saves were already made."""
AFTER = 5 * MINUTE
"""How long the change feed goes on above its checkpoint."""


def tso(ms: int) -> int:
    """Return the TiDB timestamp of a millisecond, logical part 0."""
    return ms << 18


def day_name(ms: int) -> str:
    """Return the UTC day, `YYYY-MM-DD`."""
    return datetime.fromtimestamp(ms / SECOND, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True)
class Clock:
    """The instants of one world."""

    era: int
    """First pins and saves."""
    start: int
    """First events."""
    snapshot: int
    """The export was taken; the change feed starts."""
    end: int
    """Checkpoint of the change feed and end of the events."""
    last: int
    """Last change in the feed, above the checkpoint."""

    @property
    def as_of(self) -> date:
        """Return the first day that knows the whole world."""
        return datetime.fromtimestamp(self.end / SECOND, UTC).date()

    @property
    def days(self) -> range:
        """Return the starts of the days of events."""
        return range(self.start, self.end, DAY)

    def stream(self, share: float) -> int:
        """Return the instant at which `share` of the change feed has passed."""
        return self.snapshot + int((self.end - self.snapshot) * share)


def clock(world: Simulator) -> Clock:
    """Return the instants the settings ask for; ConfigError if `end` is no midnight or the stream is too long."""
    end = world.end if world.end.tzinfo else world.end.replace(tzinfo=UTC)
    end = end.astimezone(UTC)
    if end != end.replace(hour=0, minute=0, second=0, microsecond=0):
        raise ConfigError(
            f"simulator.end must be 00:00 UTC of a day; it is {end.isoformat()}; set it to such an instant."
        )
    if world.stream_days > world.days:
        given = f"stream_days {world.stream_days} of {world.days} days"
        raise ConfigError(f"simulator.stream_days must not exceed simulator.days; it is {given}; lower it.")
    ms = int(end.timestamp()) * SECOND
    start = int((end - timedelta(days=world.days)).timestamp()) * SECOND
    return Clock(start - HISTORY_DAYS * DAY, start, ms - world.stream_days * DAY, ms, ms + AFTER)
