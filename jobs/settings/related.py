"""Settings of the pin-to-pin stages: nearest neighbours, image de-duplication, related pins."""

from typing import Literal

from pydantic import Field

from jobs.settings.base import Section


class Neighbours(Section):
    """Nearest neighbours of pins in embedding space."""

    backend: Literal["auto", "cpu", "gpu", "required_gpu"] = "auto"
    """Device FAISS searches on: auto uses a working GPU if there is one; gpu and required_gpu fail without one."""
    model: str = ""
    """Embedding model to use; empty selects the only one present and fails if there are several."""
    k: int = Field(50, ge=1, le=1000)
    """Nearest pins kept per pin."""
    block: int = Field(4096, ge=1024)
    """Queries per FAISS call; below 1,024 each search costs several times as much."""
    max_exact: int = Field(200_000, ge=0)
    """Largest number of pins searched by brute force; above it a sharded inverted-file (IVF) index is used."""
    shard_rows: int = Field(2_000_000, ge=1)
    """Approximate vectors per index shard; a task holds one shard in memory: 1 GiB at 128 dimensions."""
    shard_queries: int = Field(200_000, ge=1)
    """Approximate queries a task runs against one shard; each result is stored, so that a killed run resumes."""
    task_cpus: int = Field(1, ge=1)
    """Cores per search task; above 1 the stage requests them from the cluster by a resource profile."""
    task_gpus: float = Field(0.0, ge=0)
    """GPUs, or a fraction of one, requested per search task; the workers must offer the resource `gpu`."""
    rebuild_days: int = Field(7, ge=1)
    """Days an index is updated incrementally before its cells are trained again and all pins are searched."""
    changed_share: float = Field(0.2, ge=0, le=1)
    """Largest share of pins searched incrementally; above it all are searched; 0 always searches all."""
    audit_pins: int = Field(500, ge=2)
    """Pins whose neighbours are compared with the exact ones each day."""
    min_recall: float = Field(0.98, gt=0, le=1)
    """Recall the IVF index must reach, by the lower end of a 95 % confidence interval."""
    tuning_queries: int = Field(2_000, ge=100)
    """Queries compared with brute force to tune the IVF index."""
    seed: int = 20261101
    """Random seed of the tuning sample and of the index training."""


class ImageDedup(Section):
    """Clusters of near-duplicate images."""

    hash_radius: int = Field(6, ge=0, le=10)
    """Largest Hamming distance, in bits, between perceptual hashes of near-duplicates."""
    confirm_cosine: float = Field(0.95, gt=0, le=1)
    """Least cosine of two embeddings that confirms a pair of near hashes; hashes alone are not specific enough."""
    duplicate_cosine: float = Field(0.98, gt=0, le=1)
    """Pins with this cosine or more are near-duplicates: not related to, nor listed with, one another."""


class Related(Section):
    """Related pins: sources, blend and lists."""

    board_pin_cap: int = Field(100, ge=2)
    """Newest pins per board that count as saved together; the pairs grow with its square."""
    user_cap: int = Field(3, ge=1)
    """Boards, or sessions, of one user that count for a pair of pins."""
    pairs_per_pin: int = Field(100, ge=1)
    """Best co-saved pins, and best co-viewed pins, kept per pin."""
    shrinkage: float = Field(2.0, ge=0)
    """A pair found in n boards or sessions is discounted by n / (n + shrinkage)."""
    session_gap_minutes: int = Field(30, ge=1)
    """Minutes without an event of interest that end a session."""
    session_pin_cap: int = Field(30, ge=2)
    """Newest pins per session that count as viewed together; the pairs grow with its square."""
    session_event_cap: int = Field(2_000, ge=2)
    """Newest events per user that sessions are made of."""
    link_pin_cap: int = Field(50, ge=2)
    """Largest number of pins that link to one page; pages with more give no pairs."""
    similarity_weight: float = Field(0.5, ge=0, le=1)
    """Weight of embedding similarity in the blend."""
    co_save_weight: float = Field(0.5, ge=0, le=1)
    """Weight of co-saves (both pins on a public board) in the blend."""
    session_weight: float = Field(0.2, ge=0, le=1)
    """Weight of co-views (both pins opened in a session) in the blend."""
    link_weight: float = Field(0.1, ge=0, le=1)
    """Weight of a shared link in the blend."""
    collaborative_weight: float = Field(0.3, ge=0, le=1)
    """Weight of collaborative-filtering similarity (saved by the same users) in the blend."""
    collaborative_min_saves: int = Field(3, ge=1)
    """Fewest saves of a pin compared by its collaborative-filtering factors; fewer make the factors noise."""
    collaborative_max_pins: int = Field(1_000_000, ge=2)
    """Most-saved pins compared by their factors; each executor holds the factors of all."""
    save_rate_weight: float = Field(1.0, ge=0, le=2)
    """How strongly a pin's save rate, relative to its category's, raises or lowers its score; 0 ignores it."""
    fresh_days: float = Field(7.0, ge=0)
    """Age in days below which a pin is fresh."""
    fresh_share: float = Field(0.1, ge=0, le=1)
    """Share of a list reserved for fresh pins, as far as the pool has any."""
    pool: int = Field(60, ge=1)
    """Best-scored candidates per pin from which its list is chosen."""
    owner_cap: int = Field(5, ge=1)
    """Pins of one creator in a list."""
    length: int = Field(30, ge=1)
    """Pins in a list."""
    query_hours: float = Field(168.0, gt=0)
    """Hours for which the pin a user opened last counts as the query pin of a shown related-pins list."""
