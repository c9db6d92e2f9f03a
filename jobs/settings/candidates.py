"""Settings of the candidate sources."""

from pydantic import Field

from jobs.settings.base import Section


class Collaborative(Section):
    """Implicit ALS, then maximum inner product search."""

    per_user: int = Field(150, ge=1)
    """Pins proposed per user."""
    factors: int = Field(64, ge=2)
    """Dimensions of the factor vectors."""
    regularization: float = Field(20.0, ge=0)
    """L2 regularization, not scaled by row length: tens to hundreds are usual, not hundredths."""
    alpha: float = Field(20.0, gt=0)
    """Confidence of an observed pair relative to an unobserved one."""
    iterations: int = Field(15, ge=1)
    """ALS iterations."""
    degree_exponent: float = Field(0.3, ge=0)
    """Confidence is multiplied by (row and column degree / mean degree) ** -exponent; 0 disables it."""
    threads: int = Field(0, ge=0)
    """Training threads; 0 uses every core. The result does not depend on it."""
    max_pairs: int = Field(200_000_000, ge=1)
    """Largest training set in user-pin pairs; training is on one node, and the job fails above it."""
    index_pins: int = Field(2_000_000, ge=1)
    """Most popular pins that are searched; each executor holds their factors in memory."""
    history: int = Field(50, ge=1)
    """Newest saves per user from which a proposal's explanation is chosen."""


class Content(Section):
    """Embedding neighbours of the user's latest saves."""

    per_user: int = Field(150, ge=1)
    """Pins proposed per user."""
    seeds: int = Field(10, ge=1)
    """Newest saves whose neighbours are proposed."""
    neighbours: int = Field(40, ge=1)
    """Neighbours used per seed."""
    recency: float = Field(0.97, gt=0, le=1)
    """Factor by which a seed weighs less than the next newer one."""


class Trending(Section):
    """Pins whose engagement rises above expectation."""

    per_user: int = Field(40, ge=1)
    """Pins proposed per user, from the user's categories."""
    per_category: int = Field(100, ge=1, le=1000)
    """Pins kept per category."""
    explore: float = Field(0.15, ge=0, le=1)
    """Share of the proposals drawn from all categories."""
    min_observed: int = Field(3, ge=1)
    """Fewest distinct users that make a trend."""
    max_acts_per_day: int = Field(150, ge=1)
    """Largest number of saves and opens per user and day; users above it are taken for bots that day and ignored."""


class Fresh(Section):
    """New pins with good prospects."""

    per_user: int = Field(60, ge=1)
    """Pins proposed per user, from the user's categories and followed creators."""
    days: float = Field(7.0, gt=0)
    """Age in days below which a pin is fresh."""
    per_category: int = Field(150, ge=1, le=1000)
    """Pins kept per category."""
    per_creator: int = Field(5, ge=1, le=1000)
    """Newest pins used per followed creator."""
    explore: float = Field(0.1, ge=0, le=1)
    """Share of the proposals drawn from all categories."""


class Candidates(Section):
    """Candidate sources."""

    seed: int = Field(20261101, ge=0)
    """Random seed."""
    collaborative: Collaborative = Collaborative()
    """Implicit ALS, then maximum inner product search."""
    content: Content = Content()
    """Embedding neighbours of the latest saves."""
    trending: Trending = Trending()
    """Trending pins."""
    fresh: Fresh = Fresh()
    """New pins."""
