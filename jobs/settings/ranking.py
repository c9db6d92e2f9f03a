"""Settings of ranking: learned ranker, rules, diversification, experiment arms."""

from typing import Self

from pydantic import Field, model_validator

from jobs.settings.base import Section

ARM_SETTINGS = ("mmr_lambda",)
"""Settings of ranking that an arm may override."""


class Labels(Section):
    """Training label of a candidate by the user's action; the largest counts, a hide or report makes it 0."""

    save: float = Field(1.0, ge=0, le=1)
    """The pin was saved."""
    click: float = Field(0.4, ge=0, le=1)
    """The pin's link was clicked."""
    closeup: float = Field(0.2, ge=0, le=1)
    """The pin was opened."""


class Ranker(Section):
    """The learned ranker."""

    trees: int = Field(120, ge=1)
    """Boosting rounds."""
    depth: int = Field(4, ge=1)
    """Maximum depth of a tree."""
    learning_rate: float = Field(0.1, gt=0, le=1)
    """Shrinkage of each tree's contribution."""
    min_child_weight: float = Field(20.0, ge=0)
    """Least Hessian sum of a leaf (rows times p (1 - p)); actions are rare among candidates."""
    min_rows: int = Field(200, ge=1)
    """Fewest labelled candidates to train on; below it candidates are scored by their ranks in the sources."""
    max_rows: int = Field(50_000_000, ge=1)
    """Most labelled candidates to train on; above it a sample by hash."""
    unseen_negative_rate: float = Field(0.2, ge=0, le=1)
    """Share, by hash, of candidates never shown that are used as negatives; 0 trains on shown ones only."""
    node_rows: int = Field(2_000_000, ge=0)
    """Most rows to train on one node by xgboost; above it xgboost.spark trains on the cluster."""
    threads: int = Field(2, ge=1)
    """Training threads on one node; another number may change the last digits of a model."""
    workers: int = Field(0, ge=0)
    """Training tasks on the cluster; 0 uses every task slot."""
    holdout: float = Field(0.1, gt=0, lt=1)
    """Share of users, by hash, whose candidates evaluate the model and are not trained on."""
    labels: Labels = Labels()
    """Training label by action."""
    seed: int = Field(20261101, ge=0)
    """Random seed of sampling and training."""


class Ranking(Section):
    """Scores, rules, diversification, experiment arms."""

    feed_length: int = Field(100, ge=1)
    """Pins in a feed."""
    owner_cap: int = Field(5, ge=1)
    """Pins of one creator in a feed."""
    blend: float = Field(0.3, ge=0)
    """Weight of the candidate sources' reciprocal ranks relative to the learned score; 0 uses the model alone."""
    blend_k: int = Field(20, ge=0)
    """Constant of reciprocal rank fusion, 1 / (blend_k + rank): the larger, the less top ranks stand out."""
    mmr_lambda: float = Field(0.8, ge=0, le=1)
    """Trade-off of maximal marginal relevance: 1 ranks by score alone, 0 by dissimilarity alone."""
    mmr_pool: int = Field(200, ge=1)
    """Best-scored pins per user that diversification chooses from."""
    mmr_window: int = Field(10, ge=1)
    """Preceding positions a pin is compared with; about one screen."""
    drops_per_user: int = Field(200, ge=0)
    """Dropped candidates kept per user, best first."""
    horizon_days: int = Field(7, ge=1)
    """Days between an as-of date and the evaluation of its lists; also the days of events the ranker trains on."""
    arms: dict[str, float] = Field({"control": 0.9, "diverse": 0.1})
    """Share of users per experiment arm; the shares sum to 1. arm_settings holds what an arm changes."""
    arm_settings: dict[str, dict[str, float]] = Field({"diverse": {"mmr_lambda": 0.6}})
    """Settings of ranking that an arm overrides; only mmr_lambda can be."""
    arm_salt: str = "2026-11"
    """Salt of the hash that assigns users to arms; changing it reassigns all."""
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
