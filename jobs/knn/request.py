"""Request and report of a kNN join."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from jobs.common.errors import ConfigError
from jobs.knn.index import Wanted
from jobs.knn.tuning import Recall

EXACT_BELOW = 20_000
"""Up to as many vectors all are compared. Of 20,000 an index took 0.7 of the CPU, of 10,000 as much, of 5,000 1.5."""
BLOCK = 16_384
"""Vectors whose neighbours are looked for at once: four times as many cost as much each, and more memory."""
SEED = 20261101

Progress = Callable[[str, int, int], None]
"""Called with the step, how much of it is done and how much there is."""


@dataclass(frozen=True)
class KnnRequest:
    """What is asked for."""

    k: int
    metric: str = "cosine"
    """"cosine" or "ip", the inner product."""
    recall: float | None = None
    """Share of the true neighbours, by the lower end of its 95 % interval; None or 1 compares all."""
    backend: Wanted = "auto"
    threads: int | None = None
    """None: OMP_NUM_THREADS, else one."""
    seed: int = SEED
    exact_below: int = EXACT_BELOW
    strict: bool = True
    """Whether a recall that cannot be reached fails the search; else it is done with the most probes, and says so."""
    block: int = BLOCK

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if self.k < 1:
            raise ConfigError(f"k, the neighbours wanted, must be 1 or more, got {self.k}.")
        if self.recall is not None and not 0 < self.recall <= 1:
            raise ConfigError(f"recall must be above 0 and at most 1, which compares all, got {self.recall}.")
        if (self.threads is not None and self.threads < 1) or self.block < 1:
            raise ConfigError(f"threads and block must be 1 or more, got {self.threads} and {self.block}.")


@dataclass
class Report:
    """What was chosen and found."""

    vectors: int
    quarantined: int
    dim: int
    k: int
    metric: str
    backend: str
    """"cpu" or "gpu"."""
    fallback: str
    """Why "auto" did not take a GPU; empty where it did, or was not asked to."""
    gpu_fallbacks: int
    """1 where it did not: for a dashboard to add up."""
    values: str = "float32"
    """Type of the values given, as numpy calls it."""
    index: str = "exact"
    """"exact" or "inverted"."""
    cells: int = 0
    probes: int = 0
    recall: Recall | None = None
    """On a sample; None where all were compared."""
    missed: float | None = None
    """Recall that was asked for and not reached, by the lower end of the interval; None where it was."""
    neighbours: int = 0
    short: int = 0
    """Vectors with fewer than min(k, n - 1) neighbours: their lists hold no more."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall seconds by step."""

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)
