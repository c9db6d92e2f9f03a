"""How pins are compared by their images, and how related pins are chosen."""

from typing import Literal

from pydantic import Field

from jobs.settings.base import Section


class Visual(Section):
    """Embeddings, neighbours, related pins."""

    backend: Literal["auto", "cpu", "gpu", "required_gpu"] = "auto"
    """Where FAISS searches: auto takes a GPU that works, gpu and required_gpu, one and the same, fail without one."""
    model: str = ""
    """Embedding model to use; empty takes the only one there is, and fails where there are several."""
    neighbours: int = Field(50, ge=1, le=1000)
    """Nearest pins kept per pin."""
    block: int = Field(4096, ge=1024)
    """Pins searched for at once; below 1,024 each search costs several times as much."""
    max_exact: int = Field(200_000, ge=0)
    """Up to as many pins every vector is compared; above, an inverted-file index in shards is searched."""
    shard_rows: int = Field(2_000_000, ge=1)
    """Vectors of one shard of the index, about; a task holds one: 1 GiB at 128 values."""
    shard_queries: int = Field(200_000, ge=1)
    """Pins that a task looks up in one shard, about; what it found is kept, so that a killed run goes on after it."""
    task_cpus: int = Field(1, ge=1)
    """Cores of one such task; above one the search asks a cluster for them by a resource profile of its own."""
    task_gpus: float = Field(0.0, ge=0)
    """Share of a GPU that such a task asks a cluster for; its workers must offer the resource `gpu`."""
    rebuild_days: int = Field(7, ge=1)
    """Days that an index's cells are used before they are trained anew and all pins searched."""
    changed_share: float = Field(0.2, ge=0, le=1)
    """Share of the pins that may need a search before all are searched; 0 always searches all."""
    audit_pins: int = Field(500, ge=2)
    """Pins whose neighbours are compared with the true ones each day."""
    recall: float = Field(0.98, gt=0, le=1)
    """Share of the true neighbours that the inverted-file index must find, by the lower end of a 95 % interval."""
    tuning_queries: int = Field(2_000, ge=100)
    """Pins compared with every vector to tune the inverted-file index."""
    seed: int = 20261101
    """Of the tuning sample and of the index's training."""
    hash_radius: int = Field(6, ge=0, le=10)
    """Bits in which the hashes of near-duplicates may differ."""
    confirm_cosine: float = Field(0.95, gt=0, le=1)
    """Least cosine of two embeddings that confirms near hashes; hashes alone say too little."""
    duplicate_cosine: float = Field(0.98, gt=0, le=1)
    """Two pins this alike are near-duplicates: never related to, nor beside, one another."""
    board_cap: int = Field(100, ge=2)
    """Newest pins of a board that count as saved together; pairs grow with its square."""
    user_cap: int = Field(3, ge=1)
    """Boards of one owner that count for one pair of pins."""
    co_saves: int = Field(100, ge=1)
    """Pins saved together with a pin that are kept, best first."""
    co_save_shrink: float = Field(2.0, ge=0)
    """Pairs are discounted by n / (n + this), n their boards: one board in common is weak evidence."""
    sitting_minutes: int = Field(30, ge=1)
    """Minutes without an event of interest that end a person's sitting."""
    sitting_cap: int = Field(30, ge=2)
    """Newest pins of a sitting that count as opened together; pairs grow with its square."""
    sitting_events: int = Field(2_000, ge=2)
    """Newest events of a person that count."""
    link_cap: int = Field(50, ge=2)
    """Pins that lead to one page, beyond which the page says nothing of them."""
    similar_weight: float = Field(0.5, ge=0, le=1)
    """Weight of looking alike in the blend."""
    together_weight: float = Field(0.5, ge=0, le=1)
    """Weight of being saved together in the blend."""
    sitting_weight: float = Field(0.2, ge=0, le=1)
    """Weight of being opened in one sitting in the blend."""
    link_weight: float = Field(0.1, ge=0, le=1)
    """Weight of leading to the same page in the blend."""
    collaborative_weight: float = Field(0.3, ge=0, le=1)
    """Weight of being saved by the same people, as collaborative filtering tells it, in the blend."""
    collaborative_saves: int = Field(3, ge=1)
    """Fewest saves of a pin that collaborative filtering is asked about: of fewer it knows little."""
    collaborative_pins: int = Field(1_000_000, ge=2)
    """Pins compared by their factors, the most saved ones; each executor holds the factors of all."""
    save_rate_weight: float = Field(1.0, ge=0, le=2)
    """How much a pin gains, or loses, for being saved more, or less, often when shown than its category; 0: nothing."""
    fresh_days: float = Field(7.0, ge=0)
    """Days that a pin is new."""
    fresh_share: float = Field(0.1, ge=0, le=1)
    """Share of a list that new pins are given, where there are any among the best."""
    pool: int = Field(60, ge=1)
    """Best-blended pins of a pin that its list is chosen from."""
    owner_cap: int = Field(5, ge=1)
    """Pins of one creator in a list."""
    related_length: int = Field(30, ge=1)
    """Pins in a list."""
    query_hours: float = Field(168.0, gt=0)
    """Hours for which the pin that a person opened last counts as the one a list of related pins was shown beside."""
