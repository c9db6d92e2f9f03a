"""How behaviour becomes numbers."""

from pydantic import Field

from jobs.settings.base import Section


class Weights(Section):
    """What one event is worth as a signal of interest."""

    save: float = Field(1.0, ge=0)
    """A save to any board."""
    click: float = Field(0.4, ge=0)
    """A click on the pin's link."""
    closeup: float = Field(0.2, ge=0)
    """Opening the pin."""


class Features(Section):
    """Signals and statistics."""

    half_life_days: float = Field(30.0, gt=0)
    """Days after which an event counts half."""
    window_days: int = Field(28, ge=1)
    """Days of events that statistics look at."""
    trend_days: int = Field(3, ge=1)
    """Days that count as now, for trends."""
    active_days: int = Field(28, ge=1)
    """A user with an event in as many days gets a feed of their own."""
    recent_saves: int = Field(50, ge=1)
    """Newest saves kept in a profile."""
    max_pins_per_user: int = Field(5_000, ge=1)
    """Pins kept per user in gold.interactions, saved and hidden ones first, then the newest: no user outweighs all."""
    max_weight: float = Field(3.0, gt=0)
    """Largest weight of a user and pin, however often the user opened it."""
    prior_impressions: float = Field(50.0, gt=0)
    """Weight of the category's mean rate in a pin's smoothed rate, in impressions."""
    weights: Weights = Weights()
    """What one event is worth."""
