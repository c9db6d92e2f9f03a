"""How many pins each source proposes, and how."""

from pydantic import Field

from jobs.settings.base import Section


class Collaborative(Section):
    """Implicit ALS and an inner-product search."""

    per_user: int = Field(150, ge=1)
    """Pins proposed to a user."""
    factors: int = Field(64, ge=2)
    """Length of the factor vectors."""
    regularization: float = Field(20.0, ge=0)
    """Not scaled by row length: tens to hundreds suit, not hundredths."""
    alpha: float = Field(20.0, gt=0)
    """Confidence of a seen pair over an unseen one."""
    iterations: int = Field(15, ge=1)
    """Alternations."""
    degree_exponent: float = Field(0.3, ge=0)
    """Confidence is scaled by (row and column degree / mean) to the minus this; 0 leaves it."""
    threads: int = Field(0, ge=0)
    """Threads of the training; 0 takes every core. The result is the same."""
    max_pairs: int = Field(200_000_000, ge=1)
    """Largest training set taken to one node; above it the job says so and stops."""
    index_pins: int = Field(2_000_000, ge=1)
    """Pins searched, the most popular ones: each executor holds their factors in memory."""
    history: int = Field(50, ge=1)
    """Newest saves of a user that a proposal may be explained by."""


class Content(Section):
    """Neighbours, in embedding space, of what the user saved lately."""

    per_user: int = Field(150, ge=1)
    """Pins proposed to a user."""
    seeds: int = Field(10, ge=1)
    """Newest saves searched from."""
    neighbours: int = Field(40, ge=1)
    """Neighbours taken per seed."""
    recency: float = Field(0.97, gt=0, le=1)
    """A seed counts this much less than the next newer one."""


class Trending(Section):
    """Pins that rise."""

    per_user: int = Field(40, ge=1)
    """Pins proposed to a user, from the user's categories."""
    per_category: int = Field(100, ge=1, le=1000)
    """Pins kept per category."""
    explore: float = Field(0.15, ge=0, le=1)
    """Share of the proposals that comes from all categories, whatever the user's."""
    min_observed: int = Field(3, ge=1)
    """Fewest people that make a trend."""
    max_acts_per_day: int = Field(150, ge=1)
    """Saves and openings of a person in a day; on a day with more, the user is taken for a bot and not counted."""


class Fresh(Section):
    """New pins of promise."""

    per_user: int = Field(60, ge=1)
    """Pins proposed to a user, from the user's categories and followed creators."""
    days: float = Field(7.0, gt=0)
    """A pin younger than this is fresh."""
    per_category: int = Field(150, ge=1, le=1000)
    """Pins kept per category."""
    per_creator: int = Field(5, ge=1, le=1000)
    """Newest pins of one followed creator."""
    explore: float = Field(0.1, ge=0, le=1)
    """Share of the proposals that comes from all categories, whatever the user's."""


class Candidates(Section):
    """Candidate sources."""

    seed: int = Field(20261101, ge=0)
    """Where all randomness starts."""
    collaborative: Collaborative = Collaborative()
    """Implicit ALS."""
    content: Content = Content()
    """Embedding neighbours."""
    trending: Trending = Trending()
    """Rising pins."""
    fresh: Fresh = Fresh()
    """New pins."""
