"""Checks pairs of settings that are valid alone and contradict one another."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.settings import Settings


def misfits(settings: "Settings") -> Iterator[str]:
    """Yield a message with keys and values for each contradiction."""
    yield from _pools(settings)
    yield from _sources(settings)
    yield from _rest(settings)


def _pools(settings: "Settings") -> Iterator[str]:
    ranking, related = settings.ranking, settings.related
    if ranking.mmr_pool < ranking.feed_length:
        yield (
            f"ranking.mmr_pool = {ranking.mmr_pool} is below ranking.feed_length = {ranking.feed_length}: a feed is "
            "chosen from the pool and would have no more pins; raise mmr_pool or lower feed_length"
        )
    if related.pool < related.length:
        yield (
            f"related.pool = {related.pool} is below related.length = {related.length}: a list is chosen "
            "from the pool and would have no more pins; raise pool or lower length"
        )
    weights = [name for name in type(related).model_fields if name.endswith("_weight") and name != "save_rate_weight"]
    if not any(getattr(related, name) for name in weights):
        names = ", ".join(f"related.{name}" for name in weights)
        yield f"all of {names} are 0, so that no pins are related; raise one"


def _sources(settings: "Settings") -> Iterator[str]:
    candidates, length = settings.candidates, settings.ranking.feed_length
    names = ("collaborative", "content", "trending", "fresh")
    proposed = sum(getattr(candidates, name).per_user for name in names)
    if proposed < length:
        keys = ", ".join(f"candidates.{name}.per_user" for name in names)
        yield (
            f"ranking.feed_length = {length} is above the {proposed} pins that all sources propose to a user ({keys}): "
            "no feed could be full; raise one of them or lower feed_length"
        )
    for name in ("trending", "fresh"):
        source = getattr(candidates, name)
        if source.per_user > source.per_category:
            yield (
                f"candidates.{name}.per_user = {source.per_user} is above candidates.{name}.per_category = "
                f"{source.per_category}: a user of one category would get no more than that; raise per_category"
            )
    if candidates.content.neighbours > settings.neighbours.k:
        yield (
            f"candidates.content.neighbours = {candidates.content.neighbours} is above neighbours.k = "
            f"{settings.neighbours.k}: no more are kept per pin; lower the first or raise the second"
        )


def _rest(settings: "Settings") -> Iterator[str]:
    features, ranker, publish = settings.features, settings.ranking.ranker, settings.publish
    if features.trend_days > features.window_days:
        yield (
            f"features.trend_days = {features.trend_days} is above features.window_days = {features.window_days}: a "
            "trend is compared with the earlier days of the window; lower trend_days"
        )
    if ranker.min_rows > ranker.max_rows:
        yield (
            f"ranking.ranker.min_rows = {ranker.min_rows} is above ranking.ranker.max_rows = {ranker.max_rows}: there "
            "would never be a model; lower min_rows"
        )
    if publish.store != "rocksdb" and 3 * publish.timeout_seconds > publish.lease_seconds:
        yield (
            f"publish.lease_seconds = {publish.lease_seconds} is below three times publish.timeout_seconds = "
            f"{publish.timeout_seconds:g}: the lease could end while a server is waited for; raise lease_seconds"
        )
    simulator = settings.simulator
    if simulator.stream_days > simulator.days:
        yield (
            f"simulator.stream_days = {simulator.stream_days} is above simulator.days = {simulator.days}: the "
            "snapshot would be before the first event; lower stream_days"
        )
