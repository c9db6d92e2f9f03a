"""How candidates become a feed."""

from typing import Self

from pydantic import Field, model_validator

from jobs.settings.base import Section

ARM_SETTINGS = ("mmr_lambda",)
"""Settings of ranking that an arm may change."""


class Labels(Section):
    """What a proposal taught, by what the user did with the pin; the largest counts, a hide or report makes it 0."""

    save: float = Field(1.0, ge=0, le=1)
    """The pin was saved."""
    click: float = Field(0.4, ge=0, le=1)
    """The pin's link was followed."""
    closeup: float = Field(0.2, ge=0, le=1)
    """The pin was opened."""


class Ranker(Section):
    """The learned ranker."""

    trees: int = Field(120, ge=1)
    """Boosting rounds."""
    depth: int = Field(4, ge=1)
    """Depth of a tree."""
    learning_rate: float = Field(0.1, gt=0, le=1)
    """Shrinkage of each tree's vote."""
    min_child_weight: float = Field(20.0, ge=0)
    """Evidence a leaf must rest on, in rows times p (1 - p): acts are rare among proposals."""
    min_rows: int = Field(200, ge=1)
    """With fewer labelled proposals there is no model: candidates are scored by their ranks in the sources."""
    max_rows: int = Field(50_000_000, ge=1)
    """Labelled proposals learned from at most; above it a sample by hash."""
    unseen_negative_rate: float = Field(0.2, ge=0, le=1)
    """Share, by hash, of the proposals the user never met that count as refused; 0 learns from those met alone."""
    node_rows: int = Field(2_000_000, ge=0)
    """Up to as many rows xgboost trains on one node; above it xgboost.spark trains on the cluster."""
    threads: int = Field(2, ge=1)
    """Threads of training on one node; fixed, as another number may change the last digits of a model."""
    workers: int = Field(0, ge=0)
    """Training tasks on the cluster; 0 takes every task slot there is."""
    holdout: float = Field(0.1, gt=0, lt=1)
    """Share of users, by hash, whose proposals judge the model and do not train it."""
    labels: Labels = Labels()
    """What a proposal taught."""
    seed: int = Field(20261101, ge=0)
    """Of sampling and training."""


class Ranking(Section):
    """Score, rules, diversity, arms."""

    feed_length: int = Field(100, ge=1)
    """Pins in a feed."""
    owner_cap: int = Field(5, ge=1)
    """Pins of one creator in a feed."""
    blend: float = Field(0.3, ge=0)
    """Weight of the candidate sources' ranks beside the learned score; 0 ranks by the model alone."""
    blend_k: int = Field(20, ge=0)
    """Ranks count as 1 / (blend_k + rank): the larger, the less the first places stand out."""
    mmr_lambda: float = Field(0.8, ge=0, le=1)
    """1 ranks by score alone, 0 by difference alone."""
    mmr_pool: int = Field(200, ge=1)
    """Best-scored pins of a user that diversification chooses from."""
    mmr_window: int = Field(10, ge=1)
    """A pin is compared with as many places before it: about what a screen shows."""
    drops_per_user: int = Field(200, ge=0)
    """Dropped candidates kept per user, best first."""
    horizon_days: int = Field(7, ge=1)
    """Days between a cut and the day its lists are judged; also the days of events the ranker learns from."""
    arms: dict[str, float] = Field({"control": 0.9, "diverse": 0.1})
    """Share of users by arm; sums to 1. An arm's settings stand under arm_settings."""
    arm_settings: dict[str, dict[str, float]] = Field({"diverse": {"mmr_lambda": 0.6}})
    """Settings of ranking that an arm changes; mmr_lambda is the one there is."""
    arm_salt: str = "2026-11"
    """Changing it draws the arms anew."""
    ranker: Ranker = Ranker()
    """The learned ranker."""

    @model_validator(mode="after")
    def _arms_fit(self) -> Self:
        if min(self.arms.values(), default=-1) < 0 or abs(sum(self.arms.values()) - 1) > 1e-9:
            raise ValueError(f"ranking.arms must be shares from 0 that sum to 1, got {self.arms}; change the shares")
        for arm, changed in self.arm_settings.items():
            if arm not in self.arms:
                raise ValueError(
                    f"ranking.arm_settings names arm {arm!r}, but ranking.arms has {', '.join(self.arms)}; correct it"
                )
            for name, value in changed.items():
                if name not in ARM_SETTINGS or not 0 <= value <= 1:
                    raise ValueError(
                        f"ranking.arm_settings.{arm}: an arm may set {', '.join(ARM_SETTINGS)} from 0 to 1, "
                        f"got {name} = {value}; correct it"
                    )
        return self
