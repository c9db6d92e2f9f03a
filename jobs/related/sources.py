"""The sources of related pins: each is a column of gold.related_pairs, a weight of the blend and a reason."""

from collections.abc import Mapping
from types import MappingProxyType

from jobs.settings.visual import Visual

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "looks_alike": "similar_weight",
        "saved_together": "together_weight",
        "co_viewed": "sitting_weight",
        "same_link": "link_weight",
        "collaborative": "collaborative_weight",
    }
)
"""Source -> the setting of section `visual` that is its weight."""


def configured(visual: Visual) -> dict[str, float]:
    """Return the weight of each source as the settings have it."""
    return {source: getattr(visual, setting) for source, setting in SOURCES.items()}
