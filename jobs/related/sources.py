"""The sources of related pins: each is a column of gold.related_pairs, a weight of the blend and a reason."""

from collections.abc import Mapping
from types import MappingProxyType

from jobs.settings.related import Related

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "looks_alike": "similarity_weight",
        "saved_together": "co_save_weight",
        "co_viewed": "session_weight",
        "same_link": "link_weight",
        "collaborative": "collaborative_weight",
    }
)
"""Source -> the setting of section `related` that is its weight."""


def configured(related: Related) -> dict[str, float]:
    """Return the weight of each source as the settings have it."""
    return {source: getattr(related, setting) for source, setting in SOURCES.items()}
