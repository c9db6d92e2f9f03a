"""Settings of the feature jobs: weights, windows and smoothing of user behaviour."""

from pydantic import Field

from jobs.settings.base import Section


class Weights(Section):
    """Weight of one event as a signal of interest."""

    save: float = Field(1.0, ge=0)
    """A save to any board."""
    click: float = Field(0.4, ge=0)
    """A click on the pin's link."""
    closeup: float = Field(0.2, ge=0)
    """Opening the pin."""


class Features(Section):
    """Signals and statistics."""

    half_life_days: float = Field(30.0, gt=0)
    """Half-life in days of an event's weight."""
    window_days: int = Field(28, ge=1)
    """Days of events that statistics cover."""
    trend_days: int = Field(3, ge=1)
    """Most recent days that trends compare with the rest of the window."""
    active_days: int = Field(28, ge=1)
    """Users with an event in this many days are active and get a feed of their own."""
    recent_saves: int = Field(50, ge=1)
    """Newest saves kept in a user profile."""
    max_pins_per_user: int = Field(5_000, ge=1)
    """Pins kept per user in gold.interactions: saved and hidden pins first, then the newest."""
    max_weight: float = Field(3.0, gt=0)
    """Largest weight of a user-pin pair, however many events it has."""
    prior_impressions: float = Field(50.0, gt=0)
    """Weight, in impressions, of the category's mean rate in a pin's smoothed rate."""
    weights: Weights = Weights()
    """Weight of one event."""
